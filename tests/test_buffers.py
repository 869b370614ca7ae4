"""Input buffers: what was sent is what is read, whatever the two sides of the stream do."""

import random
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.rtl.buffers import FrameBuffer, SpikeBuffer, SpikeStore
from strategies import patterns, simulate, small, violation_counts

IDLE = 1000  # cycles after which a testbench that sees nothing happen gives up
CONV = {"kind": "conv", "channels": 2, "kernel": 1, "lanes": 1}


class Sample(NamedTuple):
    values: list
    label: int
    train: int


def willing(pattern):
    """Endless booleans of a bit string."""
    while True:
        yield from (char == "1" for char in pattern)


def beats(sample):
    """One sample as stream payloads with correct framing."""
    last = len(sample.values) - 1
    return [{"value": value, "label": sample.label, "train": sample.train, "first": place == 0, "last": place == last}
            for place, value in enumerate(sample.values)]


async def send(ctx, stream, payloads, pattern, log=None):
    """Offer payloads; `pattern` says when a new one is offered. An offer stands until it is taken."""
    turn = willing(pattern)
    for payload in payloads:
        while not next(turn):
            await ctx.tick()
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        for _ in range(IDLE):
            _, _, ready = await ctx.tick().sample(stream.ready)
            if ready:
                break
        else:
            raise AssertionError("the buffer does not accept")
        ctx.set(stream.valid, 0)
        if log is not None:
            log.append(payload)


async def read(ctx, enable, address, data, addresses):
    words = []
    ctx.set(enable, 1)
    for value in addresses:
        ctx.set(address, value)
        await ctx.tick()
        words.append(ctx.get(data))
    ctx.set(enable, 0)
    return words


async def until(ctx, signal):
    for _ in range(IDLE):
        if ctx.get(signal):
            return
        await ctx.tick()
    raise AssertionError(f"{signal.name} does not come")


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


