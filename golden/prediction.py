"""Golden prediction of a run: results, state, counters and cycles, sample by sample."""

import torch

from .activity import interval_items, passes_and_counters
from .counters import block_counters, unit_counters
from .model import Golden
from .schedule import Schedule

__all__ = ["Prediction"]


class Prediction:
    """What the core will do.

    Parameters
    ----------
    config : Config
    state : State, optional
        Where to start.
    keep : bool
        Keep every `SampleTrace` with the weights after each update, and every `Phase` (cycle-level comparison).

    Attributes
    ----------
    model : Golden
    schedule : Schedule
    results : list of dict
        As `compare_results` wants them.
    traces : list of SampleTrace
    """

    def __init__(self, config, state=None, *, keep=False):
        self.config, self.keep = config, keep
        self.model = Golden(config, state)
        self.schedule = Schedule(config, log=keep)
        self._counters, self._batch, self.results, self.traces = {}, [], [], []

    @property
    def counters(self):
        """All predicted counters; what never happened is 0, and counters saturate."""
        names = [name for unit in self.config.units for name in unit_counters(self.config, unit)]
        names += [name for block in self.config.blocks for name in block_counters(block)]
        top = (1 << self.config.hardware.counter_bits) - 1
        found = dict.fromkeys(names, 0) | self._counters | self.schedule.counters
        return {name: min(value, top) for name, value in found.items()}

    def sample(self, frame, label, train, *, arrival=None, accepted=None):
        """Take one sample, perhaps of no class; with the last of a batch, compute and schedule the batch.

        `arrival` and `accepted` as in `Schedule.batch`; the mode of the first sample counts for its batch.
        """
        self._batch.append((torch.as_tensor(frame), int(label), bool(train), arrival, accepted))
        if len(self._batch) < self.config.update.batch:
            return
        frames, labels, trains, arrivals, accepted = zip(*self._batch)
        items = None
        if self.config.input.kind == "events":
            items = [interval_items(self.config, frame) for frame in frames]
        self._batch = []
        classes = [label if label < self.config.network.classes else None for label in labels]
        traces = self.model.run_batch(torch.stack(frames), classes, train=trains[0], record=self.keep)
        passes, counters = passes_and_counters(self.config, traces)
        for name, amount in counters.items():
            self._counters[name] = self._counters.get(name, 0) + amount
        times = self.schedule.batch(passes, train=trains[0], arrivals=list(arrivals), accepted=list(accepted),
                                    items=items)
        for trace, target, own in zip(traces, labels, times):
            self.results.append({"prediction": trace.prediction, "spike counts": trace.counts.tolist(),
                                 "label": target, "train": int(trains[0]), "cycle count": own.end - own.begin,
                                 "cycle of arrival": own.arrival, "cycle of the result": own.accepted})
        if self.keep:
            self.traces += traces
