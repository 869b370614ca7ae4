"""The LIF unit equals its golden steps, bit for bit."""

import random
from itertools import zip_longest

import pytest
import torch

from spikeloom.golden.arithmetic import shift_floor
from spikeloom.golden.neuron import codes, fired, potential_steps
from spikeloom.rtl.lif import Lif
from strategies import LEAKS, SURROGATES, simulate, small

STEPS, TOTAL_WIDTH = 48, 14


def one_interval(steps=STEPS, **changes):
    """Nine-bit potentials with five fraction bits, all steps in one interval."""
    return small(time={"steps": steps, "interval": steps},
                 numbers={"potential": {"width": 9, "fraction": 5}, "error": {"width": 16, "fraction": 4}}, **changes)


def rtl_lif(config, stored, totals, align=0, idle=()):
    """``(potential, spike, code)`` of each step; `idle` cycles stand between the two halves of the first steps."""
    dut, results = Lif(config.units[0].neuron, total_width=TOTAL_WIDTH, align=align), []

    async def bench(ctx):
        ctx.set(dut.stored, stored)
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        for total, pause in zip_longest(totals, idle[:len(totals)], fillvalue=0):
            ctx.set(dut.decay, 1)
            await ctx.tick()
            ctx.set(dut.decay, 0)
            for _ in range(pause):
                await ctx.tick()
            ctx.set(dut.integrate, 1)
            ctx.set(dut.total, total)
            await ctx.tick()
            ctx.set(dut.integrate, 0)
            results.append((ctx.get(dut.potential), ctx.get(dut.spike), ctx.get(dut.code)))

    simulate(dut, bench)
    return results


def golden_lif(config, stored, totals, align=0):
    n, currents = config.units[0].neuron, shift_floor(torch.tensor(totals).unsqueeze(1), -align)
    u = potential_steps(torch.tensor([stored]), currents, n, len(totals)).squeeze(1)
    return list(zip(u.tolist(), fired(u, n).long().tolist(), codes(u, n).tolist()))


def totals_of(source, steps, scale):
    """Sums that wander, with a few at the ends of their range: the potential meets both of its own."""
    top = 1 << (TOTAL_WIDTH - 1)
    return [source.choice([source.randint(-scale, scale)] * 6 + [-top, top - 1]) for _ in range(steps)]


@pytest.mark.parametrize("align", [-3, 0, 2])
@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("compare", [">=", ">"])
@pytest.mark.parametrize("reset", ["subtract", "subtract-before-leak", "zero", "none"])
def test_rtl_equals_golden(reset, compare, leak, align):
    config = one_interval(neuron={
        "leak": LEAKS[leak], "reset": reset, "compare": compare, "reset_error": reset.startswith("subtract")})
    source = random.Random(f"{reset} {compare} {leak} {align}")
    stored = source.randint(-256, 255)
    totals = totals_of(source, STEPS, 40 << max(0, -align))
    totals[5:7] = [-(1 << (TOTAL_WIDTH - 1)), (1 << (TOTAL_WIDTH - 1)) - 1]  # both ends occur in every case
    expected = golden_lif(config, stored, totals, align)
    assert {-256, 255} <= {potential for potential, _, _ in expected}
    assert rtl_lif(config, stored, totals, align, idle=[source.randrange(3) for _ in range(10)]) == expected


@pytest.mark.parametrize("shape", SURROGATES)
def test_code_of_every_potential(shape):
    # With nothing leaking and no reset, the stored potential itself is the next one.
    config = one_interval(steps=1, surrogate=SURROGATES[shape], neuron={
        "leak": LEAKS["all-left"], "reset": "none", "reset_error": False})
    dut, found = Lif(config.units[0].neuron, total_width=TOTAL_WIDTH, align=0), []
    potentials = range(-256, 256)

    async def bench(ctx):
        ctx.set(dut.load, 1)
        ctx.set(dut.decay, 1)
        ctx.set(dut.integrate, 1)
        for u in [*potentials, 0, 0, 0]:  # three cycles from `stored` to `code`
            ctx.set(dut.stored, u)
            found.append(ctx.get(dut.code))
            await ctx.tick()

    simulate(dut, bench)
    expected = codes(torch.tensor(potentials), config.units[0].neuron).tolist()
    assert found[3:] == expected
    assert set(expected) == {0, *config.surrogate.codes}


