"""Leaks: what is left of a potential, or of an error, a step later."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from ..section import Section, reject

__all__ = ["Leak", "Multiply", "ShiftLeak"]


class Leak(NamedTuple):
    """Numbers of a leak: ``floor(x * multiplier / 2**shift)``, or ``x - floor(x / 2**shift)`` where it `subtracts`."""

    subtracts: bool
    multiplier: int
    shift: int

    @property
    def bits(self):
        """Bits that the product has more than its factor."""
        return 1 if self.subtracts else self.multiplier.bit_length()

    def of(self, x):
        """The leak of an integer."""
        return x - (x >> self.shift) if self.subtracts else x * self.multiplier >> self.shift


class Multiply(Section):
    """Leak factor ``multiplier / 2**shift``; the product is floored.

    Attributes
    ----------
    form : str
        Form of the leak.
    multiplier : int
        At most ``2**shift``.
    shift : int
        Binary logarithm of the divisor.
    """

    form: Literal["multiply"]
    multiplier: Annotated[int, Field(ge=0)]
    shift: Annotated[int, Field(ge=0, le=16)]

    @model_validator(mode="after")
    def _at_most_one(self):
        if self.multiplier > 1 << self.shift:
            reject("multiplier", f"must be at most 2**shift = {1 << self.shift}", self.multiplier)
        return self

    @property
    def numbers(self):
        return Leak(False, self.multiplier, self.shift)

    @property
    def words(self):
        """The factor, for a person."""
        return f"{self.multiplier} / 2^{self.shift} = {self.multiplier / 2**self.shift:.4g}"


class ShiftLeak(Section):
    """Leak factor ``1 - 2**-shift``, as ``u - floor(u / 2**shift)``: no multiplier.

    Attributes
    ----------
    form : str
        Form of the leak.
    shift : int
        Binary logarithm of the divisor.
    """

    form: Literal["shift"]
    shift: Annotated[int, Field(ge=1, le=16)]

    @property
    def numbers(self):
        return Leak(True, 0, self.shift)

    @property
    def words(self):
        """The factor, for a person."""
        return f"1 - 2^-{self.shift} = {1 - 2.0**-self.shift:.4g}"
