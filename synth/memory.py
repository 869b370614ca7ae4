"""Which memory becomes which RAM, and how many primitives that takes: one rule, imposed on synthesis and checked in it.

A memory at most as deep as one primitive of distributed RAM is distributed, every other one is block RAM. So nothing
but a register stands behind a distributed RAM, and it costs at most 1.5 LUTs per bit of its width; the next deeper one
would need a multiplexer behind it and twice the LUTs, and in block RAM it is nearly always a part of one block for 36
bits. What is read combinationally is distributed whatever its depth, and in registers where LUTs cannot be RAM.
"""

from typing import NamedTuple

from ..golden.config import ConfigError
from ..golden.memories import memories
from ..golden.states import Memory

__all__ = ["Placed", "place_memories", "primitives"]


class Placed(NamedTuple):
    """A memory of the map and what becomes of it.

    `kind` is ``block``, ``distributed`` or ``registers``; `count` is the number of its primitives, for block RAM in
    units of the smaller block, for registers 0.
    """

    memory: Memory
    kind: str
    count: int


def _kind(memory, target):
    family = target.family
    if memory.combinational:
        return "distributed" if family.lutrams else "registers"
    style = memory.style
    if style == "distributed" and not family.lutrams:
        raise ConfigError(f"hardware.memory must be auto or block for {target.name}, whose LUTs cannot be RAM, not "
                          f"{style!r} ({memory.path})")
    if style != "auto":
        return style
    return "distributed" if memory.depth <= family.distributed_depth else "block"


def primitives(family, kind, depth, width, granule=None):
    """Primitives of a memory with `depth` words of `width` bits and a write enable for every `granule` bits.

    A block RAM holds bits side by side, and where a memory is deeper than it, also words; a group of bits with a write
    enable of its own belongs to one granule. The shape is the one that Yosys takes (`memory_libmap`): blocks
    count, and half a LUT for each bit of the multiplexers behind blocks above each other and of the enables before.
    """
    granule, depth = granule or width, max(2, depth)  # no memory is built with a single word
    if kind == "registers":
        return 0
    if kind == "block":
        found = []
        for deep, bits, lanes in family.shapes:
            rows = -(-depth // deep)
            count = -(-(width // granule * -(-granule // bits) * rows) // lanes)
            around = (rows - 1) * width + (rows * (width // granule) if rows > 1 else 0)
            found.append((family.block_weight * count + around / 2, count))
        return min(found)[1]
    one = next((own for own in family.lutrams if depth <= own.depth), family.lutrams[-1])
    return -(-depth // one.depth) * (width // granule) * -(-granule // one.bits)


def place_memories(config, target):
    """Every memory of the core of `config` as `Placed`.

    Raises
    ------
    ConfigError
        If the configuration asks for distributed RAM where there is none.
    """
    found = []
    for memory in memories(config):
        kind = _kind(memory, target)
        found.append(Placed(memory, kind, primitives(target.family, kind, memory.depth, memory.width, memory.granule)))
    return found
