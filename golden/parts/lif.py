"""The leaky integrate-and-fire neuron: its table, its rules, and its numbers.

Golden twin: `golden.steps.lif`. RTL: `rtl.lif.Lif` forward, `rtl.error.ErrorUnit` backward.
"""

import math
from enum import IntEnum
from typing import Annotated, Literal, NamedTuple

from ..section import Later, Section, reject
from . import LeakTable
from .leak import Leak
from .neuron import potential

__all__ = ["Lif", "LifNumbers", "Reset"]


class Reset(IntEnum):
    """What a spike does to the potential, as in `Lif`."""

    SUBTRACT = 0
    SUBTRACT_BEFORE_LEAK = 1
    ZERO = 2
    NONE = 3

    @classmethod
    def of(cls, name):
        """By its name in a configuration."""
        return cls[name.upper().replace("-", "_")]


class LifNumbers(NamedTuple):
    """A LIF neuron in integers; voltages in units of the last potential bit.

    Attributes
    ----------
    width : int
        Bits of the word that is kept of a neuron from step to step, and between intervals: its potential.
    start : int
        That word before the first step of a sample.
    leak : Leak
    threshold : int
        ``u_th``.
    strict : bool
        Whether a neuron fires only where its potential is above the threshold.
    reset : Reset
    reset_amount : int
        ``theta``; 0 where nothing is subtracted.
    reset_gain : int
        Factor of the error through the reset (equation 4); 0 where it does not flow there.
    fraction : int
        Fraction bits of a potential.
    error_width : int
        Bits of an error.
    codes : tuple of int
        Surrogate codes by bin of ``|u - u_th|``.
    bin_shift : int
        log2 of the width of a bin.
    gain_shift : int
        The surrogate is ``code / 2**gain_shift``.
    """

    width: int
    start: int
    leak: Leak
    threshold: int
    strict: bool
    reset: Reset
    reset_amount: int
    reset_gain: int
    fraction: int
    error_width: int
    codes: tuple
    bin_shift: int
    gain_shift: int

    states = potential
    golden = "spikeloom.golden.steps.lif"
    forward = "spikeloom.rtl.lif:Lif"
    backward = "spikeloom.rtl.error:ErrorUnit"

    @property
    def code_bits(self):
        """Bits of one surrogate code in the history: 1 for the rectangle."""
        return max(self.codes).bit_length()

    @property
    def needs_spike(self):
        """Whether the way back needs the spike of a step, beside its code."""
        return self.reset is Reset.ZERO

    def exact_width(self, current_width):
        """Bits that hold every sum and product of a potential, and of its error (equations 1, 4 and 5).

        `current_width` are those of a current, before it is added.
        """
        through = self.error_width + self.reset_gain.bit_length()
        passed = max(self.error_width, through - self.fraction) + 1
        return max(self.width + 1 + self.leak.bits, max(self.width + 1, current_width) + 1,
                   self.error_width + self.leak.bits, through, passed + self.code_bits + max(0, -self.gain_shift) + 1)


class Lif(Section):
    """LIF neuron, equations (1) and (2); voltages in real units, exact multiples of the last potential bit.

    Attributes
    ----------
    kind : str
        Kind of neuron; a LIF neuron need not say so.
    leak : Multiply | ShiftLeak
        The leak ``tau``, of potentials and of errors alike.
    threshold : float
        ``u_th``, above 0.
    reset_amount : float
        ``theta``, above 0 where the reset subtracts it; else it counts for nothing.
    reset : str
        ``subtract`` after the leak (equation 1), ``subtract-before-leak``, to ``zero``, or ``none``.
    compare : str
        A neuron fires where its potential is ``>=`` the threshold, or only where it is ``>``.
    reset_error : bool
        Whether the error also flows through the reset (the ``-theta`` term of equation 4). Has to be false with
        ``reset = "zero"``, where it would need the potential, which the history does not keep, and with
        ``reset = "none"``.
    start : float
        Potential before the first step of a sample, such that it does not fire: below the threshold, or with
        ``compare = ">"`` at most the threshold. ECC begins with half a threshold (Wu et al.).
    """

    kind: Annotated[Literal["lif"], Later] = "lif"
    leak: LeakTable
    threshold: float
    reset_amount: float = 0.0
    reset: Literal["subtract", "subtract-before-leak", "zero", "none"] = "subtract"
    compare: Literal[">=", ">"] = ">="
    reset_error: bool = True
    start: Annotated[float, Later] = 0.0

    def check(self, numbers, path):
        """Refuse what does not go together, or what the formats of `numbers` cannot hold.

        `path` is the field that holds the neuron.
        """
        if self.reset_error and self.reset in ("zero", "none"):
            reject(f"{path}.reset_error", f"must be false when {path}.reset is {self.reset!r}", self.reset_error)
        for field in ["threshold"] + (["reset_amount"] if self.reset.startswith("subtract") else []):
            self._check_voltage(numbers.potential, getattr(self, field), f"{path}.{field}")
        if not math.isfinite(self.reset_amount):
            reject(f"{path}.reset_amount", "must be a number", self.reset_amount)
        self._check_start(numbers.potential, f"{path}.start")

    @staticmethod
    def _check_voltage(potential, value, field):
        fraction, top = potential.fraction, (1 << (potential.width - 1)) - 1
        # Compared before it is scaled: the largest floats would overflow.
        if not math.ldexp(1, -fraction) <= value <= math.ldexp(top, -fraction) or \
                not math.ldexp(value, fraction).is_integer():
            reject(field, f"must be a multiple of 2**-{fraction} in 2**-{fraction} .. {math.ldexp(top, -fraction)} "
                   "(numbers.potential)", value)

    def _check_start(self, potential, field):
        fraction, low = potential.fraction, math.ldexp(-1, potential.width - 1 - potential.fraction)
        if not math.isfinite(self.start) or not math.ldexp(self.start, fraction).is_integer() or self.start < low:
            reject(field, f"must be a multiple of 2**-{fraction} from {low} on (numbers.potential)", self.start)
        # A spike follows from the potential: one that is there at the beginning would reset it, and nobody would hear.
        if self.start > self.threshold or (self.compare == ">=" and self.start == self.threshold):
            reject(field, f"must not fire: the threshold is {self.threshold}, compared with {self.compare}", self.start)

    @property
    def words(self):
        """What is to be said of it, for a person: (what, value) pairs."""
        amount = f" {self.reset_amount:g}" if self.reset.startswith("subtract") else ""
        return [("Leak τ", self.leak.words), ("Threshold", f"{self.threshold:g} ({self.compare})"),
                ("Reset", self.reset + amount), ("Error through reset", "yes" if self.reset_error else "no"),
                *([("Start of a sample", f"{self.start:g}")] if self.start else [])]

    def numbers(self, surrogate, numbers):
        """The neuron in integers, with a section of `surrogate` and the formats of `numbers`: `LifNumbers`."""
        fraction, leak = numbers.potential.fraction, self.leak.numbers
        amount = int(math.ldexp(self.reset_amount, fraction)) if self.reset.startswith("subtract") else 0
        gain = amount if self.reset == "subtract" else leak.of(amount)
        return LifNumbers(
            width=numbers.potential.width, start=int(math.ldexp(self.start, fraction)), leak=leak,
            threshold=int(math.ldexp(self.threshold, fraction)),
            strict=self.compare == ">", reset=Reset.of(self.reset), reset_amount=amount,
            reset_gain=gain if self.reset_error else 0, fraction=fraction, error_width=numbers.error.width,
            codes=surrogate.codes, bin_shift=surrogate.bin_shift(fraction), gain_shift=surrogate.gain_shift)
