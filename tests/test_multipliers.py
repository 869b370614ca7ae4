"""Products of every lane, in every cycle, after the documented latency."""

import random

import pytest

from spikeloom.golden.stages import product_latency
from spikeloom.rtl.multipliers import Multipliers
from strategies import simulate, small

IMAGE = {"shape": [4, 4, 2]}
WIDE = {"weight": {"width": 20, "fraction": 12}, "error": {"width": 22, "fraction": 8}}


def drawn(source, width):
    """A number of a width, often at one of its ends."""
    top = 1 << width - 1
    return source.choice([-top, top - 1, source.randrange(-top, top), source.randrange(-top, top)])


@pytest.mark.parametrize("numbers", [{}, WIDE])
@pytest.mark.parametrize("updating", [0, 1])
def test_frame_values(numbers, updating):
    """Weights, or in an update errors, times the value that was read with them."""
    unit = small(numbers=numbers).units[0]
    dut, source, latency = Multipliers(unit), random.Random(updating), 1 + product_latency(unit)
    rows = [(source.randrange(1 << unit.input.bits), [drawn(source, unit.weights.width) for _ in range(unit.lanes)],
             [drawn(source, unit.history_width) for _ in range(unit.lanes)]) for _ in range(40)]

    async def bench(ctx):
        ctx.set(dut.updating, updating)
        for _ in range(2):
            await ctx.tick()
        for cycle in range(len(rows) + 2 + latency):
            ctx.set(dut.value, rows[min(cycle, len(rows) - 1)][0])
            if 2 <= cycle < len(rows) + 2:
                ctx.set(dut.weights, rows[cycle - 2][1])
                ctx.set(dut.errors, rows[cycle - 2][2])
            if cycle >= 2 + latency:
                value, *factors = rows[cycle - 2 - latency]
                assert list(ctx.get(dut.products)) == [factor * value for factor in factors[updating]]
            await ctx.tick()

    simulate(dut, bench)


def test_an_average_of_a_frame():
    unit = small(input=IMAGE, layers=[{"kind": "avg_pool", "size": 2}, {"neurons": 3, "lanes": 1}]).units[0]
    dut, latency = Multipliers(unit), 3 + product_latency(unit)
    assert set(dut.signature.members) == {"products", "value"}

    async def bench(ctx):
        for cycle in range(8 + latency):
            ctx.set(dut.value, cycle % 8)
            if cycle >= latency:
                assert list(ctx.get(dut.products)) == [unit.pool_weight * (cycle - latency)] * unit.lanes
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("numbers", [{}, WIDE])
def test_weights_times_errors(numbers):
    unit = small(numbers=numbers).units[1]
    dut, source, latency = Multipliers(unit), random.Random(1), product_latency(unit)
    rows = [[[drawn(source, width) for _ in range(unit.lanes)] for width in (unit.weights.width, unit.rule.error_width)]
            for _ in range(40)]

    async def bench(ctx):
        for cycle in range(len(rows) + latency):
            if cycle < len(rows):
                ctx.set(dut.weights, rows[cycle][0])
                ctx.set(dut.errors, rows[cycle][1])
            if cycle >= latency:
                weights, errors = rows[cycle - latency]
                assert list(ctx.get(dut.products)) == [w * e for w, e in zip(weights, errors)]
            await ctx.tick()

    simulate(dut, bench)


def test_an_average_reaches_one_channel():
    unit = small(input=IMAGE, layers=[{"kind": "conv", "channels": 3, "kernel": 1, "lanes": 3},
                                      {"kind": "avg_pool", "size": 2}]).units[1]
    dut, source, latency = Multipliers(unit), random.Random(2), product_latency(unit)
    rows = [([drawn(source, unit.rule.error_width) for _ in range(3)], source.randrange(3)) for _ in range(30)]

    async def bench(ctx):
        for cycle in range(len(rows) + latency):
            if cycle < len(rows):
                ctx.set(dut.errors, rows[cycle][0])
            if 1 <= cycle <= len(rows):
                ctx.set(dut.lane, rows[cycle - 1][1])
            if cycle >= latency:
                errors, lane = rows[cycle - latency]
                assert list(ctx.get(dut.products)) == [
                    error * unit.pool_weight * (place == lane) for place, error in enumerate(errors)]
            await ctx.tick()

    simulate(dut, bench)
