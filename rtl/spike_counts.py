"""Spike counts of a classifier, from which come its result and its error."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.stages import forward
from .arithmetic import register, times
from .ports import Ports, Use, counted, state_port

__all__ = ["SpikeCounts", "count_layout"]


def count_layout(config, unit):
    """A word of spike counts, lane by lane.

    Fields
    ------
    total : spikes of the sample
    recent : spikes of the interval
    """
    return data.StructLayout({
        "total":  data.ArrayLayout(config.time.steps.bit_length(), unit.lanes),
        "recent": data.ArrayLayout(unit.steps.bit_length(), unit.lanes),
    })


class SpikeCounts(wiring.Component):
    """Counts the spikes of a classifier: of the sample for the result, of the interval for its error (equation 3).

    Parameters
    ----------
    config : Config
    unit : Unit
        The classifier.

    Members
    -------
    first_interval : In(1)
        The interval is the first of its sample; stands from the first spikes of a pass to the last.
    sample : In
        Place of the sample in the batch: each has counts of its own.
    label : In
        Class of the sample; of none, its error is zero.
    stored_en, stored_address : In
        The next word of neurons; three cycles later its counts are read, and that of its last step comes after it.
    out_valid, out_word, out_step, out_word_last, out_spikes : In
        Spikes of one word of neurons of one step; after the last step its counts are in memory two cycles later.
    count_en, count_word, counts : In, In, Out(ArrayLayout)
        Read of one word of totals, which stand one cycle later.
    own_en, own_word, own : In, In, Out(ArrayLayout)
        Read of its error in units of one spike, which stands from the next cycle on, as long as `own_word` does.
    memory : Out(memory_port(...))
    counted : Out(StructLayout)
    """

    def __init__(self, config, unit):
        self.config, self.unit, self.layout = config, unit, count_layout(config, unit)
        word = range(max(2, unit.words))
        super().__init__({
            "first_interval": In(1),
            "sample":         In(range(max(2, unit.batch))),
            "label":          In(range(unit.n_out)),
            "stored_en":      In(1),
            "stored_address": In(word),
            "out_valid":      In(1),
            "out_word":       In(word),
            "out_step":       In(range(max(2, unit.steps))),
            "out_word_last":  In(1),
            "out_spikes":     In(unit.lanes),
            "count_en":       In(1),
            "count_word":     In(word),
            "counts":         Out(self.layout.members["total"]),
            "own_en":         In(1),
            "own_word":       In(word),
            "own":            Out(data.ArrayLayout(signed(unit.steps.bit_length() + 1), unit.lanes)),
            "memory":         state_port(config, unit, "count"),
            "counted":        counted(config, unit, "count"),
        })

    def elaborate(self, platform):
        m = Module()
        config, unit, steps, memory = self.config, self.unit, self.unit.steps, self.memory
        ports = Ports(m, platform, config, unit)
        first = times(self.sample, unit.words) if unit.batch > 1 else 0
        read, write = data.View(self.layout, memory.read), Signal(self.layout)
        # Spikes are counted in the cycle after they stand, so that comparison and sums have a cycle each. The total of
        # the intervals before is needed with the last step of a word, and read behind its first.
        late = forward(unit).between("recall", "sum")
        resume = register(m, self.stored_en, name="resume", stages=late)
        valid, word_last = (register(m, own, name=f"counted_{name}") for name, own in (
            ("valid", self.out_valid), ("word_last", self.out_word_last)))
        step_first = register(m, self.out_step == 0, name="counted_step_first")
        fresh_sample = register(m, self.first_interval, name="counted_first_interval")  # the block may already go on
        word, spikes = (register(m, own, name=f"counted_{name}") for name, own in (
            ("word", self.out_word), ("spikes", self.out_spikes)))
        ports.read("count", memory,
                   Use("report" if config.blocks[unit.block].last else "", self.count_en, self.count_word),
                   Use("backward", self.own_en, self.own_word),
                   Use("forward", resume, register(m, self.stored_address, name="resume_word", stages=late)),
                   first=first, ahead=False)
        ports.count("count.write.forward", memory.write_en)
        ports.tell(self.counted)
        m.d.comb += [
            memory.write_en.eq(valid & word_last), memory.write_address.eq(first + word),
            memory.write.eq(write.as_value()), self.counts.eq(read.total),
        ]
        # A sample of no class teaches nothing.
        taught = register(m, self.label < unit.n_out, name="taught")
        for lane in range(unit.lanes):
            # Before the reading of the next word, the total of this one moves into the lane.
            recent = Signal(steps.bit_length(), name=f"recent_{lane}")
            before = Signal(self.layout.members["total"].elem_shape, name=f"before_{lane}")
            count = Signal(steps.bit_length(), name=f"count_{lane}")
            fresh = register(m, resume, name=f"fresh_{lane}")
            with m.If(fresh):
                m.d.sync += before.eq(read.total[lane])
            m.d.comb += count.eq(Mux(step_first, 0, recent) + spikes[lane])
            with m.If(valid):
                m.d.sync += recent.eq(count)
            m.d.comb += [
                write.recent[lane].eq(count),
                write.total[lane].eq(Mux(fresh_sample, 0, before) + count),
            ]
            target = Signal(name=f"target_{lane}")
            place = Signal(range(max(2, unit.words)), name=f"place_{lane}")
            m.d.comb += [
                place.eq(register(m, self.own_word, name=f"own_word_{lane}")),
                target.eq(times(place, unit.lanes) + lane == self.label),
                self.own[lane].eq(Mux(taught, read.recent[lane] - Mux(target, steps, 0), 0)),
            ]
        return m