def places(unit):
    """Bit of every input in the bitmap words of a step."""
    if unit.window.kind == "dense":
        return [unit.fan_address(i) for i in range(unit.n_in)]
    _, width, channels = unit.shape_in
    return [unit.bitmap.position(i // channels // width, i // channels % width, i % channels) for i in range(unit.n_in)]


def picked(unit, words):
    """The bits that belong to inputs, of the bitmap words of one step."""
    return [words[place // unit.bitmap.scan_width] >> place % unit.bitmap.scan_width & 1 for place in places(unit)]


def frame_buffer(shape, slots):
    """Of a dense layer over so many values, or of a convolution over an image."""
    image = {"input": {"shape": shape, "bits": 3}, "layers": [CONV]} if isinstance(shape, tuple) else \
        {"input": {"size": shape, "bits": 3}}
    config = small(**image, hardware={"sample_slots": slots}, network={"classes": 5})
    return FrameBuffer(config, config.units[0])


def rtl_frames(dut, payloads, count, pattern="1", consumer="1"):
    """The first `count` samples as the block reads them: (values, bitmap, label, train), and violations."""
    unit, seen = dut.unit, []
    watch, violations = violation_counts(dut)

    async def source(ctx):
        await send(ctx, dut.i, payloads, pattern)
        await ctx.tick().repeat(3)  # violations are known later

    async def sink(ctx):
        turn = willing(consumer)
        for _ in range(count):
            await until(ctx, dut.available)
            while not next(turn):
                await ctx.tick()
            base = ctx.get(dut.base)
            await ctx.tick()  # the last value is still being written
            words = await read(ctx, dut.read_en, dut.read_address, dut.bits, range(base, base + unit.bitmap.words))
            values = await read(ctx, dut.value_en, dut.value_address, dut.value,
                                [base * unit.bitmap.scan_width + place for place in places(unit)])
            seen.append((values, picked(unit, words), ctx.get(dut.label), ctx.get(dut.train)))
            await pulse(ctx, dut.release)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.available)

    simulate(dut, source, sink, watching=[watch])
    return [*seen, dict(violations)]


def expected_frames(samples, **violations):
    return [(s.values, [int(v != 0) for v in s.values], s.label, s.train) for s in samples] + [violations]


#: One bitmap word and several; images whose pixels share words, and whose pixels have words of their own.
SHAPES = [1, 31, 32, 33, 70, (3, 1, 1), (2, 3, 2), (3, 13, 3), (2, 20, 3), (1, 40, 1), (2, 2, 32), (2, 2, 33)]


@st.composite
def samples(draw, size):
    source = random.Random(draw(st.integers(0, 999)))
    return [Sample([source.choice([0, source.randrange(8)]) for _ in range(size)], source.randrange(5),
                   source.randrange(2)) for _ in range(draw(st.integers(1, 5)))]


@settings(max_examples=25)
@given(st.data(), st.sampled_from(SHAPES), st.integers(1, 3), patterns, patterns)
def test_frames_arrive_whole(data, shape, slots, producer, consumer):
    dut = frame_buffer(shape, slots)
    sent = data.draw(samples(dut.unit.n_in))
    payloads = [beat for sample in sent for beat in beats(sample)]
    assert rtl_frames(dut, payloads, len(sent), producer, consumer) == expected_frames(sent)


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_full_buffer_takes_nothing_until_a_slot_is_free(slots):
    dut, taken = frame_buffer(6, slots), []
    sent = [Sample([n + 1] * 6, n, 1) for n in range(4)]

    async def source(ctx):
        await send(ctx, dut.i, [beat for sample in sent for beat in beats(sample)], "1", taken)

    async def sink(ctx):
        for place in range(4):
            await ctx.tick().repeat(40)
            assert len(taken) == min(24, 6 * (slots + place))
            assert ctx.get(dut.label) == place
            await pulse(ctx, dut.release)
        assert not ctx.get(dut.available)

    simulate(dut, source, sink)


def test_a_frame_is_available_the_cycle_after_its_last_value():
    dut, seen = frame_buffer(3, 2), []

    async def bench(ctx):
        for beat in beats(Sample([1, 2, 3], 1, 1)):
            ctx.set(dut.i.payload, beat)
            ctx.set(dut.i.valid, 1)
            seen.append((ctx.get(dut.i.ready), ctx.get(dut.available)))
            await ctx.tick()
        seen.append(ctx.get(dut.available))

    simulate(dut, bench)
    assert seen == [(1, 0), (1, 0), (1, 0), 1]


GOOD, OTHER = Sample([3, 0, 5, 1, 0, 2], 2, 1), Sample([0, 7, 0, 0, 6, 4], 4, 0)


def without(payloads, place, **flags):
    return [{**beat, **flags} if at == place else beat for at, beat in enumerate(payloads)]


@pytest.mark.parametrize("payloads, expected, violations", [
    # A sample that breaks off: `first` begins anew, nothing of the old one is left in values or bits.
    (beats(OTHER)[:1] + beats(GOOD), [GOOD], {"short": 1}),
    (beats(OTHER)[:4] + beats(GOOD) + beats(OTHER), [GOOD, OTHER], {"short": 1}),
    (beats(OTHER)[:2] + beats(OTHER)[:5] + beats(GOOD), [GOOD], {"short": 2}),
    (beats(OTHER)[:4] + beats(OTHER)[-1:] + beats(GOOD), [GOOD], {"short": 1}),
    # One value is lost: neither that sample nor the next one has a value of the other.
    *[(beats(OTHER)[:lost] + beats(OTHER)[lost + 1:] + beats(GOOD), [GOOD], violations) for lost, violations in (
        (0, {"stray": 5}), (3, {"short": 1}), (5, {"short": 1}))],
    # One value comes twice.
    (beats(OTHER)[:1] + beats(OTHER) + beats(GOOD), [OTHER, GOOD], {"short": 1}),
    (beats(OTHER)[:3] + beats(OTHER)[2:] + beats(GOOD), [GOOD], {"long": 1, "stray": 1}),
    (beats(OTHER) + beats(OTHER)[-1:] + beats(GOOD), [OTHER, GOOD], {"stray": 1}),
    # A sample that goes on is no sample.
    (beats(GOOD)[:-1] + [beats(GOOD)[-2]] * 3 + beats(OTHER), [OTHER], {"long": 1, "stray": 2}),
    (beats(GOOD) + beats(OTHER)[2:4] + beats(OTHER), [GOOD, OTHER], {"stray": 2}),
    # Flags in a wrong place, values in the right one.
    (without(beats(GOOD), 0, first=0) + beats(OTHER), [OTHER], {"stray": 6}),
    (without(beats(GOOD), 5, last=0) + beats(OTHER), [OTHER], {"long": 1}),
    (without(beats(GOOD), 2, last=1) + beats(OTHER), [OTHER], {"short": 1, "stray": 3}),
    (without(beats(GOOD), 2, first=1) + beats(OTHER), [OTHER], {"short": 2}),
    (beats(GOOD)[:2] + without(beats(GOOD)[:1], 0, last=1) + beats(OTHER), [OTHER], {"short": 1, "stray": 1}),
    # A label beyond the five classes.
    (beats(GOOD._replace(label=5)) + beats(OTHER), [GOOD._replace(label=5), OTHER], {"label": 1}),
    (without(beats(GOOD), 2, label=7) + beats(OTHER), [GOOD, OTHER], {}),
])
def test_malformed_samples(payloads, expected, violations):
    assert rtl_frames(frame_buffer(6, 2), payloads, len(expected)) == expected_frames(expected, **violations)


@settings(max_examples=40)
@given(seed=st.integers(0, 9999), size=st.sampled_from([1, 2, 6, 33]))
def test_whatever_comes_whole_samples_arrive_and_the_rest_is_counted(seed, size):
    """Random flags between whole samples; a plain reading of docs/samples.md says what arrives."""
    source, dut, payloads = random.Random(seed), frame_buffer(size, 2), []
    for _ in range(12):
        sample = Sample([source.randrange(8) for _ in range(size)], source.randrange(8), source.randrange(2))
        own = beats(sample)
        if source.random() < 0.5:
            place = source.randrange(size)
            own = source.choice([
                own[:place] + own[place + 1:], own[:place] + own[place:place + 1] + own[place:],
                without(own, place, first=1 - own[place]["first"]), without(own, place, last=1 - own[place]["last"])])
        payloads += own
    expected, violations, under_way = [], Counter(), None
    for beat in payloads:
        if beat["first"]:
            violations["short"] += under_way is not None
            under_way = None if beat["last"] and size > 1 else []
        if under_way is None:
            violations["stray"] += 1
            continue
        under_way.append(beat["value"])
        if beat["last"] or len(under_way) == size:
            whole = beat["last"] and len(under_way) == size
            if whole:
                expected.append(Sample(under_way, beat["label"], beat["train"]))
                violations["label"] += beat["label"] >= 5
            else:
                violations["short" if beat["last"] else "long"] += 1
            under_way = None
    assert rtl_frames(dut, payloads, len(expected)) == expected_frames(
        expected, **{name: count for name, count in violations.items() if count})


@pytest.mark.parametrize("shape, reached", [
    (40, 36),
    ((2, 20, 1), 19), ((2, 20, 1), 20), ((2, 20, 1), 27),   # a pixel before, at and behind the end of an image row
    ((1, 2, 35), 33), ((1, 2, 35), 35), ((1, 2, 35), 50),   # in each of a pixel's two words
])
def test_recovery_in_a_later_bitmap_word(shape, reached):
    # The broken sample reached a later word; the new one must start in the first.
    dut = frame_buffer(shape, 2)
    long = Sample([7] * dut.unit.n_in, 1, 0)
    good = Sample([place % 2 for place in range(dut.unit.n_in)], 3, 1)
    assert rtl_frames(dut, beats(long)[:reached] + beats(good), 1) == expected_frames([good], short=1)


def spike_config(neurons, lanes, steps, period, slots, *, pixels=None, kind="dense"):
    """Two blocks: `neurons` of a dense layer, or at each of `pixels`, below a layer of `kind`."""
    below = {"neurons": neurons, "lanes": lanes}
    if pixels:
        below = {"kind": "conv", "channels": neurons, "kernel": 1, "lanes": lanes}
    return small(time={"steps": 2 * steps * period, "interval": steps, "update_period": period},
                 input={"shape": (*(pixels or (1, 6)), 1), "bits": 1, "fraction": 0},
                 layers=[below, CONV if kind == "conv" else {"neurons": 2, "lanes": 1}],
                 network={"classes": 4}, hardware={"spike_slots": slots})


def granules(unit, spikes):
    """Spikes of one step as they arrive: `granule` channels of one pixel at a time."""
    channels = unit.shape_in[2]
    return [[spikes[pixel + channel] if channel < channels else 0 for channel in range(first, first + unit.granule)]
            for pixel in range(0, unit.n_in, channels) for first in range(0, channels, unit.granule)]


def number(bits):
    return sum(bit << place for place, bit in enumerate(bits))


def test_spike_store_packs_words():
    """Nine lanes: four words make a bitmap of 36 bits; the second bitmap holds the rest."""
    config = spike_config(60, 9, 2, 1, 1)
    unit = config.blocks[1].units[0]
    dut, seen, ends = SpikeStore(config, unit, slots=2), [], []
    assert (unit.bitmap.scan_width, unit.bitmap.words, unit.bitmap.parts, dut.depth) == (36, 2, 4, 8)

    async def bench(ctx):
        ctx.set(dut.write_en, 1)
        for slot in range(2):
            for word in range(7):
                for step in range(2):
                    ctx.set(dut.write_slot, slot)
                    ctx.set(dut.write_step, step)
                    ctx.set(dut.write_last, step == 1)
                    ctx.set(dut.write, 1 + word + 7 * step + 16 * slot)
                    ends.append(ctx.get(dut.write_ends))
                    await ctx.tick()
        ctx.set(dut.write_en, 0)
        seen.extend(await read(ctx, dut.read_en, dut.read_address, dut.bits, range(8)))

    simulate(dut, bench)
    assert seen == [sum((1 + word + 7 * step + 16 * slot) % 512 << 9 * (word - 4 * group)
                        for word in range(4 * group, min(4 * group + 4, 7)))
                    for slot in range(2) for step in range(2) for group in range(2)]
    assert ends == ([0] * 12 + [1, 1]) * 2


@settings(max_examples=40)
@given(neurons=st.one_of(st.integers(1, 12), st.integers(30, 70)), lanes=st.integers(1, 12), steps=st.integers(1, 3),
       period=st.integers(1, 2), slots=st.integers(1, 3), seed=st.integers(0, 999), producer=patterns,
       consumer=patterns, pixels=st.sampled_from([None, None, (1, 1), (2, 1), (2, 3), (1, 9)]),
       kind=st.sampled_from(["dense", "conv"]))
def test_spikes_arrive_whole(*, neurons, lanes, steps, period, slots, seed, producer, consumer, pixels, kind):
    """Intervals of several update periods: contents while a slot is complete, label and mode of each interval."""
    config = spike_config(neurons, min(lanes, neurons), steps, period, slots, pixels=pixels, kind=kind)
    unit, source = config.blocks[1].units[0], random.Random(seed)
    dut, seen = SpikeBuffer(config, unit), []
    layout, intervals = unit.bitmap, unit.frames // steps
    assert intervals == (period if unit.rule.gradient == "history" else 1)
    # slots_sent[p][t] are the spikes of step t
    slots_sent = [[[source.randrange(2) for _ in range(unit.n_in)] for _ in range(unit.frames)]
                  for _ in range(slots + 2)]
    tags = [{"label": source.randrange(4), "train": source.randrange(2)} for _ in slots_sent]
    payloads = [{"spikes": number(bits), **tag} for spikes, tag in zip(slots_sent, tags)
                for begin in range(0, unit.frames, steps)
                for word in zip(*(granules(unit, own) for own in spikes[begin:begin + steps])) for bits in word]

    async def feed(ctx):
        await send(ctx, dut.i, payloads, producer)

    async def block(ctx):
        turn = willing(consumer)
        for _ in slots_sent:
            base = ctx.get(dut.base)
            for interval in range(intervals):
                await until(ctx, dut.available)
                while not next(turn):
                    await ctx.tick()
                seen.append({"label": ctx.get(dut.label), "train": ctx.get(dut.train)})
                await pulse(ctx, dut.take)
                # As the forward pass reads it: the interval just taken, while the next may be arriving.
                seen.append(await steps_of(ctx, base + interval * steps * layout.words, steps))
            seen.append(await steps_of(ctx, base, unit.frames))
            await pulse(ctx, dut.release)
        assert not ctx.get(dut.available)

    async def steps_of(ctx, first, count):
        found = await read(ctx, dut.read_en, dut.read_address, dut.bits, range(first, first + count * layout.words))
        return [picked(unit, found[begin:begin + layout.words]) for begin in range(0, len(found), layout.words)]

    simulate(dut, feed, block)
    expected = []
    for spikes, tag in zip(slots_sent, tags):
        for interval in range(intervals):
            expected += [tag, spikes[interval * steps:(interval + 1) * steps]]
        expected.append(spikes)
    assert seen == expected


@pytest.mark.parametrize("period", [1, 2])
@pytest.mark.parametrize("slots", [1, 2])
def test_spike_slots_hold_whole_update_periods(slots, period):
    """Five words of two steps per interval; a slot is taken until `release`, however many intervals were begun."""
    config = spike_config(9, 2, 2, period, slots)
    dut, taken = SpikeBuffer(config, config.blocks[1].units[0]), []
    payloads = [{"spikes": 3, "label": 0, "train": 1}] * (10 * period * (slots + 1))

    async def feed(ctx):
        await send(ctx, dut.i, payloads, "1", taken)

    async def block(ctx):
        await ctx.tick().repeat(10 * period * slots + 20)
        assert len(taken) == 10 * period * slots
        for _ in range(period):
            assert ctx.get(dut.available)
            await pulse(ctx, dut.take)
        await ctx.tick().repeat(20)
        assert len(taken) == 10 * period * slots
        assert ctx.get(dut.available) == (slots > 1)
        await pulse(ctx, dut.release)
        await ctx.tick().repeat(10 * period + 5)
        assert len(taken) == len(payloads)

    simulate(dut, feed, block)


def test_an_interval_is_available_the_cycle_after_its_last_word():
    config = spike_config(3, 2, 1, 1, 2)
    dut, seen = SpikeBuffer(config, config.blocks[1].units[0]), []

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for _ in range(4):
            await ctx.tick()
            seen.append(ctx.get(dut.available))
        ctx.set(dut.i.valid, 0)
        for _ in range(2):
            await pulse(ctx, dut.take)
            seen.append(ctx.get(dut.available))

    simulate(dut, bench)
    assert seen == [0, 1, 1, 1, 1, 0]  # two words each, two intervals
