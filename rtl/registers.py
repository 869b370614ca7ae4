"""Register map, and the port that serves it."""

from dataclasses import dataclass

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..golden.counters import block_counters, unit_counters
from ..golden.units import clog2

__all__ = ["MAGIC", "Region", "RegisterMap", "RegisterPort", "request_layout"]

#: Value of the register `identification`.
MAGIC = 0x53504C31


@dataclass(frozen=True, kw_only=True)
class Region:
    """Consecutive 32-bit registers of one kind; `size` is a power of two and divides `base`."""

    name: str
    base: int
    size: int
    access: str
    meaning: str
    block: int = 0
    unit: int = 0


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
        self._add("status", 1, "r", "bit 0: no block computes in this cycle; bit 1: a sample had first or last in a "
                  "wrong place (until reset)")
        self._add("control", 1, "w", "writing 1 clears all counters")
        self._add("time", 2, "r", "cycles since reset, low word first; reading the low word latches the high one")
        for block in config.blocks:
            self._add(f"{block.name}.decays", 1, "rw", "how often the learning rate has been halved, 0 .. "
                      f"{config.update.decay_limit}", block=block.index)
            self._add(f"{block.name}.since_decay", 1, "rw", "trained samples since then", block=block.index)
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
                          block=unit.block, unit=unit.index)
        for unit in config.units:
            if unit.dropout:
                self._add(f"{unit.path}.dropout", unit.lanes, "rw", "state of the LFSR of each lane that chooses the "
                          "dropped spikes, 1 .. 65535", block=unit.block, unit=unit.index)
        for unit in weighted:
            for kind in ["weight"] + (["velocity"] if unit.velocity_width else []):
                self._add(f"{unit.path}.{kind}", unit.weight_depth << clog2(unit.lanes), "rw",
                          f"two's complement; ((word * {unit.fan_rows} + row) << {clog2(unit.lanes)}) + lane holds the "
                          f"{kind} of fan-in row to output channel word * {unit.lanes} + lane; " + _rows(unit)
                          + "; undefined at power-up: write all of them before the first sample",
                          block=unit.block, unit=unit.index)
        self.address_bits = clog2(self._next)

    def _add(self, name, count, access, meaning, *, block=0, unit=0):
        size = 1 << clog2(count)
        base = -(-self._next // size) * size
        self._next = base + size
        self.regions[name] = Region(name=name, base=base, size=size, access=access, meaning=meaning, block=block,
                                    unit=unit)

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

    Registers answer after four cycles. Weights, LFSR and rate state belong to the computation: such an access asks
    all blocks to pause between two intervals (`hold`) and waits until they do. If nobody takes the results, that may
    be never.

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
        perform, collect = Signal(), Signal()
        settled = Signal()

        with m.FSM():
            # Idle -- the address is kept while the access lasts.
            with m.State("Idle"):
                m.d.comb += self.request.ready.eq(1)
                with m.If(self.request.valid):
                    m.d.sync += [
                        address.eq(self.request.payload.address), write.eq(self.request.payload.write),
                        value.eq(self.request.payload.data),
                    ]
                    m.next = "Perform"

            # Perform -- at once, or as soon as no block computes; `hold` keeps them from beginning.
            with m.State("Perform"):
                m.d.comb += self.hold.eq(~settled)
                with m.If(settled | self.quiet):
                    m.d.comb += perform.eq(1)
                    m.next = "Collect"

            # Collect -- memories and counter banks answer one cycle later.
            with m.State("Collect"):
                m.d.comb += [self.hold.eq(~settled), collect.eq(1)]
                m.next = "Respond"

            # Respond -- until the answer is taken.
            with m.State("Respond"):
                m.d.comb += self.response.valid.eq(1)
                with m.If(self.response.ready):
                    m.next = "Idle"
        m.d.comb += self.response.payload.eq(answer)

        def at(region):
            bits = clog2(region.size)
            return address[bits:] == region.base >> bits

        def offset(region):
            return address[:clog2(region.size)]

        with m.If(perform):
            m.d.sync += answer.eq(0)
        m.d.comb += settled.eq(1)
        everywhere = Signal()
        with m.If(at(regions["identification"])), m.If(collect & ~write):
            m.d.sync += answer.eq(MAGIC)
        with m.If(at(regions["configuration"])), m.If(collect & ~write):
            m.d.sync += answer.eq(int(config.hash[:8], 16))
        with m.If(at(regions["status"])), m.If(collect & ~write):
            m.d.sync += answer.eq(self.quiet | self.fault << 1)
        with m.If(at(regions["control"])):
            m.d.comb += everywhere.eq(perform & write & value[0])
        with m.If(at(regions["time"])), m.If(collect & ~write):
            with m.If(address[0]):
                m.d.sync += answer.eq(high)
            with m.Else():
                m.d.sync += [answer.eq(self.now), high.eq(self.now[32:])]
        for block in self.blocks:
            name = block.block.name
            m.d.comb += [
                block.hold.eq(self.hold), block.counter_clear.eq(everywhere), block.access_data.eq(value),
                block.access_write.eq(write), block.counter_index.eq(address >> 1),
            ]
            for bit, register in enumerate(("decays", "since_decay")):
                with m.If(at(regions[f"{name}.{register}"])):
                    m.d.comb += [settled.eq(0), block.rate_load[bit].eq(perform & write)]
                    with m.If(collect & ~write):
                        m.d.sync += answer.eq(getattr(block, register))
        for region in regions.values():
            block = self.blocks[region.block]
            if region.name.endswith(".counters"):
                with m.If(at(region)):
                    m.d.comb += [
                        block.select.eq(region.unit), block.counter_index.eq(offset(region) >> 1),
                        block.counter_read.eq(perform),
                    ]
                    with m.If(collect & ~write):
                        m.d.sync += answer.eq(block.counter_value)
                        with m.If(address[0]):
                            m.d.sync += answer.eq(high)
                        with m.Else():
                            m.d.sync += high.eq(block.counter_value[32:])
            elif region.name.endswith((".lfsr", ".dropout")):
                kind = region.name.rsplit(".", 1)[1]
                with m.If(at(region)):
                    m.d.comb += [
                        settled.eq(0), block.select.eq(region.unit), block.access_lane.eq(offset(region)),
                        getattr(block, f"{kind}_load").eq(perform & write),
                    ]
                    with m.If(collect & ~write):
                        m.d.sync += answer.eq(getattr(block, f"{kind}_read"))
            elif region.name.endswith((".weight", ".velocity")):
                lane_bits = clog2(block.block.units[region.unit].lanes)
                place = offset(region)
                with m.If(at(region)):
                    m.d.comb += [
                        settled.eq(0), block.select.eq(region.unit), block.access_en.eq(perform),
                        block.access_velocity.eq(region.name.endswith(".velocity")),
                        block.access_address.eq(place[lane_bits:] if len(place) > lane_bits else 0),
                        block.access_lane.eq(place[:lane_bits]),
                    ]
                    with m.If(collect & ~write):
                        m.d.sync += answer.eq(block.access_read)
        return m
