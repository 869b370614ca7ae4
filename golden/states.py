"""What a unit keeps: every memory, and every register of a lane that outlasts a sample, declared once with its users.

Names of counters, memory map, register map, arrays of a checkpoint, loading, saving and comparison are derived from
here. Importing this module does not import torch.
"""

from dataclasses import dataclass
from typing import NamedTuple

from .dropout import dropout_seeds
from .lfsr import PERIOD, lane_seeds

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
    accesses : tuple of str
        Who uses its words, ``operation.phase``: a counter each. Phases are those of `unit_phases`; ``report`` is the
        reading of the result.
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
    accesses: tuple[str, ...] = ()
    saved: str = ""
    values: Values | None = None
    start: tuple[int, ...] = ()
    meaning: str = ""
    there: bool = True


def unit_phases(unit):
    """Passes of a unit, in the order in which they follow each other."""
    return ("forward", *["backward"] * unit.rule.learns, *["update"] * unit.weights.stored)


def _input(config, unit):
    """Spikes that come in, or what says which values of a frame are not zero, and those."""
    bitmap, hardware, styles = unit.bitmap, config.hardware, config.hardware.memory
    accesses = ("write.forward", "read.forward", *["read.update"] * unit.weights.stored)
    buffer = f"block{unit.block}.buffer"
    if unit.input.static:
        words = hardware.sample_slots * bitmap.words
        yield State(name="input", accesses=accesses, memory=Memory(
            f"{buffer}.bitmaps", "input", words, bitmap.scan_width, "slot * words + word: which values are not zero",
            style=styles.input))
        yield State(name="value", accesses=accesses, memory=Memory(
            f"{buffer}.values", "input", words * bitmap.scan_width, unit.input.bits,
            "(slot * words + word) * width + bit: value of the frame, where its bit is", style=styles.input))
        return
    path = f"{unit.path}_input.bitmaps" if not unit.bottom else f"{buffer}.{'' if unit.input.events else 'store.'}bitmaps"
    yield State(name="input", accesses=accesses, memory=Memory(
        path, "history", (hardware.spike_slots if unit.bottom else 1) * unit.frames * bitmap.words, bitmap.scan_width,
        "(slot * frames + step) * words + word: spikes, image row by image row", unit.granule,
        style=styles.input if unit.input.events else styles.history))


def _neuron(config, unit):
    """Potentials between two intervals."""
    yield State(name="potential", accesses=("read.forward", "write.forward"), memory=Memory(
        f"{unit.path}.potential_store", _classified(unit, "potential"), unit.batch * unit.words,
        unit.lanes * unit.potential_width,
        "(sample * pixels + pixel) * words + word: potential of channel word * lanes + i after the interval, "
        "before its reset", style=config.hardware.memory.potential))


def _weights(config, unit):
    """Weights, and with momentum a velocity for each."""
    def matrix(name, category, width, fraction, accesses, layout, there):
        return State(
            name=name, accesses=accesses, saved="matrix", meaning=f"each {name}", there=there,
            values=Values.of(width or 1, signed=True, fraction=fraction), memory=Memory(
                f"{unit.path}.{name}_store", category, unit.weight_depth, unit.lanes * width, layout, width,
                style=config.hardware.memory.weight))

    update = ("read.update", "write.update")
    numbers = config.numbers
    yield matrix("weight", _classified(unit, "weight"), unit.weights.width, numbers.weight.fraction,
                 ("read.forward", *["read.backward"] * unit.rule.serves, *update),
                 "word * rows + row: lane i is the weight of a fan-in row to channel word * lanes + i", unit.weights.stored)
    # A velocity is a sum of errors times spikes, or times the values of a frame.
    yield matrix("velocity", "momentum", unit.optimiser.velocity_width,
                 numbers.error.fraction + (config.input.fraction if unit.input.static else 0), update,
                 "as the weights: velocity of each", unit.weights.stored and unit.optimiser.velocity_width > 0)


def _rule(config, unit):
    """What truncated backpropagation through time keeps of a pass for the next one."""
    styles, lanes = config.hardware.memory, unit.lanes
    beside = lanes * ((config.neuron.reset == "zero") + (unit.dropout > 0))
    yield State(name="window", there=unit.rule.learns, accesses=("write.forward", "read.backward"), memory=Memory(
        f"{unit.path}.window_store", "history", unit.words * unit.steps, lanes * config.code_bits + beside,
        "word * k + step: surrogate code per lane, then spikes where the reset is to zero, then which are dropped "
        "where any are", style=styles.history))
    goes_on = unit.input.static or unit.rule.serves or unit.slices > 1
    yield State(
        name="error", there=unit.rule.learns,
        accesses=("write.backward", *["read.backward"] * goes_on, *["read.update"] * unit.weights.stored), memory=Memory(
            f"{unit.path}.error_store", "error", unit.words * unit.error_frames, lanes * unit.history_width,
            "word: sum of the errors" if unit.input.static else f"word * {unit.error_frames} + step: error per lane",
            style=styles.error))
    yield State(name="gradient", there=unit.rule.accumulates, accesses=("read.update", "write.update"), memory=Memory(
        f"{unit.path}.accumulate.gradient_store", "gradient", unit.weight_depth, 1 + lanes * unit.gradient_width,
        "as the weights: whether the row was active, then the gradient of each lane"))


def _random_bits(config, unit):
    """LFSRs, one per lane each: of stochastic rounding, and of dropout."""
    place = [own.path for own in config.units].index(unit.path)
    values = Values(16, 1, PERIOD)
    rounds = unit.weights.stored and config.update.rounding == "stochastic"
    yield State(name="lfsr", there=rounds, saved="lanes", values=values,
                start=tuple(lane_seeds(config.update.seed, unit.lanes, place)) if rounds else (),
                meaning="LFSR of each lane that rounds updates")
    yield State(name="dropout", there=unit.dropout > 0, saved="lanes", values=values,
                start=tuple(dropout_seeds(config, unit)), meaning="LFSR of each lane that chooses the dropped spikes")


def _loss(config, unit):
    """Spikes that a classifier has counted."""
    steps = config.time.steps.bit_length(), unit.steps.bit_length()
    yield State(
        name="count", there=unit.classifier,
        accesses=("read.forward", "write.forward", "read.backward",
                  *["read.report"] * config.blocks[unit.block].last), memory=Memory(
            f"{unit.path}.count_store", "classifier count", unit.batch * unit.words, unit.lanes * sum(steps),
            "sample * words + word: spikes of the sample per lane, then of the interval"))


def _classified(unit, category):
    return f"classifier {category}" if unit.classifier else category


#: Who keeps something, in the order of memory map and counters.
_KEEPERS = (_input, _neuron, _weights, _rule, _random_bits, _loss)


def unit_states(config, unit, saved=None):
    """What a unit keeps, as a dict of `State` by name: what is there; of one kind of `saved`, everything."""
    return {own.name: own for keeper in _KEEPERS for own in keeper(config, unit)
            if (own.there if saved is None else own.saved == saved)}


def saved_kinds(config, saved):
    """Names of the states that are `saved` as ``matrix``, or as ``lanes``: the same for all units."""
    return tuple(unit_states(config, config.units[0], saved))
