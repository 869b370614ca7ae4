"""Dropout: which spikes are dropped, what everybody sees of them, and the registers that choose."""

import json
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.gen.generate import generate
from spikeloom.golden.checkpoint import state_arrays, state_from
from spikeloom.golden.dropout import draw_dropped, dropout_seeds
from spikeloom.golden.lfsr import PERIOD, Lfsr, leap
from spikeloom.golden.memories import memories
from spikeloom.golden.model import Golden, initial_state
from spikeloom.rtl.dropout import Dropout
from strategies import configs, dropping, frames, simulate, small, spatial_configs

#: A convolution whose words are not full, a pool, and a dense layer, in batches of three.
IMAGES = small(
    time={"steps": 4, "interval": 2}, input={"shape": [4, 4, 1]},
    layers=[{"kind": "conv", "channels": 5, "kernel": 2, "lanes": 2, "dropout": 5}, {"kind": "avg_pool", "size": 2,
            "stride": 1}, {"neurons": 5, "lanes": 3, "dropout": 9}],
    network={"block_length": 1}, update={"batch": 3}, hardware={"sample_slots": 3}, initial={"gain": 4.0})


def test_masks_by_hand():
    """Shift by shift of every lane, in the order of the core: interval, sample, word, step."""
    golden, batch = Golden(IMAGES), frames(IMAGES, 3)
    lanes = {unit.path: dropout_seeds(IMAGES, unit) for unit in IMAGES.units}
    for train in (True, False, True):
        traces = golden.run_batch(batch, [0, 1, 2], train=train)
        for place, unit in enumerate(IMAGES.units):
            seen = [trace.units[place].dropped for trace in traces]
            if not train or not unit.dropout:
                assert seen == [None] * 3
                continue
            states, dropped = lanes[unit.path], [[[None] * unit.n_out for _ in range(4)] for _ in seen]
            for interval in range(2):
                for own in dropped:
                    for word in range(unit.words):
                        pixel, group = divmod(word, unit.channel_words)
                        for step in range(2):
                            for lane in range(unit.lanes):
                                channel = group * unit.lanes + lane
                                if channel < unit.channels:
                                    own[interval * 2 + step][pixel * unit.channels + channel] = \
                                        states[lane] & 15 < unit.dropout
                                states[lane] = leap(states[lane])
            assert [own.tolist() for own in seen] == dropped
    assert golden.state["dropout"] == list(lanes.values())


@pytest.mark.parametrize("dropout", [1, 7, 15])
def test_share(dropout):
    """Over the whole cycle every 16-bit word occurs once, but for zero, which would be dropped."""
    config = small(layers=[{"neurons": 1, "lanes": 1, "dropout": dropout}], time={"steps": 1, "interval": 1})
    dropped, state = draw_dropped(config.units[0], [1], PERIOD)
    assert int(dropped.sum()) == dropout * 4096 - 1
    assert state == [1]


def test_seeds_differ_from_those_of_rounding():
    config = small(layers=[{"neurons": 5, "lanes": 2, "dropout": 1}] * 2, update={"rounding": "stochastic"})
    state = initial_state(config)
    assert [len(lanes) for lanes in state["dropout"]] == [2, 0, 2, 0]
    every = [seed for own in (state["lfsr"], state["dropout"]) for lanes in own for seed in lanes]
    assert len(set(every)) == len(every)


@given(dropping(st.one_of(configs(), spatial_configs())))
def test_who_sees_what(config):
    """A layer computes as if nothing were dropped; what is dropped never happened for everybody above."""
    plain = config.replace(layers=[{**layer.model_dump(), **({} if layer.kind == "avg_pool" else {"dropout": 0})}
                                   for layer in config.layers])
    frame = frames(config, 1)[0]
    trace, without = (Golden(own).run(frame, 0, train=True) for own in (config, plain))
    assert torch.equal(trace.units[0].spikes[:config.update_steps], without.units[0].spikes[:config.update_steps])
    sent = None
    for unit, seen, other in zip(config.units, trace.units, without.units):
        assert (seen.dropped is None) == (unit.dropout == 0)
        assert other.dropped is None
        if not unit.input.static:
            assert torch.equal(seen.inputs, sent)
        if not unit.classifier:
            sent = seen.spikes & ~seen.dropped if unit.dropout else seen.spikes
            assert torch.equal(seen.sent, sent)


def test_inference_by_hand():
    """With nothing leaking and no reset, a step adds the floored share of its sum to the potential."""
    config = small(layers=[{"neurons": 9, "lanes": 3, "dropout": 5}, {"neurons": 4, "lanes": 2}],
                   neuron={"leak": {"form": "multiply", "multiplier": 1, "shift": 0}, "reset": "none",
                           "reset_error": False}, initial={"gain": 4.0},
                   numbers={"potential": {"width": 20, "fraction": 5}})
    trace = Golden(config).run(frames(config, 1)[0])
    weights, before = initial_state(config)["weight"], None
    for place in (1, 2):  # the classifier of the block, and the next block, see the same spikes
        seen, before = trace.units[place], 0
        assert bool(seen.inputs.any())
        for t in range(config.time.steps):
            sums = (seen.inputs[t].long() @ weights[place]).tolist()
            current = torch.tensor([math.floor(Fraction(total * 11, 16 * 2)) for total in sums])
            assert torch.equal(seen.potentials[t] - before, current)
            before = seen.potentials[t]


