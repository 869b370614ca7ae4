"""Floating-point reference of a configuration: the same network, schedule and start, trained by PyTorch.

Equations (1) to (7) of Guo et al. 2023 in real numbers. Convolutions and their derivatives are PyTorch's own; graphs
end at block borders and at interval borders, and each local classifier has its loss. What is the same as in the golden
model: initial weights (those of the golden model, so after rounding), random classifiers, leak, threshold, reset,
surrogate, momentum, step decay of the rate, updates once per update period, batches. What differs: nothing is rounded
and nothing saturates. There is no dropout.
"""

import math

import torch
from torch.nn import functional

from spikeloom.golden.model import initial_state
from spikeloom.golden.random_weights import lane_keys, random_weights

__all__ = ["Reference", "learning_rate"]


def learning_rate(config, shift):
    """The rate by which real weights follow the real gradient, for a learning-rate shift.

    The golden model subtracts ``multiplier * G / 2**shift`` last weight bits, with ``G`` in units of the last error bit
    (for frames also of the last input bit, with as much more shift). Hence
    ``multiplier * 2**(error fraction - weight fraction - shift)``, on a loss whose derivative by a spike is the
    error of equation (3) without its factor ``2 / (N_c k^2)``.
    """
    numbers = config.numbers
    return math.ldexp(config.update.multiplier, numbers.error.fraction - numbers.weight.fraction - shift)


def _leak(leak):
    return leak.multiplier / 2**leak.shift if leak.form == "multiply" else 1 - 2.0**-leak.shift


def _slope(u, threshold, surrogate):
    """Equation (6): constant in bins of the distance to the threshold."""
    codes, bin_width = surrogate.codes, surrogate.bin_width
    distance, scale = (u - threshold).abs_(), 2.0**-surrogate.gain_shift
    if len(codes) == 1:
        return (distance < bin_width).to(u.dtype).mul_(codes[0] * scale)
    values = torch.tensor([*codes, 0], dtype=u.dtype, device=u.device) * scale
    return values[(distance / bin_width).long().clamp_(max=len(codes))]


class _Lif(torch.autograd.Function):
    """Neurons over one interval, equations (1) and (2); backward, equations (4) to (6)."""

    @staticmethod
    def forward(ctx, current, u, fired, steps, neuron, surrogate):
        """Spikes (k, ...) and the last potential, from currents (k or 1, ...) and the step before.

        `steps` is k; `neuron` and `surrogate` are the tables of the layer.
        """
        leak, theta = _leak(neuron.leak), neuron.reset_amount
        potentials = current.new_empty(steps, *current.shape[1:])
        spikes = torch.empty_like(potentials)
        u, fired = (value.expand_as(potentials[0]) for value in (u, fired))
        for t in range(steps):
            own = potentials[t]
            if neuron.reset == "subtract-before-leak":
                torch.sub(u, fired, alpha=theta, out=own).mul_(leak)
            else:
                torch.mul(u, leak, out=own)
                if neuron.reset == "subtract":
                    own.sub_(fired, alpha=theta)
                elif neuron.reset == "zero":
                    own.mul_(1 - fired)
            u = own.add_(current[t if len(current) > 1 else 0])
            fired = (torch.gt if neuron.compare == ">" else torch.ge)(u, neuron.threshold, out=spikes[t])
        ctx.neuron, ctx.same = neuron, len(current) == 1
        ctx.save_for_backward(_slope(potentials, neuron.threshold, surrogate), spikes)
        ctx.mark_non_differentiable(u)
        return spikes, u

    @staticmethod
    def backward(ctx, delta, _):
        slopes, spikes = ctx.saved_tensors
        neuron, leak = ctx.neuron, _leak(ctx.neuron.leak)
        through = 0.0
        if neuron.reset_error and neuron.reset.startswith("subtract"):
            through = neuron.reset_amount * (leak if neuron.reset == "subtract-before-leak" else 1)
        errors = slopes * delta
        for t in reversed(range(len(errors) - 1)):
            after = errors[t + 1]
            errors[t].add_(after * (1 - spikes[t]) if neuron.reset == "zero" else after, alpha=leak)
            if through:
                errors[t].addcmul_(slopes[t], after, value=-through)
        return errors.sum(0, keepdim=True) if ctx.same and len(errors) > 1 else errors, *[None] * 5


