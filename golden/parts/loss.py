"""The loss of a classifier: what it keeps to say how wrong it was."""

from typing import NamedTuple

from ..states import Memory, State

__all__ = ["SpikeCount"]


class SpikeCount(NamedTuple):
    """Squared difference between spike counts and their target, Guo et al. 2023, equation (3)."""

    def states(self, config, unit):
        """Spikes that a classifier has counted."""
        bits = config.time.steps.bit_length() + unit.steps.bit_length()
        yield State(
            name="count",
            accesses={
                "read.forward": lambda work: unit.words * (work.intervals - work.samples),
                "write.forward": lambda work: unit.words * work.intervals,
                "read.backward": lambda work: unit.words * unit.slices * work.learned,
            } | ({"read.report": lambda work: unit.words * work.samples} if config.blocks[unit.block].last else {}),
            memory=Memory(
                f"{unit.path}.count_store", "classifier count", unit.batch * unit.words, unit.lanes * bits,
                "sample * words + word: spikes of the sample per lane, then of the interval"))
