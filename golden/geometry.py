"""Where inputs lie, and which outputs they reach. Plain integers, without a configuration.

Spikes of one step lie in bitmap words, image row by image row. A word holds whole pixels where pixels are narrow, and
a part of one pixel where they are wide; no word belongs to two image rows.
"""

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["WHOLE", "Bitmap", "Span", "Window", "spans", "transposed", "window_counts"]


class Window(NamedTuple):
    """How the neurons of a layer see its inputs: `kind` is ``dense``, ``conv`` or ``avg_pool``."""

    kind: str
    kernel: int
    stride: int
    padding: int

    @property
    def pools(self):
        """Whether it averages its inputs, channel by channel."""
        return self.kind == "avg_pool"


#: Every neuron sees all inputs.
WHOLE = Window("dense", 0, 1, 0)


def window_counts(shape, kernel, stride, padding):
    """Windows down and across inputs of `shape`."""
    return tuple((length + 2 * padding - kernel) // stride + 1 for length in shape[:2])


class Span(NamedTuple):
    """`count` positions from `first` on; `tap` is the place in the kernel that belongs to the first.

    The positions are neighbours. Of the outputs over an input (`transposed`), each next one has a tap that is smaller
    by the stride; of the inputs under an output (`spans`), one that is larger by 1.
    """

    first: int
    count: int
    tap: int


def spans(inputs, outputs, kernel, stride, padding):
    """Inputs under each output along one axis, without padding, as a tuple of `Span`."""
    found = []
    for place in range(outputs):
        begin = place * stride - padding
        first, last = max(0, begin), min(inputs, begin + kernel)
        found.append(Span(first, last - first, first - begin))
    return tuple(found)


def transposed(windows, inputs):
    """Outputs over each of `inputs` inputs along one axis, from the `Span` of each output."""
    found = []
    for place in range(inputs):
        own = [(output, place - window.first + window.tap) for output, window in enumerate(windows)
               if window.first <= place < window.first + window.count]
        found.append(Span(own[0][0], len(own), own[0][1]))
    return tuple(found)


@dataclass(frozen=True)
class Bitmap:
    """Layout of the spikes of one step, `height` by `width` pixels of `channels`, written `granule` channels at a time.

    Attributes
    ----------
    granules : int
        Granules of a pixel.
    shared : bool
        Whether a word holds whole pixels, `per_word` of them; else a pixel has `per_pixel` words of its own.
    parts : int
        Granules of a word.
    scan_width : int
        Bits of a word: at least `minimum`, or an image row.
    pitch : int
        Bits from one pixel to the next.
    groups : int
        Words of an image row.
    words : int
        Words of a step.
    """

    height: int
    width: int
    channels: int
    granule: int
    #: Input bits are packed until a word has at least so many: an empty word costs a cycle, a wide one logic.
    minimum: int = 32

    @property
    def granules(self):
        return -(-self.channels // self.granule)

    @property
    def shared(self):
        return self.width > 1 and self.granules * self.granule < self.minimum

    @property
    def per_word(self):
        """Pixels of a word, a power of two; 1 where words are not shared."""
        pixel, count = self.granules * self.granule, 1
        while self.shared and count < self.width and pixel * count < self.minimum:
            count *= 2
        return count

    @property
    def parts(self):
        if self.shared:
            return self.granules * self.per_word
        count = 1
        while count < self.granules and self.granule * count < self.minimum:
            count *= 2
        return count

    @property
    def per_pixel(self):
        """Words of a pixel; 1 where words are shared."""
        return -(-self.granules // self.parts)

    @property
    def scan_width(self):
        return self.granule * self.parts

    @property
    def pitch(self):
        return self.granules * self.granule if self.shared else self.per_pixel * self.scan_width

    @property
    def groups(self):
        return -(-self.width // self.per_word) * self.per_pixel

    @property
    def words(self):
        return self.height * self.groups

    @property
    def partial(self):
        """Bits of the last word of a pixel that hold an input; all of a shared word."""
        return self.scan_width if self.shared else self.channels - (self.per_pixel - 1) * self.scan_width

    def position(self, y, x, channel):
        """Bit of an input in the words of a step; works on arrays too."""
        return y * self.groups * self.scan_width + x * self.pitch + channel

    def granule_place(self, pixel, granule):
        """Word of an image row, and part of that word, of one granule of a pixel."""
        if self.shared:
            return pixel // self.per_word, pixel % self.per_word * self.granules + granule
        return pixel * self.per_pixel + granule // self.parts, granule % self.parts

    def visited(self, first, count):
        """Words of an image row that hold any of `count` pixels from `first` on, as a range."""
        if self.shared:
            return range(first // self.per_word, (first + count - 1) // self.per_word + 1)
        return range(first * self.per_pixel, (first + count) * self.per_pixel)
