"""The window history of a unit: what its forward pass leaves for its backward pass."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import register
from .backward import window_layout
from .ports import Ports, Use, counted, state_port

__all__ = ["WindowMemory"]


class WindowMemory(wiring.Component):
    """Keeps the surrogate codes of an interval in training, with what else the backward pass needs of a neuron.

    Parameters
    ----------
    config : Config
    unit : Unit

    Members
    -------
    start : In(1)
        A forward pass begins: the next word is the first of the interval.
    train : In(1)
        Whether anything is kept.
    out_valid, out_codes : In
        Codes of one word of neurons of one step, in the order of the forward pass.
    out_spikes, dropped : In(lanes)
        Only where the way back needs them, and only with dropout: its spikes, and which of them do not leave the unit.
    fetch, address : In
        Read of one word.
    window : Out(window_layout(unit))
        It, one cycle later.
    memory : Out(memory_port(...))
        Written one cycle after `out_valid`.
    counted : Out(StructLayout)
    """

    def __init__(self, config, unit):
        self.config, self.unit, self.layout = config, unit, window_layout(unit)
        beside = {"fired": "out_spikes", "dropped": "dropped"}
        self.parts = {"codes": "out_codes"} | {
            field: name for field, name in beside.items() if field in self.layout.members}
        super().__init__({
            "start":     In(1),
            "train":     In(1),
            "out_valid": In(1),
            "fetch":     In(1),
            "address":   In(range(max(2, unit.words * unit.steps))),
            "window":    Out(self.layout),
            "memory":    state_port(config, unit, "window"),
            "counted":   counted(config, unit, "window"),
        } | {name: In(self.layout.members[field]) for field, name in self.parts.items()})

    def elaborate(self, platform):
        m = Module()
        memory = self.memory
        ports = Ports(m, platform, self.config, self.unit)
        ports.read("window", memory, Use("backward", self.fetch, self.address), ahead=False)
        ports.count("window.write.forward", memory.write_en)
        ports.tell(self.counted)
        # Written a cycle after it stands: the way to the memory is long.
        place, write = Signal.like(memory.write_address), Signal(self.layout)
        written = register(m, self.out_valid & self.train, name="window_written")
        with m.If(self.start):
            m.d.sync += place.eq(0)
        with m.Elif(memory.write_en):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [
            *(write[field].eq(getattr(self, name)) for field, name in self.parts.items()),
            memory.write_en.eq(written), memory.write_address.eq(place),
            memory.write.eq(register(m, write.as_value(), name="window_write", reset=False)),
            self.window.eq(data.View(self.layout, memory.read)),
        ]
        return m
