"""Truncated backpropagation through time inside a block: what it keeps of a pass for the next one."""

from typing import NamedTuple

from ..section import reject
from ..states import Memory, State

__all__ = ["HISTORY_LIMIT", "Bptt"]

#: Steps of an update period for which spikes are taken from a history: a word of each is in registers at a time.
HISTORY_LIMIT = 256


class Bptt(NamedTuple):
    """How a unit takes part in the way back, Guo et al. 2023, equations (3) to (7).

    Attributes
    ----------
    learns : bool
        Whether the unit computes errors: it has weights, or a unit below it in the block has.
    serves : bool
        Whether a unit below it in the block learns, and asks for errors.
    gradient : str
        Where the sums of equation (7) come from: a ``history`` of errors over the update period; a ``memory``, to which
        every interval adds; ``none`` without weights that learn.
    error_width : int
        Bits of an error.
    """

    learns: bool
    serves: bool
    gradient: str
    error_width: int

    @property
    def accumulates(self):
        """Whether gradients are summed in a memory, interval by interval."""
        return self.gradient == "memory"

    def check(self, config, unit):
        """Refuse a history that is too long to be read at once."""
        if self.gradient == "history" and unit.frames > HISTORY_LIMIT:
            reject("time.interval", f"must be at most {HISTORY_LIMIT} steps, with time.update_period, where "
                   f"gradient is 'history' (block {unit.block})", config.time.interval)

    def states(self, config, unit):
        """Surrogate windows, errors, and gradients where a memory sums them."""
        styles, lanes, neuron = config.hardware.memory, unit.lanes, unit.neuron
        beside = lanes * (neuron.needs_spike + (unit.dropout > 0))

        def steps(work):
            return unit.words * unit.steps * work.learned

        yield State(name="window", there=self.learns, accesses={"write.forward": steps, "read.backward": steps},
                    memory=Memory(
            f"{unit.path}.window_store", "history", unit.words * unit.steps, lanes * neuron.code_bits + beside,
            "word * k + step: surrogate code per lane, then spikes where the reset is to zero, then which are dropped "
            "where any are", style=styles.history))
        static = unit.input.static

        def again(work):
            """Of a frame, sums that go on over an update period; of slices, what goes on from the later one."""
            if static:
                return 0 if self.accumulates else unit.words * (work.learned - work.updates)
            return unit.words * (unit.slices - 1) * work.learned + work.asked

        goes_on = {"read.backward": again} if static or self.serves or unit.slices > 1 else {}
        added = {"read.update": lambda work: work.sums} if unit.weights.stored else {}
        yield State(
            name="error", there=self.learns,
            accesses={"write.backward": lambda work: unit.words * (1 if static else unit.steps) * work.learned,
                      **goes_on, **added},
            memory=Memory(
                f"{unit.path}.error_store", "error", unit.words * unit.error_frames, lanes * unit.history_width,
                "word: sum of the errors" if static else f"word * {unit.error_frames} + step: error per lane",
                style=styles.error))
        yield State(name="gradient", there=self.accumulates, accesses={
            "read.update": lambda work: unit.weight_depth * work.updates + work.sums,
            "write.update": lambda work: work.touched + work.sums}, memory=Memory(
            f"{unit.path}.accumulate.gradient_store", "gradient", unit.weight_depth, 1 + lanes * unit.gradient_width,
            "as the weights: whether the row was active, then the gradient of each lane"))
