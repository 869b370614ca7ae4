"""What the spikes of a sample cost: operations of every pass, and what all counters follow from that are no cycles.

Closed forms over bit counts; the RTL's walks (`rtl.scan`, `rtl.taps`, `rtl.gradient`, `rtl.update`) are their twins.
To all of them a bias is one more bitmap word at the end of every step, not in memory, whose first bit is set.
"""

from functools import cache
from typing import NamedTuple

import torch

from .linear import weighted_rows, written_words
from .schedule import SCAN_MINIMUM, Passes, update_operations
from .states import unit_states

__all__ = ["Work", "interval_items", "passes_and_counters", "together", "unit_passes", "useful"]


class Work(NamedTuple):
    """What a unit does in one sample, or in all samples of a batch. The counts of `State.accesses` follow from it.

    Attributes
    ----------
    samples, intervals : int
    learned : int
        Intervals with a backward pass.
    written, read, read_again : int
        Parts of input bitmaps that came in; words of them that forward passes read, and that updates read.
    events, biases, adds : int
        Operations of the forward pass that add something; those of them for a bias; lanes with a neuron in them.
    sums, bias_sums : int
        Operations of the update that add to a gradient; those of them for a bias.
    updates : int
        Update periods that ended.
    touched, rows, moved : int
        Words of weights: of inputs that were active in an update period; that the update visited; that it changed.
    asked, adds_asked : int
        Words that the unit below asked for; lanes with a neuron in them.
    """

    samples: int = 0
    intervals: int = 0
    learned: int = 0
    written: int = 0
    read: int = 0
    read_again: int = 0
    events: int = 0
    biases: int = 0
    adds: int = 0
    sums: int = 0
    bias_sums: int = 0
    updates: int = 0
    touched: int = 0
    rows: int = 0
    moved: int = 0
    asked: int = 0
    adds_asked: int = 0


def together(works):
    """The sum of all."""
    return Work(*map(sum, zip(*works)))


