"""Every cycle of the core, in closed form per pass and as a max-plus recurrence over the graph of blocks.

A pass of one unit takes its operations plus its stages, see `forward_cycles` and the others; the operations follow
from the spikes (`golden.activity`). A block begins an interval when three things are true: it has finished the one
before, all that it reads is complete, and all its readers have taken the spikes of the interval before
(`golden.edges`). Importing this module does not import torch.
"""

from itertools import accumulate
from typing import NamedTuple

from . import stages
from .edges import check_edges, edges
from .stages import REPORT, SCAN, UPDATE_GROUP, UPDATE_ROW

__all__ = [
    "SCAN_MINIMUM",
    "Passes",
    "Phase",
    "Schedule",
    "Times",
    "accumulate_cycles",
    "apply_cycles",
    "backward_cycles",
    "forward_cycles",
    "report_cycles",
    "update_cycles",
    "update_operations",
]

#: Operations of a step of a scan at least.
SCAN_MINIMUM = 2


def _pass_cycles(operations, pipeline):
    """Cycles of a pass after a scan, the first and the last included.

    The first operation comes after the stages of the scan and goes through `pipeline`; each other one follows a cycle
    after the one before.
    """
    return len(SCAN) + operations - 1 + len(pipeline)


def forward_cycles(unit, operations):
    """Forward pass of one interval. After the last sum of a frame the neurons still have to take all their steps."""
    steps = unit.steps if unit.input.static else 1
    return _pass_cycles(operations, stages.forward(unit)) + unit.neuron_cycles * (steps - 1)


def backward_cycles(unit, above, operations):
    """Backward pass of one interval; `above` is None for a classifier."""
    return _pass_cycles(operations, stages.backward(unit, above))


def update_operations(operations, begun):
    """Operations of an update: those of its rows, and the choice of the first one in each of `begun` groups."""
    return operations + len(UPDATE_ROW) * begun


def update_cycles(unit, operations):
    """Update of one period: it begins, every group of input rows is read before its rows are visited, it ends.

    The input of a bias is a group of its own. The end goes through the pipeline after the last operation. `operations`
    as of `update_operations`.
    """
    groups = (unit.bitmap.words + unit.weights.bias) * (unit.frames + len(UPDATE_GROUP))
    return 1 + groups + operations + len(stages.update(unit))


def accumulate_cycles(unit, operations):
    """Gradients of one interval into their memory."""
    return _pass_cycles(operations, stages.accumulate(unit))


def apply_cycles(unit):
    """Update of one period from the gradient memory: one cycle per weight word, then the end as in `update_cycles`."""
    return 1 + unit.weight_depth + len(stages.APPLY)


def report_cycles(classifier):
    """Report of one sample, without waiting for the result before to be taken."""
    return len(REPORT) + classifier.words + classifier.n_out


class Passes(NamedTuple):
    """Operations of one unit in one interval, those behind the forward pass for each slice of its steps, ascending.

    `update` sums gradients, or moves weights where a history is kept (in the first slice, the last to be done).
    """

    forward: int
    backward: tuple
    update: tuple


class Phase(NamedTuple):
    """One pass: first and last cycle since reset; `unit` is its place in the block, -1 for all units together."""

    block: int
    sample: int
    interval: int
    kind: str
    unit: int
    first: int
    last: int


class Times(NamedTuple):
    """When a sample began, was reported, had arrived completely, and its result was taken."""

    begin: int
    end: int
    arrival: int
    accepted: int


class _Buffer:
    """The ring at the end of an edge as time goes by."""

    def __init__(self, edge):
        self.edge = edge
        self.taken = -1     # cycle in which it took the last item of what was handed over
        self._given = 0     # what was handed over so far
        self._done = 0      # what the reader is done with
        self._released = []  # cycles in which slots became free, oldest first

    def _room(self):
        """First cycle in which the slot for what comes next is free; None if what came before is in it, too."""
        slot, place = divmod(self._given, self.edge.fills)
        if place:
            return None
        return self._released[slot - self.edge.slots] + 1 if slot >= self.edge.slots else 0

    def earliest(self, items):
        """Cycle in which it takes the last of `items` from a source that never waits.

        A slot is cleared when it is free and the one before is full.
        """
        begin, room = self.taken + 1, self._room()
        if room is not None:
            begin = max(begin, room) + self.edge.clear
        return begin + items - 1

    def give(self, taken):
        """It takes the last item in the cycle `taken`."""
        self.taken = taken
        self._given += 1

    def hand_over(self, written):
        """The source has written its last item in the cycle `written`: it is taken when it arrives, or follows others
        that had to wait for a slot.
        """
        taken, room = written + self.edge.latency, self._room()
        if room is not None:
            taken = max(taken, room + self.edge.items - 1)
        self.give(taken)

    def release(self, now, count=1):
        """The reader is done with the oldest `count`, in the cycle `now`."""
        for _ in range(count):
            self._done += 1
            if self._done % self.edge.fills == 0:
                self._released.append(now)


