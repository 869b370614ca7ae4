"""What the counters of a block add, against sums over the same cycles."""

import random
from collections import Counter

import pytest

from spikeloom.golden.counters import block_counters
from spikeloom.rtl import counting
from spikeloom.rtl.counting import BlockCounters
from strategies import simulate, small

CONFIG = small(hardware={"counters": True})


class Bench:
    """`BlockCounters` in cycles that are drawn, and what it added in all of them."""

    def __init__(self, number):
        self.block = CONFIG.blocks[number]
        self.dut, self.source = BlockCounters(CONFIG, self.block), random.Random(number)
        self.flags, self.added, self.wanted, self.waits = Counter(), Counter(), Counter(), Counter()

    async def cycle(self, ctx, **flags):
        """One cycle, with some inputs changed: what is added stands in the next; waits are credited when they end."""
        dut = self.dut
        for name, value in flags.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        for name, _ in dut.add.shape():
            self.added[name] += ctx.get(dut.add[name])
        self.flags.update({name: value - self.flags[name] for name, value in flags.items()})
        f = self.flags
        self.wanted += Counter({
            "cycles.forward": f["forward"] or f["dispatch"] or f["interval_ends"],
            "cycles.backward": f["backward"], "cycles.update": f["updating"]})
        if self.block.last:
            self.wanted += Counter({"cycles.report": f["report"] and not f["waiting"],
                                    "wait.result": f["report"] and f["waiting"]})
        else:
            self.wanted += Counter({"output.queue.write.forward": f["queue_written"],
                                    "output.queue.read.forward": f["queue_read"]})
        if f["dispatch"]:
            self.wanted += self.waits
            self.waits.clear()
        elif f["idle"] and not f["available"]:
            self.waits["wait.input"] += 1
        elif f["idle"] and not f["out_free"] and not self.block.last:
            self.waits["wait.output"] += 1

    async def drawn(self, ctx):
        """As a sequencer has it: idle until it dispatches, then busy for a while."""
        source = self.source
        for _ in range(30):
            wait = {"idle": 1, "available": 0, "out_free": 0}
            while not wait["available"] or not wait["out_free"]:
                wait |= {name: source.random() < 0.4 for name in ("available", "out_free")}
                dispatch = wait["available"] and wait["out_free"]
                await self.cycle(ctx, **wait, dispatch=dispatch, **self.others())
            for phase in source.choices(["forward", "backward", "updating", "interval_ends", "none"], k=12):
                flags = {name: name == phase for name in ("forward", "backward", "updating", "interval_ends")}
                await self.cycle(ctx, idle=0, dispatch=0, available=source.random() < 0.5, **flags, **self.others())
        await self.cycle(ctx, **dict.fromkeys(("idle", "dispatch", *flags, *self.others()), 0))
        await self.cycle(ctx)

    def others(self):
        return {name: self.source.random() < 0.5 for name in (
            ("report", "waiting") if self.block.last else ("queue_written", "queue_read"))}


@pytest.mark.parametrize("number", [0, 1])
def test_sums(number):
    bench = Bench(number)
    simulate(bench.dut, bench.drawn)
    names = [name.removeprefix(f"block{number}.") for name in block_counters(bench.block)]
    assert [name for name, _ in bench.dut.add.shape()] == names
    assert bench.added == bench.wanted and all(bench.wanted[name] for name in names)


def test_a_wait_is_credited_when_it_ends_and_not_before():
    bench = Bench(0)

    async def run(ctx):
        for _ in range(9):
            await bench.cycle(ctx, idle=1, available=0, out_free=1, dispatch=0)
        assert bench.added["wait.input"] == 0
        await bench.cycle(ctx, available=1, dispatch=1)
        assert bench.added["wait.input"] == 9

    simulate(bench.dut, run)


def test_cleared():
    """Waits that have not ended are forgotten; the bank and the units hear of it a cycle later."""
    bench = Bench(0)

    async def run(ctx):
        for _ in range(9):
            await bench.cycle(ctx, idle=1, available=0, out_free=1, dispatch=0)
        await bench.cycle(ctx, clear=1)
        assert ctx.get(bench.dut.clearing)
        await bench.cycle(ctx, clear=0)
        assert not ctx.get(bench.dut.clearing)
        for _ in range(2):
            await bench.cycle(ctx)
        await bench.cycle(ctx, available=1, dispatch=1)
        assert bench.added["wait.input"] == 2 + 1  # that of the cycle behind `clearing`, too

    simulate(bench.dut, run)


def test_a_wait_longer_than_its_counter(monkeypatch):
    monkeypatch.setattr(counting, "WAIT_BITS", 5)
    bench = Bench(0)

    async def run(ctx):
        for _ in range(40):
            await bench.cycle(ctx, idle=1, available=0, out_free=1, dispatch=0)
        await bench.cycle(ctx, available=1, dispatch=1)
        assert bench.added["wait.input"] == 31

    simulate(bench.dut, run)
