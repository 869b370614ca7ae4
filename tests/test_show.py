"""Tables of the command line."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from spikeloom.cli.show import simulation_tables
from spikeloom.golden.counters import block_counters, unit_counters
from spikeloom.sim.cosim import Checked
from spikeloom.sim.ports import result_type
from spikeloom.sim.summary import WAITS
from strategies import small


@pytest.fixture
def shown(capsys, monkeypatch):
    """The lines of the tables of a run of one sample, in which everything is 0."""
    monkeypatch.setenv("COLUMNS", "160")
    config = small()
    names = [name for block in config.blocks for name in [
        *block_counters(block), *(name for unit in block.units for name in unit_counters(config, unit))]]
    checked = Checked(np.zeros(1, result_type(config)), {f"counter:{name}": 0 for name in names}, None, 0.0, Path())
    simulation_tables(config, checked, SimpleNamespace(labels=np.zeros(1, int), train=True))
    return capsys.readouterr().out.splitlines()


def test_no_header_without_a_word(shown):
    """The first table has rows only."""
    place = next(place for place, line in enumerate(shown) if "1 samples, training" in line)
    assert "right predictions" in shown[place + 2]


def test_what_waits_contain_is_said(shown):
    assert f"{WAITS}." in " ".join(" ".join(shown).split())
