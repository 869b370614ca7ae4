"""The weight memory of a unit, with velocities beside it, or what computes its words."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.random_weights import lane_keys, value_bits
from ..golden.stages import PORT_VELOCITY, PORT_WEIGHT
from ..golden.units import clog2
from .arithmetic import copies, register, select
from .bus import any_of, node_signature
from .nodes import Access
from .pipeline import Pipeline
from .ports import Ports, Use, counted, state_port
from .promise import promise
from .random_weights import RandomWeights

__all__ = ["KINDS", "ComputedWeights", "WeightMemory"]

#: What a `WeightMemory` keeps, each with a region of registers.
KINDS = ("weight", "velocity")


def _read_members(unit):
    """What reads weights beside the update: the forward pass, and the unit below where that is served."""
    address = range(max(2, unit.weight_depth))
    return {
        "forward_en": In(1), "forward_address": In(address),
        "weights":    Out(data.ArrayLayout(signed(unit.weights.width), unit.lanes)),
    } | ({"serve_en": In(1), "serve_address": In(address)} if unit.rule.serves else {})


class ComputedWeights(wiring.Component):
    """What the weight memory of a random classifier would hold, computed for the same addresses in the same time.

    Parameters
    ----------
    config : Config
    unit : Unit

    Members
    -------
    forward_en, forward_address, serve_en, serve_address, weights : as `WeightMemory`
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        super().__init__(_read_members(unit))

    def elaborate(self, platform):
        m = Module()
        config, unit = self.config, self.unit
        place = [own.path for own in config.units].index(unit.path)
        keys = lane_keys(config.classifier.seed, place, unit.lanes)
        m.submodules.random_weights = source = RandomWeights(
            keys, address_width=max(1, clog2(unit.weight_depth)), bits=value_bits(unit, config.initial.gain),
            width=unit.weights.width)
        address = self.forward_address
        if unit.rule.serves:
            address = Mux(self.serve_en, self.serve_address, address)
            promise(m, platform, ~(self.serve_en & self.forward_en), "one at a time reads weights")
        m.d.comb += [
            source.address.eq(register(m, address, name="weight_read_address", reset=False)),
            self.weights.eq(source.weights),
        ]
        return m


