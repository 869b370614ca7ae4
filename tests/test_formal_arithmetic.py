"""Rounding and saturation as gates, proved for every operand, against what the words of docs/arithmetic.md say.

The statements know nothing of shifts by wires, of digits or of carries: they are inequalities between products.
"""

from amaranth.hdl import Assert, Cat, Module, Mux, ResetSignal, Signal, signed

from formal import Verdict, check, without_reset
from spikeloom.golden.parts.leak import Leak
from spikeloom.golden.stages import tree_latency
from spikeloom.rtl.arithmetic import (
    adder_tree,
    half,
    leak,
    saturate,
    scale,
    shift_floor,
    shift_kept,
    shift_nearest,
    times,
)

WIDTH = 12


def verdict(*claims, width=WIDTH, some=False):
    """What becomes of ``claim(m, x)`` for every `x`; with `some`, whether there is a claim that always holds.

    Each has an `x` of its own, so that the second is refuted only if every single claim can fail.
    """
    m, inputs, results = Module(), [], []
    for place, claim in enumerate(claims):
        inputs.append(Signal(signed(width), name=f"x_{place}"))
        results.append(Cat(claim(m, inputs[-1])).all())
    m.d.comb += Assert(Cat(results).any() if some else Cat(results).all())
    return check(m, inputs, depth=1)


def floor_of(product, y, shift):
    """``y = floor(product / 2**shift)`` says: y * 2**shift <= product < (y + 1) * 2**shift."""
    return [y * (1 << shift) <= product, product < (y + 1) * (1 << shift)]


def nearest_to(x, y, shift):
    """`y` is as near as half a unit, and at exactly half it is the one above."""
    distance = 2 * (x - y * (1 << shift))
    return [-(1 << shift) <= distance, distance < (1 << shift)]


def test_saturate():
    def claim(width, more=0):
        low, high = -(1 << width - 1), (1 << width - 1) - 1 + more
        return lambda m, x: [
            saturate(m, x, width, name=f"y_{width}") == Mux(x < low, low, Mux(x > high, high, x))]

    widths = [1, 2, 7, WIDTH - 1, WIDTH, WIDTH + 3]
    assert verdict(*(claim(width) for width in widths)) is Verdict.BOUNDED
    # A limit that is one too high is noticed, where there is one.
    assert verdict(*(claim(width, 1) for width in widths if width < WIDTH), some=True) is Verdict.REFUTED


def test_shift_floor():
    def claim(shift, amiss=0):
        if shift < 0:
            return lambda m, x: [shift_floor(x, shift) + amiss == x * (1 << -shift)]
        return lambda m, x: floor_of(x, shift_floor(x, shift) + amiss, shift)

    shifts = range(-2, WIDTH + 3)
    assert verdict(*(claim(shift) for shift in shifts)) is Verdict.BOUNDED
    assert verdict(*(claim(shift, 1) for shift in shifts), some=True) is Verdict.REFUTED


def test_shift_nearest():
    def claim(shift, rule=shift_nearest):
        if shift <= 0:
            return lambda m, x: [rule(x, shift) == x * (1 << -shift)]
        return lambda m, x: nearest_to(x, rule(x, shift), shift)

    shifts = range(-2, WIDTH + 3)
    assert verdict(*(claim(shift) for shift in shifts)) is Verdict.BOUNDED
    # The floor is not the nearest, and halves that go downwards are none that go upwards (more than `WIDTH` has none).
    wrong = [claim(shift, rule) for shift in shifts if 0 < shift <= WIDTH for rule in (
        shift_floor, lambda x, shift: shift_floor(x + half(shift) - 1, shift))]
    assert verdict(*wrong, some=True) is Verdict.REFUTED


def test_leak():
    def claim(place, form, multiplier, shift, amiss=0):
        rule = Leak(form == "shift", multiplier, shift)

        def own(m, x):
            y = leak(m, x, rule, name=f"y_{place}")
            if form == "shift":
                return floor_of(x, x - y + amiss, shift)
            return floor_of(x * multiplier, y + amiss, shift)

        return own

    rules = [("shift", None, shift) for shift in (1, 4, WIDTH)]
    rules += [("multiply", multiplier, 8) for multiplier in (0, 1, 85, 171, 230, 255, 256)] + [("multiply", 4, 2)]
    assert verdict(*(claim(place, *rule) for place, rule in enumerate(rules))) is Verdict.BOUNDED
    assert verdict(*(claim(place, *rule, 1) for place, rule in enumerate(rules)), some=True) is Verdict.REFUTED


def test_shift_kept():
    def claim(dropout, shift, amiss=0):
        return lambda m, x: floor_of(
            x * (16 - dropout), shift_kept(m, x, shift, dropout, name=f"y_{dropout}_{shift}") + amiss, shift + 4)

    cases = [(dropout, shift) for dropout in (1, 8, 15) for shift in (0, 3)]
    assert verdict(*(claim(*case) for case in cases)) is Verdict.BOUNDED
    assert verdict(*(claim(*case, 1) for case in cases), some=True) is Verdict.REFUTED


def test_products_with_constants():
    """Sums of shifted copies, beside the product itself."""
    def claim(constant, unsigned=False, amiss=0):
        def own(m, x):
            x = x.as_unsigned() if unsigned else x
            product = x * constant + amiss
            return [scale(m, x, constant, name=f"y_{constant}_{unsigned}") == product, times(x, constant) == product]

        return own

    cases = [(constant, unsigned) for constant in (1, 2, 3, 7, 85, 171, 231) for unsigned in (False, True)]
    assert verdict(*(claim(*case) for case in cases)) is Verdict.BOUNDED
    assert verdict(*(claim(*case, 1) for case in cases), some=True) is Verdict.REFUTED


def test_adder_tree():
    """The sum of what went in, as many cycles ago as the schedule says."""
    def tree(late):
        m, inputs, right, age = Module(), [], [], Signal(4)
        without_reset(m)
        m.d.sync += age.eq(age + 1)
        for terms in (1, 2, 3, 5, 8):
            inputs += (values := [Signal(signed(4), name=f"term_{terms}_{i}") for i in range(terms)])
            total = sum(values[1:], values[0])
            for stage in range(tree_latency(terms) + late):
                delayed = Signal(total.shape(), name=f"sum_{terms}_{stage}")
                m.d.sync += delayed.eq(total)
                total = delayed
            right.append(adder_tree(m, values, name=f"tree_{terms}") == total)
        m.d.comb += Assert(ResetSignal() | (age < 6) | (Cat(right).any() if late else Cat(right).all()))
        return check(m, inputs, depth=8)

    assert tree(0) is Verdict.BOUNDED
    assert tree(1) is Verdict.REFUTED
