"""Every memory of a core: size and layout, before anything is generated."""

from typing import NamedTuple

from .counters import block_counters, unit_counters
from .states import Memory, unit_states

__all__ = ["CHIPS", "Chip", "memories", "samples_begun", "verdict"]


class Chip(NamedTuple):
    """A chip to measure sizes against, and the bits of all its memory blocks."""

    name: str
    bits: int


#: From small to large: the largest FPGA with an open flow, and the one of its family with the most memory.
CHIPS = (
    Chip("ECP5-85", 208 * 18 * 1024),  # Lattice FPGA-DS-02012: 208 block RAMs of 18 kbit
    Chip("VU13P", 2688 * 36 * 1024 + 1280 * 288 * 1024),  # AMD DS890: block RAMs of 36 kbit, UltraRAMs of 288 kbit
)


def verdict(bits):
    """How much of the first of `CHIPS` that holds them `bits` take, as if every memory block could be full."""
    for chip in CHIPS:
        if bits <= chip.bits:
            return f"{bits / chip.bits:.1%} of {chip.name}"
    return f"exceeds {chip.name}: {bits / chip.bits:.0%}"


def memories(config):
    """All memories of the core of `config`, unit by unit, as a list of `Memory`."""
    found, hardware = [], config.hardware
    for block in config.blocks:
        for unit in block.units:
            found += [state.memory for state in unit_states(config, unit).values() if state.memory]
        if hardware.counters:
            for path, names in [(block.name, block_counters(block)),
                                *((unit.path, unit_counters(config, unit)) for unit in block.units)]:
                found.append(Memory(f"{path}.counters", "bookkeeping", max(2, len(names)), hardware.counter_bits,
                                    "index: the counter, without what waits in its register", combinational=True))
        if not block.last:
            top = block.layers[-1]
            width = top.lanes + (config.network.classes - 1).bit_length() + 1
            found.append(Memory(f"{block.name}.queue", "history", max(2, top.words * top.steps), width,
                                "queue of the spikes of one interval with label and mode"))
    if (depth := samples_begun(config)) > 1:  # a register is the place of the oldest
        found.append(Memory("begun", "bookkeeping", depth - 1, 32, "queue of the cycles in which samples began"))
    return found


def samples_begun(config):
    """Samples at most that have begun and have no result yet: the depth of the queue of their first cycles.

    The last block has a batch of them, and every block before it one interval and those in the buffer after it.
    """
    found = config.update.batch + (len(config.blocks) - 1) * (config.hardware.spike_slots + 1)
    return 3 if found == 2 else found  # with two, a memory would have one word, and no address
