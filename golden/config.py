"""One configuration, validated once, used unchanged by golden model, RTL, schedule and traffic model.

`Config` is what a person writes (TOML, section by section); `Config.blocks` is what the machine is built from:
the units (layers and classifiers) with every derived size and width. Importing this module does not import torch.
"""

import hashlib
import json
import math
import re
import tomllib
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError, model_validator

from .errors import InputError
from .keywords import KEYWORDS, TAKEN
from .messages import first_error, huge_number, unknown_field
from .reading import read_file
from .sections import (
    Classifier,
    Hardware,
    Initial,
    Input,
    Layer,
    Network,
    Neuron,
    Numbers,
    Rectangle,
    Section,
    Table,
    Time,
    Triangle,
    Update,
    reject,
)
from .units import HISTORY_LIMIT, Block, Unit, build_blocks, output_shape

__all__ = ["TEXT_LIMIT", "Config", "ConfigError", "load", "parse"]

#: Bytes of a configuration's text: far more than one of as many layers as there may be.
TEXT_LIMIT = 1 << 18
#: Weights of a core at most, and values that the golden model keeps of one kind: 2 GiB each in 64 bits.
VALUE_LIMIT = 1 << 28


class ConfigError(InputError):
    """A configuration that cannot be built; the message names field, rule and value."""


def _identifier(name):
    """Of Verilog and of VHDL."""
    if not re.fullmatch(r"[a-z](_?[a-z0-9])*", name):
        reject("name", "must consist of small letters, digits and single underscores between them, and begin with a "
               "letter", name)
    return name


