"""Random bits: the whole cycle, and the registers that walk it."""

import random
from itertools import pairwise

import pytest
from amaranth.hdl import ResetInserter, Signal

from spikeloom.golden.lfsr import MASK, PERIOD, Lfsr, lane_seeds, leap, step
from spikeloom.rtl.lfsr import LaneLfsr
from strategies import simulate


def rtl_lfsr(seeds, cycles):
    """States of all lanes after each cycle of ``(advance, None or (lane, state))``."""
    dut, states = LaneLfsr(seeds), []

    async def bench(ctx):
        for advance, load in cycles:
            lane, state = load or (0, 0xFFFF)  # without `load` the port must have no effect
            ctx.set(dut.advance, advance)
            ctx.set(dut.load, load is not None)
            ctx.set(dut.load_lane, lane)
            ctx.set(dut.load_state, state)
            await ctx.tick()
            states.append([ctx.get(dut.random[place]) for place in range(len(seeds))])

    simulate(dut, bench)
    return states


def test_polynomial():
    # x^16 + x^15 + x^13 + x^4 + 1, shifted right: term x^n is bit n-1.
    assert sum(1 << (power - 1) for power in (16, 15, 13, 4)) == MASK


@pytest.mark.parametrize("advance", [step, leap])
def test_period(advance):
    state, seen = 1, set()
    while state not in seen:
        seen.add(state)
        state = advance(state)
    assert (state, len(seen), 0 in seen) == (1, PERIOD, False)


def test_draw_continues_where_it_stopped():
    whole, parts = Lfsr([1, 0xBEEF]), Lfsr([1, 0xBEEF])
    drawn = whole.draw(7).tolist()
    assert drawn[0] == [1, 0xBEEF]
    assert all(after == [leap(s) for s in before] for before, after in pairwise(drawn))
    assert parts.draw(0).tolist() + parts.draw(3).tolist() + parts.draw(4).tolist() == drawn
    assert parts.state == whole.state == [leap(s) for s in drawn[-1]]


def test_rtl_leaps():
    # A leap is linear over GF(2): sixteen states with one bit each decide it for all.
    seeds = [1 << bit for bit in range(16)]
    assert rtl_lfsr(seeds, [(1, None)] * 50) == Lfsr([leap(s) for s in seeds]).draw(50).tolist()


def test_rtl_advances_on_request_and_loads_one_lane():
    source, seeds = random.Random(1), lane_seeds(77, 3, 0)
    cycles = [(source.randrange(2), source.choice([None, None, (source.randrange(3), source.randrange(1, 65536))]))
              for _ in range(300)]
    state, expected = list(seeds), []
    for advance, load in cycles:
        if advance:
            state = [leap(s) for s in state]
        if load:
            state[load[0]] = load[1]
        expected.append(list(state))
    assert rtl_lfsr(seeds, cycles) == expected


def test_rtl_reset_restores_the_seeds():
    reset, dut, seen = Signal(), LaneLfsr([5, 6]), []

    async def bench(ctx):
        ctx.set(dut.advance, 1)
        for value in (0, 0, 1, 0):
            ctx.set(reset, value)
            await ctx.tick()
            seen.append([ctx.get(dut.random[lane]) for lane in (0, 1)])

    simulate(ResetInserter(reset)(dut), bench)
    once = [leap(5), leap(6)]
    assert seen == [once, [leap(s) for s in once], [5, 6], once]


@pytest.mark.parametrize("seed", [1, 0xACE1, 65535])
def test_lane_seeds(seed):
    units = [lane_seeds(seed, lanes, salt) for salt in range(20) for lanes in (1, 2, 33, 256)]
    assert all(1 <= state <= PERIOD for unit in units for state in unit)
    assert all(len(set(unit)) == len(unit) for unit in units)
    for lanes in (*range(1, 34), 60, 64, 105, 128, 255, 256):
        every = [state for salt in range(255) for state in lane_seeds(seed, lanes, salt)]
        assert len(set(every)) == 255 * lanes
    assert lane_seeds(seed, 1, 0) == [seed]


@pytest.mark.parametrize("seed", [0, 65536, -1])
def test_a_seed_outside_the_cycle(seed):
    with pytest.raises(ValueError, match=rf"^LFSR seed must be in 1\.\.65535, not {seed}$"):
        LaneLfsr([1, seed])
