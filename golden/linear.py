"""Sums of a layer over its inputs, its outputs and its steps: exact, for dense layers, convolutions and pooling.

Inputs and neurons are flat, channel-last. A weight matrix has a row per input of a window, in the order (kernel row,
kernel column, channel), and a column per output channel; a dense layer is one window over everything.
"""

import torch

from .arithmetic import exact_matmul

__all__ = ["columns", "gradient", "input_sums", "output_sums"]


def columns(unit, inputs):
    """Inputs (..., n_in) of every window: shape (..., pixels, fan_in); channels stay apart where the unit pools."""
    if unit.kind == "dense":
        return inputs.unsqueeze(-2)
    padding, kernel, stride = unit.padding, unit.kernel, unit.stride
    frames = inputs.reshape(*inputs.shape[:-1], *unit.shape_in)
    # The last window may end beyond the border; what is padded there beyond need is not read.
    frames = torch.nn.functional.pad(frames, (0, 0, padding, padding, padding, padding))
    windows = frames.unfold(-3, kernel, stride).unfold(-3, kernel, stride)  # ..., y, x, channel, ky, kx
    windows = windows.movedim(-3, -1)
    return windows.reshape(*inputs.shape[:-1], unit.pixels, -1)


def _spread(unit, windows):
    """Sum of values of windows, (steps, pixels of output, ...), over all windows of an input: (steps, n_in)."""
    height, width, channels = unit.shape_in
    kernel, stride, padding, (rows, across, _) = unit.kernel, unit.stride, unit.padding, unit.shape_out
    windows = windows.reshape(-1, rows, across, kernel, kernel, channels)
    total = windows.new_zeros(len(windows), height + 2 * padding, width + 2 * padding, channels)
    for ky in range(kernel):
        for kx in range(kernel):
            total[:, ky:ky + rows * stride:stride, kx:kx + across * stride:stride] += windows[..., ky, kx, :]
    return total[:, padding:padding + height, padding:padding + width].reshape(len(total), -1)


def input_sums(unit, inputs, weights):
    """Sum over the inputs of every neuron, equation (1): int64 (..., n_out).

    Parameters
    ----------
    unit : Unit
    inputs : torch.Tensor
        Spikes or values, shape (..., n_in).
    weights : torch.Tensor
        int64, shape (fan_in, channels); not looked at where the unit pools.
    """
    if unit.pool:
        seen = columns(unit, inputs.to(torch.int32)).reshape(*inputs.shape[:-1], unit.pixels, unit.fan_in, -1)
        return (seen.sum(-2, dtype=torch.int64) * unit.pool_weight).flatten(-2)
    bound = unit.fan_in << (unit.weight_width - 1 + unit.input_bits)
    if unit.kind == "dense":
        return exact_matmul(inputs, weights, bound)
    return exact_matmul(columns(unit, inputs), weights, bound).flatten(-2)


def output_sums(unit, errors, weights):
    """Sum over the neurons that every input reaches, the sum of equation (4): int64 (steps, n_in).

    `errors` (steps, n_out), `weights` as for `input_sums`.
    """
    if unit.pool:
        own = (errors * unit.pool_weight).reshape(len(errors), unit.pixels, 1, -1)
        return _spread(unit, own.expand(-1, -1, unit.fan_in, -1))
    bound = unit.most_taps * unit.channels << (unit.weight_width + unit.error_width - 2)
    if unit.kind == "dense":
        return exact_matmul(errors, weights.T, bound)
    return _spread(unit, exact_matmul(errors.reshape(len(errors), unit.pixels, -1), weights.T, bound))


def gradient(unit, inputs, errors):
    """Sum over steps and windows of equation (7): int64 (fan_in, channels).

    `inputs` (steps, n_in) and `errors` (steps, n_out); the values of a static frame are one step, with the summed
    error.
    """
    seen = columns(unit, inputs).reshape(-1, unit.fan_in)
    return exact_matmul(seen.T, errors.reshape(-1, unit.channels), 1 << (unit.gradient_width - 1))
