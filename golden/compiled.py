"""The golden model compiled: `golden.kernel` by Numba, for training and inference without traces.

The specification is the PyTorch form (`golden.model`), and every bit is the same. What is compiled depends on the kinds
of neurons alone: everything else is data. Machine code is kept in a folder of the user, named by the sources that it
comes from, so that it is made once.
"""

import hashlib
import inspect
import os
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType

import numba
import numpy as np
import torch
from numba.core.errors import NumbaError
from numba.extending import overload, register_jitable

from . import arithmetic, kernel
from .errors import InputError, one_line
from .lfsr import PERIOD, leap

__all__ = ["Engine", "cache_folder"]

#: State of an LFSR after its leap.
LEAP = np.array([0, *map(leap, range(1, PERIOD + 1))], np.int64)
#: Entries of a table among the numbers of a neuron, the 0 beyond its end included.
TABLE = 17

for function in (arithmetic.shift_kept, arithmetic.shift_nearest, arithmetic.shift_stochastic):
    register_jitable(function)


@overload(arithmetic.saturate)
def _saturate(x, width, out=None):
    def one(x, width, out=None):
        top = (1 << (width - 1)) - 1
        return min(max(x, -top - 1), top)
    return one


@overload(arithmetic.shift_floor)
def _shift_floor(x, shift):
    return lambda x, shift: x >> shift if shift >= 0 else x << -shift


@overload(arithmetic.less)
def _less(x, condition, amount):
    return lambda x, condition, amount: x - amount if condition else x


@overload(arithmetic.where)
def _where(condition, x, y):
    return lambda condition, x, y: x if condition else y


@overload(arithmetic.entry)
def _entry(values, index):
    return lambda values, index: values[min(index, len(values) - 1)]


def _numbers(neuron):
    """Type of the record that holds a neuron's numbers, and its values in order."""
    fields, values = [], []
    for name, value in zip(neuron._fields, neuron):
        if hasattr(value, "_fields"):
            kind, inside = _numbers(value)
            fields.append((name, kind))
            values.append(inside)
        elif isinstance(value, tuple):
            table = [*value, *[0] * max(1, TABLE - len(value))]
            fields.append((name, np.int64, (len(table),)))
            values.append(table)
        else:
            fields.append((name, np.int64))
            values.append(int(value))
    return np.dtype(fields), tuple(values)


def _modules(module, packages, found):
    """Names of a module and of those of `packages` whose functions it takes over, added to the dict `found`."""
    if module in found or module == arithmetic.__name__ or module.partition(".")[0] not in packages:
        return found
    found[module] = None
    for own in vars(import_module(module)).values():
        if inspect.ismodule(own):
            _modules(own.__name__, packages, found)
        elif inspect.isfunction(own):
            _modules(own.__module__, packages, found)
    return found


def _taken(module):
    """The modules that a golden step consists of: its own, and those of Spikeloom or its package that it uses."""
    return tuple(_modules(module, {module.partition(".")[0], __name__.partition(".")[0]}, {}))


@cache
def _register(module):
    """Let compiled code call the functions of a module."""
    for own in vars(import_module(module)).values():
        if inspect.isfunction(own) and own.__module__ == module:
            register_jitable(own)


def _functions(module):
    """Functions of a golden step, compiled, by name."""
    for name in _taken(module):
        _register(name)
    step = import_module(module)
    return {name: numba.njit(getattr(step, name)) for name in ("step", "fired", "code", "error")}


def _with(function, **names):
    """A function compiled with other globals. As a closure, or with functions as arguments, it would not be kept."""
    return numba.njit(FunctionType(function.__code__, function.__globals__ | names, function.__name__))


def _chosen(loops, first=0):
    """One of `loops` by kind, with the numbers of a unit: those at its place in the table of the kind."""
    loop = loops[first]

    def only(tables, kind, place, *rest):
        loop(tables[first][place], *rest)

    def one_of(tables, kind, place, *rest):
        if kind == first:
            loop(tables[first][place], *rest)
        else:
            others(tables, kind, place, *rest)

    if first + 1 == len(loops):
        return numba.njit(only)
    others = _chosen(loops, first + 1)
    return numba.njit(one_of)


