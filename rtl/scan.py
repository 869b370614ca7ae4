"""Event scan: from bitmaps to one event per cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["EventScan", "first_set"]


def first_set(m, bits, *, name):
    """Index of the lowest set bit of `bits` (0 if none), as a signal."""
    index = Signal(range(max(2, len(bits))), name=name)
    for i in reversed(range(len(bits))):
        with m.If(bits[i]):
            m.d.comb += index.eq(i)
    return index


class EventScan(wiring.Component):
    """Visits the set bits of bitmaps in memory, in three nested loops: word, step, group.

    Every step of every word reads `groups` bitmap words and emits one operation per set bit, `repeat` times, lowest
    bit first. An empty bitmap word costs one operation without event; a step takes `minimum` operations at least,
    the time that the neurons behind it need. Reading is one word ahead, so that operations follow each other without
    a gap::

        operations of a step = max(minimum, sum over groups of max(1, repeat * set bits))

    The first bitmap word is read in the cycle after `start`, the first operation is two cycles later.

    Parameters
    ----------
    words, steps, groups, width : int
        Loop lengths, and bits of a bitmap word.
    partial : int
        Valid bits of the last group; the others are ignored whatever the memory holds.
    depth : int
        Words of the bitmap memory.
    repeat : int
        Operations per event.
    minimum : int
        Operations of a step at least; two or more.
    mute : bool
        Read the bitmaps, but emit no events.
    backward : bool
        One group per step, the words in one sequence with descending addresses, and `partial` meaning the first
        word visited, which is the last of the layer.

    Members
    -------
    start, base : In
        Begin at the bitmap word `base`; only when not running.
    fetch, address : Out
        Read enable and address of the bitmap memory.
    bits : In(width)
        What it read, standing until the next `fetch`.
    taken : Out(1)
        `bits` are consumed in this cycle.
    valid, event : Out(1)
        An operation; whether it carries an event.
    index, group : Out
        Bit and bitmap word of the event.
    first, last : Out(1)
        First and last operation of a step.
    repeat_first, repeat_last : Out(1)
        First and last operation of an event.
    word, step : Out
        Loop counters of the operation, ascending from 0.
    word_first, word_last, final : Out(1)
        Whether this is the first or last step of a word; whether `last` ends the scan.
    """

    def __init__(self, *, words, steps, groups, width, partial, depth, repeat=1, minimum=2, mute=False,
                 backward=False):
        for name, value in (("words", words), ("steps", steps), ("groups", groups), ("width", width),
                            ("repeat", repeat)):
            if value < 1:
                raise ValueError(f"{name} must be positive, not {value!r}")
        if not 1 <= partial <= width:
            raise ValueError(f"partial must be in 1..{width}, not {partial!r}")
        if minimum < 2:
            raise ValueError(f"minimum must be at least 2, not {minimum!r}")
        if backward and groups != 1:
            raise ValueError(f"groups must be 1 in a backward scan, not {groups!r}")
        self.words, self.steps, self.groups, self.width, self.partial = words, steps, groups, width, partial
        self.repeat, self.minimum, self.mute, self.backward = repeat, minimum, mute, backward
        super().__init__({
            "start":        In(1),
            "base":         In(range(max(2, depth))),
            "fetch":        Out(1),
            "address":      Out(range(max(2, depth))),
            "bits":         In(width),
            "taken":        Out(1),
            "valid":        Out(1),
            "event":        Out(1),
            "index":        Out(range(max(2, width))),
            "group":        Out(range(max(2, groups))),
            "first":        Out(1),
            "last":         Out(1),
            "repeat_first": Out(1),
            "repeat_last":  Out(1),
            "word":         Out(range(max(2, words))),
            "step":         Out(range(max(2, steps))),
            "word_first":   Out(1),
            "word_last":    Out(1),
            "final":        Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        # Three places of a bitmap word: about to be read (f_*), at the memory output (n_*), being emptied (outputs).
        fetching, waiting = Signal(), Signal()
        f_word, f_step, f_group = Signal.like(self.word), Signal.like(self.step), Signal.like(self.group)
        n_word, n_step, n_group = Signal.like(self.word), Signal.like(self.step), Signal.like(self.group)
        pointer, origin = Signal.like(self.address), Signal.like(self.address)
        visit, load, exhausted = Signal(), Signal(), Signal()
        m.d.comb += [
            load.eq(waiting & (~self.valid | exhausted)),
            visit.eq(fetching & (~waiting | load)),
            self.fetch.eq(visit),
            self.address.eq(pointer),
            self.taken.eq(load),
        ]

        with m.If(visit):
            m.d.sync += [waiting.eq(1), n_word.eq(f_word), n_step.eq(f_step), n_group.eq(f_group)]
            m.d.sync += pointer.eq(pointer - 1 if self.backward else pointer + 1)
            with m.If(f_group == self.groups - 1):
                m.d.sync += f_group.eq(0)
                with m.If(f_step == self.steps - 1):
                    m.d.sync += f_step.eq(0)
                    if not self.backward:
                        m.d.sync += pointer.eq(origin)
                    with m.If(f_word == self.words - 1):
                        m.d.sync += fetching.eq(0)
                    with m.Else():
                        m.d.sync += f_word.eq(f_word + 1)
                with m.Else():
                    m.d.sync += f_step.eq(f_step + 1)
            with m.Else():
                m.d.sync += f_group.eq(f_group + 1)
        with m.Elif(load):
            m.d.sync += waiting.eq(0)

        bits = Signal(self.width)
        masked = Signal(self.width)
        partial = (n_word == 0) if self.backward else (n_group == self.groups - 1)
        m.d.comb += masked.eq(Mux(partial, self.bits & ((1 << self.partial) - 1), self.bits))
        if self.mute:
            m.d.comb += masked.eq(0)

        repeat = Signal(range(max(2, self.repeat)))
        rest = Signal(self.width)
        emitted = Signal(range(self.minimum))  # operations of this step so far, as far as they matter
        enough = Signal()
        last_group = Signal()
        m.d.comb += [
            self.event.eq(bits.any()),
            self.index.eq(first_set(m, bits, name="lowest")),
            self.repeat_first.eq(repeat == 0),
            self.repeat_last.eq(repeat == self.repeat - 1),
            rest.eq(Mux(~self.event | self.repeat_last, bits & (bits - 1), bits)),
            self.first.eq(emitted == 0),
            enough.eq(emitted == self.minimum - 1),
            last_group.eq(self.group == self.groups - 1),
            exhausted.eq(self.valid & (rest == 0) & (~last_group | enough)),
            self.last.eq(exhausted & last_group),
            self.word_first.eq(self.step == 0),
            self.word_last.eq(self.step == self.steps - 1),
            self.final.eq(self.last & self.word_last & (self.word == self.words - 1)),
        ]

        with m.If(self.valid):
            m.d.sync += [bits.eq(rest), emitted.eq(Mux(self.last, 0, emitted + ~enough))]
            m.d.sync += repeat.eq(Mux(self.event & ~self.repeat_last, repeat + 1, 0))
        with m.If(load):
            m.d.sync += [
                self.valid.eq(1), bits.eq(masked),
                self.word.eq(n_word), self.step.eq(n_step), self.group.eq(n_group),
            ]
        with m.Elif(exhausted):
            m.d.sync += self.valid.eq(0)

        with m.If(self.start):
            m.d.sync += [
                fetching.eq(1), pointer.eq(self.base), origin.eq(self.base),
                f_word.eq(0), f_step.eq(0), f_group.eq(0),
            ]
        return m
