"""The comparison can fail: every kind of fault is caught, and named for what it is."""

import re

import pytest

from spikeloom.sim.cosim import cosimulate
from spikeloom.sim.faults import EVENTS, FAULTS, dense, find, images
from spikeloom.sim.sweep import stimulus


@pytest.mark.parametrize("fault", [
    pytest.param(fault, id=fault.name.replace(" ", "-"), marks=[pytest.mark.long] * fault.further)
    for fault in FAULTS])
def test_caught(fault, models, tmp_path):
    difference = find(fault, root=models, folder=tmp_path)
    assert difference is not None
    assert re.fullmatch(fault.caught, difference.what), difference
    # Located: counters name themselves, results their sample, everything else its unit.
    assert difference.unit or difference.sample is not None or difference.what.startswith("counter ")


@pytest.mark.parametrize("config", [
    dense(), images(), images().replace(**EVENTS),
    pytest.param(dense().replace(update={"rounding": "nearest"}), marks=pytest.mark.long),
], ids=["dense", "images", "events", "nearest"])
def test_no_fault_no_difference(config, models, tmp_path):
    assert len(list(cosimulate(config, stimulus(config, seed=1), root=models, folder=tmp_path, cycle_level=True,
                               seed=1))) == 3
