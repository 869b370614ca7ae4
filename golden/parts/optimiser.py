"""From a gradient to a step of a weight: rate, momentum, rounding."""

from typing import NamedTuple

from ..lfsr import PERIOD, lane_seeds
from ..states import State, Values
from .weights import matrix

__all__ = ["Optimiser"]


class Optimiser(NamedTuple):
    """Stochastic gradient descent, with momentum or without.

    Attributes
    ----------
    multiplier_width : int
        Bits of the multiplier of the learning rate.
    velocity_width : int
        Bits of the velocity of a weight; 0 without momentum.
    """

    multiplier_width: int
    velocity_width: int

    @property
    def only_active(self):
        """Whether weights stay as they are whose inputs were not active in an update period."""
        return not self.velocity_width

    def states(self, config, unit):
        """With momentum a velocity for each weight, and an LFSR for each lane that rounds stochastically."""
        # A velocity is a sum of errors times spikes, or times the values of a frame.
        yield matrix(config, unit, "velocity", "momentum", self.velocity_width,
                     config.numbers.error.fraction + unit.input.fraction,
                     {"read.update": lambda work: unit.weight_depth * work.updates,
                      "write.update": lambda work: work.rows},
                     "as the weights: velocity of each", unit.weights.stored and self.velocity_width > 0)
        place = [own.path for own in config.units].index(unit.path)
        rounds = unit.weights.stored and config.update.rounding == "stochastic"
        yield State(name="lfsr", there=rounds, saved="lanes", values=Values(16, 1, PERIOD),
                    start=tuple(lane_seeds(config.update.seed, unit.lanes, place)) if rounds else (),
                    meaning="LFSR of each lane that rounds updates")
