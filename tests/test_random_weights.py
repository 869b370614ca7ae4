"""Weights that are computed: gates against golden, and golden against what random numbers of their kind must be."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.golden.random_weights import lane_keys, random_weights, value_bits
from spikeloom.rtl.random_weights import RandomWeights
from strategies import simulate, small, spatial_units

MASK = (1 << 32) - 1


def mixed(x):
    """The hash, one shifted operation after the other, in Python's own integers."""
    for left, right in ((10, 6), (13, 7), (3, 17), (5, 11), (15, None)):
        x = x + (x << left) & MASK
        if right:
            x ^= x >> right
    return x


def weight(key, address, bits):
    value = mixed(key + address & MASK) >> 32 - bits
    return (value - (value >> bits - 1 << bits)) | 1


def rtl_weights(keys, addresses, **sizes):
    """Words of all lanes, two cycles behind their addresses, one address per cycle."""
    dut, words = RandomWeights(keys, **sizes), []

    async def bench(ctx):
        for address in [*addresses, 0, 0]:
            words.append([ctx.get(dut.weights[lane]) for lane in range(len(keys))])
            ctx.set(dut.address, address)
            await ctx.tick()

    simulate(dut, bench)
    return words[2:]


@pytest.mark.parametrize("bits, width", [(2, 2), (2, 9), (5, 9), (9, 9), (32, 32)])
def test_rtl_equals_the_hash(bits, width):
    source = random.Random(bits)
    keys = [0, MASK, *(source.getrandbits(32) for _ in range(2))]
    addresses = [0, 1, (1 << 12) - 1, *(source.getrandbits(12) for _ in range(40))]
    assert rtl_weights(keys, addresses, address_width=12, bits=bits, width=width) == [
        [weight(key, address, bits) for key in keys] for address in addresses]


@given(spatial_units(kinds=("conv", "dense")), st.integers(0, 65535), st.sampled_from([0.1, 1.0, 3.0, 64.0]))
def test_golden_weights_are_those_of_their_addresses(drawn, seed, gain):
    """The word of channel word and row, as a weight memory would hold it; lanes without a neuron have none."""
    unit = drawn[1]
    keys, bits = lane_keys(seed, 3, unit.lanes), value_bits(unit, gain)
    found = random_weights(unit, keys, gain)
    assert found.shape == (unit.fan_in, unit.channels) and found.dtype == np.int64
    for row in {0, unit.fan_in // 2, unit.fan_in - 1}:
        for channel in {0, unit.channels // 2, unit.channels - 1}:
            word, lane = divmod(channel, unit.lanes)
            address = word * unit.fan_rows + unit.fan_address(row)
            assert found[row, channel] == weight(keys[lane], address, bits)


@given(spatial_units(kinds=("conv", "dense")), st.sampled_from([0.1, 1.0, 3.0, 64.0]))
def test_range(drawn, gain):
    """Odd, so never zero and symmetric; within the weight format, and below the power of two next to the limit."""
    unit = drawn[1]
    found, bits = random_weights(unit, lane_keys(1, 0, unit.lanes), gain), value_bits(unit, gain)
    assert 2 <= bits <= unit.weights.width
    assert (found % 2 == 1).all() and abs(found).max() < 1 << bits - 1
    limit = gain / math.sqrt(unit.fan_in) * 2**unit.weights.fraction
    if 2 < bits < unit.weights.width:  # neither end of the range cuts
        assert 2**-0.5 <= (1 << bits - 1) / limit <= 2**0.5


def test_symmetric_and_uniform():
    """Half of the values are negative, all occur alike, and neither rows nor columns nor lanes know of each other."""
    unit = small(layers=[{"neurons": 64, "lanes": 8}], input={"size": 1024},
                 numbers={"weight": {"width": 8, "fraction": 6}}).units[0]
    gain = 8 * math.sqrt(2)  # seven bits or less: 32 values, and their negatives
    bits = value_bits(unit, gain)
    values, counts = np.unique(random_weights(unit, lane_keys(9, 0, 8), gain), return_counts=True)
    count, mean = 1 << bits - 1, 1024 * 64 / (1 << bits - 1)
    assert values.tolist() == list(range(1 - count, count, 2)) == (-values[::-1]).tolist()
    chi = ((counts - mean) ** 2 / mean).sum()
    assert abs(chi - (count - 1)) < 4 * math.sqrt(2 * (count - 1))  # four deviations of its distribution
    matrix = random_weights(unit, lane_keys(9, 0, 8), gain).astype(float)
    for left, right in ((matrix[1:], matrix[:-1]), (matrix[:, 1:], matrix[:, :-1]), (matrix[:, 8:], matrix[:, :-8])):
        assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 0.02


def test_keys_differ_by_seed_place_and_lane():
    keys = [key for seed in (0, 1, 65535) for place in range(4) for key in lane_keys(seed, place, 16)]
    assert len(set(keys)) == len(keys) and all(0 <= key <= MASK for key in keys)
    assert lane_keys(5, 1, 4) == lane_keys(5, 1, 8)[:4]


@pytest.mark.parametrize("bits", [1, 10])
def test_bits_must_fit(bits):
    with pytest.raises(ValueError, match=rf"^bits must be in 2\.\.9, not {bits}$"):
        RandomWeights([1], address_width=4, bits=bits, width=9)
