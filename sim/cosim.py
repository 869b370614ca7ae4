"""Co-simulation: the generated core and the golden model on the same samples, compared after every batch."""

from typing import NamedTuple

import numpy as np

from ..golden.checkpoint import save_arrays, state_arrays
from ..golden.errors import SpikeloomError
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

    def __init__(self, difference):
        super().__init__(difference)
        self.difference = difference


class Batch(NamedTuple):
    """Samples that run without a break: frames (samples, size), labels (samples,), mode of all or of each."""

    frames: np.ndarray
    labels: np.ndarray
    train: bool | np.ndarray


class Checked(NamedTuple):
    """A batch that agreed in every bit: rows of the bench, the state read from the core, and the prediction so far."""

    rows: np.ndarray
    arrays: dict
    prediction: Prediction

    def correct(self, labels):
        """How many predictions of the core were right."""
        return int((self.rows[:len(labels), 0] == labels).sum())


def cosimulate(config, batches, *, root, folder, state=None, cycle_level=False, seed=0, waves=False, sample_pause=0,
               result_pause=0, text=None, tick=None, driver="cocotb"):
    """Run `batches` on the Verilated core and compare; yields a `Checked` per batch.

    Parameters
    ----------
    config : Config
    batches : list of Batch
    root, folder : Path
        Where models are kept, and where this run leaves its files.
    state : State, optional
        Loaded through the register port; the seeded initial state by default.
    cycle_level : bool
        Compare every spike, window bit, potential, error and weight write, and the cycle of every pass.
    seed, waves
        As `Simulation`.
    sample_pause, result_pause : int
        Of 256 cycles, how many the bench pauses at either end of the core, at random.
    text : str, optional
        Verilog of the core, if it is not to be generated (`sim.faults` gives wrong ones).
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
    for batch in batches:
        if len(batch.labels) % config.update.batch:
            raise ValueError(f"samples of a run must be a multiple of update.batch = {config.update.batch}, "
                             f"not {len(batch.labels)}")
    model = build_driver(config, root=root, text=text) if compiled else \
        build(config, root=root, waves=waves, fast=not cycle_level, text=text)
    prediction = Prediction(config, state, keep=cycle_level)
    folder.mkdir(parents=True, exist_ok=True)
    save_arrays(folder / "start.npz", state_arrays(state or initial_state(config)))
    steps = [{"do": "load", "state": "start.npz"}, *([{"do": "trace", "on": True}] if cycle_level else [])]
    for number, batch in enumerate(batches):
        save_arrays(folder / f"samples_{number}.npz", {
            "frames": batch.frames, "labels": batch.labels,
            "trains": np.broadcast_to(batch.train, batch.labels.shape)})
        steps += [
            {"do": "run", "samples": f"samples_{number}.npz", "results": f"results_{number}.npz",
             "sample_pause": sample_pause, "result_pause": result_pause},
            {"do": "read", "state": f"state_{number}.npz"}]

    done = 0

    def show():
        if tick:  # half of a sample is its simulation, half its check
            tick((done + simulation.progress()) / 2)

    with (Driver if compiled else Simulation)(config, model, folder, steps, seed=seed, waves=waves) as simulation:
        if cycle_level:
            simulation.finish(show)  # the trace is complete then
        for number, batch in enumerate(batches):
            arrays = simulation.wait_for(f"state_{number}.npz", show)
            results = simulation.wait_for(f"results_{number}.npz")
            rows, arrivals = results["rows"], results["arrivals"]
            events = config.input.kind == "events"
            trains = np.broadcast_to(batch.train, batch.labels.shape)
            for place, (frame, label, train, row) in enumerate(zip(batch.frames, batch.labels, trains, rows)):
                # The bench decides when a batch begins and when it pauses; everything else is the core's own.
                prediction.sample(frame, label, train,
                                  arrival=None if place and not sample_pause else
                                  arrivals[place].tolist() if events else int(row[4]),
                                  accepted=int(row[5]) if result_pause else None)
                done += 1
                show()
            if cycle_level:  # first, because it says most
                more = number + 1 < len(batches)
                end = simulation.wait_for(f"results_{number + 1}.npz")["arrivals"][0, 0] if more else None
                with (folder / "trace.txt").open() as lines:
                    _agree(compare_trace(config, _until(lines, end), prediction.traces, prediction.schedule.phases))
            first = len(prediction.results) - len(batch.labels)
            _agree(compare_results(rows, prediction.results[first:]))
            _agree(compare_state(config, arrays, prediction.model.state))
            if config.hardware.counters:
                _agree(compare_counters(arrays, prediction.counters))
            yield Checked(rows, arrays, prediction)
        simulation.finish()


def _until(lines, end):
    """Trace lines before cycle `end`, in which the next batch begins; all of them if that is None."""
    return (line for line in lines if end is None or int(line.split()[1]) < end)


def _agree(difference):
    if difference is not None:
        raise Mismatch(difference)
