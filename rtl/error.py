"""Error unit: one lane of the backward pass."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..golden.parts.lif import Reset
from .arithmetic import leak, saturate, scale, shift_floor

__all__ = ["ErrorUnit"]


class ErrorUnit(wiring.Component):
    """Potential error of one neuron, backwards through the steps of an interval; twin of `golden.steps.lif.error`.

    A step takes two cycles at least: `carry` first, `finish` in a later cycle; `error` stands in the cycle after.

    Parameters
    ----------
    neuron : LifNumbers
        Widths and constants, shared with the golden model.
    delta_width : int
        Bits of the error from above.
    resumes : bool
        Whether `stored` is ever anything but zero.

    Members
    -------
    carry, restart : In(1)
        Take what the later step passes on; where `restart` is high, that is the step of the error `stored`.
    stored : In(signed(error width))
        Zero at the end of the interval.
    finish : In(1)
        Complete the step from `delta`, `code` and `fired`.
    delta : In(signed(delta_width))
        Spike error from above.
    code, fired : In
        Surrogate code and spike of this step.
    error : Out(signed(error width))
        Potential error of the last finished step.
    """

    def __init__(self, neuron, *, delta_width, resumes=True):
        if delta_width < 1:
            raise ValueError(f"delta_width must be positive, not {delta_width!r}")
        self.neuron, self.resumes = neuron, resumes
        super().__init__({
            "carry":   In(1),
            "restart": In(1),
            "stored":  In(signed(neuron.error_width)),
            "finish":  In(1),
            "delta":   In(signed(delta_width)),
            "code":    In(neuron.code_bits),
            "fired":   In(1),
            "error":   Out(signed(neuron.error_width)),
        })

    def elaborate(self, platform):
        m = Module()
        neuron, width, rho = self.neuron, self.neuron.error_width, self.neuron.reset_gain

        error, carried = (Signal(signed(width), name=name, reset_less=True) for name in ("own", "carried"))
        later = Signal(signed(width))
        m.d.comb += later.eq(Mux(self.restart, self.stored, error) if self.resumes else error)
        through_reset = shift_floor(scale(m, later, rho, name="reset"), neuron.fraction)
        through_reset_q = Signal(signed(max(1, len(through_reset))), reset_less=True)
        with m.If(self.carry):
            m.d.sync += [
                carried.eq(leak(m, later, neuron.leak, name="leaked")), through_reset_q.eq(through_reset),
            ]
            # Nothing comes of zero, so that the registers can be cleared instead of choosing before the product.
            if not self.resumes:
                with m.If(self.restart):
                    m.d.sync += [carried.eq(0), through_reset_q.eq(0)]

        shift = neuron.gain_shift
        if neuron.code_bits == 1 and shift <= 0:
            # A sum of three, without a gate in between.
            through = Mux(self.code, through_reset_q, 0) if rho else 0
            gated = shift_floor(Mux(self.code, self.delta, 0), shift) - shift_floor(Value.cast(through), shift)
        else:
            spike_error = self.delta - through_reset_q if rho else self.delta
            gated = shift_floor(spike_error * self.code if neuron.code_bits > 1 else Mux(self.code, spike_error, 0),
                                shift)
        kept = Mux(self.fired, 0, carried) if neuron.reset is Reset.ZERO else carried
        with m.If(self.finish):
            m.d.sync += error.eq(saturate(m, gated + kept, width, name="summed"))
        m.d.comb += self.error.eq(error)
        return m
