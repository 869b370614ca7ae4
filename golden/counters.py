"""Names of all counters: one list for the RTL that counts and for the model that predicts.

A name is ``block.unit.memory.operation.phase`` for memory words, ``block.unit.adds.phase`` for useful lane
operations, ``block.unit.skips.update`` for words of weights that an update leaves as they are, since every step in them
rounds to zero, ``block.unit.cycles.phase`` for the cycles of a pass, and ``block.cycles.phase`` or ``block.wait.cause``
for the block's sequencer. Importing this module does not import torch.
"""

__all__ = ["CATEGORIES", "WAIT_BITS", "block_counters", "category", "unit_amounts", "unit_counters"]

#: Category of each memory in reports; a classifier's weights and potentials have their own.
CATEGORIES = {"weight": "weight", "potential": "potential", "window": "history", "input": "history", "error": "error",
              "value": "input", "gradient": "gradient", "velocity": "momentum",
              "count": "classifier count", "queue": "history"}
#: Bits of the largest wait that one increment can add; where a counter has fewer, it has ended by then.
WAIT_BITS = 32


def unit_counters(config, unit):
    """Counters of one unit, full names, in the order of their indices."""
    names = ["cycles.forward", "adds.forward", "potential.read.forward", "potential.write.forward"]
    names += ["input.write.forward", "input.read.forward"]
    if unit.static:
        names += ["value.write.forward", "value.read.forward"]
    if unit.learns:
        names += ["cycles.backward", "window.write.forward", "window.read.backward", "error.write.backward"]
        if unit.static or unit.serves or unit.slices > 1:
            names += ["error.read.backward"]
    if unit.serves:
        names += ["adds.backward"]
    if unit.stored:
        names += ["cycles.update", "adds.update", "skips.update"]
        names += ["weight.read.forward", "weight.read.update", "weight.write.update"]
        names += ["error.read.update", "input.read.update"]
        names += ["weight.read.backward"] if unit.serves else []
        names += ["value.read.update"] if unit.static else []
        names += ["gradient.read.update", "gradient.write.update"] if unit.accumulates else []
        names += ["velocity.read.update", "velocity.write.update"] if unit.velocity_width else []
    if unit.classifier:
        names += ["count.read.forward", "count.write.forward", "count.read.backward"]
        if config.blocks[unit.block].last:
            names += ["count.read.report"]
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
    block, unit, memory, _, _ = parts
    kind = CATEGORIES[memory]
    if unit == "classifier" and memory in ("weight", "potential"):
        return f"classifier {kind}"
    if memory == "input" and config.blocks[int(block[5:])].units[0].static and unit == "layer0":
        return "input"
    return kind
