"""Every cycle of the core, in closed form per pass and as a max-plus recurrence across blocks.

A pass of one unit takes its operations plus a constant, see `forward_cycles` and the others; the operations follow
from the spikes (`golden.activity`). A block begins an interval when three things are true: it has finished the one
before, its input is complete, and its spikes of the interval before have been taken. Importing this module does not
import torch.
"""

from typing import NamedTuple

from .units import clog2

__all__ = [
    "FACTOR_BITS",
    "GROUP_CYCLES",
    "QUEUE_LATENCY",
    "ROW_DEPTH",
    "SCAN_DEPTH",
    "SCAN_MINIMUM",
    "UPDATE_DEPTH",
    "Passes",
    "Phase",
    "Schedule",
    "Times",
    "accumulate_cycles",
    "accumulate_depth",
    "apply_cycles",
    "backward_cycles",
    "backward_depth",
    "dot_latency",
    "forward_cycles",
    "forward_depth",
    "product_latency",
    "report_cycles",
    "tap_latency",
    "tree_latency",
    "update_cycles",
]

#: Cycles from the start of a scan of bitmaps to its first operation: read, memory, register.
SCAN_DEPTH = 3
#: Operations of a step of a scan at least.
SCAN_MINIMUM = 2
#: Cycles of a group of input rows in an update beside its reads: the last word arrives, its rows are known, one to see
#: that none is left.
GROUP_CYCLES = 3
#: Cycles more where a row is active: it is chosen, then its steps are.
ROW_DEPTH = 1
#: Bits of a signed factor that a multiplier takes, on ECP5 and the 7 series.
FACTOR_BITS = 18
#: Cycles from an update operation to the write of the weight word; from a history of frames `product_latency` more.
UPDATE_DEPTH = 8
#: Cycles from the write of a spike word to its offer on the stream between two blocks.
QUEUE_LATENCY = 3


