"""Who uses the memories of a unit: one declaration gives the choice of the address, the enable, and the counter."""

from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import Cat, Mux, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from ..golden.counters import unit_amounts, unit_counters
from ..golden.states import unit_states
from .arithmetic import register
from .counters import CounterBank
from .promise import at_most_one, promise
from .store import Store, memory_port

__all__ = ["Ports", "Use", "counted", "feed", "state_port"]


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


def state_port(config, unit, name):
    """The `memory_port` of the memory of a state, as a member of what uses it."""
    memory = unit_states(config, unit)[name].memory
    return Out(memory_port(width=memory.width, depth=memory.depth, granule=memory.granule))


def counted(config, unit, *names):
    """A member that says which accesses of some states there are in a cycle: a flag each, ``name.operation.phase``."""
    states = unit_states(config, unit)
    return Out(data.StructLayout({f"{name}.{access}": 1 for name in names for access in states[name].accesses}))


def feed(m, target, source, *names):
    """Let inputs of `target` follow the members of the same `names` of `source`."""
    m.d.comb += [getattr(target, name).eq(getattr(source, name)) for name in names]


class Ports:
    """The memories that `golden.states` gives a unit, their readers, and what its counters count.

    Parameters
    ----------
    m : Module
        Of the unit, or of a part of it that uses memories.
    platform
        What `elaborate` was given.
    config : Config
    unit : Unit

    Attributes
    ----------
    counts : dict of str to list of Value
        Counter, without the path of the unit -> what it adds; of several, one at a time is not zero.
    """

    def __init__(self, m, platform, config, unit):
        self.m, self.platform, self.config, self.unit, self.counts = m, platform, config, unit, {}
        self._states = unit_states(config, unit)

    def check(self, name, layout):
        """Whether a word of a state is what the RTL takes it for.

        Raises
        ------
        AssertionError
            If its declaration and `layout` differ in size.
        """
        memory = self._states[name].memory
        if layout.size != memory.width:
            raise AssertionError(
                f"a word of {memory.path} has {memory.width} bits as declared, and {layout.size} as used")

    def store(self, name, port, layout, *, initial=False):
        """Make the memory of a state, as the submodule ``<name>_store``, for the one who uses it.

        Parameters
        ----------
        port : interface object
            Its `state_port`.
        layout : Layout
            How that takes a word apart; see `check`.
        initial : bool
            Whether it may have contents at power-up.
        """
        self.check(name, layout)
        memory = self._states[name].memory
        store = Store(width=memory.width, depth=memory.depth, granule=memory.granule, style=memory.style,
                      contents=f"{self.unit.path}.{name}" if initial else None)
        self.m.submodules[f"{name}_store"] = store
        wiring.connect(self.m, port, store)

    def count(self, name, amount):
        """Have a counter add `amount` in every cycle, beside what it adds already."""
        self.counts.setdefault(name, []).append(amount)

    def take(self, flags):
        """Count what the member `counted` of a part says."""
        for name, _ in flags.shape():
            self.count(name, flags[name])

    def tell(self, flags):
        """Drive the member `counted` of a part with all that was counted here.

        Raises
        ------
        AssertionError
            As `bank`.
        """
        self._same({name for name, _ in flags.shape()}, set(self.counts))
        self.m.d.comb += [flags[name].eq(amount) for name, amount in self._amounts()]

    def choose(self, name, *uses):
        """Enable and address of a read port of the state `name`: of the first of `uses` whose turn it is."""
        address = uses[-1].address
        for use in reversed(uses[:-1]):
            address = Mux(use.en if use.when is None else use.when, use.address, address)
        for use in uses:
            if use.phase:
                self.count(f"{name}.read.{use.phase}", use.en)
        promise(self.m, self.platform, at_most_one(use.en for use in uses), f"one at a time reads {name}")
        return Cat(use.en for use in uses).any(), address

    def read(self, name, port, *uses, first=0, ahead=True):
        """Give the read port of a memory to the first of `uses` whose turn it is.

        Parameters
        ----------
        port : interface object
            A `memory_port`.
        first : Value
            What is added to every address.
        ahead : bool
            Whether that is done a cycle before, since the address has a long way to the memory.
        """
        en, address = self.choose(name, *uses)
        address = (first + address)[:len(port.read_address)]
        if ahead:
            en = register(self.m, en, name=f"{name}_read_en")
            address = register(self.m, address, name=f"{name}_read_address", reset=False)
        self.m.d.comb += [port.read_en.eq(en), port.read_address.eq(address)]

    def bank(self, clear):
        """The counters of the unit, as a submodule; None without any.

        Raises
        ------
        AssertionError
            If one has nothing to count, or something is counted that has no counter.
        """
        m, unit, path = self.m, self.unit, f"{self.unit.path}."
        names = unit_counters(self.config, unit)
        self._same(set(names), {path + name for name in self.counts})
        if not self.config.hardware.counters:
            return None
        m.submodules.counters = bank = CounterBank(
            names, amounts=unit_amounts(self.config, unit), width=self.config.hardware.counter_bits)
        m.d.comb += bank.clear.eq(clear)
        m.d.comb += [getattr(bank, bank.port(path + name)).eq(amount) for name, amount in self._amounts()]
        return bank

    @staticmethod
    def _same(names, counted):
        if differ := names ^ counted:
            raise AssertionError(f"counters that are not counted, or have no name: {sorted(differ)}")

    def _amounts(self):
        for name, amounts in self.counts.items():
            if len(amounts) > 1:
                promise(self.m, self.platform, at_most_one(Value.cast(amount).any() for amount in amounts),
                        f"one at a time adds to {name}")
            yield name, reduce(or_, amounts)
