"""Golden prediction of a run: results, state, counters and cycles, sample by sample."""

import torch

from ..golden.activity import passes_and_counters
from ..golden.counters import block_counters, unit_counters
from ..golden.model import Golden
from ..golden.schedule import Schedule

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
        self._counters, self.results, self.traces = {}, [], []

    @property
    def counters(self):
        """All predicted counters; what never happened is 0, and counters saturate."""
        names = [name for unit in self.config.units for name in unit_counters(self.config, unit)]
        names += [name for block in self.config.blocks for name in block_counters(block)]
        top = (1 << self.config.hardware.counter_bits) - 1
        found = dict.fromkeys(names, 0) | self._counters | self.schedule.counters
        return {name: min(value, top) for name, value in found.items()}

    def sample(self, frame, label, train, *, arrival=None, accepted=None):
        """Compute and schedule one sample; `arrival` and `accepted` as in `Schedule.sample`."""
        trace = self.model.run(torch.as_tensor(frame), int(label), train=bool(train), record=self.keep)
        passes, counters = passes_and_counters(self.config, trace)
        for name, amount in counters.items():
            self._counters[name] = self._counters.get(name, 0) + amount
        begin, end = self.schedule.sample(passes, train=bool(train), arrival=arrival, accepted=accepted)
        self.results.append({"prediction": trace.prediction, "spike counts": trace.counts.tolist(),
                             "label": int(label), "train": int(train), "cycle count": end - begin,
                             "cycle of arrival": self.schedule.arrived,
                             "cycle of the result": self.schedule.accepted})
        if self.keep:
            self.traces.append(trace)
        return trace
