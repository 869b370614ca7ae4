"""Every rounding and saturation rule, as gates. Twins of `golden.arithmetic`, function by function."""

from amaranth.hdl import Cat, Const, Mux, Signal, signed

from ..golden.parts.dropout import DROPOUT_BITS
from ..golden.stages import FACTOR_BITS

__all__ = ["adder_tree", "copies", "fraction", "half", "kept", "leak", "multiply", "register", "saturate", "scale",
           "select", "shift_floor", "shift_kept", "shift_nearest", "signed_digits", "times"]

#: A product with a constant of more digits is left to a multiplier; no constant of eight bits has more.
DIGITS = 5


def saturate(m, x, width, *, name):
    """Clamp `x` to `width`-bit two's complement: all bits above the sign must equal it."""
    value = Signal.like(x, name=f"{name}_wide")
    m.d.comb += value.eq(x)
    y = Signal(signed(width), name=name)
    if len(value) <= width:
        m.d.comb += y.eq(value)
        return y
    top, sign = (1 << (width - 1)) - 1, value[-1]
    fits = (value[width - 1:] == 0) | value[width - 1:].all()
    m.d.comb += y.eq(Mux(fits, value[:width].as_signed(), Mux(sign, -top - 1, top)))
    return y


def signed_digits(constant):
    """Canonical signed digits of a positive integer: ``(place, sign)``, no two places side by side."""
    found, place = [], 0
    while constant:
        if constant & 1:
            sign = 2 - (constant & 3)
            found.append((place, sign))
            constant -= sign
        constant >>= 1
        place += 1
    return found


def kept(m, x, *, name):
    """`x` as a signal that synthesis keeps: adders behind it stay carry chains.

    Yosys would merge them into one sum with many operands, which costs two LUTs per bit and operand instead of one.
    """
    signal = Signal.like(x, name=name, attrs={"keep": 1})
    m.d.comb += signal.eq(x)
    return signal


def scale(m, x, constant, *, name):
    """``x * constant`` for a constant that is not negative: a few shifted copies in a balanced sum, or a multiplier."""
    digits = signed_digits(constant)
    if len(digits) > DIGITS or not digits:
        return x * constant
    # The top digit is positive, so that a positive term stands first in the last difference.
    terms = sorted(((sign, x.shift_left(place)) for place, sign in digits), key=lambda term: -term[0])
    while len(terms) > 1:
        pairs = [(sign, kept(m, a + b if sign == other else a - b, name=f"{name}_{len(terms)}_{place}"))
                 for place, ((sign, a), (other, b)) in enumerate(zip(terms[0::2], terms[1::2]))]
        terms = pairs + terms[2 * len(pairs):]
    return terms[0][1]


def times(x, constant):
    """``x * constant`` for an address, as a sum of shifted copies; the constant is positive.

    Synthesis makes a multiplier of almost every other product, far away and without registers.
    """
    terms = [(sign, x.shift_left(place)) for place, sign in reversed(signed_digits(constant))]
    (_, total), *rest = terms
    for sign, term in rest:
        total = total + term if sign > 0 else total - term
    return total


def shift_floor(x, shift):
    """``floor(x / 2**shift)``; a negative `shift` multiplies. Wires only."""
    return x.shift_right(shift) if shift >= 0 else x.shift_left(-shift)


def shift_kept(m, x, shift, dropout, whole=None, *, name):
    """``floor((x * (1 - dropout / 16) + whole) / 2**shift)``: a product with a constant, and wires."""
    kept = scale(m, x, (1 << DROPOUT_BITS) - dropout, name=name)
    return shift_floor(kept if whole is None else kept + (whole << DROPOUT_BITS), shift + DROPOUT_BITS)


def half(shift):
    """What rounding to the nearest integer adds before `shift_floor`, halves upwards."""
    return 1 << shift >> 1


def fraction(shift):
    """Mask of the random bits that stochastic rounding adds before `shift_floor`. Twin of `shift_stochastic`."""
    return (1 << shift) - 1


