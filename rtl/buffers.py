"""Input buffers: frames from outside, spikes from the block before, spikes inside a block.

All three give a unit the same read port on bitmaps; the two at the border of a block also say what is complete.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import register, times
from .promise import promise
from .store import Store
from .violations import violation_layout

__all__ = ["FrameBuffer", "SpikeBuffer", "SpikeStore", "sample_layout", "spike_layout"]


def sample_layout(config):
    """One value of a sample, in order; label and mode are those given with the last value.

    Fields
    ------
    value : unsigned(input.bits)
    label : class of the sample
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

    A sample is available in the cycle after its last value was accepted, until `release`; in that cycle, the last value
    is still being written. Values between `first` and `last` are a sample if they are as many as it has; all others are
    dropped (docs/samples.md).

    Members
    -------
    i : In(stream.Signature(sample_layout(config)))
    sample : In
        Which of the oldest samples, of the batch that is computed.
    available, label, train : Out
        Of that sample.
    release : In(1)
        Free the slots of a whole batch.
    base : Out
        Its first bitmap word.
    read_en, read_address, bits : bitmap read port.
    value_en, value_address, value : read port of the values; a value lies at the place of its bit in the bitmaps.
    bits_written, value_written : Out(1)
        Memory writes, for the counters.
    violations : Out(violation_layout(config))
        What was dropped, or had a label beyond the classes, two cycles before.
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        self.slots = config.hardware.sample_slots
        self.depth = self.slots * unit.bitmap.words
        super().__init__({
            "i":             In(stream.Signature(sample_layout(config))),
            "sample":        In(range(max(2, config.update.batch))),
            "available":     Out(1),
            "label":         Out(range(config.network.classes)),
            "train":         Out(1),
            "release":       In(1),
            "base":          Out(range(max(2, self.depth))),
            "read_en":       In(1),
            "read_address":  In(range(max(2, self.depth))),
            "bits":          Out(unit.bitmap.scan_width),
            "value_en":      In(1),
            "value_address": In(range(max(2, self.depth * unit.bitmap.scan_width))),
            "value":         Out(unit.input.bits),
            "bits_written":  Out(1),
            "value_written": Out(1),
            "violations":        Out(violation_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        unit, slots, style = self.unit, self.slots, self.config.hardware.memory.input
        layout = unit.bitmap
        m.submodules.bitmaps = bitmaps = Store(width=layout.scan_width, depth=self.depth, style=style)
        m.submodules.values = values = Store(
            width=unit.input.bits, depth=self.depth * layout.scan_width, style=style)

        batch = self.config.update.batch
        used = Signal(range(slots + 1))
        labels = Signal(data.ArrayLayout(range(self.config.network.classes), slots))
        trains = Signal(slots)
        fill, drain = Signal(range(max(2, slots))), Signal(range(max(2, slots)))
        # Place of the next value: bitmap word, bit in it, and how many values of its run (an image row, or a pixel
        # that has words of its own) and how many runs come before it.
        run = layout.width * layout.channels if layout.shared else layout.channels
        counters = [Signal(range(max(2, length)), name=name) for name, length in (
            ("group", layout.words), ("bit", layout.scan_width), ("place", run), ("run", -(-unit.n_in // run)))]

        # `first` begins a sample wherever it comes: the counters below are those of the value on the stream.
        now = [Signal.like(counter, name=f"now_{counter.name}") for counter in counters]
        (group, bit, place, runs), (now_group, now_bit, now_place, now_run) = counters, now
        take, complete, word_last, run_last, row_last = Signal(), Signal(), Signal(), Signal(), Signal()
        begun, own, lone = Signal(), Signal(), Signal()  # a sample; this value is part of one; it is all there is
        slot_base = Signal(range(max(2, self.depth)))
        first, last = self.i.payload.first, self.i.payload.last
        m.d.comb += [
            self.i.ready.eq(used != slots),
            take.eq(self.i.valid & self.i.ready),
            *(mine.eq(Mux(first, 0, counter)) for mine, counter in zip(now, counters)),
            slot_base.eq(times(fill, layout.words)),
            run_last.eq(now_place == run - 1),
            row_last.eq(run_last & (now_run == unit.n_in // run - 1)),
            word_last.eq(run_last | (now_bit == layout.scan_width - 1)),
            lone.eq(first & last & ~row_last),
            own.eq(take & (first | begun) & ~lone),
            complete.eq(own & last & row_last),
        ]
        # The value and its bit are written a cycle later: no block reads as soon as that.
        word, collected = Signal(layout.scan_width), Signal(layout.scan_width)
        written_bit, is_set = Signal.like(bit), Signal()
        m.d.sync += [
            values.write_en.eq(own),
            values.write_address.eq(times(slot_base + now_group, layout.scan_width) + now_bit),
            values.write.eq(self.i.payload.value),
            bitmaps.write_en.eq(own & word_last), bitmaps.write_address.eq(slot_base + now_group),
            is_set.eq(self.i.payload.value != 0), written_bit.eq(now_bit),
        ]
        with m.If(values.write_en):
            m.d.sync += collected.eq(word)
        m.d.comb += [
            word.eq(Mux(written_bit == 0, 0, collected) | (is_set << written_bit)), bitmaps.write.eq(word),
            self.bits_written.eq(bitmaps.write_en), self.value_written.eq(values.write_en),
        ]
        with m.If(take):
            m.d.sync += [
                bit.eq(Mux(word_last, 0, now_bit + 1)), group.eq(now_group + word_last),
                place.eq(Mux(run_last, 0, now_place + 1)), runs.eq(now_run + run_last),
                begun.eq(own & ~last & ~row_last),
            ]
        with m.If(complete):
            _advance(m, fill, slots)
        self._violations(m, take=take, own=own, begun=begun, row_last=row_last, complete=complete)
        # Label and flag are taken over a cycle later: no block asks for them as soon as that.
        completed = register(m, complete, name="completed")
        slot_q, label_q, train_q = (register(m, signal, name=f"completed_{name}", reset=False) for name, signal in (
            ("slot", fill), ("label", self.i.payload.label), ("train", self.i.payload.train)))
        with m.If(completed):
            m.d.sync += [labels[slot_q].eq(label_q), trains.bit_select(slot_q, 1).eq(train_q)]
        m.d.sync += used.eq(used + complete - Mux(self.release, batch, 0))
        if slots > batch:
            with m.If(self.release):
                m.d.sync += drain.eq(Mux(drain >= slots - batch, drain - (slots - batch), drain + batch))

        # The slot of the sample: `sample` behind the oldest, around the end of the ring.
        slot, ahead = Signal(range(max(2, slots))), Signal(range(slots + batch))
        m.d.comb += [
            ahead.eq(drain + self.sample), slot.eq(Mux(ahead >= slots, ahead - slots, ahead)),
            self.available.eq(used > self.sample),
            self.label.eq(labels[slot]), self.train.eq(trains.bit_select(slot, 1)),
            self.base.eq(times(slot, layout.words)),
            bitmaps.read_en.eq(self.read_en), bitmaps.read_address.eq(self.read_address),
            self.bits.eq(bitmaps.read),
            values.read_en.eq(self.value_en), values.read_address.eq(self.value_address),
            self.value.eq(values.read),
        ]
        promise(m, platform, ~self.release | (used >= batch), "a buffer frees only samples that it holds")
        return m

    def _violations(self, m, *, take, own, begun, row_last, complete):
        """What is wrong with the value on the stream; known two cycles later, since nobody waits for it."""
        item = self.i.payload
        found = Signal(violation_layout(self.config))
        m.d.sync += [
            found.short.eq((take & item.first & begun) | (own & item.last & ~row_last)),
            found.long.eq(own & ~item.last & row_last),
            found.stray.eq(take & ~own),
            found.label.eq(complete & (item.label >= self.config.network.classes)),
            self.violations.eq(found),
        ]


class SpikeStore(wiring.Component):
    """Spike history of `frames` steps per slot, written in words of `granule` bits and read `scan_width` wide.

    The bitmap word of a slot, step and word of the `Bitmap` is ``(slot * frames + step) * words + word``. Writes come
    word by word, all steps of an interval for each; the place of the word is counted here.

    Members
    -------
    write_en, write_slot, write_step, write : In
        Spikes of one word of neurons, `write_step` counted within the slot.
    write_last : In(1)
        The last step of this word.
    write_ends : Out(1)
        It belongs to the last word of the interval.
    read_en, read_address, bits : bitmap read port.
    """

    def __init__(self, config, unit, *, slots):
        self.config, self.unit, self.slots = config, unit, slots
        self.depth = slots * unit.frames * unit.bitmap.words
        super().__init__({
            "write_en":     In(1),
            "write_slot":   In(range(max(2, slots))),
            "write_step":   In(range(max(2, unit.frames))),
            "write_last":   In(1),
            "write_ends":   Out(1),
            "write":        In(unit.granule),
            "read_en":      In(1),
            "read_address": In(range(max(2, self.depth))),
            "bits":         Out(unit.bitmap.scan_width),
        })

    def elaborate(self, platform):
        m = Module()
        unit, layout = self.unit, self.unit.bitmap
        m.submodules.bitmaps = bitmaps = Store(
            width=layout.scan_width, depth=self.depth, granule=unit.granule, style=self.config.hardware.memory.history)

        # A word of the bitmap ends when it is full, with its pixel or with its image row.
        part, word = Signal(range(max(2, layout.parts))), Signal(range(max(2, layout.words)))
        left, across = Signal(range(max(2, layout.granules))), Signal(range(max(2, layout.width)))
        pixel_ends, row_ends = Signal(), Signal()
        m.d.comb += [
            pixel_ends.eq(left == layout.granules - 1),
            row_ends.eq(pixel_ends & (across == layout.width - 1)),
            self.write_ends.eq(row_ends & (word == layout.words - 1)),
        ]
        with m.If(self.write_en & self.write_last):
            m.d.sync += [left.eq(Mux(pixel_ends, 0, left + 1)), part.eq(part + 1)]
            with m.If(pixel_ends):
                m.d.sync += across.eq(Mux(row_ends, 0, across + 1))
            with m.If((part == layout.parts - 1) | (row_ends if layout.shared else pixel_ends)):
                m.d.sync += [part.eq(0), word.eq(Mux(self.write_ends, 0, word + 1))]
        m.d.comb += [
            bitmaps.write_en.eq(self.write_en << part),
            bitmaps.write_address.eq(times(self.write_slot, unit.frames * layout.words)
                                     + times(self.write_step, layout.words) + word),
            bitmaps.write.eq(self.write.replicate(layout.parts)),
            bitmaps.read_en.eq(self.read_en), bitmaps.read_address.eq(self.read_address),
            self.bits.eq(bitmaps.read),
        ]
        return m


def ring_members(config, unit, payload, depth):
    """Members of a buffer that hands over intervals: `SpikeBuffer`, and `EventBuffer` with other items."""
    return {
        "i":            In(stream.Signature(payload)),
        "available":    Out(1),
        "label":        Out(range(config.network.classes)),
        "train":        Out(1),
        "take":         In(1),
        "release":      In(1),
        "base":         Out(range(max(2, depth))),
        "read_en":      In(1),
        "read_address": In(range(max(2, depth))),
        "bits":         Out(unit.bitmap.scan_width),
        "written":      Out(1),
    }


class SpikeBuffer(wiring.Component):
    """Ring of update periods, or of intervals where gradients are accumulated: the input of a later block.

    Accepts one word per cycle while a slot is free. An interval is available in the cycle after its last word was
    accepted; its slot stays taken until `release`.

    Members
    -------
    i : In(stream.Signature(spike_layout))
    available, label, train : Out
        Of the oldest interval that was not taken.
    take : In(1)
        The block begins this interval.
    release : In(1)
        The oldest slot is not needed any more; free it.
    base : Out
        First bitmap word of the oldest slot.
    read_en, read_address, bits : bitmap read port.
    written : Out(1)
        Memory write, for the counter.
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        self.slots = config.hardware.spike_slots
        self.store = SpikeStore(config, unit, slots=self.slots)
        self.depth = self.store.depth
        super().__init__(ring_members(config, unit, spike_layout(config, unit.granule), self.depth))

    def elaborate(self, platform):
        m = Module()
        unit, slots = self.unit, self.slots
        m.submodules.store = store = self.store

        used = Signal(slots)
        labels = Signal(data.ArrayLayout(range(self.config.network.classes), slots))
        trains = Signal(slots)
        fill, drain = Signal(range(max(2, slots))), Signal(range(max(2, slots)))
        step = Signal(range(max(2, unit.steps)))
        offset = Signal(range(max(2, unit.frames)))
        intervals = Signal(range(slots * (unit.frames // unit.steps) + 1))
        accept, complete = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~used.bit_select(fill, 1)),
            accept.eq(self.i.valid & self.i.ready),
            complete.eq(accept & store.write_last & store.write_ends),
            store.write_en.eq(accept), store.write_slot.eq(fill), store.write_step.eq(offset + step),
            store.write_last.eq(step == unit.steps - 1), store.write.eq(self.i.payload.spikes), self.written.eq(accept),
        ]
        with m.If(accept):
            m.d.sync += [
                step.eq(step + 1), labels[fill].eq(self.i.payload.label),
                trains.bit_select(fill, 1).eq(self.i.payload.train),
            ]
            with m.If(store.write_last):
                m.d.sync += step.eq(0)
        with m.If(complete):
            m.d.sync += offset.eq(offset + unit.steps)
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
            self.base.eq(times(drain, unit.frames * unit.bitmap.words)),
            store.read_en.eq(self.read_en), store.read_address.eq(self.read_address), self.bits.eq(store.bits),
        ]
        promise(m, platform, (~self.take | self.available) & (~self.release | used.bit_select(drain, 1)),
                "only an interval that is complete is taken, and only a full slot is freed")
        return m
