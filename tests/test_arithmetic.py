"""Rounding and saturation: golden functions against their definitions over the rationals, gates against golden."""

import math
import operator
import random
from fractions import Fraction

import pytest
import torch
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, signed, unsigned
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.golden import arithmetic as golden
from spikeloom.golden.stages import tree_latency
from spikeloom.golden.steps.lif import leak as golden_leak
from spikeloom.rtl import arithmetic as rtl
from strategies import LEAKS, simulate, small

WIDE = st.lists(st.integers(-(1 << 46), (1 << 46) - 1), min_size=1, max_size=20)
BYTES = range(-128, 128)


def apply(function, values, *arguments):
    return function(torch.tensor(values), *arguments).tolist()


def rtl_function(build, rows, widths):
    """Combinational logic as a function: ``build(m, *signals)`` evaluated for each tuple of `rows`."""
    m, results = Module(), []
    inputs = [Signal(width, name=f"input_{place}") for place, width in enumerate(widths)]
    value = build(m, *inputs)
    output = Signal(value.shape())
    m.d.comb += output.eq(value)

    async def bench(ctx):
        for row in rows:
            for signal, stimulus in zip(inputs, row):
                ctx.set(signal, stimulus)
            await ctx.delay(1e-9)
            results.append(ctx.get(output))

    simulate(m, bench, clocked=False)
    return results


@given(WIDE, st.integers(2, 48))
def test_saturate(values, width):
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    assert apply(golden.saturate, values, width) == [max(low, min(high, x)) for x in values]


@given(WIDE, st.integers(-8, 30))
def test_shift_floor(values, shift):
    assert apply(golden.shift_floor, values, shift) == [math.floor(x / Fraction(2) ** shift) for x in values]


@given(WIDE, st.integers(-8, 30))
def test_shift_nearest(values, shift):
    half = Fraction(1, 2)
    assert apply(golden.shift_nearest, values, shift) == [math.floor(x / Fraction(2) ** shift + half) for x in values]


@given(WIDE, st.integers(-8, 30), st.integers(1, 15), st.integers(-(1 << 46), (1 << 46) - 1))
def test_shift_kept(values, shift, dropout, whole):
    kept = 1 - Fraction(dropout, 16)
    for own in (0, whole):
        assert apply(golden.shift_kept, values, shift, dropout, own) == [
            math.floor((x * kept + own) / Fraction(2) ** shift) for x in values]


@given(WIDE, st.integers(0, 16), st.integers(0, 65535))
def test_shift_stochastic(values, shift, word):
    fraction = Fraction(word % 2**shift, 2**shift)
    assert apply(golden.shift_stochastic, values, shift, word) == [
        math.floor(Fraction(x, 2**shift) + fraction) for x in values]


@pytest.mark.parametrize("rule", LEAKS.values(), ids=LEAKS)
@given(WIDE)
def test_leak(rule, values):
    factor = Fraction(rule["multiplier"], 2 ** rule["shift"]) if rule["form"] == "multiply" else None
    expected = [x - math.floor(Fraction(x, 2 ** rule["shift"])) if factor is None else math.floor(x * factor)
                for x in values]
    assert apply(golden_leak, values, small(neuron={"leak": rule}).neuron.leak.numbers) == expected


@given(WIDE, st.integers(2, 48))
def test_saturating_twice_changes_nothing_more(values, width):
    once = apply(golden.saturate, values, width)
    assert apply(golden.saturate, once, width) == once
    assert apply(golden.saturate, once, width + 1) == once


@given(WIDE, st.integers(0, 16), st.integers(0, 65535))
def test_every_rule_keeps_the_order(values, shift, word):
    """No rule gives a larger number less, and none is a whole unit away."""
    values = sorted(values)
    for rule, arguments in ((golden.shift_floor, (shift,)), (golden.shift_nearest, (shift,)),
                            (golden.shift_stochastic, (shift, word)), (golden.saturate, (12,))):
        found = apply(rule, values, *arguments)
        assert found == sorted(found)
        if rule is not golden.saturate:
            assert all(abs(y - Fraction(x, 2**shift)) < 1 for x, y in zip(values, found))


@pytest.mark.parametrize("rule", LEAKS.values(), ids=LEAKS)
@given(WIDE)
def test_a_leak_keeps_the_order_and_never_grows(rule, values):
    values = sorted(values)
    found = apply(golden_leak, values, small(neuron={"leak": rule}).neuron.leak.numbers)
    assert found == sorted(found)
    assert all(abs(y) <= abs(x) for x, y in zip(values, found))


@pytest.mark.parametrize("shift", [1, 4, 16])
@pytest.mark.parametrize("x", [-70000, -7, -1, 0, 5, 32767])
def test_stochastic_rounding_is_fair(x, shift):
    # Hermite: sum of floor((x + r) / n) over r = 0 .. n-1 is x. An LFSR shows every word but zero.
    words = torch.arange(1, 65536)
    total = golden.shift_stochastic(torch.tensor(x), shift, words).sum().item()
    assert total == x * 2 ** (16 - shift) - (x >> shift)


