"""A state as what a core holds at power-up: contents of its memories, and values of its registers after reset."""

from typing import NamedTuple

from ..golden.checkpoint import state_arrays
from ..rtl.registers import RegisterMap
from .state import state_writes

__all__ = ["Contents", "contents"]


class Contents(NamedTuple):
    """What a core begins with.

    Attributes
    ----------
    registers : RegisterMap
        With the values of all registers that a reset sets, and of weights and velocities that they are there.
    files : dict of str to str
        Weights and velocities: region -> name of a file for ``$readmemh``, a memory word per line.
    texts : dict of str to str
        Those files, by name.
    """

    registers: RegisterMap
    files: dict
    texts: dict


def contents(config, state):
    """The `Contents` of a core of `config` that begins with a `State`."""
    registers, files, texts = RegisterMap(config), {}, {}
    regions = {region.base: region for region in registers.regions.values()}
    for base, values in state_writes(registers, state_arrays(state)):
        region = regions[base]
        if region.array is None:
            registers.begin(region.name, values)
            continue
        name = f"{config.name}_{region.name.replace('.', '_')}.hex"
        files[region.name], texts[name] = name, _memory(region, values)
        registers.fill(region.name)
    return Contents(registers, files, texts)


def _memory(region, values):
    """Words of a memory from values in the order of the registers; a memory has two words at least."""
    width, lanes, pitch = region.values.width, region.array.lanes, 1 << region.array.lane_shift
    words = [sum((value & (1 << width) - 1) << width * lane for lane, value in enumerate(values[first:first + lanes]))
             for first in range(0, len(values), pitch)]
    words += [0] * (2 - len(words))
    digits = -(-width * lanes // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words)
