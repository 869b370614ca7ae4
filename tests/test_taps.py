"""The walk over the outputs that an input reaches, against every output asked one by one."""

import random
from typing import NamedTuple

import pytest
from amaranth.hdl import Module, Signal
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.golden.stages import tap_latency
from spikeloom.rtl.taps import TapWalk, lookup
from strategies import simulate, small, spatial_units


class Visit(NamedTuple):
    """One cycle of the walk; of a pool, the row is the channel, and there are no weights."""

    row: int
    weight_base: int | None
    word: int
    first: bool
    last: bool
    full: bool


def expected_walk(unit, y, x, channel):
    """All output words whose window holds the input, in order; those of a bias are all."""
    if (y, x) == (unit.bitmap.height, unit.bitmap.width):
        every = [(unit.fan_rows - 1, group * unit.fan_rows, pixel * unit.channel_words + group)
                 for pixel in range(unit.pixels) for group in range(unit.channel_words)]
        return [Visit(*own, own == every[0], own == every[-1], own[1] != every[-1][1]) for own in every]
    layout, found = unit.bitmap, []
    kind, kernel, stride, padding = unit.window
    for out_y in range(unit.shape_out[0]):
        for out_x in range(unit.shape_out[1]):
            tap_y, tap_x = (place - out * stride + padding for place, out in ((y, out_y), (x, out_x)))
            if kind != "dense" and not (0 <= tap_y < kernel and 0 <= tap_x < kernel):
                continue
            groups = [channel // unit.lanes] if unit.window.pools else range(unit.channel_words)
            row = channel if kind != "conv" else (tap_y * kernel + tap_x) * layout.pitch + channel
            for group in groups:
                found.append((row, None if unit.window.pools else group * unit.fan_rows,
                              (out_y * unit.shape_out[1] + out_x) * unit.channel_words + group,
                              group != unit.channel_words - 1))
    last = len(found) - 1
    return [Visit(*own, place == 0, place == last, full) for place, (*own, full) in enumerate(found)]


def rtl_walk(unit, inputs, pauses):
    """Visits of each input; `pauses` idle cycles stand before it."""
    dut, walks = TapWalk(unit, bias=unit.weights.bias), []

    async def bench(ctx):
        for (y, x, channel), pause in zip(inputs, pauses):
            for port in (dut.active, dut.y, dut.x, dut.channel):
                ctx.set(port, 0)
            for _ in range(pause):
                await ctx.tick()
            for port, value in ((dut.y, y), (dut.x, x), (dut.channel, channel), (dut.active, 1)):
                ctx.set(port, value)
            walk = []
            while not walk or not walk[-1].last:
                first, last = (bool(ctx.get(port)) for port in (dut.first, dut.last))
                late = tap_latency(unit)
                if late:
                    await ctx.tick()
                walk.append(Visit(
                    ctx.get(dut.row), None if unit.window.pools else ctx.get(dut.weight_base), ctx.get(dut.word),
                    first, last, bool(ctx.get(dut.full))))
                assert len(walk) <= unit.words, "the walk does not end"
                if not late:
                    await ctx.tick()
            walks.append(walk)

    simulate(dut, bench)
    return walks


def check(unit, inputs, pauses):
    wanted = [expected_walk(unit, *place) for place in inputs]
    assert rtl_walk(unit, inputs, pauses) == wanted
    return wanted


@given(spatial_units(), st.integers(0, 999))
def test_every_output_in_order(drawn, seed):
    unit, source = drawn[1], random.Random(seed)
    layout = unit.bitmap
    every = [(y, x, channel) for y in range(layout.height) for x in range(layout.width)
             for channel in range(layout.channels)]
    inputs = source.sample(every, min(12, len(every)))
    for _ in range(unit.weights.bias * 2):
        inputs.insert(source.randint(0, len(inputs)), (layout.height, layout.width, 0))
    check(unit, inputs, [source.choice([0, 0, 0, 1, 2]) for _ in inputs])


def test_corners_of_an_image():
    """Every input of an image one after the other; a walk begins where the one before ended, in the next cycle."""
    unit = small(input={"shape": [5, 4, 2]}, layers=[
        {"kind": "conv", "channels": 5, "kernel": 3, "stride": 2, "padding": 1, "lanes": 2}]).units[0]
    inputs = [(y, x, channel) for y in range(5) for x in range(4) for channel in range(2)]
    walks = check(unit, inputs, [0] * len(inputs))
    # Three channel words for each output; stride 2 under kernel 3 with padding: one or two outputs in each direction.
    assert [len(walk) // 3 for walk in walks[::2]] == [
        height * width for height in (1, 2, 1, 2, 1) for width in (1, 2, 1, 1)]


def test_by_hand():
    """An input in the middle of a row of three, kernel 2: the first output sees it with its second tap."""
    unit = small(input={"shape": [1, 3, 1]}, layers=[
        {"kind": "conv", "channels": 3, "kernel": 2, "padding": 1, "lanes": 2}]).units[0]
    assert (unit.shape_out, unit.fan_rows) == ((2, 4, 3), 4)
    # Below it lies padding, so that the upper outputs see it with the lower taps, and the lower with the upper.
    assert check(unit, [(0, 1, 0)], [0]) == [[
        Visit(3, 0, 2, True, False, True), Visit(3, 4, 3, False, False, False),
        Visit(2, 0, 4, False, False, True), Visit(2, 4, 5, False, False, False),
        Visit(1, 0, 10, False, False, True), Visit(1, 4, 11, False, False, False),
        Visit(0, 0, 12, False, False, True), Visit(0, 4, 13, False, True, False)]]


@pytest.mark.parametrize("values", [[0], [7], [-3], [4, 4, 4], [-2, -2], [0, 1], [-1, 0, 5], [3, -8, 3, 7, 0],
                                    list(range(-20, 13)), [2**128 - 1, 1, 2**128 - 5], [-2**70, 2**70]])
def test_lookup(values):
    m, index = Module(), Signal(range(max(2, len(values))))
    found = Signal(16)  # as wide as any use of it, and without a sign of its own
    entry = lookup(m, index, values, name="entry")
    m.d.comb += found.eq(entry)
    seen = []

    async def bench(ctx):
        for place in range(len(values)):
            ctx.set(index, place)
            seen.append((ctx.get(entry), ctx.get(found)))

    simulate(m, bench, clocked=False)
    assert seen == [(value, value % 2**16) for value in values]
    assert len(entry) <= 1 + max(abs(value) for value in values).bit_length()
