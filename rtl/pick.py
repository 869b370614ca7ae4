"""From one bitmap word to its events: each set bit, the word as a whole, or none."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .walk import check_lengths

__all__ = ["PickBits", "PickNone", "PickWord", "few", "first_set"]


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


class PickBits(wiring.Component):
    """One event per set bit, the lowest first; each of them for as long as `stay` holds.

    Parameters
    ----------
    width : int
        Bits of a word.

    Members
    -------
    take, word : In
        Begin with `word` in the next cycle; only while `done`, or before anything was taken.
    stay : In(1)
        The event needs another cycle; combinational from `event` and `index`.
    event, index : Out
        Whether a bit is left, and the lowest of them.
    done : Out(1)
        No event comes after this cycle. Known from a count that was made before, so that no gate chain leads through
        the bits to whoever asks.
    """

    OUTSIDE = ("stay", "event", "index")

    def __init__(self, width):
        check_lengths(width=width)
        self.width = width
        super().__init__({
            "take":  In(1),
            "word":  In(width),
            "stay":  In(1),
            "event": Out(1),
            "index": Out(range(max(2, width))),
            "done":  Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        bits, single, stays = Signal(self.width), Signal(init=1), Signal()
        lowest, index = first_set(m, bits, name="lowest")
        left, coming = few(m, bits, name="left"), few(m, self.word, name="coming")
        m.d.comb += [self.index.eq(index), stays.eq(self.event & self.stay), self.done.eq(single & ~stays)]
        # None comes while an event stays. When the last one has gone, there is no event either.
        with m.If(~stays):
            m.d.sync += [
                bits.eq(Mux(self.take, self.word, bits & ~lowest)),
                self.event.eq(Mux(self.take, coming.any(), ~single)),
                single.eq(Mux(self.take, ~coming[1], ~left.all())),
            ]
        return m


class PickWord(wiring.Component):
    """One event for all set bits of a word together, for one cycle; none if no bit is set.

    Members as of `PickBits`, without `stay`; `index` is the lowest set bit, and `seen` all of them.
    """

    OUTSIDE = ("event", "index", "seen")

    def __init__(self, width):
        check_lengths(width=width)
        self.width = width
        super().__init__({
            "take":  In(1),
            "word":  In(width),
            "event": Out(1),
            "index": Out(range(max(2, width))),
            "seen":  Out(width),
            "done":  Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        _, index = first_set(m, self.seen, name="lowest")
        m.d.comb += [self.index.eq(index), self.done.eq(1)]
        m.d.sync += [self.seen.eq(Mux(self.take, self.word, 0)), self.event.eq(self.take & self.word.any())]
        return m


class PickNone(wiring.Component):
    """No event, whatever is set: for scans of which only what stands beside the bits is needed.

    Members
    -------
    done : Out(1)
        Always.
    """

    OUTSIDE = ()
    width = 0
    done: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.done.eq(1)
        return m
