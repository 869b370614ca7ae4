"""LIF unit: one lane of the forward pass."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import kept, leak, saturate, shift_floor, shift_kept
from .surrogate import fires, surrogate_code

__all__ = ["Lif"]


class Lif(wiring.Component):
    """Potential of one neuron through consecutive steps; twin of `golden.neuron.lif_steps`.

    A step takes two cycles at least: `decay` first, `integrate` in a later cycle; the potential, its spike and its
    code stand in the cycle after. A step may `decay` in the cycle in which the potential of the one before stands, and
    the potential to go on from may change in the cycle in which that one integrates. Nothing wraps. State has no
    meaning before the first `load`, so it needs no reset.

    Parameters
    ----------
    config : Config
        Widths and constants, shared with the golden model.
    sum_width, align : int
        Bits of the summed input, and its left shift to the potential's fraction (negative: floored right shift).
    dropout : int
        Sixteenths of the input spikes that are dropped in training.

    Members
    -------
    train : In(1)
        Only with `dropout`: without training, `total` counts as many sixteenths less.
    load, stored : In(1), In(signed(potential width))
        Go on from `stored`, the potential kept from the interval before, in a later cycle.
    decay : In(1)
        Decay the potential.
    integrate : In(1)
        Add `total` and saturate.
    total : In(signed(sum_width))
        Sum of the active weights of this step.
    potential, spike, code : Out
        Of the last integrated step.
    """

    def __init__(self, config, *, sum_width, align, dropout=0):
        if sum_width < 1:
            raise ValueError(f"sum_width must be positive, not {sum_width!r}")
        self.config, self.align, self.dropout = config, align, dropout
        width = config.numbers.potential.width
        super().__init__({
            "load":      In(1),
            "stored":    In(signed(width)),
            "decay":     In(1),
            "integrate": In(1),
            "total":     In(signed(sum_width)),
            "potential": Out(signed(width)),
            "spike":     Out(1),
            "code":      Out(config.code_bits),
        } | ({"train": In(1)} if dropout else {}))

    def elaborate(self, platform):
        m = Module()
        config, width = self.config, self.config.numbers.potential.width
        reset, rule = config.neuron.reset, config.neuron.leak

        # First half of a step: the leak, and beside it whether the neuron has fired; then what a reset takes.
        # A potential that fires is at least 1, so after its reset it is at least -theta: no bit more is needed.
        potential = Signal(signed(width), reset_less=True)
        u = Signal(signed(width), reset_less=True)  # what the next step goes on from
        fired = Signal()
        decayed = Signal(signed(width), reset_less=True)
        m.d.comb += fired.eq(fires(u - config.threshold, config))
        before = u
        if reset == "subtract-before-leak":
            before = Signal(signed(width))
            m.d.comb += before.eq(u - Mux(fired, config.reset_amount, 0))
        leaked = leak(m, before, rule, name="leaked")
        if reset == "subtract":
            # An adder of its own: it does not wait for `fired` before the product is there.
            leaked = kept(m, leaked, name="unspent") - Mux(fired, config.reset_amount, 0)
        elif reset == "zero":
            leaked = Mux(fired, 0, leaked)
        with m.If(self.decay):
            m.d.sync += decayed.eq(leaked)

        current = shift_floor(self.total, -self.align)
        if self.dropout:
            current = Mux(self.train, current, shift_kept(m, self.total, -self.align, self.dropout, name="share"))
        charged = saturate(m, decayed + current, width, name="charged")
        with m.If(self.integrate):
            m.d.sync += [potential.eq(charged), u.eq(charged)]
        with m.If(self.load):
            m.d.sync += u.eq(self.stored)

        spike, code = surrogate_code(m, potential, config)
        m.d.comb += [self.potential.eq(potential), self.spike.eq(spike), self.code.eq(code)]
        return m
