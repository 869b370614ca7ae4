"""What a core says of its samples, as arrays: the cycles of their arrival, their results; how long to wait for them.

Both ways to run a Verilated core, `sim.testbench` and `sim.driver`, use these.
"""

import numpy as np

from ..golden.units import clog2

__all__ = ["ARRIVALS", "BOX", "ITEMS", "arrivals", "patience", "queue_length", "result", "result_type"]

#: Of the bench: words of a transfer of registers, items of the event queue, and intervals whose arrival is kept.
BOX, ITEMS, ARRIVALS = 4096, 65536, 8192


def queue_length(config):
    """Samples in the queue of the bench, and results that it keeps: enough that the core never waits for Python.

    A power of two; a batch comes back only when it went in whole.
    """
    return max(512, 1 << clog2(2 * (config.hardware.sample_slots + config.update.batch)))


def arrivals(config, cycles):
    """Cycles of the items that `arrive`, per sample: (samples, 1), or with events (samples, intervals)."""
    if config.input.kind != "events":
        return cycles.reshape(-1, 1)
    batch = config.update.batch
    return cycles.reshape(-1, config.intervals, batch).swapaxes(1, 2).reshape(-1, config.intervals)


def result_type(config):
    """A result of a core, as a NumPy type.

    Fields
    ------
    prediction, label, train, cycles : as on the stream of results
    arrived, taken : cycles in which the last item of its sample was taken, and in which it was
    counts : of the classes
    """
    names = ("prediction", "label", "train", "cycles", "arrived", "taken")
    return np.dtype([*((name, np.int64) for name in names), ("counts", np.int64, (config.network.classes,))])


def result(layout, payload, arrived, taken):
    """One result, as a tuple in the order of `result_type`; `layout` is the `result_layout`, `payload` an integer."""
    fields = {name: payload >> field.offset & ((1 << field.width) - 1) for name, field in layout}
    classes = layout["counts"].shape.length
    bits = layout["counts"].width // classes
    counts = [fields["counts"] >> bits * place & ((1 << bits) - 1) for place in range(classes)]
    return (*(fields[name] for name in ("prediction", "label", "train", "cycles")), arrived, taken, counts)


def patience(config, pause=0):
    """Cycles within which a sample that was offered has its result, far beyond what any sample takes.

    As if every word of every unit added every row, in every pass and step; `pause` of 256 cycles are lost at the ends.
    """
    words = sum(unit.words * (max(unit.fan_rows, unit.fan_in) + 64) for unit in config.units)
    return 8 * config.time.steps * (words + 1024 // (256 - pause) * (config.input.size + 1))
