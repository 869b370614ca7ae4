"""The weight memory of a unit, or what computes its words; velocities beside it."""

from typing import NamedTuple

from amaranth.hdl import Const, Mux, Signal, signed
from amaranth.lib import data

from ..golden.random_weights import lane_keys, value_bits
from ..golden.units import clog2
from .arithmetic import copies, register, select
from .bus import any_of
from .nodes import Access
from .pipeline import Pipeline
from .ports import Use
from .random_weights import RandomWeights

__all__ = ["Read", "weight_memory"]


class Read(NamedTuple):
    """A word of a memory, lane by lane: at its output, and in the register behind."""

    now: list
    later: list

    @classmethod
    def of(cls, m, store, width, lanes, *, name):
        """What `store` reads, in `lanes` signed numbers."""
        view = data.View(data.ArrayLayout(signed(width), lanes), store.read)
        now = [view[lane] for lane in range(lanes)]
        return cls(now, [register(m, value, name=f"{name}_{lane}", reset=False) for lane, value in enumerate(now)])


def weight_memory(m, core, ports, forward, learning, asked, busy):
    """Add the weights of a `UnitCore` to its module `m`: stored, computed, or the constant of a pooling.

    Parameters
    ----------
    ports : Ports
    forward, learning, asked
        Whose addresses they are read at; None where the unit has none.
    busy : dict of str to Signal
        Which pass runs.

    Returns
    -------
    Read
        The weight word; `now` only where it is stored.
    tuple
        Ack and answer for the register bus; None where it is not stored.
    """
    unit = core.unit
    if unit.window.pools:
        return Read(None, [Const(unit.pool_weight, signed(unit.weights.width))] * unit.lanes), None
    if unit.weights.random:
        return _computed(m, core, forward, asked), None
    return _stored(m, core, ports, forward, learning.update, asked, busy)


class _Port:
    """The unit's access to weights and velocities, a cycle later: it comes from far, and goes to all lanes.

    Attributes
    ----------
    write, read : by kind, a pulse
    address, lane, data : Signal
    after : Pipeline
        ``valid`` and ``lane`` some cycles later.
    """

    def __init__(self, m, core):
        access, unit = Access.of(core.bus, core.regions), core.unit
        kinds = [kind for kind in ("weight", "velocity") if kind in access.select]
        shift, depth_bits = clog2(unit.lanes), clog2(unit.weight_depth)
        self.read = {kind: register(m, access.asked(kind) & ~access.write, name=f"port_reads_{kind}") for kind in kinds}
        self.write = {kind: register(m, access.written(kind), name=f"port_writes_{kind}") for kind in kinds}
        # Of one word, or of one lane, there is nothing to address: no signal may have no bits in Verilog.
        place = access.place("weight")  # velocities have the same places
        self.address = register(m, place[shift:] if depth_bits else Const(0, 1), name="port_address", reset=False)
        self.lane = register(m, place[:shift] if shift else Const(0, 1), name="port_lane", reset=False)
        self.data = register(m, access.data[:max(unit.weights.width, unit.optimiser.velocity_width)], name="port_data",
                             reset=False)
        valid = register(m, any_of([access.asked(kind) for kind in kinds]), name="port_valid")
        m.submodules.port = self.after = Pipeline(valid=valid, lane=self.lane)

    def enables(self, kind, lanes):
        """Write enable of each lane; none from a lane that is unknown or does not exist."""
        return Mux(self.write[kind], 1 << self.lane, 0)[:lanes]

    @staticmethod
    def choose(m, values, lane, *, name):
        """The value of a lane, as `select`; 0 of one that does not exist."""
        missing = (1 << clog2(len(values))) - len(values)
        return select(m, [*values, *[Const(0, values[0].shape())] * missing], lane, name=name)


