"""The network of Guo et al. 2023 in float64, written without a line of the golden model: what that must agree with.

Equations (1) and (2) as PyTorch operations, a spike whose derivative is the surrogate (6), graphs cut at interval and
block borders, and a loss whose derivative is the error of the classifier. Backpropagation through time is PyTorch's
own, and so is what an optimiser makes of the gradients.
"""

import torch
from torch.nn import functional

__all__ = ["Oracle", "integers", "slope"]


class Spike(torch.autograd.Function):
    """A spike that is given, with a derivative that is given."""

    @staticmethod
    def forward(ctx, u, fired, slope):
        ctx.save_for_backward(slope)
        return fired.clone()

    @staticmethod
    def backward(ctx, error):
        slope, = ctx.saved_tensors
        return error * slope, None, None


def tau(leak):
    return leak.multiplier / 2**leak.shift if leak.form == "multiply" else 1 - 2.0**-leak.shift


def slope(u, neuron, surrogate):
    """The surrogate in real numbers: constant in bins of the distance to the threshold."""
    if surrogate.shape == "rectangle":
        bins, values = surrogate.width / 2, [1 / surrogate.width]
    elif surrogate.shape == "triangle":
        bins = surrogate.width / surrogate.bins
        values = [(1 - (i + 0.5) / surrogate.bins) / surrogate.width for i in range(surrogate.bins)]
    else:
        bins, values = surrogate.bin, [value / 2**surrogate.shift for value in surrogate.values]
    place = ((u - neuron.threshold).abs() / bins).floor().long()
    return torch.tensor([*values, 0.0], dtype=torch.float64)[place.clamp(max=len(values))]


def images(values, shape):
    """Values (samples, size), channel-last, as PyTorch wants them; `shape` is (height, width, channels)."""
    return values.reshape(-1, *shape).permute(0, 3, 1, 2)


def flat(pictures):
    """The reverse."""
    return pictures.permute(0, 2, 3, 1).flatten(1)


def shape_of(pictures):
    return *pictures.shape[2:], pictures.shape[1]


def current(layer, below, weights, config):
    """What arrives at the neurons of `layer` (None: a classifier) in one step, as images.

    Rows of a weight matrix are in the order (kernel row, kernel column, channel), the bias is last; dense layers have
    one pixel.
    """
    bias = 0
    if getattr(layer or config.classifier, "bias", False):
        weights, bias = weights[:-1], weights[-1].reshape(1, -1, 1, 1)
    return weighted(layer, below, weights, config) + bias


def weighted(layer, below, weights, config):
    """The same without a bias."""
    if layer is None or layer.kind == "dense":
        return images(flat(below) @ weights, (1, 1, weights.shape[1]))
    if layer.kind == "conv":
        kernel = weights.reshape(layer.kernel, layer.kernel, below.shape[1], layer.channels).permute(3, 2, 0, 1)
        return functional.conv2d(below, kernel.contiguous(), stride=layer.stride, padding=layer.padding)
    # The mean, but for its weight: 1 / size**2 in the format of the weights.
    one = 2**config.numbers.weight.fraction
    weight = round(one / layer.size**2) / one
    return functional.avg_pool2d(below, layer.size, layer.stride, divisor_override=1) * weight


