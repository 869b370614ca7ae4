"""Registers that are nodes of the bus: what stands in their address above the place in the region is of no account."""

import pytest
from amaranth.hdl import Module, Signal

from spikeloom.golden.units import clog2
from spikeloom.rtl.lfsr import LaneLfsr
from spikeloom.rtl.nodes import Access, lfsr_node
from strategies import simulate


@pytest.mark.parametrize("lanes, base", [(1, 0), (1, 1), (1, 6), (2, 4), (2, 6), (3, 4), (3, 12), (4, 8)])
def test_states_of_lanes_wherever_the_region_lies(lanes, base):
    """A region has as many addresses as the power of two that holds its lanes, and begins at a multiple of it."""
    m, seeds = Module(), list(range(100, 100 + lanes))
    m.submodules.lfsr = lfsr = LaneLfsr(seeds)
    access = Access(Signal(), {"lfsr": Signal()}, {"lfsr": clog2(lanes)}, Signal(), Signal(4), Signal(32))
    ack, answer = lfsr_node(m, access, "lfsr", lfsr, lfsr.random.as_value())
    acked = Signal()
    m.d.comb += acked.eq(ack)

    async def go(ctx, place, data=None):
        for signal, value in ((access.valid, 1), (access.select["lfsr"], 1), (access.write, data is not None),
                              (access.address, base + place), (access.data, data or 0)):
            ctx.set(signal, value)
        await ctx.tick()
        ctx.set(access.valid, 0)
        assert ctx.get(acked)
        got = ctx.get(answer)
        await ctx.tick()
        assert not ctx.get(acked)
        return got

    async def bench(ctx):
        assert [await go(ctx, lane) for lane in range(lanes)] == seeds
        for lane in range(lanes):
            await go(ctx, lane, 7 + lane)
        assert [await go(ctx, lane) for lane in range(lanes)] == [7 + lane for lane in range(lanes)]

    simulate(m, bench)
