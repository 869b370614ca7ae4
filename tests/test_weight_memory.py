"""Weights and velocities: what passes and register port read and write, word by word and lane by lane."""

import random
from collections import Counter

import numpy as np
import pytest

from spikeloom.gen.state import to_memory
from spikeloom.golden.random_weights import lane_keys, random_weights
from spikeloom.rtl.registers import RegisterMap
from spikeloom.rtl.weight_memory import KINDS, ComputedWeights, WeightMemory
from strategies import simulate, small, with_stores

MOMENTUM = {"multiplier": 14, "shift": 4, "width": 13}
DENSE = small(update={"momentum": MOMENTUM}, layers=[{"neurons": 7, "lanes": 3}, {"neurons": 4, "lanes": 4}])
#: Weights of one word with one lane, of one word, and of one lane.
ONE = small(input={"size": 1}, layers=[{"neurons": 1, "lanes": 1}])
WORD = small(input={"size": 1}, layers=[{"neurons": 3, "lanes": 3}])
LANE = small(input={"size": 2}, layers=[{"neurons": 3, "lanes": 1}])
CONV = small(input={"shape": [3, 3, 2]}, layers=[{"kind": "conv", "channels": 5, "kernel": 2, "lanes": 2}])
CASES = [(DENSE, 0), (DENSE, 1), (ONE, 0), (WORD, 0), (LANE, 0), (CONV, 0)]
#: Cycles from an access of the register port to its answer.
ANSWERED = {"weight": 6, "velocity": 5}


class Bench:
    """A `WeightMemory` with its stores, and what should be in them: lists of words."""

    def __init__(self, config, place, seed):
        self.unit, self.source, self.counts = config.units[place], random.Random(seed), Counter()
        regions = RegisterMap(config).of(self.unit.block, self.unit.index)
        self.regions = {region.kind: region for region in regions if region.kind in KINDS}
        self.dut = WeightMemory(config, self.unit, list(self.regions.values()))
        self.m, _ = with_stores(self.dut)
        self.words = {kind: [[None] * self.unit.lanes for _ in range(self.unit.weight_depth)] for kind in self.regions}

    def value(self, kind):
        top = 1 << {"weight": self.unit.weights.width, "velocity": self.unit.optimiser.velocity_width}[kind] - 1
        return self.source.randrange(-top, top)

    async def tick(self, ctx):
        for name, _ in self.dut.counted.shape():
            self.counts[name] += ctx.get(self.dut.counted[name])
        await ctx.tick()

    async def access(self, ctx, kind, place, value=None):
        """One register, which is a lane of a word; the answer comes when it should, and is zero before and behind."""
        bus, (number, region) = self.dut.bus, next(
            own for own in enumerate(self.regions.values()) if own[1].kind == kind)
        for name, own in (("valid", 1), ("select", 1 << number), ("write", value is not None),
                          ("address", region.base + place), ("data", (value or 0) & 0xFFFFFFFF)):
            ctx.set(getattr(bus, name), own)
        answers = []
        for _ in range(8):
            answers.append((ctx.get(bus.ack), ctx.get(bus.answer)))
            await self.tick(ctx)
            ctx.set(bus.valid, 0)
        wanted = [(0, 0)] * 8
        wanted[ANSWERED[kind]] = (1, answers[ANSWERED[kind]][1])
        assert answers == wanted
        answer = wanted[ANSWERED[kind]][1]
        return answer - (answer >> 31 << 32)

    async def fill(self, ctx):
        """Through the register port, in any order; lanes that do not exist take nothing."""
        lanes = len(bin(self.unit.lanes - 1)) - 2 if self.unit.lanes > 1 else 0
        places = [(kind, word, lane) for kind in self.regions for word in range(self.unit.weight_depth)
                  for lane in range(1 << lanes)]
        for kind, word, lane in self.source.sample(places, len(places)):
            value = self.value(kind)
            await self.access(ctx, kind, word << lanes | lane, value)
            if lane < self.unit.lanes:
                self.words[kind][word][lane] = value
        for kind, word, lane in self.source.sample(places, min(40, len(places))):
            found = await self.access(ctx, kind, word << lanes | lane)
            assert found == (self.words[kind][word][lane] if lane < self.unit.lanes else 0)


def seen(ctx, lanes):
    return [int(value) for value in ctx.get(lanes)]


@pytest.mark.parametrize("config, place", CASES)
def test_filled_and_read_through_the_register_port(config, place):
    bench = Bench(config, place, seed=1)
    simulate(bench.m, bench.fill)
    assert not any(bench.counts.values())  # what a host does is no access


