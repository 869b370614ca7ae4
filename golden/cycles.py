"""Where the cycles of a sample go: by block, phase and pass, against the floor that its useful work needs.

Everything is exact: cycles from `Schedule`, additions from `golden.activity`, per sample as fractions. What the terms
mean is in docs/schedule.md. Spikes do not depend on lanes, so one set of traces tells the cycles of any lane numbers.
"""

from fractions import Fraction
from itertools import islice
from typing import NamedTuple

import torch

from .activity import Work, interval_items, together, unit_passes, useful
from .model import Golden
from .schedule import Schedule, apply_cycles
from .training import Progress, plan

__all__ = ["BlockCycles", "Cycles", "Pass", "Workload", "lanes_matter", "trace_samples"]

#: Causes, as docs/schedule.md explains them: of the cycles of one pass ...
IDLE_LANES, NO_EVENT, HISTORY, ALL_WORDS, ENDS = "idle lanes", "no event", "history read", "all words", "begin, end"
#: ... and of a block.
OTHERS, DISPATCH, REPORT = "other update", "dispatch", "report"


class Pass(NamedTuple):
    """One kind of pass of one unit, per sample.

    Members
    -------
    unit, phase : str
        Path of the unit, and ``forward``, ``backward`` or ``update``.
    lanes : int
        Of the unit that adds: the unit itself, or the one above, which serves its backward pass.
    cycles, adds : Fraction
        Cycles, and useful lane operations.
    causes : dict of str to Fraction
        What fills the cycles beyond the floor, all of them.
    """

    unit: str
    phase: str
    lanes: int
    cycles: Fraction
    adds: Fraction
    causes: dict

    @property
    def floor(self):
        """Cycles that the useful operations need with all lanes at work."""
        return self.adds / self.lanes


class BlockCycles(NamedTuple):
    """One block, per sample.

    Members
    -------
    name : str
    lanes : int
        Of all its units.
    phases, waits : dict of str to Fraction
        Cycles of the sequencer by phase, and those in which it waits, by cause.
    passes : list of Pass
    alone : Fraction
        Cycles in which only the classifier works, beside lanes of the layers that idle.
    """

    name: str
    lanes: int
    phases: dict
    waits: dict
    passes: list
    alone: Fraction

    @property
    def cycles(self):
        """Cycles of all phases, waits not included."""
        return sum(self.phases.values())

    @property
    def _slowest_update(self):
        """The update that needs the most cycles at least; None in inference."""
        return max((own for own in self.passes if own.phase == "update"), key=lambda own: (own.floor, own.cycles),
                   default=None)

    @property
    def floor(self):
        """Of the passes that follow each other; of the updates, which run at the same time, the largest."""
        update = self._slowest_update
        return sum(own.floor for own in self.passes if own.phase != "update") + (update.floor if update else 0)

    @property
    def ratio(self):
        """Cycles by floor; infinite if there was nothing useful to do."""
        return self.cycles / self.floor if self.floor else float("inf")

    @property
    def share(self):
        """Share of all lanes of the block at work."""
        return sum(own.adds for own in self.passes) / (self.lanes * self.cycles)

    @property
    def causes(self):
        """What fills the cycles beyond the floor, all of them."""
        update, found = self._slowest_update, {}
        for own in self.passes:
            for cause, amount in own.causes.items() if own.phase != "update" or own is update else ():
                found[cause] = found.get(cause, 0) + amount
        if update:
            found[OTHERS] = self.phases["update"] - update.cycles
        in_turn = sum(own.cycles for own in self.passes if own.phase != "update")
        found[DISPATCH] = self.phases["forward"] + self.phases.get("backward", 0) - in_turn
        if "report" in self.phases:
            found[REPORT] = self.phases["report"]
        return found


