"""The bank of violation flags against a plain count."""

import random

import pytest

from spikeloom.rtl.violations import COUNT_BITS, ViolationBank, violation_layout, violations
from strategies import simulate, small

SIZE = 3


def test_flags_and_counts_until_they_are_cleared():
    dut, source = ViolationBank(SIZE), random.Random(0)
    flags, counts, before = [0] * SIZE, [0] * SIZE, 0

    async def bench(ctx):
        nonlocal before
        for _ in range(300):
            found, clear = source.randrange(8), source.choice([0, 0, 0, source.randrange(8)])
            ctx.set(dut.found, found)
            ctx.set(dut.clear, clear)
            await ctx.tick()
            for place in range(SIZE):
                if clear >> place & 1:
                    flags[place] = counts[place] = 0
                flags[place] |= found >> place & 1
                counts[place] += found >> place & 1
            assert [ctx.get(dut.flags) >> place & 1 for place in range(SIZE)] == flags
            assert [ctx.get(dut.counts[place]) for place in range(SIZE)] == counts
            assert ctx.get(dut.error) == before
            before = int(any(flags))

    simulate(dut, bench)


def test_counts_saturate():
    dut, top = ViolationBank(1), (1 << COUNT_BITS) - 1

    async def bench(ctx):
        ctx.set(dut.found, 1)
        await ctx.tick().repeat(top - 1)
        assert ctx.get(dut.counts[0]) == top - 1
        await ctx.tick().repeat(3)
        assert ctx.get(dut.counts[0]) == top

    simulate(dut, bench)


@pytest.mark.parametrize("config, kinds", [
    (small(), ["short", "long", "stray", "label"]),
    (small(input={"kind": "events", "shape": (2, 3, 1), "size": None, "bits": 1, "fraction": 0}),
     ["short", "stray", "place", "label"]),
])
def test_kinds(config, kinds):
    assert list(violations(config)) == list(violation_layout(config).members) == kinds
