"""The result of a sample: counts in order, the first of the best classes, in the documented cycles."""

import random

import pytest
from amaranth.hdl import Module
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.rtl.result import ResultUnit
from spikeloom.rtl.store import Store
from strategies import load, patterns, simulate, small


def rtl_results(config, samples, *, taken="1"):
    """Result and cycles from `start` to `done` (both included), for each of `samples` (counts, label, train, cycles).

    A sample ends when the one before is reported; the sink is willing as `taken` says.
    """
    unit, m = config.units[-1], Module()
    bits, results, spans = config.time.steps.bit_length(), [], []
    m.submodules.dut = dut = ResultUnit(config, unit)
    m.submodules.store = store = Store(width=bits * unit.lanes, depth=unit.words)
    m.d.comb += [store.read_en.eq(dut.count_en), store.read_address.eq(dut.count_word),
                 dut.counts.as_value().eq(store.read)]

    async def source(ctx):
        for counts, label, train, cycles in samples:
            padded = [*counts, *[(1 << bits) - 1] * (unit.words * unit.lanes - len(counts))]  # of lanes without a class
            await load(ctx, store, [sum(count << bits * lane for lane, count in enumerate(padded[word:][:unit.lanes]))
                                    for word in range(0, len(padded), unit.lanes)])
            for port, value in ((dut.label, label), (dut.train, train), (dut.cycles, cycles), (dut.start, 1)):
                ctx.set(port, value)
            span = waited = done = 0
            while not done:
                done = ctx.get(dut.done)
                waited += ctx.get(dut.waiting)
                span += 1
                await ctx.tick()
                ctx.set(dut.start, 0)
                assert span < 1000, "the result does not come"
            spans.append(span - waited)

    async def sink(ctx):
        cycle = 0
        while len(results) < len(samples):
            willing = taken[cycle % len(taken)] == "1"
            ctx.set(dut.o.ready, willing)
            if willing and ctx.get(dut.o.valid):
                payload = ctx.get(dut.o.payload)
                results.append((payload.prediction, [payload.counts[i] for i in range(unit.n_out)], payload.label,
                                payload.train, payload.cycles))
            await ctx.tick()
            cycle += 1

    simulate(m, source, sink)
    return results, spans


@given(st.integers(2, 9), st.data(), patterns, st.integers(0, 99))
def test_results_in_order(classes, data, taken, seed):
    lanes, source = data.draw(st.integers(1, classes)), random.Random(seed)
    config = small(network={"classes": classes}, classifier={"lanes": lanes})
    samples = [([source.choice([0, 1, 4, source.randrange(5)]) for _ in range(classes)], source.randrange(classes),
                source.randrange(2), source.getrandbits(32)) for _ in range(4)]
    results, spans = rtl_results(config, samples, taken=taken)
    assert results == [(counts.index(max(counts)), counts, *rest) for counts, *rest in samples]
    # To begin, one to see that the result before is gone, words + classes to read, and to offer it.
    assert spans == [3 + config.units[-1].words + classes] * 4


@pytest.mark.parametrize("counts, prediction", [
    ([0, 0, 0], 0), ([2, 2, 1], 0), ([1, 2, 2], 1), ([0, 0, 4], 2)])
def test_the_first_of_equal_classes(counts, prediction):
    assert rtl_results(small(), [(counts, 1, 1, 77)])[0] == [(prediction, counts, 1, 1, 77)]
