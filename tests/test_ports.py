"""Ports of the memories of a unit: who reads, at which address, and what is counted."""

from dataclasses import replace

import pytest
from amaranth.hdl import Fragment, Module, Signal
from amaranth.lib import data

from spikeloom.golden.counters import unit_counters
from spikeloom.golden.states import unit_states
from spikeloom.rtl import ports
from spikeloom.rtl.ports import Ports, Use, counted, state_port
from spikeloom.rtl.registers import RegisterMap
from spikeloom.rtl.unit import UnitCore
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
    ports, uses = Ports(m, None, config, config.units[0]), _uses(("update", "forward", ""), whens)
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


def _memory(config, unit, name):
    """The port of a memory, and a layout of its size."""
    return state_port(config, unit, name).signature.create(), data.ArrayLayout(
        1, unit_states(config, unit)[name].memory.width)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_read_takes_a_cycle_more_ahead(ahead):
    m, config = Module(), small()
    ports = Ports(m, None, config, config.units[0])
    port, layout = _memory(config, config.units[0], "potential")
    use = Use("forward", Signal(), Signal(4))
    ports.store("potential", port, layout)
    ports.read("potential", port, use, first=1, ahead=ahead)

    async def bench(ctx):
        ctx.set(port.write, 77)
        ctx.set(port.write_address, 1)
        ctx.set(port.write_en, 1)
        await ctx.tick()
        ctx.set(port.write_en, 0)
        ctx.set(use.en, 1)
        ctx.set(use.address, 0)
        await ctx.tick()
        ctx.set(use.en, 0)
        ctx.set(use.address, 1)
        assert (ctx.get(port.read) == 77) == (not ahead)
        await ctx.tick()
        assert ctx.get(port.read) == 77

    simulate(m, bench)


def test_two_readers_at_once():
    m, config = Module(), small()
    ports, uses = Ports(m, None, config, config.units[0]), _uses(("update", "forward", ""), ())
    ports.choose("weight", *uses)

    async def bench(ctx):
        for turn in (1, 2, 4, 0, 3):
            for place, use in enumerate(uses):
                ctx.set(use.en, turn >> place & 1)
            await ctx.tick()

    with pytest.raises(AssertionError, match="one at a time reads weight"):
        simulate(m, bench)


@pytest.mark.parametrize("name", ["potential", "window", "error", "weight", "count", "velocity", "gradient"])
def test_a_word_of_another_size_than_declared(name, monkeypatch):
    """A state that is declared a bit wider stops the generation."""
    momentum = {"multiplier": 14, "shift": 4, "width": 14}
    config = small(update={"momentum": momentum} if name in ("velocity", "gradient") else {})
    unit = config.units[1]
    core = UnitCore(config, unit, None, RegisterMap(config).of(unit.block, unit.index), seeds=[], depth=4)
    Fragment.get(core, None)
    right = ports.unit_states

    def wrong(*args):
        found = right(*args)
        memory = found[name].memory
        return found | {name: replace(found[name], memory=memory._replace(width=memory.width + 1))}

    monkeypatch.setattr(ports, "unit_states", wrong)
    width = right(config, unit)[name].memory.width
    with pytest.raises(AssertionError, match=f"{name}_store has {width + 1} bits as declared, and {width} as used"):
        Fragment.get(core, None)


def _counted(config, names):
    m = Module()
    ports = Ports(m, None, config, config.units[0])
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


def test_a_part_tells_what_it_counts():
    config, m = small(), Module()
    ports, uses = Ports(m, None, config, config.units[0]), _uses(("forward",), ())
    flags = Signal(counted(config, config.units[0], "potential").shape)
    ports.choose("potential", *uses)
    with pytest.raises(AssertionError, match=r"have no name: \['potential.write.forward'\]"):
        ports.tell(flags)
    write = Signal()
    ports.count("potential.write.forward", write)
    ports.tell(flags)
    unit = Ports(m, None, config, config.units[0])
    unit.take(flags)

    async def bench(ctx):
        for read, wrote in ((0, 0), (0, 1), (1, 0), (1, 1)):
            ctx.set(uses[0].en, read)
            ctx.set(write, wrote)
            (told_read,), (told_write,) = (unit.counts[f"potential.{access}.forward"] for access in ("read", "write"))
            assert (ctx.get(told_read), ctx.get(told_write)) == (read, wrote)

    simulate(m, bench, clocked=False)


def test_two_sources_of_one_counter():
    config = small(hardware={"counters": True})
    unit, m = config.units[0], Module()
    ports = Ports(m, None, config, unit)
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
            await ctx.tick()
        ctx.set(sources[1], 1)
        await ctx.tick()

    with pytest.raises(AssertionError, match=r"one at a time adds to cycles\.forward"):
        simulate(m, bench)
