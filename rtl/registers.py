"""Register map, and the port that serves it."""

from dataclasses import dataclass
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..golden.counters import block_counters, unit_counters
from ..golden.units import clog2
from .arithmetic import register
from .counters import CounterBank

__all__ = ["MAGIC", "Region", "RegisterMap", "RegisterPort", "request_layout"]

#: Value of the register `identification`.
MAGIC = 0x53504C31
#: Cycles from the strobe of an access to its data: block, unit, memory, output register, the choice of a lane, border
#: of the block, the answers of a block, the answer. Counters take longer.
ACCESS_CYCLES = 10


@dataclass(frozen=True, kw_only=True)
class Region:
    """Consecutive 32-bit registers of one kind; `size` is a power of two and divides `base`.

    Those that are `held` belong to the computation: an access waits until no block computes.
    """

    name: str
    base: int
    size: int
    access: str
    meaning: str
    block: int = 0
    unit: int = 0
    held: bool = False


class RegisterMap:
    """All registers of a core, by word address; built from the configuration alone.

    Attributes
    ----------
    regions : dict of str to Region
    address_bits : int
    """

    def __init__(self, config):
        self.config, self.regions, self._next = config, {}, 0
        weighted = [unit for unit in config.units if unit.stored]
        self._add("identification", 1, "r", f"{MAGIC:#010x}")
        self._add("configuration", 1, "r", "first 32 bits of the configuration hash")
        self._add("status", 1, "r", "bit 0: no block computes; bit 1: a sample had first or last in a "
                  "wrong place (until reset)")
        self._add("control", 1, "w", "writing 1 clears all counters")
        self._add("time", 2, "r", "cycles since reset, low word first; reading the low word latches the high one")
        for block in config.blocks:
            self._add(f"{block.name}.decays", 1, "rw", "how often the learning rate has been halved, 0 .. "
                      f"{config.update.decay_limit}", block=block.index, held=True)
            self._add(f"{block.name}.since_decay", 1, "rw", "trained samples since then", block=block.index, held=True)
        if config.hardware.counters:
            for block in config.blocks:
                for place, unit in enumerate([*block.units, None]):
                    names = unit_counters(config, unit) if unit else block_counters(block)
                    self._add(f"{unit.path if unit else block.name}.counters", 2 * len(names), "r",
                              "two words each, low first; reading the low word latches the high one",
                              block=block.index, unit=place)
        if config.update.rounding == "stochastic":
            for unit in weighted:
                self._add(f"{unit.path}.lfsr", unit.lanes, "rw", "LFSR state of each lane, 1 .. 65535",
                          block=unit.block, unit=unit.index, held=True)
        for unit in config.units:
            if unit.dropout:
                self._add(f"{unit.path}.dropout", unit.lanes, "rw", "state of the LFSR of each lane that chooses the "
                          "dropped spikes, 1 .. 65535", block=unit.block, unit=unit.index, held=True)
        for unit in weighted:
            for kind in ["weight"] + (["velocity"] if unit.velocity_width else []):
                self._add(f"{unit.path}.{kind}", unit.weight_depth << clog2(unit.lanes), "rw",
                          f"two's complement; ((word * {unit.fan_rows} + row) << {clog2(unit.lanes)}) + lane holds the "
                          f"{kind} of fan-in row to output channel word * {unit.lanes} + lane; " + _rows(unit)
                          + "; undefined at power-up: write all of them before the first sample",
                          block=unit.block, unit=unit.index, held=True)
        self.address_bits = clog2(self._next)

    def _add(self, name, count, access, meaning, *, block=0, unit=0, held=False):
        size = 1 << clog2(count)
        base = -(-self._next // size) * size
        self._next = base + size
        self.regions[name] = Region(name=name, base=base, size=size, access=access, meaning=meaning, block=block,
                                    unit=unit, held=held)

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


def _rows(unit):
    channels = unit.shape_in[2]
    pitch = unit.fan_address(channels) if unit.fan_in > channels else 0
    if not pitch or pitch == channels:
        return "rows in the order kernel row, kernel column, channel" if unit.kind == "conv" else "rows are inputs"
    return f"row {'tap' if unit.kind == 'conv' else 'pixel'} * {pitch} + channel, the others are not used"


def request_layout(address_bits):
    """One access. Fields: address (in words), write, data."""
    return data.StructLayout({"address": address_bits, "write": 1, "data": 32})


class RegisterPort(wiring.Component):
    """Serves one register access at a time, in order: each request has one response.

    Registers answer after fifteen cycles; a counter waits for its turn (`CounterBank`). Weights, LFSR and rate state
    belong to the computation: such an access asks all blocks to pause between two intervals (`hold`) and waits until
    they do. If nobody takes the results, that may be never.

    Members
    -------
    request : In(stream.Signature(request_layout))
    response : Out(stream.Signature(32))
        Data of a read; zero after a write and at addresses without a register.
    hold : Out(1), quiet : In(1)
    now : In(64)
        Cycles since reset.
    """

    def __init__(self, config, blocks):
        self.config, self.map, self.blocks = config, RegisterMap(config), blocks
        super().__init__({
            "request":  In(stream.Signature(request_layout(self.map.address_bits))),
            "response": Out(stream.Signature(32)),
            "hold":     Out(1),
            "quiet":    In(1),
            "fault":    In(1),
            "now":      In(64),
        })

    def elaborate(self, platform):
        m = Module()
        config, regions = self.config, self.map.regions
        address, write, value = Signal(self.map.address_bits), Signal(), Signal(32)
        answer, high = Signal(32), Signal(32)
        access, ends, collect, held = Signal(), Signal(), Signal(), Signal()
        names = [own for block in self.blocks for own in (block.names, *(core.names for core in block.units))]
        turns = max(ACCESS_CYCLES, *(4 + CounterBank.latency(own) for own in names))
        wait, turning = Signal(range(turns)), Signal()
        quiet = register(m, self.quiet, name="at_rest")

        # Which register is meant, known one cycle behind the address.
        def hit(region):
            bits = clog2(region.size)
            found = address[bits:] == region.base >> bits
            return register(m, found, name="at_" + region.name.replace(".", "_"))

        def offset(region):
            return address[:clog2(region.size)]

        hits = {name: hit(region) for name, region in regions.items()}
        m.d.sync += turning.eq(Cat(hits[name] for name in regions if name.endswith(".counters")).any())
        m.d.comb += held.eq(Cat(hits[name] for name, region in regions.items() if region.held).any())

        with m.FSM():
            # Idle -- whatever is offered is taken in; it is kept while an access lasts.
            with m.State("Idle"):
                m.d.comb += self.request.ready.eq(1)
                m.d.sync += [
                    address.eq(self.request.payload.address), write.eq(self.request.payload.write),
                    value.eq(self.request.payload.data),
                ]
                with m.If(self.request.valid):
                    m.next = "Decode"

            with m.State("Decode"):
                m.next = "Hold"

            # Hold -- no block begins any more.
            with m.State("Hold"):
                m.d.sync += self.hold.eq(held)
                m.next = "Settle"

            # Settle -- they hear of it; whether they are at rest is known a cycle late.
            with m.State("Settle"):
                m.next = "Perform"

            # Perform -- at once, or as soon as no block computes.
            with m.State("Perform"), m.If(~held | quiet):
                m.d.sync += [access.eq(1), wait.eq(0)]
                m.next = "Access"

            # Access -- the strobe in the first cycle; memories and counter banks answer in the last.
            with m.State("Access"):
                m.d.comb += ends.eq(wait == Mux(turning, turns, ACCESS_CYCLES) - 2)
                m.d.sync += [access.eq(0), wait.eq(wait + 1), collect.eq(ends)]
                with m.If(collect):
                    m.d.sync += self.hold.eq(0)
                    m.next = "Respond"

            # Respond -- until the answer is taken.
            with m.State("Respond"):
                m.d.comb += self.response.valid.eq(1)
                with m.If(self.response.ready):
                    m.next = "Idle"
        m.d.comb += self.response.payload.eq(answer)

        # At most one register is meant, so what they answer is joined bit by bit, of every block first.
        common, answers = [
            (hits["identification"], Const(MAGIC)),
            (hits["configuration"], Const(int(config.hash[:8], 16))),
            (hits["status"], Cat(quiet, self.fault)),
            (hits["time"], Mux(address[0], high, self.now[:32])),
        ], [[] for _ in self.blocks]
        with m.If(hits["time"] & ends & ~address[0]):
            m.d.sync += high.eq(self.now[32:])
        clear = Signal()
        m.d.sync += clear.eq(hits["control"] & access & write & value[0])
        for block, own_answers in zip(self.blocks, answers):
            name = block.block.name
            m.d.comb += [
                block.hold.eq(self.hold), block.counter_clear.eq(clear), block.access_data.eq(value),
                block.access_write.eq(write),
            ]
            for bit, field in enumerate(("decays", "since_decay")):
                own = hits[f"{name}.{field}"]
                m.d.comb += block.rate_load[bit].eq(own & access & write)
                own_answers.append((own, getattr(block, field)))
        for region in regions.values():
            block, own, place = self.blocks[region.block], hits[region.name], offset(region)
            own_answers = answers[region.block]
            kind = region.name.rsplit(".", 1)[-1]
            if kind == "counters":
                with m.If(own):
                    m.d.sync += [block.select.eq(region.unit), block.counter_index.eq(place >> 1)]
                    m.d.comb += block.counter_read.eq(access)
                    with m.If(collect & ~address[0]):
                        m.d.sync += high.eq(block.counter_value[32:])
                own_answers.append((own, Mux(address[0], high, block.counter_value[:32])))
            elif kind in ("lfsr", "dropout"):
                with m.If(own):
                    m.d.sync += [block.select.eq(region.unit), block.access_lane.eq(place)]
                    m.d.comb += getattr(block, f"{kind}_load").eq(access & write)
                own_answers.append((own, getattr(block, f"{kind}_read")))
            elif kind in ("weight", "velocity"):
                lane_bits = clog2(block.block.units[region.unit].lanes)
                with m.If(own):
                    m.d.sync += [
                        block.select.eq(region.unit), block.access_velocity.eq(kind == "velocity"),
                        block.access_address.eq(place[lane_bits:] if len(place) > lane_bits else 0),
                        block.access_lane.eq(place[:lane_bits]),
                    ]
                    m.d.comb += block.access_en.eq(access)
                own_answers.append((own, block.access_read))
        parts = []
        for place, group in enumerate([common, *answers]):
            joined = Const(0, 32)
            for own, found in group:
                joined = joined | Mux(own & ~write, found.as_unsigned() if found.shape().signed else found, 0)
            parts.append(register(m, joined, name=f"answers_{place}"))
        with m.If(collect):
            m.d.sync += answer.eq(reduce(or_, parts))
        return m
