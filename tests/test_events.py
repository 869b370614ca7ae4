"""The event buffer: bits where events were, memory cleared in between, and the cycles that this takes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.rtl.events import EventBuffer
from strategies import simulate, small

LAYERS = {
    "dense": {"kind": "dense", "neurons": 3, "lanes": 1},
    "conv": {"kind": "conv", "channels": 2, "kernel": 2, "lanes": 1},
}


def buffer_of(kind, shape, *, steps=2, period=1, slots=2):
    config = small(time={"steps": 2 * steps * period, "interval": steps, "update_period": period},
                   input={"kind": "events", "shape": shape, "size": None, "bits": 1, "fraction": 0},
                   layers=[LAYERS[kind]], network={"classes": 5}, hardware={"spike_slots": slots})
    return config, EventBuffer(config, config.units[0])


def items_of(config, sample, label, train):
    """Stream items of one sample, a set of (y, x, channel) per step."""
    items = []
    for events in sample:
        items += [{"y": y, "x": x, "channel": c, "end": 0, "label": label, "train": train, "first": 0}
                  for y, x, c in events]
        items.append({"y": 0, "x": 0, "channel": 0, "end": 1, "label": label, "train": train, "first": 0})
    items[0]["first"] = 1
    return items


def address_of(unit, y, x, channel):
    """Word and bit of an input in the bitmap of a step."""
    if unit.kind == "dense":
        place = (y * unit.shape_in[1] + x) * unit.shape_in[2] + channel
    else:
        place = unit.bitmap.position(y, x, channel)
    return divmod(place, unit.bitmap.scan_width)


def expected_words(unit, events):
    words = [0] * unit.bitmap.words
    for place in events:
        word, bit = address_of(unit, *place)
        words[word] |= 1 << bit
    return words


def run(config, dut, samples, pattern="1", wait=0):
    """Words of every step as the block reads them, by interval, with label and mode; cycles of accepted items."""
    unit, seen, taken = dut.unit, [], []
    total = len(samples) * config.intervals
    items = [item for sample, label, train in samples for item in items_of(config, sample, label, train)]

    async def source(ctx):
        cycle = 0
        for item in items:
            ctx.set(dut.i.payload, item)
            while True:
                offered = pattern[cycle % len(pattern)] == "1"
                ctx.set(dut.i.valid, offered)
                accepted = offered and ctx.get(dut.i.ready)
                await ctx.tick()
                cycle += 1
                if accepted:
                    taken.append(cycle - 1)
                    break
        ctx.set(dut.i.valid, 0)

    async def block(ctx):
        period = unit.frames // unit.steps
        for interval in range(total):
            while not ctx.get(dut.available):
                await ctx.tick()
            await ctx.tick().repeat(wait + 1)
            base = ctx.get(dut.base) + interval % period * unit.steps * unit.bitmap.words
            words = []
            ctx.set(dut.read_en, 1)
            for place in range(unit.steps * unit.bitmap.words):
                ctx.set(dut.read_address, base + place)
                await ctx.tick()
                words.append(ctx.get(dut.bits))
            ctx.set(dut.read_en, 0)
            seen.append((words, ctx.get(dut.label), ctx.get(dut.train)))
            ctx.set(dut.take, 1)
            ctx.set(dut.release, interval % period == period - 1)
            await ctx.tick()
            ctx.set(dut.take, 0)
            ctx.set(dut.release, 0)
        seen.append(ctx.get(dut.fault))

    simulate(dut, source, block)
    return seen, taken


def check(config, dut, samples, **options):
    unit, k = dut.unit, config.time.interval
    expected = [([word for events in sample[first:first + k] for word in expected_words(unit, events)], label, train)
                for sample, label, train in samples for first in range(0, config.time.steps, k)]
    seen, taken = run(config, dut, samples, **options)
    assert seen == [*expected, 0]
    return taken


@settings(max_examples=25)
@given(kind=st.sampled_from(sorted(LAYERS)), height=st.integers(2, 4), width=st.integers(2, 20),
       channels=st.sampled_from([1, 2, 3, 33]), steps=st.integers(1, 2), period=st.integers(1, 2),
       slots=st.integers(1, 3), seed=st.integers(0, 999), pattern=st.sampled_from(["1", "10", "001"]))
def test_events_become_bits(*, kind, height, width, channels, steps, period, slots, seed, pattern):
    config, dut = buffer_of(kind, (height, width, channels), steps=steps, period=period, slots=slots)
    source = random.Random(seed)
    samples = [([[(source.randrange(height), source.randrange(width), source.randrange(channels))
                  for _ in range(source.choice([0, 1, 5]))] for _ in range(config.time.steps)],
                source.randrange(5), source.randrange(2)) for _ in range(2)]
    check(config, dut, samples, pattern=pattern, wait=source.randrange(3))


def test_a_slot_is_cleared_before_it_takes_events():
    # Two words per step, two steps: four cycles to clear; then an item per cycle, and the other slot likewise.
    config, dut = buffer_of("conv", (2, 20, 1), steps=2, slots=2)
    assert dut.unit.bitmap.words == 2
    sample = [[(0, 0, 0)], [], [(1, 19, 0)], []]
    assert check(config, dut, [(sample, 1, 1)]) == [4, 5, 6, 7 + 4, 8 + 4, 9 + 4]


@pytest.mark.parametrize("changes", [{0: 0}, {1: 1}, {4: 1}])
def test_first_in_a_wrong_place_is_a_fault(changes):
    config, dut = buffer_of("dense", (2, 3, 1))
    sample, faults = [[(0, 0, 0)], [(1, 2, 0)], [], []], []
    items = items_of(config, sample, 0, 1)
    for place, first in changes.items():
        items[place]["first"] = first

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for item in items:
            ctx.set(dut.i.payload, item)
            while not ctx.get(dut.i.ready):
                await ctx.tick()
            await ctx.tick()
        faults.append(ctx.get(dut.fault))

    simulate(dut, bench)
    assert faults == [1]
