"""Counters: each counts one enable, in the cycle in which it drives a port."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CounterBank"]


class CounterBank(wiring.Component):
    """Saturating counters with one read port; `value` stands one cycle after `index`.

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
    index : In
        Which counter to read.
    value : Out(width)

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
            "index": In(range(max(2, len(self.names)))),
            "value": Out(width),
        })

    @staticmethod
    def port(name):
        """Name of the increment input of a counter."""
        return "add_" + name.replace(".", "_")

    def register(self, name):
        """Name of the register of a counter."""
        return "count_" + name.replace(".", "_")

    def elaborate(self, platform):
        m = Module()
        counts = []
        for place, name in enumerate(self.names):
            count = Signal(self.width, name=self.register(name))
            total = Signal(max(self.width, self.amounts.get(name, 1).bit_length()) + 1, name=f"total_{place}")
            m.d.comb += total.eq(count + getattr(self, self.port(name)))
            m.d.sync += count.eq(Mux(total[self.width:].any(), ~0, total))
            with m.If(self.clear):
                m.d.sync += count.eq(0)
            counts.append(count)
        m.d.sync += self.value.eq(Array(counts)[self.index])
        return m
