"""The demo: a core is generated, trained in the RTL on real data, checked in every bit, and reported."""

import time

from ..gen.generate import generate
from ..golden.checkpoint import state_from
from .record import record
from .report import write_report
from .training import train_rtl

__all__ = ["run_demo"]


def run_demo(config, folder, *, data, epochs, root, progress):
    """Run the demo; everything in the report was read from the core or measured on the way.

    Parameters
    ----------
    config : Config
    folder : Path
        Of the Verilog, its sidecar, the checkpoint and the report.
    data : Dataset
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
    seconds = {}
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
        for step in train_rtl(config, data, epochs, checkpoint, root=root,
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

    report, pictures = record(
        config, data.test_frames[0], data.test_labels[0], curve=curve, after=state_from(checked.arrays, config),
        checked=checked, facts={
            "data": data.digest, "samples": epochs * samples, "samples_tested": (epochs + 1) * tests,
            "seconds": {name: round(value, 1) for name, value in seconds.items()}})
    return [*written, *write_report(folder, report, pictures)]
