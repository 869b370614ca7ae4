"""Gradients that are summed in a memory: event by event in every interval, applied once per update period."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden import stages
from .arithmetic import register, times
from .pick import PickBits
from .pipeline import Pipeline
from .promise import promise
from .scan import EventScan
from .store import Store
from .taps import TapWalk, lookup
from .walk import Rectangles

__all__ = ["AccumulatePath", "ApplyScan", "gradient_layout"]


def gradient_layout(unit):
    """A word of the gradient memory: whether a row was active, and the sum of each lane."""
    return data.StructLayout({"touched": 1, "sums": data.ArrayLayout(signed(unit.gradient_width), unit.lanes)})


class ApplyScan(wiring.Component):
    """Visits every word of the gradient memory: row by row, word by word of a row, one per cycle.

    Same members as `UpdateScan`, with one step per word; `used` tells rows of the weight matrix from the bits between
    pixels that are never set.
    """

    def __init__(self, unit):
        self.unit = unit
        super().__init__({
            "start":       In(1),
            "valid":       Out(1),
            "row":         Out(range(max(2, unit.fan_rows))),
            "weight_base": Out(range(max(2, unit.weight_depth))),
            "used":        Out(1),
            "full":        Out(1),
            "finish":      Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        unit = self.unit
        channels = unit.shape_in[2]
        pitch = unit.fan_address(channels) if unit.fan_in > channels else channels
        place = Signal(range(max(2, pitch)))
        m.d.comb += self.used.eq(place < channels if pitch > channels else 1)
        group = Signal(range(max(2, unit.channel_words)))
        last = Signal()
        m.d.comb += [last.eq(group == unit.channel_words - 1), self.full.eq(~last)]
        m.d.sync += self.finish.eq(0)
        with m.If(self.start):
            m.d.sync += [self.valid.eq(1), self.row.eq(0), group.eq(0), self.weight_base.eq(0), place.eq(0)]
        with m.Elif(self.valid):
            m.d.sync += [group.eq(group + 1), self.weight_base.eq(self.weight_base + unit.fan_rows)]
            with m.If(last):
                m.d.sync += [group.eq(0), self.weight_base.eq(0), self.row.eq(self.row + 1),
                             place.eq(Mux(place == pitch - 1, 0, place + 1))]
                with m.If(self.row == unit.fan_rows - 1):
                    m.d.sync += [self.valid.eq(0), self.finish.eq(1)]
        return m


class AccumulatePath(wiring.Component):
    """Sum of equation (7) over one slice of an interval, into memory: a weight word per cycle, whatever was added last.

    For each step and each active input, the errors of the outputs that it reaches are added to the words of their
    weights. From `start` to `done` (both included) `golden.schedule.accumulate_cycles`. The memory is cleared after
    reset, which takes a cycle per word; `ready` says that it is.

    Parameters
    ----------
    unit : Unit
    depth : int
        Words of the bitmap memory.
    term_width : int
        Bits of an error, or of its product with a frame value.

    Members
    -------
    start, base, fetch, address, bits : as `ForwardPath`
    error_en, error_address : Out
        Read of one error word, in stage ``address``; its data return as `terms`.
    position : Out
        Bit of the input in the bitmap memory, with `error_en`.
    of_bias : Out(1)
        Only with a bias: as of `ForwardPath`, with `error_en`.
    terms : In(ArrayLayout)
        Errors, or their products with the frame value, in stage ``term``.
    full : Out(1)
        Whether all lanes of the operation with `error_en` hold a neuron.
    done : Out(1)
        The last sum is written.
    ready : Out(1)
        The memory has been cleared.
    apply_en, apply_address : In
        Read of one word, only while nothing is summed; it is not touched any more afterwards.
    apply : Out(gradient_layout)
        That word, one cycle later.
    reads, writes : Out(1)
        Accesses of the memory, for the counters.
    """

    def __init__(self, unit, *, depth, term_width):
        self.unit = unit
        layout = unit.bitmap
        # The input of a bias is the only bit of a word after the image, in a row of its own.
        bias = unit.weights.bias
        tag = data.StructLayout({
            "y": range(max(2, layout.height + bias)), "group": range(max(2, layout.groups)),
            "address": range(max(2, depth))})
        walk = Rectangles(
            words=1, steps=1 if unit.input.static else unit.slice_steps, rows=layout.height + bias,
            groups=layout.groups, row_pitch=layout.groups, step_pitch=layout.words, depth=depth)
        self.scan = EventScan(walk, PickBits(layout.scan_width), tag=tag, constant=bias)
        super().__init__({
            "start":         In(1),
            "base":          In(range(max(2, depth))),
            "fetch":         Out(1),
            "address":       Out(range(max(2, depth))),
            "bits":          In(layout.scan_width),
            "error_en":      Out(1),
            "error_address": Out(range(max(2, unit.words * unit.error_frames))),
            "position":      Out(range(max(2, depth * layout.scan_width))),
            "terms":         In(data.ArrayLayout(signed(term_width), unit.lanes)),
            "full":          Out(1),
            "done":          Out(1),
            "ready":         Out(1),
            "apply_en":      In(1),
            "apply_address": In(range(max(2, unit.weight_depth))),
            "apply":         Out(gradient_layout(unit)),
            "reads":         Out(1),
            "writes":        Out(1),
        } | ({"of_bias": Out(1)} if bias else {}))

    def elaborate(self, platform):
        m = Module()
        unit, layout = self.unit, self.unit.bitmap
        m.submodules.scan = scan = self.scan
        m.submodules.taps = taps = TapWalk(unit, bias=unit.weights.bias)
        m.d.comb += [
            scan.start.eq(self.start), scan.base.eq(self.base), scan.bits.eq(self.bits),
            self.fetch.eq(scan.fetch), self.address.eq(scan.address),
            scan.last_row.eq(layout.height - 1 + unit.weights.bias),
            scan.tag_in.y.eq(scan.read_row), scan.tag_in.group.eq(scan.read_group),
            scan.tag_in.address.eq(scan.address),
            scan.mask.eq(self._mask(m, scan)),
            taps.y.eq(scan.tag.y), taps.active.eq(scan.event), scan.stay.eq(~taps.last),
        ]
        of_bias = None
        if unit.weights.bias:
            of_bias = scan.tag.y == layout.height
            m.d.comb += [scan.constant.eq(scan.read_row == layout.height),
                         scan.last_group.eq(Mux(scan.constant, 0, layout.groups - 1))]
        else:
            m.d.comb += scan.last_group.eq(layout.groups - 1)
        if layout.shared:
            bits = range(layout.scan_width)
            x = times(scan.tag.group, layout.per_word) + lookup(
                m, scan.index, [bit // layout.pitch for bit in bits], name="pixel")
            channel = lookup(m, scan.index, [bit % layout.pitch for bit in bits], name="channel")
        else:
            groups = range(layout.groups)
            x = lookup(m, scan.tag.group, [g // layout.per_pixel for g in groups], name="pixel")
            channel = scan.index + lookup(
                m, scan.tag.group, [g % layout.per_pixel * layout.scan_width for g in groups], name="channel")
        m.d.comb += [taps.x.eq(x if of_bias is None else Mux(of_bias, layout.width, x)), taps.channel.eq(channel)]

        step = Signal(range(max(2, unit.error_frames)))
        m.d.comb += step.eq(0 if unit.input.static else scan.step)
        names = stages.accumulate(unit)
        m.submodules.walked = walked = Pipeline(
            names, valid=taps.active, step=step, index=scan.index, address=scan.tag.address,
            final=scan.valid & scan.final, **({} if of_bias is None else {"of_bias": of_bias}))
        own = walked["walked"]
        m.submodules.pipe = s = Pipeline(
            names.since("walked"), valid=own.valid, row=taps.row, weight_base=taps.weight_base, word=taps.word,
            step=own.step, full=taps.full, index=own.index, address=own.address, final=own.final,
            **({} if of_bias is None else {"of_bias": own.of_bias}))
        m.d.sync += [
            self.error_address.eq(times(s["place"].word, unit.error_frames) + s["place"].step),
            self.position.eq(times(s["place"].address, layout.scan_width) + s["place"].index),
        ]
        m.d.comb += [self.error_en.eq(s["address"].valid), self.full.eq(s["address"].full)]
        if of_bias is not None:
            m.d.comb += self.of_bias.eq(s["address"].of_bias)
        self._memory(m, names, s)
        # From the operation to the memory.
        sums = [s[stage].valid for stage in range(len(names.since("walked")))]
        promise(m, platform, ~self.apply_en | (self.ready & ~Cat(scan.valid, sums).any()),
                "sums are read only while nothing is summed")
        return m

    def _mask(self, m, scan):
        """Bits of a bitmap word that hold an input: in an image row's last word, or in the last of a pixel, not all."""
        layout, every = self.unit.bitmap, (1 << self.unit.bitmap.scan_width) - 1
        if layout.shared:
            rest = layout.width - (layout.groups - 1) * layout.per_word
            masks = [every] * (layout.groups - 1) + [(1 << rest * layout.pitch) - 1]
        else:
            masks = [(1 << layout.partial) - 1 if g % layout.per_pixel == layout.per_pixel - 1 else every
                     for g in range(layout.groups)]
        return lookup(m, scan.read_group, masks, name="valid_bits")

    def _memory(self, m, names, s):
        """Read, register, add, write, one cycle each; a sum that is still on its way to memory is taken from there."""
        unit, layout = self.unit, gradient_layout(self.unit)
        m.submodules.gradient_store = store = Store(width=layout.size, depth=unit.weight_depth, bypassed=True)
        m.submodules.places = places = Pipeline(
            names.since("place"), place=(s["place"].weight_base + s["place"].row)[:len(self.apply_address)])
        place = places["recall"].place
        clearing = Signal(init=1)
        sweep = Signal(range(max(2, unit.weight_depth)))
        m.d.comb += self.ready.eq(~clearing)
        with m.If(clearing):
            m.d.sync += [sweep.eq(sweep + 1), clearing.eq(sweep != unit.weight_depth - 1)]

        # What is read lacks the sums of the three operations before: one is being added, one is written, one was
        # written in the cycle of the reading. Whether they are of the same word is known a cycle before it matters.
        # An event visits all channel words one after the other, so that a word does not come again before the others.
        arrived, here, before, earlier = (Signal(range(max(2, unit.weight_depth)), name=name)
                                          for name in ("arrived", "here", "before", "earlier"))
        m.d.sync += [arrived.eq(place), here.eq(arrived), before.eq(here), earlier.eq(before)]
        adding, writing, written = (
            register(m, s[stage].valid & (address == other), name=name) if distance >= unit.channel_words else 0
            for distance, name, stage, address, other in (
                (1, "adding", "term", arrived, here), (2, "writing", "term", place, here),
                (3, "written", "sum", place, before)))
        read = data.View(layout, store.read)
        total, older, known = (Signal(layout.members["sums"], name=name, reset_less=True)
                               for name in ("total", "older", "known"))
        for lane in range(unit.lanes):
            m.d.sync += [
                known[lane].eq(Mux(writing, total[lane], Mux(
                    written, older[lane], Mux(read.touched, read.sums[lane], 0)))),
                total[lane].eq(Mux(adding, total[lane], known[lane]) + self.terms[lane]),
            ]
        m.d.sync += older.eq(total)
        applied = Signal()
        applied_address = Signal.like(self.apply_address)
        m.d.sync += [applied.eq(self.apply_en), applied_address.eq(self.apply_address)]
        write = Signal(layout)
        m.d.comb += [
            store.read_en.eq(s["recall"].valid | self.apply_en),
            store.read_address.eq(Mux(self.apply_en, self.apply_address, place)),
            self.apply.eq(read),
            write.touched.eq(s["sum"].valid), write.sums.eq(total),
            store.write.eq(write.as_value()),
            # What was applied begins anew.
            store.write_en.eq(s["sum"].valid | (applied & read.touched) | clearing),
            store.write_address.eq(Mux(clearing, sweep, Mux(applied, applied_address, before))),
            self.reads.eq(store.read_en), self.writes.eq(store.write_en & ~clearing),
            self.done.eq(s["sum"].final),
        ]
