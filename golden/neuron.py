"""Neurons of any kind through the steps of an interval, on tensors: `golden.steps` says what one step does.

Tensors are of `integer`, the type that all of them, sums and products included, fit into.
"""

from functools import cache
from importlib import import_module

import torch

__all__ = ["codes", "error_steps", "fired", "integer", "potential_steps", "steps_of"]


def integer(config):
    """int32 where it holds everything that is computed of a neuron: a fraction of the time of int64."""
    return torch.int32 if config.neuron_width <= 32 else torch.int64


@cache
def _module(name):
    return import_module(name)


def steps_of(neuron):
    """The golden step of a neuron: the module that its numbers name."""
    return _module(neuron.golden)


def potential_steps(u, current, neuron, steps):
    """Potentials (or what else a neuron keeps) of consecutive steps.

    Parameters
    ----------
    u : torch.Tensor
        Before the first step, shape (..., neurons).
    current : torch.Tensor
        Input of each step, shape (steps, ..., neurons), or (1, ..., neurons) if it is the same in every step.
    neuron : NamedTuple
        Its numbers, such as `LifNumbers`.
    steps : int

    Returns
    -------
    torch.Tensor
        Shape (steps, ..., neurons).
    """
    step, current, history = steps_of(neuron).step, current.expand(steps, *current.shape[1:]), []
    for t in range(steps):
        u = step(u, current[t], neuron)
        history.append(u)
    return torch.stack(history)


def fired(u, neuron):
    """Spikes of any number of steps, from what `potential_steps` gives: bool."""
    return steps_of(neuron).fired(u, neuron)


def codes(u, neuron):
    """Surrogate codes of the same."""
    return steps_of(neuron).code(u, neuron)


def error_steps(delta, codes, fired, neuron):
    """Potential errors of the steps of one interval, backwards from zero.

    Parameters
    ----------
    delta : torch.Tensor
        Spike errors from above, shape (steps, ..., neurons) or (1, ..., neurons) if the same in every step.
    codes, fired : torch.Tensor
        Surrogate codes and spikes (bool) of the same steps, shape (steps, ..., neurons).
    neuron : NamedTuple

    Returns
    -------
    torch.Tensor
        Shape (steps, ..., neurons).
    """
    error, delta, history = steps_of(neuron).error, delta.expand(codes.shape), []
    later = torch.zeros_like(codes[0])
    for t in reversed(range(len(codes))):
        later = error(later, delta[t], codes[t], fired[t], neuron)
        history.append(later)
    return torch.stack(history[::-1])
