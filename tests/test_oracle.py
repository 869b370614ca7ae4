"""The golden model against automatic differentiation: sample by sample, potentials, spikes, errors and gradients."""

import math
from itertools import pairwise

import pytest
import torch

from oracle import Oracle, integers, slope
from spikeloom.golden.model import Golden, initial_state
from strategies import frames, small

HALF = {"form": "multiply", "multiplier": 1, "shift": 1}
ONE = {"form": "multiply", "multiplier": 4, "shift": 2}
THREE_QUARTERS = {"form": "shift", "shift": 2}

# Below, every value that occurs is a multiple of a power of two that both float64 and the formats of the golden model
# hold, so that nothing is ever rounded: the two must agree in every bit. Each step back in time and each layer down
# needs some bits more: at most three for leak and theta, two for a weight, one for the surrogate.
EXACT = {
    "time": {"steps": 4},
    "input": {"size": 9, "bits": 3, "fraction": 2},
    "layers": [{"neurons": 12, "lanes": 4}, {"neurons": 10, "lanes": 3}, {"neurons": 8, "lanes": 8}],
    "numbers": {"weight": {"width": 16, "fraction": 2}, "potential": {"width": 28, "fraction": 16},
                "error": {"width": 32, "fraction": 22}},
    "neuron": {"leak": HALF, "threshold": 1.0, "reset_amount": 1.0},
    "surrogate": {"shape": "rectangle", "width": 2.0},
    "update": {"shift": 20, "multiplier": 3},
}

RESETS = [("subtract", True), ("subtract", False), ("subtract-before-leak", True), ("subtract-before-leak", False),
          ("none", False), ("zero", False)]


def lively(config, seed):
    """Start from small weights, more of them excitatory: spikes reach the last block, and windows stay open."""
    source, state = torch.Generator().manual_seed(seed), initial_state(config)
    quarter = 2**config.numbers.weight.fraction // 4
    return state.replace(weight=[quarter * torch.randint(-2, 4, w.shape, generator=source) for w in state["weight"]])


def check_exact(config, samples=3, seed=7):
    """Golden model and oracle train side by side, each with its own weights; every value of every step is compared."""
    golden, numbers = Golden(config, lively(config, seed)), config.numbers
    oracle = Oracle(config, golden.state["weight"])
    weight_unit = 2.0**-numbers.weight.fraction

    def learn():
        # Rounded to nearest, halves upwards; a gradient is in units of the last error and input bit.
        for unit, weights in enumerate(oracle.weights):
            if weights.grad is None:
                continue
            own = config.input.fraction if unit == 0 else 0
            rows = [[math.floor(config.update.multiplier * g / 2**(config.update.shift + own) + 0.5) for g in row]
                    for row in integers(weights.grad, numbers.error.fraction + own)]
            weights.data -= torch.tensor(rows) * weight_unit
            weights.grad = None

    moved, spread, lost = ([0] * len(config.units) for _ in range(3))
    for place, frame in enumerate(frames(config, samples, seed)):
        label = place % config.network.classes
        before = [w.clone() for w in golden.state["weight"]]
        trace = golden.run(frame, label, train=True)
        potentials, spikes, errors = (
            [value if value is None else value[:, 0] for value in values]
            for values in oracle.run(frame.unsqueeze(0), [label], learn=learn,
                                     dropped=[seen.dropped for seen in trace.units]))
        for unit, seen in enumerate(trace.units):
            assert integers(potentials[unit], numbers.potential.fraction) == seen.potentials.tolist()
            assert integers(spikes[unit], 0) == seen.spikes.long().tolist()
            assert integers(oracle.weights[unit], numbers.weight.fraction) == golden.state["weight"][unit].tolist()
            lost[unit] += int((seen.spikes & ~seen.sent).sum())
            moved[unit] += int((golden.state["weight"][unit] != before[unit]).sum())
            assert (errors[unit] is None) == (seen.errors is None)
            if seen.errors is not None:
                assert integers(errors[unit], numbers.error.fraction) == seen.errors.tolist()
                spread[unit] += int((seen.errors != 0).sum())
    # Every layer with weights had other ones in the end, and whatever has errors had some to compare.
    assert [count > 0 for count in moved] == [weight.numel() > 0 for weight in before], moved
    assert [count > 0 for count in lost] == [unit.dropout > 0 for unit in config.units], lost
    assert [count > 0 for count in spread] == [error is not None for error in errors], spread


