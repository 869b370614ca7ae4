"""What a core says of its samples, as arrays: the cycles of their arrival, results as rows; how long to wait for them.

Both ways to run a Verilated core, `sim.testbench` and `sim.driver`, use these.
"""

__all__ = ["arrivals", "patience", "result_row"]


def arrivals(config, cycles):
    """Cycles of the items that `arrive`, per sample: (samples, 1), or with events (samples, intervals)."""
    if config.input.kind != "events":
        return cycles.reshape(-1, 1)
    batch = config.update.batch
    return cycles.reshape(-1, config.intervals, batch).swapaxes(1, 2).reshape(-1, config.intervals)


def result_row(layout, payload, arrived, taken):
    """One result as a list: prediction, label, train, cycles, arrived, taken, counts.

    `layout` is the `result_layout`, `payload` an integer; the cycles are those of the sample's last item and of the
    result.
    """
    fields = {name: payload >> field.offset & ((1 << field.width) - 1) for name, field in layout}
    classes = layout["counts"].shape.length
    bits = layout["counts"].width // classes
    return [*(fields[name] for name in ("prediction", "label", "train", "cycles")), arrived, taken,
            *(fields["counts"] >> bits * place & ((1 << bits) - 1) for place in range(classes))]


def patience(config, pause=0):
    """Cycles within which a sample that was offered has its result, far beyond what any sample takes.

    As if every word of every unit added every row, in every pass and step; `pause` of 256 cycles are lost at the ends.
    """
    words = sum(unit.words * (unit.fan_rows + 64) for unit in config.units)
    return 8 * config.time.steps * (words + 1024 // (256 - pause) * (config.input.size + 1))
