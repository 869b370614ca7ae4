"""Which bitmap words a scan reads: their addresses, one after the other."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Descent", "Rectangles", "StepLoop", "after", "check_lengths"]


def after(count, length):
    """What follows `count` in a loop of `length` before its end; a loop that is run once has no counter."""
    return count + 1 if length > 1 else 0


def check_lengths(**lengths):
    """Refuse loops that are never run."""
    for name, value in lengths.items():
        if value < 1:
            raise ValueError(f"{name} must be positive, not {value!r}")


class StepLoop(wiring.Component):
    """Counts the steps of all words; it is known a step before which one is the last of its word.

    Members
    -------
    start : In(1)
        Begin with the first step of the first word.
    next : In(1)
        This step ends.
    running : Out(1)
        From the cycle after `start` to that in which the last step of the last word ends.
    last, last_follows : Out(1)
        Whether this is the last step of its word; whether the next one is.
    """

    start: In(1)
    next: In(1)
    running: Out(1)
    last: Out(1)
    last_follows: Out(1)

    def __init__(self, *, words, steps):
        check_lengths(words=words, steps=steps)
        self.words, self.steps = words, steps
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        word, step = (Signal(range(max(2, length)), name=name) for name, length in (
            ("word", self.words), ("step", self.steps)))
        m.d.comb += self.last_follows.eq(step == self.steps - 2 if self.steps > 1 else 1)
        with m.If(self.next):
            m.d.sync += [step.eq(after(step, self.steps)), self.last.eq(self.last_follows)]
            with m.If(self.last):
                m.d.sync += [step.eq(0), word.eq(after(word, self.words))]
                with m.If(word == self.words - 1):
                    m.d.sync += self.running.eq(0)
        with m.If(self.start):
            m.d.sync += [self.running.eq(1), word.eq(0), step.eq(0), self.last.eq(self.steps == 1)]
        return m


def _walk_members(depth):
    return {
        "start":   In(1),
        "base":    In(range(max(2, depth))),
        "next":    In(1),
        "running": Out(1),
        "address": Out(range(max(2, depth))),
        "step_ends": Out(1),
        "word_ends": Out(1),
    }


class Rectangles(wiring.Component):
    """In every step of every word a rectangle of bitmap words, row by row, whose size and place the surroundings say.

    Parameters
    ----------
    words, steps, rows, groups : int
        Loop lengths; the largest, for rows and groups.
    group_pitch, row_pitch, step_pitch : int
        Bitmap words from one group, row and step to the next.
    depth : int
        Words of the bitmap memory.

    Members
    -------
    start, base : In
        Begin at the bitmap word `base`.
    next : In(1)
        The word at `address` is read in this cycle.
    running : Out(1)
        There is a word to read: from the cycle after `start` on.
    address : Out
        Combinational from `offset`.
    step_ends, word_ends : Out(1)
        This is the last bitmap word of a step, and of a word; combinational from `last_row` and `last_group`.
    last_row, last_group, offset : In
        Of the word at `address`: its last row and group, counted from 0, and where its rectangle begins. They may
        change from word to word.
    read_row, read_group : Out
        Loop counters of the word at `address`.
    """

    OUTSIDE = ("last_row", "last_group", "offset", "read_row", "read_group")

    def __init__(self, *, words, steps, depth, rows=1, groups=1, group_pitch=1, row_pitch=0, step_pitch=None):
        check_lengths(words=words, steps=steps, rows=rows, groups=groups)
        self.words, self.steps, self.depth, self.rows, self.groups = words, steps, depth, rows, groups
        self.group_pitch, self.row_pitch = group_pitch, row_pitch
        self.step_pitch = groups if step_pitch is None else step_pitch
        super().__init__(_walk_members(depth) | {
            "last_row":   In(range(max(2, rows))),
            "last_group": In(range(max(2, groups))),
            "offset":     In(range(max(2, depth))),
            "read_row":   Out(range(max(2, rows))),
            "read_group": Out(range(max(2, groups))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.loop = loop = StepLoop(words=self.words, steps=self.steps)
        # Addresses without `offset`: of this bitmap word, and of the first ones of the next row, the next step, a word.
        here, next_row, next_step, origin = (
            Signal.like(self.address, name=name) for name in ("here", "next_row", "next_step", "origin"))
        row_ends = Signal()
        m.d.comb += [
            row_ends.eq(self.read_group == self.last_group if self.groups > 1 else 1),
            self.step_ends.eq(row_ends & (self.read_row == self.last_row if self.rows > 1 else 1)),
            self.word_ends.eq(self.step_ends & loop.last),
            loop.start.eq(self.start), loop.next.eq(self.next & self.step_ends),
            self.running.eq(loop.running), self.address.eq(here + self.offset),
        ]
        with m.If(self.next):
            with m.If(~row_ends):
                m.d.sync += [self.read_group.eq(after(self.read_group, self.groups)), here.eq(here + self.group_pitch)]
            with m.Elif(~self.step_ends):
                m.d.sync += [
                    self.read_group.eq(0), self.read_row.eq(after(self.read_row, self.rows)),
                    here.eq(next_row), next_row.eq(next_row + self.row_pitch),
                ]
            with m.Else():
                m.d.sync += [
                    self.read_group.eq(0), self.read_row.eq(0),
                    here.eq(next_step), next_row.eq(next_step + self.row_pitch),
                    next_step.eq(Mux(loop.last_follows, origin, next_step + self.step_pitch)),
                ]
        with m.If(self.start):
            m.d.sync += [
                self.read_row.eq(0), self.read_group.eq(0),
                here.eq(self.base), origin.eq(self.base), next_row.eq(self.base + self.row_pitch),
                next_step.eq(self.base + (self.step_pitch if self.steps > 1 else 0)),
            ]
        return m


class Descent(wiring.Component):
    """One bitmap word per step, all in one sequence of descending addresses.

    Parameters
    ----------
    words, steps : int
        Loop lengths.
    skip : int
        Bitmap words between the steps of two words.
    depth : int
        Words of the bitmap memory.

    Members
    -------
    start, base, next, running, address, step_ends, word_ends : as of `Rectangles`
    """

    OUTSIDE = ()

    def __init__(self, *, words, steps, depth, skip=0):
        check_lengths(words=words, steps=steps)
        self.words, self.steps, self.depth, self.skip = words, steps, depth, skip
        super().__init__(_walk_members(depth))

    def elaborate(self, platform):
        m = Module()
        m.submodules.loop = loop = StepLoop(words=self.words, steps=self.steps)
        m.d.comb += [
            self.step_ends.eq(1), self.word_ends.eq(loop.last), self.running.eq(loop.running),
            loop.start.eq(self.start), loop.next.eq(self.next),
        ]
        with m.If(self.next):
            m.d.sync += self.address.eq(self.address - Mux(self.word_ends, 1 + self.skip, 1))
        with m.If(self.start):
            m.d.sync += self.address.eq(self.base)
        return m