@pytest.mark.parametrize("block_length", [1, 2, 3])
@pytest.mark.parametrize("interval", [1, 2, 4])
@pytest.mark.parametrize("reset, reset_error", RESETS)
@pytest.mark.parametrize("leak", [HALF, ONE, THREE_QUARTERS], ids=["half", "one", "three-quarters"])
def test_exact(leak, reset, reset_error, interval, block_length):
    config = small(**{
        **EXACT, "time": {"steps": 4, "interval": interval},
        "network": {"block_length": block_length},
        "neuron": {**EXACT["neuron"], "leak": leak, "reset": reset, "reset_error": reset_error}})
    check_exact(config)


@pytest.mark.parametrize("interval", [1, 4])
@pytest.mark.parametrize("start", [0.25, -0.5])
def test_exact_with_neurons_of_their_own(start, interval):
    """Thresholds, resets, leaks, surrogates and starts that differ between layers and classifiers."""
    def neuron(**changes):
        return {**EXACT["neuron"], "leak": HALF, **changes}

    zero = neuron(leak=ONE, reset="zero", reset_error=False, threshold=1.0)
    config = small(**{
        **EXACT, "time": {"steps": 4, "interval": interval}, "neuron": neuron(start=start),
        "layers": [{**layer, **own} for layer, own in zip(EXACT["layers"], [
            {"neuron": zero}, {"surrogate": {"shape": "triangle", "width": 2.0, "bins": 2}}, {}], strict=False)],
        "classifier": {"lanes": 2, "neuron": neuron(leak=THREE_QUARTERS, threshold=0.5, start=start)}})
    assert len({unit.neuron for unit in config.units}) >= 3
    check_exact(config)


@pytest.mark.parametrize("interval", [1, 4])
@pytest.mark.parametrize("shape", [None, [6, 6, 2]])
def test_exact_with_biases(shape, interval):
    """Of a frame and of spikes, with the loss of some below; of convolutions, whose pixels share them."""
    base = SPATIAL if shape else EXACT
    layers = [layer if layer.get("kind") == "avg_pool" else {**layer, "bias": True, "dropout": 3 * (place == 1)}
              for place, layer in enumerate(base["layers"])]
    config = small(**{**base, "time": {"steps": 4, "interval": interval}, "layers": layers,
                      "network": {"block_length": 2}, "classifier": {"lanes": 2, "bias": True}})
    assert all(unit.weights.bias for unit in config.units if not unit.window.pools)
    check_exact(config, samples=4)


def conv(channels, kernel, **changes):
    return {"kind": "conv", "channels": channels, "kernel": kernel, "lanes": min(channels, 3), **changes}


def pool(size, **changes):
    return {"kind": "avg_pool", "size": size, **changes}


#: Two convolutions with a pool between them, and a dense layer; a weight of a quarter is exact.
SPATIAL = {
    **EXACT,
    "input": {"shape": [6, 6, 2], "bits": 3, "fraction": 2},
    "layers": [conv(5, 3, padding=1), pool(2), conv(6, 2), {"neurons": 8, "lanes": 8}],
    "numbers": {"weight": {"width": 12, "fraction": 2}, "potential": {"width": 28, "fraction": 16},
                "error": {"width": 32, "fraction": 22}},
}


