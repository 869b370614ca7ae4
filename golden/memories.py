"""Every memory of a core: size and layout, before anything is generated."""

from typing import NamedTuple

from .counters import block_counters, unit_counters

__all__ = ["CHIPS", "Chip", "Memory", "memories", "samples_begun", "verdict"]


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


class Memory(NamedTuple):
    """One memory; `path` is its instance path below the top module, `layout` says what lies where in it.

    `granule` is the number of bits per write enable, None where a word has one. `combinational` is set where a word is
    read in the cycle of its address, which no block RAM can do. `style` is what `hardware.memory` asks for.
    """

    path: str
    category: str
    depth: int
    width: int
    layout: str
    granule: int | None = None
    combinational: bool = False
    style: str = "auto"

    @property
    def bits(self):
        """Capacity."""
        return self.depth * self.width


def memories(config):
    """All memories of the core of `config`, in the order of its units, as a list of `Memory`."""
    found, hardware, styles = [], config.hardware, config.hardware.memory
    for block in config.blocks:
        bottom, top = block.units[0], block.layers[-1]
        if bottom.static:
            found += [
                Memory(f"{block.name}.buffer.values", "input",
                       hardware.sample_slots * bottom.bitmap.words * bottom.bitmap.scan_width, bottom.input_bits,
                       "(slot * words + word) * width + bit: value of the frame, where its bit is", style=styles.input),
                Memory(f"{block.name}.buffer.bitmaps", "input", hardware.sample_slots * bottom.bitmap.words,
                       bottom.bitmap.scan_width, "slot * words + word: which values are not zero", style=styles.input),
            ]
        else:
            found.append(_spikes(f"{block.name}.buffer.bitmaps", bottom, hardware.spike_slots, 1, styles.input)
                         if bottom.events else
                         _spikes(f"{block.name}.buffer.store.bitmaps", bottom, hardware.spike_slots, bottom.granule,
                                 styles.history))
        for unit in block.units:
            path, classifier = f"{block.name}.{unit.name}", "classifier " if unit.classifier else ""
            if unit is not bottom:
                found.append(_spikes(f"{path}_input.bitmaps", unit, 1, unit.granule, styles.history))
            extra = unit.lanes * ((config.neuron.reset == "zero") + (unit.dropout > 0))
            if unit.stored:
                found.append(Memory(
                    f"{path}.weight_store", f"{classifier}weight", unit.weight_depth, unit.lanes * unit.weight_width,
                    "word * rows + row: lane i is the weight of a fan-in row to channel word * lanes + i",
                    unit.weight_width, style=styles.weight))
            if unit.velocity_width:
                found.append(Memory(f"{path}.velocity_store", "momentum", unit.weight_depth,
                                    unit.lanes * unit.velocity_width, "as the weights: velocity of each",
                                    unit.velocity_width, style=styles.weight))
            found.append(Memory(
                f"{path}.potential_store", f"{classifier}potential", unit.batch * unit.words,
                unit.lanes * unit.potential_width,
                "(sample * pixels + pixel) * words + word: potential of channel word * lanes + i after the interval, "
                "before its reset", style=styles.potential))
            if unit.learns:
                found += [
                    Memory(f"{path}.window_store", "history", unit.words * unit.steps,
                           unit.lanes * config.code_bits + extra,
                           "word * k + step: surrogate code per lane, then spikes where the reset is to zero, then "
                           "which are dropped where any are", style=styles.history),
                    Memory(f"{path}.error_store", "error", unit.words * unit.error_frames,
                           unit.lanes * unit.history_width, "word: sum of the errors" if unit.static else
                           f"word * {unit.error_frames} + step: error per lane", style=styles.error),
                ]
            if unit.accumulates:
                found.append(Memory(
                    f"{path}.accumulate.gradient_store", "gradient", unit.weight_depth,
                    1 + unit.lanes * unit.gradient_width,
                    "as the weights: whether the row was active, then the gradient of each lane"))
            if unit.classifier:
                width = unit.lanes * (config.time.steps.bit_length() + unit.steps.bit_length())
                found.append(Memory(f"{path}.count_store", "classifier count", unit.batch * unit.words, width,
                                    "sample * words + word: spikes of the sample per lane, then of the interval"))
        if hardware.counters:
            for path, names in [(block.name, block_counters(block)),
                                *((f"{block.name}.{unit.name}", unit_counters(config, unit)) for unit in block.units)]:
                found.append(Memory(f"{path}.counters", "bookkeeping", max(2, len(names)), hardware.counter_bits,
                                    "index: the counter, without what waits in its register", combinational=True))
        if not block.last:
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


def _spikes(path, unit, slots, granule, style):
    return Memory(path, "history", slots * unit.frames * unit.bitmap.words, unit.bitmap.scan_width,
                  "(slot * frames + step) * words + word: spikes, image row by image row",
                  granule, style=style)
