"""Ports of the memories of a unit: who reads, at which address, and what is counted."""

import pytest
from amaranth.hdl import Module, Signal

from spikeloom.golden.counters import unit_counters
from spikeloom.rtl.ports import Ports, Use
from strategies import simulate, small


def _uses(phases, whens):
    found = []
    for place, phase in enumerate(phases):
        when = Signal(name=f"when_{place}") if place in whens else None
        found.append(Use(phase, Signal(name=f"en_{place}"), Signal(4, name=f"address_{place}"), when))
    return found


@pytest.mark.parametrize("whens", [(), (0,), (0, 1)])
def test_the_first_whose_turn_it_is(whens):
    m, config = Module(), small()
    ports, uses = Ports(m, config, config.units[0]), _uses(("update", "forward", ""), whens)
    en, address = Signal(), Signal(4)
    for own, value in zip((en, address), ports.choose("weight", *uses)):
        m.d.comb += own.eq(value)

    async def bench(ctx):
        for place, use in enumerate(uses):
            ctx.set(use.address, 5 + place)
        for pattern in range(64):
            for place, use in enumerate(uses):
                ctx.set(use.en, pattern >> place & 1)
                if use.when is not None:
                    ctx.set(use.when, pattern >> 3 + place & 1)
            turns = [ctx.get(use.en if use.when is None else use.when) for use in uses[:-1]]
            assert ctx.get(en) == any(ctx.get(use.en) for use in uses)
            assert ctx.get(address) == 5 + (turns.index(1) if 1 in turns else 2)

    simulate(m, bench, clocked=False)
    assert list(ports.counts) == ["weight.read.update", "weight.read.forward"]


@pytest.mark.parametrize("ahead", [False, True])
def test_a_read_takes_a_cycle_more_ahead(ahead):
    m, config = Module(), small()
    ports = Ports(m, config, config.units[0])
    store, use = ports.store("potential"), Use("forward", Signal(), Signal(4))
    ports.read("potential", store, use, first=1, ahead=ahead)

    async def bench(ctx):
        ctx.set(store.write, 77)
        ctx.set(store.write_address, 1)
        ctx.set(store.write_en, 1)
        await ctx.tick()
        ctx.set(store.write_en, 0)
        ctx.set(use.en, 1)
        ctx.set(use.address, 0)
        await ctx.tick()
        ctx.set(use.en, 0)
        ctx.set(use.address, 1)
        assert (ctx.get(store.read) == 77) == (not ahead)
        await ctx.tick()
        assert ctx.get(store.read) == 77

    simulate(m, bench)


def _counted(config, names):
    m = Module()
    ports = Ports(m, config, config.units[0])
    for name in names:
        ports.count(name, Signal())
    return ports


def test_every_counter_counts_something():
    config = small(hardware={"counters": True})
    unit = config.units[0]
    names = [name.removeprefix(f"{unit.path}.") for name in unit_counters(config, unit)]
    assert _counted(config, names).bank(Signal()).names == [f"{unit.path}.{name}" for name in names]
    for wrong, name in ((names[1:], names[0]), ([*names, "weight.read.never"], "weight.read.never")):
        with pytest.raises(AssertionError, match=rf"have no name: \['{unit.path}.{name}'\]"):
            _counted(config, wrong).bank(Signal())


def test_no_bank_without_counters():
    config = small(hardware={"counters": False})
    unit = config.units[0]
    names = [name.removeprefix(f"{unit.path}.") for name in unit_counters(config, unit)]
    assert _counted(config, names).bank(Signal()) is None


def test_two_sources_of_one_counter():
    config = small(hardware={"counters": True})
    unit, m = config.units[0], Module()
    ports = Ports(m, config, unit)
    sources = Signal(), Signal()
    for name in unit_counters(config, unit):
        for source in sources:
            ports.count(name.removeprefix(f"{unit.path}."), source)
    bank = ports.bank(Signal())

    async def bench(ctx):
        for first, second in ((0, 0), (0, 1), (1, 0)):
            ctx.set(sources[0], first)
            ctx.set(sources[1], second)
            assert {ctx.get(getattr(bank, bank.port(name))) for name in bank.names} == {first | second}

    simulate(m, bench)
