"""LIF unit: one lane of the forward pass."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..golden.parts.lif import Reset
from .arithmetic import kept, leak, saturate, shift_floor
from .surrogate import fires, surrogate_code

__all__ = ["Lif", "members"]


def members(neuron, *, total_width):
    """Members of the component of any kind of neuron, as `Lif` explains them; `neuron` holds its numbers."""
    return {
        "load":      In(1),
        "stored":    In(signed(neuron.width)),
        "decay":     In(1),
        "integrate": In(1),
        "total":     In(signed(total_width)),
        "potential": Out(signed(neuron.width)),
        "spike":     Out(1),
        "code":      Out(neuron.code_bits),
    }


class Lif(wiring.Component):
    """Potential of one neuron through consecutive steps; twin of `golden.steps.lif.step`.

    A step takes two cycles at least: `decay` first, `integrate` in a later cycle; the potential, its spike and its
    code stand in the cycle after. A step may `decay` in the cycle in which the potential of the one before stands, and
    the potential to go on from may change in the cycle in which that one integrates. Nothing wraps. State has no
    meaning before the first `load`, so it needs no reset.

    Parameters
    ----------
    neuron : LifNumbers
        Widths and constants, shared with the golden model.
    total_width, align : int
        Bits of the input of a step, and its left shift to the potential's fraction (negative: floored right shift).

    Members
    -------
    load, stored : In(1), In(signed(potential width))
        Go on from `stored`, the potential kept from the interval before, in a later cycle.
    decay : In(1)
        Decay the potential.
    integrate : In(1)
        Add `total` and saturate.
    total : In(signed(total_width))
        Input of this step.
    potential, spike, code : Out
        Of the last integrated step.
    """

    def __init__(self, neuron, *, total_width, align):
        if total_width < 1:
            raise ValueError(f"total_width must be positive, not {total_width!r}")
        self.neuron, self.align = neuron, align
        super().__init__(members(neuron, total_width=total_width))

    def elaborate(self, platform):
        m = Module()
        neuron, width, reset = self.neuron, self.neuron.width, self.neuron.reset

        # First half of a step: the leak, and beside it whether the neuron has fired; then what a reset takes.
        # A potential that fires is at least 1, so after its reset it is at least -theta: no bit more is needed.
        potential = Signal(signed(width), reset_less=True)
        u = Signal(signed(width), reset_less=True)  # what the next step goes on from
        fired = Signal()
        decayed = Signal(signed(width), reset_less=True)
        m.d.comb += fired.eq(fires(u - neuron.threshold, neuron))
        before = u
        if reset is Reset.SUBTRACT_BEFORE_LEAK:
            before = Signal(signed(width))
            m.d.comb += before.eq(u - Mux(fired, neuron.reset_amount, 0))
        leaked = leak(m, before, neuron.leak, name="leaked")
        if reset is Reset.SUBTRACT:
            # An adder of its own: it does not wait for `fired` before the product is there.
            leaked = kept(m, leaked, name="unspent") - Mux(fired, neuron.reset_amount, 0)
        elif reset is Reset.ZERO:
            leaked = Mux(fired, 0, leaked)
        with m.If(self.decay):
            m.d.sync += decayed.eq(leaked)

        charged = saturate(m, decayed + shift_floor(self.total, -self.align), width, name="charged")
        with m.If(self.integrate):
            m.d.sync += [potential.eq(charged), u.eq(charged)]
        with m.If(self.load):
            m.d.sync += u.eq(self.stored)

        spike, code = surrogate_code(m, potential, neuron)
        m.d.comb += [self.potential.eq(potential), self.spike.eq(spike), self.code.eq(code)]
        return m
