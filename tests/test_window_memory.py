"""The window history: words in the order in which the forward pass gives them, of training only."""

import random
from collections import Counter

import pytest

from spikeloom.rtl.window_memory import WindowMemory
from strategies import SURROGATES, simulate, small, with_stores

ZERO = {"reset": "zero", "reset_error": False}


@pytest.mark.parametrize("reset, dropout", [({}, 0), (ZERO, 0), ({}, 3), (ZERO, 3)])
@pytest.mark.parametrize("surrogate", ["rectangle", "triangle"])
def test_every_word_of_an_interval(reset, dropout, surrogate):
    """Two intervals that train, and one that does not between them, which leaves everything as it is."""
    config = small(neuron=reset, layers=[{"neurons": 5, "lanes": 2, "dropout": dropout}],
                   surrogate=SURROGATES[surrogate])
    unit, source, counts = config.units[0], random.Random(1), Counter()
    dut = WindowMemory(config, unit)
    m, _ = with_stores(dut)
    flags = ["out_spikes"] * bool(reset) + ["dropped"] * bool(dropout)
    kept = []

    async def tick(ctx):
        for name, _ in dut.counted.shape():
            counts[name] += ctx.get(dut.counted[name])
        await ctx.tick()

    async def bench(ctx):
        for train in (1, 0, 1):
            words = [[source.getrandbits(unit.neuron.code_bits) for _ in range(unit.lanes)]
                     + [source.getrandbits(unit.lanes) for _ in flags] for _ in range(unit.words * unit.steps)]
            kept[:] = words if train else kept
            ctx.set(dut.train, train)
            ctx.set(dut.start, 1)
            await tick(ctx)
            ctx.set(dut.start, 0)
            for word in words:
                for _ in range(source.randrange(3)):
                    await tick(ctx)
                ctx.set(dut.out_valid, 1)
                ctx.set(dut.out_codes, word[:unit.lanes])
                for name, value in zip(flags, word[unit.lanes:]):
                    ctx.set(getattr(dut, name), value)
                await tick(ctx)
                ctx.set(dut.out_valid, 0)
            await tick(ctx)
            for address, word in reversed(list(enumerate(kept))):
                ctx.set(dut.fetch, 1)
                ctx.set(dut.address, address)
                await tick(ctx)
                window = ctx.get(dut.window)
                found = list(window.codes) + [
                    window[{"out_spikes": "fired", "dropped": "dropped"}[name]] for name in flags]
                assert found == word
            ctx.set(dut.fetch, 0)

    simulate(m, bench)
    assert counts == {"window.write.forward": 2 * len(kept), "window.read.backward": 3 * len(kept)}
