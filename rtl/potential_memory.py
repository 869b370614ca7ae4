"""Potentials of the neurons of a unit from one interval to the next."""

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import copies, register, times
from .ports import Ports, Use, counted, state_port
from .promise import promise, simulated

__all__ = ["PotentialMemory"]


class PotentialMemory(wiring.Component):
    """Reads potentials for the forward pass, those of the start in the first interval, and writes what it keeps.

    Parameters
    ----------
    config : Config
    unit : Unit

    Members
    -------
    first_interval : In(1)
        A sample begins; stands through the pass.
    sample : In
        Place of the sample in the batch: each has potentials of its own.
    stored_en, stored_address : In
        Read of one word of neurons.
    stored : Out(ArrayLayout(signed(neuron width), lanes))
        It, two cycles later: the address goes through a register.
    keep_en, keep_address : In
        Write of the word that stands at `out_potentials`, in this cycle and the next.
    out_potentials : In(ArrayLayout(signed(neuron width), lanes))
    memory : Out(memory_port(...))
    counted : Out(StructLayout)
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        self.layout = data.ArrayLayout(signed(unit.neuron.width), unit.lanes)
        super().__init__({
            "first_interval": In(1),
            "sample":         In(range(max(2, unit.batch))),
            "stored_en":      In(1),
            "stored_address": In(range(max(2, unit.words))),
            "stored":         Out(self.layout),
            "keep_en":        In(1),
            "keep_address":   In(range(max(2, unit.words))),
            "out_potentials": In(self.layout),
            "memory":         state_port(config, unit, "potential"),
            "counted":        counted(config, unit, "potential"),
        })

    def elaborate(self, platform):
        m = Module()
        unit, memory = self.unit, self.memory
        ports = Ports(m, platform, self.config, unit)
        first = times(self.sample, unit.words) if unit.batch > 1 else 0
        begins = copies(m, self.first_interval, unit.lanes, name="begins")
        read = data.View(self.layout, memory.read)
        ports.read("potential", memory, Use("forward", self.stored_en, self.stored_address), first=first)
        ports.count("potential.write.forward", self.keep_en)
        ports.tell(self.counted)
        m.d.comb += [
            *(self.stored[lane].eq(Mux(begins[lane], unit.neuron.start, read[lane])) for lane in range(unit.lanes)),
            # A step takes two cycles at least, so that a potential stands for another one.
            memory.write_en.eq(register(m, self.keep_en, name="potential_write_en")),
            memory.write_address.eq(register(
                m, (first + self.keep_address)[:len(memory.write_address)], name="potential_write_address")),
            memory.write.eq(self.out_potentials.as_value()),
        ]
        if simulated(platform):
            before = register(m, self.out_potentials.as_value(), name="potentials_before")
            promise(m, platform, ~memory.write_en | (memory.write == before), "a potential stands while it is written")
        return m
