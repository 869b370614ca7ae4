"""A whole core among malformed samples: what is damaged is flagged, and all that is whole is computed as if alone."""

import numpy as np
import pytest
import torch

from spikeloom.gen.samples import items
from spikeloom.gen.state import state_from_words, state_reads, state_writes
from spikeloom.golden.checkpoint import state_arrays
from spikeloom.golden.model import Golden, initial_state
from spikeloom.rtl.core import Core
from spikeloom.rtl.events import input_layout
from spikeloom.rtl.registers import Status
from strategies import simulate, small

IDLE = 20_000  # cycles after which nothing is expected any more

FRAMES = small(name="frames", time={"steps": 2, "interval": 1}, input={"size": 6, "bits": 3},
               layers=[{"neurons": 4, "lanes": 2}], network={"classes": 3, "block_length": 1})
EVENTS = small(name="events", time={"steps": 4, "interval": 2},
               input={"kind": "events", "shape": (2, 3, 1), "size": None, "bits": 1, "fraction": 0},
               layers=[{"neurons": 4, "lanes": 2}], network={"classes": 3, "block_length": 1})


async def access(ctx, dut, addresses, values=None):
    """Write or read registers one after the other, each of which must be answered with ok; what was read.

    The response is a pulse that may come in the cycle after the request was taken.
    """
    found = []
    for place, address in enumerate(addresses):
        ctx.set(dut.request.payload, {"address": address, "write": values is not None, "increment": 0,
                                      "data": 0 if values is None else values[place] & 0xFFFFFFFF})
        ctx.set(dut.request.valid, 1)
        await ctx.tick().until(dut.request.ready)
        ctx.set(dut.request.valid, 0)
        answer, = await ctx.tick().sample(dut.response.payload).until(dut.response.valid)
        assert answer.status == Status.OK
        found.append(answer.data)
    return found


def run(config, payloads, count):
    """Results (prediction, counts, label, train), the state that is left, violations, and the pin `error` before and
    after they are cleared."""
    dut, state, results, found = Core(config), initial_state(config), [], {}
    regions, (control, hold) = dut.map.regions, dut.map.mask("control", "hold")

    async def sink(ctx):
        ctx.set(dut.results.ready, 1)
        async for _, _, valid, result in ctx.tick().sample(dut.results.valid, dut.results.payload):
            if valid:
                results.append((result.prediction, [int(n) for n in result.counts], result.label, result.train))

    async def host(ctx):
        await access(ctx, dut, [control], [hold])
        for base, values in state_writes(dut.map, state_arrays(state)):
            await access(ctx, dut, range(base, base + len(values)), list(values))
        await access(ctx, dut, [control], [0])
        for payload in payloads:
            ctx.set(dut.samples.payload.as_value(), int(payload))
            ctx.set(dut.samples.valid, 1)
            await ctx.tick().until(dut.samples.ready)
        ctx.set(dut.samples.valid, 0)
        for _ in range(IDLE):
            if len(results) == count:
                break
            await ctx.tick()
        await access(ctx, dut, [control], [hold])
        await ctx.tick().repeat(500)
        words = {name: await access(ctx, dut, range(base, base + length))
                 for name, (base, length) in state_reads(dut.map).items() if not name.startswith("counter:")}
        found["state"] = state_from_words(dut.map, words)
        flags = await access(ctx, dut, [regions["violations"].base])
        counts = regions["violation_counts"]
        found["counts"] = dict(zip((field.name for field in regions["violations"].fields), await access(
            ctx, dut, range(counts.base, counts.base + counts.backed))))
        assert [flags[0] >> place & 1 for place in range(counts.backed)] == [
            int(bool(count)) for count in found["counts"].values()]
        found["error"] = ctx.get(dut.error)
        await access(ctx, dut, [regions["violations"].base], flags)
        found["cleared"] = ctx.get(dut.error), *await access(
            ctx, dut, range(counts.base, counts.base + counts.backed))
        counters = dut.map.counters()
        found["counters"] = dict(zip(counters, await access(ctx, dut, counters.values())))
        address, clear = dut.map.mask("control", "clear")
        await access(ctx, dut, [address], [clear | hold])
        assert not any(await access(ctx, dut, counters.values()))

    simulate(dut, host, watching=[sink])
    return results, found