@pytest.mark.parametrize("shape, u, code", [
    ("rectangle", 0, 0), ("rectangle", 1, 1), ("rectangle", 31, 1), ("rectangle", 32, 0),   # the window is open
    ("triangle", 16, 7), ("triangle", 23, 7), ("triangle", 24, 5), ("triangle", 0, 3), ("triangle", 47, 1),
    ("triangle", 48, 0),                                                                    # eight units per bin
    ("table", 9, 9), ("table", 8, 0), ("table", 31, 0), ("table", 32, 255), ("table", 47, 1), ("table", 55, 6),
    ("table", 56, 0),
])
def test_codes_by_hand(shape, u, code):
    """Threshold 16 in units of 2**-5; bins of `SURROGATES` by hand."""
    config = one_interval(surrogate=SURROGATES[shape])
    assert codes(torch.tensor([u]), config.units[0].neuron).tolist() == [code]


WIDE = {"numbers": {"potential": {"width": 12, "fraction": 9}, "error": {"width": 12, "fraction": 4}},
        "surrogate": {"shape": "rectangle", "width": 2.0}, "time": {"steps": 1, "interval": 1}}


@pytest.mark.parametrize("neuron, stored, total, expected", [
    ({}, 0, 512, (512, 1, 1)),                                # reaches the threshold: fires, inside the window
    ({"compare": ">"}, 0, 512, (512, 0, 1)),                  # only reaches it
    ({}, 0, 1024, (1024, 1, 0)),                              # the window is open: its edge is outside
    ({}, 0, 1, (1, 0, 1)),                                    # the first potential inside on the other side
    ({}, 2047, 8191, (2047, 1, 0)),                           # saturates instead of wrapping
    ({}, -2048, -8192, (-2048, 0, 0)),
    ({}, -1, 0, (-1, 0, 0)),                                  # the leak floors: -0.9 becomes -1
    ({}, 512, 0, (-52, 0, 0)),                                # 460 is left, 512 subtracted after the leak
    ({"reset": "subtract-before-leak"}, 512, 3, (3, 0, 1)),   # nothing is left to leak
    ({"reset": "subtract-before-leak"}, 612, 0, (89, 0, 1)),  # floor(100 * 230 / 256)
    ({"reset": "zero", "reset_error": False}, 2000, 7, (7, 0, 1)),
    ({"reset": "none", "reset_error": False}, 512, 0, (460, 0, 1)),
    ({"compare": ">"}, 512, 0, (460, 0, 1)),                  # did not fire: no reset
    ({"leak": {"form": "shift", "shift": 3}}, -9, 0, (-7, 0, 0)),  # -9 - floor(-9 / 8)
])
def test_by_hand(neuron, stored, total, expected):
    config = small(**WIDE, neuron={"threshold": 1.0, "reset_amount": 1.0, **neuron})
    assert golden_lif(config, stored, [total]) == [expected]
    assert rtl_lif(config, stored, [total]) == [expected]


def test_the_largest_reset_does_not_saturate_on_its_own():
    # 512 decays to 460, and the largest theta leaves -1587; only the sum with the current saturates.
    config = small(**WIDE, neuron={"threshold": 1.0, "reset_amount": 2047 / 512})
    assert golden_lif(config, 512, [-1000]) == rtl_lif(config, 512, [-1000]) == [(-2048, 0, 0)]
    assert golden_lif(config, 512, [1587]) == rtl_lif(config, 512, [1587]) == [(0, 0, 0)]


def test_total_width_must_be_positive():
    with pytest.raises(ValueError, match=r"^total_width must be positive, not 0$"):
        Lif(small().units[0].neuron, total_width=0, align=0)