class Cycles(NamedTuple):
    """All blocks, and cycles per sample of the cascade with a source and a sink that never wait."""

    blocks: list
    cascade: Fraction

    @property
    def slowest(self):
        """The block with the most cycles."""
        return max(self.blocks, key=lambda block: block.cycles)

    @property
    def lanes(self):
        """Lanes of all units."""
        return sum(block.lanes for block in self.blocks)

    @property
    def cost(self):
        """To compare lane numbers by: cycles of the cascade, then lanes."""
        return self.cascade, self.lanes

    def document(self):
        """All figures as nested dicts of numbers and strings, for JSON."""
        def numbers(amounts):
            return {name: float(amount) for name, amount in amounts.items()}

        return {"lanes": self.lanes, "cycles per sample": float(self.cascade), "slowest block": self.slowest.name,
                "blocks": [{
                    "name": own.name, "lanes": own.lanes, "cycles": float(own.cycles), "floor": float(own.floor),
                    "lanes at work": float(own.share), "classifier alone": float(own.alone),
                    "phases": numbers(own.phases), "waits": numbers(own.waits), "causes": numbers(own.causes),
                    "passes": [{"unit": one.unit, "phase": one.phase, "lanes": one.lanes, "cycles": float(one.cycles),
                                "adds": float(one.adds), "floor": float(one.floor), "causes": numbers(one.causes)}
                               for one in own.passes]} for own in self.blocks]}


class _Activity(NamedTuple):
    """What one unit does with every sample: its `Passes` by interval; with all of them; and what it asks for then."""

    passes: list
    work: Work
    request: Work

    def operations(self, phase):
        """Operations of all samples."""
        own = [getattr(one, phase) for sample in self.passes for one in sample]
        return sum(own) if phase == "forward" else sum(map(sum, own))


