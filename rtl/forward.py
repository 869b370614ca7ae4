"""Forward pass of one unit: addresses, accumulators, LIF units."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.schedule import forward_depth
from .lif import Lif
from .pipeline import Pipeline
from .scan import EventScan

__all__ = ["ForwardPath"]


class _Neurons(NamedTuple):
    """What the LIF units do in a cycle (`begin` to `integrate`), and what stands at the outputs (`valid` to `final`).

    `begin` takes over the sum of a word, where it is needed longer than the lanes keep it.
    """

    begin: object
    decay: object
    restart: object
    integrate: object
    valid: object
    word: object
    step: object
    word_last: object
    final: object


class ForwardPath(wiring.Component):
    """``k`` steps of one unit, output-stationary: word by word, step by step, one active input per cycle.

    Equation (1) and (2). The weight words of the active inputs are summed exactly in lane registers; the potential
    stays in its lane through the steps of an interval, so that memory is touched once per word and interval. The
    current of a static frame is summed once: while the neurons of a word walk through the ``k`` steps with it, the
    lanes sum the next word. One operation per cycle without a gap; from `start` to `done` (both included)
    `golden.schedule.forward_cycles`.

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
        Potentials start from zero; potentials need not be kept.
    fetch, address, bits
        Port of the input bitmaps.
    weight_en, weight_address : Out
        Read of one weight word; the unit multiplies where it must and returns it as `terms`.
    row : Out
        Fan-in index of that read.
    terms : In(ArrayLayout)
        Weight word, or product with the frame value, at the accumulate stage.
    stored_en, stored_address, stored : potential read port.
    keep_en, keep_address, keep : potential write port.
    out_valid, out_word, out_step, out_spikes, out_codes, out_potentials, out_word_last : Out
        One word of neurons of one step.
    useful, full : Out(1)
        Whether the operation at stage 1 adds, and whether all its lanes hold a neuron.
    done : Out(1)
        The last word stands at the outputs.
    """

    def __init__(self, config, unit, *, depth, term_width):
        self.config, self.unit = config, unit
        lanes, width = unit.lanes, unit.potential_width
        self.scan = EventScan(
            words=unit.words, steps=1 if unit.static else unit.steps, groups=unit.groups, width=unit.scan_width,
            partial=unit.last_inputs, depth=depth, minimum=unit.step_minimum)
        super().__init__({
            "start":           In(1),
            "base":            In(range(max(2, depth))),
            "first_interval":  In(1),
            "last_interval":   In(1),
            "fetch":           Out(1),
            "address":         Out(range(max(2, depth))),
            "bits":            In(unit.scan_width),
            "weight_en":       Out(1),
            "weight_address":  Out(range(max(2, unit.weight_depth))),
            "row":             Out(range(max(2, unit.n_in))),
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
            "out_codes":       Out(data.ArrayLayout(config.code_bits, lanes)),
            "out_potentials":  Out(data.ArrayLayout(signed(width), lanes)),
            "useful":          Out(1),
            "full":            Out(1),
            "done":            Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        unit = self.unit
        m.submodules.scan = scan = self.scan
        m.d.comb += [
            scan.start.eq(self.start), scan.base.eq(self.base), scan.bits.eq(self.bits),
            self.fetch.eq(scan.fetch), self.address.eq(scan.address),
        ]

        # Stage 0: which weight word. Rows count within a word, words are n_in apart.
        word_base = Signal(range(max(2, unit.weight_depth)))
        with m.If(self.start):
            m.d.sync += word_base.eq(0)
        with m.Elif(scan.last & scan.word_last):
            m.d.sync += word_base.eq(word_base + unit.n_in)
        row = Signal.like(self.row)
        m.d.comb += row.eq(scan.group * unit.scan_width + scan.index)

        # The lanes sum in stage depth - 1; decay and integration are in stage depth, results stand one stage later.
        depth = forward_depth(unit)
        m.submodules.pipe = s = Pipeline(
            valid=scan.valid, event=scan.valid & scan.event, row=row, base=word_base,
            first=scan.valid & scan.first, last=scan.valid & scan.last, word=scan.word, step=scan.step,
            word_first=scan.word_first, word_last=scan.word_last, final=scan.valid & scan.final)

        m.d.comb += [
            self.weight_en.eq(s[1].event), self.weight_address.eq(s[1].base + s[1].row), self.row.eq(s[1].row),
            self.useful.eq(s[1].event), self.full.eq(s[1].word != unit.words - 1),
        ]
        add = s[depth - 1]
        neurons = self._walk(m, s[depth]) if unit.static else self._follow(s[depth], s[depth + 1])
        # The potential is read in the cycle before the first step of a word begins.
        begins = add.last if unit.static else add.first & add.word_first
        m.d.comb += [self.stored_en.eq(begins & ~self.first_interval), self.stored_address.eq(add.word)]

        for lane in range(unit.lanes):
            lif = Lif(self.config, sum_width=unit.sum_width, align=unit.align)
            m.submodules[f"lif{lane}"] = lif
            total = Signal(signed(unit.sum_width), name=f"total_{lane}")
            with m.If(add.valid):
                m.d.sync += total.eq(Mux(add.first, 0, total) + Mux(add.event, self.terms[lane], 0))
            current = total
            if unit.static:
                current = Signal.like(total, name=f"current_{lane}")
                with m.If(neurons.begin):
                    m.d.sync += current.eq(total)
            m.d.comb += [
                lif.decay.eq(neurons.decay),
                lif.restart.eq(neurons.restart),
                lif.stored.eq(Mux(self.first_interval, 0, self.stored[lane])),
                lif.integrate.eq(neurons.integrate),
                lif.total.eq(current),
                self.out_spikes[lane].eq(lif.spike),
                self.out_codes[lane].eq(lif.code),
                self.out_potentials[lane].eq(lif.potential),
            ]
        m.d.comb += [
            self.out_valid.eq(neurons.valid), self.out_word.eq(neurons.word), self.out_step.eq(neurons.step),
            self.out_word_last.eq(neurons.word_last),
            self.keep_en.eq(neurons.valid & neurons.word_last & ~self.last_interval),
            self.keep_address.eq(neurons.word), self.done.eq(neurons.final),
        ]
        return m

    def _follow(self, act, out):
        """The neurons take their steps with the operations: the first decays, the last integrates."""
        return _Neurons(
            begin=None, decay=act.first, restart=act.word_first, integrate=act.last, valid=out.last,
            word=out.word, step=out.step, word_last=out.word_last, final=out.final)

    def _walk(self, m, act):
        """The neurons take all steps on their own from the last operation of a word on, two cycles each."""
        steps = self.unit.steps
        phase, count = Signal(range(2 * steps)), Signal(range(2 * steps))
        word, final, valid = Signal.like(self.out_word), Signal(), Signal()
        step = Signal.like(self.out_step)
        m.d.comb += phase.eq(Mux(act.last, 0, count))
        with m.If(act.last):
            m.d.sync += [count.eq(1), word.eq(act.word), final.eq(act.final)]
        with m.Elif(count != 0):
            m.d.sync += count.eq(Mux(count == 2 * steps - 1, 0, count + 1))
        m.d.sync += [valid.eq(phase[0]), step.eq(phase >> 1)]
        word_last = step == steps - 1
        return _Neurons(
            begin=act.last, decay=act.last | ((count != 0) & ~count[0]), restart=act.last, integrate=phase[0],
            valid=valid, word=word, step=step, word_last=word_last, final=valid & word_last & final)
