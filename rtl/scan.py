"""Event scan: from bitmaps to one event per cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.schedule import SCAN_MINIMUM

__all__ = ["EventScan", "few", "first_set"]


def first_set(m, bits, *, name, one_hot=False):
    """The lowest set bit of `bits` alone, and its index (0 if none), as signals.

    A carry chain, which is not needed if `one_hot` says that at most one is set, and a tree of gates for each bit of
    the index.
    """
    lowest = Signal(len(bits), name=f"{name}_bit")
    index = Signal(range(max(2, len(bits))), name=name)
    m.d.comb += [
        lowest.eq(bits if one_hot else bits & -bits),
        index.eq(Cat(Cat(lowest[i] for i in range(len(bits)) if i >> place & 1).any() for place in range(len(index)))),
    ]
    return lowest, index


def few(m, bits, *, name):
    """How many of `bits` are set, three or more counted as three: halves are added, all pairs of a level at once.

    Numbers of two bits side by side, in one signal for each of the two: a few gates per level, and a few operations of
    a simulator.
    """
    low, high = bits, Const(0, len(bits))
    while len(low) > 1:
        width = (len(low) + 1) // 2
        a, b, c, d, one, two = (Signal(width, name=f"{name}_{kind}_{width}")
                                for kind in ("a", "b", "c", "d", "one", "two"))
        m.d.comb += [
            a.eq(low[:width]), b.eq(low[width:]), c.eq(high[:width]), d.eq(high[width:]),
            two.eq(c | d | (a & b)), one.eq((a ^ b) | (c & (d | b)) | (d & a)),
        ]
        low, high = one, two
    return Cat(low, high)


def _after(count, length):
    """What follows `count` in a loop of `length` before its end; a loop that is run once has no counter."""
    return count + 1 if length > 1 else 0


class EventScan(wiring.Component):
    """Visits the set bits of bitmaps in memory, in four nested loops: word, step, row, group.

    Every step of every word reads a rectangle of bitmap words (`last_row`, `last_group` and `offset` say which; they
    may change from word to word) and emits one operation per set bit, lowest bit first, for as long as `stay` holds.
    A word without a set bit costs one operation without event; a step takes `minimum` operations at least, the time
    that the neurons behind it need. Reading is two words ahead, so that operations follow each other without a gap::

        operations of a step = max(minimum, sum over its bitmap words of max(1, operations of their set bits))

    The first bitmap word is read in the cycle after `start`, the first operation is three cycles later: the memory, a
    register behind it, and the bits that are visited. Whether the last of them is visited is known from a count that is
    made while they wait, so that no gate chain leads through them to the reading of the next word.

    Parameters
    ----------
    words, steps, rows, groups, width : int
        Loop lengths (the largest, for rows and groups), and bits of a bitmap word.
    group_pitch, row_pitch, step_pitch : int
        Bitmap words from one group, row and step to the next.
    depth : int
        Words of the bitmap memory.
    minimum : int
        Operations of a step at least; two or more.
    whole : bool
        A bitmap word is one operation, whatever is set in it.
    mute : bool
        Read the bitmaps, but emit no events.
    backward : bool
        One bitmap word per step, the words in one sequence with descending addresses; `skip` of them lie between the
        steps of two words.
    tag : ShapeCastable, optional
        What travels with a bitmap word from its reading to its operations.
    beside : ShapeCastable, optional
        What stands at the memory beside the bits, and travels with them.

    Members
    -------
    start, base : In
        Begin at the bitmap word `base`; only when not running.
    last_row, last_group, offset : In
        Of the word being read: its last row and group, counted from 0, and where its rectangle begins.
    read_row, read_group : Out
        Loop counters of the bitmap word being read.
    read_step, read_word : Out(1)
        The last bitmap word of a step, and of a word, is read in this cycle.
    mask, tag_in : In
        Bits that count in the bitmap word being read, and its tag.
    fetch, address : Out
        Read enable and address of the bitmap memory.
    bits : In(width)
        What it read, standing until the next `fetch`.
    beside_in : In
        What stands with them.
    stay : In(1)
        The event needs another operation; combinational from `event` and `index`.
    valid, event : Out(1)
        An operation; one that carries an event.
    index, seen, tag, beside : Out
        Bit of the event, the masked bitmap word that it comes from (while `whole`), its tag and what stood beside it.
    first, last : Out(1)
        First and last operation of a step.
    word, step : Out
        Loop counters of the operation, ascending from 0.
    word_first, word_last, final : Out(1)
        Whether this is the first or last step of a word; whether `last` ends the scan.
    """

    def __init__(self, *, words, steps, width, depth, rows=1, groups=1, group_pitch=1, row_pitch=0, step_pitch=None,
                 minimum=SCAN_MINIMUM, whole=False, mute=False, backward=False, skip=0, tag=1, beside=1):
        for name, value in (("words", words), ("steps", steps), ("rows", rows), ("groups", groups), ("width", width)):
            if value < 1:
                raise ValueError(f"{name} must be positive, not {value!r}")
        if minimum < SCAN_MINIMUM:
            raise ValueError(f"minimum must be at least {SCAN_MINIMUM}, not {minimum!r}")
        if backward and (rows, groups) != (1, 1):
            raise ValueError(f"rows and groups must be 1 in a backward scan, not {rows!r} and {groups!r}")
        self.words, self.steps, self.rows, self.groups, self.width = words, steps, rows, groups, width
        self.group_pitch, self.row_pitch = group_pitch, row_pitch
        self.step_pitch = groups if step_pitch is None else step_pitch
        self.minimum, self.whole, self.mute, self.backward, self.skip = minimum, whole, mute, backward, skip
        super().__init__({
            "start":        In(1),
            "base":         In(range(max(2, depth))),
            "last_row":     In(range(max(2, rows))),
            "last_group":   In(range(max(2, groups))),
            "offset":       In(range(max(2, depth))),
            "read_row":     Out(range(max(2, rows))),
            "read_group":   Out(range(max(2, groups))),
            "read_step":    Out(1),
            "read_word":    Out(1),
            "mask":         In(width),
            "tag_in":       In(tag),
            "fetch":        Out(1),
            "address":      Out(range(max(2, depth))),
            "bits":         In(width),
            "beside_in":    In(beside),
            "stay":         In(1),
            "valid":        Out(1),
            "event":        Out(1),
            "index":        Out(range(max(2, width))),
            "seen":         Out(width),
            "tag":          Out(tag),
            "beside":       Out(beside),
            "first":        Out(1),
            "last":         Out(1),
            "word":         Out(range(max(2, words))),
            "step":         Out(range(max(2, steps))),
            "word_first":   Out(1),
            "word_last":    Out(1),
            "final":        Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        # Places of a bitmap word: about to be read (f_*), at the memory output (n), next to be emptied (r), being
        # emptied (outputs). One more (s) takes what comes from the memory when the next one stops, so that reading does
        # not hang on what becomes of an operation in the same cycle.
        fetching, waiting, spare, ready = Signal(), Signal(), Signal(), Signal()
        f_word, f_step, f_last = Signal.like(self.word), Signal.like(self.step), Signal()
        n_last, n_mask, n_tag = Signal(), Signal(self.width), Signal.like(self.tag)
        place = data.StructLayout({
            "last": 1, "bits": self.width, "tag": self.tag.shape(), "beside": self.beside.shape()})
        n, s, r = (Signal(place, name=name, reset_less=True) for name in ("arriving", "set_aside", "upcoming"))
        load, moves, exhausted = Signal(), Signal(), Signal()
        row_ends, step_ends, word_ends = Signal(), Signal(), Signal()
        m.d.comb += [
            n.last.eq(n_last), n.bits.eq(0 if self.mute else self.bits & n_mask), n.tag.eq(n_tag),
            n.beside.eq(self.beside_in),
            load.eq(ready & (~self.valid | exhausted)),
            moves.eq(~ready | load),
            self.fetch.eq(fetching & ~spare),
            row_ends.eq(self.read_group == self.last_group if self.groups > 1 else 1),
            step_ends.eq(row_ends & (self.read_row == self.last_row if self.rows > 1 else 1)),
            word_ends.eq(step_ends & f_last),
            self.read_step.eq(self.fetch & step_ends),
            self.read_word.eq(self.fetch & word_ends),
        ]

        # Addresses without `offset`: of this bitmap word, and of the first ones of the next row, the next step, a word.
        here, next_row, next_step, origin = (
            Signal.like(self.address, name=name) for name in ("here", "next_row", "next_step", "origin"))
        m.d.comb += self.address.eq(here + self.offset)
        with m.If(self.fetch):
            m.d.sync += [
                waiting.eq(1), n_last.eq(step_ends), n_mask.eq(self.mask), n_tag.eq(self.tag_in),
            ]
            if self.backward:
                m.d.sync += here.eq(here - Mux(word_ends, 1 + self.skip, 1))
            with m.If(~row_ends):
                m.d.sync += self.read_group.eq(_after(self.read_group, self.groups))
                if not self.backward:
                    m.d.sync += here.eq(here + self.group_pitch)
            with m.Else():
                m.d.sync += self.read_group.eq(0)
                with m.If(~step_ends):
                    m.d.sync += [
                        self.read_row.eq(_after(self.read_row, self.rows)),
                        here.eq(next_row), next_row.eq(next_row + self.row_pitch),
                    ]
                with m.Else():
                    m.d.sync += self.read_row.eq(0)
                    last_begins = (f_step == self.steps - 2) if self.steps > 1 else 1
                    if not self.backward:
                        m.d.sync += [
                            here.eq(next_step), next_row.eq(next_step + self.row_pitch),
                            next_step.eq(Mux(last_begins, origin, next_step + self.step_pitch)),
                        ]
                    m.d.sync += [f_step.eq(_after(f_step, self.steps)), f_last.eq(last_begins)]
                    with m.If(word_ends):
                        m.d.sync += [f_step.eq(0), f_word.eq(_after(f_word, self.words))]
                        with m.If(f_word == self.words - 1):
                            m.d.sync += fetching.eq(0)
        with m.Elif(~spare):
            m.d.sync += waiting.eq(0)
        with m.If(~spare):
            m.d.sync += s.eq(n)
        m.d.sync += spare.eq((spare | waiting) & ~moves)
        with m.If(moves):
            m.d.sync += [r.eq(Mux(spare, s, n)), ready.eq(spare | waiting)]

        # A bitmap word is one operation where its events are not visited one by one.
        at_once = self.whole or self.mute
        bits, last_group, single = Signal(self.width), Signal(), Signal(init=1)
        lowest, index = first_set(m, bits, name="lowest")
        left, coming = few(m, bits, name="left"), few(m, r.bits, name="coming")
        emitted = Signal(range(self.minimum))  # operations of this step so far, as far as they matter
        enough, stays = Signal(), Signal()
        m.d.comb += [
            self.seen.eq(bits), self.index.eq(index),
            self.first.eq(emitted == 0),
            enough.eq(emitted == self.minimum - 1),
            stays.eq(0 if at_once else self.event & self.stay),
            exhausted.eq(self.valid & single & ~stays & (~last_group | enough)),
            self.last.eq(exhausted & last_group),
            self.word_first.eq(self.step == 0),
            self.word_last.eq(self.step == self.steps - 1),
            self.final.eq(self.last & self.word_last & (self.word == self.words - 1)),
        ]

        with m.If(self.last):
            m.d.sync += self.step.eq(_after(self.step, self.steps))
            with m.If(self.word_last):
                m.d.sync += [self.step.eq(0), self.word.eq(_after(self.word, self.words))]
        with m.If(self.valid):
            m.d.sync += emitted.eq(Mux(self.last, 0, emitted + ~enough))
        with m.If(load):
            m.d.sync += [self.valid.eq(1), last_group.eq(r.last), self.tag.eq(r.tag), self.beside.eq(r.beside)]
        with m.Elif(exhausted):
            m.d.sync += self.valid.eq(0)
        # None comes while an event stays. When the last one has gone, there is no event either.
        with m.If(~stays):
            m.d.sync += [
                bits.eq(Mux(load, r.bits, 0 if at_once else bits & ~lowest)),
                self.event.eq(Mux(load, coming.any(), ~single)),
                single.eq(1 if at_once else Mux(load, ~coming[1], ~left.all())),
            ]

        with m.If(self.start):
            m.d.sync += [
                fetching.eq(1), f_word.eq(0), f_step.eq(0), f_last.eq(self.steps == 1),
                self.read_row.eq(0), self.read_group.eq(0), self.word.eq(0), self.step.eq(0),
                here.eq(self.base), origin.eq(self.base), next_row.eq(self.base + self.row_pitch),
                next_step.eq(self.base + (self.step_pitch if self.steps > 1 else 0)),
            ]
        return m
