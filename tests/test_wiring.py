"""Every input of every part is driven: what nobody drives is its reset value for ever, and no tool complains."""

from functools import partial

import pytest
from amaranth.hdl import Fragment, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bench.draw import draw
from spikeloom.gen import presets
from spikeloom.rtl.core import Core
from spikeloom.rtl.host import HostedCore

#: Inputs that not every configuration needs; where they are not driven, the part does without them.
OPTIONAL = {
    ("BackwardPath", "stored"), ("BlockCore", "cycles"), ("ErrorUnit", "fired"), ("EventScan", "offset"),
    ("EventScan", "stay"), ("SpikeStore", "write_slot"), ("TapWalk", "x"), ("TapWalk", "y"), ("UnitCore", "count_en"),
    ("UnitCore", "count_word"), ("UpdatePath", "random"),
}


def fragments(fragment):
    yield fragment
    for below, *_ in fragment.subfragments:
        yield from fragments(below)


def undriven(top):
    """(class, member) of every input within `top` that no statement drives, and how many parts there are."""
    driven, parts = set(), []
    for fragment in fragments(Fragment.get(top, None)):
        for statements in fragment.statements.values():
            driven |= {id(signal) for statement in statements for signal in statement._lhs_signals()}
        parts += [origin for origin in fragment.origins or () if isinstance(origin, wiring.Component)]
    found = {(type(part).__name__, path[0]) for part in parts if part is not top
             for path, member, value in part.signature.flatten(part)
             if member.flow == In and len(Value.cast(value))
             and not any(id(signal) in driven for signal in Value.cast(value)._lhs_signals())}
    return found, len(parts)


@pytest.mark.parametrize("kind, config", [
    (Core, presets.find("tiny")), (Core, presets.find("gestures")),
    (partial(HostedCore, divisor=12), presets.find("tiny")), *((Core, draw(seed)) for seed in range(6))])
def test_every_input_is_driven(kind, config):
    found, parts = undriven(kind(config))
    assert parts > 20
    assert found <= OPTIONAL


def test_an_input_that_nobody_drives_is_found():
    class Part(wiring.Component):
        a: In(1)
        b: In(1)
        c: Out(1)

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.c.eq(self.a & self.b)
            return m

    class Whole(wiring.Component):
        c: Out(1)

        def elaborate(self, platform):
            m = Module()
            m.submodules.part = part = Part()
            m.d.comb += [part.a.eq(Signal()), self.c.eq(part.c)]
            return m

    assert undriven(Whole()) == ({("Part", "b")}, 2)
