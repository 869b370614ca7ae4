"""The comparison can fail: every kind of fault is caught, and named for what it is."""

import re

import pytest

from spikeloom.sim.cosim import cosimulate
from spikeloom.sim.faults import FAULTS, find, victim
from spikeloom.sim.sweep import stimulus


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_caught(fault, models, tmp_path):
    difference = find(fault, root=models, folder=tmp_path)
    assert difference is not None
    assert re.fullmatch(fault.caught, difference.what), difference
    # Located: counters name themselves, results their sample, everything else its unit.
    assert difference.unit or difference.sample is not None or difference.what.startswith("counter ")


#: What the faults change for both sides, each once.
SETTINGS = {str(fault.setting): fault.setting for fault in FAULTS}.values()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: "-".join(setting) or "victim")
def test_no_fault_no_difference(setting, models, tmp_path):
    config = victim().replace(**setting)
    assert len(list(cosimulate(config, stimulus(config, seed=1), root=models, folder=tmp_path, cycle_level=True,
                               seed=1))) == 3
