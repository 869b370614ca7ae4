"""Sections of a configuration that are no parts: what a person writes, and the rules that one keeps on its own."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .parts import NeuronTable, SurrogateTable
from .section import Bits, Count, Gradient, Lanes, Later, Section, reject

__all__ = ["Classifier", "Hardware", "Initial", "Input", "Network", "Numbers", "Time", "Update"]

Shift = Annotated[int, Field(ge=0, le=24)]


class Time(Section):
    """Steps of one sample, and how they are cut.

    Attributes
    ----------
    steps : int
        Time steps of one sample, ``T``.
    interval : int
        Steps of one truncation interval, ``k``; no error crosses its border. Divides `steps`.
    update_period : int
        Intervals whose gradients are summed before the weights change. 1 is Algorithm 1 of the paper. Divides the
        intervals of a sample.
    """

    steps: Annotated[int, Field(ge=1, le=4096)]
    interval: Count
    update_period: Count = 1

    @model_validator(mode="after")
    def _divides(self):
        if self.steps % self.interval:
            reject("time.interval", f"must divide time.steps = {self.steps}", self.interval)
        if (self.steps // self.interval) % self.update_period:
            reject("time.update_period", f"must divide the {self.steps // self.interval} intervals of a sample",
                    self.update_period)
        return self


class Input(Section):
    """Samples: static frames of unsigned integers (direct encoding), the same at every step, or streams of events.

    Attributes
    ----------
    kind : str
        ``frame``, or ``events``: binary values in every step (Guo et al., III.C).
    shape : list of int
        Height, width and channels of a frame, or polarities of events; values are in the order (y, x, channel).
    size : int
        Values of one sample; for a frame without height and width, given instead of `shape`.
    bits : int
        Bits of a value. 1 for events, which need not say so.
    fraction : int
        How many of them are behind the binary point. 0 for events.
    bin_microseconds : int
        Time window of one step of recorded events.
    """

    kind: Literal["frame", "events"] = "frame"
    shape: Annotated[tuple[Count, Count, Count], Field(strict=False)] | None = None
    size: Count | None = None
    bits: Annotated[int, Field(ge=1, le=16)]
    fraction: Annotated[int, Field(ge=0, le=16)] = 0
    bin_microseconds: Annotated[int, Field(ge=1, le=1 << 31)] = 20000

    @model_validator(mode="before")
    @classmethod
    def _either(cls, data):
        """Fill in the one of `shape` and `size` that is missing, and what events have no choice of."""
        if isinstance(data, dict):
            if data.get("kind") == "events":
                data = {"bits": 1, **data}
            shape, size = data.get("shape"), data.get("size")
            # What is no number at all, or not in its range, is found later, under its own name.
            if isinstance(size, int) and size > 0 and shape is None:
                return {**data, "shape": (1, 1, size)}
            if isinstance(shape, list | tuple) and all(isinstance(length, int) and length > 0 for length in shape):
                own = math.prod(shape)
                if size not in (None, own):
                    reject("input.size", f"must be left out or be the {own} values of input.shape", size)
                return {**data, "size": own}
        return data

    @model_validator(mode="after")
    def _there(self):
        if self.size is None:
            reject("input", "must have shape or size", None)
        if self.kind == "events" and (self.bits, self.fraction) != (1, 0):
            reject("input.bits", "must be 1 for events, and input.fraction 0", self.bits)
        return self


class Network(Section):
    """How layers form blocks: every `block_length` layers (``n``), or explicit `block_ends`; give one of the two.

    Attributes
    ----------
    classes : int
        Classes of the samples: neurons of every classifier.
    block_length : int
        Layers with weights in a block, ``n``; pooling belongs to the one below it. The last block has what is left.
    block_ends : list of int
        Last layer of every block. All layers count, from 1; the list rises and ends with the last one.
    """

    classes: Annotated[int, Field(ge=2, le=1024)]
    block_length: Count | None = None
    block_ends: list[Count] | None = None


class Classifier(Section):
    """The local classifier that ends every block: one LIF neuron per class.

    Attributes
    ----------
    kind : str
        ``trainable`` like a layer, or ``random``: its weights are computed from `seed` whenever they are needed, and
        never change. Their range is the power of two next to that of `Initial`.
    lanes : int
        Classes computed per cycle, at most `network.classes`.
    gradient : str
        As in `Dense`.
    seed : int
        Of random weights.
    bias : bool
        As in `Dense`; a random classifier has random ones.
    neuron : Lif
        As in `Dense`.
    surrogate : Rectangle | Triangle | Table
        As in `Dense`.
    """

    kind: Literal["trainable", "random"] = "trainable"
    lanes: Lanes
    gradient: Gradient = "auto"
    seed: Annotated[int, Field(ge=0, le=65535)] = 0
    bias: Annotated[bool, Later] = False
    neuron: Annotated[NeuronTable | None, Later] = None
    surrogate: Annotated[SurrogateTable | None, Later] = None


class Format(Section):
    """Two's complement number of `width` bits, `fraction` of them behind the binary point.

    Attributes
    ----------
    width : int
        Bits of the number, with its sign.
    fraction : int
        Bits behind the binary point, fewer than `width`.
    """

    width: Bits
    fraction: Annotated[int, Field(ge=0, le=24)]


class Numbers(Section):
    """Formats of what is stored; everything stored saturates.

    Attributes
    ----------
    weight : Format
        Of weights.
    potential : Format
        Of membrane potentials.
    error : Format
        Of errors. Those of a classifier reach ``k``, and have to fit.
    """

    weight: Format
    potential: Format
    error: Format

    def check(self, interval):
        """Refuse formats without a bit before the point, or that do not hold the error of `interval` steps."""
        for name in ("weight", "potential", "error"):
            number = getattr(self, name)
            if number.fraction >= number.width:
                reject(f"numbers.{name}.fraction", f"must be below the width, {number.width}", number.fraction)
        if interval << self.error.fraction > (1 << (self.error.width - 1)) - 1:
            reject("numbers.error.width", f"must hold an error of k = {interval} with {self.error.fraction} "
                   "fraction bits", self.error.width)


class Momentum(Section):
    """``V = multiplier / 2**shift * V + gradient``, to the nearest integer; the weights then follow ``V``.

    Attributes
    ----------
    multiplier : int
        Below ``2**shift``.
    shift : int
        Binary logarithm of the divisor.
    width : int
        Bits of a velocity, in units of the gradient; it saturates.
    """

    multiplier: Annotated[int, Field(ge=1)]
    shift: Annotated[int, Field(ge=1, le=16)]
    width: Bits

    @model_validator(mode="after")
    def _below_one(self):
        if self.multiplier >= 1 << self.shift:
            reject("update.momentum.multiplier", f"must be below 2**shift = {1 << self.shift}", self.multiplier)
        return self


class Update(Section):
    """``W -= round(multiplier * gradient / 2**shift)`` once per update period, gradient as in equation (7).

    The gradient is an integer in units of the last error bit; the factor ``2 / (N_c k^2)`` of the loss belongs to
    the rate.

    Gradients are summed over a `batch` of samples: the core computes an interval of one after the other, keeps the
    potentials of all, and moves the weights once (Algorithm 1). The samples of a batch train together or not at all;
    the mode of the first counts.

    Attributes
    ----------
    multiplier : int
        Of the learning rate, ``multiplier / 2**shift``.
    shift : int
        Binary logarithm of the divisor, at the start. With stochastic rounding, it, `decay_limit` and `input.fraction`
        are at most 16 together.
    decay_samples : int
        Trained samples after which the shift grows by one, again and again; 0: never. A multiple of `batch`.
    decay_limit : int
        How often the shift grows at most.
    batch : int
        Samples whose gradients are summed for one update.
    momentum : Momentum
        With it, the velocity stands for the gradient.
    rounding : str
        To the ``nearest``, or ``stochastic``: up with a probability equal to the part that is cut off.
    seed : int
        Of all LFSRs, of stochastic rounding and of dropout.
    """

    multiplier: Annotated[int, Field(ge=1, le=255)] = 1
    shift: Shift
    decay_samples: Annotated[int, Field(ge=0, le=(1 << 31) - 1)] = 0
    decay_limit: Annotated[int, Field(ge=0, le=16)] = 0
    batch: Annotated[int, Field(ge=1, le=1024)] = 1
    momentum: Momentum | None = None
    rounding: Literal["nearest", "stochastic"] = "nearest"
    seed: Annotated[int, Field(ge=1, le=65535)] = 1

    def check(self, source):
        """Refuse a rate that an LFSR cannot round, with samples as `source` has them, or halvings amid a batch."""
        if self.rounding == "stochastic" and self.shift + self.decay_limit + source.fraction > 16:
            reject("update.shift", f"must be at most {16 - self.decay_limit - source.fraction} with "
                   "stochastic rounding (16 random bits, less decay_limit and input.fraction)", self.shift)
        if self.decay_samples % self.batch:
            reject("update.decay_samples", f"must be a multiple of update.batch = {self.batch}", self.decay_samples)


class Initial(Section):
    """Seeded initial weights, uniform in ``+-gain / sqrt(fan_in)``.

    Attributes
    ----------
    gain : float
        Factor of the range. In deep networks, 1 may let the spikes die out on their way up.
    seed : int
        Of the random weights.
    """

    gain: Annotated[float, Field(gt=0, le=64)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0


class Memory(Section):
    """Where each memory lives on chip: `auto` leaves the choice to synthesis (``ram_style`` in the Verilog).

    Attributes
    ----------
    weight : str
        Of weights, and of velocities.
    potential : str
        Of potentials between two intervals.
    history : str
        Of spikes between layers and between blocks, and of what the way back needs of each neuron and step.
    error : str
        Of errors.
    input : str
        Of frames or events, in front of the first block.
    """

    weight: Literal["auto", "block", "distributed"] = "auto"
    potential: Literal["auto", "block", "distributed"] = "auto"
    history: Literal["auto", "block", "distributed"] = "auto"
    error: Literal["auto", "block", "distributed"] = "auto"
    input: Literal["auto", "block", "distributed"] = "auto"


class Hardware(Section):
    """What does not change a bit of the result.

    Attributes
    ----------
    sample_slots : int
        Samples that the input buffer holds: a batch at least; with more, others arrive while it is computed.
    spike_slots : int
        Update periods (intervals, where no history of them is needed) that the spike buffer between two blocks and the
        buffer of events hold; with 1, a block waits for the next one.
    error_steps : int
        Where gradients are summed in a memory: steps whose errors are computed, and added up, at a time; so many are
        kept. Divides `time.interval`, which is the default. In blocks without a frame as input.
    scan_bits : int
        Spikes are read so many at a time, or more where a word of neurons or an image row has more: a word without a
        spike costs a cycle, a wide one logic.
    counters : bool
        Whether cycle, operation and memory counters are generated.
    counter_bits : int
        Bits of a counter; counters saturate. The time since reset has as many, 32 at least, and begins anew.
    memory : Memory
        Where each memory lives.
    reset : str
        ``sync``: seen at a rising clock edge; ``async``: acts at once, and has to end in time before a rising edge.
    reset_active : str
        Level at which the core is in reset: ``high``, port ``rst``; ``low``, port ``rst_n``.
    clock_enable : bool
        A port ``clk_en``: the core stands still, but for its reset, at rising edges where it is 0.
    """

    sample_slots: Annotated[int, Field(ge=1, le=2048)] = 2
    spike_slots: Annotated[int, Field(ge=1, le=16)] = 2
    error_steps: Count | None = None
    scan_bits: Annotated[int, Field(ge=1, le=128)] = 32
    counters: bool = True
    counter_bits: Annotated[int, Field(ge=16, le=64)] = 48
    memory: Memory = Memory()
    reset: Literal["sync", "async"] = "sync"
    reset_active: Literal["high", "low"] = "high"
    clock_enable: bool = False

    def check(self, config):
        """Refuse buffers that do not hold a batch, and slices that do not make up an interval."""
        batch, interval = config.update.batch, config.time.interval
        if config.input.kind == "frame" and self.sample_slots < batch:
            reject("hardware.sample_slots", f"must hold a batch of {batch} samples", self.sample_slots)
        if self.error_steps and interval % self.error_steps:
            reject("hardware.error_steps", f"must divide time.interval = {interval}", self.error_steps)

    @property
    def time_bits(self):
        """Bits of the time since reset: those of a counter, and 32 at least, which the cycles of a sample have."""
        return max(32, self.counter_bits)