class Reference:
    """The network of a configuration in floating point, with the methods of `Golden` that training needs.

    Parameters
    ----------
    config : Config
    state : State, optional
        Where to start, without velocities; `initial_state` by default.
    device : str
        Where to compute.
    dtype : torch.dtype

    Raises
    ------
    ValueError
        If a layer has dropout.

    Attributes
    ----------
    weights, velocities : list of torch.Tensor
        Per unit, a matrix as in the golden model; None where it pools. Velocities are 0.0 before the first update.
    shift : int
        Current learning-rate shift.
    """

    def __init__(self, config, state=None, *, device="cpu", dtype=torch.float32):
        if any(unit.dropout for unit in config.units):
            raise ValueError("the reference has no dropout")
        self.config, self.device, self.dtype = config, device, dtype
        start = (state or initial_state(config))["weight"]
        self.weights = [self._weights(*own) for own in zip(range(len(start)), config.units, start)]
        self.velocities = [0.0] * len(self.weights)
        self.shift, self.since_decay = config.update.shift, 0

    def _weights(self, place, unit, values):
        if unit.window.pools:
            return None
        if unit.weights.random:
            keys = lane_keys(self.config.classifier.seed, place, unit.lanes)
            values = torch.from_numpy(random_weights(unit, keys, self.config.initial.gain))
        values = values.to(self.device, self.dtype) / 2**unit.weights.fraction
        return values.requires_grad_(unit.weights.stored)

    def _current(self, place, below):
        """Currents (steps, samples, channels, height, width) of a unit from what is below it, of the same form."""
        unit, weights, images, bias = self.config.units[place], self.weights[place], below.flatten(0, 1), None
        if unit.weights.bias:
            weights, bias = weights[:-1], weights[-1]
        if unit.window.pools:
            sums = functional.avg_pool2d(images, unit.window.kernel, unit.window.stride)
        elif unit.window.kind == "conv":
            kernel = unit.window.kernel
            filters = weights.reshape(kernel, kernel, -1, unit.channels).permute(3, 2, 0, 1).contiguous()
            sums = functional.conv2d(images, filters, bias, stride=unit.window.stride, padding=unit.window.padding)
        else:
            sums = functional.linear(images.permute(0, 2, 3, 1).flatten(1), weights.T, bias)[..., None, None]
        return sums.unflatten(0, below.shape[:2])

    def _frames(self, frames):
        """Frames (1, samples, channels, height, width) in real numbers, or events with steps first."""
        frames = frames.to(self.device).to(self.dtype).div_(2**self.config.input.fraction)
        frames = frames.unsqueeze(0) if self.config.units[0].input.static else frames.transpose(0, 1)
        return frames.unflatten(-1, self.config.input.shape).movedim(-1, -3)

    def _interval(self, frames, number, state, wanted):
        """One interval of the units at the places `wanted`: spike counts (samples, classes) of each classifier.

        `state` holds potential and spikes of the last step of every unit, and is changed.
        """
        k, counts = self.config.time.interval, []
        below = frames if len(frames) == 1 else frames[number * k:(number + 1) * k]
        for place in wanted:
            unit = self.config.units[place]
            if unit.bottom:
                below = below.detach()
            spikes, u = _Lif.apply(self._current(place, below), *state[place], self.config.time.interval,
                                   *self.config.tables_of(self.config.owners[place]))
            state[place] = u, spikes[-1].detach()
            if unit.classifier:
                counts.append(spikes.sum(0).flatten(1))
            else:
                below = spikes
        return counts

    def _start(self):
        zero = torch.zeros((), dtype=self.dtype, device=self.device)
        return [(zero, zero)] * len(self.weights)

    def train_batch(self, frames, labels):
        """Train on one batch: spike counts (samples, classes).

        Parameters
        ----------
        frames : torch.Tensor
            As for `Golden.run_batch`.
        labels : sequence of int
        """
        config, frames, state = self.config, self._frames(frames), self._start()
        labels = torch.as_tensor(labels, device=self.device)
        target = functional.one_hot(labels, config.network.classes).to(self.dtype) * config.time.interval
        learned = [place for place, unit in enumerate(config.units) if unit.weights.stored]
        total, sums = 0, None
        for number in range(config.intervals):
            counts = self._interval(frames, number, state, range(len(self.weights)))
            loss = sum(0.5 * (count - target).square().sum() for count in counts)
            found = torch.autograd.grad(loss, [self.weights[place] for place in learned])
            sums = found if sums is None else [a + b for a, b in zip(sums, found)]
            total = total + counts[-1].detach()
            if (number + 1) % config.time.update_period == 0:
                self._update(dict(zip(learned, sums)))
                sums = None
        self._count_samples(len(labels))
        return total

    @torch.no_grad()
    def _update(self, gradients):
        """Equation (7), with momentum."""
        momentum, rate = self.config.update.momentum, learning_rate(self.config, self.shift)
        for place, gradient in gradients.items():
            if momentum:
                gradient = self.velocities[place] * (momentum.multiplier / 2**momentum.shift) + gradient
                self.velocities[place] = gradient
            self.weights[place].sub_(gradient, alpha=rate)

    def _count_samples(self, samples):
        update = self.config.update
        self.since_decay += samples
        if update.decay_samples and self.since_decay >= update.decay_samples:
            self.since_decay -= update.decay_samples
            self.shift = min(self.shift + 1, update.shift + update.decay_limit)

    @torch.no_grad()
    def infer(self, frames):
        """Spike counts (samples, classes) on the CPU, without training."""
        frames, state, last = self._frames(frames), self._start(), len(self.weights) - 1
        wanted = [place for place, unit in enumerate(self.config.units) if not unit.classifier or place == last]
        return sum(self._interval(frames, number, state, wanted)[0] for number in range(self.config.intervals)).cpu()
