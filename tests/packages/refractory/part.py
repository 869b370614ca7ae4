"""The table of a neuron with a refractory period, and its numbers."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from spikeloom.golden.parts.lif import Lif, LifNumbers
from spikeloom.golden.parts.neuron import potential

__all__ = ["REST_BITS", "Refractory", "RefractoryNumbers"]

#: Bits of the steps that a neuron still rests, the lowest of what is kept of it.
REST_BITS = 2


class RefractoryNumbers(NamedTuple):
    """A LIF neuron, and the steps that it rests after a spike; `start` is what is kept of it at first."""

    lif: LifNumbers
    rest: int
    start: int

    states = potential
    golden = "refractory.steps"
    forward = "refractory.rtl:Resting"
    backward = "refractory.rtl:RestingError"

    @property
    def width(self):
        return self.lif.width + REST_BITS

    @property
    def code_bits(self):
        return self.lif.code_bits

    @property
    def needs_spike(self):
        return self.lif.needs_spike

    def exact_width(self, current_width):
        return self.lif.exact_width(current_width) + REST_BITS


class Refractory(Lif):
    """LIF neuron that neither fires nor hears its inputs for some steps after a spike.

    Attributes
    ----------
    kind : str
    rest : int
        Those steps.
    """

    kind: Literal["refractory"]
    rest: Annotated[int, Field(ge=1, lt=1 << REST_BITS)]

    def numbers(self, surrogate, numbers):
        lif = super().numbers(surrogate, numbers)
        return RefractoryNumbers(lif, self.rest, lif.start << REST_BITS)
