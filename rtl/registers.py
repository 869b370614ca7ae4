"""Register map: every register of a core by word address, and what a driver has to know of it."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from amaranth.lib import data, enum

from ..golden.counters import block_counters, unit_counters
from ..golden.errors import InputError
from ..golden.states import Values, saved_kinds, unit_states
from ..golden.units import clog2
from .violations import COUNT_BITS, violations

__all__ = ["BLOCK_STATUS", "CONTROL", "EMPTY", "FILLED", "MAGIC", "STATUS", "Array", "Field", "Region", "RegisterMap",
           "Status", "request_layout", "response_layout"]

#: Value of the register `identification`.
MAGIC = 0x53504C31


class Field(NamedTuple):
    """Some bits of a register.

    `access` is ``r`` or ``rw``; ``rw1c`` for a bit that something sets and writing 1 to it clears; ``w1`` for one that
    acts when 1 is written, and reads 0. `reset` is None where the bits follow something.
    """

    name: str
    lsb: int
    width: int
    access: str
    meaning: str
    reset: int | None


def _fields(rows):
    """Fields of one bit each, from bit 0 on: rows of name, access and meaning."""
    return tuple(Field(name, lsb, 1, access, meaning, None if access == "r" else 0)
                 for lsb, (name, access, meaning) in enumerate(rows))


#: Fields of the register `status`; `Core` has a signal for each.
STATUS = _fields([
    ("idle", "r", "no block computes"),
    ("held", "r", "control.hold is 1, and every block pauses between two intervals"),
    ("starved", "r", "the first block waits: its next sample (with events, interval) is not complete"),
    ("result_waits", "r", "a result stands on its stream and is not taken"),
    ("error", "r", "a field of the register violations is set; the pin error says the same"),
])
#: Fields of the register `control`.
CONTROL = _fields([
    ("clear", "w1", "clears all counters, and nothing else: not the time, not violation_counts"),
    ("hold", "rw", "every block pauses as soon as it is between two intervals, and begins no other"),
])
#: Fields of the register `status` of a block.
BLOCK_STATUS = _fields([
    ("idle", "r", "it is between two intervals"),
    ("starved", "r", "it waits, and its next input is not complete"),
    ("blocked", "r", "it waits, since what it gave has not been taken: spikes, or the result of the sample before"),
])

#: What weights and velocities are at power-up, without contents of their memory and with them.
EMPTY = "undefined at power-up: write all of them before the first sample"
FILLED = "there at power-up, from the file in memories[].contents; a reset leaves it as it is"

#: What register accesses add to the violations of the sample stream.
REFUSED = {"refused": "register accesses that were refused"}


class Array(NamedTuple):
    """How weights lie in a region: ``((word * rows + row) << lane_shift) + lane``.

    There is the weight of fan-in row ``row`` to output channel ``word * lanes + lane``. Input ``input_channel`` under
    tap ``tap`` of the kernel (row by row; where a dense unit reads an image, under pixel ``tap``) has the row
    ``tap * tap_pitch + input_channel``. A bias has the row `bias_row`, which is None without one. All other rows, and
    channels from `channels` on, are in memory and count for nothing.
    """

    channel_words: int
    rows: int
    lanes: int
    lane_shift: int
    channels: int
    taps: int
    tap_pitch: int
    input_channels: int
    bias_row: int | None


@dataclass(frozen=True, kw_only=True)
class Region:
    """Consecutive 32-bit registers of one kind; `size` is a power of two and divides `base`.

    Attributes
    ----------
    backed : int
        Registers that are there: the first ones, or of an `array` all up to its last word but lanes that do not exist.
        The others read 0 and take nothing.
    words : int
        Registers of one value, the lowest bits first. Reading the first latches the others.
    block, unit : int
        Whose they are: None where they are the core's, or the block's.
    held : bool
        They belong to the computation: an access is only served while all blocks pause (`status.held`).
    reset : tuple of int
        Values after reset, from the first one on; None where they are undefined or no constants.
    """

    name: str
    base: int
    size: int
    access: str
    meaning: str
    backed: int
    values: Values
    reset: tuple | None = None
    fields: tuple = ()
    array: Array | None = None
    words: int = 1
    block: int | None = None
    unit: int | None = None
    held: bool = False

    @property
    def kind(self):
        """Last part of the name."""
        return self.name.rpartition(".")[2]

    @property
    def streams(self):
        """Whether accesses may follow each other before they are answered."""
        return self.array is not None


class RegisterMap:
    """All registers of a core, by word address; built from the configuration alone.

    Attributes
    ----------
    regions : dict of str to Region
    address_bits : int
    """

    def __init__(self, config):
        self.config, self.regions, self._next = config, {}, 0
        update = config.update
        self._add("identification", 1, "r", "a constant, the same for all cores", reset=(MAGIC,))
        self._add("configuration", 1, "r", "first 32 bits of the configuration hash", reset=(int(config.hash[:8], 16),))
        self._add("status", 1, "r", "what the core does", fields=STATUS)
        self._add("control", 1, "rw", "what the core is told", fields=CONTROL)
        self._add("time", 2, "r", f"cycles since reset, modulo 2**{config.hardware.time_bits}", words=2)
        kinds = violations(config) | REFUSED
        self._add("violations", 1, "rw", "what was wrong with what came from outside; clearing a field clears its "
                  "count",
                  fields=_fields([(name, "rw1c", meaning) for name, meaning in kinds.items()]))
        self._add("violation_counts", len(kinds), "r", "how often each, in the order of those fields; saturating",
                  values=Values.of(COUNT_BITS), reset=(0,) * len(kinds))
        for block in config.blocks:
            own = {"block": block.index}
            self._add(f"{block.name}.status", 1, "r", "what the block does", fields=BLOCK_STATUS, **own)
            own |= {"held": True, "reset": (0,)}
            self._add(f"{block.name}.decays", 1, "rw", "how often the learning rate has been halved",
                      values=Values.upto(update.decay_limit), **own)
            self._add(f"{block.name}.since_decay", 1, "rw", "samples trained since then",
                      values=Values.upto(max(0, update.decay_samples - 1)), **own)
        if config.hardware.counters:
            for block in config.blocks:
                for unit in [*block.units, None]:
                    names = unit_counters(config, unit) if unit else block_counters(block)
                    self._add(f"{unit.path if unit else block.name}.counters", 2 * len(names), "r",
                              "the counters of the sidecar with these addresses", words=2, block=block.index,
                              unit=unit and unit.index)
        for kind in saved_kinds(config, "lanes"):
            for unit in config.units:
                state = unit_states(config, unit, "lanes")[kind]
                if state.there:
                    self._add(f"{unit.path}.{kind}", unit.lanes, "rw", state.meaning, values=state.values,
                              block=unit.block, unit=unit.index, held=True, reset=state.start)
        for unit in config.units:
            for state in unit_states(config, unit, "matrix").values():
                if state.there:
                    self._add_matrix(unit, state)
        self.address_bits = clog2(self._next)

    def _add_matrix(self, unit, state):
        channels, pixels = unit.shape_in[2], unit.shape_in[0] * unit.shape_in[1]
        taps = unit.window.kernel**2 if unit.window.kind == "conv" else pixels
        array = Array(
            channel_words=unit.channel_words, rows=unit.fan_rows, lanes=unit.lanes, lane_shift=clog2(unit.lanes),
            channels=unit.channels, taps=taps, tap_pitch=unit.fan_address(channels) if taps > 1 else channels,
            input_channels=channels, bias_row=unit.fan_rows - 1 if unit.weights.bias else None)
        self._add(f"{unit.path}.{state.name}", unit.weight_depth << array.lane_shift, "rw", f"{state.meaning}; {EMPTY}",
                  values=state.values, backed=unit.weight_depth * unit.lanes, array=array, block=unit.block,
                  unit=unit.index, held=True)

    def _add(self, name, count, access, meaning, *, backed=None, values=None, **own):
        size = 1 << clog2(count)
        base = -(-self._next // size) * size
        self._next = base + size
        self.regions[name] = Region(name=name, base=base, size=size, access=access, meaning=meaning,
                                    backed=count if backed is None else backed,
                                    values=values or Values.of(32), **own)

    def of(self, block, unit=...):
        """Regions of the core (None), of a block and all that is in it, or of a unit of it, in the order of the map."""
        return [region for region in self.regions.values()
                if region.block == block and unit in (..., region.unit)]

    def begin(self, name, values):
        """Change the values of a region after reset."""
        self.regions[name] = replace(self.regions[name], reset=tuple(values))

    def fill(self, name):
        """Say of a region that its memory has contents at power-up."""
        region = self.regions[name]
        self.regions[name] = replace(region, meaning=region.meaning.replace(EMPTY, FILLED))

    def mask(self, name, field):
        """Address of a register, and which bits of it a field has."""
        region = self.regions[name]
        found, = (own for own in region.fields if own.name == field)
        return region.base, (1 << found.width) - 1 << found.lsb

    def check_bits(self, address, values):
        """Refuse a write to consecutive registers with bits that no field has: the core would ignore them.

        Raises
        ------
        InputError
        """
        for region in self.regions.values():
            if not region.fields or region.access == "r":  # which is refused
                continue
            known = sum((1 << field.width) - 1 << field.lsb for field in region.fields)
            for own in range(max(address, region.base), min(address + len(values), region.base + region.backed)):
                value = int(values[own - address])
                if value & ~known:
                    raise InputError(f"register {region.name} must be written with bits of {known:#x}, those of its "
                                     f"fields, not with {value:#x}")

    def weight(self, unit, row, neuron):
        """Address of one weight: a row of the weight matrix, an output channel."""
        word, lane = divmod(neuron, unit.lanes)
        place = word * unit.fan_rows + unit.fan_address(row)
        return self.regions[f"{unit.path}.weight"].base + (place << clog2(unit.lanes)) + lane

    def counters(self):
        """Address of the low word of every counter, by name."""
        found = {}
        for block in self.config.blocks if self.config.hardware.counters else ():
            for unit in [*block.units, None]:
                names = unit_counters(self.config, unit) if unit else block_counters(block)
                base = self.regions[f"{unit.path if unit else block.name}.counters"].base
                found |= {name: base + 2 * place for place, name in enumerate(names)}
        return found


class Status(enum.IntEnum, shape=2):
    """How an access ended."""

    OK = 0       #: it was carried out
    BUSY = 1     #: it belongs to the computation, and the blocks do not pause: nothing was read or written
    REFUSED = 2  #: no such register, a write where only reading is possible, a value out of range: nothing was written


def request_layout(address_bits):
    """One access.

    Fields
    ------
    address : in words
    write : whether `data` is written
    increment : the register after that of the request before, whatever `address` says
    data
    """
    return data.StructLayout({"address": address_bits, "write": 1, "increment": 1, "data": 32})


def response_layout():
    """What became of it. Fields: data (of a read that was carried out, else 0), status."""
    return data.StructLayout({"data": 32, "status": Status})