class Oracle:
    """One block after another; units are numbered in the order layers, classifier, layers, classifier.

    Parameters
    ----------
    config : Config
    weights : list of torch.Tensor
        Integers, in units of the last weight bit.

    Attributes
    ----------
    weights : list of torch.Tensor
        In real units, leaves of the graph; of random classifiers, they ask for no gradient.
    """

    def __init__(self, config, weights):
        self.config = config
        # A block begins with a layer that has weights; pools follow it.
        begins = [place for place, layer in enumerate(config.layers) if layer.kind != "avg_pool"]
        ends = config.network.block_ends or [*begins[config.network.block_length::config.network.block_length],
                                             len(config.layers)]
        self.blocks = [[*config.layers[begin:end], None] for begin, end in zip([0, *ends], ends)]
        learns = [layer is not None or config.classifier.kind == "trainable" for block in self.blocks
                  for layer in block]
        self.weights = [(weight.double() / 2**config.numbers.weight.fraction).requires_grad_(own)
                        for weight, own in zip(weights, learns)]
        self.inputs = {}  # section and shape of the inputs of each unit, once a sample has passed it

    def tables(self, layer):
        """Neuron and surrogate of a layer, or of a classifier (None)."""
        own = layer or self.config.classifier
        return own.neuron or self.config.neuron, own.surrogate or self.config.surrogate

    def neuron(self, layer, state, current, recorded):
        """Equations (1) and (2): potential and spike of one step from those of the step before."""
        (neuron, surrogate), (u, s) = self.tables(layer), state
        leaks, theta = tau(neuron.leak), neuron.reset_amount
        s = s if neuron.reset_error else s.detach()
        if neuron.reset == "subtract":
            left = leaks * u - theta * s
        elif neuron.reset == "subtract-before-leak":
            left = leaks * (u - theta * s)
        elif neuron.reset == "zero":
            left = leaks * u * (1 - s)
        else:
            left = leaks * u
        u = left + current
        if u.requires_grad:
            u.retain_grad()
        if recorded is None:
            fired = u > neuron.threshold if neuron.compare == ">" else u >= neuron.threshold
            return u, Spike.apply(u, fired.double(), slope(u.detach(), neuron, surrogate))
        return u, Spike.apply(u, *recorded)

    def gradient(self, unit, inputs, errors):
        """Derivative by the weights of `unit`, from its inputs and the errors of its potentials, (T, ...) each."""
        layer, shape = self.inputs[unit]
        weights = self.weights[unit].detach().clone().requires_grad_()
        sum((flat(current(layer, images(x, shape), weights, self.config)) * error).sum()
            for x, error in zip(inputs, errors)).backward()
        return weights.grad

    def run(self, samples, labels, *, learn=None, recorded=None, dropped=None):
        """Train on a batch: gradients of the sum of all losses are added to those of the weights.

        Parameters
        ----------
        samples : torch.Tensor
            Integers: frames (batch, size), or events (batch, T, size).
        labels : list of int
        learn : callable, optional
            Called after each interval, before the next.
        recorded : list, optional
            Per unit, spikes and derivatives (T, batch, neurons) to use instead of those of the own potentials.
        dropped : list, optional
            Per unit, which spikes do not leave it, bool (T, neurons) of a batch of one, or None.

        Returns
        -------
        potentials, spikes, errors : list of torch.Tensor
            Per unit, (T, batch, neurons); no errors (None) where no weights are below in the block.
        """
        config, k = self.config, self.config.time.interval
        samples = samples.double() / 2**config.input.fraction
        target = k * functional.one_hot(torch.tensor(labels), config.network.classes)
        zero = torch.zeros((), dtype=torch.float64)
        state = [(zero + self.tables(layer)[0].start, zero) for block in self.blocks for layer in block]
        history = [[] for _ in self.weights]
        for begin in range(0, config.time.steps, k):
            state = [(u.detach(), s.detach()) for u, s in state]  # no error crosses an interval border
            counts = {}
            for t in range(begin, begin + k):
                below = images(samples[:, t] if config.input.kind == "events" else samples, config.input.shape)
                unit = 0
                for block in self.blocks:
                    below = below.detach()  # nor a block border
                    for layer in block:
                        self.inputs[unit] = layer, shape_of(below)
                        arrives = current(layer, below, self.weights[unit], config)
                        given = None if recorded is None else [
                            images(values[t], shape_of(arrives)) for values in recorded[unit]]
                        state[unit] = u, s = self.neuron(layer, state[unit], arrives, given)
                        history[unit].append((u, s.detach()))
                        if layer:
                            below = s
                            if dropped is not None and dropped[unit] is not None:
                                below = s * images((~dropped[unit][t]).double().unsqueeze(0), shape_of(s))
                        else:
                            counts[unit] = counts.get(unit, 0) + flat(s)
                        unit += 1
            # Equation (3) without its factor, which belongs to the rate: the derivative by any spike is the difference.
            sum(0.5 * ((count - target) ** 2).sum() for count in counts.values()).backward()
            if learn:
                learn()
        return zip(*([torch.stack([flat(step) for step in values]) if values[0] is not None else None
                      for values in zip(*((u.detach(), s, u.grad) for u, s in steps))] for steps in history))


def integers(tensor, fraction):
    """A float tensor in units of ``2**-fraction``; the test of exactness is that nothing is lost."""
    scaled = tensor * 2.0**fraction
    assert bool((scaled == scaled.round()).all()), "the case is not exact: give it more fraction bits"
    return scaled.long().tolist()
