"""The walk over the outputs that an input reaches, for every input at once, against `golden.geometry`.

The geometry says which inputs lie under an output (`spans`); the walk goes the other way, from an input to its outputs.
Every word that it visits must have the input under it, with the right tap, and no word in between may.
"""

import pytest
from amaranth.hdl import Array, Assert, Assume, Cat, Const, Module, Mux, ResetSignal, Signal

from formal import Verdict, check, constant, without_reset
from spikeloom.golden.geometry import spans
from spikeloom.golden.schedule import tap_latency
from spikeloom.rtl.arithmetic import register, times
from spikeloom.rtl.taps import TapWalk
from strategies import small

CONV = {"kind": "conv", "channels": 3, "kernel": 3, "stride": 2, "padding": 1, "lanes": 2}
#: Cycles without a walk, together.
PAUSES = 4
SHAPES = {
    "strides": ([4, 5, 1], CONV),
    "channels": ([3, 3, 2], {**CONV, "channels": 2, "stride": 1, "kernel": 2, "padding": 0}),
    "padding": ([3, 3, 1], {**CONV, "channels": 1, "lanes": 1, "kernel": 2, "stride": 1}),
    "pool": ([4, 4, 3], {"kind": "avg_pool", "size": 2, "stride": 1}),
    "dense": ([2, 2, 2], {"kind": "dense", "neurons": 5, "lanes": 2}),
}


def unit_of(shape, layer):
    layers = [layer] if layer["kind"] != "avg_pool" else [
        {"kind": "conv", "channels": 3, "kernel": 1, "lanes": 2}, layer]
    return small(input={"shape": shape}, layers=layers).units[len(layers) - 1]


def shape_in(unit):
    """Rows, columns and bits of a pixel of its inputs; those of a dense layer are one pixel."""
    return unit.bitmap.height, unit.bitmap.width, unit.bitmap.channels


def geometry(unit, axis):
    """Per output along an axis: the `Span` of inputs under it."""
    if unit.window.kind == "dense":
        return spans(1, 1, 1, 1, 0)
    return spans(shape_in(unit)[axis], unit.shape_out[axis], unit.window.kernel, unit.window.stride, unit.window.padding)


def most(axis, size):
    """Outputs over an input along an axis, at most."""
    return max(sum(own.first <= place < own.first + own.count for own in axis) for place in range(size))


def under(axis, place, value):
    """Whether `value` is one of the inputs under the output at `place`, and through which tap."""
    own = axis[place]
    return (value >= own.first) & (value < own.first + own.count), value - own.first + own.tap


def members(unit, rows, columns, y, x, channel):
    """Per output word: whether an input lies under it, and the row of its weights."""
    pitch, found = unit.bitmap.pitch, []
    for word in range(unit.words):
        place, group = divmod(word, unit.channel_words)
        (down, tap_y), (across, tap_x) = (
            under(axis, own, value) for axis, own, value in zip(
                (rows, columns), divmod(place, unit.shape_out[1]), (y, x)))
        mine = channel // unit.lanes == group if unit.window.pools else Const(1)
        found.append((down & across & mine,
                      channel if unit.window.pools else (tap_y * unit.kernel_width + tap_x) * pitch + channel))
    return found


def verdict(unit, amiss=None):
    """Of two walks, one after the other, from any input and then from any, with pauses before them."""
    m = Module()
    m.submodules.walk = walk = TapWalk(unit)
    without_reset(m)
    active, turn = Signal(name="active"), Signal(name="turn")
    inputs = [active]
    places = [[constant(m, inputs, range(max(2, size)), name=f"{name}_{own}")
               for name, size in zip("yxc", shape_in(unit))] for own in (1, 2)]
    m.d.sync += turn.eq(turn | (active & walk.last))
    y, x, channel = (Mux(turn, b, a) for a, b in zip(*places))
    m.d.comb += [walk.y.eq(y), walk.x.eq(x), walk.channel.eq(channel), walk.active.eq(active)]
    m.d.comb += [Assume(place < size) for own in places for place, size in zip(own, shape_in(unit))]

    # What the walk says at once, and of which input, as late as the rest of it.
    late = tap_latency(unit)
    now, begins, ends, y, x, channel = (
        register(m, own, name=f"late_{name}", stages=late) for name, own in (
            ("active", active), ("first", walk.first), ("last", walk.last), ("y", y), ("x", x), ("channel", channel)))
    rows, columns = geometry(unit, 0), geometry(unit, 1)
    over, wanted = zip(*members(unit, rows, columns, y, x, channel))
    reached, over = Signal(range(unit.words + 1)), Cat(over)
    since = Mux(begins, 0, reached)  # words below it have been visited where they had to be
    with m.If(now):
        m.d.sync += reached.eq(walk.word + 1)
    left_out = (over >> since) & ~(Const(-1, unit.words) << (walk.word - since).as_unsigned()[:len(walk.word)])
    group = walk.word % unit.channel_words
    fits = [
        over.bit_select(walk.word, 1), walk.word >= since, left_out == 0, (over >> (walk.word + 1) == 0) == ends,
        walk.row == Array(wanted)[walk.word] + (amiss == "row"), walk.full == (group != unit.channel_words - 1)]
    if not unit.window.pools:
        fits.append(walk.weight_base == group * unit.fan_rows)
    if amiss == "next":
        fits.append(walk.word == since)
    m.d.comb += Assert(ResetSignal() | ~now | Cat(fits).all())
    words = most(rows, shape_in(unit)[0]) * most(columns, shape_in(unit)[1])
    words *= 1 if unit.window.pools else unit.channel_words
    return check(m, inputs, depth=2 * words + late + PAUSES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_walk_visits_what_the_geometry_says(name):
    assert verdict(unit_of(*SHAPES[name])) is Verdict.BOUNDED


@pytest.mark.parametrize("name", SHAPES)
def test_a_wrong_claim_is_refuted(name):
    """A row of weights that is one too high; and, but in a dense layer, that every word is visited."""
    unit = unit_of(*SHAPES[name])
    assert verdict(unit, "row") is Verdict.REFUTED
    assert (verdict(unit, "next") is Verdict.REFUTED) == (name != "dense")


def test_a_wrong_stride_is_refuted(monkeypatch):
    unit = unit_of(*SHAPES["strides"])
    monkeypatch.setattr("spikeloom.rtl.taps.times", lambda x, constant: times(x, max(1, constant - 1)))
    assert verdict(unit) is Verdict.REFUTED
