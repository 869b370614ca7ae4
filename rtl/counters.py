"""Counters: each counts one enable, in the cycle in which it drives a port."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CounterBank"]


class CounterBank(wiring.Component):
    """Saturating counters in one memory with one adder, and one read port.

    What a counter has counted since the last visit waits in a few bits of its own. Every cycle the next counter in
    turn is visited: what waits is added to its word in memory, the sum saturated. A read takes a visit of its own, so
    that it is exact. The memory is read combinationally, which distributed RAM can; its contents at power-up do not
    matter, since a bit per counter tells whether its word was written since the last `clear`.

    Parameters
    ----------
    names : list of str
        One counter each, in the order of their indices; `golden.activity` and `golden.schedule` predict counters of the
        same names.
    amounts : dict of str to int
        Largest increment of a counter, where it is not 1.
    width : int
        Bits of a counter.

    Members
    -------
    add : In(StructLayout)
        ``add_<name>``: increment of this cycle (dots in the name become underscores).
    clear : In(1)
        Set all counters to zero.
    read, index : In
        Read a counter; at most in every other cycle, so that all others still have their turn in time.
    value : Out(width)
        The counter with all increments up to the cycle of `read`; stands three cycles later, until the next one.

    Raises
    ------
    ValueError
        If two counters have the same name.
    """

    def __init__(self, names, *, amounts, width):
        if len(set(names)) != len(names):
            raise ValueError(f"counter names must be unique, not {sorted(names)!r}")
        self.names, self.amounts, self.width = list(names), dict(amounts), width
        super().__init__({
            **{self.port(name): In(range(self.amounts.get(name, 1) + 1)) for name in self.names},
            "clear": In(1),
            "read":  In(1),
            "index": In(range(max(2, len(self.names)))),
            "value": Out(width),
        })

    @staticmethod
    def port(name):
        """Name of the increment input of a counter."""
        return "add_" + name.replace(".", "_")

    @staticmethod
    def register(name):
        """Name of the register in which a counter's increments wait."""
        return "waiting_" + name.replace(".", "_")

    def elaborate(self, platform):
        m = Module()
        count = len(self.names)
        m.submodules.sums = sums = memory.Memory(shape=unsigned(self.width), depth=max(2, count), init=[])
        stored, write = sums.read_port(domain="comb"), sums.write_port()

        turn, visit, reading = Signal(range(max(2, count))), Signal(range(max(2, count))), Signal()
        with m.If(~self.read):
            m.d.sync += turn.eq(Mux(turn == count - 1, 0, turn + 1))
        m.d.sync += [visit.eq(Mux(self.read, self.index, turn)), reading.eq(self.read)]

        # A visit takes two cycles: what waits and what is stored are taken, then added.
        fresh, written = Const(0), Signal(count)
        place, adding, wanted = Signal.like(visit), Signal(), Signal()
        total_width = self.width + 1
        for number, name in enumerate(self.names):
            # A turn comes after twice as many cycles as there are counters, if half of them read.
            most = self.amounts.get(name, 1) * (2 * count + 1)
            own = Signal(range(most + 1), name=self.register(name))
            visited = Signal(name=f"visited_{number}")
            m.d.comb += visited.eq(visit == number)
            m.d.sync += own.eq(Mux(visited, 0, own) + getattr(self, self.port(name)))
            with m.If(adding & (place == number)):
                m.d.sync += written[number].eq(1)
            with m.If(self.clear):
                m.d.sync += own.eq(0)
            fresh = fresh | Mux(visited, own, 0)
            total_width = max(total_width, len(own) + 1)
        with m.If(self.clear):
            m.d.sync += written.eq(0)

        taken, base, total = Signal.like(fresh), Signal(self.width), Signal(total_width)
        m.d.sync += [
            taken.eq(fresh), place.eq(visit), adding.eq(~self.clear), wanted.eq(reading),
            # A sum that is just being written is taken from there.
            base.eq(Mux(adding & (place == visit), write.data,
                        Mux(written.bit_select(visit, 1), stored.data, 0))),
        ]
        m.d.comb += [
            stored.addr.eq(visit), total.eq(base + taken),
            write.en.eq(adding), write.addr.eq(place),
            write.data.eq(Mux(total[self.width:].any(), Const(-1, self.width), total)),
        ]
        with m.If(wanted):
            m.d.sync += self.value.eq(write.data)
        return m
