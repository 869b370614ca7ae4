"""The golden model: Algorithm 1 of Guo et al. 2023 with truncation `k` and blocks of `n` layers, in integers.

The normative specification of every bit. For each interval of ``k`` steps: every unit forward, the classifiers'
errors (equation 3), every block backward on its own (4)(5), and one update of all weights (7). The RTL walks the
same sums in another order; sums are exact, so the order leaves no trace.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from . import neuron
from .arithmetic import saturate, shift_floor, shift_kept, shift_nearest, shift_stochastic
from .checkpoint import state_arrays
from .checks import check_samples, check_state
from .dropout import draw_dropped
from .errors import InputError
from .lfsr import Lfsr
from .linear import columns, gradient, input_sums, output_sums
from .random_weights import lane_keys, random_weights
from .states import saved_kinds, unit_states
from .threads import choose_threads

__all__ = ["Golden", "SampleTrace", "State", "UnitTrace", "initial_state", "visited_rows"]


class State(NamedTuple):
    """What persists between samples: architectural state, all of it.

    ``state["weight"][place]`` is the weights of a unit by its place in `Config.units`.

    Members
    -------
    kept : dict of str to list
        What `golden.states` says that a checkpoint holds, by its name, for every unit: of a ``matrix`` a torch.Tensor,
        int64, shape (fan_in, channels), rows in the order (kernel row, kernel column, channel), where the unit has none
        (0, channels); of ``lanes`` a list of ints, empty where it has none.
    shift : int
        Current learning-rate shift.
    since_decay : int
        Trained samples since the shift last grew.
    """

    kept: dict
    shift: int
    since_decay: int

    def __getitem__(self, name):
        return self.kept[name]

    def copy(self):
        """An independent copy."""
        return self._replace(kept={name: [own.clone() if isinstance(own, torch.Tensor) else list(own) for own in every]
                                   for name, every in self.kept.items()})

    def replace(self, **changes):
        """The same with other values of members, or of what units keep by its name."""
        kept = {name: changes.pop(name) for name in self.kept if name in changes}
        return self._replace(kept=self.kept | kept, **changes)


class UnitTrace(NamedTuple):
    """What one unit did with one sample, all int64 but the bool spikes.

    Members
    -------
    inputs : torch.Tensor
        (T, n_in) spikes, or (n_in,) values of a static frame.
    potentials, spikes, codes : torch.Tensor
        (T, n_out).
    errors : torch.Tensor or None
        (T, n_out) potential errors; None without training, and where the unit computes none (`Unit.rule.learns`).
    dropped : torch.Tensor or None
        (T, n_out) which neurons are dropped, bool; None without training or dropout. `spikes` are those before.
    moved : list of torch.Tensor
        (fan_in, channels) which weights each update moves, if nothing saturates: those whose step is not zero, bool.
    weights : list of torch.Tensor
        The weights after each update; filled only on request.
    """

    inputs: torch.Tensor
    potentials: torch.Tensor
    spikes: torch.Tensor
    codes: torch.Tensor
    errors: torch.Tensor | None
    dropped: torch.Tensor | None
    moved: list
    weights: list

    @property
    def sent(self):
        """Spikes that leave the unit."""
        return _sent(self.spikes, self.dropped)


class SampleTrace(NamedTuple):
    """One sample through the core: a `UnitTrace` per unit, spike counts (classes,), and the class they name."""

    units: list
    counts: torch.Tensor
    prediction: int
    train: bool


def _joined(parts):
    """Steps of consecutive intervals, as one tensor; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _sent(fired, dropped):
    return fired if dropped is None else fired & ~dropped


def visited_rows(unit, inputs):
    """Rows of the weight matrix that an update visits, ascending: those with an active input; with momentum, all.

    `inputs` are the spikes (..., n_in) of the update period, or the values of static frames.
    """
    if unit.optimiser.velocity_width:
        return torch.arange(unit.fan_in)
    return columns(unit, inputs != 0).reshape(-1, unit.fan_in).any(0).nonzero().squeeze(1)


def _checked(config, state):
    """`state`, if it is one of `config`."""
    kinds = (*saved_kinds(config, "matrix"), *saved_kinds(config, "lanes"))
    if set(state.kept) != set(kinds):
        raise InputError(f"state must keep {', '.join(kinds)}, not {', '.join(map(str, state.kept)) or 'nothing'}")
    for name in saved_kinds(config, "matrix"):
        for place, matrix in enumerate(state[name]):
            if not isinstance(matrix, torch.Tensor) or matrix.dtype != torch.int64:
                raise InputError(f"state: {name}_{place} must be a torch.Tensor of int64, not "
                                 f"{getattr(matrix, 'dtype', type(matrix).__name__)}")
    for name, every in state.kept.items():
        if len(every) != len(config.units):
            raise InputError(f"state must have {name} of {len(config.units)} units, not of {len(every)}")
    check_state(config, state_arrays(state), InputError)
    return state


