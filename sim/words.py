"""What the numbers of a report say: in words, and as rows of tables."""

import math
from numbers import Number

__all__ = [
    "NOTHING",
    "PHASES",
    "cycle_table",
    "describe_sample",
    "formats",
    "number",
    "ordered",
    "percent",
    "plural",
    "records",
    "settings",
    "traffic_table",
    "utilisation_table",
    "verdict",
]

#: What stands where there is no number.
NOTHING = "\N{EN DASH}"
PHASES = ("forward", "backward", "update", "report")


def number(value):
    """A number for people; whatever is no number as text."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, Number):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:,.3g}"


def percent(value):
    return f"{100 * value:.1f}%" if isinstance(value, Number) and math.isfinite(value) else NOTHING


def verdict(mismatches):
    """Whether RTL and golden model agree: a style, a headline, a sentence; and who computed."""
    if mismatches is None:
        return ("unknown", "RTL and golden model were not compared", "This run holds no comparison.",
                "A spiking neural network, computed by the golden model of its core.")
    core = "A spiking neural network core that trains itself, in simulation of its RTL."
    if mismatches == 0:
        return ("good", "RTL and golden model agree: no mismatches",
                "Everything that was compared between the simulated core and the integer model is equal, bit for bit.",
                core)
    count = f"{mismatches:,} mismatch{'' if mismatches == 1 else 'es'}"
    return ("bad", f"RTL and golden model differ: {count}",
            "The simulated core did not do what the integer model says. Explain that before using other numbers here.",
            core)


def describe_sample(pictures):
    trace, label, config = pictures.trace, pictures.label, pictures.config
    outcome = "correctly" if trace.prediction == label else "wrongly"
    most = f"{plural(int(max(trace.counts)), 'spike')} in {plural(config.time.steps, 'step')}"
    text = f"A sample of class {label}, {outcome} classified as {trace.prediction}: {most}. "
    if not trace.train:
        return text + "It did not train the core, so there are no updates."
    return text + f"The weights change every {plural(config.update_steps, 'step')}, where the triangles are."


def plural(count, noun):
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def settings(config):
    """Key numbers of the configuration: (what, value) pairs."""
    time, update = config.time, config.update
    dropping = [unit for unit in config.units if unit.dropout]
    biased = [unit.path for unit in config.units if unit.weights.bias]
    times = f"{plural(update.decay_limit, 'time')} at most"
    decay = f", halved every {plural(update.decay_samples, 'sample')}, {times}" if update.decay_samples else ""
    return [
        ("Time steps T", f"{time.steps}"),
        ("Truncation interval k", f"{plural(time.interval, 'step')}, {plural(config.intervals, 'interval')} in T"),
        ("Update period", f"{plural(time.update_period, 'interval')}, {plural(config.update_steps, 'step')}"),
        ("Input", f"{plural(config.input.size, 'value')} of {plural(config.input.bits, 'bit')}, "
                  f"{config.input.fraction} of them fraction"),
        ("Classes", f"{config.network.classes}"),
        ("Blocks", f"{len(config.blocks)}, each with a classifier"),
        ("Layers of each block", ", ".join(str(len(block.layers)) for block in config.blocks)),
        ("Weights", f"{sum(unit.fan_in * unit.channels if unit.weights.stored else 0 for unit in config.units):,}"),
        *([("Biases", ", ".join(biased))] if biased else []),
        *_neurons(config.neuron, config.surrogate, ""),
        *[row for name, owner in [*((f"layers.{place}", layer) for place, layer in enumerate(config.layers)),
                                  ("classifier", config.classifier)]
          for row in _neurons(owner.neuron, owner.surrogate, f" of {name}")],
        ("Learning rate", f"{update.multiplier} / 2^{update.shift}{decay}"),
        ("Rounding of updates", update.rounding),
        *([("Dropout", ", ".join(f"{unit.path}: {unit.dropout} of 16" for unit in dropping))] if dropping else []),
    ]


def _neurons(neuron, surrogate, of):
    """The same of neurons and surrogate of a table, as far as it has them."""
    return [*((what + of, value) for what, value in (neuron.words if neuron else ())),
            *([(f"Surrogate{of}", surrogate.words)] if surrogate else [])]


def formats(config):
    """Rows of the table of number formats: what, bits, fraction bits, smallest, largest value."""
    rows = []
    for name in ("weight", "potential", "error"):
        kept = getattr(config.numbers, name)
        top = 1 << (kept.width - 1)
        rows.append((name, kept.width, kept.fraction, f"{math.ldexp(-top, -kept.fraction):g}",
                     f"{math.ldexp(top - 1, -kept.fraction):.9g}"))
    return rows


def _waits(block):
    return ("input", "result" if block.last else "output")


def cycle_table(config, counters):
    """One dict per block: cycles by phase, by cause of waiting, and all together."""
    rows = []
    for block in config.blocks:
        phases = {phase: counters.get(f"{block.name}.cycles.{phase}", 0) for phase in PHASES}
        waits = {cause: counters.get(f"{block.name}.wait.{cause}", 0) for cause in _waits(block)}
        rows.append({"name": block.name, "phases": phases, "waits": waits,
                     "total": sum(phases.values()) + sum(waits.values())})
    return rows


def traffic_table(traffic):
    """Rows (category, phase, read, write)."""
    return [(category, phase, words.get("read", 0), words.get("write", 0))
            for category, phases in traffic.items() for phase, words in phases.items()]


def utilisation_table(config, utilisation):
    """Phases that occur, and rows (unit, lanes, fractions or None by phase)."""
    lanes = {unit.path: unit.lanes for unit in config.units}
    phases = ordered({phase for row in utilisation.values() for phase in row})
    return phases, [(path, lanes.get(path), [row.get(phase) for phase in phases]) for path, row in utilisation.items()]


def ordered(phases):
    return [phase for phase in PHASES if phase in phases] + sorted(set(phases) - set(PHASES))


def records(records):
    """A list of dicts as (columns, rows); None if it is not one."""
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        return None
    columns = list(dict.fromkeys(key for record in records for key in record))
    return columns, [[record.get(column) for column in columns] for record in records]