@pytest.mark.parametrize("width", [2, 5, 8, 9])
def test_rtl_saturate(width):
    rows = [(x,) for x in BYTES]
    assert rtl_function(lambda m, x: rtl.saturate(m, x, width, name="y"), rows, [signed(8)]) == \
        apply(golden.saturate, BYTES, width)


@pytest.mark.parametrize("name", ["shift_floor", "shift_nearest"])
@pytest.mark.parametrize("shift", [-3, -1, 0, 1, 3, 7, 8, 11])
def test_rtl_shift(name, shift):
    rows = [(x,) for x in BYTES]
    assert rtl_function(lambda m, x: getattr(rtl, name)(x, shift), rows, [signed(8)]) == \
        apply(getattr(golden, name), BYTES, shift)


@pytest.mark.parametrize("dropout", [1, 8, 11, 15])
@pytest.mark.parametrize("shift", [-6, -4, -1, 0, 3])
def test_rtl_shift_kept(shift, dropout):
    rows = [(x,) for x in BYTES]
    assert rtl_function(lambda m, x: rtl.shift_kept(m, x, shift, dropout, name="share"), rows, [signed(8)]) == \
        apply(golden.shift_kept, BYTES, shift, dropout)
    rows = [(x, y) for x in BYTES for y in (-128, -1, 0, 77, 127)]
    assert rtl_function(lambda m, x, y: rtl.shift_kept(m, x, shift, dropout, y, name="share"), rows,
                        [signed(8)] * 2) == [apply(golden.shift_kept, [x], shift, dropout, y)[0] for x, y in rows]


@pytest.mark.parametrize("constant", [0, 1, 3, 6, 7, 11, 23, 43, 85, 115, 171, 230, 255, 341, 1365, 43691])
def test_rtl_scale(constant):
    """Up to five signed digits as a sum, more of them by a multiplier; both with every sign of the sum's terms."""
    rows = [(x,) for x in BYTES]
    assert rtl_function(lambda m, x: rtl.scale(m, x, constant, name="scaled"), rows, [signed(8)]) == [
        x * constant for x in BYTES]


@pytest.mark.parametrize("constant", [1, 2, 3, 7, 11, 28, 171, 341, 800])
def test_rtl_times(constant):
    """Products for addresses, whatever the constant; no multiplication is left for synthesis to find."""
    m, x = Module(), Signal(6)
    m.d.comb += Signal(20, name="y").eq(rtl.times(x, constant))
    assert "$mul" not in rtlil.convert(m, ports=[x])
    rows = [(x,) for x in range(64)]
    assert rtl_function(lambda m, x: rtl.times(x, constant), rows, [unsigned(6)]) == [x * constant for x, in rows]


def test_eight_bits_have_few_digits():
    """So that a leak or a rate of eight bits never takes a multiplier."""
    assert max(len(rtl.signed_digits(constant)) for constant in range(1, 257)) == rtl.DIGITS


def test_signed_digits():
    for constant in [*range(1, 300), 43691, 65535]:
        digits = rtl.signed_digits(constant)
        places = [place for place, _ in digits]
        assert sum(sign << place for place, sign in digits) == constant
        assert digits[-1][1] == 1 and all(above - below > 1 for below, above in zip(places, places[1:]))


@pytest.mark.parametrize("shift", [0, 1, 5, 16])
def test_rtl_shift_stochastic(shift):
    values = random.Random(shift)
    rows = [(values.randrange(-2048, 2048), values.choice([0, 1, 65535, values.randrange(65536)])) for _ in range(200)]
    x, word = torch.tensor(rows).T
    assert rtl_function(lambda m, x, word: rtl.shift_floor(x + (word & rtl.fraction(shift)), shift), rows,
                        [signed(12), 16]) == \
        golden.shift_stochastic(x, shift, word).tolist()


@pytest.mark.parametrize("rule", [*LEAKS.values(), {"form": "shift", "shift": 12}], ids=[*LEAKS, "beyond-width"])
def test_rtl_leak(rule):
    config = small(neuron={"leak": rule})
    rows = [(x,) for x in BYTES]
    assert rtl_function(lambda m, x: rtl.leak(m, x, config.neuron.leak.numbers, name="leaked"), rows, [signed(8)]) == \
        apply(golden_leak, BYTES, config.neuron.leak.numbers)


def rtl_tree(rows):
    """Sums of `rows`, one per cycle, each taken `tree_latency` cycles after its row."""
    terms = [Signal(signed(6), name=f"term_{place}") for place in range(len(rows[0]))]
    m, results, latency = Module(), [], tree_latency(len(terms))
    total = rtl.adder_tree(m, terms, name="tree")
    output = Signal(total.shape())
    m.d.comb += output.eq(total)

    async def bench(ctx):
        for cycle in range(len(rows) + latency):
            if cycle >= latency:
                results.append(ctx.get(output))
            for term, value in zip(terms, rows[min(cycle, len(rows) - 1)]):
                ctx.set(term, value)
            await ctx.tick()

    simulate(m, bench)
    return results


