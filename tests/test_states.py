"""What units keep: declared once, and found in every list that is derived from it."""

import numpy as np
import pytest

from bench.draw import draw
from spikeloom.gen import presets
from spikeloom.gen.state import state_from_words, state_reads, state_writes
from spikeloom.golden.activity import passes_and_counters
from spikeloom.golden.checkpoint import state_arrays, state_from
from spikeloom.golden.checks import state_rules
from spikeloom.golden.counters import category, unit_counters
from spikeloom.golden.memories import memories
from spikeloom.golden.model import Golden, initial_state
from spikeloom.golden.states import Memory, State, Values, saved_kinds, unit_phases, unit_states
from spikeloom.golden.units import Unit
from spikeloom.rtl.registers import RegisterMap
from spikeloom.sim.compare import compare_state
from strategies import frames, small

CONFIGS = [small(), presets.find("tiny"), presets.find("lenet1"), *map(draw, range(8))]
IDS = [f"{place}_{config.name}" for place, config in enumerate(CONFIGS)]


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_every_access_is_of_a_pass(config):
    for unit in config.units:
        for state in unit_states(config, unit).values():
            assert len(set(state.accesses)) == len(state.accesses)
            for access in state.accesses:
                operation, phase = access.split(".")
                assert operation in ("read", "write") and phase in (*unit_phases(unit), "report")


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_every_memory_has_words(config):
    for unit in config.units:
        for state in unit_states(config, unit).values():
            assert (state.memory is None) == (state.saved == "lanes")
            if state.memory:
                assert state.memory.depth > 0 and state.memory.width > 0
                assert state.memory.width % (state.memory.granule or state.memory.width) == 0


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_kinds_are_those_of_every_unit(config):
    for saved in ("matrix", "lanes"):
        assert {tuple(unit_states(config, unit, saved)) for unit in config.units} == {saved_kinds(config, saved)}


class _Traces:
    """A part of a unit."""

    def states(self, config, unit):
        """A matrix of what each synapse has seen, an LFSR per lane beside it, and a memory of no consequence."""
        yield State(name="seen", saved="matrix", values=Values.of(5, signed=True), meaning="each trace",
                    there=unit.weights.stored,
                    accesses={"read.update": lambda work: 2 * work.rows, "write.update": lambda work: work.moved},
                    memory=Memory(
                        f"{unit.path}.seen_store", "trace", unit.weight_depth, unit.lanes * 5, "as the weights", 5))
        yield State(name="noise", saved="lanes", values=Values(16, 1, 9), start=(7,) * unit.lanes, meaning="noise")
        yield State(name="scratch", accesses={"write.forward": lambda work: 5}, memory=Memory(
            f"{unit.path}.scratch_store", "scratch", 3, 11, "anything"))


def test_a_state_more_is_one_line_in_one_place(monkeypatch):
    """Counters, memory map, registers, checkpoint, loading, saving and comparison know of it by themselves."""
    config = small()
    before = initial_state(config)
    monkeypatch.setattr(Unit, "parts", property(lambda unit, own=Unit.parts: (*own.fget(unit), _Traces())))
    unit, start = config.units[0], initial_state(config)

    names = [name.removeprefix(f"{unit.path}.") for name in unit_counters(config, unit)]
    assert names[-3:] == ["seen.read.update", "seen.write.update", "scratch.write.forward"]
    assert category(config, f"{unit.path}.seen.read.update") == "trace"
    trace = Golden(config, compiled=False).run(frames(config, 1)[0], 1, train=True)
    _, counts = passes_and_counters(config, [trace])
    assert counts[f"{unit.path}.seen.read.update"] == 2 * counts[f"{unit.path}.weight.read.update"] > 0
    assert counts[f"{unit.path}.scratch.write.forward"] == 5
    assert {memory.path for memory in memories(config)} >= {f"{unit.path}.seen_store", f"{unit.path}.scratch_store"}

    region = RegisterMap(config).regions[f"{unit.path}.seen"]
    assert region.values == Values(5, -16, 15) and region.held and region.array.channels == unit.channels
    assert RegisterMap(config).regions[f"{unit.path}.noise"].reset == (7,) * unit.lanes
    assert f"{unit.path}.scratch" not in RegisterMap(config).regions

    assert start["seen"][0].shape == start["weight"][0].shape and start["noise"][0] == [7] * unit.lanes
    assert all(map(np.array_equal, start["weight"], before["weight"]))
    assert state_rules(config)["seen_0"] == ((unit.fan_in, unit.channels), -16, 15)
    changed = start.replace(seen=[own - 3 for own in start["seen"]], noise=[[9] * len(own) for own in start["noise"]])
    assert compare_state(config, state_arrays(state_from(state_arrays(changed), config)), changed) is None

    registers = RegisterMap(config)
    held = {base + place: int(value) for base, values in state_writes(registers, state_arrays(changed))
            for place, value in enumerate(values)}
    words = {name: [held.get(base + place, 0) & 0xFFFFFFFF for place in range(count)]
             for name, (base, count) in state_reads(registers).items()}
    found = state_from_words(registers, words)
    assert compare_state(config, found, changed) is None
    found["seen_0"][2, 1] += 1
    assert str(compare_state(config, found, changed)) == \
        f"seen (and 0 others) differs at unit {unit.path}, neuron 1, row 2: expected -3, actual -2"
    found["seen_0"][2, 1] -= 1
    found["noise_0"][0] = 1
    assert compare_state(config, found, changed).what == "noise state"
