"""Backward pass of one unit: requests to the unit above, errors of its neurons."""

from pkgutil import resolve_name

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden import stages
from .arithmetic import copies, register, times
from .pick import PickBits, PickNone
from .pipeline import Pipeline, count_steps
from .scan import EventScan
from .taps import TapWalk
from .walk import Descent

__all__ = ["BackwardPath", "request_layout", "window_layout"]


def request_layout(above):
    """Payload of a request to the unit `above`: one word of the dot product of a weight row with an error vector."""
    return data.StructLayout({
        "valid":       1,
        "first":       1,                                  # first word of the row
        "last":        1,                                  # last word of the row
        "full":        1,                                  # all lanes of the word hold a neuron
        "row":         range(max(2, above.fan_rows)),      # channel in the pixel where the unit above pools
        "weight_base": range(max(2, above.weight_depth)),  # channel word * fan_rows
        "word":        range(max(2, above.words)),
        "step":        range(max(2, above.steps)),         # of the interval
    })


def window_layout(unit):
    """One word of neurons in one step: codes, spikes where the way back needs them, and which of them are dropped."""
    fields = {"codes": data.ArrayLayout(unit.neuron.code_bits, unit.lanes)}
    if unit.neuron.needs_spike:
        fields["fired"] = unit.lanes
    if unit.dropout:
        fields["dropped"] = unit.lanes
    return data.StructLayout(fields)