@pytest.mark.parametrize("terms", [1, 2, 3, 4, 5, 7, 8, 16, 17])
def test_rtl_adder_tree(terms):
    # Extremes first: every level must have the bits of its sum.
    values = random.Random(terms)
    rows = [[-32] * terms, [31] * terms, *([values.randrange(-32, 32) for _ in range(terms)] for _ in range(30))]
    assert rtl_tree(rows) == [sum(row) for row in rows]


@pytest.mark.parametrize("width", [3, 18, 19, 36])
def test_rtl_multiply(width):
    """A product every cycle, two cycles later, and three where a multiplier does not take the factor whole."""
    x, y, m, source, found = Signal(signed(width)), Signal(signed(7)), Module(), random.Random(width), []
    output, latency = rtl.multiply(m, x, y, name="product"), 3 if width > 18 else 2
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    pairs = [(low, -64), (low, 63), (high, -64), (high, 63), (-1, -1), (0, 5),
             *((source.randint(low, high), source.randint(-64, 63)) for _ in range(50))]

    async def bench(ctx):
        for a, b in [*pairs, *[(0, 0)] * latency]:
            found.append(ctx.get(output))
            ctx.set(x, a)
            ctx.set(y, b)
            await ctx.tick()

    simulate(m, bench)
    assert found[latency:] == [a * b for a, b in pairs]


@pytest.mark.parametrize("count", [1, 2, 4, 5, 16, 20])
def test_rtl_select(count):
    """Every one of the values in its place, a cycle after the values stood there."""
    values, place, m = [Signal(signed(5)) for _ in range(count)], Signal(range(max(2, count))), Module()
    output = rtl.select(m, values, place, name="one")

    async def bench(ctx):
        for turn in range(2):
            for number, value in enumerate(values):
                ctx.set(value, (number + 7 * turn) % 32 - 16)
            for number in range(count):
                ctx.set(place, number)
                await ctx.tick()
                assert ctx.get(output) == (number + 7 * turn) % 32 - 16

    simulate(m, bench)


@pytest.mark.parametrize("terms, cycles", [(1, 1), (2, 1), (4, 1), (5, 2), (16, 2), (17, 3), (64, 3), (65, 4)])
def test_tree_latency(terms, cycles):
    assert tree_latency(terms) == cycles


@pytest.mark.parametrize("a, b, bound, expected", [
    # The largest sums of float32 and of float64, and the first that each cannot hold.
    ([1 << 23, (1 << 23) - 1], [1, 1], 1 << 24, (1 << 24) - 1),
    ([1 << 24, 1], [1, 1], (1 << 24) + 1, (1 << 24) + 1),
    ([1 << 52, (1 << 52) - 1], [-1, -1], 1 << 53, 1 - (1 << 53)),
    ([1 << 53], [-1], 1 << 53, -(1 << 53)),
])
def test_exact_matmul_at_the_edge(a, b, bound, expected):
    product = golden.exact_matmul(torch.tensor([a]), torch.tensor(b).unsqueeze(1), bound)
    assert product.dtype == torch.int64
    assert product.tolist() == [[expected]]


@given(st.integers(0, 1 << 31), st.integers(1, 26), st.integers(1, 20))
def test_exact_matmul(seed, bits, inner):
    source = torch.Generator().manual_seed(seed)
    a = torch.randint(-(1 << bits), 1 << bits, (3, inner), generator=source)
    b = torch.randint(-(1 << bits // 2), 1 << bits // 2, (inner, 4), generator=source)
    bound = inner << bits + bits // 2
    expected = [[sum(map(operator.mul, row, column)) for column in b.T.tolist()] for row in a.tolist()]
    assert golden.exact_matmul(a, b, bound).tolist() == expected


def test_exact_matmul_rejects_what_it_cannot_hold():
    with pytest.raises(OverflowError, match=r"^bound of an exact sum must be at most 2\*\*53, not 9007199254740993$"):
        golden.exact_matmul(torch.ones(1, 1), torch.ones(1, 1), (1 << 53) + 1)


@pytest.mark.parametrize("lanes, registers", [(1, 1), (4, 1), (5, 2), (13, 4), (40, 4)])
def test_copies_of_a_flag(lanes, registers):
    """A cycle later in every lane; lanes side by side share a register, and no two registers begin alike."""
    m, flag = Module(), Signal()
    found = rtl.copies(m, flag, lanes, name="copy")
    kinds = [(own.init, own.reset_less) for own in {own.name: own for own in found}.values()]
    assert len(kinds) == len(set(kinds)) == registers
    assert [own.name for own in found] == sorted(own.name for own in found)

    async def bench(ctx):
        for value in (1, 0, 0, 1, 1, 0):
            ctx.set(flag, value)
            await ctx.tick()
            assert {ctx.get(own) for own in found} == {value}

    simulate(m, bench)
