"""Commands that are ended at random moments: nothing is left, and the next run gives the same bits."""

import random

import pytest

from bench.kill import SCENARIOS, attack, undisturbed


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name == "generate" else [pytest.mark.long]) for name in SCENARIOS])
def test_signals_at_random_moments(name, tmp_path):
    wants, takes = undisturbed(name, tmp_path)
    for file in (tmp_path / "out").glob("*"):
        file.unlink()
    assert len(attack(name, folder=tmp_path, random=random.Random(5), signals=2, wants=wants, takes=takes)) == 2
