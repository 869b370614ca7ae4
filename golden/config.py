"""One configuration, validated once, used unchanged by golden model, RTL, schedule and traffic model.

`Config` is what a person writes (TOML, section by section); `Config.blocks` is what the machine is built from:
the units (layers and classifiers) with every derived size and width. Importing this module does not import torch.
"""

import hashlib
import json
import math
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from .keywords import KEYWORDS
from .units import Block, Unit, build_blocks

__all__ = ["Config", "ConfigError", "load", "parse"]

Count = Annotated[int, Field(ge=1, le=65536)]
Bits = Annotated[int, Field(ge=2, le=32)]
Shift = Annotated[int, Field(ge=0, le=24)]


class ConfigError(ValueError):
    """A configuration that cannot be built; the message names field, rule and value."""


def _reject(field, rule, value):
    raise PydanticCustomError("rule", "{rule}", {"field": field, "rule": rule, "value": value})


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Time(_Section):
    """Steps of one sample, and how they are cut.

    Attributes
    ----------
    steps : int
        Time steps of one sample, ``T``.
    interval : int
        Steps of one truncation interval, ``k``; no error crosses its border. Divides `steps`.
    update_period : int
        Intervals whose gradients are summed before the weights change. 1 is Algorithm 1 of the paper.
    """

    steps: Annotated[int, Field(ge=1, le=4096)]
    interval: Count
    update_period: Count = 1

    @model_validator(mode="after")
    def _divides(self):
        if self.steps % self.interval:
            _reject("time.interval", f"must divide time.steps = {self.steps}", self.interval)
        if (self.steps // self.interval) % self.update_period:
            _reject("time.update_period", f"must divide the {self.steps // self.interval} intervals of a sample",
                    self.update_period)
        return self


class Input(_Section):
    """Samples: static frames of unsigned integers (direct encoding), the same at every step.

    Attributes
    ----------
    size : int
        Values of one sample.
    bits, fraction : int
        Bits of a value, and how many of them are behind the binary point.
    """

    size: Count
    bits: Annotated[int, Field(ge=1, le=16)]
    fraction: Annotated[int, Field(ge=0, le=16)] = 0


class Layer(_Section):
    """One weight layer with its LIF neurons; `lanes` of them are computed in every cycle."""

    kind: Literal["dense"] = "dense"
    neurons: Count
    lanes: Annotated[int, Field(ge=1, le=256)]

    @model_validator(mode="after")
    def _lanes(self):
        if self.lanes > self.neurons:
            _reject("lanes", f"must be at most the {self.neurons} neurons it serves", self.lanes)
        return self


class Network(_Section):
    """How layers form blocks: every `block_length` layers (``n``), or explicit `block_ends`.

    `block_ends` counts layers from 1 and ends with the last one; give one of the two.
    """

    classes: Annotated[int, Field(ge=2, le=1024)]
    block_length: Count | None = None
    block_ends: list[Count] | None = None


class Classifier(_Section):
    """The local classifier that ends every block: one LIF neuron per class, trained like a layer."""

    kind: Literal["trainable"] = "trainable"
    lanes: Annotated[int, Field(ge=1, le=256)]


class Multiply(_Section):
    """Leak factor ``multiplier / 2**shift``; the product is floored."""

    form: Literal["multiply"]
    multiplier: Annotated[int, Field(ge=0)]
    shift: Annotated[int, Field(ge=0, le=16)]

    @model_validator(mode="after")
    def _at_most_one(self):
        if self.multiplier > 1 << self.shift:
            _reject("multiplier", f"must be at most 2**shift = {1 << self.shift}", self.multiplier)
        return self


class ShiftLeak(_Section):
    """Leak factor ``1 - 2**-shift``, as ``u - floor(u / 2**shift)``: no multiplier."""

    form: Literal["shift"]
    shift: Annotated[int, Field(ge=1, le=16)]


class Neuron(_Section):
    """LIF neuron, equations (1) and (2); voltages in real units, exact multiples of the last potential bit.

    Attributes
    ----------
    leak : Multiply | ShiftLeak
        The leak ``tau``, of potentials and of errors alike.
    threshold, reset_amount : float
        ``u_th`` and ``theta``.
    reset : str
        ``subtract`` after the leak (equation 1), ``subtract-before-leak``, to ``zero``, or ``none``.
    compare : str
        ``>=`` or ``>``.
    reset_error : bool
        Whether the error also flows through the reset (the ``-theta`` term of equation 4). With
        ``reset = "zero"`` it would need the potential, which the history does not keep.
    """

    leak: Annotated[Multiply | ShiftLeak, Field(discriminator="form")]
    threshold: float
    reset_amount: float = 0.0
    reset: Literal["subtract", "subtract-before-leak", "zero", "none"] = "subtract"
    compare: Literal[">=", ">"] = ">="
    reset_error: bool = True

    @model_validator(mode="after")
    def _reset_path(self):
        if self.reset_error and self.reset in ("zero", "none"):
            _reject("neuron.reset_error", f"must be false when neuron.reset is {self.reset!r}", self.reset_error)
        return self


class Rectangle(_Section):
    """Equation (6): ``1/a`` where ``|u - u_th| < a/2``; ``a`` is a power of two."""

    shape: Literal["rectangle"]
    width: float


class Triangle(_Section):
    """``max(0, 1 - |u - u_th| / a) / a`` in `bins` equal steps, each with the value of its middle."""

    shape: Literal["triangle"]
    width: float
    bins: Literal[2, 4, 8, 16] = 4


class Table(_Section):
    """``values[i] / 2**shift`` where ``|u - u_th|`` is in bin ``i``; bins are `bin` wide, zero beyond."""

    shape: Literal["table"]
    bin: float
    values: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=1, max_length=16)]
    shift: Annotated[int, Field(ge=-8, le=16)] = 0

    @model_validator(mode="after")
    def _some(self):
        if not any(self.values):
            _reject("surrogate.values", "must hold at least one value above 0", self.values)
        return self


