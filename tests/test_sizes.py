"""Sizes and numbers that follow from a configuration, by hand."""

from operator import attrgetter

import pytest
from test_config import ONE, conv, pool, spatial

from spikeloom.golden.config import parse
from strategies import document, small


def test_derived_sizes():
    """Blocks of layers (1, 2) and (3), by hand."""
    config = small(
        time={"steps": 12, "interval": 2, "update_period": 3}, input={"size": 40, "bits": 5, "fraction": 4},
        layers=[{"neurons": 33, "lanes": 4}, {"neurons": 21, "lanes": 5}, {"neurons": 7, "lanes": 7}],
        network={"classes": 10, "block_length": None, "block_ends": [2, 3]}, classifier={"lanes": 4},
        update={"multiplier": 5, "shift": 4})
    assert (config.intervals, config.update_steps) == (6, 6)
    assert [(block.name, block.last, len(block.layers)) for block in config.blocks] == [
        ("block0", False, 2), ("block1", True, 1)]
    fields = ["path", "input.static", "bottom", "n_in", "n_out", "granule", "frames", "words", "last_lanes",
              "weight_depth", "align"]
    assert [attrgetter(*fields)(unit) for unit in config.units] == [
        ("block0.layer0", True, True, 40, 33, 1, 1, 9, 1, 360, -4),
        ("block0.layer1", False, False, 33, 21, 4, 6, 5, 1, 165, 0),
        ("block0.classifier", False, False, 21, 10, 5, 6, 3, 2, 63, 0),
        ("block1.layer0", False, True, 21, 7, 5, 6, 1, 7, 21, 0),
        ("block1.classifier", False, False, 7, 10, 7, 6, 3, 2, 21, 0),
    ]
    fields = ["scan_width", "words", "groups", "partial"]
    assert [tuple(getattr(unit.bitmap, field) for field in fields) for unit in config.units] == [
        (32, 2, 2, 8), (32, 2, 2, 1), (40, 1, 1, 21), (40, 1, 1, 21), (7, 1, 1, 7)]
    widths = ["sum_width", "current_width", "dot_width", "history_width", "gradient_width", "scaled_width"]
    assert [tuple(getattr(unit, width) for width in widths) for unit in config.units[:2]] == [
        (10 + 5 + 6, 21, 10 + 12 + 6, 12 + 3, 12 + 3 + 5, 20 + 3 + 2),
        (10 + 6, 16, 10 + 12 + 5, 12, 12 + 3, 15 + 3 + 2),
    ]


def test_derived_sizes_of_images():
    """An image of 7 by 5, a convolution, its pool in the same block, a convolution of its own, by hand."""
    config = small(
        input={"shape": [7, 5, 2], "bits": 3, "fraction": 1},
        layers=[conv(channels=6, lanes=4, padding=1), pool(size=3, stride=2), conv(channels=40, kernel=2, lanes=8)])
    fields = ["path", "window.kind", "rule.learns", "rule.serves", "rule.accumulates", "bottom"]
    assert [attrgetter(*fields)(unit) for unit in config.units] == [
        ("block0.layer0", "conv", True, False, True, True), ("block0.layer1", "avg_pool", True, True, False, False),
        ("block0.classifier", "dense", True, True, False, False), ("block1.layer0", "conv", True, False, True, True),
        ("block1.classifier", "dense", True, True, False, False)]
    fields = ["shape_in", "shape_out", "lanes", "granule", "words", "last_lanes", "fan_in", "fan_rows", "weight_depth"]
    # What a lane does not hold leaves a gap: 6 channels on 4 lanes take 8 bits of a pixel.
    assert [tuple(getattr(unit, field) for field in fields) for unit in config.units] == [
        ((7, 5, 2), (7, 5, 6), 4, 1, 70, 2, 18, 18, 36),
        ((7, 5, 6), (3, 2, 6), 4, 4, 12, 2, 9, 8, 0),
        ((3, 2, 6), (1, 1, 3), 2, 4, 2, 1, 36, 5 * 8 + 6, 2 * 46),
        ((3, 2, 6), (2, 1, 40), 8, 4, 10, 8, 24, 3 * 8 + 6, 5 * 30),
        ((2, 1, 40), (1, 1, 3), 2, 8, 2, 1, 80, 80, 160)]
    layer, average = config.units[:2]
    assert (average.pool_weight, layer.most_taps, average.most_taps) == (7, 9, 4)  # 64 / 9
    assert (layer.sum_width, average.sum_width) == (10 + 3 + 5, 10 + 4)
    assert (layer.gradient_width, layer.dot_width, average.dot_width) == (12 + 7 + 3, 10 + 12 + 6, 10 + 12 + 2)


C, P = conv(kernel=1), pool(stride=1)


@pytest.mark.parametrize("layers, network, sizes", [
    ([C, C, C], {"block_length": 1}, [1, 1, 1]),
    ([C, C, C], {"block_length": 2}, [2, 1]),
    ([C, P, C, P, P, C], {"block_length": 1}, [2, 3, 1]),   # a pool belongs to what is below
    ([C, P, C, P, P, C], {"block_length": 2}, [5, 1]),
    ([C, P, C, P, P, C], {"block_length": 3}, [6]),
    ([P, C, P], {"block_length": 1}, [3]),                  # unless nothing is
    ([P, P, C, ONE], {"block_length": 1}, [3, 1]),
    ([C, P, C], {"block_length": None, "block_ends": [1, 3]}, [1, 2]),
])
def test_blocks(layers, network, sizes):
    config = parse(document(**spatial(*layers, network=network)))
    assert [len(block.layers) for block in config.blocks] == sizes


@pytest.mark.parametrize("surrogate, codes, bits, bin_shift, gain_shift", [
    ({"shape": "rectangle", "width": 1.0}, (1,), 1, 5, 0),    # the window is 32 units of 2**-6 on either side
    ({"shape": "rectangle", "width": 0.25}, (1,), 1, 3, -2),  # 1/a = 4
    ({"shape": "triangle", "width": 2.0, "bins": 4}, (7, 5, 3, 1), 3, 5, 4),  # 7/16 = (1 - 0.5/4) / 2
    ({"shape": "table", "bin": 0.5, "values": [9, 0, 2], "shift": 3}, (9, 0, 2), 4, 5, 3),
])
def test_surrogate_numbers(surrogate, codes, bits, bin_shift, gain_shift):
    n = small(surrogate=surrogate).units[0].neuron
    assert (n.codes, n.code_bits, n.bin_shift, n.gain_shift) == (
        codes, bits, bin_shift, gain_shift)


@pytest.mark.parametrize("neuron, gain", [
    ({"reset": "subtract"}, 32),                              # theta = 0.5 = 32 * 2**-6
    ({"reset": "subtract", "reset_error": False}, 0),
    ({"reset": "subtract-before-leak"}, 28),                  # floor(32 * 230 / 256)
    ({"reset": "subtract-before-leak", "leak": {"form": "shift", "shift": 2}}, 24),
    ({"reset": "zero", "reset_error": False}, 0),
])
def test_reset_gain(neuron, gain):
    assert small(neuron=neuron).units[0].neuron.reset_gain == gain