def tree_latency(lanes):
    """Cycles of an adder tree with a register behind every two levels, one at least."""
    return max(1, -(-clog2(lanes) // 2))


def product_latency(unit):
    """Cycles of a multiplier with registers before and behind, and one more where a factor is multiplied in parts."""
    return 3 if unit.factor_width > FACTOR_BITS and not (unit.window.pools and not unit.input.static) else 2


def forward_depth(unit):
    """Cycles from an operation to the neuron: address in three, memory, output register, sum; choice and product."""
    return 6 + (1 + product_latency(unit) if unit.input.static else 0)


def tap_latency(unit):
    """Cycles from an input to the weights that it meets: the tables of a kernel have one of their own."""
    return 0 if unit.window.kind == "dense" else 1


def dot_latency(unit):
    """Cycles from a request of the unit below to its rounded error: the product of two memories, their sum."""
    return 7 + product_latency(unit) + tree_latency(unit.lanes)


def backward_depth(unit, above):
    """Cycles from an operation to the error unit; `above` is None for a classifier."""
    return 3 if above is None else tap_latency(above) + dot_latency(above) + 1


def forward_cycles(unit, operations):
    """Forward pass of one interval: three cycles until the first operation, and what follows the last sum.

    The neurons have decayed before it is complete, and need the cycles of a step more; after the sum of a frame, they
    take all their steps.
    """
    return SCAN_DEPTH + operations + forward_depth(unit) + unit.step_minimum + unit.input.static


def backward_cycles(unit, above, operations):
    """Backward pass of one interval."""
    return SCAN_DEPTH + operations + backward_depth(unit, above) + 2


def update_cycles(unit, operations):
    """Update of one period: every group of input rows is read before its rows are visited.

    `operations` with `ROW_DEPTH` more for every group that has an active row.
    """
    return 2 + unit.bitmap.words * (unit.frames + GROUP_CYCLES) + operations + UPDATE_DEPTH + (
        product_latency(unit) if unit.input.static else 0)


def accumulate_depth(unit):
    """Cycles from an operation to its addition: address in three, memory, output register; choice and product.

    `tap_latency` more in a convolution.
    """
    return 5 + (1 + product_latency(unit) if unit.input.static else 0)


def accumulate_cycles(unit, operations):
    """Gradients of one interval into their memory: three cycles until the first operation, one to write the last."""
    return SCAN_DEPTH + operations + tap_latency(unit) + accumulate_depth(unit) + 2


def apply_cycles(unit):
    """Update of one period from the gradient memory: one cycle per weight word."""
    return 2 + unit.weight_depth + UPDATE_DEPTH


def report_cycles(classifier):
    """Report of one sample, without waiting for the result before to be taken."""
    return 3 + classifier.words + classifier.n_out


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


class Schedule:
    """Walks through samples and says when everything happens. Cycle 0 is the first after reset.

    Parameters
    ----------
    config : Config
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

    def __init__(self, config, *, log=False, cleared=False):
        self.config, self.log, self.phases = config, log, []
        blocks = config.blocks
        self.counters = {}
        # Gradient memories are cleared after reset.
        self._free = [0 if cleared else max(
            (unit.weight_depth for unit in block.units if unit.rule.accumulates), default=-1) + 1 for block in blocks]
        self._taken = [0] * len(blocks)        # last spike word of the interval before left the queue in this cycle
        self._released = [[] for _ in blocks]  # cycles in which input slots became free, oldest first
        self._samples = self._arrivals = self._intervals = 0
        self._arrived, self._accepted = 0, -1

    def _count(self, name, amount):
        self.counters[name] = self.counters.get(name, 0) + amount

    def _room(self, block, slots, index):
        """First cycle in which the slot for item `index` accepts data."""
        return self._released[block][index - slots] + 1 if index >= slots else 0

    def _event_arrival(self, items):
        """Cycle in which the last of `items` items of the next interval is accepted if the source never waits.

        A slot is cleared when it is free and the one before is full.
        """
        unit, period = self.config.units[0], self.config.units[0].frames // self.config.time.interval
        slot, place = divmod(self._arrivals, period)
        begin = self._arrived + 1 if self._arrivals else 0
        if place == 0:
            begin = max(begin, self._room(0, self.config.hardware.spike_slots, slot))
            begin += unit.frames * unit.bitmap.words
        return begin + items - 1

    def next_arrival(self):
        """Cycle in which the last value of the next sample is accepted if the source never waits."""
        begin = max(self._arrived + 1 if self._arrivals else 0,
                    self._room(0, self.config.hardware.sample_slots, self._arrivals))
        return begin + self.config.input.size - 1

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
        config, samples = self.config, len(batch)
        arrivals = arrivals or [None] * samples
        if items is None:
            arrivals = [self._arrive(self.next_arrival() if own is None else own) for own in arrivals]
        accepted = accepted or [None] * samples
        period = config.time.update_period
        begins, ends = [None] * samples, [None] * samples
        for interval in range(config.intervals):
            for sample, passes in enumerate(batch):
                if items is not None:
                    own = arrivals[sample] and arrivals[sample][interval]
                    ready = 1 + self._arrive(self._event_arrival(items[sample][interval]) if own is None else own)
                else:
                    ready = arrivals[sample] + 1 if interval == 0 else 0
                period_ends = (interval + 1) % period == 0 and sample == samples - 1
                for number, block in enumerate(config.blocks):
                    free = self._free[number]
                    start = max(free, ready, self._taken[number] + 1 if not block.last else 0)
                    self._count(f"{block.name}.wait.input", max(0, ready - free))
                    if not block.last:
                        self._count(f"{block.name}.wait.output", start - max(free, ready))
                    if number == 0 and interval == 0:
                        begins[sample] = start
                    last, spikes = self._passes(block, interval, sample, start, passes, train, period_ends)
                    if not block.last:
                        ready = self._hand_over(number, spikes) + 1
                    elif interval == config.intervals - 1:
                        last = ends[sample] = self._report(block, sample, last, accepted[sample])
                        accepted[sample] = self._accepted
                    self._free[number] = last + 1
                    if block.units[0].input.static and interval == config.intervals - 1 and sample == samples - 1:
                        self._released[number] += [self._computed] * samples
                self._intervals += 1
                if items is not None and interval == config.intervals - 1:
                    arrivals[sample] = self._arrived
        self._samples += samples
        return [Times(*own) for own in zip(begins, ends, arrivals, accepted)]

    def _arrive(self, arrival):
        self._arrived = arrival
        self._arrivals += 1
        return self._arrived

    def _passes(self, block, interval, sample, start, passes, train, period_ends):
        """Passes of one interval; the cycle in which it ends, and in which the last spikes are out.

        It begins and ends with a cycle of its own, counted as forward.
        """
        first = self.config.units.index(block.units[0])
        now = start
        for place, unit in enumerate(block.units):
            now = self._phase(block, interval, sample, "forward", place, now,
                              forward_cycles(unit, passes[first + place][interval].forward))
            if place == len(block.units) - 2:
                spikes = now
        self._count(f"{block.name}.cycles.forward", now - start + 2)
        for part in reversed(range(block.units[0].slices if train else 0)):
            begin = now
            for place, unit in reversed([own for own in enumerate(block.units) if own[1].rule.learns]):
                above = None if unit.classifier else block.units[place + 1]
                now = self._phase(block, interval, sample, "backward", place, now,
                                  backward_cycles(unit, above, passes[first + place][interval].backward[part]))
            self._count(f"{block.name}.cycles.backward", now - begin)
            updates = {place: self._update(unit, passes[first + place][interval].update[part],
                                           period_ends and part == 0)
                       for place, unit in enumerate(block.units)}
            ends = [self._phase(block, interval, sample, "update", place, now, cycles)
                    for place, cycles in updates.items() if cycles]
            if ends:
                self._count(f"{block.name}.cycles.update", max(ends) - now)
                now = max(ends)
        now += 1
        self._computed, bottom = now, block.units[0]
        if not bottom.input.static and (period_ends or bottom.rule.gradient != "history"):
            self._released[block.index].append(now)
        return now, spikes

    def _update(self, unit, operations, period_ends):
        """Cycles that a unit spends on its gradients and weights behind a slice; 0 for none."""
        if not unit.weights.stored:
            return 0
        if unit.rule.accumulates:
            return accumulate_cycles(unit, operations) + (apply_cycles(unit) if period_ends else 0)
        return update_cycles(unit, operations) if period_ends else 0

    def _phase(self, block, interval, sample, kind, place, before, cycles):
        self._count(f"{block.units[place].path}.cycles.{kind}", cycles)
        if self.log:
            self.phases.append(
                Phase(block.index, self._samples + sample, interval, kind, place, before + 1, before + cycles))
        return before + cycles

    def _hand_over(self, number, written):
        """Cycle in which the block after `number` accepts the last spike word of the interval."""
        config, top = self.config, self.config.blocks[number].layers[-1]
        index = self._intervals
        period = config.blocks[number + 1].units[0].frames // config.time.interval
        taken = written + QUEUE_LATENCY
        if index % period == 0:
            room = self._room(number + 1, config.hardware.spike_slots, index // period)
            taken = max(taken, room + top.words * top.steps - 1)
        self._taken[number] = taken
        return taken

    def _report(self, block, sample, last, accepted):
        waits = max(0, self._accepted + 1 - (last + 2))
        cycles = report_cycles(block.classifier)
        self._count(f"{block.name}.wait.result", waits)
        self._count(f"{block.name}.cycles.report", cycles)
        end = last + waits + cycles
        if self.log:
            interval = self.config.intervals - 1
            self.phases.append(Phase(block.index, self._samples + sample, interval, "report", -1, last + 1, end))
        self._accepted = end + 1 if accepted is None else accepted
        return end