def learned(config, samples):
    """Results and state of the golden model that trains on `samples` of (frame, label, label of no class or not)."""
    model, results = Golden(config, initial_state(config)), []
    for frame, label in samples:
        trace = model.run(torch.from_numpy(frame), label if label < config.network.classes else None, train=True)
        results.append((trace.prediction, trace.counts.tolist(), label, 1))
    return results, state_arrays(model.state)


def check(config, parts, samples, counts):
    """Send `parts`, a list of payloads each; `samples` is what the core must have computed."""
    results, found = run(config, np.concatenate(parts), len(samples))
    expected, arrays = learned(config, samples)
    assert results == expected
    for name, array in arrays.items():
        assert np.array_equal(found["state"][name], array), name
    assert found["counts"] == dict.fromkeys(found["counts"], 0) | counts
    assert found["error"] == bool(counts)
    assert found["cleared"] == (0, *[0] * len(found["counts"]))
    for path in (own.path for own in config.units):  # they were not zero before they were cleared
        assert found["counters"][f"{path}.cycles.forward"] > 0


def drawn(config, count):
    """Random samples: (frame, label), frames and events half empty."""
    source = np.random.default_rng(0)
    shape = (config.input.size,) if config.input.kind == "frame" else (config.time.steps, config.input.size)
    return [(source.integers(0, 1 << config.input.bits, shape) * source.integers(0, 2, shape), int(source.integers(3)))
            for _ in range(count)]


def sent(config, frame, label):
    """Items of one sample that trains."""
    return items(config, frame[None], [label], [True])[0]


def without(payloads, place):
    return np.delete(payloads, place)


def test_whole_samples_only():
    samples = drawn(FRAMES, 4)
    check(FRAMES, [sent(FRAMES, *sample) for sample in samples], samples, {})


@pytest.mark.parametrize("damage, counts", [
    (lambda own: without(own, 0), {"stray": 5}),
    (lambda own: without(own, 3), {"short": 1}),
    (lambda own: without(own, 5), {"short": 1}),
    (lambda own: own[[0, 1, 2, 2, 3, 4, 5]], {"long": 1, "stray": 1}),
    (lambda own: own[[0, 1, 2, 3, 4, 5, 5]], {"stray": 1}),
], ids=["first lost", "value lost", "last lost", "value twice", "last twice"])
def test_damaged_frames(damage, counts):
    samples = drawn(FRAMES, 4)
    parts = [sent(FRAMES, *sample) for sample in samples]
    parts[1] = damage(parts[1])
    whole = samples if len(parts[1]) == 7 and counts == {"stray": 1} else [samples[0], *samples[2:]]
    check(FRAMES, parts, whole, counts)


@pytest.mark.parametrize("config", [FRAMES, EVENTS], ids=lambda config: config.name)
def test_a_label_beyond_the_classes_teaches_nothing(config):
    samples = drawn(config, 4)
    samples[1] = samples[1][0], 3
    times = 1 if config.input.kind == "frame" else config.intervals
    check(config, [sent(config, *sample) for sample in samples], samples, {"label": times})


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_lost_end_of_a_step_leaves_the_next_sample_right(lost):
    samples = drawn(EVENTS, 3)
    samples[1][0][0, 0] = 1  # an event is the first item, which is not lost
    parts = [sent(EVENTS, *sample) for sample in samples]
    ends = np.flatnonzero(parts[1] >> np.uint64(input_layout(EVENTS)["end"].offset) & np.uint64(1))
    parts[1] = without(parts[1], ends[lost])
    frame = samples[1][0].copy()
    if lost < 3:  # two steps are one; those after it come earlier; the last one is empty
        frame[lost] |= frame[lost + 1]
        frame[lost + 1:-1], frame[-1] = samples[1][0][lost + 2:], 0
    check(EVENTS, parts, [samples[0], (frame, samples[1][1]), samples[2]], {"short": 1})
