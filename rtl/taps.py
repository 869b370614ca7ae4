"""Which outputs an input reaches: the walk of the transposed passes, and tables of geometry."""

from amaranth.hdl import Const, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ..golden.geometry import Span
from ..golden.stages import tap_latency
from .arithmetic import register, times

__all__ = ["TapWalk", "lookup"]


def lookup(m, index, values, *, name):
    """The entry of a constant table at `index`, as a signal; a constant where all entries are the same.

    Parameters
    ----------
    index : Value
    values : sequence of int
        Entry by index; what lies beyond is not asked for.
    """
    low, high = min(values), max(values)
    if low == high:
        return Const(low)
    # That of `range(low, high + 1)`, of which Python has none with more than 63 bits.
    shape = Shape(max(bits_for(own, low < 0) for own in (low, high)), signed=low < 0)
    result = Signal(shape, name=name)
    with m.Switch(index):
        for place, value in enumerate(values):
            with m.Case(place) if place < len(values) - 1 else m.Default():
                m.d.comb += result.eq(value)
    return result


class TapWalk(wiring.Component):
    """For one input of a unit after another: every weight word and error word that the input meets.

    One word per cycle; output rows, output columns, channel words. A pooling meets only the channel word of its input,
    and has no weights.

    Parameters
    ----------
    unit : Unit
        The unit whose outputs are reached.
    bias : bool
        Whether the input of its bias, which reaches all of them, comes too: as the first bit of a pixel below and
        beside the last one.

    Members
    -------
    y, x, channel : In
        Pixel of the input, and its bit in the pixel; they stand as long as `active`.
    active : In(1)
        There is an input; its words follow each other until `last`.
    first, last : Out(1)
        First and last word of this input.
    full : Out(1)
        Whether all lanes of the word hold a neuron; this and what follows, `tap_latency` cycles later.
    row : Out
        Fan-in row of the weights; of a pooling, the bit in the pixel.
    weight_base : Out
        Where the rows of this channel word begin.
    word : Out
        Output word.
    """

    def __init__(self, unit, *, bias=False):
        self.unit, self.bias = unit, bias
        layout = unit.bitmap
        super().__init__({
            "y":           In(range(max(2, layout.height + bias))),
            "x":           In(range(max(2, layout.width + bias))),
            "channel":     In(range(max(2, layout.pitch))),
            "active":      In(1),
            "first":       Out(1),
            "last":        Out(1),
            "full":        Out(1),
            "row":         Out(range(max(2, unit.fan_rows))),
            "weight_base": Out(range(max(2, unit.weight_depth))),
            "word":        Out(range(max(2, unit.words))),
        })

    def elaborate(self, platform):
        m = Module()
        unit, (down, across) = self.unit, self.unit.taps
        groups = 1 if unit.window.pools else unit.channel_words
        pitch, width = unit.bitmap.pitch, unit.kernel_width
        row_pitch = unit.shape_out[1] * unit.channel_words
        if self.bias:
            down, across = ((*own, Span(0, count, 0)) for own, count in zip(unit.taps, unit.shape_out))

        # Relative to the first output: steps down and across, and channel word. Whether they are the last ones is known
        # at once where there is just one, since the scan waits for it.
        def steps(spans, index, name):
            counts = [span.count for span in spans]
            if max(counts) == 1:
                return Const(0), Const(1)
            by = Signal(range(max(counts)), name=f"by_{name}")
            return by, by == lookup(m, index, [count - 1 for count in counts], name=f"last_{name}")

        (by, y_last), (bx, x_last) = steps(down, self.y, "y"), steps(across, self.x, "x")
        group, group_base = Signal(range(max(2, groups))), Signal.like(self.weight_base)
        group_last = Signal(name="group_last") if groups > 1 else Const(1)
        m.d.comb += [
            self.first.eq((by == 0) & (bx == 0) & (group == 0)),
            self.last.eq(y_last & x_last & group_last),
        ]
        with m.If(self.active):
            m.d.sync += [
                group.eq(Mux(group_last, 0, group + 1)),
                group_base.eq(Mux(group_last, 0, group_base + unit.fan_rows)),
            ]
            if groups > 1:
                m.d.sync += group_last.eq(group == groups - 2)
        turns = self.active & group_last
        for count, last in ((bx, x_last), (by, y_last)):
            if isinstance(count, Signal):
                with m.If(turns):
                    m.d.sync += count.eq(Mux(last, 0, count + 1))
                turns = turns & last

        y, x, channel, by, bx, group, group_base, group_last = (
            register(m, own, name=f"walked_{name}", stages=tap_latency(unit), reset=False) for name, own in (
                ("y", self.y), ("x", self.x), ("channel", self.channel), ("by", by), ("bx", bx), ("group", group),
                ("base", group_base), ("last", group_last)))

        def place(spans, index, unit_pitch, name):
            return lookup(m, index, [span.first * unit_pitch for span in spans], name=f"first_{name}")

        if unit.window.pools:
            group = lookup(m, channel, [c // unit.lanes for c in range(pitch)], name="own_group")
            m.d.comb += [self.full.eq(group != unit.channel_words - 1), self.row.eq(channel)]
        else:
            # Each next output sees the input through a tap that is smaller by the stride.
            tap_y = lookup(m, y, [span.tap * width * pitch for span in down], name="tap_y")
            tap_x = lookup(m, x, [span.tap * pitch for span in across], name="tap_x")
            row = tap_y + tap_x + channel - times(by, unit.window.stride * width * pitch) - times(
                bx, unit.window.stride * pitch)
            if self.bias:
                row = Mux(y == unit.bitmap.height, unit.fan_rows - 1, row)
            m.d.comb += [self.full.eq(~group_last), self.row.eq(row)]
        m.d.comb += [
            self.weight_base.eq(group_base),
            self.word.eq(place(down, y, row_pitch, "y") + times(by, row_pitch)
                         + place(across, x, unit.channel_words, "x") + times(bx, unit.channel_words) + group),
        ]
        return m
