"""The floating-point reference of the bench against the golden model: equal where nothing is rounded."""

import math

import pytest
import torch

from bench.reference import Reference, learning_rate
from spikeloom.golden.model import Golden, initial_state
from strategies import frames, small

HALF = {"form": "multiply", "multiplier": 1, "shift": 1}

# One update of four samples, whose velocity is exact: each step and each layer needs a few bits, and there are enough.
EXACT = {
    "time": {"steps": 4, "interval": 2, "update_period": 2},
    "input": {"size": 9, "bits": 3, "fraction": 1},
    "layers": [{"neurons": 12, "lanes": 4}, {"neurons": 8, "lanes": 8}],
    "numbers": {"weight": {"width": 12, "fraction": 2}, "potential": {"width": 28, "fraction": 16},
                "error": {"width": 28, "fraction": 18}},
    "neuron": {"leak": HALF, "threshold": 1.0, "reset_amount": 1.0},
    "surrogate": {"shape": "rectangle", "width": 2.0},
    "update": {"shift": 22, "multiplier": 3, "batch": 4, "momentum": {"multiplier": 1, "shift": 1, "width": 32}},
    "hardware": {"sample_slots": 4},
}
IMAGES = {"input": {"shape": [6, 6, 2], "bits": 3, "fraction": 1}, "layers": [
    {"kind": "conv", "channels": 5, "kernel": 3, "stride": 2, "padding": 2, "lanes": 3},
    {"kind": "avg_pool", "size": 2},
    {"kind": "conv", "channels": 6, "kernel": 2, "lanes": 3}, {"neurons": 6, "lanes": 6}]}


def matrices(reference, tensors):
    """Weights or velocities of the reference where they are stored."""
    return [own.detach() for unit, own in zip(reference.config.units, tensors) if unit.weights.stored]


def lively(config):
    """A start from small weights, more of them excitatory: spikes reach the last block, and windows stay open."""
    source, state = torch.Generator().manual_seed(7), initial_state(config)
    return state.replace(weight=[torch.randint(-2, 4, w.shape, generator=source) for w in state["weight"]])


def check_exact(**changes):
    config = small(**{**EXACT, **changes})
    state = lively(config)
    golden, reference = Golden(config, state), Reference(config, state, dtype=torch.float64)
    weight, error, shift = config.numbers.weight.fraction, config.numbers.error.fraction, config.update.shift
    batch = frames(config, 4, seed=2)
    if config.input.kind == "events":
        batch = batch.reshape(4, 1, -1) * torch.tensor([1, 0, 1, 1]).reshape(-1, 1)
    before = [own.clone() for own in matrices(reference, reference.weights)]
    assert [(own * 2**weight).tolist() for own in before] == [w.tolist() for w in golden.state["weight"] if len(w)]
    assert reference.infer(batch).tolist() == golden.infer(batch).tolist()
    labels = [0, 1, 2, 0]
    assert reference.train_batch(batch, labels).tolist() == golden.train_batch(batch, labels).tolist()
    after, velocities = matrices(reference, reference.weights), matrices(reference, reference.velocities)
    stored = [unit for unit in config.units if unit.weights.stored]
    for unit, start, end, own, exact in zip(stored, before, after, velocities,
                                            (own for own in golden.state["velocity"] if len(own))):
        # In units of the last error bit, of a frame's also of its last bit.
        fraction = error + (config.input.fraction if unit.input.static else 0)
        assert (own * 2.0**fraction).tolist() == exact.tolist()
        assert bool(own.any())
        # The golden weights are these, rounded.
        step = config.update.multiplier * own * 2.0 ** (error - shift)
        assert torch.equal((start - end) * 2**weight, step)
        unrounded = (start * 2**weight - (step + 0.5).floor()).tolist()
        assert unrounded == golden.state["weight"][config.units.index(unit)].tolist()


@pytest.mark.parametrize("net", [{}, IMAGES], ids=["dense", "images"])
@pytest.mark.parametrize("block_length", [1, 2])
@pytest.mark.parametrize("interval", [1, 2, 4])
@pytest.mark.parametrize("reset, reset_error", [
    ("subtract", True), ("subtract", False), ("subtract-before-leak", True), ("zero", False), ("none", False)])
def test_equal_where_nothing_is_rounded(reset, reset_error, interval, block_length, net):
    check_exact(**net, time={"steps": 4, "interval": interval, "update_period": 4 // interval},
                network={"block_length": block_length},
                neuron={**EXACT["neuron"], "reset": reset, "reset_error": reset_error})


@pytest.mark.parametrize("changes", [
    {"surrogate": {"shape": "triangle", "width": 2.0, "bins": 4}},
    {"surrogate": {"shape": "table", "bin": 0.5, "values": [3], "shift": 1}},
    {"neuron": {**EXACT["neuron"], "leak": {"form": "shift", "shift": 1}, "compare": ">"}},
    {"classifier": {"kind": "random"}, "network": {"block_length": 2}},
    {**IMAGES, "input": {"kind": "events", "shape": [6, 6, 2], "bits": 1, "fraction": 0}},
], ids=["triangle", "table", "leak-and-compare", "random", "events"])
def test_equal_for_every_option(changes):
    check_exact(**changes)


def distance(bits):
    """How far apart three batches with momentum and a decaying rate move both, relative to the way."""
    config = small(
        **IMAGES,
        numbers={"weight": {"width": bits + 4, "fraction": bits}, "error": {"width": bits + 6, "fraction": bits},
                 "potential": {"width": bits + 6, "fraction": bits}},
        update={"shift": 6, "batch": 4, "decay_samples": 4, "decay_limit": 2,
                "momentum": {"multiplier": 230, "shift": 8, "width": 32}},
        hardware={"sample_slots": 4}, initial={"gain": 3.0, "seed": 1})
    golden, reference = Golden(config), Reference(config, dtype=torch.float64)
    start = golden.state.copy()
    for number in range(3):
        batch = frames(config, 4, seed=number)
        golden.train_batch(batch, [0, 1, 2, 1])
        reference.train_batch(batch, [0, 1, 2, 1])
    assert (reference.shift, reference.since_decay) == (golden.state.shift, golden.state.since_decay) == (8, 0)
    ends = [own * 2**bits for own in matrices(reference, reference.weights)]
    own, begin = ([weights for weights in state["weight"] if len(weights)] for state in (golden.state, start))
    apart, way = (math.sqrt(sum(float(((a - b).double()**2).sum()) for a, b in zip(*pair)))
                  for pair in ((ends, own), (own, begin)))
    return apart / way


def test_momentum_and_decay_agree_as_rounding_vanishes():
    coarse, fine = distance(10), distance(17)
    assert fine < 1e-3 < coarse, (coarse, fine)


def test_rate():
    """A weight of 12 fraction bits, a gradient of 8: three halves of 2**-5 by a shift of 4 less 3 of the ratio."""
    config = small(numbers={"weight": {"width": 16, "fraction": 12}, "error": {"width": 16, "fraction": 8}},
                   update={"multiplier": 3, "shift": 4})
    assert learning_rate(config, 4) == 3 / 256
    assert learning_rate(config, 5) == 3 / 512
