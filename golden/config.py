"""One configuration, validated once, used unchanged by golden model, RTL, schedule and traffic model.

`Config` is what a person writes (TOML, section by section); `Config.blocks` is what the machine is built from:
the units (layers and classifiers) with every derived size and width. Importing this module does not import torch.
"""

import hashlib
import json
import re
import tomllib
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError, model_validator

from .errors import InputError
from .keywords import KEYWORDS, TAKEN
from .messages import first_error, huge_number, unknown_field
from .parts import LayerTable, NeuronTable, PartOf, SurrogateTable
from .reading import read_file
from .section import Section, reject
from .sections import Classifier, Hardware, Initial, Input, Network, Numbers, Time, Update
from .units import Block, Unit, build_blocks

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
    neuron : Lif
        The neurons of all layers and classifiers that have no table ``neuron`` of their own.
    surrogate : Rectangle | Triangle | Table
        What stands for the derivative of a spike, by its distance from the threshold; in the same way.
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
    layers: Annotated[list[LayerTable], Field(min_length=1, max_length=64)]
    network: Network
    classifier: Classifier
    neuron: NeuronTable
    surrogate: SurrogateTable
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
        self._check_neurons()
        self._check_widths()
        return self

    def _check_blocks(self):
        net, depth = self.network, len(self.layers)
        self._check_shapes()
        if (net.block_length is None) == (net.block_ends is None):
            reject("network", "must have exactly one of block_length and block_ends",
                    {"block_length": net.block_length, "block_ends": net.block_ends})
        weighted = sum(layer.weighted for layer in self.layers)
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
            layer.check(shape, f"layers.{place}")
            shape = layer.shape_out(shape)

    def _check_neurons(self):
        owners = [("", self), *((f"layers.{place}.", layer) for place, layer in enumerate(self.layers)),
                  ("classifier.", self.classifier)]
        for path, owner in owners:
            for name in ("neuron", "surrogate"):
                if (own := getattr(owner, name)) is not None:
                    own.check(self.numbers, path + name)

    def _check_widths(self):
        self.numbers.check(self.time.interval)
        self.update.check(self.input)
        blocks = build_blocks(self)
        for block in blocks:
            if not any(unit.weights.stored for unit in block.units):
                reject("network.block_ends", f"must give block {block.index} a layer with weights, since its "
                       "classifier is random", list(self.network.block_ends))
        units = [unit for block in blocks for unit in block.units]
        self._check_sizes(units)
        for unit in units:
            unit.weights.check(unit)
            unit.rule.check(self, unit)
        self.hardware.check(self)
        widest = max(max(u.current_width, u.dot_width, u.scaled_width) for u in units)
        # The golden model sums in float64 and the oracle of every bit is that sum: keep it exact.
        if widest > 52:
            reject("numbers", "must keep every exact sum within 52 bits", widest)
        # The rest of the golden model is int64: the error through the reset, and all of it times the surrogate.
        if self.neuron_width > 62:
            reject("numbers.error.width", "must keep every product with an error within 62 bits",
                   self.numbers.error.width)

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

    @cached_property
    def owners(self):
        """The section of each of `units`: its layer, or the classifier."""
        layers = iter(self.layers)
        return tuple(self.classifier if unit.classifier else next(layers) for unit in self.units)

    def tables_of(self, owner):
        """The tables ``neuron`` and ``surrogate`` that count for a layer, or for the classifier."""
        return owner.neuron or self.neuron, owner.surrogate or self.surrogate

    def neuron_of(self, owner):
        """Numbers of the neurons of a layer, or of the classifiers: a section of this configuration."""
        neuron, surrogate = self.tables_of(owner)
        return neuron.numbers(surrogate, self.numbers)

    @cached_property
    def neuron_width(self):
        """Bits that hold every sum and product of a neuron's potential, and of its error, in all units."""
        return max(unit.neuron.exact_width(max(unit.sum_width, unit.current_width)) for unit in self.units)

    @cached_property
    def text(self):
        """The configuration as JSON, defaults filled in: equal configurations have the same text."""
        return json.dumps(self.model_dump(), sort_keys=True)

    @cached_property
    def hash(self):
        """First 16 hex digits of the SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def replace(self, **sections):
        """A validated copy; each keyword is a section, as a dict of the fields that change (a part of another kind:
        all of them; of `input`, one of shape and size), or a whole value.

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
            for part in type(self).model_fields[key].metadata if merge else ():
                if isinstance(part, PartOf):  # another part has other fields
                    merge = part.of({part.key: old.get(part.key, part.default), **value}) is type(getattr(self, key))
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
