"""Sums of a layer over its inputs, its outputs and its steps: exact, for dense layers, convolutions and pooling.

Inputs and neurons are flat, channel-last. A weight matrix has a row per input of a window, in the order (kernel row,
kernel column, channel), with a bias one more for an input that is always 1.0, and a column per output channel; a dense
layer is one window over everything. Sums run in floating point, of a type that is proven, from the formats or from the
values at hand, to hold every partial sum in any order.
"""

from itertools import product

import torch
from torch.nn import functional

from .arithmetic import constant, exact_matmul, float_type

__all__ = ["bias_sums", "columns", "gradient", "input_sums", "output_sums", "weighted_rows", "written_words"]

#: Sums of magnitudes up to here are exact in single precision.
SINGLE = 1 << 24
#: NNPACK, which PyTorch may take where oneDNN is missing, transforms convolutions: its partial results are no integers.
exactly = torch.backends.nnpack.flags(enabled=False)


def columns(unit, inputs):
    """Inputs (..., n_in) of every window: shape (..., pixels, fan_in), without that of a bias.

    Channels stay apart where the unit pools.
    """
    if unit.window.kind == "dense":
        return inputs.unsqueeze(-2)
    padding, kernel, stride = unit.window.padding, unit.window.kernel, unit.window.stride
    frames = inputs.reshape(*inputs.shape[:-1], *unit.shape_in)
    # The last window may end beyond the border; what is padded there beyond need is not read.
    frames = functional.pad(frames, (0, 0, padding, padding, padding, padding))
    windows = frames.unfold(-3, kernel, stride).unfold(-3, kernel, stride)  # ..., y, x, channel, ky, kx
    windows = windows.movedim(-3, -1)
    return windows.reshape(*inputs.shape[:-1], unit.pixels, -1)


def weighted_rows(unit, active):
    """Rows of the weight matrix that an active input meets, bool (fan_in,); `active` (..., n_in)."""
    rows = columns(unit, active).flatten(0, -2).any(0)
    return functional.pad(rows, (0, 1), value=True) if unit.weights.bias else rows


def _inputs_alone(unit, weights):
    """A weight matrix without the row of a bias."""
    return weights[:-1] if unit.weights.bias else weights


def bias_sums(unit, weights, dtype=torch.int64):
    """What a bias adds to the sum of every neuron: (n_out,)."""
    return (weights[-1] << unit.input.fraction).to(dtype).repeat(unit.pixels)


def _images(values, shape, dtype):
    """Flat values as PyTorch wants images, (samples, channels, height, width); in memory channels stay last."""
    return values.reshape(-1, *shape).to(dtype).permute(0, 3, 1, 2)


def _flat(images, lead):
    """The reverse, with dimensions `lead` before the neurons."""
    return images.permute(0, 2, 3, 1).reshape(*lead, -1)


def _filters(unit, weights, dtype):
    """A weight matrix as PyTorch wants filters: (channels, channels of the input, kernel, kernel)."""
    return weights.to(dtype).reshape(unit.window.kernel, unit.window.kernel, -1, unit.channels).permute(3, 2, 0, 1)


def _magnitude(values):
    """The largest magnitude, as a Python integer."""
    low, high = values.aminmax()
    return max(-int(low), int(high))


@exactly
def input_sums(unit, inputs, weights, dtype=torch.int64):
    """Sum over the inputs of every neuron, equation (1), without its bias: (..., n_out).

    Parameters
    ----------
    unit : Unit
    inputs : torch.Tensor
        Spikes or values, shape (..., n_in).
    weights : torch.Tensor
        int64, shape (fan_in, channels); not looked at where the unit pools.
    dtype : torch.dtype
        Of the result; it has to hold `unit.sum_width` bits.
    """
    lead = inputs.shape[:-1]
    if unit.window.pools:
        images = _images(inputs, unit.shape_in, float_type(unit.fan_in << unit.input.bits))
        sums = functional.avg_pool2d(images, unit.window.kernel, unit.window.stride, divisor_override=1)
        return _flat(sums, lead).to(dtype) * constant(unit.pool_weight, dtype)
    weights = _inputs_alone(unit, weights)
    bound = unit.fan_in << (unit.weights.width - 1 + unit.input.bits)
    if bound > SINGLE:  # for any weights; these ones are smaller
        bound = int(weights.abs().sum(0).max()) << unit.input.bits
    if unit.window.kind == "dense":
        return exact_matmul(inputs, weights, bound, dtype)
    number = float_type(bound)
    sums = functional.conv2d(_images(inputs, unit.shape_in, number), _filters(unit, weights, number),
                             stride=unit.window.stride, padding=unit.window.padding)
    return _flat(sums, lead).to(dtype)


