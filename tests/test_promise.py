"""Promises: kept or broken in a simulation, and nothing of them in what is generated."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeloom.gen.platform import MemoryPlatform
from spikeloom.rtl.promise import at_most_one, promise
from strategies import simulate


class Part(wiring.Component):
    """Promises that its two inputs are never high at once."""

    a: In(1)
    b: In(1)
    either: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.either.eq(self.a | self.b)
        promise(m, platform, at_most_one([self.a, self.b]), "one at a time")
        return m


@pytest.mark.parametrize("pairs, broken", [([(0, 0), (0, 1), (1, 0)], False), ([(0, 1), (1, 1)], True)])
def test_broken_or_kept(pairs, broken):
    dut = Part()

    async def bench(ctx):
        for a, b in pairs:
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            await ctx.tick()

    if broken:
        with pytest.raises(AssertionError, match="one at a time"):
            simulate(dut, bench)
    else:
        simulate(dut, bench)


def test_what_is_generated_has_no_promise():
    texts = [rtlil.convert(Part(), platform=platform, emit_src=False) for platform in (None, MemoryPlatform("part"))]
    assert ["$check" in text for text in texts] == [True, False]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_at_most_one(count):
    m, flags, found = Module(), Signal(count), Signal()
    m.d.comb += found.eq(at_most_one(flags))

    async def bench(ctx):
        for value in range(1 << count):
            ctx.set(flags, value)
            assert ctx.get(found) == (value.bit_count() <= 1)

    simulate(m, bench, clocked=False)
