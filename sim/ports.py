"""What passes the ports of a core, as arrays: state and counters as registers, samples as items, results as rows.

Both ways to run a Verilated core, `sim.testbench` and `sim.driver`, use these.
"""

import numpy as np

from ..golden.units import clog2
from ..rtl.events import input_layout

__all__ = ["arrivals", "items", "result_row", "state", "state_reads", "state_writes"]


def to_memory(unit, matrix):
    """Words of a weight memory, each with a power of two of lanes, from a matrix (fan_in, channels); flat."""
    padded = np.zeros((unit.fan_rows, unit.channel_words * unit.lanes), dtype=np.int64)
    padded[unit.fan_address(np.arange(unit.fan_in)), :unit.channels] = matrix
    memory = np.zeros((unit.channel_words, unit.fan_rows, 1 << clog2(unit.lanes)), dtype=np.int64)
    memory[:, :, :unit.lanes] = padded.reshape(unit.fan_rows, -1, unit.lanes).transpose(1, 0, 2)
    return memory.ravel()


def from_memory(unit, words):
    """The matrix (fan_in, channels) of an array of such words."""
    memory = words.reshape(unit.channel_words, unit.fan_rows, -1)[:, :, :unit.lanes]
    flat = memory.transpose(1, 0, 2).reshape(unit.fan_rows, -1)
    return flat[unit.fan_address(np.arange(unit.fan_in)), :unit.channels]


def _kept(registers):
    """State of all units: (name in a checkpoint, unit, whether it is a memory, first register, their number)."""
    for place, unit in enumerate(registers.config.units):
        for kind in ("weight", "velocity", "lfsr", "dropout"):
            region, memory = registers.regions.get(f"{unit.path}.{kind}"), kind in ("weight", "velocity")
            if region:
                yield (f"{kind}_{place}", unit, memory, region.base,
                       unit.weight_depth << clog2(unit.lanes) if memory else unit.lanes)


def _rates(registers):
    """First registers of the learning-rate state of each block: number of halvings, samples since then."""
    return [[registers.regions[f"{block.name}.{kind}"].base for kind in ("decays", "since_decay")]
            for block in registers.config.blocks]


def state_writes(registers, arrays):
    """Register writes that load a whole state (`golden.checkpoint.state_arrays`): (first register, values)."""
    for name, unit, memory, base, _ in _kept(registers):
        yield base, to_memory(unit, arrays[name]) if memory else arrays[name]
    for decays, since_decay in _rates(registers):
        yield decays, [int(arrays["shift"]) - registers.config.update.shift]
        yield since_decay, [int(arrays["since_decay"])]


def state_reads(registers):
    """Registers that hold the state and the counters: (first register, their number)."""
    kept = [(base, count) for *_, base, count in _kept(registers)]
    rates = [(base, 1) for pair in _rates(registers) for base in pair]
    return kept + rates + [(address, 2) for address in registers.counters().values()]


def state(registers, answers):
    """The state as `golden.checkpoint.state_arrays`, and the counters as ``counter:<name>``.

    Parameters
    ----------
    registers : RegisterMap
    answers : dict
        By first register, as in `state_reads`, an array of unsigned 32-bit values.
    """
    arrays, sign = {}, 1 << 31
    for place, unit in enumerate(registers.config.units):
        for kind in ("weight", "velocity"):
            arrays[f"{kind}_{place}"] = np.zeros((0, unit.channels), dtype=np.int64)
        for kind in ("lfsr", "dropout"):
            arrays[f"{kind}_{place}"] = np.zeros(0, dtype=np.int64)
    for name, unit, memory, base, _ in _kept(registers):
        values = np.array(answers[base], dtype=np.int64)
        arrays[name] = from_memory(unit, (values ^ sign) - sign) if memory else values
    rates = {(int(answers[decays][0]) + registers.config.update.shift, int(answers[since_decay][0]))
             for decays, since_decay in _rates(registers)}
    # All blocks have seen the same samples; where they disagree, none of them is reported.
    arrays["shift"], arrays["since_decay"] = rates.pop() if len(rates) == 1 else (-1, -1)
    for name, address in registers.counters().items():
        low, high = (int(value) for value in answers[address])
        arrays[f"counter:{name}"] = low | high << 32
    return {name: np.asarray(value) for name, value in arrays.items()}


def items(config, frames, labels, trains):
    """Samples as the stream takes them.

    Frames go value by value. Events go batch by batch, in each interval by interval, and in each of those sample by
    sample, an item per event and one for the end of every step.

    Returns
    -------
    items : numpy.ndarray of uint64
        Payloads of the stream `samples`.
    arrive : numpy.ndarray of bool
        Which items complete a frame, or an interval of a sample.
    """
    events = config.input.kind == "events"
    offset = {name: np.uint64(field.offset) for name, field in input_layout(config)}
    batch, k = config.update.batch, config.time.interval
    shape = (-1, batch, config.intervals, k, config.input.size) if events else (-1, 1, 1, 1, config.input.size)
    values = np.asarray(frames).reshape(shape).astype(np.uint64).swapaxes(1, 2)
    own = (np.asarray(labels, dtype=np.uint64) << offset["label"]
           | np.asarray(trains, dtype=np.uint64) << offset["train"]).reshape(shape[:2])
    if not events:
        flat = values.reshape(-1, config.input.size) << offset["value"] | own
        flat[:, 0] |= np.uint64(1) << offset["first"]
        flat[:, -1] |= np.uint64(1) << offset["last"]
        return flat.ravel(), np.arange(flat.size) % config.input.size == config.input.size - 1
    # The end of a step is one more place behind those of the frame.
    present = np.pad(values != 0, [(0, 0)] * 4 + [(0, 1)], constant_values=True)
    number, interval, sample, step, place = np.nonzero(present)
    end = place == config.input.size
    _, width, channels = config.input.shape
    place = np.where(end, 0, place).astype(np.uint64)
    pixel, channel = place // np.uint64(channels), place % np.uint64(channels)
    # A sample begins where the item before belongs to another one.
    begins = np.diff((number * config.intervals + interval) * batch + sample, prepend=-1) != 0
    flat = (own[number, sample] | pixel // np.uint64(width) << offset["y"] | pixel % np.uint64(width) << offset["x"]
            | channel << offset["channel"] | end.astype(np.uint64) << offset["end"]
            | (begins & (interval == 0)).astype(np.uint64) << offset["first"])
    return flat, end & (step == k - 1)


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
