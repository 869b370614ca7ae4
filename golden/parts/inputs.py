"""What comes into a unit: a frame, events from outside, or spikes of another unit."""

from typing import NamedTuple

from ..states import Memory, State

__all__ = ["Inputs"]


class Inputs(NamedTuple):
    """What the first pass of a unit reads.

    Attributes
    ----------
    kind : str
        ``frame``: unsigned values, the same in every step; ``events``, or ``spikes`` of another unit.
    bits, fraction : int
        Of a value of a frame, and how many of them are behind the binary point; 0 for spikes.
    dropout : int
        Sixteenths of the spikes that are dropped in training, before they come in.
    """

    kind: str
    bits: int
    fraction: int
    dropout: int

    @property
    def static(self):
        """Whether it is the same in every step."""
        return self.kind == "frame"

    @property
    def events(self):
        """Whether it comes from outside as a stream of events."""
        return self.kind == "events"

    def states(self, config, unit):
        """Spikes that come in, or what says which values of a frame are not zero, and those."""
        bitmap, hardware, styles = unit.bitmap, config.hardware, config.hardware.memory
        updates = {"read.update": lambda work: work.read_again} if unit.weights.stored else {}
        accesses = {"write.forward": lambda work: work.written, "read.forward": lambda work: work.read, **updates}
        buffer = f"block{unit.block}.buffer"
        if self.static:
            words = hardware.sample_slots * bitmap.words
            yield State(name="input", accesses=accesses, memory=Memory(
                f"{buffer}.bitmaps", "input", words, bitmap.scan_width,
                "slot * words + word: which values are not zero", style=styles.input))
            updates = {"read.update": lambda work: work.sums - work.bias_sums} if unit.weights.stored else {}
            yield State(name="value", accesses={
                "write.forward": lambda work: unit.n_in * work.samples,
                "read.forward": lambda work: work.events - work.biases, **updates}, memory=Memory(
                f"{buffer}.values", "input", words * bitmap.scan_width, self.bits,
                "(slot * words + word) * width + bit: value of the frame, where its bit is", style=styles.input))
            return
        path = f"{unit.path}_input.bitmaps"
        if unit.bottom:
            path = f"{buffer}.{'' if self.events else 'store.'}bitmaps"
        yield State(name="input", accesses=accesses, memory=Memory(
            path, "history", (hardware.spike_slots if unit.bottom else 1) * unit.frames * bitmap.words,
            bitmap.scan_width, "(slot * frames + step) * words + word: spikes, image row by image row", unit.granule,
            style=styles.input if self.events else styles.history))
