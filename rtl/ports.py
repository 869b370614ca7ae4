"""Who uses the memories of a unit: one declaration gives the choice of the address, the enable, and the counter."""

from typing import NamedTuple

from amaranth.hdl import Cat, Mux, Value

from ..golden.counters import unit_amounts, unit_counters
from ..golden.states import unit_states
from .arithmetic import register
from .counters import CounterBank
from .store import Store

__all__ = ["Ports", "Use"]


class Use(NamedTuple):
    """One who reads a memory.

    Attributes
    ----------
    phase : str
        Pass in which its reads are counted; empty if they are not.
    en : Value
    address : Value
    when : Value
        Whether the address is its own, where that is known before `en`; None for `en`.
    """

    phase: str
    en: Value
    address: Value
    when: Value | None = None


class Ports:
    """The memories that `golden.states` gives a unit, their readers, and what its counters count.

    Parameters
    ----------
    m : Module
        Of the unit.
    config : Config
    unit : Unit

    Attributes
    ----------
    counts : dict of str to list of Value
        Counter, without the path of the unit -> what it adds; of several, one at a time is not zero.
    """

    def __init__(self, m, config, unit):
        self.m, self.config, self.unit, self.counts = m, config, unit, {}
        self._states = unit_states(config, unit)

    def store(self, name, *, initial=False):
        """The memory of a state, as a submodule ``<name>_store``; `initial` if it may have contents at power-up."""
        memory = self._states[name].memory
        store = Store(width=memory.width, depth=memory.depth, granule=memory.granule, style=memory.style,
                      contents=f"{self.unit.path}.{name}" if initial else None)
        self.m.submodules[f"{name}_store"] = store
        return store

    def count(self, name, amount):
        """Have a counter add `amount` in every cycle, beside what it adds already."""
        self.counts.setdefault(name, []).append(amount)

    def choose(self, name, *uses):
        """Enable and address of a read port of the state `name`: of the first of `uses` whose turn it is."""
        address = uses[-1].address
        for use in reversed(uses[:-1]):
            address = Mux(use.en if use.when is None else use.when, use.address, address)
        for use in uses:
            if use.phase:
                self.count(f"{name}.read.{use.phase}", use.en)
        return Cat(use.en for use in uses).any(), address

    def read(self, name, store, *uses, first=0, ahead=True):
        """Give the read port of a memory to the first of `uses` whose turn it is.

        Parameters
        ----------
        first : Value
            What is added to every address.
        ahead : bool
            Whether that is done a cycle before, since the address has a long way to the memory.
        """
        en, address = self.choose(name, *uses)
        address = (first + address)[:len(store.read_address)]
        if ahead:
            en = register(self.m, en, name=f"{name}_read_en")
            address = register(self.m, address, name=f"{name}_read_address", reset=False)
        self.m.d.comb += [store.read_en.eq(en), store.read_address.eq(address)]

    def bank(self, clear):
        """The counters of the unit, as a submodule; None without any.

        Raises
        ------
        AssertionError
            If one has nothing to count, or something is counted that has no counter.
        """
        m, unit, path = self.m, self.unit, f"{self.unit.path}."
        names = unit_counters(self.config, unit)
        if differ := set(names) ^ {path + name for name in self.counts}:
            raise AssertionError(f"counters that are not counted, or have no name: {sorted(differ)}")
        if not self.config.hardware.counters:
            return None
        m.submodules.counters = bank = CounterBank(
            names, amounts=unit_amounts(self.config, unit), width=self.config.hardware.counter_bits)
        m.d.comb += bank.clear.eq(clear)
        for name, amounts in self.counts.items():
            total = amounts[0]
            for amount in amounts[1:]:
                total = total | amount
            m.d.comb += getattr(bank, bank.port(path + name)).eq(total)
        return bank
