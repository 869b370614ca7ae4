"""The error memory: every error where it belongs, or their sum, and what the next slice, update and unit below read."""

import random
from collections import Counter

import pytest

from spikeloom.rtl.error_memory import ErrorMemory
from strategies import simulate, small, with_stores

HISTORY = small(layers=[{"neurons": 5, "lanes": 2, "gradient": "history"}], time={
    "steps": 8, "interval": 2, "update_period": 2})
SLICED = small(time={"steps": 8, "interval": 4}, hardware={"error_steps": 2}, input={
    "kind": "events", "shape": [2, 3, 1], "bits": 1, "fraction": 0}, layers=[
        {"neurons": 5, "lanes": 2, "gradient": "memory"}], classifier={"gradient": "memory"})
PARTLY = SLICED.replace(classifier={"gradient": "history"}, time={"update_period": 2})


class Bench:
    """An `ErrorMemory` with its store, and what it says that it counts."""

    def __init__(self, config, unit):
        self.unit, self.dut, self.counts = unit, ErrorMemory(config, unit), Counter()
        self.m, _ = with_stores(self.dut)

    async def tick(self, ctx):
        for name, _ in self.dut.counted.shape():
            self.counts[name] += ctx.get(self.dut.counted[name])
        await ctx.tick()

    async def write(self, ctx, address, word, **flags):
        """One word of errors, and a pause of a cycle, as steps have it."""
        for name, value in {"error_valid": 1, "error_address": address, "errors": word, **flags}.items():
            ctx.set(getattr(self.dut, name), value)
        await self.tick(ctx)
        ctx.set(self.dut.error_valid, 0)
        await self.tick(ctx)

    async def read(self, ctx, kind, address):
        """One word, for the ``update`` or to ``serve``."""
        for name, value in ((f"{kind}_en", 1), (f"{kind}_address", address)):
            ctx.set(getattr(self.dut, name), value)
        await self.tick(ctx)
        ctx.set(getattr(self.dut, f"{kind}_en"), 0)
        await self.tick(ctx)
        early = list(ctx.get(self.dut.read))
        await self.tick(ctx)
        return list(ctx.get(self.dut.read)), early

    async def read_all(self, ctx, kind, words):
        """Words from address 0 on; each stands in the third cycle and not before, where it differs."""
        before = None
        for address, word in enumerate(words):
            found, early = await self.read(ctx, kind, address)
            assert found == word
            assert before is None or early == before
            before = found


def drawn(unit, count, seed):
    """Words of errors over their whole range."""
    source, top = random.Random(seed), 1 << unit.rule.error_width - 1
    return [[source.randrange(-top, top) for _ in range(unit.lanes)] for _ in range(count)]


@pytest.mark.parametrize("config, place", [(HISTORY, 1), (SLICED, 0), (SLICED, 1), (PARTLY, 1)])
def test_every_error(config, place):
    """Written in any order, read by update and by the unit below, whoever there is."""
    unit = config.units[place]
    bench, words = Bench(config, unit), drawn(unit, unit.words * unit.error_frames, place)
    kinds = ["update"] * unit.weights.stored + ["serve"] * unit.rule.serves

    async def run(ctx):
        for address in random.Random(1).sample(range(len(words)), len(words)):
            await bench.write(ctx, address, words[address])
        for kind in kinds:
            ctx.set(bench.dut.updating, kind == "update")
            await bench.read_all(ctx, kind, words)

    simulate(bench.m, run)
    counted = {"error.write.backward": len(words), "error.read.update": len(words)}
    if "serve" in kinds or unit.slices > 1:
        counted["error.read.backward"] = len(words) * ("serve" in kinds)
    assert bench.counts == counted


@pytest.mark.parametrize("config, place, offset", [(SLICED, 0, 0), (SLICED, 1, 0), (PARTLY, 1, 4)])
def test_a_later_slice_goes_on(config, place, offset):
    """What time passes on lies in the first step of the slice behind; the last slice begins with zero."""
    unit = config.units[place]
    bench, words = Bench(config, unit), drawn(unit, unit.words * unit.error_frames, place)
    first = offset + unit.slice_steps if unit.rule.gradient == "history" else 0

    async def run(ctx):
        dut = bench.dut
        for address, word in enumerate(words):
            await bench.write(ctx, address, word)
        for resume in (1, 0):
            ctx.set(dut.resume, resume)
            ctx.set(dut.offset, offset)
            await bench.tick(ctx)
            for word in reversed(range(unit.words)):
                ctx.set(dut.stored_en, 1)
                ctx.set(dut.stored_word, word)
                await bench.tick(ctx)
                ctx.set(dut.stored_en, 0)
                await bench.tick(ctx)
                await bench.tick(ctx)
                assert list(ctx.get(dut.stored)) == (
                    words[word * unit.error_frames + first] if resume else [0] * unit.lanes)

    simulate(bench.m, run)
    assert bench.counts["error.read.backward"] == unit.words


@pytest.mark.parametrize("intervals", [1, 3])
def test_the_sum_of_a_static_input(intervals):
    """All steps of all intervals of a period, anew in the next period; a word is read three cycles before."""
    config = small(time={"steps": 6, "interval": 2, "update_period": 3})
    unit, periods = config.units[0], 2
    bench = Bench(config, unit)
    errors = [[[drawn(unit, unit.words, 100 * period + 10 * interval + step) for step in range(unit.steps)]
               for interval in range(intervals)] for period in range(periods)]

    async def run(ctx):
        dut = bench.dut
        for period in errors:
            for interval, steps in enumerate(period):
                ctx.set(dut.offset, interval * unit.steps)
                await bench.tick(ctx)
                for word in reversed(range(unit.words)):
                    ctx.set(dut.sum_en, 1)
                    ctx.set(dut.sum_word, word)
                    await bench.tick(ctx)
                    ctx.set(dut.sum_en, 0)
                    for _ in range(2):
                        await bench.tick(ctx)
                    for step, own in enumerate(steps):
                        await bench.write(ctx, word, own[word], error_word_first=step == 0,
                                          error_word_last=step == unit.steps - 1)
            await bench.tick(ctx)
            ctx.set(dut.updating, 1)
            await bench.read_all(ctx, "update", [
                [sum(step[word][lane] for steps in period for step in steps) for lane in range(unit.lanes)]
                for word in range(unit.words)])
            ctx.set(dut.updating, 0)

    simulate(bench.m, run)
    assert bench.counts == {
        "error.write.backward": periods * intervals * unit.words,
        "error.read.backward": periods * (intervals - 1) * unit.words, "error.read.update": periods * unit.words}


def test_one_reader_at_a_time():
    bench = Bench(HISTORY, HISTORY.units[1])

    async def run(ctx):
        ctx.set(bench.dut.update_en, 1)
        ctx.set(bench.dut.serve_en, 1)
        await ctx.tick()

    with pytest.raises(AssertionError, match="one at a time reads error"):
        simulate(bench.m, run)
