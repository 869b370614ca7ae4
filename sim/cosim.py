"""Co-simulation: the generated core and the golden model on the same samples, compared after every batch."""

from collections import deque
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..golden.checkpoint import state_arrays
from ..golden.errors import SpikeloomError
from ..golden.files import own_folder
from ..golden.model import initial_state
from ..golden.prediction import Prediction
from .build import build, build_driver
from .compare import compare_counters, compare_results, compare_state, compare_trace
from .driver import Driver
from .run import Simulation

__all__ = ["Batch", "Checked", "Mismatch", "cosimulate"]


class Mismatch(SpikeloomError):
    """RTL and golden model differ; `difference` says where."""

    repeatable = True

    def __init__(self, difference, folder=None):
        super().__init__(f"{difference}; files in {folder}" if folder else difference)
        self.difference = difference


class Batch(NamedTuple):
    """Samples that run without a break: frames (samples, size), labels (samples,), mode of all or of each."""

    frames: np.ndarray
    labels: np.ndarray
    train: bool | np.ndarray


class Checked(NamedTuple):
    """A batch that agreed in every bit: its results, the state read from the core, the prediction so far.

    `results` are of `sim.ports.result_type`. `latency` is the mean of all samples so far, from a sample's first cycle
    to its result. `folder` is where the run works; it is gone when the run has ended, but for one with a waveform.
    """

    results: np.ndarray
    arrays: dict
    prediction: Prediction
    latency: float
    folder: Path

    def correct(self, labels):
        """How many predictions of the core were right."""
        return int((self.results["prediction"][:len(labels)] == labels).sum())


def cosimulate(config, batches, *, root, folder=None, state=None, cycle_level=False, seed=0, waves=False,
               sample_pause=0, result_pause=0, fast=False, text=None, tick=None, driver="cocotb"):
    """Run `batches` on the Verilated core and compare; yields a `Checked` per batch.

    The core is at most two batches ahead of the comparison. Each run has a folder of its own, which stays if the run
    fails.

    Parameters
    ----------
    config : Config
    batches : iterable of Batch
        Taken one by one, when the core is nearly there; at cycle level, all at once.
    root : Path
        Where models are kept.
    folder : Path, optional
        Where the folder of this run is made; by default ``runs`` below `root`.
    state : State, optional
        Loaded through the register port; the seeded initial state by default.
    cycle_level : bool
        Compare every spike, window bit, potential, error and weight write, and the cycle of every pass.
    seed, waves
        As `Simulation`; with a waveform, the folder stays.
    sample_pause, result_pause : int
        Of 256 cycles, how many the bench pauses at either end of the core, at random.
    fast : bool
        As for `build`.
    text : str, optional
        Verilog of the core, if it is not to be generated (`bench.faults` gives wrong ones).
    tick : callable, optional
        Called with the number of samples that both have computed.
    driver : str
        ``cocotb``, which can do all of this, or ``compiled``, which is faster and has no cycle level, no waveform and
        no pauses.

    Raises
    ------
    Mismatch
        At the first difference.
    SimulationError
        If the model cannot be built or run.
    ValueError
        If a batch is not whole, or the driver does not exist or cannot do this.
    """
    if driver not in ("cocotb", "compiled"):
        raise ValueError(f"driver must be cocotb or compiled, not {driver!r}")
    compiled = driver == "compiled"
    if compiled and (cycle_level or waves or sample_pause or result_pause):
        raise ValueError("driver must be cocotb for cycle level, waveform or pauses, not 'compiled'")
    batches = map(partial(_whole, config), batches)
    first = next(batches, None)  # before anything is built
    model = build_driver(config, root=root, fast=fast, text=text) if compiled else \
        build(config, root=root, waves=waves, fast=fast, text=text)
    with own_folder(folder or Path(root) / "runs", config.name, keep=waves) as (own, lock), \
            (Driver if compiled else Simulation)(config, model, own, seed=seed, waves=waves,
                                                 locks=[lock]) as simulation:
        simulation.load(state_arrays(state or initial_state(config)))
        if cycle_level:
            simulation.trace()
        check = _Check(config, simulation, Prediction(config, state, keep=cycle_level), sample_pause, result_pause,
                       tick or (lambda done: None))
        given = (check.give(batch) for batch in chain([first] if first else [], batches))
        ahead = deque(given if cycle_level else islice(given, 2))
        if cycle_level:
            simulation.finish(check.show)  # the trace is complete then
        while ahead:
            own_batch = ahead.popleft()
            ahead.extend(islice(given, 1))
            try:
                yield check.compare(own_batch, ahead[0] if ahead else None)
            except Mismatch as mismatch:
                raise Mismatch(mismatch.difference, own) from None
        if not cycle_level:
            simulation.finish()


