"""The error unit equals its golden steps, bit for bit."""

import random

import pytest
import torch

from spikeloom.golden.neuron import error_steps
from spikeloom.rtl.error import ErrorUnit
from strategies import LEAKS, SURROGATES, simulate, small

STEPS, WIDTH = 32, 10

#: Reset, and whether the error flows through it.
RESETS = [("subtract", True), ("subtract", False), ("subtract-before-leak", True), ("subtract-before-leak", False),
          ("zero", False), ("none", False)]


def one_interval(steps=STEPS, **changes):
    return small(time={"steps": steps, "interval": steps},
                 numbers={"error": {"width": WIDTH, "fraction": 3}}, **changes)


def golden_error(config, delta, codes, fired):
    steps = (torch.tensor(values).unsqueeze(1) for values in (delta, codes, fired))
    delta, codes, fired = steps
    return error_steps(delta, codes, fired.bool(), config.units[0].neuron).squeeze(1).tolist()


def rtl_error(config, delta, codes, fired, idle=(), slice_steps=STEPS):
    """Errors of the steps in order, although computed from the last; `idle` cycles as in the LIF test.

    Every `slice_steps` steps the error of the later step comes from memory, and the lane holds another.
    """
    dut, results = ErrorUnit(config.units[0].neuron, delta_width=WIDTH, resumes=len(codes) > slice_steps), []

    async def bench(ctx):
        # What an interval before has left behind must not pass its border.
        ctx.set(dut.finish, 1)
        ctx.set(dut.delta, 100)
        ctx.set(dut.code, config.surrogate.codes[-1])
        await ctx.tick()
        assert ctx.get(dut.error) > 0
        ctx.set(dut.finish, 0)
        for place, step in enumerate(reversed(range(len(codes)))):
            if place and place % slice_steps == 0:
                ctx.set(dut.finish, 1)
                await ctx.tick()
                ctx.set(dut.finish, 0)
            ctx.set(dut.restart, place % slice_steps == 0)
            ctx.set(dut.stored, results[0] if results else 0)
            ctx.set(dut.carry, 1)
            await ctx.tick()
            ctx.set(dut.carry, 0)
            for _ in range(idle[place] if place < len(idle) else 0):
                await ctx.tick()
            ctx.set(dut.finish, 1)
            ctx.set(dut.delta, delta[step])
            ctx.set(dut.code, codes[step])
            ctx.set(dut.fired, fired[step])
            await ctx.tick()
            ctx.set(dut.finish, 0)
            results.insert(0, ctx.get(dut.error))

    simulate(dut, bench)
    return results


def stimulus(config, source, scale):
    top = 1 << (WIDTH - 1)
    delta = [source.choice([source.randint(-scale, scale)] * 4 + [-top, top - 1]) for _ in range(STEPS)]
    codes = [source.choice([0, *config.surrogate.codes]) for _ in range(STEPS)]
    # Both ends of the range, each out of a run of equal errors through the largest code.
    delta[3:9] = [-top] * 6
    delta[20:26] = [top - 1] * 6
    codes[3:9] = codes[20:26] = [max(config.surrogate.codes)] * 6
    return delta, codes, [source.randrange(2) for _ in range(STEPS)]


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("reset, reset_error", RESETS)
def test_rtl_equals_golden(reset, reset_error, leak):
    config = one_interval(neuron={"leak": LEAKS[leak], "reset": reset, "reset_error": reset_error})
    source = random.Random(f"{reset} {reset_error} {leak}")
    given = stimulus(config, source, 60)
    expected = golden_error(config, *given)
    assert rtl_error(config, *given, idle=[source.randrange(3) for _ in range(10)]) == expected
    assert rtl_error(config, *given, slice_steps=3) == expected
    assert {-512, 511} <= set(expected)


@pytest.mark.parametrize("reset, reset_error", [("subtract", True), ("zero", False)])
@pytest.mark.parametrize("shape", SURROGATES)
def test_rtl_equals_golden_for_every_surrogate(shape, reset, reset_error):
    config = one_interval(surrogate=SURROGATES[shape], neuron={"reset": reset, "reset_error": reset_error})
    given = stimulus(config, random.Random(shape), 20)
    expected = golden_error(config, *given)
    assert rtl_error(config, *given) == expected
    assert len(set(expected)) > 8  # not all saturated, not all zero


HALF = {"leak": {"form": "multiply", "multiplier": 1, "shift": 1}}


@pytest.mark.parametrize("neuron, surrogate, delta, codes, fired, expected", [
    # The last step comes first: 16, then nothing of its own and half of that, then 16 and half again.
    ({"reset": "none", "reset_error": False}, "rectangle", [16, 16, 16], [1, 0, 1], [0, 1, 0], [20, 8, 16]),
    ({"reset": "zero", "reset_error": False}, "rectangle", [16, 16, 16], [1, 0, 1], [0, 1, 0], [16, 0, 16]),
    # theta = 0.5 takes half of the later error away, before the window.
    ({"reset": "subtract"}, "rectangle", [16, 16, 16], [1, 0, 1], [0, 0, 0], [16, 8, 16]),
    ({"reset": "subtract"}, "rectangle", [16, 16, 17], [1, 1, 1], [0, 0, 0], [16, 16, 17]),    # 16 - 8 + 8
    ({"reset": "subtract"}, "rectangle", [0, 0, -3], [1, 1, 1], [0, 0, 0], [0, 0, -3]),        # - floor(-1.5) - 2
    ({"reset": "subtract", "reset_error": False}, "rectangle", [0, 0, -3], [1, 1, 1], [0, 0, 0], [-1, -2, -3]),
    # Before the leak only half of theta arrives: 16 - 4 + 8.
    ({"reset": "subtract-before-leak"}, "rectangle", [0, 16, 16], [0, 1, 1], [0, 0, 0], [10, 20, 16]),
    ({"reset": "none", "reset_error": False}, "rectangle-wide", [-3], [1], [0], [-1]),         # floor(-3 / 4)
    ({"reset": "none", "reset_error": False}, "rectangle-narrow", [-3], [1], [0], [-12]),
    ({"reset": "none", "reset_error": False}, "table", [5, -5], [9, 255], [0, 0], [-75, -160]),  # 5 - 80; -159.4
    ({"reset": "none", "reset_error": False}, "table", [511], [255], [0], [511]),               # saturates
])
def test_by_hand(*, neuron, surrogate, delta, codes, fired, expected):
    config = one_interval(len(codes), neuron={**HALF, "threshold": 0.5, "reset_amount": 0.5, **neuron},
                          surrogate=SURROGATES[surrogate])
    assert golden_error(config, delta, codes, fired) == expected
    assert rtl_error(config, delta, codes, fired) == expected


def test_one_delta_serves_all_steps():
    config = one_interval(3, neuron=HALF)
    assert golden_error(config, [7], [1, 1, 1], [0, 0, 0]) == golden_error(config, [7, 7, 7], [1, 1, 1], [0, 0, 0])


def test_delta_width_must_be_positive():
    with pytest.raises(ValueError, match=r"^delta_width must be positive, not 0$"):
        ErrorUnit(small().units[0].neuron, delta_width=0)
