"""The transposed product: sums of integers, one rounding and one saturation, in the documented cycle."""

import random

import pytest
import torch

from spikeloom.golden.arithmetic import saturate, shift_nearest
from spikeloom.golden.schedule import tree_latency
from spikeloom.rtl.dot import DotPath
from strategies import simulate, small


def unit_of(classes, lanes, *, fraction=6):
    config = small(network={"classes": classes}, classifier={"lanes": lanes},
                   numbers={"weight": {"width": 10, "fraction": fraction}})
    return config, config.units[-1]


def rtl_sums(config, unit, rows):
    """Sum of each of `rows`, lists of words of products; words follow each other without a gap."""
    dut, sums, latency = DotPath(config, unit), [], tree_latency(unit.lanes) + 2
    words = [(place == 0, place == len(row) - 1, word) for row in rows for place, word in enumerate(row)]

    async def bench(ctx):
        for cycle in range(len(words) + latency):
            if cycle >= latency and words[cycle - latency][1]:
                sums.append(ctx.get(dut.delta))
            if cycle < len(words):
                first, last, word = words[cycle]
                ctx.set(dut.first, first)
                ctx.set(dut.full, not last)
                for lane, product in enumerate(word):
                    ctx.set(dut.products[lane], product)
            await ctx.tick()

    simulate(dut, bench)
    return sums


def expected_sums(config, unit, rows):
    """Lanes of the last word that hold no neuron do not count, whatever stands there."""
    totals = [sum(map(sum, row[:-1])) + sum(row[-1][:unit.last_lanes]) for row in rows]
    return saturate(shift_nearest(torch.tensor(totals), config.numbers.weight.fraction), unit.rule.error_width).tolist()


@pytest.mark.parametrize("classes, lanes", [(2, 1), (3, 2), (3, 3), (7, 4), (5, 5), (13, 9), (40, 17)])
@pytest.mark.parametrize("size", [1 << 6, 1 << 21])  # of a product: mostly in range, and mostly not
def test_rows_one_after_the_other(classes, lanes, size):
    config, unit = unit_of(classes, lanes)
    source = random.Random(classes)
    rows = [[[source.randrange(-size, size) for _ in range(lanes)] for _ in range(unit.words)] for _ in range(20)]
    expected = expected_sums(config, unit, rows)
    assert rtl_sums(config, unit, rows) == expected
    assert len(set(expected)) > 1


def test_both_ends_saturate_and_the_widest_sum_does_not_wrap():
    config, unit = unit_of(40, 8)
    top = 1 << unit.weights.width + unit.rule.error_width - 2  # the product of the two lowest values
    rows = [[[sign * top] * 8] * 5 for sign in (1, -1)]
    assert rtl_sums(config, unit, rows) == [(1 << unit.rule.error_width - 1) - 1, -(1 << unit.rule.error_width - 1)]


@pytest.mark.parametrize("total, delta", [(7, 0), (8, 1), (24, 2), (-8, 0), (-9, -1), (-24, -1)])
def test_halves_are_rounded_upwards(total, delta):
    config, unit = unit_of(3, 3, fraction=4)
    assert rtl_sums(config, unit, [[[total, 0, 0]]]) == [delta]
