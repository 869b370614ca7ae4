"""What a unit keeps: every memory, and every register of a lane that outlasts a sample, declared once with its users.

Each part of a unit declares its own (`Unit.parts`), in the order of memory map and counters.

Names of counters, memory map, register map, arrays of a checkpoint, loading, saving and comparison are derived from
here. Importing this module does not import torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Memory", "State", "Values", "saved_kinds", "unit_phases", "unit_states"]


class Values(NamedTuple):
    """Numbers that something holds: their width in bits, and which of them are allowed."""

    width: int
    minimum: int
    maximum: int
    fraction: int = 0

    @property
    def signed(self):
        """Whether they are in two's complement."""
        return self.minimum < 0

    @classmethod
    def upto(cls, maximum):
        """All numbers from 0 to `maximum`."""
        return cls(max(1, maximum.bit_length()), 0, maximum)

    @classmethod
    def of(cls, width, *, signed=False, fraction=0):
        """All numbers of a width."""
        return cls(width, *((-1 << width - 1, (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)), fraction)


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


@dataclass(frozen=True, kw_only=True)
class State:
    """Something that a unit keeps from one cycle to a later one, and that more than one of its parts knows.

    Attributes
    ----------
    name : str
        In counters, registers and checkpoints: all states of one name are the same for different units.
    memory : Memory
        Where it lies; None if it is in registers. Its category says what it counts as in reports.
    accesses : dict of str to callable
        Who uses its words, ``operation.phase``: a counter each. Phases are those of `unit_phases`; ``report`` is the
        reading of the result. Each says how many words that are, from the `golden.activity.Work` of the unit.
    saved : str
        What a checkpoint holds of it, and a host reads and writes: ``matrix`` of (fan_in, channels), in memory as the
        weights are; ``lanes``, a register each; empty if it does not outlast a sample.
    values : Values
        Of one number of what is saved.
    start : tuple of int
        Of ``lanes``, what they hold after reset.
    meaning : str
        Of what is saved, for the register map.
    there : bool
        Whether the unit has it at all. What is saved has a place in every checkpoint, empty where it is not there.
    """

    name: str
    memory: Memory | None = None
    accesses: Mapping[str, Callable] = field(default_factory=dict)
    saved: str = ""
    values: Values | None = None
    start: tuple[int, ...] = ()
    meaning: str = ""
    there: bool = True


def unit_phases(unit):
    """Passes of a unit, in the order in which they follow each other."""
    return ("forward", *["backward"] * unit.rule.learns, *["update"] * unit.weights.stored)


def unit_states(config, unit, saved=None):
    """What a unit keeps, as a dict of `State` by name: what is there; of one kind of `saved`, everything."""
    return {own.name: own for part in unit.parts for own in part.states(config, unit)
            if (own.there if saved is None else own.saved == saved)}


def saved_kinds(config, saved):
    """Names of the states that are `saved` as ``matrix``, or as ``lanes``: the same for all units."""
    return tuple(unit_states(config, config.units[0], saved))
