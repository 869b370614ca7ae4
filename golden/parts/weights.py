"""Where the weights of a unit come from: a memory, a hash of their place, or an average."""

from typing import NamedTuple

from ..section import reject
from ..states import Memory, State, Values

__all__ = ["Weights", "matrix"]


class Weights(NamedTuple):
    """What a unit multiplies its inputs with.

    Attributes
    ----------
    kind : str
        ``stored`` in memory, where they learn; ``random``: computed from a seed whenever they are needed
        (`golden.random_weights`); ``average``: the same for all inputs of a window.
    width, fraction : int
        Bits of a weight, and how many of them are behind the binary point.
    bias : bool
        Whether there is a row more, for an input that is always 1.0.
    """

    kind: str
    width: int
    fraction: int
    bias: bool

    @property
    def stored(self):
        """Whether they are in memory, where they learn."""
        return self.kind == "stored"

    @property
    def random(self):
        """Whether they are computed from a seed."""
        return self.kind == "random"

    def check(self, unit):
        """Refuse an average, or the input of a bias, that a format does not hold."""
        if self.bias and unit.input.static and unit.input.fraction >= unit.input.bits:
            reject("input.fraction", "must be below input.bits for layers.0.bias: its input is 1.0, a value of the "
                   "frame like others", unit.input.fraction)
        if self.kind != "average":
            return
        exact = 2.0**self.fraction / unit.fan_in
        if abs(unit.pool_weight - exact) > exact / 4:
            reject("numbers.weight.fraction", f"must hold 1 / {unit.fan_in}, the weight of an average, to a quarter of "
                   "its value", self.fraction)
        if unit.pool_weight >= 1 << (self.width - 1):
            reject("numbers.weight.width", f"must hold 1 / {unit.fan_in}, the weight of an average", self.width)

    def states(self, config, unit):
        """The weights, in a memory."""
        served = {"read.backward": lambda work: work.asked} if unit.rule.serves else {}
        yield matrix(config, unit, "weight", f"{'classifier ' * unit.classifier}weight", self.width, self.fraction,
                     {"read.forward": lambda work: work.events, **served, "read.update": lambda work: work.rows,
                      "write.update": lambda work: work.moved},
                     "word * rows + row: lane i is the weight of a fan-in row to channel word * lanes + i", self.stored)


def matrix(config, unit, name, category, width, fraction, accesses, layout, there):
    """A state that holds a number of `width` bits for each weight of a unit, in memory as the weights are."""
    return State(
        name=name, accesses=accesses, saved="matrix", meaning=f"each {name}", there=there,
        values=Values.of(width or 1, signed=True, fraction=fraction), memory=Memory(
            f"{unit.path}.{name}_store", category, unit.weight_depth, unit.lanes * width, layout, width,
            style=config.hardware.memory.weight))
