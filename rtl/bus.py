"""The port that serves the registers of a core."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..golden.units import clog2
from .arithmetic import register
from .counters import CounterBank
from .registers import MAGIC, STATUS, RegisterMap, request_layout
from .violations import COUNT_BITS, violations

__all__ = ["RegisterPort"]

#: Cycles from the strobe of an access to its data: block, unit, memory, output register, the choice of a lane, border
#: of the block, the answers of a block, the answer. Counters take longer.
ACCESS_CYCLES = 10


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
    violations, violation_counts, violation_clear : flags, counts and clears of a `ViolationBank`.
    """

    def __init__(self, config, blocks):
        self.config, self.map, self.blocks = config, RegisterMap(config), blocks
        kinds = violations(config)
        super().__init__({
            "request":  In(stream.Signature(request_layout(self.map.address_bits))),
            "response": Out(stream.Signature(32)),
            "hold":     Out(1),
            "quiet":    In(1),
            "violations":   In(len(kinds)),
            "violation_counts": In(data.ArrayLayout(COUNT_BITS, len(kinds))),
            "violation_clear": Out(len(kinds)),
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
            # Idle -- a request is taken in and kept while its access lasts; what is there without one may be unknown.
            with m.State("Idle"):
                m.d.comb += self.request.ready.eq(1)
                with m.If(self.request.valid):
                    m.d.sync += [
                        address.eq(self.request.payload.address), write.eq(self.request.payload.write),
                        value.eq(self.request.payload.data),
                    ]
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
            (hits["status"], Cat({"idle": quiet, "error": self.violations.any()}[field.name] for field in STATUS)),
            (hits["violations"], self.violations),
            (hits["violation_counts"], self.violation_counts[offset(regions["violation_counts"])]),
            (hits["time"], Mux(address[0], high, self.now[:32])),
        ], [[] for _ in self.blocks]
        with m.If(hits["time"] & ends & ~address[0]):
            m.d.sync += high.eq(self.now[32:])
        m.d.sync += self.violation_clear.eq(Mux(hits["violations"] & access & write, value[:len(self.violations)], 0))
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
