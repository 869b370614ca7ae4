"""Dropout of a layer: how much of its spikes may be dropped, and what chooses them."""

from typing import Annotated, NamedTuple

from pydantic import Field

from ..lfsr import PERIOD, lane_seeds
from ..states import State, Values

__all__ = ["DROPOUT_BITS", "Dropout", "DropoutShare"]

#: Bits of the share of dropped spikes: it is given in sixteenths.
DROPOUT_BITS = 4
#: Spikes that do not leave a layer while it trains, in sixteenths.
DropoutShare = Annotated[int, Field(ge=0, lt=1 << DROPOUT_BITS)]


class Dropout(NamedTuple):
    """Sixteenths of its own spikes that a unit drops in training."""

    share: int

    def states(self, config, unit):
        """An LFSR for each lane."""
        # Stochastic rounding begins elsewhere with the same seed.
        salt = len(config.units) + [own.path for own in config.units].index(unit.path)
        start = tuple(lane_seeds(config.update.seed, unit.lanes, salt)) if self.share else ()
        yield State(name="dropout", there=self.share > 0, saved="lanes", values=Values(16, 1, PERIOD), start=start,
                    meaning="LFSR of each lane that chooses the dropped spikes")