def shift_nearest(x, shift):
    """``x / 2**shift`` to the nearest integer, halves upwards; a negative `shift` multiplies."""
    return shift_floor(x + half(shift) if shift > 0 else x, shift)


def leak(m, x, rule, *, name):
    """``floor(x * multiplier / 2**shift)`` or ``x - floor(x / 2**shift)``. Twin of `golden.steps.lif.leak`."""
    if rule.subtracts:
        return (x - x.shift_right(rule.shift))[:len(x)].as_signed()
    if rule.multiplier == 0:
        return Const(0, signed(1))
    return scale(m, x, rule.multiplier, name=name).shift_right(rule.shift)[:len(x)].as_signed()


def multiply(m, x, y, *, name):
    """``x * y`` two cycles later, with registers on both sides of the multiplier, which may be far away.

    Three cycles later where the wider factor does not fit it: two parts of it, then their sum. Where the narrower one
    does not fit either, synthesis takes several multipliers for each part, with no register between.
    """
    if len(x) < len(y):
        x, y = y, x
    x, y = (register(m, own, name=f"{side}_{name}", reset=False) for own, side in ((x, "wide"), (y, "narrow")))
    low = x if len(x) <= FACTOR_BITS else x[:FACTOR_BITS - 1]
    product = register(m, low * y, name=f"{name}_low", reset=False)
    if low is x:
        return product
    high = x[FACTOR_BITS - 1:]
    if len(high) == 2:  # is worth no multiplier
        rest = Mux(high[0], y, 0) - Mux(high[1], y.shift_left(1), 0)
    else:
        rest = high.as_signed() * y
    rest = register(m, rest, name=f"{name}_high", reset=False)
    return register(m, product + rest.shift_left(FACTOR_BITS - 1), name=name, reset=False)


def register(m, x, *, name, stages=1, reset=True):
    """`x` delayed by `stages` clock cycles; numbers that matter only where a flag says so need no `reset`."""
    for stage in range(stages):
        delayed = Signal(x.shape(), name=name if stages == 1 else f"{name}_{stage + 1}", reset_less=not reset)
        m.d.sync += delayed.eq(x)
        x = delayed
    return x


def select(m, values, place, *, name):
    """The one of some signed `values` at `place`, a cycle later: one of four, then one of those."""
    choices = [register(m, Cat(values[i:i + 4]).word_select(place[:2], len(values[0])).as_signed(),
                        name=f"{name}_{i}", reset=False) for i in range(0, len(values), 4)]
    if len(choices) == 1:
        return choices[0]
    group = register(m, place[2:], name=f"{name}_group", reset=False)
    return Cat(choices).word_select(group, len(values[0])).as_signed()


def copies(m, flag, lanes, *, name):
    """`flag` a clock cycle later, for each of `lanes`, in one register for every four or five of them.

    Up to four registers, each near its own lanes. They begin differently, so that synthesis does not make one of them:
    in the first cycle after reset, the flag may be anything.
    """
    count = min(4, -(-lanes // 4))
    found = [Signal(name=f"{name}_{place}", init=place & 1, reset_less=bool(place & 2)) for place in range(count)]
    m.d.sync += [own.eq(flag) for own in found]
    return [found[lane * count // lanes] for lane in range(lanes)]


def adder_tree(m, terms, *, name):
    """Sum of `terms` through a balanced tree with a register behind every two levels.

    Latency `golden.stages.tree_latency(len(terms))` cycles, one sum per cycle.
    """
    level = 0
    while len(terms) > 1 or level == 0:
        for _ in range(2):
            pairs = [kept(m, terms[i] + terms[i + 1], name=f"{name}_{level}_{len(terms)}_{i}")
                     for i in range(0, len(terms) - 1, 2)]
            terms = pairs + terms[len(terms) - len(terms) % 2:]
        terms = [register(m, term, name=f"{name}_{level}_{i}", reset=False) for i, term in enumerate(terms)]
        level += 1
    return terms[0]
