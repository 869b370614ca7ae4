"""The golden model: Algorithm 1 of Guo et al. 2023 with truncation `k` and blocks of `n` layers, in integers.

The normative specification of every bit. For each interval of ``k`` steps: every unit forward, the classifiers'
errors (equation 3), every block backward on its own (4)(5), and one update of all weights (7). The RTL walks the
same sums in another order; sums are exact, so the order leaves no trace.
"""

import math
from functools import cached_property
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
from .linear import bias_sums, gradient, input_sums, output_sums, weighted_rows
from .random_weights import lane_keys, random_weights
from .states import saved_kinds, unit_states
from .threads import choose_threads
from .trace import Recorder, sent

__all__ = ["Golden", "State", "initial_state", "visited_rows"]


#: So many samples at once are not few: PyTorch computes them together, and needs less time for each.
FEW = 32


class State(NamedTuple):
    """What persists between samples: architectural state, all of it.

    ``state["weight"][place]`` is the weights of a unit by its place in `Config.units`.

    Members
    -------
    kept : dict of str to list
        What `golden.states` says that a checkpoint holds, by its name, for every unit: of a ``matrix`` a torch.Tensor,
        int64, shape (fan_in, channels), rows in the order (kernel row, kernel column, channel), then the bias; where
        the unit has none (0, channels); of ``lanes`` a list of ints, empty where it has none.
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


def visited_rows(unit, inputs):
    """Rows of the weight matrix that an update visits, ascending: those that an active input meets; with momentum, all.

    `inputs` are the spikes (..., n_in) of the update period, or the values of static frames.
    """
    if not unit.optimiser.only_active:
        return torch.arange(unit.fan_in)
    return weighted_rows(unit, inputs != 0).nonzero().squeeze(1)


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
    compiled : bool
        Whether training and inference of few samples at once, without traces, are compiled (`golden.compiled`): the
        same bits in less time, once the machine code is there.

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

    def __init__(self, config, state=None, *, compiled=True):
        self.config, self._compiled = config, compiled
        self.state = (_checked(config, state) if state else initial_state(config)).copy()
        self._fixed = {
            place: torch.from_numpy(random_weights(unit, lane_keys(config.classifier.seed, place, unit.lanes),
                                                   config.initial.gain))
            for place, unit in enumerate(config.units) if unit.weights.random}
        self._integer = neuron.integer(config)

    @cached_property
    def _engine(self):
        from .compiled import Engine  # it takes its time to import, and not everybody trains

        return Engine(self.config, self._fixed)

    def _weights(self, place):
        return self._fixed.get(place, self.state["weight"][place])

    def _current(self, unit, place, inputs, *, train):
        """Input currents (steps or 1, ..., n_out): equation (1), its sum; in inference less what dropout takes."""
        sums, biases = input_sums(unit, inputs, self._weights(place), self._integer), 0
        if unit.weights.bias:
            biases = bias_sums(unit, self._weights(place), self._integer)
        if unit.input.dropout and not train:
            return shift_kept(sums, -unit.align, unit.input.dropout, biases)
        return shift_floor(sums + biases if unit.weights.bias else sums, -unit.align)

    def _drop(self, unit, place, samples):
        """Neurons that are dropped in the next interval (k, ..., n_out), an axis for several samples; None for none."""
        if not unit.dropout:
            return None
        dropped, self.state["dropout"][place][:] = draw_dropped(unit, self.state["dropout"][place], samples)
        return torch.from_numpy(dropped).squeeze(1) if samples == 1 else torch.from_numpy(dropped)

    def _spike_error(self, unit, place, errors):
        """Errors of the spikes below `unit` (steps, samples, n_in): the sum of equation (4)."""
        dot = output_sums(unit, errors, self._weights(place))
        return saturate(shift_nearest(dot, unit.weights.fraction), unit.rule.error_width).to(self._integer)

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
            errors[unit.index] = neuron.error_steps(delta, codes, fired, unit.neuron)
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
        self._check(frames, labels)
        recorder = Recorder(self.config.units, alone=len(frames) == 1)
        self._run(frames, labels, train, recorder, traced=True, weights=record)
        return recorder.traces(self._seen(frames), train)

    @torch.inference_mode()
    def train_batch(self, frames, labels):
        """Train on one batch as `run_batch` does, but faster, keeping no traces: spike counts, (samples, classes)."""
        if self._compiled and len(frames) < FEW:
            self._check(frames, labels)
            counts = self._engine.train(self.state, frames, labels)
            self._count_samples(len(frames))
            return counts
        self._check(frames, labels)
        recorder = Recorder(self.config.units, alone=len(frames) == 1)
        return self._run(frames, labels, True, recorder).reshape(len(labels), -1)

    def _seen(self, frames):
        """A batch as the first unit sees it; a sample alone has no axis of its own: that is faster."""
        frames = frames.to(torch.int64) if self.config.units[0].input.static else frames.ne(0).transpose(0, 1)
        return frames.squeeze(-2) if frames.shape[-2] == 1 else frames

    def _taught(self, labels):
        """Target counts (samples, classes) of an interval, and 1 for a sample that has a class, else 0."""
        target = torch.zeros(len(labels), self.config.network.classes, dtype=torch.int64)
        taught = torch.ones(len(labels), 1, dtype=torch.int64)
        for own, known, label in zip(target, taught, labels):
            if label is None:
                known[0] = 0
            else:
                own[label] = self.config.time.interval
        return (target[0], taught[0]) if len(labels) == 1 else (target, taught)

    def _run(self, frames, labels, train, recorder, traced=False, weights=False):
        """One batch; spike counts (..., classes). `traced` if the recorder keeps everything, `weights` too."""
        choose_threads(len(frames))
        config, units, samples = self.config, self.config.units, len(frames)
        frames, (target, taught) = self._seen(frames), self._taught(labels)
        u = [torch.full((*target.shape[:-1], unit.n_out), unit.neuron.start, dtype=self._integer) for unit in units]
        counts = torch.zeros_like(target)
        for interval in range(config.intervals):
            history = self._forward(frames, interval, u, samples, train, recorder)
            counts += history[-1][1].sum(0)
            if not train:
                continue
            for block in config.blocks:
                first = units.index(block.units[0])
                for place, errors in self._backward(block, first, target, taught, history).items():
                    recorder.add(first + place, errors=errors)
            if (interval + 1) % config.time.update_period == 0:
                self._update_all(frames, interval, recorder, traced, weights)
                if not traced:
                    recorder.forget()
        if train:
            self._count_samples(samples)
        return counts

    def _forward(self, frames, interval, u, samples, train, recorder):
        """Codes, spikes and dropped neurons of every unit in an interval; potentials `u` go on."""
        below, history = self._input(frames, interval), []
        for place, unit in enumerate(self.config.units):
            current = self._current(unit, place, below, train=train)
            potentials = neuron.potential_steps(u[place], current, unit.neuron, unit.steps)
            u[place] = potentials[-1]
            fired, codes = neuron.fired(potentials, unit.neuron), neuron.codes(potentials, unit.neuron)
            dropped = self._drop(unit, place, samples) if train else None
            history.append((codes, fired, dropped))
            recorder.add(place, potentials=potentials, spikes=fired, codes=codes, dropped=dropped)
            if not unit.classifier:
                below = sent(fired, dropped)
        return history

    def _input(self, frames, interval):
        """What the first unit sees in one interval: values (1, ..., n_in) of a frame, or spikes (k, ..., n_in)."""
        k = self.config.time.interval
        return frames.unsqueeze(0) if self.config.units[0].input.static else frames[interval * k:(interval + 1) * k]

    def _update_all(self, frames, interval, recorder, traced, weights):
        """Move the weights of all units, after the update period that ends with `interval`."""
        period = self.config.time.update_period
        first = (interval + 1 - period) * self.config.time.interval
        source = None if self.config.units[0].input.static else frames[first:first + period * self.config.time.interval]
        for place, unit in enumerate(self.config.units):
            if unit.weights.stored:
                inputs = frames if unit.input.static else source
                step = self._update(unit, place, inputs, recorder.last(place, "errors", period))
                recorder.add_update(place, moved=step.ne(0) if traced else None)
            if weights:
                recorder.add_update(place, weights=self.state["weight"][place].clone())
            if not unit.classifier:
                source = recorder.last_sent(place, period)

    def _count_samples(self, samples):
        update, since, shift = self.config.update, self.state.since_decay + samples, self.state.shift
        if update.decay_samples and since >= update.decay_samples:
            since, shift = since - update.decay_samples, min(shift + 1, update.shift + update.decay_limit)
        self.state = self.state._replace(shift=shift, since_decay=since if update.decay_samples else 0)

    @torch.inference_mode()
    def infer(self, frames):
        """Spike counts of a batch, int64 (batch, classes), without training; the same bits as `run`, one by one.

        Parameters
        ----------
        frames : torch.Tensor
            As for `run_batch`.
        """
        self._check(frames, np.zeros(len(frames), np.int64))
        if self._compiled and len(frames) < FEW:
            return self._engine.infer(self.state, frames)
        choose_threads(len(frames))
        config, last = self.config, len(self.config.units) - 1
        # The other blocks' classifiers only teach.
        wanted = [(place, unit) for place, unit in enumerate(config.units) if not unit.classifier or place == last]
        u = {place: torch.full((len(frames), unit.n_out), unit.neuron.start, dtype=self._integer)
             for place, unit in wanted}
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
                potentials = neuron.potential_steps(u[place], current, unit.neuron, unit.steps)
                u[place], below = potentials[-1], neuron.fired(potentials, unit.neuron)
            counts += below.sum(0)
        return counts
