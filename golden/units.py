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

from .geometry import Bitmap, Span, Window, spans, transposed
from .parts.dense import Dense
from .parts.dropout import DROPOUT_BITS, Dropout
from .parts.inputs import Inputs
from .parts.loss import SpikeCount
from .parts.optimiser import Optimiser
from .parts.rule import HISTORY_LIMIT, Bptt
from .parts.weights import Weights

__all__ = ["Block", "Unit", "build_blocks", "clog2"]


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
    shape_in, shape_out : tuple of int
        Height, width and channels of its input and of its neurons.
    lanes : int
        Channels computed per cycle.
    granule : int
        Channels that its input spikes arrive in (the lanes of the unit below; 1 for a frame).
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
    input : Inputs
        What comes in.
    window : Window
        Which inputs each neuron sees. ``dense`` also for a convolution that has one window without padding.
    neuron : NamedTuple
        Its neurons in numbers, such as `parts.lif.LifNumbers`.
    weights : Weights
        What inputs are multiplied with.
    optimiser : Optimiser
        How weights follow their gradients.
    rule : Bptt
        How it takes part in the way back.
    dropping : Dropout
        Which of its spikes do not leave it in training.
    loss : SpikeCount or None
        Of a local classifier.
    """

    block: int
    index: int
    shape_in: tuple[int, int, int]
    shape_out: tuple[int, int, int]
    lanes: int
    granule: int
    steps: int
    update_steps: int
    slice_steps: int
    scan_bits: int
    batch: int
    align: int
    input: Inputs
    window: Window
    neuron: NamedTuple
    weights: Weights
    optimiser: Optimiser
    rule: Bptt
    dropping: Dropout
    loss: SpikeCount | None

    @property
    def parts(self):
        """The parts that keep something, in the order of memory map and counters."""
        parts = (self.input, self.neuron, self.weights, self.optimiser, self.rule, self.dropping)
        return parts if self.loss is None else (*parts, self.loss)

    @property
    def classifier(self):
        """Whether it is the local classifier of its block."""
        return self.loss is not None

    @property
    def bottom(self):
        """Whether it is the first of its block: no error leaves it downwards."""
        return self.index == 0

    @property
    def dropout(self):
        """Sixteenths of its own spikes that are dropped in training."""
        return self.dropping.share

    @property
    def name(self):
        """Module name inside the block."""
        return "classifier" if self.classifier else f"layer{self.index}"

    @property
    def path(self):
        """Name in counters, traces and messages."""
        return f"block{self.block}.{self.name}"

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
        if self.window.kind == "dense":
            # One pixel; between the pixels below there may be bits that nobody sets.
            channels = (height * width - 1) * granules * self.granule + channels
            height = width = 1
        return Bitmap(height=height, width=width, channels=channels, granule=self.granule,
                      minimum=self.scan_bits)

    @cached_property
    def windows(self):
        """Input rows and columns under each output row and column: two tuples of `Span`."""
        if self.window.kind == "dense":
            return (Span(0, 1, 0),), (Span(0, 1, 0),)
        return tuple(spans(self.shape_in[axis], self.shape_out[axis], *self.window[1:]) for axis in (0, 1))

    @cached_property
    def taps(self):
        """Output rows and columns over each input row and column: two tuples of `Span`."""
        return tuple(transposed(own, length) for own, length in zip(self.windows, (self.bitmap.height,
                                                                                   self.bitmap.width)))

    @property
    def kernel_width(self):
        """Taps of one kernel row; 1 where it is dense."""
        return 1 if self.window.kind == "dense" else self.window.kernel

    @property
    def fan_in(self):
        """Inputs of one neuron, padding and that of a bias included: rows of the weight matrix.

        Of a pooling, those of one channel.
        """
        if self.window.kind == "dense":
            return self.n_in + self.weights.bias
        return self.window.kernel**2 * (1 if self.window.pools else self.shape_in[2]) + self.weights.bias

    @property
    def fan_rows(self):
        """Weight words of one channel word: rows of the bitmap under a kernel, unset bits between pixels included.

        A pooling has no weights; what it is told is a bit of a pixel.
        """
        return self.bitmap.pitch if self.window.pools else self.fan_address(self.fan_in - 1) + 1

    def fan_address(self, row):
        """Place of a row of the weight matrix among the `fan_rows`; works on arrays too."""
        channels = self.shape_in[2]
        pitch = -(-channels // self.granule) * self.granule if self.window.kind == "dense" else self.bitmap.pitch
        return row // channels * pitch + row % channels

    @property
    def weight_depth(self):
        """Words of weights, as far as there are any to address."""
        return 0 if self.window.pools else self.channel_words * self.fan_rows

    @property
    def gradient_bits(self):
        """Bits of errors, input spikes and gradients in memory, for each of the two ways to sum equation (7).

        A history would have to hold all samples of a batch, where a memory takes one after the other.
        """
        def kept(steps, error_steps):
            error = self.words * self.lanes * self.history_width
            if self.input.static:
                return error
            return error_steps * error + steps * self.bitmap.words * self.bitmap.scan_width

        sums = self.weight_depth * (1 + self.lanes * self.gradient_width)
        return {"history": self.batch * kept(self.update_steps, self.update_steps),
                "memory": kept(self.steps, self.slice_steps) + sums}

    @property
    def pool_weight(self):
        """The weight of an average: ``1 / fan_in`` to the nearest weight."""
        return ((2 << self.weights.fraction) + self.fan_in) // (2 * self.fan_in)

    @property
    def frames(self):
        """Steps that its input history holds: the update period or the interval; 1 for a static frame."""
        return 1 if self.input.static else self.history_steps

    @property
    def history_steps(self):
        """Steps of the spikes that are kept: until the update, or for an interval."""
        return self.update_steps if self.rule.gradient == "history" else self.steps

    @property
    def slices(self):
        """Slices of one interval, which go backward one after the other."""
        return self.steps // self.slice_steps

    @property
    def error_frames(self):
        """Errors of a neuron that are kept; of a static frame, their sum."""
        return 1 if self.input.static else self.update_steps if self.rule.gradient == "history" else self.slice_steps

    @property
    def neuron_cycles(self):
        """Cycles of a step of a neuron at least, forward (decay, integrate) and backward (carry, finish)."""
        return 2

    @property
    def step_minimum(self):
        """Cycles that neurons need per sum: those of a step, and of all ``k`` steps with the sum of a frame."""
        return self.neuron_cycles * (self.steps if self.input.static else 1)

    # Widths

    @property
    def sum_width(self):
        """Bits of the exact sum of input times weight over the fan-in."""
        return self.weights.width + self.input.bits + clog2(self.fan_in)

    @property
    def current_width(self):
        """Bits of that sum in units of the last potential bit, and of what it is scaled by in inference."""
        return self.sum_width + max(0, self.align, DROPOUT_BITS if self.input.dropout else 0)

    @property
    def most_taps(self):
        """Outputs that one input reaches at most."""
        return max(span.count for span in self.taps[0]) * max(span.count for span in self.taps[1])

    @property
    def dot_width(self):
        """Bits of the exact sum of error times weight over the outputs of one input."""
        terms = self.most_taps * (1 if self.window.pools else self.channels)
        return self.weights.width + self.rule.error_width + clog2(terms)

    @property
    def factor_width(self):
        """Bits of the wider factor of a lane's multiplier: a weight, or an error."""
        return max(self.weights.width, self.history_width if self.input.static else self.rule.error_width)

    @property
    def history_width(self):
        """Bits of one stored error: for a static input only the sum over the steps is kept."""
        return self.rule.error_width + (clog2(self.history_steps) if self.input.static else 0)

    @property
    def gradient_width(self):
        """Bits of the exact gradient of one weight over one update period."""
        return self.rule.error_width + clog2(self.update_steps * self.pixels * self.batch) + self.input.bits

    @property
    def scaled_width(self):
        """Bits of the gradient times the learning-rate multiplier, with room for the rounding."""
        return max(self.gradient_width, self.optimiser.velocity_width) + self.optimiser.multiplier_width + 2


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
        if not unit.weights.stored:
            return unit
        bits = unit.gradient_bits
        # With momentum every weight moves, and a pass over all of them there must be; of a batch, no history is kept.
        # Shared weights have more gradients than a history could be read for.
        memory = unit.window.kind != "dense" or unit.optimiser.velocity_width > 0 or unit.batch > 1 or \
            layer.gradient == "memory" or (layer.gradient == "auto" and (
                bits["memory"] < bits["history"] or unit.frames > HISTORY_LIMIT))
        return replace(unit, rule=unit.rule._replace(gradient="memory" if memory else "history"))

    def unit(block, index, layer, below, neuron, learns, weights=None, loss=None):
        shape_in, granule, input_dropout = below
        frame, first = config.input.kind == "frame", block == index == 0
        kind = ("frame" if frame else "events") if first else "spikes"
        bits, fraction = (config.input.bits, config.input.fraction) if frame and first else (0, 0)
        kind_of_weights = weights or ("stored" if layer.weighted else "average")
        momentum = config.update.momentum if kind_of_weights == "stored" else None
        return Unit(
            block=block, index=index, shape_in=shape_in, shape_out=layer.shape_out(shape_in),
            lanes=layer.lanes if layer.weighted else granule, granule=granule, steps=k, update_steps=update_steps,
            slice_steps=k if frame and block == 0 else config.hardware.error_steps or k,
            scan_bits=config.hardware.scan_bits, batch=config.update.batch,
            align=numbers.potential.fraction - numbers.weight.fraction - fraction,
            input=Inputs(kind, bits, fraction, input_dropout), window=layer.window(shape_in),
            neuron=config.neuron_of(neuron),
            weights=Weights(kind_of_weights, numbers.weight.width, numbers.weight.fraction,
                            layer.weighted and layer.bias),
            optimiser=Optimiser(config.update.multiplier.bit_length(), momentum.width if momentum else 0),
            # Until `choose`, sizes are those of a history.
            rule=Bptt(learns or layer.weighted, learns, "history" if kind_of_weights == "stored" else "none",
                      numbers.error.width),
            dropping=Dropout(layer.dropout), loss=loss)

    blocks, start, below = [], 0, (config.input.shape, 1, 0)
    ends = _block_ends(config)
    for number, end in enumerate(ends):
        units = []
        for place, layer in enumerate(config.layers[start:end]):
            learns = any(own.rule.learns for own in units)
            units.append(choose(unit(number, place, layer, below, layer, learns), layer))
            below = units[-1].shape_out, units[-1].lanes, units[-1].dropout
        ending = Dense(neurons=config.network.classes, lanes=config.classifier.lanes, bias=config.classifier.bias)
        # Poolings have no weights: where a block has nothing else, nobody asks its classifier for errors.
        asked = any(own.rule.learns for own in units)
        kind = {"trainable": "stored", "random": "random"}[config.classifier.kind]
        units.append(choose(unit(number, len(units), ending, below, config.classifier, asked, kind, SpikeCount()),
                            config.classifier))
        if not any(own.rule.accumulates for own in units):
            units = [replace(own, slice_steps=k) for own in units]
        blocks.append(Block(index=number, units=tuple(units), last=end == ends[-1]))
        start = end
    return tuple(blocks)
