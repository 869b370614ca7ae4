"""Forward pass of one unit: addresses, accumulators, neurons."""

from pkgutil import resolve_name
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden import stages
from ..golden.units import clog2
from .arithmetic import copies, shift_floor, shift_kept, times
from .pick import PickBits, PickWord
from .pipeline import Pipeline, count_steps
from .scan import EventScan
from .taps import lookup
from .walk import Rectangles

__all__ = ["ForwardPath"]


class _Neurons(NamedTuple):
    """What the neurons do in a cycle (`begin` to `integrate`, by lane), and what stands at the outputs (the others).

    `begin` takes over the sum of a word, where it is needed longer than the lanes keep it.
    """

    begin: object
    decay: object
    integrate: object
    valid: object
    word: object
    step: object
    word_last: object
    full: object
    final: object


class ForwardPath(wiring.Component):
    """``k`` steps of one unit, output-stationary: word by word, step by step, one active input of its window per cycle.

    Equation (1) and (2). The weight words of the active inputs are summed exactly in lane registers; the potential
    stays in its lane through the steps of an interval, so that memory is touched once per word and interval. The
    current of a static frame is summed once: while the neurons of a word walk through the ``k`` steps with it, the
    lanes sum the next word. A pooling adds all channels of a tap at once. One operation per cycle without a gap; from
    `start` to `done` (both included) `golden.schedule.forward_cycles`.

    Parameters
    ----------
    config : Config
    unit : Unit
        Sizes and widths.

    Members
    -------
    start, base : In
        Begin with the input bitmaps at word `base`.
    first_interval, last_interval : In(1)
        Potentials start from zero, and none is read (`stored` is zero); potentials need not be kept.
    train : In(1)
        Only with dropout in the layer below: inputs count in full.
    fetch, address, bits
        Port of the input bitmaps.
    event, weight_address : Out
        An operation that adds, in stage ``address``, and the weight word that it reads; the unit multiplies where it
        must and returns it as `terms`.
    position : Out
        Bit of the input in the bitmap memory: the address of its frame value.
    of_bias : Out(1)
        Only with a bias: with `event`, its input is that of the bias, which is always 1.0 and not in memory.
    terms : In(ArrayLayout)
        Weight word, or product with the frame value, in stage ``term``; a pooling of spikes has its own.
    stored_en, stored_address, stored : potential read port; the data stand two cycles later.
    keep_en, keep_address, keep : potential write port.
    out_valid, out_word, out_step, out_spikes, out_codes, out_potentials, out_word_last : Out
        One word of neurons of one step.
    full : Out(1)
        Whether all lanes of that operation hold a neuron.
    done : Out(1)
        The last word stands at the outputs.
    """

    def __init__(self, config, unit, *, depth, term_width):
        self.config, self.unit = config, unit
        lanes, width = unit.lanes, unit.neuron.width
        layout = unit.bitmap
        rows, columns = unit.windows
        # The input of a bias is the only bit of a word after those of the window.
        bias = unit.weights.bias
        self.visited = [range(span.count) if unit.window.pools else layout.visited(span.first, span.count)
                        for span in columns]
        tag = data.StructLayout({
            # Of the first bit of a bitmap word: row of the weights (it may lie before the window) and address.
            "row": signed(clog2(unit.fan_rows + layout.scan_width) + 1),
            "address": range(max(2, depth)),
            "part": range(max(2, layout.parts)),
            **({"of_bias": 1} if bias else {}),
        })
        walk = Rectangles(
            words=unit.words, steps=1 if unit.input.static else unit.steps,
            rows=max(span.count for span in rows) + bias, groups=max(map(len, self.visited)),
            row_pitch=layout.groups, step_pitch=layout.words, group_pitch=0 if unit.window.pools else 1, depth=depth)
        pick = PickWord(layout.scan_width) if unit.window.pools else PickBits(layout.scan_width)
        self.scan = EventScan(walk, pick, minimum=unit.step_minimum, tag=tag, constant=bias)
        super().__init__({
            "start":           In(1),
            "base":            In(range(max(2, depth))),
            "first_interval":  In(1),
            "last_interval":   In(1),
            "fetch":           Out(1),
            "address":         Out(range(max(2, depth))),
            "bits":            In(layout.scan_width),
            "event":           Out(1),
            "weight_address":  Out(range(max(2, unit.weight_depth))),
            "position":        Out(range(max(2, depth * layout.scan_width))),
            "terms":           In(data.ArrayLayout(signed(term_width), lanes)),
            "stored_en":       Out(1),
            "stored_address":  Out(range(max(2, unit.words))),
            "stored":          In(data.ArrayLayout(signed(width), lanes)),
            "keep_en":         Out(1),
            "keep_address":    Out(range(max(2, unit.words))),
            "out_valid":       Out(1),
            "out_word":        Out(range(max(2, unit.words))),
            "out_step":        Out(range(max(2, unit.steps))),
            "out_word_last":   Out(1),
            "out_spikes":      Out(lanes),
            "out_codes":       Out(data.ArrayLayout(unit.neuron.code_bits, lanes)),
            "out_potentials":  Out(data.ArrayLayout(signed(width), lanes)),
            "full":            Out(1),
            "done":            Out(1),
        } | ({"train": In(1)} if unit.input.dropout else {}) | ({"of_bias": Out(1)} if bias else {}))

    def elaborate(self, platform):
        m = Module()
        unit = self.unit
        m.submodules.scan = scan = self.scan
        m.d.comb += [
            scan.start.eq(self.start), scan.base.eq(self.base), scan.bits.eq(self.bits),
            self.fetch.eq(scan.fetch), self.address.eq(scan.address),
        ]

        self._window(m, scan)

        # Stage 0: which weight word. Rows count within a channel word.
        channel_last = Signal()
        group = Signal(range(max(2, unit.channel_words)))
        group_base = Signal(range(max(2, unit.weight_depth)))
        m.d.comb += channel_last.eq(group == unit.channel_words - 1)
        with m.If(self.start):
            m.d.sync += [group.eq(0), group_base.eq(0)]
        with m.Elif(scan.last & scan.word_last):
            m.d.sync += [group.eq(Mux(channel_last, 0, group + 1)),
                         group_base.eq(Mux(channel_last, 0, group_base + unit.fan_rows))]
        # The place of the first bit of the bitmap word; it may lie before the window, and so before the first word.
        base = Signal(signed(max(len(scan.tag.row), len(group_base) + 1) + 1))
        m.d.comb += base.eq(scan.tag.row + group_base)

        names = stages.forward(unit)
        m.submodules.pipe = s = Pipeline(
            names, valid=scan.valid, event=scan.event, base=base, index=scan.index, address=scan.tag.address,
            full=~channel_last, **({"of_bias": scan.tag.of_bias} if unit.weights.bias else {}),
            **({"spikes": scan.seen.word_select(scan.tag.part, unit.granule)} if unit.window.pools else {}),
            first=scan.valid & scan.first, last=scan.valid & scan.last, final=scan.valid & scan.final)

        m.d.sync += [
            self.weight_address.eq(s["place"].base + s["place"].index),
            self.position.eq(times(s["place"].address, unit.bitmap.scan_width) + s["place"].index),
        ]
        m.d.comb += [self.event.eq(s["address"].event), self.full.eq(s["address"].full)]
        apart = None  # a bias that is not summed with what dropout takes of
        if unit.weights.bias:
            m.d.comb += self.of_bias.eq(s["address"].of_bias)
            if unit.input.dropout:
                apart = s["prepare"].of_bias
        adds, begins_sum = (copies(m, flag, unit.lanes, name=name) for flag, name in (
            (s["prepare"].event & (1 if apart is None else ~apart), "adds"), (s["prepare"].first, "begins_sum")))
        if apart is not None:
            takes_bias = copies(m, s["prepare"].event & apart, unit.lanes, name="takes_bias")
        place = count_steps(m, names.since("recall"), s["recall"].last, words=unit.words, steps=self.scan.walk.steps)
        neurons = self._walk(m, s["term"], s["sum"], place["sum"]) if unit.input.static else self._follow(
            m, s["term"], s["result"], place["result"])
        # The potential of a word is read three cycles before its first step begins: address, memory, the neuron itself.
        read, begins = (s[stage].last if unit.input.static else s[stage].first & place[stage].word_first
                        for stage in ("recall", "prepare"))
        load = copies(m, begins, unit.lanes, name="load")
        m.d.comb += [self.stored_en.eq(read & ~self.first_interval), self.stored_address.eq(place["recall"].word)]

        for lane in range(unit.lanes):
            # With dropout below, `total` is scaled here already.
            width, align = (unit.current_width, 0) if unit.input.dropout else (unit.sum_width, unit.align)
            neuron = resolve_name(unit.neuron.forward)(unit.neuron, total_width=width, align=align)
            m.submodules[f"neuron{lane}"] = neuron
            total = Signal(signed(unit.sum_width), name=f"total_{lane}", reset_less=True)
            if unit.window.pools and not unit.input.static:
                term = Mux(s["term"].spikes[lane], unit.pool_weight, 0)
            else:
                term = self.terms[lane]
            # Operations without an event change nothing, or are the first of a sum of nothing.
            with m.If(adds[lane]):
                m.d.sync += total.eq(Mux(begins_sum[lane], 0, total) + term)
            with m.Elif(begins_sum[lane]):
                m.d.sync += total.eq(0)
            summed, bias = total, None
            if apart is not None:
                bias = Signal.like(self.terms[lane], name=f"bias_{lane}", reset_less=True)
                with m.If(takes_bias[lane]):
                    m.d.sync += bias.eq(self.terms[lane])
            if unit.input.static:
                summed = Signal.like(total, name=f"current_{lane}", reset_less=True)
                with m.If(neurons.begin[lane]):
                    m.d.sync += summed.eq(total)
            m.d.comb += [
                neuron.load.eq(load[lane]),
                neuron.stored.eq(self.stored[lane]),
                neuron.decay.eq(neurons.decay[lane]),
                neuron.integrate.eq(neurons.integrate[lane]),
                neuron.total.eq(self._scaled(m, summed, bias, lane)),
                # Lanes without a neuron hold anything.
                self.out_spikes[lane].eq(neuron.spike & (neurons.full if lane >= unit.last_lanes else 1)),
                self.out_codes[lane].eq(neuron.code),
                self.out_potentials[lane].eq(neuron.potential),
            ]
        m.d.comb += [
            self.out_valid.eq(neurons.valid), self.out_word.eq(neurons.word), self.out_step.eq(neurons.step),
            self.out_word_last.eq(neurons.word_last),
            self.keep_en.eq(neurons.valid & neurons.word_last & ~self.last_interval),
            self.keep_address.eq(neurons.word), self.done.eq(neurons.final),
        ]
        return m

    def _scaled(self, m, total, bias, lane):
        """A sum; where training drops inputs, in units of the last potential bit, and less of it in inference."""
        unit = self.unit
        if not unit.input.dropout:
            return total
        return Mux(self.train, shift_floor(total if bias is None else total + bias, -unit.align),
                   shift_kept(m, total, -unit.align, unit.input.dropout, bias, name=f"share_{lane}"))

    def _window(self, m, scan):
        """The bitmap words under the window of the word that the scan reads, and what travels with them."""
        unit, (rows, columns) = self.unit, self.unit.windows
        y, x = Signal(range(max(2, unit.shape_out[0]))), Signal(range(max(2, unit.shape_out[1])))
        group = Signal(range(max(2, unit.channel_words)))
        with m.If(scan.read_word):
            m.d.sync += group.eq(group + 1)
            with m.If(group == unit.channel_words - 1):
                m.d.sync += [group.eq(0), x.eq(x + 1)]
                with m.If(x == len(columns) - 1):
                    m.d.sync += [x.eq(0), y.eq(y + 1)]
        with m.If(self.start):
            m.d.sync += [y.eq(0), x.eq(0), group.eq(0)]
        bias, last_group = unit.weights.bias, lookup(m, x, [len(own) - 1 for own in self.visited], name="last_group")
        m.d.comb += [
            scan.last_row.eq(lookup(m, y, [span.count - 1 + bias for span in rows], name="last_row")),
            scan.tag_in.address.eq(scan.address),
        ]
        if bias:
            m.d.comb += [scan.constant.eq(scan.read_row == scan.last_row), scan.tag_in.of_bias.eq(scan.constant)]
            last_group = Mux(scan.constant, 0, last_group)
        m.d.comb += scan.last_group.eq(last_group)
        first_row = lookup(m, y, [span.first * unit.bitmap.groups for span in rows], name="first_row")
        if unit.window.pools:
            self._granules(m, scan, x, group, first_row)
        else:
            self._kernel_rows(m, scan, y, x, first_row)

    def _granules(self, m, scan, x, group, first_row):
        """Under the window of a pooling, one granule of one pixel at a time."""
        layout, columns = self.unit.bitmap, self.unit.windows[1]
        pixel = Signal(range(max(2, layout.width)))
        m.d.comb += pixel.eq(lookup(m, x, [span.first for span in columns], name="first_pixel") + scan.read_group)
        places = [[layout.granule_place(p, c) for c in range(layout.granules)] for p in range(layout.width)]
        m.d.comb += [
            scan.offset.eq(first_row + lookup(m, pixel, [own[0][0] for own in places], name="pixel_word")
                           + lookup(m, group, [word - places[0][0][0] for word, _ in places[0]], name="own_word")),
            scan.tag_in.part.eq(lookup(m, pixel, [own[0][1] for own in places], name="pixel_part")
                                + lookup(m, group, [part for _, part in places[0]], name="own_part")),
            scan.mask.eq(((1 << layout.granule) - 1) << (scan.tag_in.part * layout.granule)),
        ]

    def _kernel_rows(self, m, scan, y, x, first_row):
        """Image rows hold the columns of a window side by side, so a kernel row is one run of bits."""
        unit, layout, (rows, columns) = self.unit, self.unit.bitmap, self.unit.windows
        begins = [own[0] for own in self.visited]
        row = (lookup(m, y, [span.tap * unit.kernel_width * layout.pitch for span in rows], name="row_tap")
               + lookup(m, x, [word * layout.scan_width - (span.first - span.tap) * layout.pitch
                               for word, span in zip(begins, columns)], name="column_tap")
               + times(scan.read_row, unit.kernel_width * layout.pitch)
               + times(scan.read_group, layout.scan_width))
        m.d.comb += [
            scan.offset.eq(first_row + lookup(m, x, begins, name="first_word")),
            scan.tag_in.row.eq(Mux(scan.constant, unit.fan_rows - 1, row) if unit.weights.bias else row),
            scan.mask.eq(self._kernel_mask(m, scan, x, begins)),
        ]

    def _kernel_mask(self, m, scan, x, begins):
        """Bits of the word that the scan reads that belong to the window."""
        layout, columns = self.unit.bitmap, self.unit.windows[1]
        if layout.shared:
            # Pixels of the words that belong to the window. Few windows differ in that.
            runs = [((1 << span.count) - 1) << (span.first - word * layout.per_word)
                    for word, span in zip(begins, columns)]
            kinds = sorted(set(runs))
            every = (1 << layout.per_word) - 1
            kind = Signal(range(max(2, len(kinds))))
            m.d.comb += kind.eq(lookup(m, x, [kinds.index(run) for run in runs], name="window_kind"))
            pixels = Signal(layout.per_word)
            m.d.comb += pixels.eq(lookup(
                m, times(kind, scan.walk.groups) + scan.read_group,
                [run >> (group * layout.per_word) & every for run in kinds for group in range(scan.walk.groups)],
                name="window_pixels"))
            return Cat(pixel.replicate(layout.pitch) for pixel in pixels)
        # The last word of a pixel may be wider than what is left of the pixel.
        last = lookup(m, scan.read_group, [g % layout.per_pixel == layout.per_pixel - 1
                                           for g in range(scan.walk.groups)], name="pixel_ends")
        return Mux(last, (1 << layout.partial) - 1, (1 << layout.scan_width) - 1)

    def _follow(self, m, ahead, out, place):
        """The neurons take their steps with the operations: the first decays, the last integrates.

        `ahead` is a cycle before that.
        """
        decay, integrate = (copies(m, flag, self.unit.lanes, name=name) for flag, name in (
            (ahead.first, "decay"), (ahead.last, "integrate")))
        return _Neurons(
            begin=None, decay=decay, integrate=integrate, valid=out.last, word=place.word, step=place.step,
            word_last=place.word_last, full=out.full, final=out.final)

    def _walk(self, m, ahead, act, place):
        """The neurons take all steps on their own from the last operation of a word on, two cycles each.

        What all lanes hear comes from a register: `ahead` is a stage before `act`. A word has as many operations as its
        neurons have cycles, so that they have always come to rest when the next one begins.
        """
        cycles = self.unit.step_minimum
        count, next_count = Signal(range(cycles)), Signal(range(cycles))
        word, full, final, valid = Signal.like(self.out_word), Signal(), Signal(), Signal()
        step = Signal.like(self.out_step)
        with m.If(act.last):
            m.d.comb += next_count.eq(1)
            m.d.sync += [word.eq(place.word), full.eq(act.full), final.eq(act.final)]
        with m.Elif(count != 0):
            m.d.comb += next_count.eq(Mux(count == cycles - 1, 0, count + 1))
        m.d.sync += [count.eq(next_count), valid.eq(count[0]), step.eq(count >> 1)]
        begin, decay, integrate = (copies(m, flag, self.unit.lanes, name=name) for flag, name in (
            (ahead.last, "begin"), (ahead.last | (count[0] & (count != cycles - 1)), "decay"),
            (next_count[0], "integrate")))
        word_last = step == self.unit.steps - 1
        return _Neurons(
            begin=begin, decay=decay, integrate=integrate, valid=valid, word=word, step=step, word_last=word_last,
            full=full, final=valid & word_last & final)
