"""The event buffer: bits where events were, memory cleared in between, and the cycles that this takes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.rtl.events import EventBuffer
from strategies import simulate, small, violation_counts

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
    if unit.window.kind == "dense":
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


def run(config, dut, items, total, pattern="1", wait=0):
    """Words of every step as the block reads them, for `total` intervals, with label and mode, then the counts of
    violations; and the cycles of accepted items."""
    unit, seen, taken = dut.unit, [], []
    watch, violations = violation_counts(dut)

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
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.available)

    simulate(dut, source, block, watching=[watch])
    return [*seen, dict(violations)], taken


def expected_of(config, dut, samples):
    """What the block reads of `samples` one after the other, as `run` gives it."""
    unit, k = dut.unit, config.time.interval
    return [([word for events in sample[first:first + k] for word in expected_words(unit, events)], label, train)
            for sample, label, train in samples for first in range(0, config.time.steps, k)]


def check(config, dut, samples, **options):
    items = [item for sample, label, train in samples for item in items_of(config, sample, label, train)]
    seen, taken = run(config, dut, items, len(samples) * config.intervals, **options)
    assert seen == [*expected_of(config, dut, samples), {}]
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


#: Four steps, of which the first one has two events; and another sample.
GOOD, OTHER = ([[(0, 0, 0), (1, 1, 0)], [(1, 2, 0)], [], [(0, 1, 0)]], 2, 1), ([[], [(0, 2, 0)], [(1, 0, 0)], []], 4, 0)


def malformed(sample, *, drop=(), **changes):
    """Items of a sample, without those at the places `drop`; fields of others as ``place_<n>`` says."""
    items = items_of(None, *sample)
    for place, fields in changes.items():
        items[int(place.removeprefix("place_"))] |= fields
    return [item for place, item in enumerate(items) if place not in drop]


def good(sample):
    return malformed(sample)


@pytest.mark.parametrize("items, expected, violations", [
    # Ends are missing: the last, the first, all items but the first. The missing steps are the last ones.
    (malformed(GOOD, drop=[7]) + good(OTHER), [GOOD, OTHER], {"short": 1}),
    (malformed(GOOD, drop=[2]) + good(OTHER), [([GOOD[0][0] + GOOD[0][1], [], [(0, 1, 0)], []], 2, 1), OTHER],
     {"short": 1}),
    (good(GOOD)[:1] + good(OTHER), [([[(0, 0, 0)], [], [], []], 2, 1), OTHER], {"short": 1}),
    (good(GOOD)[:1] + good(OTHER)[:1] + good(GOOD),
     [([[(0, 0, 0)], [], [], []], 2, 1), ([[], [], [], []], 4, 0), GOOD], {"short": 2}),
    # One end more: what follows belongs to no sample.
    (good(GOOD)[:3] + good(GOOD)[2:] + good(OTHER), [([GOOD[0][0], [], GOOD[0][1], []], 2, 1), OTHER], {"stray": 2}),
    (good(GOOD) + good(GOOD)[-1:] + good(OTHER), [GOOD, OTHER], {"stray": 1}),
    # `first` is missing, or comes in the middle: a sample of its own begins there, and lacks steps.
    (malformed(GOOD, place_0={"first": 0}) + good(OTHER), [OTHER], {"stray": 8}),
    (malformed(GOOD, place_4={"first": 1}) + good(OTHER),
     [([*GOOD[0][:2], [], []], 2, 1), ([[], [], [(0, 1, 0)], []], 2, 1), OTHER], {"short": 2}),
    # Events beyond the image of 2 x 3.
    (malformed(GOOD, place_1={"x": 3}) + good(OTHER), [([[(0, 0, 0)], *GOOD[0][1:]], 2, 1), OTHER], {"place": 1}),
    (malformed(GOOD, place_0={"x": 3}, place_3={"x": 3}) + good(OTHER),
     [([[(1, 1, 0)], [], [], [(0, 1, 0)]], 2, 1), OTHER], {"place": 2}),
    (malformed(GOOD, place_0={"channel": 1}, place_2={"x": 3, "channel": 1}) + good(OTHER),
     [([[(1, 1, 0)], *GOOD[0][1:]], 2, 1), OTHER], {"place": 1}),
    # A label beyond the five classes, once for every interval; one that is corrected in time is none.
    (good((GOOD[0], 5, 1)) + good(OTHER), [(GOOD[0], 5, 1), OTHER], {"label": 2}),
    (malformed(GOOD, place_0={"label": 7}) + good(OTHER), [GOOD, OTHER], {}),
])
@pytest.mark.parametrize("slots", [1, 2])
def test_malformed_samples(items, expected, violations, slots):
    config, dut = buffer_of("dense", (2, 3, 1), slots=slots)
    seen, _ = run(config, dut, items, len(expected) * config.intervals)
    assert seen == [*expected_of(config, dut, expected), violations]


def test_events_in_rows_that_an_image_does_not_have():
    config, dut = buffer_of("conv", (3, 20, 1))
    sample = [[(2, 19, 0)], [(1, 0, 0)], [], []]
    items = items_of(config, [[(3, 0, 0), (2, 19, 0), (2, 20, 0)], [(1, 0, 0), (0, 31, 0)], [], []], 1, 1)
    assert run(config, dut, items, config.intervals)[0] == [*expected_of(config, dut, [(sample, 1, 1)]), {"place": 3}]


def batch_items(samples, steps):
    """Items of a batch: an interval of each sample, then the next interval of each."""
    parts = [[] for _ in samples]
    for own, sample in zip(parts, samples):
        count = 0
        for item in items_of(None, *sample):
            if count % steps == 0 and (not own or own[-1][-1]["end"]):
                own.append([])
            own[-1].append(item)
            count += item["end"]
    return [item for interval in zip(*parts) for part in interval for item in part]


@pytest.mark.parametrize("lost, expected, count", [
    (None, [(GOOD, 0), (OTHER, 0), (GOOD, 1), (OTHER, 1)], {}),
    # The end of the first step of the first sample: its second step is empty, nothing else changes.
    (2, [(([GOOD[0][0] + GOOD[0][1], [], *GOOD[0][2:]], 2, 1), 0), (OTHER, 0), (GOOD, 1), (OTHER, 1)], {"short": 1}),
    # The very last end: the last step is empty, as it was.
    (-1, [(GOOD, 0), (OTHER, 0), (GOOD, 1), (OTHER, 1)], {"short": 1}),
])
def test_a_batch_that_lacks_an_end_is_completed(lost, expected, count):
    config = small(time={"steps": 4, "interval": 2}, input={"kind": "events", "shape": (2, 3, 1), "size": None,
                   "bits": 1, "fraction": 0}, layers=[LAYERS["dense"]], network={"classes": 5}, update={"batch": 2})
    dut = EventBuffer(config, config.units[0])
    items = batch_items([GOOD, OTHER], 2)
    if lost is not None:
        del items[lost]
    seen, _ = run(config, dut, items + batch_items([OTHER, GOOD], 2), 8)
    whole = [expected_of(config, dut, [sample])[interval] for sample, interval in
             [*expected, (OTHER, 0), (GOOD, 0), (OTHER, 1), (GOOD, 1)]]
    assert seen == [*whole, count]