@pytest.mark.parametrize("config, place", CASES)
def test_the_passes(config, place):
    """Reads of the forward pass or the unit below, one per cycle; then reads and writes of the update beside it."""
    bench = Bench(config, place, seed=2)
    unit, dut, source, words = bench.unit, bench.dut, bench.source, bench.words["weight"]
    kinds = ["forward", *["serve"] * unit.rule.serves]

    async def reads(ctx, kind):
        addresses = [source.choice([None, *range(unit.weight_depth)]) for _ in range(30)]
        ctx.set(dut.in_forward, kind == "forward")
        for cycle, address in enumerate([*addresses, None, None, None]):
            ctx.set(getattr(dut, f"{kind}_en"), address is not None)
            ctx.set(getattr(dut, f"{kind}_address"), address or 0)
            if cycle >= 3 and addresses[cycle - 3] is not None:
                assert seen(ctx, dut.weights) == words[addresses[cycle - 3]]
            await bench.tick(ctx)
        ctx.set(dut.in_forward, 0)
        return sum(address is not None for address in addresses)

    async def updates(ctx):
        """Word after word, read four cycles before the write, as the update does."""
        ctx.set(dut.in_update, 1)
        await bench.tick(ctx)
        order = source.sample(range(unit.weight_depth), unit.weight_depth)
        written = {address: [bench.value("weight") for _ in range(unit.lanes)] for address in order
                   if source.random() < 0.7}
        for cycle in range(len(order) + 5):
            address = order[cycle] if cycle < len(order) else None
            late = order[cycle - 4] if 0 <= cycle - 4 < len(order) else None
            ctx.set(dut.weight_en, address is not None)
            ctx.set(dut.weight_address, address or 0)
            ctx.set(dut.write_en, late in written)
            if late in written:
                ctx.set(dut.write_address, late)
                ctx.set(dut.write, written[late])
            if 0 <= cycle - 3 < len(order):
                assert seen(ctx, dut.weights) == words[order[cycle - 3]]
            await bench.tick(ctx)
        ctx.set(dut.in_update, 0)
        await bench.tick(ctx)
        for address, word in written.items():
            words[address] = word
        return len(order), len(written)

    async def run(ctx):
        await bench.fill(ctx)
        wanted = Counter()
        for _ in range(2):
            for kind in kinds:
                wanted[f"weight.read.{'forward' if kind == 'forward' else 'backward'}"] += await reads(ctx, kind)
            visited, written = await updates(ctx)
            wanted["weight.read.update"] += visited
            wanted["weight.write.update"] += written
        await reads(ctx, "forward")
        wanted["weight.read.forward"] = bench.counts["weight.read.forward"]
        assert +bench.counts == +wanted

    simulate(bench.m, run)


def test_velocities_of_the_update():
    bench = Bench(DENSE, 0, seed=3)
    unit, dut, words = bench.unit, bench.dut, bench.words["velocity"]

    async def run(ctx):
        await bench.fill(ctx)
        ctx.set(dut.in_update, 1)
        await bench.tick(ctx)
        written = [[bench.value("velocity") for _ in range(unit.lanes)] for _ in range(unit.weight_depth)]
        for cycle in range(unit.weight_depth + 4):
            ctx.set(dut.velocity_en, cycle < unit.weight_depth)
            ctx.set(dut.velocity_address, min(cycle, unit.weight_depth - 1))
            ctx.set(dut.velocity_write_en, cycle >= 4)
            if cycle >= 4:
                ctx.set(dut.velocity_write_address, cycle - 4)
                ctx.set(dut.velocity_write, written[cycle - 4])
            if 2 <= cycle < unit.weight_depth + 2:
                assert seen(ctx, dut.velocities) == words[cycle - 2]
            await bench.tick(ctx)
        ctx.set(dut.velocity_write_en, 0)
        ctx.set(dut.in_update, 0)
        await bench.tick(ctx)
        for address in range(unit.weight_depth):
            assert await bench.access(ctx, "velocity", address << 2 | 1) == written[address][1]
        assert +bench.counts == {"velocity.read.update": unit.weight_depth, "velocity.write.update": unit.weight_depth}

    simulate(bench.m, run)


@pytest.mark.parametrize("flags, broken", [
    ({"in_forward": 1, "bus": 1}, "weights are registers only while no pass runs"),
    ({"in_update": 1, "bus": 1}, "weights are registers only while no pass runs"),
    ({"write_en": 1}, "weights are written only while the update runs"),
    ({"forward_en": 1, "weight_en": 1}, "one at a time reads weight"),
])
def test_promises(flags, broken):
    bench = Bench(DENSE, 0, seed=4)

    async def run(ctx):
        for name, value in flags.items():
            if name == "bus":
                ctx.set(bench.dut.bus.valid, 1)
                ctx.set(bench.dut.bus.select, 1)
            else:
                ctx.set(getattr(bench.dut, name), value)
        for _ in range(3):
            await ctx.tick()

    with pytest.raises(AssertionError, match=broken):
        simulate(bench.m, run)


@pytest.mark.parametrize("neurons, classes, lanes", [(5, 3, 2), (4, 4, 4), (1, 2, 1)])
def test_computed_weights(neurons, classes, lanes):
    """Three cycles behind the address, as from a memory: forward in one order, and served in another."""
    config = small(layers=[{"neurons": 5, "lanes": 2}, {"neurons": neurons, "lanes": 1}],
                   network={"classes": classes}, classifier={"kind": "random", "seed": 11, "lanes": lanes})
    place, unit = len(config.units) - 1, config.units[-1]
    dut = ComputedWeights(config, unit)
    matrix = random_weights(unit, lane_keys(11, place, lanes), config.initial.gain)
    words = np.array(to_memory(unit, matrix)).reshape(unit.weight_depth, -1)
    addresses = [*range(unit.weight_depth), *random.Random(0).choices(range(unit.weight_depth), k=20)]

    async def bench(ctx):
        for kind, other in (("forward", "serve"), ("serve", "forward")):
            for cycle in range(len(addresses) + 3):
                ctx.set(getattr(dut, f"{kind}_en"), cycle < len(addresses))
                ctx.set(getattr(dut, f"{kind}_address"), addresses[min(cycle, len(addresses) - 1)])
                ctx.set(getattr(dut, f"{other}_address"), 0)
                if cycle >= 3:
                    word = addresses[cycle - 3]
                    used = lanes if word // unit.fan_rows < unit.channel_words - 1 else unit.last_lanes
                    assert seen(ctx, dut.weights)[:used] == words[word][:used].tolist()
                await ctx.tick()
            ctx.set(getattr(dut, f"{kind}_en"), 0)

    simulate(dut, bench)
