"""The state of a core as registers: what is written to load a checkpoint, and what is read to save one.

Arrays are those of `golden.checkpoint.state_arrays`, with every counter as ``counter:<name>`` where they were read.
"""

import numpy as np

from ..golden.checks import check_state
from ..golden.errors import InputError
from ..golden.states import saved_kinds
from ..golden.units import clog2

__all__ = ["from_memory", "state_from_words", "state_reads", "state_writes", "to_memory"]


def to_memory(unit, matrix):
    """Words of a weight memory, a list with a power of two of lanes in each, from a matrix (fan_in, channels)."""
    padded = np.zeros((unit.fan_rows, unit.channel_words * unit.lanes), dtype=np.int64)
    padded[unit.fan_address(np.arange(unit.fan_in)), :unit.channels] = matrix
    memory = np.zeros((unit.channel_words, unit.fan_rows, 1 << clog2(unit.lanes)), dtype=np.int64)
    memory[:, :, :unit.lanes] = padded.reshape(unit.fan_rows, -1, unit.lanes).transpose(1, 0, 2)
    return memory.ravel().tolist()


def from_memory(unit, words):
    """The matrix (fan_in, channels) of an array of such words."""
    memory = words.reshape(unit.channel_words, unit.fan_rows, -1)[:, :, :unit.lanes]
    flat = memory.transpose(1, 0, 2).reshape(unit.fan_rows, -1)
    return flat[unit.fan_address(np.arange(unit.fan_in)), :unit.channels]


def _held(registers, saved):
    """Kind, place of the unit, unit and region of all that units hold of what is `saved` in one way."""
    for place, unit in enumerate(registers.config.units):
        for kind in saved_kinds(registers.config, saved):
            if region := registers.regions.get(f"{unit.path}.{kind}"):
                yield kind, place, unit, region


def state_writes(registers, arrays):
    """Writes that load a state: (address, values) of consecutive registers, values signed.

    Parameters
    ----------
    registers : RegisterMap
    arrays : mapping of str to numpy.ndarray

    Raises
    ------
    InputError
        If an array is missing or is not as the configuration says, before the first write.
    """
    arrays = check_state(registers.config, arrays, InputError)
    return _writes(registers, arrays)


def _writes(registers, arrays):
    for kind, place, unit, region in _held(registers, "matrix"):
        yield region.base, to_memory(unit, arrays[f"{kind}_{place}"])
    for kind, place, _, region in _held(registers, "lanes"):
        yield region.base, arrays[f"{kind}_{place}"].tolist()
    for block in registers.config.blocks:
        yield registers.regions[f"{block.name}.decays"].base, [int(arrays["shift"]) - registers.config.update.shift]
        yield registers.regions[f"{block.name}.since_decay"].base, [int(arrays["since_decay"])]


def state_reads(registers):
    """Reads that save a state: name to (address, number of consecutive registers)."""
    found = {region.name: (region.base, unit.weight_depth << clog2(unit.lanes))
             for _, _, unit, region in _held(registers, "matrix")}
    found |= {region.name: (region.base, unit.lanes) for _, _, unit, region in _held(registers, "lanes")}
    found |= {f"{block.name}.{name}": (registers.regions[f"{block.name}.{name}"].base, 1)
              for block in registers.config.blocks for name in ("decays", "since_decay")}
    return found | {f"counter:{name}": (address, 2) for name, address in registers.counters().items()}


def state_from_words(registers, words):
    """The arrays of a state, from the unsigned words of each of `state_reads`.

    All blocks see the same samples; where their learning-rate states disagree, shift and since_decay are -1.
    """
    config, arrays, sign = registers.config, {}, 1 << 31
    for place, unit in enumerate(config.units):
        for saved, shape in (("matrix", (0, unit.channels)), ("lanes", (0,))):
            arrays |= {f"{kind}_{place}": np.zeros(shape, dtype=np.int64) for kind in saved_kinds(config, saved)}
    for kind, place, unit, region in _held(registers, "matrix"):
        signed = (np.array(words[region.name], dtype=np.int64) ^ sign) - sign
        arrays[f"{kind}_{place}"] = from_memory(unit, signed)
    for kind, place, _, region in _held(registers, "lanes"):
        arrays[f"{kind}_{place}"] = np.array(words[region.name], dtype=np.int64)
    rates = {(words[f"{block.name}.decays"][0] + config.update.shift, words[f"{block.name}.since_decay"][0])
             for block in config.blocks}
    shift, since = rates.pop() if len(rates) == 1 else (-1, -1)
    arrays |= {"shift": np.int64(shift), "since_decay": np.int64(since)}
    return arrays | {name: np.asarray(low | high << 32) for name, (low, high) in (
        item for item in words.items() if item[0].startswith("counter:"))}