def cache_folder(modules):
    """Where the machine code for some golden steps is kept: its name says all sources, and who compiled them.

    Constants and functions come from anywhere in `golden`, or in the package of a step: all of either counts.
    """
    sources = set(Path(__file__).parent.rglob("*.py"))
    for name in modules:
        file = Path(inspect.getfile(import_module(name)))
        sources |= set(file.parent.rglob("*.py")) if "." in name else {file}
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__}".encode())
    for source in sorted(sources):
        digest.update(source.read_bytes())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "spikeloom" / f"kernel-{digest.hexdigest()[:16]}"


@cache
def _kernel(modules):
    """`kernel.run` for neurons whose golden steps are `modules`."""
    steps = [_functions(module) for module in modules]
    forward = _chosen([_with(kernel.forward_neurons, **own) for own in steps])
    backward = _chosen([_with(kernel.backward_neurons, **own) for own in steps])
    bound = _with(kernel.run, forward_pass=_with(kernel.forward_pass, forward_any=forward),
                  backward_pass=_with(kernel.backward_pass, backward_any=backward)).py_func
    before = numba.config.CACHE_DIR
    try:
        numba.config.CACHE_DIR = str(cache_folder(modules))
        return numba.njit(nogil=True, cache=True)(bound)
    except (OSError, RuntimeError):  # nowhere to keep it: it is made anew in every process
        return numba.njit(nogil=True)(bound)
    finally:
        numba.config.CACHE_DIR = before


class Engine:
    """The units of a configuration, ready for the compiled kernel.

    Parameters
    ----------
    config : Config
    fixed : dict of int to torch.Tensor
        Weights (fan_in, channels) of units that compute them, by place.
    """

    def __init__(self, config, fixed):
        self.config, units = config, config.units
        modules = tuple(dict.fromkeys(unit.neuron.golden for unit in units))
        self._run = _kernel(modules)
        self._units = np.zeros(len(units), kernel.UNIT)
        numbers, links = [[] for _ in modules], [[], [], []]
        first = dict.fromkeys(("neuron", "weight", "row", "lfsr", "dropper"), 0)
        below, pixels = -1, 0
        for place, unit in enumerate(units):
            kind = modules.index(unit.neuron.golden)
            pointers, reached, taps = _links(unit)
            self._units[place] = _record(
                unit, first, kind=kind, place=len(numbers[kind]), source=below, pixel=pixels,
                wanted=not unit.classifier or place == len(units) - 1)
            numbers[kind].append(_numbers(unit.neuron))
            links[0].append(pointers + sum(map(len, links[1])))
            links[1].append(reached)
            links[2].append(taps)
            pixels += len(pointers)
            for name, count in (("neuron", unit.n_out), ("weight", _weights(unit)), ("row", unit.fan_in),
                                ("lfsr", unit.lanes), ("dropper", unit.lanes)):
                first[name] += count
            if not unit.classifier:
                below = place
        self._links = tuple(np.concatenate(own) for own in links)
        self._tables = tuple(np.array([values for _, values in own], own[0][0]) for own in numbers)
        time, update, momentum = config.time, config.update, config.update.momentum
        self._sizes = (config.intervals, time.interval, time.update_period, first["neuron"],
                       max(unit.n_out for unit in units), config.numbers.error.fraction)
        self._update = (update.multiplier, int(update.rounding == "stochastic"),
                        *((momentum.multiplier, momentum.shift, momentum.width) if momentum else (0, 0, 0)))
        self._weights = np.zeros(first["weight"], np.int64)
        self._velocities = np.zeros(first["weight"] if momentum else 0, np.int64)
        self._gradients, self._touched = np.zeros(first["weight"], np.int64), np.zeros(first["row"], np.uint8)
        self._lfsrs, self._droppers = np.ones(first["lfsr"], np.int64), np.ones(first["dropper"], np.int64)
        stored = [place for place, unit in enumerate(units) if unit.weights.stored]
        self._views = {name: {place: self._view(array, place) for place in stored}
                       for name, array in (("weight", self._weights), ("velocity", self._velocities)) if len(array)}
        for place, weights in fixed.items():
            self._view(self._weights, place).copy_(weights)

    def _view(self, array, place):
        unit, own = self.config.units[place], self._units[place]
        shape = (unit.fan_in, unit.channels)
        return torch.from_numpy(array[own["weight"]:own["weight"] + unit.fan_in * unit.channels]).view(shape)

    def take(self, state):
        """Let the matrices of `state` lie where the kernel finds them, with the values that they have."""
        for name, views in self._views.items():
            kept = state[name]
            for place, view in views.items():
                if kept[place] is not view:
                    view.copy_(kept[place])
                    kept[place] = view

    def train(self, state, frames, labels):
        """Train on a batch; `state` is changed, but for its learning rate. Spike counts, int64 (samples, classes)."""
        self.take(state)
        lanes = [(self._lfsrs, "lfsr", "lfsr"), (self._droppers, "dropper", "dropout")]
        for array, first, name in lanes:
            self._lanes(array, first, state[name], load=True)
        classes = np.array([-1 if label is None else label for label in labels], np.int64)
        counts = self._call(frames, classes, state.shift, train=True)
        for array, first, name in lanes:
            self._lanes(array, first, state[name], load=False)
        return torch.from_numpy(counts)

    def _lanes(self, array, first, every, *, load):
        for own, states in zip(self._units, every):
            if states:
                part = array[own[first]:own[first] + len(states)]
                if load:
                    part[:] = states
                else:
                    states[:] = part.tolist()

    def infer(self, state, frames):
        """Spike counts of a batch, int64 (samples, classes)."""
        self.take(state)
        return torch.from_numpy(self._call(frames, np.zeros(len(frames), np.int64), 0, train=False))

    def _call(self, frames, labels, shift, *, train):
        static = self.config.units[0].input.static
        samples = len(frames)
        values = np.ascontiguousarray(frames.numpy(), np.int64) if static else np.zeros((samples, 0), np.int64)
        events = np.zeros((samples, 0, 0), np.uint8)
        if not static:
            events = np.ascontiguousarray(frames.numpy() != 0).view(np.uint8)
        try:
            return self._run(
                self._tables, self._units, self._sizes, self._update, shift, train, values, events, labels, self._links,
                self._weights, self._velocities, self._gradients, self._touched, self._lfsrs, self._droppers, LEAP)
        except NumbaError as error:
            steps = ", ".join(dict.fromkeys(unit.neuron.golden for unit in self.config.units))
            raise InputError(f"golden steps {steps}: cannot be compiled; Golden(compiled=False) does without: "
                             f"{one_line(error)}") from None