@given(dropping(configs()), st.integers(1, PERIOD))
def test_inference_does_not_ask_the_registers(config, seed):
    golden, batch = Golden(config), frames(config, 3)
    before = golden.infer(batch)
    for lanes in golden.state["dropout"]:
        lanes[:] = [seed] * len(lanes)
    assert torch.equal(golden.infer(batch), before)
    assert all(lanes == [seed] * len(lanes) for lanes in golden.state["dropout"])


def test_a_dropped_spike_asks_for_no_error_and_keeps_that_of_its_reset():
    """One neuron, dropped in some steps: there only what comes back through its reset and its leak is left."""
    config = small(
        time={"steps": 4, "interval": 4}, input={"size": 1, "fraction": 0}, classifier={"lanes": 1},
        layers=[{"neurons": 1, "lanes": 1, "dropout": 8}], update={"shift": 24, "seed": 9},
        neuron={"leak": {"form": "multiply", "multiplier": 1, "shift": 0}, "threshold": 1.0, "reset_amount": 0.5},
        surrogate={"shape": "rectangle", "width": 4.0})
    golden = Golden(config)
    golden.state["weight"][0][:] = 48
    golden.state["weight"][1][:] = 64
    layer, classifier = golden.run(torch.tensor([1]), 2, train=True).units
    assert layer.codes.flatten().tolist() == [1] * 4
    assert layer.dropped.flatten().tolist().count(True) in (1, 2, 3)
    following, expected = 0, []
    for t in reversed(range(4)):
        delta = 0 if layer.dropped[t, 0] else sum(classifier.errors[t].tolist())
        following = following + math.floor(Fraction(delta - math.floor(Fraction(32 * following, 64)), 4))
        expected.insert(0, following)
    assert layer.errors.flatten().tolist() == expected
    assert any(expected)


def test_states_survive_a_checkpoint():
    golden = Golden(IMAGES)
    golden.run_batch(frames(IMAGES, 3), [0, 1, 2], train=True)
    again = state_from(state_arrays(golden.state), IMAGES)
    assert again["dropout"] == golden.state["dropout"] != initial_state(IMAGES)["dropout"]


def test_memories_and_registers(tmp_path):
    """A bit of history per neuron and step where there is dropout; a register per lane."""
    config = small(layers=[{"neurons": 5, "lanes": 2, "dropout": 3}, {"neurons": 4, "lanes": 4}])
    widths = {memory.path: memory.width for memory in memories(config) if memory.path.endswith("window_store")}
    assert widths == {"block0.layer0.window_store": 4, "block0.classifier.window_store": 2,
                      "block1.layer0.window_store": 4, "block1.classifier.window_store": 2}
    verilog, contract = generate(config, tmp_path)
    assert "block0.layer0.dropout" in verilog.read_text()
    contract = json.loads(contract.read_text())
    assert [(r["name"], r["count"], r["access"]) for r in contract["registers"] if "dropout" in r["name"]] == [
        ("block0.layer0.dropout", 2, "rw")]
    assert [unit["dropout"] for unit in contract["units"]] == [3, 0, 0, 0]
    plain = generate(small(), tmp_path)[0].read_text()
    assert "dropout" not in plain


@pytest.mark.parametrize("dropout", [1, 6, 15])
def test_rtl_equals_golden(dropout):
    """Masks of ten words; nothing is dropped, and no state moves, without training."""
    seeds, dut, found = [1, 0xBEEF, 77], Dropout([1, 0xBEEF, 77], dropout=dropout), []

    async def bench(ctx):
        for train, valid in [(1, 1), (0, 1), (1, 0), (0, 0), *[(1, 1)] * 9]:
            ctx.set(dut.train, train)
            ctx.set(dut.valid, valid)
            await ctx.delay(1e-7)
            assert train or ctx.get(dut.dropped) == 0
            if train and valid:
                found.append([bool(ctx.get(dut.dropped) >> lane & 1) for lane in range(3)])
            await ctx.tick()
        ctx.set(dut.valid, 0)
        ctx.set(dut.load, 1)
        ctx.set(dut.load_lane, 2)
        ctx.set(dut.load_state, 5)
        await ctx.tick()
        ctx.set(dut.load, 0)
        states = ctx.get(dut.states)
        assert [states[lane] for lane in range(3)] == [*Lfsr(seeds).draw(11)[10][:2], 5]

    simulate(dut, bench)
    config = small(layers=[{"neurons": 3, "lanes": 3, "dropout": dropout}], time={"steps": 1, "interval": 1})
    dropped, _ = draw_dropped(config.units[0], seeds, 10)
    assert found == dropped[0].tolist()


@pytest.mark.parametrize("dropout", [0, 16])
def test_dropout_out_of_range(dropout):
    with pytest.raises(ValueError, match=rf"^dropout must be in 1\.\.15, not {dropout}$"):
        Dropout([1], dropout=dropout)