def _whole(config, batch):
    if len(batch.labels) % config.update.batch:
        raise ValueError(f"samples of a run must be a multiple of update.batch = {config.update.batch}, "
                         f"not {len(batch.labels)}")
    return batch


class _Given:
    """A batch on its way through the core: the names of what will come back, and what has."""

    def __init__(self, simulation, batch, trains, names):
        self.simulation, self.batch, self.trains, self.names = simulation, batch, trains, names

    @cached_property
    def results(self):
        return self.simulation.wait_for(self.names[0])

    def state(self, show):
        return self.simulation.wait_for(self.names[1], show)


class _Check:
    """The golden model beside a simulation: both take the same batches, and all that can be seen is compared."""

    def __init__(self, config, simulation, prediction, sample_pause, result_pause, tick):
        self.config, self.simulation, self.prediction, self.done, self.tick = config, simulation, prediction, 0, tick
        self.sample_pause, self.result_pause, self.latency = sample_pause, result_pause, 0

    def show(self):
        """Half of a sample is its simulation, half its check."""
        self.tick((self.done + self.simulation.progress()) / 2)

    def give(self, batch):
        """Have the core compute a batch."""
        trains = np.broadcast_to(batch.train, np.shape(batch.labels))
        names = [self.simulation.run(batch.frames, batch.labels, trains, sample_pause=self.sample_pause,
                                     result_pause=self.result_pause), self.simulation.read()]
        return _Given(self.simulation, batch, trains, names)

    def compare(self, given, following):
        """Wait for a batch, predict it, and compare; `following` is the one after it, or None."""
        config, prediction, batch = self.config, self.prediction, given.batch
        arrays = given.state(self.show)
        prediction.results.clear()  # of the batch before: a training has many
        results, arrivals = given.results["results"], given.results["arrivals"]
        events = config.input.kind == "events"
        for place, (frame, label, train, own) in enumerate(zip(batch.frames, batch.labels, given.trains, results)):
            # The bench decides when a batch begins and when it pauses; everything else is the core's own.
            prediction.sample(frame, label, train,
                              arrival=None if place and not self.sample_pause else
                              arrivals[place].tolist() if events else int(own["arrived"]),
                              accepted=int(own["taken"]) if self.result_pause else None)
            self.done += 1
            self.show()
        if prediction.keep:  # first, because it says most
            end = following.results["arrivals"][0, 0] if following else None
            with (self.simulation.folder / "trace.txt").open() as lines:
                _agree(compare_trace(config, _until(lines, end), prediction.traces, prediction.schedule.phases))
        _agree(compare_results(results, prediction.results))
        _agree(compare_state(config, arrays, prediction.model.state))
        if config.hardware.counters:
            _agree(compare_counters(arrays, prediction.counters))
        self.latency += int(results["cycles"].sum())
        return Checked(results, arrays, prediction, self.latency / self.done, self.simulation.folder)


def _until(lines, end):
    """Trace lines before cycle `end`, in which the next batch begins; all of them if that is None."""
    return (line for line in lines if end is None or int(line.split()[1]) < end)


def _agree(difference):
    if difference is not None:
        raise Mismatch(difference)
