"""Hardware of a neuron that rests; the same members and cycles as `spikeloom.rtl.lif.Lif`."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring

from spikeloom.rtl.arithmetic import leak, saturate, shift_floor
from spikeloom.rtl.error import ErrorUnit
from spikeloom.rtl.lif import members
from spikeloom.rtl.surrogate import fires, surrogate_code

from .part import REST_BITS


class Resting(wiring.Component):
    """Potential and steps of rest of one neuron."""

    def __init__(self, neuron, *, total_width, align):
        self.neuron, self.align = neuron, align
        super().__init__(members(neuron, total_width=total_width))

    def elaborate(self, platform):
        m = Module()
        lif, width = self.neuron.lif, self.neuron.lif.width
        # `word` goes on, `shown` is the last step: the next one may be loaded while it still stands.
        word, shown = (Signal(signed(self.neuron.width), name=name, reset_less=True) for name in ("word", "shown"))
        left, rest = Signal(signed(width + 1), reset_less=True), Signal(REST_BITS, reset_less=True)
        u, resting = word[REST_BITS:].as_signed(), word[:REST_BITS]
        fired = Signal()
        m.d.comb += fired.eq(fires(u - lif.threshold, lif) & (resting == 0))
        with m.If(self.decay):
            m.d.sync += [
                left.eq(leak(m, u, lif.leak, name="leaked") - Mux(fired, lif.reset_amount, 0)),
                rest.eq(Mux(fired, self.neuron.rest, Mux(resting == 0, 0, resting - 1))),
            ]
        heard = Mux(rest == 0, shift_floor(self.total, -self.align), 0)
        after = Cat(rest, saturate(m, left + heard, width, name="charged"))
        with m.If(self.integrate):
            m.d.sync += [word.eq(after), shown.eq(after)]
        with m.If(self.load):
            m.d.sync += word.eq(self.stored)
        spike, code = surrogate_code(m, shown[REST_BITS:].as_signed(), lif)
        awake = shown[:REST_BITS] == 0
        m.d.comb += [self.potential.eq(shown), self.spike.eq(spike & awake), self.code.eq(Mux(awake, code, 0))]
        return m


class RestingError(ErrorUnit):
    """The error passes as in a LIF neuron: where it rests, its surrogate code is 0."""

    def __init__(self, neuron, **widths):
        super().__init__(neuron.lif, **widths)
