"""Error unit: one lane of the backward pass."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import leak, saturate, scale, shift_floor

__all__ = ["ErrorUnit"]


class ErrorUnit(wiring.Component):
    """Potential error of one neuron, backwards through the steps of an interval; twin of `golden.neuron.error_steps`.

    A step takes two cycles at least: `carry` first, `finish` in a later cycle; `error` stands in the cycle after.

    Parameters
    ----------
    config : Config
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

    def __init__(self, config, *, delta_width, resumes=True):
        if delta_width < 1:
            raise ValueError(f"delta_width must be positive, not {delta_width!r}")
        self.config, self.resumes = config, resumes
        super().__init__({
            "carry":   In(1),
            "restart": In(1),
            "stored":  In(signed(config.numbers.error.width)),
            "finish":  In(1),
            "delta":   In(signed(delta_width)),
            "code":    In(config.code_bits),
            "fired":   In(1),
            "error":   Out(signed(config.numbers.error.width)),
        })

    def elaborate(self, platform):
        m = Module()
        config, width = self.config, self.config.numbers.error.width
        rho, zero_reset = config.reset_gain, config.neuron.reset == "zero"

        error, carried = (Signal(signed(width), name=name, reset_less=True) for name in ("own", "carried"))
        later = Signal(signed(width))
        m.d.comb += later.eq(Mux(self.restart, self.stored, error) if self.resumes else error)
        through_reset = shift_floor(scale(m, later, rho, name="reset"), config.numbers.potential.fraction)
        through_reset_q = Signal(signed(max(1, len(through_reset))), reset_less=True)
        with m.If(self.carry):
            m.d.sync += [
                carried.eq(leak(m, later, config.neuron.leak, name="leaked")), through_reset_q.eq(through_reset),
            ]
            # Nothing comes of zero, so that the registers can be cleared instead of choosing before the product.
            if not self.resumes:
                with m.If(self.restart):
                    m.d.sync += [carried.eq(0), through_reset_q.eq(0)]

        shift = config.gain_shift
        if config.code_bits == 1 and shift <= 0:
            # A sum of three, without a gate in between.
            through = Mux(self.code, through_reset_q, 0) if rho else 0
            gated = shift_floor(Mux(self.code, self.delta, 0), shift) - shift_floor(Value.cast(through), shift)
        else:
            spike_error = self.delta - through_reset_q if rho else self.delta
            gated = shift_floor(spike_error * self.code if config.code_bits > 1 else Mux(self.code, spike_error, 0),
                                shift)
        kept = Mux(self.fired, 0, carried) if zero_reset else carried
        with m.If(self.finish):
            m.d.sync += error.eq(saturate(m, gated + kept, width, name="summed"))
        m.d.comb += self.error.eq(error)
        return m