@cache
def _positions(unit):
    """Bit of every input in the bitmap words of a step, int64 (n_in,)."""
    inputs = torch.arange(unit.n_in)
    if unit.window.kind == "dense":
        return unit.fan_address(inputs)
    channel, pixel = inputs % unit.shape_in[2], inputs // unit.shape_in[2]
    return unit.bitmap.position(pixel // unit.shape_in[1], pixel % unit.shape_in[1], channel)


def _bitmap(unit, bits):
    """Bits (steps, n_in) as they lie in memory: int64 (steps, image rows, bits of a row)."""
    layout = unit.bitmap
    laid = torch.zeros(len(bits), layout.words * layout.scan_width, dtype=torch.int64)
    laid[:, _positions(unit)] = bits.to(torch.int64)
    return laid.reshape(len(bits), layout.height, -1)


@cache
def _visits(unit):
    """Bitmap words read in one image row under the windows of all output columns: first bit, last bit, column."""
    layout, low, high, column = unit.bitmap, [], [], []
    for place, span in enumerate(unit.windows[1]):
        for group in layout.visited(span.first, span.count):
            first, last = span.first * layout.pitch, (span.first + span.count) * layout.pitch
            low.append(max(first, group * layout.scan_width))
            high.append(min(last, (group + 1) * layout.scan_width))
            column.append(place)
    return torch.tensor(low), torch.tensor(high), torch.tensor(column)


def _rows(unit, values):
    """Sum of `values` (steps, image rows, ...) over the image rows under each output row: (steps, output rows, ...)."""
    before = torch.nn.functional.pad(values.cumsum(1), (0, 0) * (values.dim() - 2) + (1, 0))
    first = torch.tensor([span.first for span in unit.windows[0]])
    count = torch.tensor([span.count for span in unit.windows[0]])
    return before[:, first + count] - before[:, first]


def _forward(unit, bits):
    """Events and operations of every window in one step, each (steps, pixels), and words read in a step."""
    low, high, column = _visits(unit)
    before = torch.nn.functional.pad(_bitmap(unit, bits).cumsum(2), (1, 0))
    found = before[:, :, high] - before[:, :, low]
    width = unit.shape_out[1]

    def over_columns(values):
        return values.new_zeros(*values.shape[:2], width).index_add_(2, column, values)

    events, operations = (_rows(unit, over_columns(values)).flatten(1) + unit.weights.bias
                          for values in (found, found.clamp(min=1)))
    read = sum(span.count for span in unit.windows[0]) * len(column)
    return events, operations.clamp(min=unit.step_minimum), read


def _pool_forward(unit, bits):
    """The same of a pooling, per output word: a tap takes one operation, and is an event if a lane has a spike."""
    taps = torch.tensor([[down.count * across.count for across in unit.windows[1]] for down in unit.windows[0]])
    layout = unit.bitmap
    lanes = bits.reshape(len(bits), *unit.shape_in)
    lanes = torch.nn.functional.pad(lanes, (0, layout.granules * unit.lanes - unit.channels))
    active = lanes.reshape(*lanes.shape[:3], layout.granules, unit.lanes).any(4)
    windows = active.unfold(1, unit.window.kernel, unit.window.stride).unfold(2, unit.window.kernel, unit.window.stride)
    events = windows.sum((4, 5)).flatten(1)  # steps, (pixel, channel word)
    operations = taps.flatten().repeat_interleave(unit.channel_words).clamp(min=unit.step_minimum)
    return events, operations.expand(len(bits), -1), int(taps.sum()) * unit.channel_words


@cache
def _taps(unit):
    """Outputs over each input of a step, int64 (n_in,)."""
    down, across = (torch.tensor([span.count for span in axis]) for axis in unit.taps)
    if unit.window.kind == "dense":
        return torch.ones(unit.n_in, dtype=torch.int64)
    return torch.outer(down, across).flatten().repeat_interleave(unit.shape_in[2])


def interval_items(config, spikes):
    """Items of the event stream in every interval of a sample (T, n_in): one per event, one for the end of a step."""
    return (spikes.ne(0).sum(1) + 1).reshape(config.intervals, -1).sum(1).tolist()


def passes_and_counters(config, traces):
    """Operations of every pass of the samples of a batch, and the counters that it adds.

    Parameters
    ----------
    config : Config
    traces : list of SampleTrace
        Of its samples.

    Returns
    -------
    passes : list of list of list of Passes
        As `Schedule.batch` wants them.
    counters : dict of str to int
        All but the cycle and wait counters.
    """
    passes, works = zip(*(_passes(config, trace) for trace in traces))
    works = [together(own) for own in zip(*works)]
    if len(traces) > 1 and traces[0].train:
        for place, unit in enumerate(config.units):
            if unit.weights.stored:  # they move once for all
                inputs = [(trace.units[place].inputs != 0).reshape(-1, unit.n_in) for trace in traces]
                works[place] = works[place]._replace(
                    **_applied(config, unit, inputs, traces[0].units[place].moved))
    counters = {}
    for unit, work in zip(config.units, works):
        own = {f"adds.{phase}": lanes for phase, lanes in useful(unit, work).items()}
        if unit.weights.stored:
            own["skips.update"] = work.rows - work.moved
        own |= {f"{state.name}.{access}": count(work)
                for state in unit_states(config, unit).values() for access, count in state.accesses.items()}
        counters |= {f"{unit.path}.{name}": value for name, value in own.items()}
    for block in config.blocks[:-1]:
        words = block.layers[-1].words * config.time.steps * len(traces)
        counters |= {f"{block.name}.output.queue.{operation}.forward": words for operation in ("write", "read")}
    return list(passes), counters


def useful(unit, work):
    """Lanes that added something with a neuron in them, by the phase in which they did."""
    served = {"backward": work.adds_asked} if unit.rule.serves else {}
    # An operation of an update adds all channels of a pixel in `channel_words` steps.
    learned = {"update": work.sums // unit.channel_words * unit.channels} if unit.weights.stored else {}
    return {"forward": work.adds, **served, **learned}


def _passes(config, trace):
    """Passes and work of every unit with one sample, two lists."""
    passes, works, asked = [], [], Work()
    for place, (unit, seen) in enumerate(zip(config.units, trace.units)):
        above = None if unit.classifier else config.units[place + 1]
        own, work, request = unit_passes(config, unit, above, seen, trace.train)
        passes.append(own)
        works.append(together((work, asked)))
        asked = request
    return passes, works


def unit_passes(config, unit, above, seen, train):
    """The passes of one unit; its lanes and those of its neighbours may be others than `config` says.

    Parameters
    ----------
    config : Config
    unit, above : Unit
        The unit, and the one that serves it (None for a classifier).
    seen : UnitTrace
    train : bool

    Returns
    -------
    passes : list of Passes
        By interval.
    work : Work
        Without what the unit below asked for.
    request : Work
        What it asks of `above`.
    """
    own = _Walk(config, unit, above, seen, train)
    passes = own.passes()
    return passes, Work(**own.work), own.request


def _applied(config, unit, inputs, moved):
    """What the updates of the weights do, after all samples of a batch; `inputs` of each (steps, n_in)."""
    period, touched = config.time.update_period, 0
    for own in inputs:
        active = own.expand(config.intervals, -1) if unit.input.static else \
            own.reshape(config.intervals, -1, unit.n_in).any(1)
        active = active.reshape(-1, period, unit.n_in).any(1)
        touched = torch.stack([weighted_rows(unit, own) for own in active]) | touched
    rows = touched if unit.optimiser.only_active else torch.ones_like(touched)
    return {"updates": len(touched), "touched": int(touched.sum()) * unit.channel_words,
            "rows": int(rows.sum()) * unit.channel_words,
            "moved": sum(int(written_words(unit, own).sum()) for own in moved)}


class _Walk:
    """The passes of one unit with one sample."""

    def __init__(self, config, unit, above, seen, train):
        self.config, self.unit, self.above, self.seen = config, unit, above, seen
        self.learns = train and unit.rule.learns
        self.intervals = config.intervals
        self.inputs = (seen.inputs != 0).reshape(-1, unit.n_in)
        self.work = {"samples": 1, "intervals": self.intervals, "learned": self.intervals * self.learns}
        self.request = Work()

    def _per_interval(self, values):
        """Sum over each interval of values of a step; a static frame has one step, the same in every interval."""
        values = values.reshape(len(values), -1).sum(1)
        return (values.expand(self.intervals) if self.unit.input.static else
                values.reshape(self.intervals, -1).sum(1)).tolist()

    def _per_slice(self, values):
        """The same for each slice of the interval, as a tuple."""
        values = values.reshape(len(values), -1).sum(1)
        parts = values.reshape(1, 1).expand(self.intervals, 1) if self.unit.input.static else \
            values.reshape(self.intervals, self.unit.slices, -1).sum(2)
        return [tuple(own) for own in parts.tolist()]

    def passes(self):
        """Operations by interval; fills `work` and `request`."""
        forward, none = self._forward_pass(), [(0,) * self.unit.slices] * self.intervals
        backward = self._backward_pass() if self.learns else none
        weighted = self.learns and self.unit.weights.stored
        update = (self._accumulate() if self.unit.rule.accumulates else self._update()) if weighted else none
        return [Passes(*own) for own in zip(forward, backward, update)]

    def _forward_pass(self):
        unit, steps = self.unit, self.config.time.steps
        frames = self.intervals if unit.input.static else 1  # how often a static frame is read
        events, operations, read = (_pool_forward if unit.window.pools else _forward)(unit, self.inputs)
        per_pixel = 1 if unit.window.pools else unit.channel_words
        if unit.input.events:
            granules = int(self.inputs.sum())
        elif unit.input.static:
            granules = unit.bitmap.words
        else:
            granules = steps * unit.shape_in[0] * unit.shape_in[1] * -(-unit.shape_in[2] // unit.granule)
        if unit.window.pools:
            lanes = torch.full((unit.channel_words,), unit.lanes)
            lanes[-1] = unit.last_lanes
            useful = (events.reshape(len(events), -1, unit.channel_words) * lanes).sum()
        else:
            useful = events.sum() * unit.channels
        self.work |= {
            "written": granules,
            "read": read * (1 if unit.window.pools else per_pixel) * len(self.inputs) * frames,
            "events": int(events.sum()) * per_pixel * frames, "adds": int(useful) * frames,
            "biases": unit.weights.bias * unit.words * len(self.inputs) * frames,
        }
        return [own * per_pixel for own in self._per_interval(operations)]

    def _backward_pass(self):
        unit, above, words, steps = self.unit, self.above, self.unit.words, self.config.time.steps
        if above is None:
            return [(unit.neuron_cycles * words * unit.slice_steps,) * unit.slices] * self.intervals
        taps = _taps(above)
        inside = (self.seen.codes != 0) * taps
        if unit.dropout:
            inside = inside * ~self.seen.dropped  # nobody above has heard of them
        channels = torch.nn.functional.pad(
            inside.reshape(steps, unit.pixels, unit.channels),
            (0, unit.channel_words * unit.lanes - unit.channels)).reshape(steps, words, unit.lanes)
        repeat = 1 if above.window.pools else above.channel_words
        asked = int(inside.sum())
        self.request = Work(asked=asked * repeat, adds_asked=asked * (1 if above.window.pools else above.channels))
        operations = (channels.sum(2) * repeat).clamp(min=unit.neuron_cycles).sum(1)
        parts = operations.reshape(self.intervals, unit.slices, unit.slice_steps).sum(2)
        return [tuple(own) for own in parts.tolist()]

    def _update(self):
        """Row by row over the history of one update period."""
        unit, period, words = self.unit, self.config.time.update_period, self.unit.words
        periods = self.intervals // period
        static = unit.input.static
        history = self.inputs.expand(periods, 1, -1) if static else self.inputs.reshape(periods, -1, unit.n_in)
        active, bias = history.any(1), int(unit.weights.bias)
        biases = bias * history.shape[1]
        visits = (history.sum((1, 2)) + biases).tolist()
        groups = (_bitmap(unit, active).reshape(periods, unit.bitmap.words, -1).any(2).sum(1) + bias).tolist()
        self.work |= _applied(self.config, unit, [self.inputs], self.seen.moved) | {
            "sums": sum(visits) * words, "bias_sums": biases * periods * words,
            "read_again": unit.bitmap.words * unit.frames * periods}
        rest = (0,) * (unit.slices - 1)
        operations = [update_operations(words * own, begun) for own, begun in zip(visits, groups)]
        return [(operations[i // period] if (i + 1) % period == 0 else 0, *rest) for i in range(self.intervals)]

    def _accumulate(self):
        """Event by event in every interval, into the gradient memory; the rows that were touched once per period."""
        unit, repeat = self.unit, self.unit.channel_words
        taps = _bitmap(unit, self.inputs * _taps(unit)) * repeat
        operations, biases = taps.reshape(len(taps), unit.bitmap.words, -1).sum(2), 0
        if unit.weights.bias:
            operations, biases = torch.nn.functional.pad(operations, (0, 1), value=unit.words), unit.words
        self.work |= _applied(self.config, unit, [self.inputs], self.seen.moved) | {
            "sums": sum(self._per_interval(operations)), "bias_sums": biases * (
                self.intervals if unit.input.static else len(taps)),
            "read_again": unit.bitmap.words * unit.frames * self.intervals}
        return self._per_slice(operations.clamp(min=1).sum(1).clamp(min=SCAN_MINIMUM))
