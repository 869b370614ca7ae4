"""Event input: the buffer of a first block whose samples are streams of events."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from ..golden.units import clog2
from .arithmetic import times
from .buffers import ring_members, sample_layout
from .promise import promise
from .store import Store
from .taps import lookup
from .violations import violation_layout

__all__ = ["EventBuffer", "event_layout", "input_layout"]


def event_layout(config):
    """One event, or the end of a time step; label and mode of an interval are those given with its last item.

    Fields
    ------
    y, x, channel : place of the event (channel: its polarity); an event that comes twice counts once
    end : no event, but the end of a step; as many as there are steps make a sample
    label : class of the sample
    train : whether the weights learn from it
    first : the first item of a sample; it begins one anew whatever came before
    """
    height, width, channels = config.input.shape
    return data.StructLayout({
        "y": range(max(2, height)), "x": range(max(2, width)), "channel": range(max(2, channels)), "end": 1,
        "label": range(config.network.classes), "train": 1, "first": 1})


def input_layout(config):
    """What the core takes: `event_layout` or `sample_layout`."""
    return event_layout(config) if config.input.kind == "events" else sample_layout(config)


class EventBuffer(wiring.Component):
    """Ring of update periods, or of intervals where gradients are accumulated: events set bits in cleared memory.

    Clears a free slot, one word per cycle, then accepts one item per cycle. An interval is available in the cycle after
    the end of its last step was accepted; its slot stays taken until `release`. With batches, items come interval by
    interval of one sample after another. A `first` that comes too early waits until the missing steps are taken as
    empty, one per cycle; what comes where a sample must begin, but without `first`, is dropped (docs/samples.md).

    Members
    -------
    i : In(stream.Signature(event_layout(config)))
    available, label, train, take, release, base, read_en, read_address, bits : as `SpikeBuffer`
    written : Out(1)
        An event is written.
    violations : Out(violation_layout(config))
        What was wrong with an item, or with a label, two cycles before.
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        self.slots = config.hardware.spike_slots
        self.depth = self.slots * unit.frames * unit.bitmap.words
        super().__init__({**ring_members(config, unit, event_layout(config), self.depth),
                          "violations": Out(violation_layout(config))})

    def elaborate(self, platform):
        m = Module()
        unit, layout, slots, item = self.unit, self.unit.bitmap, self.slots, self.i.payload
        length = unit.frames * layout.words
        m.submodules.bitmaps = bitmaps = Store(
            width=layout.scan_width, depth=self.depth, granule=1, style=self.config.hardware.memory.input)

        used = Signal(range(slots + 1))
        labels = Signal(data.ArrayLayout(range(self.config.network.classes), slots))
        trains = Signal(slots)
        fill, drain = Signal(range(max(2, slots))), Signal(range(max(2, slots)))
        clearing, sweep = Signal(init=1), Signal(range(max(2, length)))
        step, within = Signal(range(max(2, unit.frames))), Signal(range(max(2, unit.steps)))
        intervals = Signal(range(slots * (unit.frames // unit.steps) + 1))
        # `begins`: the next item must say `first`. `fills`: a step is taken as empty, since an item says so too early.
        accept, fills, ends, interval_ends, slot_ends, inside = (Signal(name=name) for name in (
            "accept", "fills", "ends", "interval_ends", "slot_ends", "inside"))
        begins = self._begins(m, accept | fills, interval_ends)
        m.d.comb += [
            self.i.ready.eq(~clearing & (begins | ~(self.i.valid & item.first))),
            fills.eq(self.i.valid & item.first & ~begins & ~clearing),
            accept.eq(self.i.valid & self.i.ready & (item.first | ~begins)),
            ends.eq(accept & item.end | fills),
            interval_ends.eq(ends & (within == unit.steps - 1)),
            slot_ends.eq(ends & (step == unit.frames - 1)),
            inside.eq(Cat(place < size for place, size in zip((item.y, item.x, item.channel), unit.shape_in)).all()),
            self.written.eq(accept & ~item.end & inside),
        ]

        # Clear, then set bits.
        slot_base = Signal(range(max(2, self.depth)))
        word, bit = Signal(range(max(2, layout.words))), Signal(max(1, clog2(layout.scan_width)))
        m.d.comb += [
            slot_base.eq(times(fill, length)),
            Cat(bit, word).eq(self._place(m)),
            bitmaps.write_en.eq(Mux(
                clearing, (used != slots).replicate(layout.scan_width), Mux(self.written, 1 << bit, 0))),
            bitmaps.write_address.eq(slot_base + Mux(
                clearing, sweep, times(step, layout.words) + word)),
            bitmaps.write.eq(Mux(clearing, 0, ~0)),
        ]
        with m.If(clearing & (used != slots)):
            m.d.sync += sweep.eq(sweep + 1)
            with m.If(sweep == length - 1):
                m.d.sync += [sweep.eq(0), clearing.eq(0)]

        # A step that is taken as empty may begin an interval: it has the label of the items before.
        label, last_label = (Signal.like(item.label, name=name) for name in ("label", "last_label"))
        train, last_train = Signal(), Signal()
        m.d.comb += [label.eq(Mux(fills, last_label, item.label)), train.eq(Mux(fills, last_train, item.train))]
        with m.If(accept | fills):
            m.d.sync += [
                last_label.eq(label), last_train.eq(train), labels[fill].eq(label),
                trains.bit_select(fill, 1).eq(train)]
        with m.If(ends):
            m.d.sync += [step.eq(step + 1), within.eq(within + 1)]
        with m.If(interval_ends):
            m.d.sync += within.eq(0)
        with m.If(slot_ends):
            m.d.sync += [step.eq(0), clearing.eq(1), fill.eq(Mux(fill == slots - 1, 0, fill + 1))]
        with m.If(self.release):
            m.d.sync += drain.eq(Mux(drain == slots - 1, 0, drain + 1))
        m.d.sync += [
            used.eq(used + slot_ends - self.release), intervals.eq(intervals + interval_ends - self.take)]

        filling = Signal()  # of a sample that is short already
        found = Signal(violation_layout(self.config))
        m.d.sync += [
            filling.eq(Mux(clearing, filling, fills)),
            found.short.eq(fills & ~filling),
            found.stray.eq(self.i.valid & self.i.ready & ~accept),
            found.place.eq(accept & ~item.end & ~inside),
            found.label.eq(interval_ends & (label >= self.config.network.classes)),
            self.violations.eq(found),
        ]

        m.d.comb += [
            self.available.eq(intervals != 0),
            self.label.eq(labels[drain]), self.train.eq(trains.bit_select(drain, 1)),
            self.base.eq(times(drain, length)),
            bitmaps.read_en.eq(self.read_en), bitmaps.read_address.eq(self.read_address), self.bits.eq(bitmaps.read),
        ]
        promise(m, platform, (~self.take | self.available) & (~self.release | (used != 0)),
                "only an interval that is complete is taken, and only a full slot is freed")
        return m

    def _begins(self, m, moves, interval_ends):
        """Whether the next item must be the first of a sample: nothing of a first interval is there yet."""
        config, fresh = self.config, Signal(init=1)
        sample, interval = Signal(range(max(2, config.update.batch))), Signal(range(max(2, config.intervals)))
        with m.If(moves):
            m.d.sync += fresh.eq(0)
        with m.If(interval_ends):
            m.d.sync += [fresh.eq(1), sample.eq(sample + 1)]
            with m.If(sample == config.update.batch - 1):
                m.d.sync += [sample.eq(0), interval.eq(interval + 1)]
                with m.If(interval == config.intervals - 1):
                    m.d.sync += interval.eq(0)
        return fresh & (interval == 0)

    def _place(self, m):
        """Bit of the event in the bitmap words of a step; a word has a power of two of them, or less are used."""
        unit, layout, item = self.unit, self.unit.bitmap, self.i.payload
        _, width, channels = unit.shape_in
        bits = 1 << max(1, clog2(layout.scan_width))
        if unit.window.kind == "dense":
            return times(item.y, width * channels) + times(item.x, channels) + item.channel
        places = [layout.granule_place(x, 0) for x in range(width)]
        inside = [layout.granule_place(0, channel) for channel in range(layout.granules)]
        return (times(item.y, layout.groups * bits)
                + lookup(m, item.x, [word * bits + bit for word, bit in places], name="pixel")
                + lookup(m, item.channel, [word * bits + bit for word, bit in inside], name="own"))
