"""One block on its own: spikes or results, weights and learning rate of the golden model, and its flags."""

import random

import numpy as np
import pytest
import torch
from test_unit import spike_words

from spikeloom.gen.samples import items
from spikeloom.gen.state import from_memory, to_memory
from spikeloom.golden.counters import block_counters, unit_counters
from spikeloom.golden.model import Golden
from spikeloom.golden.units import clog2
from spikeloom.rtl.block import BlockCore
from spikeloom.rtl.registers import RegisterMap
from strategies import simulate, small

LIVELY = {"initial": {"gain": 4.0, "seed": 5}, "surrogate": {"shape": "rectangle", "width": 4.0},
          "hardware": {"counters": True, "sample_slots": 3}}
EVENTS = {"kind": "events", "shape": [2, 3, 1], "bits": 1, "fraction": 0}
CONFIGS = {
    "frames": small(update={"shift": 1, "decay_samples": 2, "decay_limit": 2}, **LIVELY),
    "batches": small(update={"shift": 1, "batch": 2, "decay_samples": 4, "decay_limit": 1}, **LIVELY),
    "events": small(time={"steps": 4, "interval": 2, "update_period": 2}, input=EVENTS, update={"shift": 1}, **LIVELY),
}
#: Cycles after which nothing is expected any more.
PATIENCE = 1500