@pytest.mark.parametrize("block_length", [1, 2, 3])
@pytest.mark.parametrize("interval", [1, 2, 4])
@pytest.mark.parametrize("reset, reset_error", [("subtract", True), ("subtract-before-leak", True), ("zero", False)])
def test_exact_over_images(reset, reset_error, interval, block_length):
    config = small(**{
        **SPATIAL, "time": {"steps": 4, "interval": interval}, "network": {"block_length": block_length},
        "neuron": {**EXACT["neuron"], "reset": reset, "reset_error": reset_error}})
    check_exact(config)


@pytest.mark.parametrize("block_length", [1, 2, 3])
@pytest.mark.parametrize("interval", [1, 4])
@pytest.mark.parametrize("reset, reset_error", [("subtract", True), ("subtract-before-leak", True), ("zero", False)])
def test_exact_with_dropout(reset, reset_error, interval, block_length):
    """The oracle loses the same spikes on their way up, and with them their gradients; nothing is scaled."""
    config = small(**{
        **EXACT, "time": {"steps": 4, "interval": interval}, "network": {"block_length": block_length},
        "layers": [{**layer, "dropout": dropout} for layer, dropout in zip(EXACT["layers"], (3, 6, 5))],
        "neuron": {**EXACT["neuron"], "reset": reset, "reset_error": reset_error}})
    check_exact(config, samples=6)


@pytest.mark.parametrize("block_length", [1, 3])
@pytest.mark.parametrize("interval", [2, 4])
def test_exact_over_images_with_dropout(interval, block_length):
    layers = [layer if layer.get("kind") == "avg_pool" else {**layer, "dropout": 4} for layer in SPATIAL["layers"]]
    config = small(**{**SPATIAL, "time": {"steps": 4, "interval": interval}, "layers": layers,
                      "network": {"block_length": block_length}})
    check_exact(config, samples=6)


@pytest.mark.parametrize("shape, layers, ends, threshold", [
    ((7, 5, 1), [conv(4, 3, stride=2), conv(6, 3, stride=2, padding=1)], [2], 1.0),
    ((5, 8, 3), [conv(6, 2, padding=1), pool(4, stride=1), conv(5, 1)], [3], 1.0),
    ((8, 8, 2), [pool(2), conv(8, 3, padding=2), pool(2)], [3], 1.0),
    ((6, 6, 1), [conv(6, 3, padding=1), pool(3), pool(2), conv(6, 1)], [2, 4], 0.5),  # spikes pass two pools
    ((2, 2, 2), [conv(34, 1), conv(9, 2, stride=2)], [1, 2], 1.0),
], ids=["strides", "overlapping-pool", "pool-first", "pool-begins-a-block", "wide"])
@pytest.mark.parametrize("interval", [1, 2])
def test_exact_for_every_window(shape, layers, ends, threshold, interval):
    # An average over sixteen needs four fraction bits; over nine it is not exact, but its weight is.
    config = small(**{
        **SPATIAL, "time": {"steps": 2, "interval": interval}, "input": {"shape": shape, "bits": 3, "fraction": 0},
        "layers": layers, "network": {"block_length": None, "block_ends": ends},
        "neuron": {**SPATIAL["neuron"], "threshold": threshold},
        "numbers": {**SPATIAL["numbers"], "weight": {"width": 12, "fraction": 4}}})
    check_exact(config)


@pytest.mark.parametrize("compare", [">=", ">"])
@pytest.mark.parametrize("surrogate", [
    {"shape": "rectangle", "width": 0.5},
    {"shape": "rectangle", "width": 4.0},
    {"shape": "triangle", "width": 2.0, "bins": 4},
    {"shape": "table", "bin": 0.5, "values": [5, 2, 0, 1], "shift": 2},
], ids=["narrow", "wide", "triangle", "table"])
@pytest.mark.parametrize("block_length", [1, 2])
def test_exact_for_every_surrogate(surrogate, compare, block_length):
    config = small(**{
        **EXACT, "time": {"steps": 4, "interval": 2}, "network": {"block_length": block_length},
        "surrogate": surrogate, "neuron": {**EXACT["neuron"], "compare": compare}})
    check_exact(config)