class Format(_Section):
    """Two's complement number of `width` bits, `fraction` of them behind the binary point."""

    width: Bits
    fraction: Annotated[int, Field(ge=0, le=24)]


class Numbers(_Section):
    """Formats of what is stored; everything stored saturates."""

    weight: Format
    potential: Format
    error: Format


class Update(_Section):
    """``W -= round(multiplier * gradient / 2**shift)`` once per update period, gradient as in equation (7).

    The gradient is an integer in units of the last error bit; the factor ``2 / (N_c k^2)`` of the loss belongs to
    the rate. Every `decay_samples` trained samples the shift grows by one, `decay_limit` times at most.
    """

    multiplier: Annotated[int, Field(ge=1, le=255)] = 1
    shift: Shift
    decay_samples: Annotated[int, Field(ge=0, le=(1 << 31) - 1)] = 0
    decay_limit: Annotated[int, Field(ge=0, le=16)] = 0
    rounding: Literal["nearest", "stochastic"] = "nearest"
    seed: Annotated[int, Field(ge=1, le=65535)] = 1


class Initial(_Section):
    """Seeded initial weights, uniform in ``+-gain / sqrt(fan_in)``."""

    gain: Annotated[float, Field(gt=0, le=64)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0


class Memory(_Section):
    """Where each memory lives on chip: `auto` leaves the choice to synthesis (``ram_style`` in the Verilog)."""

    weight: Literal["auto", "block", "distributed"] = "auto"
    potential: Literal["auto", "block", "distributed"] = "auto"
    history: Literal["auto", "block", "distributed"] = "auto"
    error: Literal["auto", "block", "distributed"] = "auto"
    input: Literal["auto", "block", "distributed"] = "auto"


class Hardware(_Section):
    """What does not change a bit of the result.

    Attributes
    ----------
    sample_slots : int
        Samples that the input buffer holds; with 2 or more, one arrives while another is computed.
    spike_slots : int
        Update periods that the spike buffer between two blocks holds; with 1, a block waits for the next one.
    counters : bool
        Whether cycle, operation and memory counters are generated.
    counter_bits : int
        Bits of a counter; counters saturate.
    memory : Memory
        Where each memory lives.
    """

    sample_slots: Annotated[int, Field(ge=1, le=16)] = 2
    spike_slots: Annotated[int, Field(ge=1, le=16)] = 2
    counters: bool = True
    counter_bits: Annotated[int, Field(ge=16, le=64)] = 48
    memory: Memory = Memory()


class Config(_Section):
    """A whole core. Frozen; build one with `load` or `parse`.

    Raises
    ------
    ConfigError
        From `load` and `parse`: one error that names field, rule and value.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
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
            _reject("name", "must not be a keyword of Verilog", self.name)
        self._check_blocks()
        self._check_neuron()
        self._check_surrogate()
        self._check_widths()
        return self

    def _check_blocks(self):
        net, depth = self.network, len(self.layers)
        if (net.block_length is None) == (net.block_ends is None):
            _reject("network", "must have exactly one of block_length and block_ends",
                    {"block_length": net.block_length, "block_ends": net.block_ends})
        if net.block_length is not None and net.block_length > depth:
            _reject("network.block_length", f"must be at most the {depth} layers", net.block_length)
        ends = net.block_ends
        if ends is not None and (ends != sorted(set(ends)) or not ends or ends[-1] != depth):
            _reject("network.block_ends", f"must rise and end with the last layer, {depth}", ends)
        if self.classifier.lanes > net.classes:
            _reject("classifier.lanes", f"must be at most the {net.classes} classes", self.classifier.lanes)

    def _check_neuron(self):
        fraction = self.numbers.potential.fraction
        top = (1 << (self.numbers.potential.width - 1)) - 1
        fields = ["threshold"] + (["reset_amount"] if self.neuron.reset.startswith("subtract") else [])
        for field in fields:
            value = getattr(self.neuron, field)
            # Compared before it is scaled: the largest floats would overflow.
            if not math.ldexp(1, -fraction) <= value <= math.ldexp(top, -fraction) or \
                    not math.ldexp(value, fraction).is_integer():
                _reject(f"neuron.{field}", f"must be a multiple of 2**-{fraction} in 2**-{fraction} .. "
                        f"{math.ldexp(top, -fraction)} (numbers.potential)", value)

    def _check_surrogate(self):
        low = -self.numbers.potential.fraction
        field, bins = ("bin", 1) if self.surrogate.shape == "table" else \
            ("width", 2 if self.surrogate.shape == "rectangle" else self.surrogate.bins)
        value = getattr(self.surrogate, field)
        mantissa, _ = math.frexp(value) if math.isfinite(value) else (0, 0)
        smallest = math.ldexp(bins, low)
        if mantissa != 0.5 or not smallest <= value <= 4096:
            _reject(f"surrogate.{field}", f"must be a power of two in {smallest} .. 4096", value)

    def _check_widths(self):
        for name in ("weight", "potential", "error"):
            number = getattr(self.numbers, name)
            if number.fraction >= number.width:
                _reject(f"numbers.{name}.fraction", f"must be below the width, {number.width}", number.fraction)
        error = self.numbers.error
        top = (1 << (error.width - 1)) - 1
        if self.time.interval << error.fraction > top:
            _reject("numbers.error.width", f"must hold an error of k = {self.time.interval} with {error.fraction} "
                    "fraction bits", error.width)
        last_shift = self.update.shift + self.update.decay_limit
        if self.update.rounding == "stochastic" and last_shift + self.input.fraction > 16:
            _reject("update.shift", f"must be at most {16 - self.update.decay_limit - self.input.fraction} with "
                    "stochastic rounding (16 random bits, less decay_limit and input.fraction)", self.update.shift)
        widest = max(max(u.current_width, u.dot_width, u.scaled_width) for b in build_blocks(self) for u in b.units)
        # The golden model sums in float64 and the oracle of every bit is that sum: keep it exact.
        if widest > 52:
            _reject("numbers", "must keep every exact sum within 52 bits", widest)
        # The rest of the golden model is int64: the error through the reset, and all of it times the surrogate.
        through = error.width + self.reset_gain.bit_length()
        passed = max(error.width, through - self.numbers.potential.fraction) + 1
        product = max(through, passed + self.code_bits + max(0, -self.gain_shift) + 1,
                      self.numbers.potential.width + 17)
        if product > 62:
            _reject("numbers.error.width", "must keep every product with an error within 62 bits", error.width)

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
    def hash(self):
        """First 16 hex digits of the SHA-256 of the configuration, defaults filled in."""
        text = json.dumps(self.model_dump(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def replace(self, **sections):
        """A validated copy; each keyword is a section, as a dict of the fields that change (a surrogate of
        another shape: all of them), or a whole value.

        Raises
        ------
        ConfigError
            As `parse` does.
        """
        data = self.model_dump()
        for key, value in sections.items():
            old = data[key]
            merge = isinstance(value, dict) and isinstance(old, dict) and value.get("shape") in (None, old.get("shape"))
            data[key] = {**old, **value} if merge else value
        return parse(data)


def _path(location):
    """Field name of a pydantic location, without the tag that it puts behind a union of tables."""
    parts = [str(part) for part in location]
    return [part for place, part in enumerate(parts) if not place or parts[place - 1] not in ("leak", "surrogate")]


def _message(error):
    first = error.errors(include_url=False)[0]
    parts = _path(first["loc"])
    field = ".".join(parts) or "configuration"
    if first["type"] == "rule":
        context = first["ctx"]
        own = context["field"]
        if "." not in own and parts and own != parts[-1]:
            own = ".".join([*parts, own])
        return f"{own} {context['rule']}, not {context['value']!r}"
    if first["type"] == "extra_forbidden":
        return f"{field} is not a known field, its value was {first['input']!r}"
    if first["type"] == "missing":
        return f"{field} is required and missing"
    rule = first["msg"][0].lower() + first["msg"][1:]
    return f"{field}: {rule}, not {first['input']!r}"


def parse(data):
    """A `Config` from nested dicts, as TOML gives them.

    Raises
    ------
    ConfigError
        For the first rule that does not hold.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_message(error)) from None


def load(path):
    """Read and validate a TOML file.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not TOML, or breaks a rule; the message starts with the path.
    """
    try:
        data = tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not a TOML file: {error}"
        raise ConfigError(f"{path}: {reason}") from None
    try:
        return parse(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
