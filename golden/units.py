"""Derived sizes: what the configuration means for each block, layer and classifier.

A *unit* is one engine: a layer or a classifier. It owns a weight memory of ``words * n_in`` words of `lanes` weights;
the word of output group ``word`` and fan-in ``row`` lies at ``word * n_in + row``. Neuron ``word * lanes + lane`` is
computed by that lane. Everything here is a plain integer, shared by golden model, schedule and RTL.
"""

from dataclasses import dataclass

__all__ = ["SCAN_MINIMUM", "Block", "Unit", "build_blocks", "clog2"]

#: Input bits are packed until a scanned word has at least this many: an empty word costs a cycle, a wide one logic.
SCAN_MINIMUM = 32


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
    classifier : bool
        Whether it is the local classifier.
    static : bool
        Whether its input is the frame itself, the same in every step.
    bottom : bool
        Whether it is the first of its block: no error leaves it downwards.
    n_in, n_out, lanes : int
        Fan-in, neurons, neurons computed per cycle.
    granule : int
        Bits in which its input spikes arrive (the lanes of the unit below; 1 for a frame).
    weight_width, error_width, potential_width, input_bits : int
        Widths of what it stores or multiplies; `input_bits` is 0 for spikes.
    frames : int
        Steps that its input history holds: the update period, or 1 for a static frame.
    steps : int
        Steps of one interval, ``k``.
    align : int
        Left shift from the summed weights to the potential's fraction; negative is a floored right shift.
    multiplier_width : int
        Bits of the learning-rate multiplier.
    update_steps : int
        Steps between two weight updates.
    """

    block: int
    index: int
    classifier: bool
    static: bool
    bottom: bool
    n_in: int
    n_out: int
    lanes: int
    granule: int
    weight_width: int
    error_width: int
    potential_width: int
    input_bits: int
    frames: int
    steps: int
    align: int
    multiplier_width: int
    update_steps: int

    @property
    def name(self):
        """Module name inside the block."""
        return "classifier" if self.classifier else f"layer{self.index}"

    @property
    def path(self):
        """Name in counters, traces and messages."""
        return f"block{self.block}.{self.name}"

    @property
    def words(self):
        """Output words: groups of `lanes` neurons."""
        return -(-self.n_out // self.lanes)

    @property
    def last_lanes(self):
        """Lanes of the last output word that hold a neuron."""
        return self.n_out - (self.words - 1) * self.lanes

    @property
    def scan_width(self):
        """Input bits scanned together: a power-of-two number of granules, `SCAN_MINIMUM` bits or the whole input."""
        width = self.granule
        while width < min(SCAN_MINIMUM, self.n_in):
            width *= 2
        return width

    @property
    def groups(self):
        """Scanned words of one input frame."""
        return -(-self.n_in // self.scan_width)

    @property
    def last_inputs(self):
        """Bits of the last scanned word that hold an input."""
        return self.n_in - (self.groups - 1) * self.scan_width

    @property
    def weight_depth(self):
        """Words of the weight memory."""
        return self.words * self.n_in

    @property
    def step_minimum(self):
        """Cycles that neurons need per sum: two for a step, and all ``k`` steps with the sum of a frame."""
        return 2 * self.steps if self.static else 2

    @property
    def sum_width(self):
        """Bits of the exact sum of input times weight over the fan-in."""
        return self.weight_width + self.input_bits + clog2(self.n_in)

    @property
    def current_width(self):
        """Bits of that sum in units of the last potential bit."""
        return self.sum_width + max(0, self.align)

    @property
    def dot_width(self):
        """Bits of the exact sum of error times weight over the outputs."""
        return self.weight_width + self.error_width + clog2(self.n_out)

    @property
    def history_width(self):
        """Bits of one stored error: for a static input only the sum over the update period is kept."""
        return self.error_width + (clog2(self.update_steps) if self.static else 0)

    @property
    def gradient_width(self):
        """Bits of the exact gradient of one weight over one update period."""
        return self.error_width + clog2(self.update_steps) + self.input_bits

    @property
    def scaled_width(self):
        """Bits of the gradient times the learning-rate multiplier, with room for the rounding."""
        return self.gradient_width + self.multiplier_width + 2


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


def build_blocks(config):
    """The blocks of a `Config`, as a tuple."""
    depth = len(config.layers)
    ends = config.network.block_ends or [*range(config.network.block_length, depth, config.network.block_length), depth]
    numbers, update_steps = config.numbers, config.time.interval * config.time.update_period

    def unit(block, index, spec, neurons, n_in, granule, static, classifier):
        fraction = numbers.weight.fraction + (config.input.fraction if static else 0)
        return Unit(
            block=block, index=index, classifier=classifier, static=static, bottom=index == 0,
            n_in=n_in, n_out=neurons, lanes=spec.lanes, granule=granule,
            weight_width=numbers.weight.width, error_width=numbers.error.width,
            potential_width=numbers.potential.width, input_bits=config.input.bits if static else 0,
            frames=1 if static else update_steps, steps=config.time.interval,
            align=numbers.potential.fraction - fraction,
            multiplier_width=config.update.multiplier.bit_length(), update_steps=update_steps)

    blocks, start, n_in, granule = [], 0, config.input.size, 1
    for number, end in enumerate(ends):
        units = []
        for place, spec in enumerate(config.layers[start:end]):
            units.append(unit(number, place, spec, spec.neurons, n_in, granule, number == place == 0, False))
            n_in, granule = spec.neurons, spec.lanes
        units.append(unit(number, len(units), config.classifier, config.network.classes, n_in, granule, False, True))
        blocks.append(Block(index=number, units=tuple(units), last=end == depth))
        start = end
    return tuple(blocks)
