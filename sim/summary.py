"""Counters, added up for people: cycles by phase, memory traffic by category, lane utilisation."""

from ..golden.counters import category

__all__ = ["WAITS", "cycles", "throughput", "traffic", "utilisation"]

#: What has to be said of waits wherever they are shown: counters count from the reset on.
WAITS = "Waits for input contain the time before the first sample, in which the weights are loaded"


def throughput(config, results):
    """Cycles per sample of a run: the mean from one result to the next, of whole batches; None for a single one.

    The latency of a sample, from its first cycle of computation to its result, is another number: a core has several
    samples in work at a time.

    Parameters
    ----------
    config : Config
    results : numpy.ndarray
        Of `sim.ports.result_type`.
    """
    batch = config.update.batch
    taken = results["taken"][batch - 1::batch]
    return float(taken[-1] - taken[0]) / (len(results) - batch) if len(taken) > 1 else None


def cycles(config, counters):
    """Cycles of every block: block name -> phase or wait -> cycles."""
    found = {}
    for block in config.blocks:
        own = {}
        for kind in ("cycles", "wait"):
            prefix = f"{block.name}.{kind}."
            own |= {("" if kind == "cycles" else "waiting for ") + name[len(prefix):]: value
                    for name, value in counters.items() if name.startswith(prefix)}
        found[block.name] = own
    return found


def traffic(config, counters):
    """Memory words by category and phase: category -> phase -> {"read", "write"}."""
    found = {}
    for name, value in counters.items():
        kind = category(config, name)
        if kind is None:
            continue
        operation, phase = name.split(".")[3:]
        words = found.setdefault(kind, {}).setdefault(phase, {"read": 0, "write": 0})
        words[operation] += value
    return dict(sorted(found.items()))


def utilisation(config, counters):
    """Share of the lane slots of each pass that did useful work: unit path -> phase -> 0 .. 1.

    A slot is one lane in one cycle of the pass. The backward pass of a unit keeps the lanes of the unit above busy,
    and is counted there; a unit that serves nobody has none.
    """
    found = {}
    for below, unit in zip([None, *config.units], config.units):
        own = {}
        for phase in ("forward", "backward", "update"):
            slots_of = below if phase == "backward" else unit
            adds = counters.get(f"{unit.path}.adds.{phase}")
            if adds is None or slots_of is None:
                continue
            slots = counters.get(f"{slots_of.path}.cycles.{phase}", 0) * unit.lanes
            if slots:
                own[phase] = adds / slots
        found[unit.path] = own
    return found