class WeightMemory(wiring.Component):
    """Reads weights for the forward pass, the update, the unit below and the register port; writes for two of them.

    The block RAMs are spread over the chip: what is chosen for them is in registers before it goes there.

    Parameters
    ----------
    config : Config
    unit : Unit
        With weights in memory.
    regions : list of Region
        Those of its registers whose kind is one of `KINDS`.

    Members
    -------
    in_forward, in_update : In(1)
        Whether that pass runs; from the cycle before its first access on at the latest.
    forward_en, forward_address : In
        Read of one word by the forward pass.
    serve_en, serve_address : In
        The same of the unit below; only where it is served.
    weight_en, weight_address : In
        The same of the update.
    weights : Out(ArrayLayout(signed(weight width), lanes))
        What was read, three cycles later: address, memory, and a register behind it.
    write_en, write_address, write : In
        Write of one word by the update; in memory two cycles later.
    velocity_en, velocity_address, velocities : In, In, Out
        Only with momentum: read of one word of velocities, two cycles later.
    velocity_write_en, velocity_write_address, velocity_write : In
        Only with momentum: write of one word of velocities; in memory one cycle later.
    bus : In(node_signature(regions))
        Weights and velocities as registers, only while no pass runs. One access in
        every cycle; a weight is answered six cycles later, a velocity five.
    memory, velocity_memory : Out(memory_port(...))
    counted : Out(StructLayout)
    """

    def __init__(self, config, unit, regions):
        self.config, self.unit, self.regions = config, unit, regions
        self.kinds = [region.kind for region in regions]
        self.layout = data.ArrayLayout(signed(unit.weights.width), unit.lanes)
        address = range(max(2, unit.weight_depth))
        members = {
            "in_forward":     In(1),
            "in_update":      In(1),
            "weight_en":      In(1),
            "weight_address": In(address),
            "write_en":       In(1),
            "write_address":  In(address),
            "write":          In(self.layout),
            "bus":            In(node_signature(regions)),
            "memory":         state_port(config, unit, "weight"),
            "counted":        counted(config, unit, *self.kinds),
        }
        if unit.optimiser.velocity_width:
            self.velocity_layout = data.ArrayLayout(signed(unit.optimiser.velocity_width), unit.lanes)
            members |= {
                "velocity_en":            In(1),
                "velocity_address":       In(address),
                "velocities":             Out(self.velocity_layout),
                "velocity_write_en":      In(1),
                "velocity_write_address": In(address),
                "velocity_write":         In(self.velocity_layout),
                "velocity_memory":        state_port(config, unit, "velocity"),
            }
        super().__init__(_read_members(unit) | members)

    def elaborate(self, platform):
        m = Module()
        unit, lanes, memory = self.unit, self.unit.lanes, self.memory
        ports, host = Ports(m, platform, self.config, unit), _Host(m, self)
        # Whose turn it is stands in registers too, long before the first write, and the port has it while no pass runs.
        updates = copies(m, self.in_update, lanes, name="updates")
        write_address, write = (Signal.like(own, name=f"weight_{name}", reset_less=True) for name, own in (
            ("write_address", memory.write_address), ("write", memory.write)))
        m.d.sync += [
            write_address.eq(Mux(self.in_update, self.write_address, host.address)),
            *(write.word_select(lane, unit.weights.width).eq(
                Mux(updates[lane], self.write[lane].as_unsigned(), host.data[:unit.weights.width]))
              for lane in range(lanes)),
        ]
        ports.read("weight", memory, Use("update", self.weight_en, self.weight_address, self.in_update),
                   Use("forward", self.forward_en, self.forward_address, self.in_forward),
                   *([Use("backward", self.serve_en, self.serve_address)] if unit.rule.serves else []),
                   Use("", host.read["weight"], host.address))
        ports.count("weight.write.update", self.write_en)
        m.d.comb += [
            memory.write_en.eq(
                register(m, self.write_en, name="update_writes").replicate(lanes)
                | register(m, host.enables("weight", lanes), name="port_writes")),
            memory.write_address.eq(write_address), memory.write.eq(write),
        ]
        read = data.View(self.layout, memory.read)
        weights = [register(m, read[lane], name=f"weight_{lane}", reset=False) for lane in range(lanes)]
        m.d.comb += [self.weights[lane].eq(weights[lane]) for lane in range(lanes)]
        valid, answer = host.after["choice"].valid, host.choose(
            m, weights, host.after["word"].lane, name="port_weight")
        if unit.optimiser.velocity_width:
            chosen = self.bus.select[self.kinds.index("velocity")]
            velocity_valid, velocity = self._velocities(m, ports, host)
            valid, answer = Mux(chosen, velocity_valid, valid), Mux(chosen, velocity, answer)
        answered = Signal(signed(32), name="port_answer")
        m.d.sync += answered.eq(Mux(valid, answer, 0))
        m.d.comb += [self.bus.ack.eq(register(m, valid, name="port_ack")), self.bus.answer.eq(answered)]
        ports.tell(self.counted)

        passes = self.in_forward | self.in_update | (self.serve_en if unit.rule.serves else 0)
        promise(m, platform, ~(host.after[0].valid & passes), "weights are registers only while no pass runs")
        promise(m, platform, self.in_update | ~self.write_en, "weights are written only while the update runs")
        return m

    def _velocities(self, m, ports, host):
        """The velocity memory: read and written by update and port. Returns when the port hears of it, and what."""
        unit, width, memory = self.unit, self.unit.optimiser.velocity_width, self.velocity_memory
        ports.read("velocity", memory, Use("", host.read["velocity"], host.address),
                   Use("update", self.velocity_en, self.velocity_address), ahead=False)
        ports.count("velocity.write.update", self.velocity_write_en)
        read = register(m, memory.read, name="velocity_q", reset=False)
        m.d.comb += [
            self.velocities.as_value().eq(read),
            memory.write_en.eq(Mux(self.velocity_write_en, ~0, host.enables("velocity", unit.lanes))),
            memory.write_address.eq(Mux(self.velocity_write_en, self.velocity_write_address, host.address)),
            memory.write.eq(Mux(self.velocity_write_en, self.velocity_write.as_value(),
                                host.data[:width].replicate(unit.lanes))),
        ]
        word, choice = (host.after[PORT_VELOCITY.index(name)] for name in ("word", "choice"))
        return choice.valid, host.choose(
            m, [read.word_select(lane, width).as_signed() for lane in range(unit.lanes)], word.lane,
            name="port_velocity")


class _Host:
    """What the register port wants of weights and velocities, a cycle later: it comes from far, and goes to all lanes.

    Attributes
    ----------
    write, read : by kind, a pulse
    address, lane, data : Signal
    after : Pipeline
        ``valid`` and ``lane`` in the stages of a weight.
    """

    def __init__(self, m, part):
        access, unit, kinds = Access.of(part.bus, part.regions), part.unit, part.kinds
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
        m.submodules.port = self.after = Pipeline(PORT_WEIGHT, valid=valid, lane=self.lane)

    def enables(self, kind, lanes):
        """Write enable of each lane; none from a lane that is unknown or does not exist."""
        return Mux(self.write[kind], 1 << self.lane, 0)[:lanes]

    @staticmethod
    def choose(m, values, lane, *, name):
        """The value of a lane, as `select`; 0 of one that does not exist."""
        missing = (1 << clog2(len(values))) - len(values)
        return select(m, [*values, *[Const(0, values[0].shape())] * missing], lane, name=name)
