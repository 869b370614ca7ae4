"""Names of all counters: one list for the RTL that counts and for the model that predicts.

A name is ``block.unit.memory.operation.phase`` for memory words, ``block.unit.adds.phase`` for useful lane
operations, ``block.unit.skips.update`` for words of weights that an update leaves as they are, since every step in them
rounds to zero, ``block.unit.cycles.phase`` for the cycles of a pass, and ``block.cycles.phase`` or ``block.wait.cause``
for the block's sequencer. Importing this module does not import torch.
"""

from .states import unit_phases, unit_states

__all__ = ["WAIT_BITS", "block_counters", "category", "unit_amounts", "unit_counters"]

#: Bits of the largest wait that one increment can add; where a counter has fewer, it has ended by then.
WAIT_BITS = 32


def unit_counters(config, unit):
    """Counters of one unit, full names, in the order of their indices."""
    names = [f"cycles.{phase}" for phase in unit_phases(unit)] + ["adds.forward"]
    names += ["adds.backward"] * unit.rule.serves + ["adds.update", "skips.update"] * unit.weights.stored
    names += [f"{state.name}.{access}" for state in unit_states(config, unit).values() for access in state.accesses]
    return [f"{unit.path}.{name}" for name in names]


def unit_amounts(config, unit):
    """Largest increment of the counters that add more than one per cycle."""
    return {name: unit.lanes for name in unit_counters(config, unit) if ".adds." in name}


def block_counters(block):
    """Counters of the sequencer of one block."""
    names = ["cycles.forward", "cycles.backward", "cycles.update", "wait.input"]
    names += ["cycles.report", "wait.result"] if block.last else \
        ["wait.output", "output.queue.write.forward", "output.queue.read.forward"]
    return [f"{block.name}.{name}" for name in names]


def category(config, name):
    """Category of a memory counter, or None for another counter."""
    parts = name.split(".")
    if len(parts) != 5:
        return None
    if parts[1] == "output":  # the queue of a block
        return "history"
    unit, = (own for own in config.units if own.path == ".".join(parts[:2]))
    return unit_states(config, unit)[parts[2]].memory.category
