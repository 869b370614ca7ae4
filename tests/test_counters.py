"""Counters: the bank against sums, and one list of names for hardware and prediction."""

import random

import pytest

from spikeloom.golden.activity import passes_and_counters
from spikeloom.golden.counters import WAIT_BITS, block_counters, category, unit_amounts, unit_counters
from spikeloom.golden.model import Golden
from spikeloom.golden.schedule import Schedule
from spikeloom.rtl.counters import CounterBank
from strategies import frames, simulate, small


def rtl_counters(names, amounts, width, cycles, reads):
    """Play ``({name: increment}, clear)`` cycle by cycle; after those in `reads`, the counter ``reads[cycle]`` is read.
    """
    dut, values = CounterBank(names, amounts=amounts, width=width), []

    async def bench(ctx):
        for cycle, (increments, clear) in enumerate(cycles):
            for name in names:
                ctx.set(getattr(dut, dut.port(name)), increments.get(name, 0))
            ctx.set(dut.clear, clear)
            await ctx.tick()
            if cycle in reads:
                for name in names:
                    ctx.set(getattr(dut, dut.port(name)), 0)
                ctx.set(dut.clear, 0)
                ctx.set(dut.index, reads[cycle])
                ctx.set(dut.read, 1)
                await ctx.tick()
                ctx.set(dut.read, 0)
                await ctx.tick().repeat(CounterBank.latency(names) - 1)
                values.append(ctx.get(dut.value))

    simulate(dut, bench)
    return values


def model(names, width, cycles, reads):
    counts, values = dict.fromkeys(names, 0), []
    for cycle, (increments, clear) in enumerate(cycles):
        for name in names:
            counts[name] = 0 if clear else min(counts[name] + increments.get(name, 0), (1 << width) - 1)
        if cycle in reads:
            values.append(counts[names[reads[cycle]]])
    return values


@pytest.mark.parametrize("count", [1, 2, 3, 4, 11])
@pytest.mark.parametrize("width", [3, 6, 16])
def test_bank_equals_sums(width, count):
    names = [f"c{place}" for place in range(count)]
    amounts, source = {name: 5 for name in names[::2]}, random.Random(width + count)
    cycles = [({name: source.randrange(amounts.get(name, 1) + 1) for name in names}, source.random() < 0.02)
              for _ in range(600)]
    reads = {cycle: source.randrange(count) for cycle in range(600) if source.random() < 0.3}
    expected = model(names, width, cycles, reads)
    assert rtl_counters(names, amounts, width, cycles, reads) == expected
    assert (max(expected) == (1 << width) - 1) == (width < 16)  # the narrow ones were full


def test_a_reading_contains_the_increments_before_it_and_loses_none():
    """Increments go on while the counter is read: the value lies between those before `read` and at the answer."""
    dut, found = CounterBank(["a", "b", "c", "d"], amounts={}, width=16), []

    async def bench(ctx):
        ctx.set(dut.add_a, 1)
        ctx.set(dut.index, 0)
        for _ in range(30):
            start = CounterBank.latency(dut.names) * len(found)
            ctx.set(dut.read, 1)
            await ctx.tick()
            ctx.set(dut.read, 0)
            await ctx.tick().repeat(CounterBank.latency(dut.names) - 1)
            found.append((start, ctx.get(dut.value), start + CounterBank.latency(dut.names)))

    simulate(dut, bench)
    assert all(low <= value <= high for low, value, high in found), found


def test_full_counter_stays_full():
    assert rtl_counters(["a"], {}, 4, [({"a": 1}, 0)] * 20 + [({}, 1), ({"a": 1}, 0), ({"a": 1}, 0)],
                        {13: 0, 14: 0, 15: 0, 19: 0, 20: 0, 22: 0}) == [14, 15, 15, 15, 0, 2]


def test_clear_wins_over_an_increment():
    assert rtl_counters(["a"], {}, 4, [({"a": 1}, 0), ({"a": 1}, 1), ({"a": 1}, 0)], {0: 0, 1: 0, 2: 0}) == [1, 0, 1]


@pytest.mark.parametrize("amount", [1 << 16, (1 << 17) - 1, 1 << 17, 1 << 20, (1 << WAIT_BITS) - 1])
def test_an_increment_may_be_wider_than_the_counter(amount):
    # A wait is credited when it ends: up to 32 bits at once, while counters may have 16.
    cycles = [({"wait": 3}, 0), ({"wait": amount}, 0)]
    assert rtl_counters(["wait"], {"wait": (1 << WAIT_BITS) - 1}, 16, cycles, {0: 0, 1: 0}) == [3, 0xFFFF]


def test_names_must_be_unique():
    with pytest.raises(ValueError, match=r"^counter names must be unique, not \['a', 'a', 'b'\]$"):
        CounterBank(["a", "b", "a"], amounts={}, width=8)


#: A convolution, and in the next block a pool that serves one; the pool below learns nothing.
SPATIAL = small(
    input={"shape": [4, 6, 2]}, network={"block_length": None, "block_ends": [2, 4]},
    layers=[{"kind": "avg_pool", "size": 2}, {"kind": "conv", "channels": 3, "kernel": 2, "padding": 1, "lanes": 2},
            {"kind": "conv", "channels": 4, "kernel": 2, "lanes": 2}, {"kind": "avg_pool", "size": 2, "stride": 1}])


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("config", [small(), SPATIAL], ids=["dense", "spatial"])
def test_every_counter_is_predicted(config, train):
    declared = [name for unit in config.units for name in unit_counters(config, unit)]
    declared += [name for block in config.blocks for name in block_counters(block)]
    trace = Golden(config).run(frames(config, 1)[0], 1, train=train)
    (passes,), counters = passes_and_counters(config, [trace])
    schedule = Schedule(config)
    schedule.sample(passes, train=train)
    assert len(set(declared)) == len(declared)
    assert not counters.keys() & schedule.counters.keys()
    predicted = counters | schedule.counters
    if train:
        assert set(declared) == predicted.keys()
        return
    # Without training there is no backward pass and no update to count.
    quiet = {name for name in declared if name.endswith((".backward", ".update"))}
    assert set(declared) - quiet <= predicted.keys() <= set(declared)
    assert not any(predicted.get(name) for name in quiet)


@pytest.mark.parametrize("config", [small(), SPATIAL], ids=["dense", "spatial"])
def test_only_lane_operations_add_more_than_one(config):
    for unit in config.units:
        amounts = unit_amounts(config, unit)
        assert {name.split(".")[2] for name in amounts} == {"adds"}
        assert set(amounts.values()) == {unit.lanes}


@pytest.mark.parametrize("name, expected", [
    ("block0.layer0.weight.read.forward", "weight"),
    ("block0.classifier.weight.read.update", "classifier weight"),
    ("block1.classifier.potential.write.forward", "classifier potential"),
    ("block0.layer0.input.read.forward", "input"),      # the frame
    ("block1.layer0.input.read.forward", "history"),    # spikes
    ("block0.classifier.input.read.update", "history"),
    ("block0.layer0.value.read.update", "input"),
    ("block0.layer0.error.read.update", "error"),
    ("block1.classifier.count.read.report", "classifier count"),
    ("block0.layer0.adds.forward", None),
    ("block0.cycles.forward", None),
])
def test_category(name, expected):
    assert category(small(), name) == expected


def test_category_of_a_gradient():
    unit = next(unit for unit in SPATIAL.units if unit.rule.accumulates)
    assert category(SPATIAL, f"{unit.path}.gradient.write.update") == "gradient"
