"""The one comparison: what the RTL did against what the golden model says, bit by bit and cycle by cycle.

Every difference is an exact one between integers. Functions return the first `Difference` they meet, or None; in a
trace, first means earliest in the RTL's own time.
"""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch

from ..golden.linear import written_words
from ..golden.model import visited_rows
from ..golden.states import saved_kinds

__all__ = ["Difference", "compare_counters", "compare_results", "compare_state", "compare_trace"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Where RTL and golden model part; fields that do not apply are None.

    Attributes
    ----------
    what : str
        What differs, in words.
    expected, actual : object
        What the golden model says, and the core.
    sample : int
        Of the whole run in a trace, of the batch in results.
    step : int
        Of the interval in a forward pass, of the update period (or slice) in a backward pass, of the sample in cycles.
    block : int
        In a trace only.
    unit : str
        Path of the unit.
    neuron : int
        Output, or column of a weight matrix.
    row : int
        Of the weight memory (`Unit.fan_address`) in a trace, of the weight matrix in a state.
    cycle : int
        In which the core was wrong.
    """

    what: str
    expected: object
    actual: object
    sample: int | None = None
    step: int | None = None
    block: int | None = None
    unit: str | None = None
    neuron: int | None = None
    row: int | None = None
    cycle: int | None = None

    def __str__(self):
        places = [f"{name} {value}" for name in ("sample", "step", "block", "unit", "neuron", "row", "cycle")
                  if (value := getattr(self, name)) is not None]
        return f"{self.what} differs at {', '.join(places) or 'the end'}: " \
               f"expected {self.expected}, actual {self.actual}"


#: What messages call the fields of a result.
_RESULT = {"prediction": "prediction", "counts": "spike counts", "label": "label", "train": "train",
           "cycles": "cycle count", "arrived": "cycle of arrival", "taken": "cycle of the result"}


def compare_results(results, expected):
    """Results of the core (of `sim.ports.result_type`), against those of a `Prediction`."""
    if len(results) != len(expected):
        return Difference(what="number of results", expected=len(expected), actual=len(results))
    for sample, (own, want) in enumerate(zip(results, expected)):
        for field, what in _RESULT.items():
            if (actual := own[field].tolist()) != want[what]:
                return Difference(what=what, sample=sample, expected=want[what], actual=actual)
    return None


def compare_counters(arrays, expected):
    """Counters read from the core (``counter:<name>``) against the predicted ones; all names on both sides."""
    have = {key[8:]: int(value) for key, value in arrays.items() if key.startswith("counter:")}
    for name in sorted(have.keys() | expected.keys()):
        if have.get(name) != expected.get(name):
            return Difference(what=f"counter {name}", expected=expected.get(name), actual=have.get(name))
    return None


def compare_state(config, arrays, state):
    """A state read from the core against the golden one: every weight, LFSR and learning-rate register."""
    for place, unit in enumerate(config.units):
        for what in saved_kinds(config, "matrix"):
            want, have = state[what][place].numpy(), arrays[f"{what}_{place}"]
            if want.shape != have.shape:
                return Difference(what=f"shape of {what}", unit=unit.path, expected=want.shape, actual=have.shape)
            wrong = np.argwhere(want != have)
            if len(wrong):
                row, neuron = (int(i) for i in wrong[0])
                return Difference(what=f"{what} (and {len(wrong) - 1} others)", unit=unit.path, row=row, neuron=neuron,
                                  expected=int(want[row, neuron]), actual=int(have[row, neuron]))
        for what in saved_kinds(config, "lanes"):
            want, have = list(state[what][place]), arrays[f"{what}_{place}"].tolist()
            if want != have:
                return Difference(what=f"{what} state", unit=unit.path, expected=want, actual=have)
    for field in ("shift", "since_decay"):
        if int(arrays[field]) != getattr(state, field):
            return Difference(what=f"learning-rate state {field}", expected=getattr(state, field),
                              actual=int(arrays[field]))
    return None


@dataclass(frozen=True)
class _Event:
    """One line of the trace, or one that should be there: place, and named lists of lane values."""

    sample: int | None
    word: int
    step: int | None  # of the interval (forward) or the update period (backward); None for an update
    values: dict
    cycle: int | None = None
    row: int | None = None


def _lanes(text, lanes, width, signed):
    packed, mask = int(text, 16), (1 << width) - 1
    values = [(packed >> (lane * width)) & mask for lane in range(lanes)]
    return [value - (value >> (width - 1) << width) for value in values] if signed else values


def _parse(config, lines):
    """Trace lines by (kind, unit place): events, or (cycle, pass) for starts and ends."""
    events = {}
    for line in lines:
        kind, cycle, place, *rest = line.split()
        place, cycle = int(place), int(cycle)
        unit = config.units[place]
        found = events.setdefault((kind, place), [])
        if kind in "SD":
            found.append((cycle, rest[0]))
        elif kind == "F":
            values = {
                "spike": _lanes(rest[2], unit.lanes, 1, False),
                "window": _lanes(rest[3], unit.lanes, config.code_bits, False),
                "potential": _lanes(rest[4], unit.lanes, unit.potential_width, True)}
            if unit.dropout:
                values |= {"dropped": _lanes(rest[5], unit.lanes, 1, False),
                           "output spike": _lanes(rest[6], unit.lanes, 1, False)}
            found.append(_Event(None, int(rest[0]), int(rest[1]), values, cycle))
        elif kind == "B":
            values = {"error": _lanes(rest[2], unit.lanes, unit.rule.error_width, True)}
            found.append(_Event(None, int(rest[0]), int(rest[1]), values, cycle))
        else:
            word, row = divmod(int(rest[0]), unit.fan_rows)
            values = {"weight": _lanes(rest[1], unit.lanes, unit.weights.width, True)}
            found.append(_Event(None, word, None, values, cycle, row))
    return events


def _words(unit, tensor):
    """Values (..., channels of one pixel after another) as lists of the lanes that hold a neuron, by output word."""
    firsts = [(pixel + first, pixel + min(first + unit.lanes, unit.channels))
              for pixel in range(0, tensor.shape[-1], unit.channels) for first in range(0, unit.channels, unit.lanes)]
    return [tensor[..., first:last].tolist() for first, last in firsts]


def _expected(config, place, samples):
    """Events of one unit in the order of the RTL: by kind, for all samples."""
    unit, k, period = config.units[place], config.time.interval, config.time.update_period
    forward, backward, update = [], [], []
    batch = config.update.batch
    for first in range(0, len(samples), batch):
        own = [_sample_events(config, place, first + b, samples[first + b].units[place]) for b in range(batch)]
        for interval in range(config.intervals):
            for before, behind in own:
                forward += before[interval]
                backward += behind[interval]
            if samples[first].train and (interval + 1) % period == 0 and unit.weights.stored:
                group = [samples[first + b].units[place] for b in range(batch)]
                base = (interval + 1) * k
                active = torch.stack([seen.inputs if unit.input.static else seen.inputs[base - period * k:base]
                                      for seen in group])
                rows = visited_rows(unit, active).tolist()
                weights = _words(unit, group[0].weights[interval // period])
                written = written_words(unit, group[0].moved[interval // period]).tolist()
                update += [_Event(first + batch - 1, word, None, {"weight": weights[word][row]},
                                  row=unit.fan_address(row)) for row in rows for word in range(unit.channel_words)
                           if written[row][word]]
    return {"F": forward, "B": backward, "U": update}


def _sample_events(config, place, number, seen):
    """Forward and backward events of one sample, by interval."""
    unit, k, period = config.units[place], config.time.interval, config.time.update_period
    forward, backward = [], []
    # Cause before effect: the first of them that differs is reported.
    kept = {"potential": _words(unit, seen.potentials), "spike": _words(unit, seen.spikes.long()),
            "window": _words(unit, seen.codes)}
    if unit.dropout:
        dropped = torch.zeros_like(seen.spikes) if seen.dropped is None else seen.dropped
        kept |= {"dropped": _words(unit, dropped.long()), "output spike": _words(unit, seen.sent.long())}
    errors = _words(unit, seen.errors) if seen.errors is not None else None
    for interval in range(config.intervals):
        base = interval * k
        forward.append([_Event(number, word, t, {name: lists[word][base + t] for name, lists in kept.items()})
                        for word in range(unit.words) for t in range(k)])
        # Errors are numbered as they are kept.
        first = interval % period * k if unit.rule.gradient == "history" else 0
        frames = unit.update_steps if unit.rule.gradient == "history" else unit.slice_steps
        backward.append([] if errors is None else [
            _Event(number, word, (first + t) % frames, {"error": errors[word][base + t]})
            for part in reversed(range(0, k, unit.slice_steps)) for word in reversed(range(unit.words))
            for t in reversed(range(part, part + unit.slice_steps))])
    return forward, backward


def _event_difference(unit, want, have):
    if want is None or have is None:
        event = want or have
        return Difference(what="number of events", unit=unit.path, sample=event.sample, cycle=event.cycle,
                          expected="no more" if want is None else "one more",
                          actual="no more" if have is None else "one more")
    where = {"sample": want.sample, "block": unit.block, "unit": unit.path, "cycle": have.cycle}
    places = [(event.word, event.row if event.step is None else event.step) for event in (want, have)]
    if places[0] != places[1]:
        return Difference(what="place of an event (word, step or row)", expected=places[0], actual=places[1], **where)
    # In the trace, a weight's word is one of channels.
    pixel, word = divmod(want.word, unit.channel_words)
    for name, values in want.values.items():
        for lane, (expected, actual) in enumerate(zip(values, have.values[name])):
            if expected != actual:
                neuron = pixel * unit.channels + word * unit.lanes + lane
                return Difference(what=name, step=want.step, neuron=neuron, row=want.row,
                                  expected=expected, actual=actual, **where)
    return None


def compare_trace(config, lines, samples, phases):
    """A whole trace against golden samples: spikes, windows, potentials, errors, weights and the time of each pass.

    With dropout also which neurons are dropped, and the spikes that leave the layer.

    Parameters
    ----------
    config : Config
    lines : iterable of str
        As `bench.sv.jinja` has them written.
    samples : list of SampleTrace
        Recorded with the weights after each update.
    phases : list of Phase
        Of a `Schedule` with log.

    Returns
    -------
    Difference or None
        The earliest one.
    """
    events, differences = _parse(config, lines), []
    for place, unit in enumerate(config.units):
        expected = _expected(config, place, samples)
        for kind, wanted in expected.items():
            for want, have in zip_longest(wanted, events.get((kind, place), [])):
                if (difference := _event_difference(unit, want, have)) is not None:
                    differences.append(difference)
                    break
        planned = [p for p in phases if (p.block, p.unit) == (unit.block, unit.index)]
        for kind, name in (("S", "first"), ("D", "last")):
            actual = events.get((kind, place), [])
            for phase, have in zip_longest(planned, actual):
                want = phase and (getattr(phase, name), phase.kind)
                if want != have:
                    differences.append(Difference(
                        what=f"{name} cycle of a pass", unit=unit.path, block=unit.block,
                        sample=phase and phase.sample, step=phase and phase.interval * config.time.interval,
                        cycle=have and have[0], expected=want, actual=have))
                    break
    return min(differences, key=lambda d: float("inf") if d.cycle is None else d.cycle, default=None)
