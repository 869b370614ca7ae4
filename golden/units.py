"""Derived sizes: what the configuration means for each block, layer and classifier.

A *unit* is one engine: a convolution, a dense layer, a pooling or a classifier. Neurons are stored channel-last; an
output *word* is `lanes` consecutive channels of one pixel, each computed by its lane. The weight word of channel word
``group`` and row ``row`` of the memory (`Unit.fan_address`) lies at ``group * fan_rows + row``. A dense layer is a
convolution whose input is one pixel. Everything here is a plain integer, shared by golden model, schedule and RTL;
where inputs lie is in `geometry`.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import NamedTuple

from .geometry import Bitmap, Span, spans, transposed
from .parts.dense import Dense
from .parts.dropout import DROPOUT_BITS

__all__ = ["HISTORY_LIMIT", "Block", "Unit", "build_blocks", "clog2"]


#: Steps of an update period for which spikes are taken from a history: a word of each is in registers at a time.
HISTORY_LIMIT = 256


def clog2(value):
    """Bits needed to count to `value` exclusive: 0 for 1, 3 for 5."""
    return (value - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One layer or classifier.

    Attributes
    ----------
    block, index : int
        Its block, and its place in the block (the classifier is last).
    kind : str
        ``dense``, ``conv`` or ``avg_pool``; ``dense`` also for a convolution that has one window without padding.
    classifier : bool
        Whether it is the local classifier.
    static : bool
        Whether its input is the frame itself, the same in every step.
    events : bool
        Whether its input is the stream of events.
    bottom : bool
        Whether it is the first of its block: no error leaves it downwards.
    learns : bool
        Whether it computes errors: it has weights, or a unit below it in the block has.
    serves : bool
        Whether a unit below it in the block learns, and asks for errors.
    shape_in, shape_out : tuple of int
        Height, width and channels of its input and of its neurons.
    kernel, stride, padding : int
        Of its windows; 0, 1, 0 where it is dense.
    lanes : int
        Channels computed per cycle.
    granule : int
        Channels that its input spikes arrive in (the lanes of the unit below; 1 for a frame).
    weight_width, error_width, input_bits : int
        Widths of what it stores or multiplies; `input_bits` is 0 for spikes.
    weight_fraction : int
        Fraction bits of a weight.
    neuron : NamedTuple
        Its neurons in numbers, such as `parts.lif.LifNumbers`.
    accumulates : bool
        Whether its gradients are summed in a memory, interval by interval, instead of over a history of errors.
    random : bool
        Whether its weights are computed from a seed instead of stored.
    steps, update_steps : int
        Steps of one interval, ``k``, and between two weight updates.
    slice_steps : int
        Steps of one interval that go backward together: all, or those whose errors are kept.
    scan_bits : int
        Bits of an input bitmap word at least.
    batch : int
        Samples whose gradients are summed, and whose potentials are kept.
    align : int
        Left shift from the summed weights to the potential's fraction; negative is a floored right shift.
    multiplier_width : int
        Bits of the learning-rate multiplier.
    velocity_width : int
        Bits of the velocity of a weight; 0 without momentum.
    dropout, input_dropout : int
        Sixteenths of its own spikes, and of its input spikes, that are dropped in training.
    """

    block: int
    index: int
    kind: str
    classifier: bool
    static: bool
    events: bool
    bottom: bool
    learns: bool
    serves: bool
    shape_in: tuple[int, int, int]
    shape_out: tuple[int, int, int]
    kernel: int
    stride: int
    padding: int
    lanes: int
    granule: int
    weight_width: int
    weight_fraction: int
    error_width: int
    neuron: NamedTuple
    input_bits: int
    accumulates: bool
    random: bool
    steps: int
    update_steps: int
    slice_steps: int
    scan_bits: int
    batch: int
    align: int
    multiplier_width: int
    velocity_width: int
    dropout: int
    input_dropout: int

    @property
    def name(self):
        """Module name inside the block."""
        return "classifier" if self.classifier else f"layer{self.index}"

    @property
    def path(self):
        """Name in counters, traces and messages."""
        return f"block{self.block}.{self.name}"

    @property
    def pool(self):
        """Whether it averages."""
        return self.kind == "avg_pool"

    @property
    def stored(self):
        """Whether it has weights in memory, which it learns."""
        return not self.pool and not self.random

    # Neurons

    @property
    def n_in(self):
        """Inputs."""
        return prod(self.shape_in)

    @property
    def n_out(self):
        """Neurons."""
        return prod(self.shape_out)

    @property
    def channels(self):
        """Output channels; all neurons of a dense unit."""
        return self.shape_out[2]

    @property
    def pixels(self):
        """Output pixels."""
        return self.shape_out[0] * self.shape_out[1]

    @property
    def channel_words(self):
        """Output words of one pixel."""
        return -(-self.channels // self.lanes)

    @property
    def words(self):
        """Output words."""
        return self.pixels * self.channel_words

    @property
    def last_lanes(self):
        """Lanes of the last word of a pixel that hold a neuron."""
        return self.channels - (self.channel_words - 1) * self.lanes

    # Inputs

    @cached_property
    def bitmap(self):
        """How its input spikes lie in memory, as a `Bitmap`."""
        height, width, channels = self.shape_in
        granules = -(-channels // self.granule)
        if self.kind == "dense":
            # One pixel; between the pixels below there may be bits that nobody sets.
            channels = (height * width - 1) * granules * self.granule + channels
            height = width = 1
        return Bitmap(height=height, width=width, channels=channels, granule=self.granule,
                      minimum=self.scan_bits)

    @cached_property
    def windows(self):
        """Input rows and columns under each output row and column: two tuples of `Span`."""
        if self.kind == "dense":
            return (Span(0, 1, 0),), (Span(0, 1, 0),)
        return tuple(spans(self.shape_in[axis], self.shape_out[axis], self.kernel, self.stride, self.padding)
                     for axis in (0, 1))

    @cached_property
    def taps(self):
        """Output rows and columns over each input row and column: two tuples of `Span`."""
        return tuple(transposed(own, length) for own, length in zip(self.windows, (self.bitmap.height,
                                                                                   self.bitmap.width)))

    @property
    def kernel_width(self):
        """Taps of one kernel row; 1 where it is dense."""
        return 1 if self.kind == "dense" else self.kernel

    @property
    def fan_in(self):
        """Inputs of one neuron, padding included; rows of the weight matrix (1 input channel where it pools)."""
        if self.kind == "dense":
            return self.n_in
        return self.kernel**2 * (1 if self.pool else self.shape_in[2])

    @property
    def fan_rows(self):
        """Weight words of one channel word: rows of the bitmap under a kernel, unset bits between pixels included."""
        return (self.kernel_width**2 - 1) * self.bitmap.pitch + self.bitmap.channels

    def fan_address(self, row):
        """Place of a row of the weight matrix among the `fan_rows`; works on arrays too."""
        channels = self.shape_in[2]
        pitch = -(-channels // self.granule) * self.granule if self.kind == "dense" else self.bitmap.pitch
        return row // channels * pitch + row % channels

    @property
    def weight_depth(self):
        """Words of weights, as far as there are any to address."""
        return 0 if self.pool else self.channel_words * self.fan_rows

    @property
    def gradient_bits(self):
        """Bits of errors, input spikes and gradients in memory, for each of the two ways to sum equation (7).

        A history would have to hold all samples of a batch, where a memory takes one after the other.
        """
        def kept(steps, error_steps):
            error = self.words * self.lanes * self.history_width
            return error if self.static else error_steps * error + steps * self.bitmap.words * self.bitmap.scan_width

        sums = self.weight_depth * (1 + self.lanes * self.gradient_width)
        return {"history": self.batch * kept(self.update_steps, self.update_steps),
                "memory": kept(self.steps, self.slice_steps) + sums}

    @property
    def gradient(self):
        """Where the sums of equation (7) come from: ``history`` of errors, ``memory``, or ``none``."""
        return "none" if not self.stored else "memory" if self.accumulates else "history"

    @property
    def pool_weight(self):
        """The weight of an average: ``1 / fan_in`` to the nearest weight."""
        return ((2 << self.weight_fraction) + self.fan_in) // (2 * self.fan_in)

    @property
    def frames(self):
        """Steps that its input history holds: the update period or the interval; 1 for a static frame."""
        return 1 if self.static else self.history_steps

    @property
    def history_steps(self):
        """Steps of the spikes that are kept: until the update, or for an interval."""
        return self.update_steps if self.gradient == "history" else self.steps

    @property
    def slices(self):
        """Slices of one interval, which go backward one after the other."""
        return self.steps // self.slice_steps

    @property
    def error_frames(self):
        """Errors of a neuron that are kept; of a static frame, their sum."""
        return 1 if self.static else self.update_steps if self.gradient == "history" else self.slice_steps

    @property
    def neuron_cycles(self):
        """Cycles of a step of a neuron at least, forward (decay, integrate) and backward (carry, finish)."""
        return 2

    @property
    def step_minimum(self):
        """Cycles that neurons need per sum: those of a step, and of all ``k`` steps with the sum of a frame."""
        return self.neuron_cycles * (self.steps if self.static else 1)

    # Widths

    @property
    def sum_width(self):
        """Bits of the exact sum of input times weight over the fan-in."""
        return self.weight_width + self.input_bits + clog2(self.fan_in)

    @property
    def current_width(self):
        """Bits of that sum in units of the last potential bit, and of what it is scaled by in inference."""
        return self.sum_width + max(0, self.align, DROPOUT_BITS if self.input_dropout else 0)

    @property
    def most_taps(self):
        """Outputs that one input reaches at most."""
        return max(span.count for span in self.taps[0]) * max(span.count for span in self.taps[1])

    @property
    def dot_width(self):
        """Bits of the exact sum of error times weight over the outputs of one input."""
        terms = self.most_taps * (1 if self.pool else self.channels)
        return self.weight_width + self.error_width + clog2(terms)

    @property
    def factor_width(self):
        """Bits of the wider factor of a lane's multiplier: a weight, or an error."""
        return max(self.weight_width, self.history_width if self.static else self.error_width)

    @property
    def history_width(self):
        """Bits of one stored error: for a static input only the sum over the steps is kept."""
        return self.error_width + (clog2(self.history_steps) if self.static else 0)

    @property
    def gradient_width(self):
        """Bits of the exact gradient of one weight over one update period."""
        return self.error_width + clog2(self.update_steps * self.pixels * self.batch) + self.input_bits

    @property
    def scaled_width(self):
        """Bits of the gradient times the learning-rate multiplier, with room for the rounding."""
        return max(self.gradient_width, self.velocity_width) + self.multiplier_width + 2


@dataclass(frozen=True, kw_only=True)
class Block:
    """Layers trained by one local classifier; `units` ends with it."""

    index: int
    units: tuple[Unit, ...]
    last: bool

    @property
    def name(self):
        return f"block{self.index}"

    @property
    def layers(self):
        return self.units[:-1]

    @property
    def classifier(self):
        return self.units[-1]


def _block_ends(config):
    """Number of layers up to the end of each block."""
    if config.network.block_ends:
        return config.network.block_ends
    ends, weighted = [], 0
    for place, layer in enumerate(config.layers, 1):
        weighted += layer.weighted
        follows = place < len(config.layers) and not config.layers[place].weighted
        if weighted == config.network.block_length and not follows:
            ends.append(place)
            weighted = 0
    return ends if ends[-1:] == [len(config.layers)] else [*ends, len(config.layers)]


def build_blocks(config):
    """The blocks of a `Config`, as a tuple."""
    numbers, k = config.numbers, config.time.interval
    update_steps = k * config.time.update_period

    def choose(unit, layer):
        """With gradients in a memory, if they have to be or need fewer bits there."""
        if unit.kind != "dense" or not unit.stored:
            return unit
        bits = unit.gradient_bits
        # With momentum every weight moves, and a pass over all of them there must be; of a batch, no history is kept.
        wanted = layer.gradient
        memory = unit.velocity_width > 0 or unit.batch > 1 or wanted == "memory" or (
            wanted == "auto" and (bits["memory"] < bits["history"] or unit.frames > HISTORY_LIMIT))
        return replace(unit, accumulates=memory)

    def unit(block, index, layer, below, static, learns, neuron):
        shape_in, granule, input_dropout = below
        fraction = numbers.weight.fraction + (config.input.fraction if static else 0)
        window, weighted = layer.window(shape_in), layer.weighted
        return Unit(
            block=block, index=index, kind=window.kind, classifier=False, static=static,
            events=config.input.kind == "events" and block == index == 0, bottom=index == 0,
            learns=learns or weighted, serves=learns, shape_in=shape_in, shape_out=layer.shape_out(shape_in),
            kernel=window.kernel, stride=window.stride, padding=window.padding,
            lanes=layer.lanes if weighted else granule, granule=granule, accumulates=window.kind == "conv",
            random=False, weight_width=numbers.weight.width, weight_fraction=numbers.weight.fraction,
            error_width=numbers.error.width, neuron=config.neuron_of(neuron),
            input_bits=config.input.bits if static else 0, steps=k, update_steps=update_steps,
            slice_steps=k if config.input.kind == "frame" and block == 0 else config.hardware.error_steps or k,
            scan_bits=config.hardware.scan_bits, batch=config.update.batch,
            align=numbers.potential.fraction - fraction, multiplier_width=config.update.multiplier.bit_length(),
            velocity_width=config.update.momentum.width if config.update.momentum and weighted else 0,
            dropout=layer.dropout, input_dropout=input_dropout)

    blocks, start, below = [], 0, (config.input.shape, 1, 0)
    ends = _block_ends(config)
    for number, end in enumerate(ends):
        units = []
        for place, layer in enumerate(config.layers[start:end]):
            static = config.input.kind == "frame" and number == place == 0
            learns = any(own.learns for own in units)
            units.append(choose(unit(number, place, layer, below, static, learns, layer), layer))
            below = units[-1].shape_out, units[-1].lanes, units[-1].dropout
        ending = Dense(neurons=config.network.classes, lanes=config.classifier.lanes)
        # Poolings have no weights: where a block has nothing else, nobody asks its classifier for errors.
        asked = any(own.learns for own in units)
        end_unit = replace(unit(number, len(units), ending, below, False, asked, config.classifier), classifier=True)
        if config.classifier.kind == "random":
            end_unit = replace(end_unit, random=True, velocity_width=0)
        units.append(choose(end_unit, config.classifier))
        if not any(own.accumulates for own in units):
            units = [replace(own, slice_steps=k) for own in units]
        blocks.append(Block(index=number, units=tuple(units), last=end == ends[-1]))
        start = end
    return tuple(blocks)
