"""Counters: each counts one enable of a port, or what becomes it in a register."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..golden.units import clog2
from .arithmetic import register
from .promise import promise, simulated

__all__ = ["CounterBank"]

#: Cycles between two visits of a counter at least: read, add, write.
VISIT = 3


class CounterBank(wiring.Component):
    """Saturating counters in one memory with one adder, visited in turn.

    What a counter has counted since its last turn waits in a few bits of its own; where it counts by ones, they lie bit
    by bit beside those of the others, so that all count at once in a few gates (and few operations of a simulator).
    Every cycle the next counter is visited: in three cycles, what waits and its word in memory are taken, added, and
    the sum is saturated and written.
    The memory is read combinationally, which distributed RAM can; its contents at power-up do not matter, since a bit
    per counter tells whether its word was written since the last `clear`.

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
        Set all counters to zero; increments of the same cycle are lost.
    read, index : In
        Read a counter; `index` stands until the answer.
    value : Out(width)
        The counter as its next turn finds it, with all increments before the cycle of `read` at least; stands until
        that of the next `read`.
    done : Out(1)
        The first cycle in which it stands, `latency` cycles after `read` at most.

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
            "done":  Out(1),
        })

    @staticmethod
    def period(names):
        """Cycles from one turn of a counter to its next in a bank of counters `names`."""
        return max(VISIT, len(names))

    @staticmethod
    def latency(names):
        """Cycles from `read` to the value in a bank of counters `names`."""
        return CounterBank.period(names) + VISIT

    @staticmethod
    def port(name):
        """Name of the increment input of a counter."""
        return "add_" + name.replace(".", "_")

    def elaborate(self, platform):
        m = Module()
        count, period = len(self.names), self.period(self.names)
        m.submodules.sums = sums = memory.Memory(shape=unsigned(self.width), depth=period, init=[])
        stored, write = sums.read_port(domain="comb"), sums.write_port()
        # Reset clears, too: what waits, and what is known to be written, need none of their own.
        clear = Signal(init=1, name="clearing")
        m.d.sync += clear.eq(self.clear)

        # Whose turn it is, as a number and as one bit of a ring.
        turn, ring = Signal(range(period)), Signal(period, init=1)
        m.d.sync += [turn.eq(Mux(turn == period - 1, 0, turn + 1)), ring.eq(ring.rotate_left(1))]
        asked, found = Signal(), Signal()
        m.d.comb += found.eq(asked & (turn == self.index))
        with m.If(self.read):
            m.d.sync += asked.eq(1)
        with m.Elif(found):
            m.d.sync += asked.eq(0)

        if simulated(platform):
            promise(m, platform, ~asked | (self.index == register(m, self.index, name="index_before")),
                    "the index of a counter stands until its answer")

        # First cycle: what waits and what is stored.
        wide = {name: amount for name, amount in self.amounts.items() if amount > 1}
        ones = register(m, Cat(0 if name in wide else getattr(self, self.port(name)) for name in self.names),
                        name="counted")
        mine, fresh = ring[:count], []
        for place in range(clog2(period + 1)):
            own = Signal(count, name=f"waiting_{place}", reset_less=True)
            held, carry = (Signal(count, name=f"{name}_{place}") for name in ("held", "carry"))
            m.d.comb += [held.eq(own & ~mine), carry.eq(held & ones)]
            m.d.sync += own.eq(held ^ ones)
            with m.If(clear):
                m.d.sync += own.eq(0)
            fresh.append((own & mine).any())
            ones = carry
        fresh = Cat(fresh)
        for number, name in enumerate(self.names):
            if name in wide:
                own = Signal(range(wide[name] * period + 1), name=f"waiting_{self.port(name)}", reset_less=True)
                amount = register(m, getattr(self, self.port(name)), name=f"counted_{number}")
                m.d.sync += own.eq(Mux(ring[number], 0, own) + amount)
                with m.If(clear):
                    m.d.sync += own.eq(0)
                fresh = fresh | Mux(ring[number], own, 0)
        written = Signal(count, reset_less=True)
        taken, base = Signal.like(fresh), Signal(self.width)
        m.d.comb += stored.addr.eq(turn)
        m.d.sync += [taken.eq(fresh), base.eq(Mux((written & mine).any(), stored.data, 0))]

        # Second cycle: the sum. Third: saturated, it is written.
        total = Signal(max(self.width, len(taken)) + 1)
        m.d.sync += total.eq(base + taken)
        adding, writing = (Signal.like(mine, name=name, reset_less=True) for name in ("adding", "writing"))
        add_turn, write_turn = (Signal.like(turn, name=name, reset_less=True) for name in ("add_turn", "write_turn"))
        adds, writes, wanted, answers = (Signal(name=name) for name in ("adds", "writes", "wanted", "answers"))
        m.d.sync += [
            adding.eq(mine), add_turn.eq(turn), adds.eq(1), wanted.eq(found),
            writing.eq(adding), write_turn.eq(add_turn), writes.eq(adds), answers.eq(wanted),
            written.eq(written | writing),
        ]
        with m.If(clear):
            m.d.sync += [adding.eq(0), adds.eq(0), writing.eq(0), writes.eq(0), written.eq(0)]
        m.d.comb += [
            write.en.eq(writes), write.addr.eq(write_turn),
            write.data.eq(Mux(total[self.width:].any(), Const(-1, self.width), total)),
        ]
        m.d.sync += self.done.eq(answers)
        with m.If(answers):
            m.d.sync += self.value.eq(write.data)
        return m