class _Turn(NamedTuple):
    """One interval of one sample of a batch."""

    interval: int
    sample: int
    samples: int
    passes: list
    train: bool
    period_ends: bool
    last_interval: bool

    @property
    def ends(self):
        """Whether the batch ends with it."""
        return self.last_interval and self.sample == self.samples - 1


def _clear_cycles(block):
    """Cycles after reset in which the gradient memories of a block are cleared."""
    return max((unit.weight_depth for unit in block.units if unit.rule.accumulates), default=-1) + 1


class Schedule:
    """Walks through samples and says when everything happens. Cycle 0 is the first after reset.

    Parameters
    ----------
    config : Config
    graph : sequence of Edge, optional
        Which block feeds which; without it, `golden.edges.edges` of `config`.
    log : bool
        Keep every `Phase` in `phases`.
    cleared : bool
        Reset was long ago: gradient memories have been cleared.

    Attributes
    ----------
    counters : dict of str to int
        Predicted counters of the sequencers and the cycles of each unit's passes.
    phases : list of Phase
    """

    def __init__(self, config, *, graph=None, log=False, cleared=False):
        self.config, self.log, self.phases = config, log, []
        blocks = config.blocks
        graph = edges(config) if graph is None else tuple(graph)
        check_edges(graph, len(blocks))
        self.counters = {}
        self._free = [0 if cleared else _clear_cycles(block) for block in blocks]
        buffers = [_Buffer(edge) for edge in graph]
        self._source = next(buffer for buffer in buffers if buffer.edge.source is None)
        self._inputs = [[own for own in buffers if own.edge.target == block.index] for block in blocks]
        self._outputs = [[own for own in buffers if own.edge.source == block.index] for block in blocks]
        self._first = [0, *accumulate(len(block.units) for block in blocks)]  # place of the first unit of each block
        self._samples, self._accepted = 0, -1

    def _count(self, name, amount):
        self.counters[name] = self.counters.get(name, 0) + amount

    def next_arrival(self):
        """Cycle in which the last value of the next sample is accepted if the source never waits."""
        return self._source.earliest(self._source.edge.items)

    def sample(self, passes, *, train, arrival=None, accepted=None):
        """Schedule a sample that is a batch of its own: begin and end of its `batch`."""
        times, = self.batch([passes], train=train, arrivals=[arrival], accepted=[accepted])
        return times.begin, times.end

    def batch(self, batch, *, train, arrivals=None, accepted=None, items=None):
        """Schedule one batch.

        Parameters
        ----------
        batch : list of list of list of Passes
            Per sample, unit of the network, and interval.
        train : bool
        arrivals : list of int or None, optional
            Cycles in which the last value of each sample was accepted; None for `next_arrival`. With events, a list of
            the last cycles of its intervals for each sample, each of them or all may be None.
        accepted : list of int or None, optional
            Cycles in which each result was taken; None for at once.
        items : list of list of int, optional
            With events: items of every interval of each sample, ends of steps included.

        Returns
        -------
        list of Times
            Cycle of the first dispatch, and of the completed report; the result says ``end - begin``.
        """
        intervals, period, samples = self.config.intervals, self.config.time.update_period, len(batch)
        arrivals, accepted = arrivals or [None] * samples, accepted or [None] * samples
        if items is None:
            arrivals = [self._arrive(self._source.edge.items, own) for own in arrivals]
        begins, ends = [None] * samples, [None] * samples
        for interval in range(intervals):
            for sample, passes in enumerate(batch):
                if items is not None:
                    own = arrivals[sample] and arrivals[sample][interval]
                    arrived = self._arrive(items[sample][interval], own)
                else:
                    arrived = arrivals[sample] if interval == 0 else -1  # it has been there for long
                turn = _Turn(interval, sample, samples, passes, train,
                             (interval + 1) % period == 0 and sample == samples - 1, interval == intervals - 1)
                begin, end, result = self._turn(turn, arrived, accepted[sample])
                if interval == 0:
                    begins[sample] = begin
                if turn.last_interval:
                    ends[sample], accepted[sample] = end, result
                    if items is not None:
                        arrivals[sample] = self._source.taken
        self._samples += samples
        return [Times(*own) for own in zip(begins, ends, arrivals, accepted)]

    def _arrive(self, items, taken):
        """The source hands something over; `taken` where it is known when the last item was taken."""
        self._source.give(self._source.earliest(items) if taken is None else taken)
        return self._source.taken

    def _turn(self, turn, arrived, accepted):
        """One interval of one sample in all blocks: dispatch of the first, end of the last, its result taken.

        A block begins when it is free, all that it reads is complete, and all its readers have taken the interval
        before.
        """
        for block, inputs, outputs in zip(self.config.blocks, self._inputs, self._outputs):
            free = self._free[block.index]
            ready = 1 + max(arrived if own is self._source else own.taken for own in inputs)
            start = max(free, ready, *(own.taken + 1 for own in outputs))
            self._count(f"{block.name}.wait.input", max(0, ready - free))
            if outputs:
                self._count(f"{block.name}.wait.output", start - max(free, ready))
            if block.index == 0:
                begin = start
            computed, spikes = self._passes(block, turn, start)
            last = self._report(block, turn, computed, accepted) if block.last and turn.last_interval else computed
            self._free[block.index] = last + 1
            for own in outputs:
                own.hand_over(spikes)
            for own in inputs:
                if not own.edge.whole:
                    own.release(computed)
                elif turn.ends:
                    own.release(computed, turn.samples)
        return begin, last, self._accepted

    def _passes(self, block, turn, start):
        """Passes of one interval; the cycle in which it ends, and in which the last spikes are out.

        It begins and ends with a cycle of its own, counted as forward.
        """
        first, now = self._first[block.index], start
        passes = [own[turn.interval] for own in turn.passes[first:first + len(block.units)]]
        for place, unit in enumerate(block.units):
            now = self._phase(block, turn, "forward", place, now, forward_cycles(unit, passes[place].forward))
            if place == len(block.units) - 2:
                spikes = now
        self._count(f"{block.name}.cycles.forward", now - start + 2)
        for part in reversed(range(block.units[0].slices if turn.train else 0)):
            now = self._learn(block, turn, passes, part, now)
        return now + 1, spikes

    def _learn(self, block, turn, passes, part, start):
        """One slice backward, from the classifier down, then the gradients and weights of all units at the same time.
        """
        now = start
        for place, unit in reversed([own for own in enumerate(block.units) if own[1].rule.learns]):
            above = None if unit.classifier else block.units[place + 1]
            now = self._phase(block, turn, "backward", place, now,
                              backward_cycles(unit, above, passes[place].backward[part]))
        self._count(f"{block.name}.cycles.backward", now - start)
        period_ends = turn.period_ends and part == 0
        updates = {place: self._update(unit, passes[place].update[part], period_ends)
                   for place, unit in enumerate(block.units)}
        ends = [self._phase(block, turn, "update", place, now, cycles) for place, cycles in updates.items() if cycles]
        if not ends:
            return now
        self._count(f"{block.name}.cycles.update", max(ends) - now)
        return max(ends)

    def _update(self, unit, operations, period_ends):
        """Cycles that a unit spends on its gradients and weights after a slice; 0 for none."""
        if not unit.weights.stored:
            return 0
        if unit.rule.accumulates:
            return accumulate_cycles(unit, operations) + (apply_cycles(unit) if period_ends else 0)
        return update_cycles(unit, operations) if period_ends else 0

    def _phase(self, block, turn, kind, place, before, cycles):
        self._count(f"{block.units[place].path}.cycles.{kind}", cycles)
        if self.log:
            self._log(block, turn, kind, place, before + 1, before + cycles)
        return before + cycles

    def _log(self, block, turn, kind, place, first, last):
        self.phases.append(Phase(block.index, self._samples + turn.sample, turn.interval, kind, place, first, last))

    def _report(self, block, turn, last, accepted):
        waits = max(0, self._accepted + 1 - (last + 2))
        cycles = report_cycles(block.classifier)
        self._count(f"{block.name}.wait.result", waits)
        self._count(f"{block.name}.cycles.report", cycles)
        end = last + waits + cycles
        if self.log:
            self._log(block, turn, "report", -1, last + 1, end)
        self._accepted = end + 1 if accepted is None else accepted
        return end