@exactly
def output_sums(unit, errors, weights):
    """Sum over the neurons that every input reaches, the sum of equation (4): (..., n_in).

    `errors` (..., n_out), `weights` as for `input_sums`. The result is int32 where no sum exceeds ``2**30``, so that
    a rounding constant can be added, and int64 elsewhere.
    """
    lead = errors.shape[:-1]
    if unit.window.pools:
        wide = unit.most_taps * unit.pool_weight << (unit.rule.error_width - 1) > 1 << 30
        dtype = torch.int64 if wide else torch.int32
        own = errors.to(dtype) * constant(unit.pool_weight, dtype)
        return _spread(unit, own).reshape(*lead, -1)
    weights = _inputs_alone(unit, weights)
    reached = weights.abs().reshape(-1, unit.n_in if unit.window.kind == "dense" else unit.shape_in[2], unit.channels)
    bound = int(reached.sum((0, 2)).max()) * _magnitude(errors)
    dtype = torch.int64 if bound > 1 << 30 else torch.int32
    if unit.window.kind == "dense":
        return exact_matmul(errors, weights.T, bound, dtype)
    number = float_type(bound)
    # Inputs that no full stride reaches have to be asked for.
    rest = [length + 2 * unit.window.padding - unit.window.kernel - (windows - 1) * unit.window.stride
            for length, windows in zip(unit.shape_in[:2], unit.shape_out)]
    sums = functional.conv_transpose2d(
        _images(errors, unit.shape_out, number), _filters(unit, weights, number), stride=unit.window.stride,
        padding=unit.window.padding, output_padding=rest)
    return _flat(sums, lead).to(dtype)


def _spread(unit, values):
    """Every input of a pooling gets the sum of the values (..., n_out) of all windows that it lies in."""
    height, width, channels = unit.shape_in
    rows, across, _ = unit.shape_out
    values = values.reshape(-1, rows, across, channels)
    total = values.new_zeros(len(values), height, width, channels)
    stride = unit.window.stride
    for y, x in product(range(unit.window.kernel), repeat=2):
        total[:, y:y + rows * stride:stride, x:x + across * stride:stride] += values
    return total


@exactly
def gradient(unit, inputs, errors):
    """Sum over steps and windows of equation (7): int64 (fan_in, channels).

    `inputs` (..., n_in), `errors` (..., n_out) of steps and samples; for static frames, their values and the errors
    summed over the steps.
    """
    own = errors.reshape(-1, unit.channels)
    if unit.weights.bias:
        biases = own.sum(0, dtype=torch.int64) << unit.input.fraction
        return torch.cat((_gradient(unit, inputs, errors, own), biases.unsqueeze(0)))
    return _gradient(unit, inputs, errors, own)


def _gradient(unit, inputs, errors, own):
    """The same without the bias; `own` are the errors of each channel."""
    bound = (len(own) * _magnitude(own)) << unit.input.bits
    if bound > SINGLE:  # were all of them that large; the sum of each channel is smaller
        bound = int(own.abs().sum(0).max()) << unit.input.bits
    if unit.pixels == 1:
        return exact_matmul(columns(unit, inputs).flatten(0, -2).T, own, bound)
    number = float_type(bound)
    images, errors = _images(inputs, unit.shape_in, number), _images(errors, unit.shape_out, number)
    shape = unit.channels, unit.shape_in[2], unit.window.kernel, unit.window.kernel
    sums = torch.nn.grad.conv2d_weight(images, shape, errors, stride=unit.window.stride, padding=unit.window.padding)
    return sums.permute(2, 3, 1, 0).reshape(-1, unit.channels).to(torch.int64)


def written_words(unit, moved):
    """Which words of weights hold one that moves: (fan_in, channel words) from (fan_in, channels), bool."""
    moved = functional.pad(moved, (0, unit.channel_words * unit.lanes - unit.channels))
    return moved.reshape(len(moved), unit.channel_words, unit.lanes).any(2)
