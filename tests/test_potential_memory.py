"""Potentials between two intervals: each word where it belongs, zero where a sample begins, of each sample its own."""

import random
from collections import Counter

import pytest

from spikeloom.rtl.potential_memory import PotentialMemory
from strategies import simulate, small, with_stores


@pytest.mark.parametrize("lanes, batch", [(1, 1), (2, 1), (5, 2), (2, 3)])
def test_kept_and_read(lanes, batch):
    """A word stands two cycles after it was asked for; it is written in the cycle after `keep_en`."""
    config = small(layers=[{"neurons": 5, "lanes": lanes}], update={"batch": batch}, hardware={"sample_slots": 4})
    unit, source, counts = config.units[0], random.Random(lanes), Counter()
    dut = PotentialMemory(config, unit)
    m, _ = with_stores(dut)
    top = 1 << unit.neuron.width - 1
    words = {(sample, word): [source.randrange(-top, top) for _ in range(lanes)]
             for sample in range(batch) for word in range(unit.words)}

    async def tick(ctx):
        for name, _ in dut.counted.shape():
            counts[name] += ctx.get(dut.counted[name])
        await ctx.tick()

    async def bench(ctx):
        for (sample, word), values in words.items():
            ctx.set(dut.sample, sample)
            ctx.set(dut.keep_address, word)
            ctx.set(dut.out_potentials, values)
            ctx.set(dut.keep_en, 1)
            await tick(ctx)
            ctx.set(dut.keep_en, 0)
            ctx.set(dut.keep_address, 0)
            await tick(ctx)
        for first in (0, 1):
            ctx.set(dut.first_interval, first)
            await tick(ctx)
            for (sample, word), values in source.sample(list(words.items()), len(words)):
                ctx.set(dut.sample, sample)
                ctx.set(dut.stored_address, word)
                ctx.set(dut.stored_en, 1)
                await tick(ctx)
                ctx.set(dut.stored_en, 0)
                await tick(ctx)
                assert list(ctx.get(dut.stored)) == ([0] * lanes if first else values)

    simulate(m, bench)
    assert counts == {"potential.read.forward": 2 * len(words), "potential.write.forward": len(words)}


def test_a_potential_stands_while_it_is_written():
    config = small()
    dut = PotentialMemory(config, config.units[0])
    m, _ = with_stores(dut)

    async def bench(ctx):
        ctx.set(dut.keep_en, 1)
        await ctx.tick()
        ctx.set(dut.out_potentials, [1, 0])
        await ctx.tick()

    with pytest.raises(AssertionError, match="a potential stands while it is written"):
        simulate(m, bench)