def _weights(unit):
    return 0 if unit.window.pools else unit.fan_in * unit.channels


def _record(unit, first, **more):
    values = {name: getattr(unit, name) for name in (
        "n_in", "n_out", "channels", "fan_in", "lanes", "channel_words", "classifier", "align", "dropout")}
    pools = unit.window.pools
    values |= {
        "static": unit.input.static, "input_dropout": unit.input.dropout, "input_fraction": unit.input.fraction,
        "pool": pools, "pool_weight": unit.pool_weight if pools else 0, "stored": unit.weights.stored,
        "bias": unit.weights.bias,
        "weight_width": unit.weights.width, "weight_fraction": unit.weights.fraction, "learns": unit.rule.learns,
        "error_width": unit.rule.error_width, "start": unit.neuron.start,
        "channels_in": 1 if unit.window.kind == "dense" else unit.shape_in[2]}
    values |= first | more
    return tuple(int(values[name]) for name in kernel.UNIT.names)


def _links(unit):
    """Which output pixels an input pixel reaches, and by which tap: begin and end of each, pixels, taps."""
    if unit.window.kind == "dense":  # every input is a pixel, and a tap
        return np.arange(unit.n_in + 1), np.zeros(unit.n_in, np.int64), np.arange(unit.n_in)
    (down, across), (_, kernel, stride, _) = unit.taps, unit.window
    pointers, reached, taps = [0], [], []
    for row in down:
        for column in across:
            for y in range(row.count):
                for x in range(column.count):
                    reached.append((row.first + y) * unit.shape_out[1] + column.first + x)
                    taps.append((row.tap - y * stride) * kernel + column.tap - x * stride)
            pointers.append(len(reached))
    return tuple(np.array(own, np.int64) for own in (pointers, reached, taps))
