"""Places of inputs and windows over them: relations written out in full."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.golden.geometry import Bitmap, Span, spans, transposed
from strategies import small, spatial_units


@st.composite
def bitmaps(draw):
    channels = draw(st.one_of(st.integers(1, 9), st.integers(28, 80)))
    return Bitmap(height=draw(st.integers(1, 4)), width=draw(st.integers(1, 20)), channels=channels,
                  granule=draw(st.integers(1, min(channels, 40))), minimum=draw(st.sampled_from([1, 8, 32, 50])))


def places(layout, y, x):
    """(bitmap word, bit in it) of every channel of one pixel."""
    return [divmod(layout.position(y, x, channel), layout.scan_width) for channel in range(layout.channels)]


@given(bitmaps())
def test_every_input_has_a_bit_of_its_own(layout):
    found = [[place for x in range(layout.width) for place in places(layout, y, x)] for y in range(layout.height)]
    every = [place for row in found for place in row]
    assert len(set(every)) == len(every) == layout.height * layout.width * layout.channels
    # A word belongs to one image row, and none is useless.
    for y, row in enumerate(found):
        assert {word for word, _ in row} == set(range(y * layout.groups, (y + 1) * layout.groups))
    assert layout.words == layout.height * layout.groups


@given(bitmaps())
def test_words_are_whole_granules_and_wide_enough(layout):
    assert layout.scan_width == layout.parts * layout.granule
    assert layout.scan_width >= layout.minimum or layout.groups == 1
    # Narrow pixels are not torn apart, and wide ones do not mix.
    for x in range(layout.width):
        words = {word for word, _ in places(layout, 0, x)}
        assert len(words) == (1 if layout.shared else layout.per_pixel)
    owners = [{x for x in range(layout.width) if word in {w for w, _ in places(layout, 0, x)}}
              for word in range(layout.groups)]
    assert max(map(len, owners)) == min(layout.per_word, layout.width)


@given(bitmaps())
def test_a_granule_lies_where_its_channels_are(layout):
    for x in range(layout.width):
        for channel, place in enumerate(places(layout, 0, x)):
            word, part = layout.granule_place(x, channel // layout.granule)
            assert place == (word, part * layout.granule + channel % layout.granule)


@given(bitmaps(), st.data())
def test_visited_words_are_those_of_the_pixels(layout, data):
    first = data.draw(st.integers(0, layout.width - 1))
    count = data.draw(st.integers(1, layout.width - first))
    visited = layout.visited(first, count)
    assert visited.step == 1
    assert set(visited) == {word for x in range(first, first + count) for word, _ in places(layout, 0, x)}


@given(bitmaps())
def test_partial_is_what_the_last_word_of_a_pixel_holds(layout):
    last = [place for place in places(layout, 0, layout.width - 1) if place[0] == layout.groups - 1]
    assert layout.partial == (layout.scan_width if layout.shared else len(last))


@pytest.mark.parametrize("layout, shared, per_word, per_pixel, parts, scan_width, pitch, groups", [
    (Bitmap(height=1, width=1, channels=70, granule=1), False, 1, 3, 32, 32, 96, 3),
    (Bitmap(height=1, width=1, channels=10, granule=4), False, 1, 1, 4, 16, 16, 1),     # three parts, one unused
    (Bitmap(height=5, width=9, channels=3, granule=1), True, 16, 1, 48, 48, 3, 1),      # one word holds a row
    (Bitmap(height=5, width=20, channels=3, granule=1), True, 16, 1, 48, 48, 3, 2),
    (Bitmap(height=5, width=9, channels=6, granule=4), True, 4, 1, 8, 32, 8, 3),
    (Bitmap(height=5, width=9, channels=34, granule=5), False, 1, 1, 8, 40, 40, 9),
    (Bitmap(height=2, width=2, channels=34, granule=17), False, 1, 1, 2, 34, 34, 2),
    (Bitmap(height=2, width=2, channels=65, granule=16), False, 1, 3, 2, 32, 96, 6),
])
def test_layouts_by_hand(*, layout, shared, per_word, per_pixel, parts, scan_width, pitch, groups):
    assert (layout.shared, layout.per_word, layout.per_pixel, layout.parts, layout.scan_width, layout.pitch,
            layout.groups) == (shared, per_word, per_pixel, parts, scan_width, pitch, groups)


@st.composite
def axes(draw):
    """Inputs, outputs, kernel, stride and padding of which no input is left out."""
    outputs, kernel = draw(st.integers(1, 9)), draw(st.integers(1, 7))
    stride, padding = draw(st.integers(1, kernel)), draw(st.integers(0, kernel - 1))
    end = (outputs - 1) * stride - padding + kernel  # behind the last window
    inputs = draw(st.integers(max(1, end - padding), max(1, end)))
    return inputs, (inputs + 2 * padding - kernel) // stride + 1, kernel, stride, padding


def relation(inputs, outputs, kernel, stride, padding):
    """All (input, output, tap) that belong together."""
    return {(place, output, tap) for output in range(outputs) for tap in range(kernel)
            if 0 <= (place := output * stride - padding + tap) < inputs}


@given(axes())
def test_spans_and_transposed_are_one_relation(axis):
    inputs, outputs, _, stride, _ = axis
    wanted, windows = relation(*axis), spans(*axis)
    assert len(windows) == outputs
    assert wanted == {(span.first + i, output, span.tap + i)
                      for output, span in enumerate(windows) for i in range(span.count)}
    over = transposed(windows, inputs)
    assert len(over) == inputs
    assert wanted == {(place, span.first + i, span.tap - i * stride)
                      for place, span in enumerate(over) for i in range(span.count)}
    assert min(span.count for span in windows + over) > 0


def test_spans_by_hand():
    # Five inputs, kernel 3, stride 2, one of padding on either side.
    windows = spans(5, 3, 3, 2, 1)
    assert windows == (Span(0, 2, 1), Span(1, 3, 0), Span(3, 2, 0))
    assert transposed(windows, 5) == (Span(0, 1, 1), Span(0, 2, 2), Span(1, 1, 1), Span(1, 2, 2), Span(2, 1, 1))


@given(spatial_units())
def test_rows_of_the_weights_follow_the_bits(drawn):
    """Rows of the weight matrix keep their order in memory, and those of a tap lie side by side as in the bitmap."""
    _, unit = drawn
    if unit.window.pools:
        assert unit.weight_depth == 0
        return
    rows = [unit.fan_address(row) for row in range(unit.fan_in)]
    assert rows == sorted(set(rows)) and rows[0] == 0 and rows[-1] == unit.fan_rows - 1
    assert unit.weight_depth == unit.channel_words * unit.fan_rows
    channels, layout, pitch = unit.shape_in[2], unit.bitmap, unit.bitmap.pitch
    if unit.window.kind == "dense":
        # Its bitmap is one pixel, which holds all granules of the pixels below.
        assert (layout.height, layout.width) == (1, 1)
        assert unit.weights.bias or layout.channels == unit.fan_rows
        pitch = math.ceil(channels / unit.granule) * unit.granule
    taps = (unit.fan_in - unit.weights.bias) // channels
    assert rows == [tap * pitch + channel for tap in range(taps) for channel in range(channels)] + \
        [taps * pitch] * unit.weights.bias


@pytest.mark.parametrize("bits, widths", [(1, [1, 2, 4]), (4, [4, 4, 4]), (32, [8, 8, 4])])
def test_width_of_words_is_a_choice(bits, widths):
    """Whole words of neurons, as many as it takes, or a power of two that holds all."""
    config = small(hardware={"scan_bits": bits})
    assert [unit.bitmap.scan_width for unit in (config.units[0], config.units[1], config.units[3])] == widths