class Config(Section):
    """A whole core.

    Attributes
    ----------
    name : str
        Of the core, its module and its files: small letters, digits and single underscores between them, beginning
        with a letter. No keyword of Verilog, SystemVerilog or VHDL, no name of a port; does not end with ``_bench``.
    time : Time
        Steps of a sample, and how they are cut.
    input : Input
        What a sample is.
    layers : list of Layer
        The layers from the input on, a table for each.
    network : Network
        Classes, and blocks of layers.
    classifier : Classifier
        Local classifiers, one at the end of every block.
    neuron : Neuron
        Leak, threshold and reset of all neurons.
    surrogate : Rectangle | Triangle | Table
        What stands for the derivative of a spike, by its distance from the threshold.
    numbers : Numbers
        Formats of weights, potentials and errors.
    update : Update
        Learning rate, batches, momentum and rounding.
    initial : Initial
        Weights to begin with.
    hardware : Hardware
        Buffers, memories, counters and the reset.

    Raises
    ------
    ConfigError
        From `load` and `parse`: one error that names field, rule and value.

    Notes
    -----
    Frozen; build one with `load` or `parse`.
    """

    name: Annotated[str, Field(max_length=32), AfterValidator(_identifier)]
    time: Time
    input: Input
    layers: Annotated[list[Layer], Field(min_length=1, max_length=64)]
    network: Network
    classifier: Classifier
    neuron: Neuron
    surrogate: Annotated[Rectangle | Triangle | Table, Field(discriminator="shape")]
    numbers: Numbers
    update: Update
    initial: Initial = Initial()
    hardware: Hardware = Hardware()

    @model_validator(mode="after")
    def _consistent(self):
        if self.name in KEYWORDS:
            reject("name", "must not be a keyword of Verilog, SystemVerilog or VHDL", self.name)
        if self.name in TAKEN:
            reject("name", "must not be that of a port of the core, or a package of SystemVerilog", self.name)
        if self.name.endswith("_bench"):  # whose files would take the place of each other
            reject("name", "must not end with _bench, as the bench of another core does", self.name)
        self._check_blocks()
        self._check_neuron()
        self._check_surrogate()
        self._check_widths()
        return self

    def _check_blocks(self):
        net, depth = self.network, len(self.layers)
        self._check_shapes()
        if (net.block_length is None) == (net.block_ends is None):
            reject("network", "must have exactly one of block_length and block_ends",
                    {"block_length": net.block_length, "block_ends": net.block_ends})
        weighted = sum(layer.kind != "avg_pool" for layer in self.layers)
        if weighted == 0:
            reject("layers", "must hold a layer with weights", [layer.kind for layer in self.layers])
        if net.block_length is not None and net.block_length > weighted:
            reject("network.block_length", f"must be at most the {weighted} layers with weights", net.block_length)
        ends = net.block_ends
        if ends is not None and (ends != sorted(set(ends)) or not ends or ends[-1] != depth):
            reject("network.block_ends", f"must rise and end with the last layer, {depth}", ends)
        if self.classifier.lanes > net.classes:
            reject("classifier.lanes", f"must be at most the {net.classes} classes", self.classifier.lanes)

    def _check_shapes(self):
        """No layer may have outputs that vanish, or inputs that nobody reads."""
        shape = self.input.shape
        for place, layer in enumerate(self.layers):
            field = f"layers.{place}"
            if layer.kind != "dense":
                name = "kernel" if layer.kind == "conv" else "size"
                kernel, padding = getattr(layer, name), getattr(layer, "padding", 0)
                for length in shape[:2]:
                    if kernel > length + 2 * padding:
                        reject(f"{field}.{name}", f"must be at most the {length} inputs"
                               + (f" and {2 * padding} of padding" if padding else "") + " in height and width, or "
                               "nothing is left of the layer", kernel)
                    stride = layer.stride or kernel
                    end = (length + 2 * padding - kernel) // stride * stride - padding + kernel
                    if end < length:
                        reject(f"{field}.stride", f"must reach all {length} inputs: with {name} {kernel} and padding "
                               f"{padding} the last {length - end} would be cut off", stride)
            shape = output_shape(layer, shape)

    def _check_neuron(self):
        fraction = self.numbers.potential.fraction
        top = (1 << (self.numbers.potential.width - 1)) - 1
        fields = ["threshold"] + (["reset_amount"] if self.neuron.reset.startswith("subtract") else [])
        for field in fields:
            value = getattr(self.neuron, field)
            # Compared before it is scaled: the largest floats would overflow.
            if not math.ldexp(1, -fraction) <= value <= math.ldexp(top, -fraction) or \
                    not math.ldexp(value, fraction).is_integer():
                reject(f"neuron.{field}", f"must be a multiple of 2**-{fraction} in 2**-{fraction} .. "
                        f"{math.ldexp(top, -fraction)} (numbers.potential)", value)
        if not math.isfinite(self.neuron.reset_amount):
            reject("neuron.reset_amount", "must be a number", self.neuron.reset_amount)

    def _check_surrogate(self):
        low = -self.numbers.potential.fraction
        field, bins = ("bin", 1) if self.surrogate.shape == "table" else \
            ("width", 2 if self.surrogate.shape == "rectangle" else self.surrogate.bins)
        value = getattr(self.surrogate, field)
        mantissa, _ = math.frexp(value) if math.isfinite(value) else (0, 0)
        smallest = math.ldexp(bins, low)
        if mantissa != 0.5 or not smallest <= value <= 4096:
            reject(f"surrogate.{field}", f"must be a power of two in {smallest} .. 4096", value)

    def _check_widths(self):
        for name in ("weight", "potential", "error"):
            number = getattr(self.numbers, name)
            if number.fraction >= number.width:
                reject(f"numbers.{name}.fraction", f"must be below the width, {number.width}", number.fraction)
        error = self.numbers.error
        top = (1 << (error.width - 1)) - 1
        if self.time.interval << error.fraction > top:
            reject("numbers.error.width", f"must hold an error of k = {self.time.interval} with {error.fraction} "
                    "fraction bits", error.width)
        last_shift = self.update.shift + self.update.decay_limit
        if self.update.rounding == "stochastic" and last_shift + self.input.fraction > 16:
            reject("update.shift", f"must be at most {16 - self.update.decay_limit - self.input.fraction} with "
                    "stochastic rounding (16 random bits, less decay_limit and input.fraction)", self.update.shift)
        blocks = build_blocks(self)
        for block in blocks:
            if not any(unit.weights.stored for unit in block.units):
                reject("network.block_ends", f"must give block {block.index} a layer with weights, since its "
                       "classifier is random", list(self.network.block_ends))
        units = [unit for block in blocks for unit in block.units]
        self._check_sizes(units)
        for unit in units:
            exact = 2.0**self.numbers.weight.fraction / unit.fan_in
            if unit.window.pools and abs(unit.pool_weight - exact) > exact / 4:
                reject("numbers.weight.fraction", f"must hold 1 / {unit.fan_in}, the weight of an average, to a "
                       "quarter of its value", self.numbers.weight.fraction)
            if unit.window.pools and unit.pool_weight >= 1 << (self.numbers.weight.width - 1):
                reject("numbers.weight.width", f"must hold 1 / {unit.fan_in}, the weight of an average",
                       self.numbers.weight.width)
            if unit.rule.gradient == "history" and unit.frames > HISTORY_LIMIT:
                reject("time.interval", f"must be at most {HISTORY_LIMIT} steps, with time.update_period, where "
                       f"gradient is 'history' (block {unit.block})", self.time.interval)
        batch = self.update.batch
        if self.input.kind == "frame" and self.hardware.sample_slots < batch:
            reject("hardware.sample_slots", f"must hold a batch of {batch} samples", self.hardware.sample_slots)
        error_steps = self.hardware.error_steps
        if error_steps and self.time.interval % error_steps:
            reject("hardware.error_steps", f"must divide time.interval = {self.time.interval}", error_steps)
        if self.update.decay_samples % batch:
            reject("update.decay_samples", f"must be a multiple of update.batch = {batch}", self.update.decay_samples)
        momentum = self.update.momentum
        if momentum and momentum.width + momentum.shift > 60:
            reject("update.momentum.width", f"must be at most {60 - momentum.shift}", momentum.width)
        widest = max(max(u.current_width, u.dot_width, u.scaled_width) for u in units)
        # The golden model sums in float64 and the oracle of every bit is that sum: keep it exact.
        if widest > 52:
            reject("numbers", "must keep every exact sum within 52 bits", widest)
        # The rest of the golden model is int64: the error through the reset, and all of it times the surrogate.
        if self.neuron_width > 62:
            reject("numbers.error.width", "must keep every product with an error within 62 bits", error.width)

    def _check_sizes(self, units):
        """Before any memory is taken."""
        batch, weights = self.update.batch, sum(unit.fan_in * unit.channels for unit in units if not unit.window.pools)
        if weights > VALUE_LIMIT:
            reject("layers", f"must have at most {VALUE_LIMIT:,} weights in all", weights)
        for what, count in (("potentials (neurons, time.steps, update.batch)",
                             lambda unit: unit.n_out * self.time.steps * batch),
                            ("inputs of windows (positions, inputs of each, steps between two updates, update.batch)",
                             lambda unit: unit.pixels * unit.fan_in * unit.frames * batch)):
            most = max(units, key=count)
            if count(most) > VALUE_LIMIT:
                reject("layers", f"must have at most {VALUE_LIMIT:,} {what} each, as {most.path} has not", count(most))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks, each with its layers and its classifier, in order."""
        return build_blocks(self)

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """Layers and classifiers of all blocks, in the order of computation."""
        return tuple(unit for block in self.blocks for unit in block.units)

    @cached_property
    def intervals(self):
        """Truncation intervals of one sample, ``T / k``."""
        return self.time.steps // self.time.interval

    @cached_property
    def update_steps(self):
        """Steps between two weight updates: the depth of error and spike histories."""
        return self.time.interval * self.time.update_period

    def potential_units(self, value):
        """A real voltage as an integer in units of the last potential bit."""
        return int(math.ldexp(value, self.numbers.potential.fraction))

    @cached_property
    def threshold(self):
        """``u_th`` in units of the last potential bit."""
        return self.potential_units(self.neuron.threshold)

    @cached_property
    def reset_amount(self):
        """``theta`` in units of the last potential bit; 0 where nothing is subtracted."""
        return self.potential_units(self.neuron.reset_amount) if self.neuron.reset.startswith("subtract") else 0

    @cached_property
    def reset_gain(self):
        """Factor of the error through the reset, in units of the last potential bit (equation 4)."""
        if not self.neuron.reset_error:
            return 0
        if self.neuron.reset == "subtract":
            return self.reset_amount
        leak = self.neuron.leak
        if leak.form == "shift":
            return self.reset_amount - (self.reset_amount >> leak.shift)
        return self.reset_amount * leak.multiplier >> leak.shift

    @cached_property
    def neuron_width(self):
        """Bits that hold every sum and product of one neuron's potential, and of its error (equations 1, 4 and 5)."""
        potential, error, leak = self.numbers.potential.width, self.numbers.error.width, self.neuron.leak
        left = leak.multiplier.bit_length() if leak.form == "multiply" else 1
        current = max(max(unit.sum_width, unit.current_width) for block in build_blocks(self) for unit in block.units)
        through = error + self.reset_gain.bit_length()
        passed = max(error, through - self.numbers.potential.fraction) + 1
        return max(potential + 1 + left, max(potential + 1, current) + 1, error + left, through,
                   passed + self.code_bits + max(0, -self.gain_shift) + 1)

    @cached_property
    def surrogate_codes(self):
        """Integer surrogate values by bin of ``|u - u_th|``."""
        surrogate = self.surrogate
        if surrogate.shape == "rectangle":
            return (1,)
        if surrogate.shape == "triangle":
            return tuple(2 * (surrogate.bins - i) - 1 for i in range(surrogate.bins))
        return tuple(surrogate.values)

    @cached_property
    def code_bits(self):
        """Bits of one surrogate code in the history: 1 for the rectangle."""
        return max(self.surrogate_codes).bit_length()

    @cached_property
    def bin_shift(self):
        """log2 of the bin width in units of the last potential bit."""
        surrogate = self.surrogate
        width = {"rectangle": lambda: surrogate.width / 2,
                 "triangle": lambda: surrogate.width / surrogate.bins,
                 "table": lambda: surrogate.bin}[surrogate.shape]()
        return int(math.log2(width)) + self.numbers.potential.fraction

    @cached_property
    def gain_shift(self):
        """The surrogate is ``code / 2**gain_shift``; negative where it exceeds its code."""
        surrogate = self.surrogate
        if surrogate.shape == "table":
            return surrogate.shift
        scale = 1 if surrogate.shape == "rectangle" else 2 * surrogate.bins
        return int(math.log2(surrogate.width * scale))

    @cached_property
    def text(self):
        """The configuration as JSON, defaults filled in: equal configurations have the same text."""
        return json.dumps(self.model_dump(), sort_keys=True)

    @cached_property
    def hash(self):
        """First 16 hex digits of the SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def replace(self, **sections):
        """A validated copy; each keyword is a section, as a dict of the fields that change (a surrogate of
        another shape: all of them; of `input`, one of shape and size), or a whole value.

        Raises
        ------
        ConfigError
            As `parse` does.
        """
        data = self.model_dump()
        for key, value in sections.items():
            old = data[key]
            merge = isinstance(value, dict) and isinstance(old, dict)
            if merge and key == "input" and value.keys() & {"shape", "size"}:
                old = {name: kept for name, kept in old.items() if name not in ("shape", "size")}
            elif merge and key == "surrogate":
                merge = value.get("shape") in (None, old["shape"])
            data[key] = {**old, **value} if merge else value
        return parse(data)


def parse(data):
    """A `Config` from nested dicts, as TOML gives them.

    Raises
    ------
    ConfigError
        For an unknown field, and then for the first rule that does not hold.
    """
    if wrong := unknown_field(data, Config) or huge_number(data):  # pydantic would not take them quietly
        raise ConfigError(wrong)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(first_error(error, Config)) from None


def load(path):
    """Read and validate a TOML file, perhaps with a byte order mark.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, or breaks a rule; the message starts with the path.
    """
    try:
        data = tomllib.loads(read_file(path, TEXT_LIMIT, ConfigError).decode("utf-8-sig"))
    except ConfigError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not a TOML file: {error}"
        raise ConfigError(f"{path}: {reason}") from None
    try:
        return parse(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