class Bench:
    """A `BlockCore` between a source and a sink that pause at random, and a host on its register bus."""

    def __init__(self, config, number, pause):
        self.config, self.block, self.pause = config, config.blocks[number], pause
        self.map = RegisterMap(config)
        self.regions = self.map.of(number)
        self.dut = BlockCore(config, self.block, self.map, seeds=[[] for _ in self.block.units])
        self.golden, self.source, self.taken = Golden(config), random.Random(number), []
        self.begun = self.reported = self.starved = self.blocked = 0

    def samples(self, count):
        """Random samples in batches of one mode; what goes in, item by item, and what must come out."""
        config, drawn = self.config, torch.Generator().manual_seed(3)
        size = (config.input.size,) if config.input.kind == "frame" else (config.time.steps, config.input.size)
        batch = config.update.batch
        frames = torch.randint(0, 1 << config.input.bits, (count, *size), generator=drawn)
        frames *= torch.rand(frames.shape, generator=drawn) < 0.5
        labels = torch.randint(0, config.network.classes, (count,), generator=drawn).tolist()
        modes = [True, *(bool(self.source.randrange(2)) for _ in range(count // batch - 1))]
        trains = [mode for mode in modes for _ in range(batch)]
        traces = []
        for first in range(0, count, batch):
            traces += self.golden.run_batch(frames[first:first + batch], labels[first:first + batch],
                                            train=trains[first])
        first = config.units.index(self.block.units[0])
        if first == 0:
            given = [int(word) for word in items(config, frames.numpy(), labels, trains)[0]]
        else:
            given = self.spike_items([trace.units[first].inputs for trace in traces], labels, trains,
                                     config.units[first - 2])
        if self.block.last:
            wanted = [(trace.prediction, trace.counts.tolist(), label, train)
                      for trace, label, train in zip(traces, labels, trains)]
        else:
            top = first + len(self.block.units) - 2
            wanted = self.spike_items([trace.units[top].sent for trace in traces], labels, trains,
                                      config.units[top])
        return given, wanted

    def spike_items(self, spikes, labels, trains, unit):
        """Payloads of the stream behind `unit`: an interval of each sample of a batch, then the next interval."""
        found, batch, k = [], self.config.update.batch, self.config.time.interval
        bits = clog2(self.config.network.classes)
        for first in range(0, len(labels), batch):
            for interval in range(self.config.intervals):
                for sample in range(first, first + batch):
                    words = spike_words(unit, spikes[sample][interval * k:(interval + 1) * k])
                    found += [word | labels[sample] << unit.lanes | trains[sample] << unit.lanes + bits
                              for _, word in sorted(words.items())]
        return found

    async def feed(self, ctx, given):
        """The source."""
        stream = self.dut.i
        for word in given:
            while self.source.randrange(256) < self.pause:
                await ctx.tick()
            ctx.set(stream.payload.as_value(), word)
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)

    async def watch(self, ctx):
        """The sink, and what the block says of itself."""
        dut, source = self.dut, random.Random(9)
        while True:
            willing = source.randrange(256) >= self.pause
            ctx.set(dut.o.ready, willing)
            if willing and ctx.get(dut.o.valid):
                payload = ctx.get(dut.o.payload)
                self.taken.append((payload.prediction, [int(own) for own in payload.counts], payload.label,
                                   bool(payload.train)) if self.block.last else ctx.get(dut.o.payload.as_value()))
                if self.block.last:
                    assert payload.cycles == 77
            self.begun += ctx.get(dut.begins)
            self.reported += ctx.get(dut.reported)
            self.starved += ctx.get(dut.starved)
            self.blocked += ctx.get(dut.blocked)
            assert not (ctx.get(dut.starved) and ctx.get(dut.blocked))
            await ctx.tick()

    async def access(self, ctx, name, number, value=None):
        """One register of the block or of its units, while it is idle."""
        bus, (select, region) = self.dut.bus, next(own for own in enumerate(self.regions) if own[1].name == name)
        for port, own in (("valid", 1), ("select", 1 << select), ("write", value is not None),
                          ("address", region.base + number), ("data", (value or 0) & 0xFFFFFFFF)):
            ctx.set(getattr(bus, port), own)
        for _ in range(60):
            ack, answer = ctx.get(bus.ack), ctx.get(bus.answer)
            await ctx.tick()
            ctx.set(bus.valid, 0)
            if ack:
                return answer
        raise AssertionError("no answer")

    async def weights(self, ctx, place, matrix=None):
        """Weights of a unit, loaded or read."""
        unit = self.config.units[place]
        if matrix is not None:
            for number, value in enumerate(to_memory(unit, matrix.numpy())):
                await self.access(ctx, f"{unit.path}.weight", number, value)
            return None
        words = [await self.access(ctx, f"{unit.path}.weight", number)
                 for number in range(unit.weight_depth << clog2(unit.lanes))]
        return from_memory(unit, np.array(words, dtype=np.uint32).view(np.int32).astype(np.int64))

    async def settled(self, ctx, count):
        """Wait until so much came out, and the block is at rest."""
        for _ in range(PATIENCE):
            if len(self.taken) >= count and ctx.get(self.dut.starved):
                break
            await ctx.tick()
        for _ in range(20):
            await ctx.tick()


@pytest.mark.parametrize("name, number, pause", [
    ("frames", 0, 120), ("frames", 1, 0), ("batches", 0, 0), ("batches", 1, 120), ("events", 0, 60), ("events", 1, 0)])
def test_training(name, number, pause):
    config = CONFIGS[name]
    bench = Bench(config, number, pause)
    dut, places = bench.dut, [config.units.index(unit) for unit in bench.block.units]
    before = [bench.golden.state["weight"][place].clone() for place in places]
    given, wanted = bench.samples(4)
    after = bench.golden.state

    async def run(ctx):
        ctx.set(dut.hold, 1)
        ctx.set(dut.cycles, 77)
        for _ in range(100):  # gradient memories are cleared
            await ctx.tick()
        for place, matrix in zip(places, before):
            await bench.weights(ctx, place, matrix)
        assert ctx.get(dut.idle) and not bench.begun
        ctx.set(dut.hold, 0)
        await bench.feed(ctx, given)
        await bench.settled(ctx, len(wanted))
        assert bench.taken == wanted
        ctx.set(dut.hold, 1)
        moved = []
        for place, matrix in zip(places, before):
            found = await bench.weights(ctx, place)
            assert np.array_equal(found, after["weight"][place].numpy())
            moved.append(not np.array_equal(found, matrix.numpy()))
        assert all(moved)
        assert await bench.access(ctx, f"block{number}.decays", 0) == after.shift - config.update.shift
        assert await bench.access(ctx, f"block{number}.since_decay", 0) == after.since_decay
        await counters(ctx)

    async def counters(ctx):
        """A block is in a pass whenever one of its units is, and two cycles more for each interval."""
        found = {}
        for owner, names in [(f"block{number}", block_counters(bench.block)),
                             *((unit.path, unit_counters(config, unit)) for unit in bench.block.units)]:
            for place, counter in enumerate(names):
                if ".cycles." in counter:
                    found[counter] = await bench.access(ctx, f"{owner}.counters", 2 * place)
        for phase, more in (("forward", 2 * 4 * config.intervals), ("backward", 0)):
            units = [found[f"{unit.path}.cycles.{phase}"] for unit in bench.block.units]
            assert found[f"block{number}.cycles.{phase}"] == sum(units) + more and all(units)

    simulate(dut, run, watching=[bench.watch])
    assert (bench.begun, bench.reported) == (4, 4 if bench.block.last else 0)
    assert bench.starved


def test_blocked_while_its_spikes_are_not_taken():
    """It does not begin another interval, until the last spike of the one before is gone."""
    config = CONFIGS["frames"]
    bench = Bench(config, 0, 0)
    given, wanted = bench.samples(2)

    async def run(ctx):
        await bench.feed(ctx, given)
        for _ in range(PATIENCE):
            await ctx.tick()
        assert ctx.get(bench.dut.blocked) and ctx.get(bench.dut.idle) and bench_begins == [1]
        words = config.units[0].words * config.time.interval
        for taken in range(words):
            assert ctx.get(bench.dut.blocked)
            ctx.set(bench.dut.o.ready, 1)
            await ctx.tick()
            ctx.set(bench.dut.o.ready, 0)
            for _ in range(3):
                await ctx.tick()
            assert ctx.get(bench.dut.idle) == (taken < words - 1)

    bench_begins = []

    async def watch(ctx):
        async for _, _, begins in ctx.tick().sample(bench.dut.begins):
            bench_begins.extend([1] * begins)

    simulate(bench.dut, run, watching=[watch])
    assert len(wanted) == 2 * config.units[0].words * config.time.steps


def test_the_result_before_waits():
    """The last block is blocked with its next result while somebody has not taken the one before."""
    config = CONFIGS["frames"]
    bench = Bench(config, 1, 0)
    given, wanted = bench.samples(2)

    async def run(ctx):
        await bench.feed(ctx, given)
        for _ in range(PATIENCE):
            await ctx.tick()
        assert ctx.get(bench.dut.blocked) and not ctx.get(bench.dut.idle)
        ctx.set(bench.dut.o.ready, 1)
        await ctx.tick()
        payload = ctx.get(bench.dut.o.payload)
        for _ in range(30):
            await ctx.tick()
        assert ctx.get(bench.dut.idle) and payload.label == wanted[0][2]

    simulate(bench.dut, run)
