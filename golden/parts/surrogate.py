"""Surrogates: what stands for the derivative of a spike, in bins of the distance to the threshold."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..section import Section, reject

__all__ = ["Rectangle", "Surrogate", "Table", "Triangle"]


class Surrogate(Section):
    """What all of them have.

    Those that inherit say ``shape``; ``codes``, integers by bin of ``|u - u_th|``; ``bin_width`` in real units; and
    ``gain_shift``: the surrogate is ``code / 2**gain_shift``, which is negative where it exceeds its code.
    """

    def bin_shift(self, fraction):
        """log2 of the width of a bin in units of a potential with so many fraction bits."""
        return int(math.log2(self.bin_width)) + fraction

    @property
    def words(self):
        """What it is, for a person."""
        field, _ = self._rule()
        return f"{self.shape}, {field} {getattr(self, field):g}"

    def check(self, numbers, path):
        """Refuse what the formats of `numbers` cannot hold; `path` is the field that holds the surrogate."""
        field, bins = self._rule()
        value = getattr(self, field)
        mantissa, _ = math.frexp(value) if math.isfinite(value) else (0, 0)
        smallest = math.ldexp(bins, -numbers.potential.fraction)
        if mantissa != 0.5 or not smallest <= value <= 4096:
            reject(f"{path}.{field}", f"must be a power of two in {smallest} .. 4096", value)


class Rectangle(Surrogate):
    """Equation (6): ``1/a`` where ``|u - u_th| < a/2``.

    Attributes
    ----------
    shape : str
        Shape of the surrogate.
    width : float
        ``a``, a power of two: at least 2 units of the last potential bit, at most 4096.
    """

    shape: Literal["rectangle"]
    width: float

    def _rule(self):
        """Field of the width that a person gives, and the units of a potential that it has at least."""
        return "width", 2

    @property
    def codes(self):
        return (1,)

    @property
    def bin_width(self):
        return self.width / 2

    @property
    def gain_shift(self):
        return int(math.log2(self.width))


class Triangle(Surrogate):
    """``max(0, 1 - |u - u_th| / a) / a`` in `bins` equal steps, each with the value of its middle.

    Attributes
    ----------
    shape : str
        Shape of the surrogate.
    width : float
        ``a``, a power of two: at least `bins` units of the last potential bit, at most 4096.
    bins : int
        Steps from the threshold to ``a``, on either side of it.
    """

    shape: Literal["triangle"]
    width: float
    bins: Literal[2, 4, 8, 16] = 4

    def _rule(self):
        return "width", self.bins

    @property
    def codes(self):
        return tuple(2 * (self.bins - i) - 1 for i in range(self.bins))

    @property
    def bin_width(self):
        return self.width / self.bins

    @property
    def gain_shift(self):
        return int(math.log2(self.width * 2 * self.bins))


class Table(Surrogate):
    """``values[i] / 2**shift`` where ``|u - u_th|`` is in bin ``i``; bins are `bin` wide, zero beyond.

    Attributes
    ----------
    shape : str
        Shape of the surrogate.
    bin : float
        Width of a bin, a power of two: at least 1 unit of the last potential bit, at most 4096.
    values : list of int
        One for each bin, from the threshold on; at least one above 0.
    shift : int
        Binary logarithm of the divisor; a negative one multiplies.
    """

    shape: Literal["table"]
    bin: float
    values: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=1, max_length=16)]
    shift: Annotated[int, Field(ge=-8, le=16)] = 0

    @model_validator(mode="after")
    def _some(self):
        if not any(self.values):
            reject("values", "must hold at least one value above 0", self.values)
        return self

    def _rule(self):
        return "bin", 1

    @property
    def codes(self):
        return tuple(self.values)

    @property
    def bin_width(self):
        return self.bin

    @property
    def gain_shift(self):
        return self.shift
