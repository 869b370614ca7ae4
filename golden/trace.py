"""What a network did with a sample, and how it is collected while the golden model runs."""

from typing import NamedTuple

import torch

__all__ = ["Recorder", "SampleTrace", "UnitTrace", "sent"]


def sent(fired, dropped):
    """Spikes that leave a unit; `dropped` is None where none is."""
    return fired if dropped is None else fired & ~dropped


class UnitTrace(NamedTuple):
    """What one unit did with one sample, all int64 but the bool spikes.

    Members
    -------
    inputs : torch.Tensor
        (T, n_in) spikes, or (n_in,) values of a static frame.
    potentials, spikes, codes : torch.Tensor
        (T, n_out).
    errors : torch.Tensor or None
        (T, n_out) potential errors; None without training, and where the unit computes none (`Unit.rule.learns`).
    dropped : torch.Tensor or None
        (T, n_out) which neurons are dropped, bool; None without training or dropout. `spikes` are those before.
    moved : list of torch.Tensor
        (fan_in, channels) which weights each update moves, if nothing saturates: those whose step is not zero, bool.
    weights : list of torch.Tensor
        The weights after each update; filled only on request.
    """

    inputs: torch.Tensor
    potentials: torch.Tensor
    spikes: torch.Tensor
    codes: torch.Tensor
    errors: torch.Tensor | None
    dropped: torch.Tensor | None
    moved: list
    weights: list

    @property
    def sent(self):
        """Spikes that leave the unit."""
        return sent(self.spikes, self.dropped)


class SampleTrace(NamedTuple):
    """One sample through the core: a `UnitTrace` per unit, spike counts (classes,), and the class they name."""

    units: list
    counts: torch.Tensor
    prediction: int
    train: bool


def _joined(parts):
    """Steps of consecutive intervals, as one tensor; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class Recorder:
    """Collects, for every unit, what it does in one interval after another.

    Parameters
    ----------
    units : sequence of Unit
    alone : bool
        Whether a sample is a batch of its own: its tensors have no axis for samples.
    """

    def __init__(self, units, *, alone):
        self._units, self._alone = units, alone
        self.forget()

    def forget(self):
        """Begin anew: what was recorded is not needed any more."""
        self._parts = [{name: [] for name in ("potentials", "spikes", "codes", "errors", "dropped")}
                       for _ in self._units]
        self._moved, self._weights = ([[] for _ in self._units] for _ in range(2))

    def add(self, place, **values):
        """Note values (steps, ..., n_out) of the unit at `place` in one interval; None of what is not there."""
        for name, value in values.items():
            if value is not None:
                self._parts[place][name].append(value)

    def add_update(self, place, *, moved=None, weights=None):
        """Note which weights of a unit an update moves, or what they are after it."""
        for kept, value in ((self._moved, moved), (self._weights, weights)):
            if value is not None:
                kept[place].append(value)

    def last(self, place, name, intervals):
        """The same values of the last intervals, one after the other; None where there are none."""
        parts = self._parts[place][name][-intervals:]
        return _joined(parts) if parts else None

    def last_sent(self, place, intervals):
        """Spikes that left a unit in the last intervals."""
        return sent(self.last(place, "spikes", intervals), self.last(place, "dropped", intervals))

    def traces(self, frames, train):
        """A `SampleTrace` for each sample; `frames` as the first unit sees them."""
        static = self._units[0].static
        samples = 1 if self._alone else len(frames) if static else frames.shape[1]
        found, source = [[] for _ in range(samples)], None if static else frames

        def of(sample, values, axis=1):
            return values if values is None or self._alone else values.select(axis, sample)

        for place, unit in enumerate(self._units):
            own = {name: _joined(parts) if parts else None for name, parts in self._parts[place].items()}
            own |= {name: own[name] if own[name] is None else own[name].to(torch.int64)
                    for name in ("potentials", "codes", "errors")}
            for sample, units in enumerate(found):
                inputs = of(sample, frames, 0) if unit.input.static else of(sample, source)
                units.append(UnitTrace(inputs, moved=self._moved[place], weights=self._weights[place], **{
                    name: of(sample, values) for name, values in own.items()}))
            if not unit.classifier:
                source = sent(own["spikes"], own["dropped"])
        counts = own["spikes"].sum(0).reshape(samples, -1)
        return [SampleTrace(units, own, prediction, train)
                for units, own, prediction in zip(found, counts, counts.argmax(1).tolist())]
