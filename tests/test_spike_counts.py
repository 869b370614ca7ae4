"""Spike counts of a classifier: those of a sample for its result, those of an interval for its error."""

import random
from collections import Counter

import pytest

from spikeloom.rtl.spike_counts import SpikeCounts
from strategies import simulate, small, with_stores


def classifier(classes, lanes, *, interval=2, intervals=2, batch=1, first=False):
    config = small(time={"steps": interval * intervals, "interval": interval}, network={"classes": classes},
                   classifier={"lanes": lanes}, update={"batch": batch}, hardware={"sample_slots": batch + 1})
    return config, config.blocks[0 if first else -1].classifier


class Bench:
    """`SpikeCounts` with its store, driven as a forward pass and a backward pass do."""

    def __init__(self, config, unit):
        self.unit, self.dut, self.counts = unit, SpikeCounts(config, unit), Counter()
        self.m, _ = with_stores(self.dut)

    async def tick(self, ctx):
        for name, _ in self.dut.counted.shape():
            self.counts[name] += ctx.get(self.dut.counted[name])
        await ctx.tick()

    async def forward(self, ctx, spikes, *, fresh, gap):
        """Spikes by word and step; a step takes `gap` cycles, two at least, and words follow without a pause.

        The next word is announced four cycles before its first step: within the word before.
        """
        dut, unit = self.dut, self.unit
        ctx.set(dut.first_interval, fresh)
        steps = [(word, step) for word in range(unit.words) for step in range(unit.steps)]
        for cycle in range(-4, len(steps) * gap):
            ahead, now = cycle + 4, divmod(cycle, gap)
            starts = ahead % (gap * unit.steps) == 0 and ahead < len(steps) * gap
            ctx.set(dut.stored_en, starts and not fresh)
            ctx.set(dut.stored_address, ahead // (gap * unit.steps) % unit.words)
            ctx.set(dut.out_valid, now[1] == 0 and cycle >= 0)
            if cycle >= 0:
                word, step = steps[now[0]]
                for name, value in (("word", word), ("step", step), ("word_last", step == unit.steps - 1),
                                    ("spikes", spikes[word][step])):
                    ctx.set(getattr(dut, f"out_{name}"), value)
            await self.tick(ctx)
        ctx.set(dut.out_valid, 0)
        ctx.set(dut.first_interval, 1)  # the block may already go on
        await self.tick(ctx)
        await self.tick(ctx)

    async def read(self, ctx, kind):
        """All words of ``counts`` or ``own``, one per cycle, as one list of lanes."""
        dut, found = self.dut, []
        en, address, data = (getattr(dut, name) for name in (
            ("count_en", "count_word", "counts") if kind == "counts" else ("own_en", "own_word", "own")))
        for word in range(self.unit.words):
            ctx.set(en, 1)
            ctx.set(address, word)
            await self.tick(ctx)
            found += [int(value) for value in ctx.get(data)]
        ctx.set(en, 0)
        return found


@pytest.mark.parametrize("classes, lanes, interval, gap", [
    (3, 2, 2, 2), (7, 3, 2, 3), (5, 5, 1, 5), (4, 2, 3, 2), (10, 4, 4, 2), (2, 1, 2, 4)])
@pytest.mark.parametrize("batch", [1, 2])
def test_counts_and_errors(classes, lanes, interval, gap, batch):
    """Of samples in turn, interval by interval; what is expected is a sum of their spikes, and a target."""
    config, unit = classifier(classes, lanes, interval=interval, intervals=3, batch=batch)
    bench, source = Bench(config, unit), random.Random(classes)
    dut = bench.dut

    async def run(ctx):
        for labels in ([source.randrange(classes), classes if classes & (classes - 1) else 0], [classes - 1, 0]):
            await samples(ctx, labels)

    async def samples(ctx, labels):
        totals = [[0] * (unit.words * lanes) for _ in range(batch)]
        for number in range(3):
            for sample in range(batch):
                spikes = [[source.getrandbits(lanes) for _ in range(unit.steps)] for _ in range(unit.words)]
                recent = [sum(step >> lane & 1 for step in word) for word in spikes for lane in range(lanes)]
                totals[sample] = [a + b for a, b in zip(totals[sample], recent)]
                ctx.set(dut.sample, sample)
                ctx.set(dut.label, labels[sample])
                await bench.forward(ctx, spikes, fresh=number == 0, gap=gap)
                errors = [count - unit.steps * (place == labels[sample]) if labels[sample] < classes else 0
                          for place, count in enumerate(recent)]
                assert (await bench.read(ctx, "own"))[:classes] == errors[:classes]
        for sample in range(batch):
            ctx.set(dut.sample, sample)
            assert (await bench.read(ctx, "counts"))[:classes] == totals[sample][:classes]

    simulate(bench.m, run)
    assert bench.counts == {
        "count.write.forward": 6 * batch * unit.words, "count.read.forward": 4 * batch * unit.words,
        "count.read.backward": 6 * batch * unit.words, "count.read.report": 2 * batch * unit.words}


def test_no_report_but_of_the_last_block():
    config, unit = classifier(3, 2, first=True)
    assert "count.read.report" not in SpikeCounts(config, unit).counted.shape().members


def test_one_reader_at_a_time():
    bench = Bench(*classifier(3, 2))

    async def run(ctx):
        ctx.set(bench.dut.count_en, 1)
        ctx.set(bench.dut.own_en, 1)
        await ctx.tick()

    with pytest.raises(AssertionError, match="one at a time reads count"):
        simulate(bench.m, run)
