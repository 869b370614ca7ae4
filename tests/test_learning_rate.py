"""Halvings of the learning rate: counted sample by sample, and loaded."""

import random

import pytest

from spikeloom.rtl.learning_rate import LearningRate
from strategies import simulate, small


def rate_of(samples, limit, batch=1):
    config = small(update={"decay_samples": samples, "decay_limit": limit, "batch": batch},
                   hardware={"sample_slots": batch + 1})
    return LearningRate(config, {"decays": 0, "since_decay": 0})


@pytest.mark.parametrize("samples, limit, batch", [(1, 3, 1), (3, 2, 1), (8, 2, 4), (4, 1, 4), (5, 0, 1), (0, 0, 1)])
def test_one_more_after_so_many_samples(samples, limit, batch):
    """Twice from reset, and once from what was loaded; how far batches are apart does not matter."""
    dut, source = rate_of(samples, limit, batch), random.Random(samples)

    async def batches(ctx, trained):
        for _ in range(6):
            ctx.set(dut.ended, 1)
            await ctx.tick()
            ctx.set(dut.ended, 0)
            await ctx.tick()
            trained += batch
            assert ctx.get(dut.decays) == (min(limit, trained // samples) if samples else 0)
            assert ctx.get(dut.since_decay) == (trained % samples if samples else 0)
            for _ in range(source.randrange(3)):
                await ctx.tick()

    async def bench(ctx):
        await batches(ctx, 0)
        ctx.set(dut.value, 0)
        for kind in ("decays", "since_decay"):
            ctx.set(dut.load[kind], 1)
            await ctx.tick()
            ctx.set(dut.load[kind], 0)
            assert ctx.get(getattr(dut, kind)) == 0
        await batches(ctx, 0)

    simulate(dut, bench)


def test_loaded_by_kind():
    dut = rate_of(7, 3)

    async def bench(ctx):
        for kind, value, wanted in (("decays", 2, (2, 0)), ("since_decay", 6, (2, 6))):
            ctx.set(dut.load[kind], 1)
            ctx.set(dut.value, value)
            await ctx.tick()
            ctx.set(dut.load[kind], 0)
            assert (ctx.get(dut.decays), ctx.get(dut.since_decay)) == wanted
        ctx.set(dut.ended, 1)
        await ctx.tick().repeat(2)
        assert (ctx.get(dut.decays), ctx.get(dut.since_decay)) == (3, 0)

    simulate(dut, bench)


def test_after_reset():
    config = small(update={"decay_samples": 5, "decay_limit": 3})
    dut = LearningRate(config, {"decays": 2, "since_decay": 4})

    async def bench(ctx):
        assert (ctx.get(dut.decays), ctx.get(dut.since_decay)) == (2, 4)

    simulate(dut, bench)


def test_not_loaded_while_a_sample_ends():
    dut = rate_of(3, 1)

    async def bench(ctx):
        ctx.set(dut.ended, 1)
        await ctx.tick()
        ctx.set(dut.load.decays, 1)
        await ctx.tick()

    with pytest.raises(AssertionError, match="no sample ends while the learning rate is loaded"):
        simulate(dut, bench)