class BackwardPath(wiring.Component):
    """Errors of one unit for one slice of an interval, word by word from the last, step by step from the last.

    Equations (4) and (5). Only neurons inside the surrogate window whose spike is not dropped ask the unit above for
    their error, once for each word of weights that they reach (`TapWalk`); the others take what time passes on. The
    error of the later step stays in its lane. One request per cycle without a gap; from `start` to `done`, both
    included, `golden.schedule.backward_cycles`. A classifier takes its own error (equation 3) instead of
    asking.

    Parameters
    ----------
    config : Config
    unit, above : Unit
        This unit, and the one above it in its block; None for a classifier.

    Members
    -------
    start, offset : In
        Begin; `offset` is the number of the slice's first step among the errors that are kept.
    slice_first, stored_en, stored_word, stored
        Where an interval has several slices: the first step of this one in the interval, and the read port of the
        errors of the step behind it, from which time passes something on; the data stand three cycles later.
    fetch, address, window
        Port of the window history.
    request : Out(request_layout(above))
        One word of a dot product.
    delta : In(signed(error width))
        Its rounded sum, in stage ``delta`` of the last word of the row.
    own : In(ArrayLayout)
        Classifier only: error of each lane in units of one spike, for the word being finished.
    own_en, own_word : Out
        Classifier only: read of it; it stands from the next cycle to the next read.
    error_valid, error_word, error_step, error_address, errors : Out
        One word of errors of one step of the update period (or of the slice), and where it is kept; of a frame, only
        the word counts for that. Word and step themselves are for the trace.
    error_word_first, error_word_last : Out(1)
        First and last step of the word in this interval, in backward order.
    sum_en, sum_word : Out
        Three cycles before the first errors of a word: time to read what they add to.
    done : Out(1)
        The last word stands at the outputs.
    """

    def __init__(self, config, unit, above):
        self.config, self.unit, self.above = config, unit, above
        lanes = unit.lanes
        self.window_layout = window_layout(unit)
        depth = unit.words * unit.steps
        self.delta_width = config.numbers.error.width
        walk = Descent(
            words=unit.words, steps=unit.slice_steps, skip=unit.steps - unit.slice_steps, depth=depth)
        # A classifier asks nobody.
        pick = PickNone() if above is None else PickBits(lanes)
        self.scan = EventScan(walk, pick, minimum=unit.neuron_cycles, beside=self.window_layout)
        members = {
            "start":            In(1),
            "offset":           In(range(max(2, unit.history_steps))),
            "slice_first":      In(range(max(2, unit.steps))),
            "stored_en":        Out(1),
            "stored_word":      Out(range(max(2, unit.words))),
            "stored":           In(data.ArrayLayout(signed(config.numbers.error.width), lanes)),
            "fetch":            Out(1),
            "address":          Out(range(max(2, depth))),
            "window":           In(self.window_layout),
            "error_valid":      Out(1),
            "error_word":       Out(range(max(2, unit.words))),
            "error_step":       Out(range(max(2, unit.history_steps))),
            "error_address":    Out(range(max(2, unit.words * unit.error_frames))),
            "error_word_first": Out(1),
            "error_word_last":  Out(1),
            "errors":           Out(data.ArrayLayout(signed(config.numbers.error.width), lanes)),
            "sum_en":           Out(1),
            "sum_word":         Out(range(max(2, unit.words))),
            "done":             Out(1),
        }
        if above is None:
            members |= {
                "own_en":   Out(1),
                "own_word": Out(range(max(2, unit.words))),
                "own":      In(data.ArrayLayout(signed(unit.steps.bit_length() + 1), lanes)),
            }
        else:
            members |= {
                "request": Out(request_layout(above)),
                "delta":   In(signed(self.delta_width)),
            }
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config, unit, above = self.config, self.unit, self.above
        m.submodules.scan = scan = self.scan
        m.d.comb += [
            scan.start.eq(self.start),
            scan.base.eq(self.slice_first + ((unit.words - 1) * unit.steps + unit.slice_steps - 1)),
            self.fetch.eq(scan.fetch), self.address.eq(scan.address),
        ]

        # The window word of the operations in stage 0, and the word and step that it belongs to, counted down.
        window = scan.beside
        word = Signal.like(self.error_word)
        slice_step = Signal(range(max(2, unit.slice_steps)))
        m.d.comb += [
            scan.beside_in.eq(self.window),
            word.eq(unit.words - 1 - scan.word),
            slice_step.eq(unit.slice_steps - 1 - scan.step),
        ]
        y, x, group = self._count_pixels(m, scan)
        lanes_valid = Mux(group == unit.channel_words - 1, (1 << unit.last_lanes) - 1, (1 << unit.lanes) - 1)
        if above is not None:
            self._look(m, scan)

        # Lanes without a neuron never leave zero: their errors are read by the unit below and by the update.
        masked = Signal(data.ArrayLayout(unit.neuron.code_bits, unit.lanes))
        m.d.comb += [masked[lane].eq(Mux(lanes_valid[lane], window.codes[lane], 0)) for lane in range(unit.lanes)]
        ends = Signal()  # the last operation of an event

        names = stages.backward(unit, above)
        m.submodules.pipe = s = Pipeline(
            names, valid=scan.valid, **({} if above is None else {"event": scan.event, "lane": scan.index}),
            ends=ends, first=scan.valid & scan.first, last=scan.valid & scan.last,
            codes=masked.as_value(), final=scan.valid & scan.final)
        depth = names.index("lane")
        if unit.neuron.needs_spike:
            fired = register(m, window.fired, name="fired", stages=depth, reset=False)
        if unit.dropout:
            dropped = register(m, window.dropped, name="dropped", stages=depth, reset=False)
        place = count_steps(m, names.since("recall"), s["recall"].last, words=unit.words, steps=unit.slice_steps,
                            backward=True)
        m.d.comb += [
            self.sum_en.eq(s["resume"].last & place["resume"].word_first), self.sum_word.eq(place["resume"].word),
            self.stored_en.eq(s["recall"].first & place["recall"].word_first),
            self.stored_word.eq(place["recall"].word),
        ]

        if above is None:
            m.d.comb += [
                self.own_en.eq(s["count"].first & place["count"].word_first), self.own_word.eq(place["count"].word),
            ]
        else:
            m.submodules.taps = taps = TapWalk(above)
            if above.window.kind == "dense":
                # Its input is one pixel, which holds all words of this unit.
                m.d.comb += taps.channel.eq(times(word, unit.lanes) + scan.index)
            else:
                m.d.comb += [taps.y.eq(y), taps.x.eq(x), taps.channel.eq(times(group, unit.lanes) + scan.index)]
            m.d.comb += [
                taps.active.eq(scan.event), scan.stay.eq(~taps.last), ends.eq(taps.last),
            ]
            self._ask(m, names, taps, slice_step)

        restart, carry, finish = (copies(m, flag, unit.lanes, name=name) for flag, name in (
            (place["prepare"].word_first, "restart"), (s["prepare"].first, "carry"), (s["prepare"].last, "finish")))
        codes = data.View(data.ArrayLayout(unit.neuron.code_bits, unit.lanes), s["lane"].codes)
        for lane in range(unit.lanes):
            # Reset, although it counts only where there is a code: what is unknown times zero is unknown.
            delta = Signal(signed(self.delta_width), name=f"delta_{lane}")
            if above is None:
                m.d.sync += delta.eq(self.own[lane].shift_left(config.numbers.error.fraction))
            else:
                with m.If(s["delta"].event & s["delta"].ends & (s["delta"].lane == lane)):
                    m.d.sync += delta.eq(self.delta)
            error = resolve_name(unit.neuron.backward)(
                unit.neuron, delta_width=self.delta_width, resumes=unit.slices > 1)
            m.submodules[f"error{lane}"] = error
            m.d.comb += [
                error.carry.eq(carry[lane]), error.restart.eq(restart[lane]), error.stored.eq(self.stored[lane]),
                error.finish.eq(finish[lane]), error.code.eq(codes[lane]),
                error.delta.eq(Mux(dropped[lane], 0, delta) if unit.dropout else delta),
                self.errors[lane].eq(error.error),
            ]
            if unit.neuron.needs_spike:
                m.d.comb += error.fired.eq(fired[lane])
        first = register(m, times(place["prepare"].word, unit.error_frames), name="first_error", reset=False)
        m.d.sync += self.error_address.eq(first + (0 if unit.input.static else self.offset + place["lane"].step))
        m.d.comb += [
            self.error_valid.eq(s["error"].last), self.error_word.eq(place["error"].word),
            self.error_step.eq(self.offset + place["error"].step),
            self.error_word_first.eq(place["error"].word_first), self.error_word_last.eq(place["error"].word_last),
            self.done.eq(s["error"].final),
        ]
        return m

    def _count_pixels(self, m, scan):
        """Pixel and channel word of the operation, counted down."""
        unit, (height, width, _) = self.unit, self.unit.shape_out
        y, x, group = (Signal(range(max(2, length)), name=name) for name, length in (
            ("y", height), ("x", width), ("group", unit.channel_words)))
        with m.If(self.start):
            m.d.sync += [y.eq(height - 1), x.eq(width - 1), group.eq(unit.channel_words - 1)]
        with m.Elif(scan.last & scan.word_last):
            m.d.sync += group.eq(group - 1)
            with m.If(group == 0):
                m.d.sync += [group.eq(unit.channel_words - 1), x.eq(x - 1)]
                with m.If(x == 0):
                    m.d.sync += [x.eq(width - 1), y.eq(y - 1)]
        return y, x, group

    def _ask(self, m, names, taps, step):
        """Requests to the unit above, one for each word that the walk over its outputs reaches."""
        m.submodules.walked = walked = Pipeline(
            names, valid=taps.active, first=taps.first, last=taps.last, step=step)
        own = walked["walked"]
        m.d.sync += [
            self.request.valid.eq(own.valid),
            self.request.first.eq(own.first),
            self.request.last.eq(own.last),
            self.request.full.eq(taps.full),
            self.request.row.eq(taps.row),
            self.request.weight_base.eq(taps.weight_base),
            self.request.word.eq(taps.word),
            self.request.step.eq(own.step),
        ]

    def _look(self, m, scan):
        """Which lanes have a neuron that asks for its error."""
        unit = self.unit
        asking = Cat(code != 0 for code in self.window.codes)
        # The scan reads ahead.
        group = Signal(range(max(2, unit.channel_words)), name="group_ahead")
        with m.If(self.start):
            m.d.sync += group.eq(unit.channel_words - 1)
        with m.Elif(scan.read_word):
            m.d.sync += group.eq(Mux(group == 0, unit.channel_words - 1, group - 1))
        m.d.comb += [
            scan.bits.eq(asking & ~self.window.dropped if unit.dropout else asking),
            scan.mask.eq(Mux(group == unit.channel_words - 1, (1 << unit.last_lanes) - 1, (1 << unit.lanes) - 1)),
        ]
