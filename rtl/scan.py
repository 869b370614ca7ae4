"""Event scan: from bitmaps to one event per cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.schedule import SCAN_MINIMUM
from .walk import after, check_lengths

__all__ = ["EventScan", "OperationCount", "WordQueue"]


class WordQueue(wiring.Component):
    """Bitmap words on their way from memory to the one that is emptied.

    A word is at the memory output in the cycle after it was read, and can be taken in the next. If it is not, the word
    read after it waits at the memory output, and a third one that is being read by then is set aside. So reading does
    not hang on what becomes of a word in the same cycle. Words come out in the order in which they were read.

    Parameters
    ----------
    width : int
        Bits of a word; 0 if nobody asks for them.
    tag, beside : ShapeCastable, optional
        What travels with a word, from its reading and from the memory.

    Members
    -------
    put : In(1)
        A word is read in this cycle; only with `room`.
    room : Out(1)
    last_in, mask, tag_in : In
        With `put`: whether it is the last word of its step, which of its bits count, and its tag.
    bits, beside_in : In
        What was read, from the cycle after `put` to that of the next one.
    ready : Out(1)
        There is a word to take.
    last, word, tag, beside : Out
        It, of its bits those that count.
    take : In(1)
        It is taken in this cycle; only while `ready`.
    """

    def __init__(self, *, width, tag=None, beside=None):
        self.width = width
        self.fields = {"last": 1} | ({"word": width} if width else {}) | {
            name: shape for name, shape in (("tag", tag), ("beside", beside)) if shape is not None}
        super().__init__({
            "put": In(1), "room": Out(1), "ready": Out(1), "take": In(1), "last_in": In(1),
            **({"mask": In(width), "bits": In(width)} if width else {}),
            **{f"{name}_in": In(shape) for name, shape in self.fields.items() if name in ("tag", "beside")},
            **{name: Out(shape) for name, shape in self.fields.items()},
        })

    def elaborate(self, platform):
        m = Module()
        # At the memory output; set aside; next to be taken.
        layout = data.StructLayout(self.fields)
        arriving, set_aside, upcoming = (
            Signal(layout, name=name, reset_less=True) for name in ("arriving", "set_aside", "upcoming"))
        waiting, spare, moves = Signal(), Signal(), Signal()
        m.d.comb += [self.room.eq(~spare), moves.eq(~self.ready | self.take)]
        with m.If(self.put):
            m.d.sync += waiting.eq(1)
        with m.Elif(~spare):
            m.d.sync += waiting.eq(0)
        self._arrive(m, arriving)
        with m.If(~spare):
            m.d.sync += set_aside.eq(arriving)
        m.d.sync += spare.eq((spare | waiting) & ~moves)
        with m.If(moves):
            m.d.sync += [upcoming.eq(Mux(spare, set_aside, arriving)), self.ready.eq(spare | waiting)]
        m.d.comb += [getattr(self, name).eq(upcoming[name]) for name in self.fields]
        return m

    def _arrive(self, m, arriving):
        """What comes with the reading stands as long as what was read."""
        with_reading = {name: source for name, source in (
            ("last", self.last_in), ("mask", getattr(self, "mask", None)), ("tag", getattr(self, "tag_in", None)))
            if source is not None}
        stands = {name: Signal.like(source, name=f"arriving_{name}") for name, source in with_reading.items()}
        with m.If(self.put):
            m.d.sync += [stands[name].eq(source) for name, source in with_reading.items()]
        m.d.comb += arriving.last.eq(stands["last"])
        if "word" in self.fields:
            m.d.comb += arriving.word.eq(self.bits & stands["mask"])
        if "tag" in self.fields:
            m.d.comb += arriving.tag.eq(stands["tag"])
        if "beside" in self.fields:
            m.d.comb += arriving.beside.eq(self.beside_in)


class OperationCount(wiring.Component):
    """Where an operation belongs, and whether its step has as many as it needs.

    Parameters
    ----------
    words, steps : int
        Loop lengths.
    minimum : int
        Operations of a step at least; two or more.

    Members
    -------
    start : In(1)
        Begin with the first step of the first word.
    valid : In(1)
        An operation.
    ends : In(1)
        With `valid`: nothing of its step is left. What follows until `last` fills the step up.
    first, last : Out(1)
        First and last operation of a step; `last` is combinational from `ends`.
    word, step : Out
        Loop counters of the operation, ascending from 0.
    word_first, word_last, final : Out(1)
        Whether this is the first or last step of a word; whether `last` ends the scan.
    """

    def __init__(self, *, words, steps, minimum=SCAN_MINIMUM):
        check_lengths(words=words, steps=steps)
        if minimum < SCAN_MINIMUM:
            raise ValueError(f"minimum must be at least {SCAN_MINIMUM}, not {minimum!r}")
        self.words, self.steps, self.minimum = words, steps, minimum
        super().__init__({"start": In(1), "valid": In(1), "ends": In(1)} | operation_members(words, steps))

    def elaborate(self, platform):
        m = Module()
        emitted, enough = Signal(range(self.minimum)), Signal()  # of this step so far, as far as they matter
        m.d.comb += [
            self.first.eq(emitted == 0), enough.eq(emitted == self.minimum - 1),
            self.last.eq(self.ends & enough),
            self.word_first.eq(self.step == 0),
            self.word_last.eq(self.step == self.steps - 1),
            self.final.eq(self.last & self.word_last & (self.word == self.words - 1)),
        ]
        with m.If(self.valid):
            m.d.sync += emitted.eq(Mux(self.last, 0, emitted + ~enough))
        with m.If(self.last):
            m.d.sync += self.step.eq(after(self.step, self.steps))
            with m.If(self.word_last):
                m.d.sync += [self.step.eq(0), self.word.eq(after(self.word, self.words))]
        with m.If(self.start):
            m.d.sync += [self.word.eq(0), self.step.eq(0)]
        return m


def operation_members(words, steps):
    """What `OperationCount` says, and `EventScan` passes on."""
    return {
        "first": Out(1), "last": Out(1), "word": Out(range(max(2, words))), "step": Out(range(max(2, steps))),
        "word_first": Out(1), "word_last": Out(1), "final": Out(1)}


class EventScan(wiring.Component):
    """Visits bitmaps in memory, one operation per cycle: `walk` says which words, `pick` what the events of a word are.

    A word without a set bit costs one operation without event; a step takes `minimum` operations at least, the time
    that the neurons behind it need. Reading is two words ahead, so that operations follow each other without a gap::

        operations of a step = max(minimum, sum over its bitmap words of max(1, operations of their events))

    The first bitmap word is read in the cycle after `start`, the first operation is three cycles later
    (`golden.stages.SCAN`): the memory, a register behind it, and the bits that are visited.

    Parameters
    ----------
    walk : Rectangles or Descent
    pick : PickBits, PickWord or PickNone
    minimum : int
        Operations of a step at least; two or more.
    tag : ShapeCastable, optional
        What travels with a bitmap word from its reading to its operations.
    beside : ShapeCastable, optional
        What stands at the memory beside the bits, and travels with them.
    constant : bool
        Whether there are bitmap words that are not in memory: each has its first bit set, and no other.

    Members
    -------
    start, base : In
        Begin at the bitmap word `base`; only when not running.
    constant : In(1)
        The word being read is such a one; combinational from `read_row` and `read_group`.
    last_row, last_group, offset, read_row, read_group : as of the walk
        Of the word being read.
    read_step, read_word : Out(1)
        The last bitmap word of a step, and of a word, is read in this cycle.
    mask, tag_in : In
        Bits that count in the bitmap word being read, and its tag.
    fetch, address : Out
        Read enable and address of the bitmap memory.
    bits, beside_in : In
        What it read, standing until the next `fetch`.
    valid : Out(1)
        An operation.
    stay, event, index, seen : as of the pick
        Of the operation.
    tag, beside : Out
        Those of the bitmap word that the operation comes from.
    first, last, word, step, word_first, word_last, final : Out
        As of `OperationCount`; the flags only while `valid`.
    """

    def __init__(self, walk, pick, *, minimum=SCAN_MINIMUM, tag=None, beside=None, constant=False):
        self.walk, self.pick, self.has_constants = walk, pick, constant
        self.queue = WordQueue(width=pick.width, tag=tag, beside=beside)
        self.count = OperationCount(words=walk.words, steps=walk.steps, minimum=minimum)
        self._from_queue = [name for name in ("tag", "beside") if name in self.queue.fields]
        self._to_queue = [name for name in ("mask", "bits", "tag_in", "beside_in")
                          if name in self.queue.signature.members]
        self._counted = operation_members(walk.words, walk.steps)
        address = range(max(2, walk.depth))
        super().__init__({
            "start": In(1), "base": In(address), "fetch": Out(1), "address": Out(address), "valid": Out(1),
            "read_step": Out(1), "read_word": Out(1),
            **{name: walk.signature.members[name] for name in walk.OUTSIDE},
            **{name: pick.signature.members[name] for name in pick.OUTSIDE},
            **{name: self.queue.signature.members[name] for name in (*self._to_queue, *self._from_queue)},
            **self._counted, **({"constant": In(1)} if constant else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk, m.submodules.pick = walk, pick = self.walk, self.pick
        m.submodules.queue, m.submodules.count = queue, count = self.queue, self.count
        # Words are read while there is room for them.
        reads, given = self.fetch, {}
        if self.has_constants:
            reads, constant = Signal(), Signal()  # the latter of what was read last
            with m.If(reads):
                m.d.sync += constant.eq(self.constant)
            m.d.comb += self.fetch.eq(reads & ~self.constant)
            given = {"mask": Mux(self.constant, 1, self.mask), "bits": Mux(constant, 1, self.bits)}
        for part, names in (
                (walk, walk.OUTSIDE), (pick, pick.OUTSIDE), (queue, self._to_queue), (count, self._counted)):
            for name in names:
                if name in given:
                    m.d.comb += getattr(part, name).eq(given[name])
                else:
                    self._join(m, part, name)
        m.d.comb += [
            walk.start.eq(self.start), walk.base.eq(self.base), count.start.eq(self.start),
            reads.eq(walk.running & queue.room), self.address.eq(walk.address),
            walk.next.eq(reads), queue.put.eq(reads), queue.last_in.eq(walk.step_ends),
            self.read_step.eq(reads & walk.step_ends), self.read_word.eq(reads & walk.word_ends),
        ]

        # One is emptied. The next one follows when its events are out, and if it ends a step, when the step is full.
        step_ends, exhausted, load = Signal(), Signal(), Signal()
        m.d.comb += [
            count.valid.eq(self.valid), count.ends.eq(self.valid & pick.done & step_ends),
            exhausted.eq(count.last | (self.valid & pick.done & ~step_ends)),
            load.eq(queue.ready & (~self.valid | exhausted)),
            queue.take.eq(load),
        ]
        if pick.width:
            m.d.comb += [pick.take.eq(load), pick.word.eq(queue.word)]
        with m.If(load):
            m.d.sync += [self.valid.eq(1), step_ends.eq(queue.last)]
            m.d.sync += [getattr(self, name).eq(getattr(queue, name)) for name in self._from_queue]
        with m.Elif(exhausted):
            m.d.sync += self.valid.eq(0)
        return m

    def _join(self, m, part, name):
        """A member of a part that is one of the scan."""
        inner, outer = getattr(part, name), getattr(self, name)
        m.d.comb += inner.eq(outer) if part.signature.members[name].flow is In else outer.eq(inner)