class Workload:
    """Samples as the core saw them, and what they cost with any lanes.

    Parameters
    ----------
    batches : list of list of SampleTrace
        One batch or more, all in training or all in inference.
    """

    def __init__(self, batches):
        self.batches, self.train = batches, batches[0][0].train
        self._activities = {}

    @property
    def samples(self):
        """Number of samples."""
        return sum(map(len, self.batches))

    def first(self, samples):
        """A workload of the first batches, that hold at least so many samples."""
        return Workload(self.batches[:-(-samples // len(self.batches[0]))])

    def cycles(self, config):
        """Exact `Cycles` of `config`, which differs from that of the traces in lanes only.

        The samples run through the cascade twice and the second time counts, so that the figures hold neither its
        filling nor its emptying.
        """
        activities = [self._activity(config, place) for place in range(len(config.units))]
        schedule, last = Schedule(config, cleared=True), None
        for _ in range(2):
            before, start = dict(schedule.counters), last
            last = self._run(config, schedule, activities)
        counted = {name: Fraction(value - before.get(name, 0), self.samples)
                   for name, value in schedule.counters.items()}
        blocks, first = [], 0
        for block in config.blocks:
            blocks.append(self._block(config, block, activities[first:first + len(block.units)], counted))
            first += len(block.units)
        return Cycles(blocks, Fraction(last - start, self.samples))

    def _activity(self, config, place):
        unit = config.units[place]
        above = None if unit.classifier else config.units[place + 1]
        if (unit, above) not in self._activities:
            found = [unit_passes(config, unit, above, trace.units[place], trace.train)
                     for batch in self.batches for trace in batch]
            passes, *both = zip(*found)
            self._activities[unit, above] = _Activity(list(passes), *map(together, both))
        return self._activities[unit, above]

    def _run(self, config, schedule, activities):
        """Schedule all samples; the cycle in which the last report ends."""
        sample = 0
        for batch in self.batches:
            items = None
            if config.input.kind == "events":
                items = [interval_items(config, trace.units[0].inputs) for trace in batch]
            passes = [[own.passes[sample + place] for own in activities] for place in range(len(batch))]
            times = schedule.batch(passes, train=self.train, items=items)
            sample += len(batch)
        return times[-1].end

    def _block(self, config, block, activities, counted):
        passes = []
        for unit, above, own in zip(block.units, [*block.layers[1:], block.classifier, None], activities):
            for phase in ("forward", "backward", "update"):
                name = f"{unit.path}.cycles.{phase}"
                if name in counted:
                    passes.append(self._pass(config, unit, above, phase, own, counted[name]))
        phases, waits = ({name.rpartition(".")[2]: value for name, value in counted.items()
                          if name.startswith(f"{block.name}.{kind}.")} for kind in ("cycles", "wait"))
        alone = sum(own.cycles for own in passes if own.unit == block.classifier.path and own.phase != "update")
        return BlockCycles(block.name, sum(unit.lanes for unit in block.units), phases, waits, passes, alone)

    def _pass(self, config, unit, above, phase, own, cycles):
        server = above if phase == "backward" and above else unit
        adds = useful(server, own.request if phase == "backward" else own.work).get(phase, 0)
        operations = own.operations(phase)
        # An event adds all channels of a pixel, word by word. A pooling serves one channel of a request; forward, its
        # taps without a spike are not told from lanes without a channel.
        events = Fraction(adds, server.channels) * server.channel_words
        if server.window.pools:
            events = Fraction(adds) if phase == "backward" else Fraction(adds, server.lanes)
        causes = {IDLE_LANES: events - Fraction(adds, server.lanes), NO_EVENT: operations - events}
        rest = cycles * self.samples - operations
        if phase == "update" and unit.rule.accumulates:
            periods = len(self.batches) * config.intervals // config.time.update_period
            causes[ALL_WORDS] = apply_cycles(unit) * periods
        elif phase == "update":
            causes[HISTORY] = min(own.work.read_again, rest)
        causes[ENDS] = rest - causes.get(ALL_WORDS, 0) - causes.get(HISTORY, 0)
        return Pass(unit.path, phase, server.lanes, cycles, Fraction(adds, self.samples),
                    {cause: Fraction(amount) / self.samples for cause, amount in causes.items()})


def lanes_matter(config):
    """Whether lanes change bits: stochastic rounding, dropout and random classifiers draw per lane."""
    return config.update.rounding == "stochastic" or config.classifier.kind == "random" or \
        any(unit.dropout for unit in config.units)


def trace_samples(config, data, *, samples, before, train, seed, tick):
    """Samples of a data set after some training, in whole batches, as a `Workload`.

    Parameters
    ----------
    config : Config
    data : Dataset
    samples, before : int
        Samples that are counted (rounded up to a batch), and those that are trained first (rounded down).
    train : bool
        Whether the counted samples, of the training set, are trained; otherwise they are of the test set.
    seed : int
        Of their order.
    tick : callable
        Called with the number of samples after every batch.

    Raises
    ------
    DataError
        If the data set does not hold a batch.
    """
    batch, model = config.update.batch, Golden(config)
    before = before // batch * batch
    picks = _order(len(data.train_labels), before + (samples if train else 0), batch, seed)
    for own in islice(picks, before // batch):
        model.train_batch(torch.from_numpy(data.train_frames[own]), data.train_labels[own].tolist())
        tick(batch)
    frames, labels = data.train_frames, data.train_labels
    if not train:
        frames, labels = data.test_frames, data.test_labels
        picks = _order(len(labels), samples, batch, seed)
    batches = []
    for own in islice(picks, -(-samples // batch)):
        batches.append(model.run_batch(torch.from_numpy(frames[own]), labels[own].tolist(), train=train))
        tick(batch)
    return Workload(batches)


def _order(total, samples, batch, seed):
    """Batches of indices, enough for `samples`, as an iterator."""
    epochs = -(-samples // (total // batch * batch)) if total >= batch else 1
    for chunk in plan(total, max(1, epochs), seed, Progress(), batch):
        yield from (chunk.order[first:first + batch] for first in range(0, len(chunk.order), batch))
