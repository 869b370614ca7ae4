"""Requests of the unit below: which words are read for them, and the rounded sum of what comes of those."""

import random

import pytest
from test_taps import expected_walk

from spikeloom.golden.stages import product_latency, serve
from spikeloom.rtl.service import Service
from strategies import simulate, small

CONFIG = small(input={"shape": [4, 4, 2]}, time={"steps": 8, "interval": 4, "update_period": 2}, layers=[
    {"kind": "conv", "channels": 3, "kernel": 1, "lanes": 2},
    {"kind": "conv", "channels": 5, "kernel": 3, "padding": 1, "lanes": 2},
    {"kind": "avg_pool", "size": 2}, {"neurons": 3, "lanes": 2}], network={"block_length": None, "block_ends": [4]},
    classifier={"gradient": "history"})


def rounded(total, unit):
    """To the nearest error, halves upwards, and within its range."""
    fraction, top = CONFIG.numbers.weight.fraction, 1 << unit.rule.error_width - 1
    return min(max((total + (1 << fraction >> 1)) >> fraction, -top), top - 1)


@pytest.mark.parametrize("place", [1, 2, 3, 4])
def test_one_request_in_every_cycle(place):
    """A convolution, a pooling, a dense layer and a classifier, which has a history and so an offset."""
    unit, source = CONFIG.units[place], random.Random(place)
    dut, late = Service(CONFIG, unit), 3 + product_latency(unit)
    top = 1 << unit.weights.width + unit.rule.error_width - 3
    offset = unit.steps if unit.rule.gradient == "history" else 0
    layout, visits = unit.bitmap, []
    for _ in range(12):
        step = source.randrange(unit.slice_steps)
        y, x, channel = (source.randrange(size) for size in (layout.height, layout.width, layout.channels))
        visits += [(step, visit) for visit in expected_walk(unit, y, x, channel)]
    products, sums, ends = [], [], []
    for cycle, (_, visit) in enumerate(visits):
        products.append([source.randrange(-top, top) for _ in range(unit.lanes)])
        used = products[-1] if visit.full else products[-1][:unit.last_lanes]
        sums = [sum(used)] if visit.first else [*sums, sum(used)]
        if visit.last:
            ends.append((cycle, rounded(sum(sums), unit)))

    async def bench(ctx):
        due = {cycle + len(serve(unit)) - 1: value for cycle, value in ends}
        ctx.set(dut.offset, offset)
        for cycle in range(len(visits) + len(serve(unit))):
            step, visit = visits[cycle] if cycle < len(visits) else (0, None)
            ctx.set(dut.request, dict.fromkeys(dut.request.shape().members, 0) if visit is None else {
                "valid": 1, "first": visit.first, "last": visit.last, "full": visit.full, "row": visit.row,
                "weight_base": visit.weight_base or 0, "word": visit.word, "step": step})
            if cycle >= late + 1 and cycle - late - 1 < len(visits):
                ctx.set(dut.products, products[cycle - late - 1])
            if 1 <= cycle <= len(visits):
                step, visit = visits[cycle - 1]
                lanes = 1 if unit.window.pools else unit.lanes if visit.full else unit.last_lanes
                assert (ctx.get(dut.read_en), ctx.get(dut.adds)) == (1, lanes)
                assert ctx.get(dut.error_address) == visit.word * unit.error_frames + offset + step
                if not unit.window.pools:
                    assert ctx.get(dut.weight_address) == visit.weight_base + visit.row
            else:
                assert (ctx.get(dut.read_en), ctx.get(dut.adds)) == (0, 0)
            if unit.window.pools and late <= cycle < len(visits) + late:
                assert ctx.get(dut.lane) == visits[cycle - late][1].row % unit.lanes
            if cycle in due:
                assert ctx.get(dut.delta) == due.pop(cycle)
            await ctx.tick()
        assert not due

    simulate(dut, bench)