def initial_state(config):
    """Seeded start: weights uniform in ``+-gain / sqrt(fan_in)``, rounded to the nearest weight; all else is zero.

    LFSRs begin where `golden.states` says.
    """
    random = np.random.Generator(np.random.PCG64(config.initial.seed))
    kept = {}
    for unit in config.units:
        for name, state in unit_states(config, unit, "matrix").items():
            shape = (unit.fan_in if state.there else 0, unit.channels)
            kept.setdefault(name, []).append(
                _drawn(config, unit, shape, random) if name == "weight" else torch.zeros(shape, dtype=torch.int64))
        for name, state in unit_states(config, unit, "lanes").items():
            kept.setdefault(name, []).append(list(state.start))
    return State(kept, config.update.shift, 0)


def _drawn(config, unit, shape, random):
    """Weights to begin with."""
    limit = config.initial.gain / math.sqrt(unit.fan_in)  # a power may be off in its last bit
    values = np.rint(random.uniform(-limit, limit, shape) * 2.0**config.numbers.weight.fraction)
    return saturate(torch.from_numpy(values.astype(np.int64)), unit.weights.width)


class Golden:
    """The core as a Python object.

    Parameters
    ----------
    config : Config
        What to model.
    state : State, optional
        Where to start; `initial_state` by default. It is copied.

    Raises
    ------
    InputError
        From every method: frames, labels or a state that are not of the type, the shape and the range that the
        configuration says. Nothing is converted.

    Attributes
    ----------
    state : State
        The state after everything that was trained.
    """

    def __init__(self, config, state=None):
        self.config = config
        self.state = (_checked(config, state) if state else initial_state(config)).copy()
        self._fixed = {
            place: torch.from_numpy(random_weights(unit, lane_keys(config.classifier.seed, place, unit.lanes),
                                                   config.initial.gain))
            for place, unit in enumerate(config.units) if unit.weights.random}
        self._integer = neuron.integer(config)

    def _weights(self, place):
        return self._fixed.get(place, self.state["weight"][place])

    def _current(self, unit, place, inputs, *, train):
        """Input currents (steps or 1, ..., n_out): equation (1), its sum; in inference less what dropout takes."""
        sums = input_sums(unit, inputs, self._weights(place), self._integer)
        if unit.input.dropout and not train:
            return shift_kept(sums, -unit.align, unit.input.dropout)
        return shift_floor(sums, -unit.align)

    def _drop(self, unit, place, samples):
        """Neurons that are dropped in the next interval (k, ..., n_out), an axis for several samples; None for none."""
        if not unit.dropout:
            return None
        dropped, self.state["dropout"][place][:] = draw_dropped(unit, self.state["dropout"][place], samples)
        return torch.from_numpy(dropped).squeeze(1) if samples == 1 else torch.from_numpy(dropped)

    def _spike_error(self, unit, place, errors):
        """Errors of the spikes below `unit` (steps, samples, n_in): the sum of equation (4)."""
        dot = output_sums(unit, errors, self._weights(place))
        return saturate(shift_nearest(dot, self.config.numbers.weight.fraction), unit.rule.error_width).to(self._integer)

    def _update(self, unit, place, inputs, errors):
        """Equation (7) over one update period and all samples, and the deferred update of the weights.

        Spikes `inputs` (steps, samples, n_in), or values (samples, n_in) of static frames; `errors` (steps, samples,
        n_out). The steps are returned, (fan_in, channels).
        """
        total = gradient(unit, inputs, errors.sum(0) if unit.input.static else errors)
        momentum = self.config.update.momentum
        if momentum:
            velocity = self.state["velocity"][place]
            kept = shift_nearest(velocity * momentum.multiplier, momentum.shift)
            total = saturate(kept.add_(total), momentum.width, out=velocity)
        multiplier = self.config.update.multiplier
        scaled = total * multiplier if multiplier > 1 else total
        shift = self.state.shift + (self.config.input.fraction if unit.input.static else 0)
        if self.config.update.rounding == "nearest":
            step = shift_nearest(scaled, shift)
        else:
            step = shift_stochastic(scaled, shift, self._random(unit, place, inputs))
        weights = self.state["weight"][place]
        weights.sub_(step)
        saturate(weights, unit.weights.width, out=weights)
        return step

    def _random(self, unit, place, inputs):
        """Random words (fan_in, channels), in the order in which the core visits its active rows and their words."""
        rows = visited_rows(unit, inputs)
        lfsr, words = Lfsr(self.state["lfsr"][place]), unit.channel_words
        drawn = torch.from_numpy(lfsr.draw(len(rows) * words))
        self.state["lfsr"][place][:] = lfsr.state
        random = torch.zeros(unit.fan_in, unit.channels, dtype=torch.int64)
        random[rows] = drawn.reshape(len(rows), words * unit.lanes)[:, :unit.channels]
        return random

    def _backward(self, block, first, target, taught, history):
        """Errors (steps, samples, n_out) of every unit of `block` that has any, for one interval, by its place."""
        config, errors, delta = self.config, {}, None
        for unit in reversed([unit for unit in block.units if unit.rule.learns]):
            codes, fired, dropped = history[first + unit.index]
            if unit.classifier:
                # Equation (3): the same error in every step of the interval, in units of one spike.
                delta = fired.sum(0, dtype=torch.int64).sub_(target).mul_(taught)
                delta = (delta << config.numbers.error.fraction).unsqueeze(0).to(self._integer)
            elif dropped is not None:
                delta.masked_fill_(dropped, 0)
            errors[unit.index] = neuron.error_steps(delta, codes, fired, config)
            if not unit.bottom and block.units[unit.index - 1].rule.learns:
                delta = self._spike_error(unit, first + unit.index, errors[unit.index])
        return errors

    def _check(self, frames, labels):
        """Refuse what is not as `run_batch` says."""
        if not isinstance(frames, torch.Tensor):
            raise InputError(f"frames must be a torch.Tensor (torch.from_numpy makes one), not {type(frames).__name__}")
        if frames.is_floating_point() or frames.is_complex():
            raise InputError(f"frames must hold integers, not {frames.dtype}")
        if isinstance(labels, list | tuple):
            labels = [0 if label is None else label for label in labels]
        check_samples(self.config, frames.numpy(), labels, InputError)

    def run(self, frame, label=None, *, train=False, record=False):
        """One sample on its own: `run_batch` with a batch of one."""
        if not isinstance(frame, torch.Tensor):
            self._check(frame, ())
        trace, = self.run_batch(frame.unsqueeze(0), [label], train=train, record=record)
        return trace

    @torch.inference_mode()  # no bookkeeping of gradients: with small tensors it is a quarter of the time
    def run_batch(self, frames, labels, *, train=False, record=False):
        """One batch of samples, exactly as the core computes it (Algorithm 1).

        Parameters
        ----------
        frames : torch.Tensor
            Input values, integers, shape (samples, input.size); with events, the bits of every step, shape (samples, T,
            input.size).
        labels : sequence of int or None
            Class of each sample; looked at to train. A sample of no class (None) has no error, and adds nothing to any
            gradient.
        train : bool
            Whether the weights learn from them.
        record : bool
            Whether the traces keep the weights after each update.

        Returns
        -------
        list of SampleTrace
        """
        return self._traces(*self._run(frames, labels, train, record)[1:], train)

    @torch.inference_mode()
    def train_batch(self, frames, labels):
        """Train on one batch as `run_batch` does, but faster, keeping no traces: spike counts, (samples, classes)."""
        return self._run(frames, labels, True, traced=False)[0].reshape(len(labels), -1)

    def _run(self, frames, labels, train, record=False, traced=True):
        """Spike counts, frames as the first unit sees them, and the parts of all traces."""
        self._check(frames, labels)
        choose_threads(len(frames))
        config, units = self.config, self.config.units
        period = config.time.update_period
        samples = len(frames)
        frames = frames.to(torch.int64) if config.units[0].input.static else frames.ne(0).transpose(0, 1)
        target = torch.zeros(samples, config.network.classes, dtype=torch.int64)
        taught = torch.ones(samples, 1, dtype=torch.int64)
        for own, known, label in zip(target, taught, labels):
            if label is None:
                known[0] = 0
            else:
                own[label] = config.time.interval
        if samples == 1:  # an axis less is faster
            frames, target, taught = frames.squeeze(-2), target[0], taught[0]
        u = [torch.zeros(*target.shape[:-1], unit.n_out, dtype=self._integer) for unit in units]
        counts = torch.zeros_like(target)
        traces = [([], [], [], [], [], [], []) for _ in units]  # the fields of `UnitTrace` behind its inputs
        for interval in range(config.intervals):
            below, history = self._input(frames, interval), []
            for place, unit in enumerate(units):
                potentials = neuron.lif_steps(u[place], self._current(unit, place, below, train=train), config)
                u[place] = potentials[-1]
                fired, codes = neuron.spikes(potentials, config), neuron.surrogate(potentials, config)
                dropped = self._drop(unit, place, samples) if train else None
                history.append((codes, fired, dropped))
                for kept, value in zip(traces[place], (potentials, fired, codes)):
                    kept.append(value)
                if dropped is not None:
                    traces[place][4].append(dropped)
                if not unit.classifier:
                    below = _sent(fired, dropped)
            counts += fired.sum(0)
            if not train:
                continue
            for block in config.blocks:
                first = units.index(block.units[0])
                for place, errors in self._backward(block, first, target, taught, history).items():
                    traces[first + place][3].append(errors)
            if (interval + 1) % period == 0:
                self._update_all(frames, traces, period, interval, traced)
                if record:
                    for place in range(len(units)):
                        traces[place][6].append(self.state["weight"][place].clone())
                if not traced:
                    traces = [([], [], [], [], [], [], []) for _ in units]
        if train:
            self._count_samples(samples)
        return counts, frames, traces

    def _input(self, frames, interval):
        """What the first unit sees in one interval: values (1, ..., n_in) of a frame, or spikes (k, ..., n_in)."""
        k = self.config.time.interval
        return frames.unsqueeze(0) if self.config.units[0].input.static else frames[interval * k:(interval + 1) * k]

    def _update_all(self, frames, traces, period, interval, traced):
        first = (interval + 1 - period) * self.config.time.interval
        source = None if self.config.units[0].input.static else frames[first:first + period * self.config.time.interval]
        for place, unit in enumerate(self.config.units):
            inputs = frames if unit.input.static else source
            if unit.weights.stored:
                step = self._update(unit, place, inputs, _joined(traces[place][3][-period:]))
                if traced:
                    traces[place][5].append(step.ne(0))
            if not unit.classifier:
                fired, dropped = (_joined(traces[place][part][-period:]) if traces[place][part] else None
                                  for part in (1, 4))
                source = _sent(fired, dropped)

    def _count_samples(self, samples):
        update, since, shift = self.config.update, self.state.since_decay + samples, self.state.shift
        if update.decay_samples and since >= update.decay_samples:
            since, shift = since - update.decay_samples, min(shift + 1, update.shift + update.decay_limit)
        self.state = self.state._replace(shift=shift, since_decay=since if update.decay_samples else 0)

    def _traces(self, frames, traces, train):
        """A `SampleTrace` for each sample."""
        static = self.config.units[0].input.static
        alone = frames.dim() == (1 if static else 2)
        samples = 1 if alone else len(frames) if static else frames.shape[1]
        found, source = [[] for _ in range(samples)], None if static else frames

        def of(sample, values, axis=1):
            return values if values is None or alone else values.select(axis, sample)

        for unit, (*parts, moved, weights) in zip(self.config.units, traces):
            potentials, fired, codes, errors, dropped = (_joined(part) if part else None for part in parts)
            potentials, codes, errors = (part if part is None else part.to(torch.int64)
                                         for part in (potentials, codes, errors))
            for sample, units in enumerate(found):
                inputs = of(sample, frames, 0) if unit.input.static else of(sample, source)
                units.append(UnitTrace(inputs, *(
                    of(sample, part) for part in (potentials, fired, codes, errors, dropped)), moved, weights))
            if not unit.classifier:
                source = _sent(fired, dropped)
        counts = fired.sum(0).reshape(len(found), -1)
        return [SampleTrace(units, own, prediction, train)
                for units, own, prediction in zip(found, counts, counts.argmax(1).tolist())]

    @torch.inference_mode()
    def infer(self, frames):
        """Spike counts of a batch, int64 (batch, classes), without training; the same bits as `run`, one by one.

        Parameters
        ----------
        frames : torch.Tensor
            As for `run_batch`.
        """
        self._check(frames, np.zeros(len(frames), np.int64))
        choose_threads(len(frames))
        config, last = self.config, len(self.config.units) - 1
        # The other blocks' classifiers only teach.
        wanted = [(place, unit) for place, unit in enumerate(config.units) if not unit.classifier or place == last]
        u = {place: torch.zeros(len(frames), unit.n_out, dtype=self._integer) for place, unit in wanted}
        counts = torch.zeros(len(frames), config.network.classes, dtype=torch.int64)
        if config.units[0].input.static:
            frames = frames.to(torch.int64)
            static = self._current(config.units[0], 0, frames.unsqueeze(0), train=False)
        else:
            frames = frames.ne(0).transpose(0, 1)
        for interval in range(config.intervals):
            below = None if config.units[0].input.static else self._input(frames, interval)
            for place, unit in wanted:
                current = static if unit.input.static else self._current(unit, place, below, train=False)
                potentials = neuron.lif_steps(u[place], current, config)
                u[place], below = potentials[-1], neuron.spikes(potentials, config)
            counts += below.sum(0)
        return counts
