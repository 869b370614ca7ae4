"""Samples and states at the limits of what numbers can hold, for co-simulation and for mutation tests.

What random training never reaches: weights, velocities and with them potentials and errors at both ends of their
ranges, frames without any input and with all of them, learning rates at their last halving.
"""

from typing import NamedTuple

import numpy as np
import torch

from spikeloom.golden.model import State, initial_state
from spikeloom.sim.cosim import Batch

__all__ = ["Run", "limit_runs"]


class Run(NamedTuple):
    """A state to begin with, and the batches that follow."""

    name: str
    state: State
    batches: list


def _extreme(random, shape, width, style):
    """Integers of `width` bits: all at one end, ends by turns, any, or ends and what lies around zero at random."""
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    if style == "top":
        return np.full(shape, high)
    if style == "bottom":
        return np.full(shape, low)
    if style == "turns":  # neighbours differ, and so do the inputs of a neuron
        return np.where(np.indices(shape).sum(axis=0) % 2 if np.prod(shape) else np.zeros(shape), high, low)
    if style == "channels":  # neighbouring neurons are driven to opposite ends
        return np.broadcast_to(np.where(np.arange(shape[1]) % 2, high, low), shape).copy()
    if style == "aligned":  # the errors of a sample of class 0 add up, upwards and downwards by turns
        rows, columns = np.indices(shape)
        return np.where((rows % 2 == 1) ^ (columns == 0), low, high)
    if style == "random":
        return random.integers(low, high + 1, shape)
    return random.choice([low, low + 1, -1, 0, 1, high - 1, high], shape)


def _near(config, random, shape, width):
    """Weights of which a few reach the threshold, so that potentials come and go around it."""
    threshold = max(2, round(config.neuron.threshold * 2 ** config.numbers.weight.fraction))
    return random.integers(-threshold // 2, threshold, shape).clip(-(1 << width - 1), (1 << width - 1) - 1)


def _state(config, random, style, where="all", last=False):
    """A state of extreme weights and velocities; `last` with the learning rate as low as it gets.

    Only those `above` the first layer of each block may be extreme: then potentials stay near the threshold, where the
    surrogate lets through the errors that such weights make large. Or only the `velocities`, which errors drive on.
    With the style ``near``, no weight is extreme.
    """
    state = initial_state(config)

    def extreme(matrix, width):
        shape = tuple(matrix.shape)
        found = _near(config, random, shape, width) if style == "near" else _extreme(random, shape, width, style)
        return torch.from_numpy(found.astype(np.int64))

    chosen = [where == "all" or (where == "above" and unit.index > 0) for unit in config.units]
    weights = [extreme(matrix, unit.weights.width) if own else matrix
               for own, unit, matrix in zip(chosen, config.units, state["weight"])]
    velocities = [extreme(matrix, max(1, unit.optimiser.velocity_width))
                  for unit, matrix in zip(config.units, state["velocity"])]
    lfsr = [[0xFFFF if (place + lane) % 2 else 1 for lane in range(len(own))]
            for place, own in enumerate(state["lfsr"])]
    update = config.update
    return state.replace(
        weight=weights, velocity=velocities, lfsr=lfsr, shift=update.shift + (update.decay_limit if last else 0),
        since_decay=max(0, update.decay_samples - update.batch) if update.decay_samples else 0)


def _frames(config, random, samples):
    """All inputs, none, one at either end, each second, all but few; then at random, sparse to dense."""
    size, top = config.input.size, (1 << config.input.bits) - 1
    shape = (samples, size) if config.input.kind == "frame" else (samples, config.time.steps, size)
    frames = np.zeros(shape, dtype=np.int64)
    for place in range(samples):
        own = frames[place]
        match place % 8:
            case 0:
                own[...] = top
            case 1:
                own[...] = 0
            case 2:
                own[..., 0] = 1
            case 3:
                own[..., -1] = top
            case 4:
                own[..., ::2] = top
            case 5:
                own[...] = random.integers(0, top + 1, own.shape)
            case _:
                own[...] = random.integers(0, top + 1, own.shape) * (random.random(own.shape) < random.random())
    return frames


def limit_runs(config, seed=0, samples=16):
    """Runs from states at the limits of `config`; each trains `samples` samples and classifies half of them again.

    Labels are those that the core takes, of no class too. Samples are rounded up to whole batches.
    """
    random, batch, runs = np.random.default_rng(seed), config.update.batch, []
    count = -(-samples // batch) * batch
    labels = 1 << max(1, (config.network.classes - 1).bit_length())
    styles = [(style, "all") for style in ("top", "bottom", "turns", "channels", "mixed", "mixed")]
    styles += [(style, "above") for style in ("top", "bottom", "aligned", "mixed")]
    styles += [("near", "all"), ("near", "all"), ("near", "above"), ("random", "all"), ("random", "above")]
    if config.update.momentum:
        styles += [(style, "velocities") for style in ("top", "bottom", "turns")]
    for style, where in styles:
        state = _state(config, random, style, where, last=len(runs) % 2 == 1)
        frames = _frames(config, random, count)
        again = -(-count // 2 // batch) * batch
        runs.append(Run(f"{style}_{where}", state, [
            Batch(frames, (np.arange(count) + len(runs)) % labels, True),
            Batch(frames[:again], np.arange(again) % config.network.classes, False)]))
    return runs
