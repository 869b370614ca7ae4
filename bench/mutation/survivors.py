"""Why mutants may live that no stimulus notices and that are not proven equal: ``survivors.toml``."""

import re
import tomllib
from functools import cache
from pathlib import Path

__all__ = ["explanation"]


@cache
def _baseline():
    return tomllib.loads(Path(__file__).with_name("survivors.toml").read_text()).get("survivor", [])


def explanation(mutant):
    """What the baseline says of a survivor, or None."""
    for own in _baseline():
        if re.search(own["pattern"], mutant.place):
            return own["why"]
    return None
