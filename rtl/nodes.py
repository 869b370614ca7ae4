"""Registers of a block and of its units: what is between the register bus and the parts that have them."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Mux, Signal

from ..golden.units import clog2
from .arithmetic import register
from .bus import any_of, joined

__all__ = ["Access", "block_node", "counter_node", "lfsr_node", "rate_node"]


class Access(NamedTuple):
    """An access as a node sees it; `select` has a flag for each kind of its regions, `bits` those of a place in it."""

    valid: Signal
    select: dict
    bits: dict
    write: Signal
    address: Signal
    data: Signal

    @classmethod
    def of(cls, bus, regions):
        """At a node that has `regions`; `bus` has the members of a `node_signature`, or they are its items."""
        own = bus if isinstance(bus, dict) else {name: getattr(bus, name) for name in (
            "valid", "select", "write", "address", "data")}
        return cls(**own | {"select": {region.kind: own["select"][place] for place, region in enumerate(regions)},
                            "bits": {region.kind: clog2(region.size) for region in regions}})

    def place(self, kind):
        """Place in the region of a kind; all bits above it are those of its base."""
        return self.address[:self.bits[kind]] if self.bits[kind] else Const(0, 1)

    def asked(self, kind):
        """One access to a region of a kind: a pulse."""
        return self.valid & self.select[kind]

    def written(self, kind):
        """One write to a region of a kind: a pulse."""
        return self.asked(kind) & self.write


def lfsr_node(m, access, kind, lfsr, states):
    """Wire the loading of an LFSR per lane to a region `kind`; the ack, and the state that was asked for."""
    load = register(m, access.written(kind), name=f"{kind}_load")
    lane = access.place(kind)
    m.d.comb += [
        lfsr.load.eq(load), lfsr.load_lane.eq(lane), lfsr.load_state.eq(access.data),
    ]
    asked, state = access.asked(kind), Signal(16, name=f"{kind}_answer")
    m.d.sync += state.eq(Mux(asked, states.word_select(lane, 16), 0))
    return register(m, asked, name=f"{kind}_ack"), state


def counter_node(m, access, bank):
    """Wire a `CounterBank`; the ack, and half of a counter. The high half is that of the last one that was read low."""
    asked, place = access.asked("counters"), access.place("counters")
    m.d.comb += [
        bank.read.eq(register(m, asked & ~place[0], name="counter_read")), bank.index.eq(place[1:]),
    ]
    high = register(m, asked & place[0], name="counter_high")
    return bank.done | high, Mux(bank.done, bank.value[:32], 0) | Mux(high, bank.value[32:], 0)


def rate_node(m, access, rate, status):
    """Status of a block and its `LearningRate`, which is written to as well: the ack, and what was asked for."""
    m.d.comb += rate.value.eq(access.data)
    answers = [Mux(access.asked("status"), status, 0)]
    for kind in ("decays", "since_decay"):
        m.d.comb += rate.load[kind].eq(access.written(kind))
        answers.append(Mux(access.asked(kind), getattr(rate, kind), 0))
    return any_of([access.asked(kind) for kind in ("decays", "since_decay", "status")]), joined(answers)


def block_node(m, block):
    """The border of a `BlockCore`: a register in both directions, and its units behind it.

    Returns
    -------
    Access
        To the registers of the block itself.
    callable
        Takes acks and answers of those, and joins them with those of the units.
    """
    bus = block.bus
    own = {name: register(m, getattr(bus, name), name=f"own_{name}", reset=name == "valid")
           for name in ("valid", "select", "write", "address", "data")}
    for core in block.units:
        chosen = [own["select"][place] for place, region in enumerate(block.regions)
                  if region.unit == core.unit.index]
        m.d.comb += [
            core.bus.select.eq(Cat(chosen)),
            *(getattr(core.bus, name).eq(own[name]) for name in ("valid", "write", "address", "data")),
        ]

    def join(nodes):
        nodes = [*nodes, *((core.bus.ack, core.bus.answer) for core in block.units)]
        m.d.sync += [
            bus.ack.eq(any_of([ack for ack, _ in nodes])), bus.answer.eq(joined([answer for _, answer in nodes])),
        ]

    mine = [(place, region) for place, region in enumerate(block.regions) if region.unit is None]
    own["select"] = [own["select"][place] for place, _ in mine]
    return Access.of(own, [region for _, region in mine]), join
