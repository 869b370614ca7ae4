"""Input buffers: frames from outside, spikes from the block before, spikes inside a block.

All three give a unit the same read port on bitmaps; the two at the border of a block also say what is complete.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .store import Store

__all__ = ["FrameBuffer", "SpikeBuffer", "SpikeStore", "sample_layout", "spike_layout"]


def sample_layout(config):
    """One value of a sample, in order; label and mode are those of the sample and may be given with every value.

    Fields
    ------
    value : unsigned(input.bits)
    label : class of the sample, ignored without training
    train : whether the weights learn from it
    first, last : first and last value of the sample; `first` begins a sample anew whatever came before
    """
    return data.StructLayout({
        "value": config.input.bits, "label": range(config.network.classes), "train": 1, "first": 1, "last": 1})


def spike_layout(config, lanes):
    """Spikes of one word of neurons of one step: words in order, the steps of the interval within each word.

    Fields
    ------
    spikes : one bit per lane
    label, train : of the sample
    """
    return data.StructLayout({"spikes": lanes, "label": range(config.network.classes), "train": 1})


def _advance(m, pointer, count):
    m.d.sync += pointer.eq(Mux(pointer == count - 1, 0, pointer + 1))


class FrameBuffer(wiring.Component):
    """Ring of whole samples. Accepts one value per cycle while a slot is free.

    A sample is available in the cycle after its last value was accepted, until `release`. `fault` is set, until
    reset, if `first` or `last` came in a wrong place.

    Members
    -------
    i : In(stream.Signature(sample_layout(config)))
    available, label, train : Out
        Of the oldest sample.
    release : In(1)
        Free its slot.
    base : Out
        Its first bitmap word.
    read_en, read_address, bits : bitmap read port.
    value_en, row, value : read port of the values of the oldest sample.
    bits_written, value_written : Out(1)
        Memory writes, for the counters.
    fault : Out(1)
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        self.slots = config.hardware.sample_slots
        self.depth = self.slots * unit.groups
        super().__init__({
            "i":             In(stream.Signature(sample_layout(config))),
            "available":     Out(1),
            "label":         Out(range(config.network.classes)),
            "train":         Out(1),
            "release":       In(1),
            "base":          Out(range(max(2, self.depth))),
            "read_en":       In(1),
            "read_address":  In(range(max(2, self.depth))),
            "bits":          Out(unit.scan_width),
            "value_en":      In(1),
            "row":           In(range(max(2, unit.n_in))),
            "value":         Out(unit.input_bits),
            "bits_written":  Out(1),
            "value_written": Out(1),
            "fault":         Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        unit, slots, style = self.unit, self.slots, self.config.hardware.memory.input
        m.submodules.bitmaps = bitmaps = Store(width=unit.scan_width, depth=self.depth, style=style)
        m.submodules.values = values = Store(width=unit.input_bits, depth=slots * unit.n_in, style=style)

        used = Signal(slots)
        labels = Signal(data.ArrayLayout(range(self.config.network.classes), slots))
        trains = Signal(slots)
        fill, drain = Signal(range(max(2, slots))), Signal(range(max(2, slots)))
        group = Signal(range(max(2, unit.groups)))
        bit = Signal(range(max(2, unit.scan_width)))
        row = Signal(range(max(2, unit.n_in)))
        collected = Signal(unit.scan_width)

        # A `first` in a wrong place restarts the sample: the counters below are those of the value on the stream.
        now_row, now_bit, now_group = Signal.like(row), Signal.like(bit), Signal.like(group)
        word = Signal(unit.scan_width)
        take, complete, row_last = Signal(), Signal(), Signal()
        first = self.i.payload.first
        m.d.comb += [
            self.i.ready.eq(~used.bit_select(fill, 1)),
            take.eq(self.i.valid & self.i.ready),
            now_row.eq(Mux(first, 0, row)), now_bit.eq(Mux(first, 0, bit)), now_group.eq(Mux(first, 0, group)),
            word.eq(Mux(now_bit == 0, 0, collected) | ((self.i.payload.value != 0) << now_bit)),
            row_last.eq(now_row == unit.n_in - 1),
            complete.eq(take & row_last),
            values.write_en.eq(take), values.write_address.eq(fill * unit.n_in + now_row),
            values.write.eq(self.i.payload.value),
            bitmaps.write_en.eq(take & (row_last | (now_bit == unit.scan_width - 1))),
            bitmaps.write_address.eq(fill * unit.groups + now_group), bitmaps.write.eq(word),
            self.bits_written.eq(bitmaps.write_en), self.value_written.eq(values.write_en),
        ]
        with m.If(take):
            m.d.sync += [row.eq(now_row + 1), bit.eq(now_bit + 1), group.eq(now_group), collected.eq(word)]
            with m.If(now_bit == unit.scan_width - 1):
                m.d.sync += [bit.eq(0), group.eq(now_group + 1)]
            with m.If((first != (row == 0)) | (self.i.payload.last != row_last)):
                m.d.sync += self.fault.eq(1)
        with m.If(complete):
            m.d.sync += [
                row.eq(0), bit.eq(0), group.eq(0),
                used.bit_select(fill, 1).eq(1), labels[fill].eq(self.i.payload.label),
                trains.bit_select(fill, 1).eq(self.i.payload.train),
            ]
            _advance(m, fill, slots)
        with m.If(self.release):
            m.d.sync += used.bit_select(drain, 1).eq(0)
            _advance(m, drain, slots)

        m.d.comb += [
            self.available.eq(used.bit_select(drain, 1)),
            self.label.eq(labels[drain]), self.train.eq(trains.bit_select(drain, 1)),
            self.base.eq(drain * unit.groups),
            bitmaps.read_en.eq(self.read_en), bitmaps.read_address.eq(self.read_address),
            self.bits.eq(bitmaps.read),
            values.read_en.eq(self.value_en), values.read_address.eq(drain * unit.n_in + self.row),
            self.value.eq(values.read),
        ]
        return m


class SpikeStore(wiring.Component):
    """Spike history of one update period per slot, written in words of `granule` bits and read `scan_width` wide.

    The bitmap word of a slot, step and group is ``(slot * frames + step) * groups + group``.

    Members
    -------
    write_en, write_slot, write_step, write_word, write : In
        Spikes of one word of neurons, `write_step` counted within the update period.
    read_en, read_address, bits : bitmap read port.
    """

    def __init__(self, config, unit, *, slots):
        self.config, self.unit, self.slots = config, unit, slots
        self.depth = slots * unit.frames * unit.groups
        self.parts = unit.scan_width // unit.granule
        super().__init__({
            "write_en":     In(1),
            "write_slot":   In(range(max(2, slots))),
            "write_step":   In(range(max(2, unit.frames))),
            "write_word":   In(range(max(2, unit.groups * self.parts))),
            "write":        In(unit.granule),
            "read_en":      In(1),
            "read_address": In(range(max(2, self.depth))),
            "bits":         Out(unit.scan_width),
        })

    def elaborate(self, platform):
        m = Module()
        unit, shift = self.unit, self.parts.bit_length() - 1
        m.submodules.bitmaps = bitmaps = Store(
            width=unit.scan_width, depth=self.depth, granule=unit.granule, style=self.config.hardware.memory.history)
        m.d.comb += [
            bitmaps.write_en.eq(self.write_en << self.write_word[:shift]),
            bitmaps.write_address.eq((self.write_slot * unit.frames + self.write_step) * unit.groups
                                     + self.write_word[shift:]),
            bitmaps.write.eq(self.write.replicate(self.parts)),
            bitmaps.read_en.eq(self.read_en), bitmaps.read_address.eq(self.read_address),
            self.bits.eq(bitmaps.read),
        ]
        return m


class SpikeBuffer(wiring.Component):
    """Ring of update periods between two blocks: the input of a later block.

    Accepts one word per cycle while a slot is free. An interval is available in the cycle after its last word was
    accepted; the slot of its update period stays taken until `release`.

    Members
    -------
    i : In(stream.Signature(spike_layout))
    available, label, train : Out
        Of the oldest interval that was not taken.
    take : In(1)
        The block begins this interval.
    release : In(1)
        The update period is over; free its slot.
    base : Out
        First bitmap word of the oldest update period.
    read_en, read_address, bits : bitmap read port.
    written : Out(1)
        Memory write, for the counter.
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        self.slots = config.hardware.spike_slots
        self.store = SpikeStore(config, unit, slots=self.slots)
        self.depth = self.store.depth
        super().__init__({
            "i":            In(stream.Signature(spike_layout(config, unit.granule))),
            "available":    Out(1),
            "label":        Out(range(config.network.classes)),
            "train":        Out(1),
            "take":         In(1),
            "release":      In(1),
            "base":         Out(range(max(2, self.depth))),
            "read_en":      In(1),
            "read_address": In(range(max(2, self.depth))),
            "bits":         Out(unit.scan_width),
            "written":      Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        unit, slots = self.unit, self.slots
        m.submodules.store = store = self.store
        words = -(-unit.n_in // unit.granule)

        used = Signal(slots)
        labels = Signal(data.ArrayLayout(range(self.config.network.classes), slots))
        trains = Signal(slots)
        fill, drain = Signal(range(max(2, slots))), Signal(range(max(2, slots)))
        word, step = Signal(range(max(2, words))), Signal(range(max(2, unit.steps)))
        offset = Signal(range(max(2, unit.frames)))
        intervals = Signal(range(slots * (unit.frames // unit.steps) + 1))
        accept, complete = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~used.bit_select(fill, 1)),
            accept.eq(self.i.valid & self.i.ready),
            complete.eq(accept & (step == unit.steps - 1) & (word == words - 1)),
            store.write_en.eq(accept), store.write_slot.eq(fill), store.write_step.eq(offset + step),
            store.write_word.eq(word), store.write.eq(self.i.payload.spikes), self.written.eq(accept),
        ]
        with m.If(accept):
            m.d.sync += [
                step.eq(step + 1), labels[fill].eq(self.i.payload.label),
                trains.bit_select(fill, 1).eq(self.i.payload.train),
            ]
            with m.If(step == unit.steps - 1):
                m.d.sync += [step.eq(0), word.eq(word + 1)]
        with m.If(complete):
            m.d.sync += [word.eq(0), offset.eq(offset + unit.steps)]
            with m.If(offset == unit.frames - unit.steps):
                m.d.sync += [offset.eq(0), used.bit_select(fill, 1).eq(1)]
                _advance(m, fill, slots)
        with m.If(self.release):
            m.d.sync += used.bit_select(drain, 1).eq(0)
            _advance(m, drain, slots)
        m.d.sync += intervals.eq(intervals + complete - self.take)

        m.d.comb += [
            self.available.eq(intervals != 0),
            self.label.eq(labels[drain]), self.train.eq(trains.bit_select(drain, 1)),
            self.base.eq(drain * (unit.frames * unit.groups)),
            store.read_en.eq(self.read_en), store.read_address.eq(self.read_address), self.bits.eq(store.bits),
        ]
        return m