def _stored(m, core, ports, forward, update, asked, busy):
    """The weight memory: read by forward, update, the unit below, and the port; written by update and port."""
    unit, lanes, port = core.unit, core.unit.lanes, _Port(m, core)
    weights = ports.store("weight", initial=True)
    # The block RAMs are spread over the chip: what is chosen for them is in registers before it goes there. Whose turn
    # it is stands in registers too, long before the first write, and the port has it while no pass runs.
    updates = copies(m, busy["update"], lanes, name="updates")
    write_address, write = (Signal.like(own, name=f"weight_{own.name}", reset_less=True) for own in (
        weights.write_address, weights.write))
    m.d.sync += [
        write_address.eq(Mux(busy["update"], update.write_address, port.address)),
        *(write.word_select(lane, unit.weights.width).eq(
            Mux(updates[lane], update.write[lane].as_unsigned(), port.data[:unit.weights.width]))
          for lane in range(lanes)),
    ]
    ports.read("weight", weights, Use("update", update.weight_en, update.weight_address, busy["update"]),
               Use("forward", forward.event, forward.weight_address, busy["forward"]),
               *([Use("backward", asked[1].valid, asked[1].weight_address)] if unit.rule.serves else []),
               Use("", port.read["weight"], port.address))
    ports.count("weight.write.update", update.write_en)
    m.d.comb += [
        weights.write_en.eq(
            register(m, update.write_en, name="update_writes").replicate(lanes)
            | register(m, port.enables("weight", lanes), name="port_writes")),
        weights.write_address.eq(write_address), weights.write.eq(write),
    ]
    found = Read.of(m, weights, unit.weights.width, lanes, name="weight")
    # Address, memory, its output register, the choice of a lane in two cycles.
    valid, answer = port.after[4].valid, port.choose(m, found.later, port.after[3].lane, name="port_weight")
    if unit.optimiser.velocity_width:
        chosen = core.bus.select[[region.kind for region in core.regions].index("velocity")]
        velocity_valid, velocity = _velocities(m, core, ports, update, port)
        valid, answer = Mux(chosen, velocity_valid, valid), Mux(chosen, velocity, answer)
    found_answer = Signal(signed(32), name="port_answer")
    m.d.sync += found_answer.eq(Mux(valid, answer, 0))
    return found, (register(m, valid, name="port_ack"), found_answer.as_unsigned())


def _velocities(m, core, ports, update, port):
    """The velocity memory: read and written by the update and by the port. Returns what the port hears, and when."""
    unit, width = core.unit, core.unit.optimiser.velocity_width
    store = ports.store("velocity", initial=True)
    ports.read("velocity", store, Use("", port.read["velocity"], port.address),
               Use("update", update.velocity_en, update.velocity_address), ahead=False)
    ports.count("velocity.write.update", update.velocity_write_en)
    read = register(m, store.read, name="velocity_q", reset=False)
    m.d.comb += [
        update.velocities.as_value().eq(read),
        store.write_en.eq(Mux(update.velocity_write_en, ~0, port.enables("velocity", unit.lanes))),
        store.write_address.eq(Mux(update.velocity_write_en, update.velocity_write_address, port.address)),
        store.write.eq(Mux(update.velocity_write_en, update.velocity_write.as_value(),
                           port.data[:width].replicate(unit.lanes))),
    ]
    return port.after[3].valid, port.choose(
        m, [read.word_select(lane, width).as_signed() for lane in range(unit.lanes)], port.after[2].lane,
        name="port_velocity")


def _computed(m, core, forward, asked):
    """What the weight memory would hold, computed for the same addresses in the same time."""
    config, unit = core.config, core.unit
    keys = lane_keys(config.classifier.seed, config.units.index(unit), unit.lanes)
    depth = unit.channel_words * unit.fan_rows
    m.submodules.random_weights = source = RandomWeights(
        keys, address_width=max(1, clog2(depth)), bits=value_bits(unit, config.initial.gain),
        width=unit.weights.width)
    address = forward.weight_address if not unit.rule.serves else Mux(
        asked[1].valid, asked[1].weight_address, forward.weight_address)
    m.d.comb += source.address.eq(register(m, address, name="weight_read_address", reset=False))
    return Read(None, [source.weights[lane] for lane in range(unit.lanes)])