def test_an_update_period_sums_intervals():
    """Two intervals with a graph of their own, one update: the sum of the oracle's gradients."""
    config = small(**{
        **EXACT, "time": {"steps": 8, "interval": 2, "update_period": 4}, "update": {"shift": 0},
        "input": {"size": 9, "bits": 3, "fraction": 0},
        "numbers": {"weight": {"width": 24, "fraction": 2}, "potential": {"width": 28, "fraction": 12},
                    "error": {"width": 20, "fraction": 8}}})
    golden = Golden(config, lively(config, 5))
    before = [w.clone() for w in golden.state["weight"]]
    frame = frames(config, 1, seed=2)[0]
    oracle = Oracle(config, before)
    oracle.run(frame.unsqueeze(0), [1])
    golden.run(frame, 1, train=True)
    for summed, start, end in zip(oracle.weights, before, golden.state["weight"]):
        assert integers(summed.grad, 8) == (start - end).tolist()
        assert bool((start != end).any())


#: Error fraction bits of the runs below.
BITS = [4, 6, 8, 10, 12, 14]


DENSE = {"input": {"size": 20, "bits": 4, "fraction": 4},
         "layers": [{"neurons": 24, "lanes": 8}, {"neurons": 16, "lanes": 8}]}
IMAGES = {"input": {"shape": [6, 6, 1], "bits": 4, "fraction": 4},
          "layers": [conv(6, 3, padding=1), pool(3, stride=1), conv(8, 3)]}


def relative_error(bits, block_length, net):
    """Distance between the gradients of golden model and oracle, relative to their length, over a few samples.

    The leak 230/256 is no binary fraction of few bits: golden potentials and errors are rounded. So that only the
    errors are compared, the oracle fires and differentiates where the golden model did; and weights stay where they
    are (the update is shifted to nothing), so that the forward pass is the same for any number of bits.
    """
    config = small(
        **net, time={"steps": 8, "interval": 4},
        network={"classes": 4, "block_length": block_length}, classifier={"lanes": 4},
        numbers={"weight": {"width": 12, "fraction": 8}, "potential": {"width": 16, "fraction": 10},
                 "error": {"width": bits + 8, "fraction": bits}},
        update={"shift": 24}, initial={"gain": 2.0, "seed": 3})
    golden = Golden(config)
    oracle = Oracle(config, golden.state["weight"])
    difference = length = 0.0
    for label, frame in enumerate(frames(config, 4, seed=1)):
        trace = golden.run(frame, label, train=True)
        potentials = [seen.potentials.double() / 2**config.numbers.potential.fraction for seen in trace.units]
        recorded = [(seen.spikes.double(), slope(u, *config.tables_of(owner)))
                    for seen, u, owner in zip(trace.units, potentials, config.owners)]
        oracle.run(frame.unsqueeze(0), [label], recorded=recorded)
        for unit, seen in enumerate(trace.units):
            exact, oracle.weights[unit].grad = oracle.weights[unit].grad, None
            if exact is None:
                continue
            inputs = seen.inputs.double()
            inputs = inputs.expand(8, -1) / 2**config.input.fraction if unit == 0 else inputs
            found = oracle.gradient(unit, inputs, seen.errors.double() / 2**bits)
            difference += ((found - exact) ** 2).sum().item()
            length += (exact**2).sum().item()
    return math.sqrt(difference / length)


@pytest.mark.parametrize("block_length", [1, 2])
@pytest.mark.parametrize("net", [DENSE, IMAGES], ids=["dense", "images"])
def test_rounding_vanishes_with_more_fraction_bits(net, block_length):
    # The one place where closeness is the claim: two bits more take about three quarters of the error away.
    errors = [relative_error(bits, block_length, net) for bits in BITS]
    assert all(after < before / 2 for before, after in pairwise(errors)), errors
    assert errors[0] < 0.2 and errors[-1] < 3e-4, errors
