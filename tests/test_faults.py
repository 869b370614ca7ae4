"""The comparison can fail: every kind of fault is caught, and named for what it is."""

import re

import pytest

from bench.draw import stimulus
from bench.faults import FAULTS, find
from spikeloom.sim.cosim import cosimulate


@pytest.mark.parametrize("fault", [
    pytest.param(fault, id=fault.name.replace(" ", "-"), marks=[pytest.mark.long] * fault.further)
    for fault in FAULTS])
def test_caught(fault, models, tmp_path):
    difference = find(fault, root=models, folder=tmp_path)
    assert difference is not None
    assert re.fullmatch(fault.caught, difference.what), difference
    # Located: counters name themselves, results their sample, everything else its unit.
    assert difference.unit or difference.sample is not None or difference.what.startswith(("counter ", "simulation"))


#: What is broken, each once.
VICTIMS = {str((fault.victim.__name__, fault.setting)): fault for fault in FAULTS}.values()


@pytest.mark.parametrize("fault", [
    pytest.param(fault, id="-".join([fault.victim.__name__, *fault.setting]),
                 marks=[pytest.mark.long] * bool(fault.setting)) for fault in VICTIMS])
def test_no_fault_no_difference(fault, models, tmp_path):
    config = fault.victim().replace(**fault.setting)
    assert len(list(cosimulate(config, stimulus(config, seed=1), root=models, folder=tmp_path, cycle_level=True,
                               seed=1))) == 3
