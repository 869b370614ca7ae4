"""What must be true of the golden model whatever the network: independence, ranges, and each update by hand."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.golden.checkpoint import state_arrays
from spikeloom.golden.errors import InputError
from spikeloom.golden.lfsr import leap
from spikeloom.golden.model import Golden, initial_state
from strategies import configs, dropping, frames, small, spatial_configs

PLAIN = st.one_of(configs(), spatial_configs())
NETWORKS = dropping(PLAIN)


def same(a, b):
    one, other = state_arrays(a), state_arrays(b)
    return one.keys() == other.keys() and all(np.array_equal(value, other[name]) for name, value in one.items())


def train(config, samples=3, state=None, seed=0):
    golden = Golden(config, state)
    traces = [golden.run(frame, place % config.network.classes, train=True, record=True)
              for place, frame in enumerate(frames(config, samples, seed))]
    return golden, traces


@given(NETWORKS, st.integers(0, 99))
def test_infer_gives_the_bits_of_run(config, seed):
    golden, batch = Golden(config), frames(config, 5, seed)
    traces = [golden.run(frame) for frame in batch]
    assert golden.infer(batch).tolist() == [trace.counts.tolist() for trace in traces]
    for trace in traces:
        counts = trace.counts.tolist()
        assert trace.prediction == counts.index(max(counts))  # the first of equal ones
        assert trace.counts.tolist() == trace.units[-1].spikes.long().sum(0).tolist()


@given(NETWORKS)
def test_inference_leaves_the_state_alone(config):
    golden, _ = train(config, samples=1)
    before = golden.state.copy()
    golden.infer(frames(config, 3))
    golden.run(frames(config, 1)[0])
    assert same(golden.state, before)


@given(PLAIN)  # dropout knows the mode
def test_training_computes_what_inference_computes_until_the_first_update(config):
    frame, steps = frames(config, 1)[0], config.update_steps
    quiet, loud = Golden(config).run(frame), Golden(config).run(frame, 0, train=True)
    for a, b in zip(quiet.units, loud.units):
        assert torch.equal(a.potentials[:steps], b.potentials[:steps])
        assert a.errors is None


@given(NETWORKS)
def test_everything_stored_stays_in_its_range(config):
    golden, traces = train(config)
    numbers = config.numbers
    for trace in traces:
        for unit, seen in zip(config.units, trace.units):
            assert (seen.errors is not None) == unit.rule.learns
            stored = [(seen.potentials, numbers.potential.width)]
            stored += [(seen.errors, numbers.error.width)] if unit.rule.learns else []
            stored += [] if unit.window.pools else [(weights, numbers.weight.width) for weights in seen.weights]
            for values, width in stored:
                assert -(1 << width - 1) <= int(values.min()) and int(values.max()) < 1 << width - 1
            assert int(seen.codes.min()) >= 0 and int(seen.codes.max()) < 1 << config.code_bits
            assert len(seen.weights) == config.intervals // config.time.update_period
    for unit, seen, weights in zip(config.units, traces[-1].units, golden.state["weight"]):
        assert torch.equal(seen.weights[-1], weights)
        assert weights.shape == (0 if unit.window.pools else unit.fan_in, unit.channels)


def test_weights_saturate():
    # A rate that moves a weight by more than its range: they stop at both ends.
    config = small(numbers={"weight": {"width": 5, "fraction": 2}}, update={"shift": 0, "multiplier": 255})
    golden, _ = train(config, samples=6)
    every = torch.cat([w.flatten() for w in golden.state["weight"]])
    assert (int(every.min()), int(every.max())) == (-16, 15)


@given(NETWORKS)
def test_no_block_hears_of_a_later_one(config):
    # Change every weight of the last block: nothing below it notices.
    state = initial_state(config)
    last = config.blocks[-1].index
    for unit, weights in zip(config.units, state["weight"]):
        if unit.block == last:
            weights.copy_(-1 - weights)
    (one, first), (other, second) = train(config), train(config, state=state)
    for place, unit in enumerate(config.units):
        if unit.block != last:
            assert torch.equal(one.state["weight"][place], other.state["weight"][place])
            assert all(torch.equal(a.units[place].spikes, b.units[place].spikes) for a, b in zip(first, second))
            assert not unit.rule.learns or all(
                torch.equal(a.units[place].errors, b.units[place].errors) for a, b in zip(first, second))


def test_the_classifier_is_what_trains_a_block():
    # The counterpart of the test above: inside its own block, the classifier's weights do matter.
    config, results = small(initial={"gain": 2.0}, update={"shift": 1}), []
    for sign in (1, -1):
        state = initial_state(config)
        state["weight"][1].mul_(sign)
        results.append(train(config, samples=8, state=state)[0].state["weight"][0])
    assert not torch.equal(*results)


@given(configs())
def test_one_step_per_interval_has_no_temporal_term(config):
    """With k = 1, every error follows from its own step alone."""
    config = config.replace(time={"interval": 1, "update_period": 1}, hardware={"error_steps": None})
    golden = Golden(config)
    start = [w.tolist() for w in golden.state["weight"]]
    trace = golden.run(frames(config, 1)[0], 0, train=True, record=True)
    top = 1 << config.numbers.error.width - 1

    def clamp(x):
        return max(-top, min(top - 1, x))

    for place, (unit, seen) in enumerate(zip(config.units, trace.units)):
        for t in range(config.time.steps):
            if unit.classifier:
                delta = [(int(s) - (c == 0)) << config.numbers.error.fraction for c, s in enumerate(seen.spikes[t])]
            else:
                above = trace.units[place + 1]
                weights = start[place + 1] if t == 0 else above.weights[t - 1].tolist()
                scale = 2**config.numbers.weight.fraction
                dots = [sum(w * e for w, e in zip(row, above.errors[t].tolist())) for row in weights]
                delta = [clamp(math.floor(Fraction(dot, scale) + Fraction(1, 2))) for dot in dots]
            expected = [clamp(math.floor(code * d / Fraction(2) ** config.gain_shift))
                        for code, d in zip(seen.codes[t].tolist(), delta)]
            assert seen.errors[t].tolist() == expected


@given(NETWORKS)
def test_every_update_by_hand(config):
    """Equation (7) and its rounding, weight by weight, random words in the order of the core's walk."""
    golden = Golden(config)
    for place, frame in enumerate(frames(config, 2)):
        weights = [w.tolist() for w in golden.state["weight"]]
        words = [list(states) for states in golden.state["lfsr"]]
        shift = golden.state.shift
        trace = golden.run(frame, place % config.network.classes, train=True, record=True)
        for period in range(config.intervals // config.time.update_period):
            steps = range(period * config.update_steps, (period + 1) * config.update_steps)
            for unit, seen, own, random in zip(config.units, trace.units, weights, words):
                update_unit(config, unit, seen, weights=own, random=random, shift=shift, steps=steps)
                assert seen.weights[period].tolist() == own
        assert [list(states) for states in golden.state["lfsr"]] == words


def pairs(unit, row):
    """(input, output pixel) of every use of a weight row: its tap, wherever the window lies."""
    if unit.window.kind == "dense":
        return [(row, 0)]
    height, width, channels = unit.shape_in
    tap, channel = divmod(row, channels)
    places = [(out, out // unit.shape_out[1] * unit.window.stride - unit.window.padding + tap // unit.window.kernel,
               out % unit.shape_out[1] * unit.window.stride - unit.window.padding + tap % unit.window.kernel) for out in range(unit.pixels)]
    return [((y * width + x) * channels + channel, out) for out, y, x in places if 0 <= y < height and 0 <= x < width]


def update_unit(config, unit, seen, *, weights, random, shift, steps):
    """Change `weights` and the lanes' `random` words as the core does, visit by visit."""
    shift += config.input.fraction if unit.input.static else 0
    inputs = [(seen.inputs if unit.input.static else seen.inputs[t].long()).tolist() for t in steps]
    top = 1 << unit.weights.width - 1
    for row in range(len(weights)):
        uses = [(values[i], t, pixel) for values, t in zip(inputs, steps) for i, pixel in pairs(unit, row) if values[i]]
        if not uses:
            continue
        for word in range(unit.channel_words):
            for lane in range(unit.lanes):
                channel = word * unit.lanes + lane
                if channel < unit.channels:
                    gradient = sum(x * int(seen.errors[t, pixel * unit.channels + channel]) for x, t, pixel in uses)
                    part = Fraction(random[lane] % 2**shift, 2**shift) if random else Fraction(1, 2)
                    if shift == 0:
                        part = 0
                    step = math.floor(Fraction(gradient * config.update.multiplier, 2**shift) + part)
                    weights[row][channel] = max(-top, min(top - 1, weights[row][channel] - step))
                if random:
                    random[lane] = leap(random[lane])


@pytest.mark.parametrize("every, limit, shifts", [
    (0, 3, [4, 4, 4, 4, 4, 4]),   # no decay
    (1, 2, [5, 6, 6, 6, 6, 6]),
    (2, 8, [4, 5, 5, 6, 6, 7]),
    (3, 0, [4, 4, 4, 4, 4, 4]),   # nothing to grow
])
def test_step_decay(every, limit, shifts):
    config = small(update={"decay_samples": every, "decay_limit": limit})
    golden, seen = Golden(config), []
    for place, frame in enumerate(frames(config, len(shifts))):
        golden.run(frame)  # inference does not count
        golden.run(frame, 0, train=True)
        seen.append(golden.state.shift)
        assert golden.state.since_decay == ((place + 1) % every if every else 0)
    assert seen == shifts


def test_the_state_given_is_copied():
    config = small(update={"rounding": "stochastic"})
    state = initial_state(config)
    before = state.copy()
    golden, _ = train(config, state=state)
    assert same(state, before)
    assert not same(golden.state, before)


@pytest.mark.parametrize("gain, fraction, width", [(1.0, 6, 10), (64.0, 6, 10), (2.0, 3, 4)])
def test_initial_weights(gain, fraction, width):
    config = small(initial={"gain": gain, "seed": 5}, numbers={"weight": {"width": width, "fraction": fraction}})
    top = 1 << width - 1
    for unit, weights in zip(config.units, initial_state(config)["weight"]):
        limit = round(gain / math.sqrt(unit.n_in) * 2**fraction)
        assert weights.shape == (unit.n_in, unit.n_out)
        assert max(-limit, -top) <= int(weights.min()) < 0 < int(weights.max()) <= min(limit, top - 1)
    assert same(initial_state(config), initial_state(config))
    other = initial_state(config.replace(initial={"seed": 6}))
    assert not torch.equal(initial_state(config)["weight"][0], other["weight"][0])


# What is not as the documentation says

EVENTS = {"input": {"kind": "events", "shape": [1, 3, 2], "bits": 1, "fraction": 0}}


@pytest.mark.parametrize("frames, labels, message", [
    (np.zeros((2, 6), np.int64), [0, 1], "frames must be a torch.Tensor (torch.from_numpy makes one), not ndarray"),
    (torch.zeros(2, 6), [0, 1], "frames must hold integers, not torch.float32"),
    (torch.rand(2, 6).bfloat16(), [0, 1], "frames must hold integers, not torch.bfloat16"),
    (torch.zeros(6, dtype=torch.int64), [0], "frames must have the shape (samples, 6), not (6,)"),
    (torch.zeros(6, 2, dtype=torch.int64), [0, 1], "frames must have the shape (samples, 6), not (6, 2)"),
    (torch.zeros(2, 4, 6, dtype=torch.int64), [0, 1], "frames must have the shape (samples, 6), not (2, 4, 6)"),
    (torch.full((2, 6), 8), [0, 1], "frames must hold values 0 to 7, not 8"),
    (torch.full((2, 6), -1), [0, 1], "frames must hold values 0 to 7, not -1"),
    (torch.full((2, 6), 1), [0], "labels must be 2 integers, one for each sample, not of shape (1,)"),
    (torch.full((2, 6), 1), [0, 3], "labels must hold values 0 to 2, not 3"),
    (torch.full((2, 6), 1), [0, -1], "labels must hold values 0 to 2, not -1"),
    (torch.full((2, 6), 1), [0, 0.5], "labels must hold integers, not object"),
    (torch.full((2, 6), 1), [0, True], "labels must hold integers, not object"),
    (torch.full((2, 6), 1), np.array([0.0, 1.0]), "labels must hold integers, not float64"),
    (torch.full((2, 6), 1), np.eye(3, dtype=int)[:2],
     "labels must be 2 integers, one for each sample, not of shape (2, 3)"),
])
def test_wrong_samples(frames, labels, message):
    """Nothing is converted, cut or wrapped, and the state stays as it was."""
    golden = Golden(small())
    before = golden.state.copy()
    calls = [lambda: golden.run_batch(frames, labels, train=True), lambda: golden.train_batch(frames, labels)]
    if message.startswith("frames"):
        calls += [lambda: golden.infer(frames), lambda: golden.run_batch(frames, labels)]
    for call in calls:
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            call()
    assert all(map(torch.equal, golden.state["weight"], before["weight"]))


@pytest.mark.parametrize("frames, message", [
    (torch.full((2, 4, 6), 2), "frames must hold values 0 to 1, not 2"),
    (torch.ones(4, 2, 6, dtype=torch.uint8), "frames must have the shape (samples, 4, 6), not (4, 2, 6)"),
    (torch.ones(4, 6, dtype=torch.uint8), "frames must have the shape (samples, 4, 6), not (4, 6)"),
    (torch.ones(2, 4, 6), "frames must hold integers, not torch.float32"),
])
def test_wrong_events(frames, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Golden(small(**EVENTS)).infer(frames)


def test_every_integer_type_gives_the_same():
    golden = Golden(small())
    wanted = golden.infer(torch.arange(6)[None])
    for kind in (torch.uint8, torch.int8, torch.int16, torch.int32):
        assert golden.infer(torch.arange(6, dtype=kind)[None]).equal(wanted)
    events = Golden(small(**EVENTS))
    bits = torch.arange(24).reshape(1, 4, 6) % 2
    assert events.infer(bits.bool()).equal(events.infer(bits))
    for labels in (np.array([1]), [np.int64(1)], torch.tensor([1]), (1,)):
        golden.run_batch(torch.arange(6)[None], labels, train=True)
