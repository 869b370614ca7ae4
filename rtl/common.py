"""The registers of a core that belong to no block: what it is, what it does, and what it is told."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .bus import joined, node_signature
from .nodes import Access
from .registers import CONTROL, STATUS
from .violations import ViolationBank

__all__ = ["CommonRegisters"]


class CommonRegisters(wiring.Component):
    """A node of the register bus; it answers a cycle after it was asked.

    Parameters
    ----------
    registers : RegisterMap

    Members
    -------
    bus : In(node_signature(...))
    status : In(StructLayout)
        A bit for each of `STATUS` but `error`.
    found : In
        A bit for each field of the register `violations`, high for one cycle each time.
    now : In(config.hardware.time_bits)
        Cycles since reset; begins anew after its highest value.
    hold, clear : Out(1)
        The fields of `control`.
    error : Out(1)
        A field of `violations` is set.
    """

    def __init__(self, registers):
        self.regions = registers.of(None)
        self.size = len(registers.regions["violations"].fields)
        super().__init__({
            "bus":   In(node_signature(self.regions)),
            "status": In(data.StructLayout({field.name: 1 for field in STATUS if field.name != "error"})),
            "found": In(self.size),
            "now":   In(registers.config.hardware.time_bits),
            "hold":  Out(1),
            "clear": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        bus, access = self.bus, Access.of(self.bus, self.regions)
        m.submodules.violations = bank = ViolationBank(self.size)
        m.d.comb += [
            bank.found.eq(self.found), bank.clear.eq(Mux(access.written("violations"), bus.data[:self.size], 0)),
            self.error.eq(bank.error),
        ]

        places = {field.name: field.lsb for field in CONTROL}
        m.d.sync += self.clear.eq(access.written("control") & bus.data[places["clear"]])
        with m.If(access.written("control")):
            m.d.sync += self.hold.eq(bus.data[places["hold"]])

        high, word = 0, access.place("time")
        if len(self.now) > 32:
            high = Signal(len(self.now) - 32, name="high")
            with m.If(access.asked("time") & ~word):
                m.d.sync += high.eq(self.now[32:])
        status = {"error": bank.error} | {name: self.status[name] for name, _ in self.status.shape()}
        values = {
            "status": Cat(status[field.name] for field in STATUS), "control": Cat(Const(0, 1), self.hold),
            "violations": bank.flags,
            "violation_counts": bank.counts[access.place("violation_counts")],
            "time": Mux(word, high, self.now[:32]),
        }
        for region in self.regions:
            if region.name not in values:  # a constant
                values[region.name] = Const(region.reset[0], 32)
        m.d.sync += [
            bus.ack.eq(bus.valid),
            bus.answer.eq(Mux(bus.valid, joined(
                [Mux(access.select[name], value, 0) for name, value in values.items()]), 0)),
        ]
        return m
