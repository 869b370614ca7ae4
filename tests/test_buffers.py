# amaranth: UnusedElaboratable=no
"""Input buffers: what was sent is what is read, whatever the two sides of the stream do."""

import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.rtl.buffers import FrameBuffer, SpikeBuffer, SpikeStore
from strategies import patterns, simulate, small

IDLE = 1000  # cycles after which a testbench that sees nothing happen gives up


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


def frame_buffer(size, slots):
    config = small(input={"size": size, "bits": 3}, hardware={"sample_slots": slots}, network={"classes": 5})
    return FrameBuffer(config, config.units[0])


def rtl_frames(dut, payloads, count, pattern="1", consumer="1"):
    """The first `count` samples as the block reads them: (values, bitmap, label, train), and the fault bit."""
    unit, seen = dut.unit, []

    async def source(ctx):
        await send(ctx, dut.i, payloads, pattern)

    async def sink(ctx):
        turn = willing(consumer)
        for _ in range(count):
            await until(ctx, dut.available)
            while not next(turn):
                await ctx.tick()
            base = ctx.get(dut.base)
            words = await read(ctx, dut.read_en, dut.read_address, dut.bits, range(base, base + unit.groups))
            values = await read(ctx, dut.value_en, dut.row, dut.value, range(unit.n_in))
            bits = [words[row // unit.scan_width] >> row % unit.scan_width & 1 for row in range(unit.n_in)]
            seen.append((values, bits, ctx.get(dut.label), ctx.get(dut.train)))
            await pulse(ctx, dut.release)
        seen.append(ctx.get(dut.fault))

    simulate(dut, source, sink)
    return seen


def expected_frames(samples, fault=0):
    return [(s.values, [int(v != 0) for v in s.values], s.label, s.train) for s in samples] + [fault]


@st.composite
def samples(draw, size):
    count = draw(st.integers(1, 6))
    value = st.one_of(st.just(0), st.integers(0, 7))
    return [Sample(draw(st.lists(value, min_size=size, max_size=size)), draw(st.integers(0, 4)),
                   draw(st.integers(0, 1))) for _ in range(count)]


@settings(max_examples=25)
@given(st.data(), st.sampled_from([1, 2, 31, 32, 33, 70]), st.integers(1, 3), patterns, patterns)
def test_frames_arrive_whole(data, size, slots, producer, consumer):
    sent = data.draw(samples(size))
    payloads = [beat for sample in sent for beat in beats(sample)]
    assert rtl_frames(frame_buffer(size, slots), payloads, len(sent), producer, consumer) == expected_frames(sent)


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


@pytest.mark.parametrize("payloads, expected", [
    # A sample that breaks off: `first` begins anew, nothing of the old one is left in values or bits.
    (beats(OTHER)[:1] + beats(GOOD), [GOOD]),
    (beats(OTHER)[:4] + beats(GOOD) + beats(OTHER), [GOOD, OTHER]),
    (beats(OTHER)[:2] + beats(OTHER)[:5] + beats(GOOD), [GOOD]),
    # A sample that is too long: its first values are it, what follows is dropped by the next `first`.
    (beats(GOOD) + beats(OTHER)[2:4] + beats(OTHER), [GOOD, OTHER]),
    # Flags in a wrong place, values in the right one.
    (without(beats(GOOD), 0, first=0) + beats(OTHER), [GOOD, OTHER]),
    (without(beats(GOOD), 5, last=0) + beats(OTHER), [GOOD, OTHER]),
    (without(beats(GOOD), 2, last=1) + beats(OTHER), [GOOD, OTHER]),
])
def test_wrong_framing_is_reported_and_survived(payloads, expected):
    assert rtl_frames(frame_buffer(6, 2), payloads, len(expected)) == expected_frames(expected, fault=1)


def test_recovery_in_a_later_bitmap_word():
    # The broken sample reached the second word; the new one must start in the first.
    long = Sample([7] * 40, 1, 0)
    good = Sample([0, 1] * 20, 3, 1)
    payloads = beats(long)[:36] + beats(good)
    assert rtl_frames(frame_buffer(40, 2), payloads, 1) == expected_frames([good], fault=1)


def spike_config(neurons, lanes, steps, period, slots):
    return small(time={"steps": 2 * steps * period, "interval": steps, "update_period": period},
                 layers=[{"neurons": neurons, "lanes": lanes}, {"neurons": 2, "lanes": 1}],
                 network={"classes": 4}, hardware={"spike_slots": slots})


def test_spike_store_packs_words():
    """Nine lanes: four words make a bitmap of 36 bits; the second bitmap holds the rest."""
    config = spike_config(60, 9, 2, 1, 1)
    unit = config.blocks[1].units[0]
    dut, seen = SpikeStore(config, unit, slots=2), []
    assert (unit.scan_width, unit.groups, dut.parts, dut.depth) == (36, 2, 4, 8)

    async def bench(ctx):
        ctx.set(dut.write_en, 1)
        for slot in range(2):
            for step in range(2):
                for word in range(7):
                    ctx.set(dut.write_slot, slot)
                    ctx.set(dut.write_step, step)
                    ctx.set(dut.write_word, word)
                    ctx.set(dut.write, 1 + word + 7 * step + 16 * slot)
                    await ctx.tick()
        ctx.set(dut.write_en, 0)
        seen.extend(await read(ctx, dut.read_en, dut.read_address, dut.bits, range(8)))

    simulate(dut, bench)
    assert seen == [sum((1 + word + 7 * step + 16 * slot) % 512 << 9 * (word - 4 * group)
                        for word in range(4 * group, min(4 * group + 4, 7)))
                    for slot in range(2) for step in range(2) for group in range(2)]


@settings(max_examples=25)
@given(neurons=st.integers(1, 70), lanes=st.integers(1, 12), steps=st.integers(1, 3), period=st.integers(1, 3),
       slots=st.integers(1, 3), seed=st.integers(0, 999), producer=patterns, consumer=patterns)
def test_spikes_arrive_whole(*, neurons, lanes, steps, period, slots, seed, producer, consumer):
    """Intervals of several update periods: contents while a period is complete, label and mode of each interval."""
    config = spike_config(neurons, min(lanes, neurons), steps, period, slots)
    unit, source = config.blocks[1].units[0], random.Random(seed)
    dut, seen = SpikeBuffer(config, unit), []
    words = -(-unit.n_in // unit.granule)
    # periods[p][t] are the spikes of step t, as a number with one bit per neuron
    periods = [[source.getrandbits(unit.n_in) for _ in range(unit.frames)] for _ in range(slots + 2)]
    tags = [{"label": source.randrange(4), "train": source.randrange(2)} for _ in periods]
    mask = (1 << unit.granule) - 1
    payloads = [{"spikes": spikes[interval * steps + step] >> word * unit.granule & mask, **tag}
                for spikes, tag in zip(periods, tags)
                for interval in range(period) for word in range(words) for step in range(steps)]

    async def feed(ctx):
        await send(ctx, dut.i, payloads, producer)

    async def block(ctx):
        turn = willing(consumer)
        for _ in periods:
            base = ctx.get(dut.base)
            for interval in range(period):
                await until(ctx, dut.available)
                while not next(turn):
                    await ctx.tick()
                seen.append({"label": ctx.get(dut.label), "train": ctx.get(dut.train)})
                await pulse(ctx, dut.take)
                # As the forward pass reads it: the interval just taken, while the next may be arriving.
                first = base + interval * steps * unit.groups
                seen.append(await rows_of(ctx, range(first, first + steps * unit.groups)))
            seen.append(await rows_of(ctx, range(base, base + unit.frames * unit.groups)))
            await pulse(ctx, dut.release)
        assert not ctx.get(dut.available)

    async def rows_of(ctx, addresses):
        found = await read(ctx, dut.read_en, dut.read_address, dut.bits, addresses)
        rows = [found[step:step + unit.groups] for step in range(0, len(found), unit.groups)]
        valid = (1 << unit.n_in) - 1
        return [sum(bits << place * unit.scan_width for place, bits in enumerate(row)) & valid for row in rows]

    simulate(dut, feed, block)
    expected = []
    for spikes, tag in zip(periods, tags):
        for interval in range(period):
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
