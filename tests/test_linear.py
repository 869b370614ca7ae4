"""Sums over inputs, outputs and steps against PyTorch's own layers in float64, and their derivatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.golden.linear import bias_sums, columns, gradient, input_sums, output_sums
from strategies import small, spatial_units


def channel_first(unit, values, shape):
    """Flat values, channel-last, as PyTorch wants images."""
    return values.reshape(-1, *shape).permute(0, 3, 1, 2)


def flat(images):
    return images.permute(0, 2, 3, 1).reshape(len(images), -1)


def forward(unit, inputs, weights):
    """The layer by PyTorch: float64 (steps, n_out), in units of the last weight bit."""
    bias = 0
    if unit.weights.bias:
        weights, bias = weights[:-1], weights[-1].repeat(unit.pixels) * 2**unit.input.fraction
    return weighted(unit, inputs, weights) + bias


def weighted(unit, inputs, weights):
    """The same without its bias."""
    if unit.window.kind == "dense":
        return inputs @ weights
    images = channel_first(unit, inputs, unit.shape_in)
    if unit.window.pools:
        sums = torch.nn.functional.avg_pool2d(images, unit.window.kernel, unit.window.stride, divisor_override=1)
        return flat(sums * unit.pool_weight)
    size = unit.window.kernel
    kernel = weights.reshape(size, size, unit.shape_in[2], unit.channels).permute(3, 2, 0, 1).contiguous()
    return flat(torch.nn.functional.conv2d(images, kernel, stride=unit.window.stride, padding=unit.window.padding))


def integers(source, shape, low, high):
    return torch.randint(low, high + 1, shape, generator=source)


def drawn_values(unit, steps, seed):
    """Inputs, weights and errors, each over the whole of its range, and its ends."""
    source = torch.Generator().manual_seed(seed)
    weight, error = 1 << unit.weights.width - 1, 1 << unit.rule.error_width - 1
    inputs = integers(source, (steps, unit.n_in), 0, (1 << max(1, unit.input.bits)) - 1)
    weights = integers(source, (0 if unit.window.pools else unit.fan_in, unit.channels), -weight, weight - 1)
    errors = integers(source, (steps, unit.n_out), -error, error - 1)
    if seed % 3 == 0:  # the largest sums that there are
        inputs[:], weights[:], errors[:] = inputs.max(), -weight, -error
    return inputs, weights, errors


def check(unit, steps, seed):
    inputs, weights, errors = drawn_values(unit, steps, seed)
    x, w = (values.double().requires_grad_() for values in (inputs, weights))
    sums = forward(unit, x, w)
    biases = bias_sums(unit, weights) if unit.weights.bias else 0
    assert (input_sums(unit, inputs, weights) + biases).tolist() == sums.tolist()
    # The derivative of the sum of errors times outputs, by every input and every weight.
    (sums * errors).sum().backward()
    assert output_sums(unit, errors, weights).tolist() == x.grad.tolist()
    if not unit.window.pools:
        assert gradient(unit, inputs, errors).tolist() == w.grad.tolist()
    assert x.grad.abs().max() <= 1 << unit.dot_width - 1
    assert sums.abs().max() <= 1 << unit.sum_width - 1


@settings(max_examples=150)
@given(spatial_units(), st.integers(1, 4), st.integers(0, 99))
def test_equal_to_layers_of_pytorch(drawn, steps, seed):
    check(drawn[1], steps, seed)


@pytest.mark.parametrize("seed", [1, 3])
def test_sums_beyond_single_precision(seed):
    config = small(
        input={"shape": [5, 5, 2], "bits": 16, "fraction": 0}, network={"block_length": 2},
        time={"steps": 8, "interval": 8}, numbers={"weight": {"width": 22, "fraction": 12},
                                                   "error": {"width": 22, "fraction": 12}},
        layers=[{"kind": "conv", "channels": 4, "kernel": 3, "lanes": 2}, {"kind": "avg_pool", "size": 2, "stride": 1},
                {"kind": "conv", "channels": 3, "kernel": 2, "lanes": 2}, {"neurons": 5, "lanes": 5}])
    for unit in config.units:
        check(unit, 8, seed)


@given(spatial_units(), st.integers(0, 99))
def test_dimensions_before_the_inputs_are_a_batch(drawn, seed):
    _, unit = drawn
    inputs, weights, _ = drawn_values(unit, 6, seed)
    sums = input_sums(unit, inputs, weights)
    assert torch.equal(input_sums(unit, inputs.reshape(2, 3, -1), weights), sums.reshape(2, 3, -1))
    assert torch.equal(input_sums(unit, inputs[0], weights), sums[0])
    assert sums.dtype == torch.int64


@given(spatial_units(kinds=("conv", "dense")), st.integers(0, 99))
def test_columns_are_the_rows_of_the_weights(drawn, seed):
    """Each window is a row of inputs in the order of the weights' rows, padded with zeros."""
    _, unit = drawn
    inputs, weights, _ = drawn_values(unit, 2, seed)
    windows = columns(unit, inputs)
    rows = unit.fan_in - unit.weights.bias
    assert windows.shape == (2, unit.pixels, rows)
    assert torch.equal((windows @ weights[:rows]).flatten(-2), input_sums(unit, inputs, weights))


def test_by_hand():
    """Two pixels of two channels, kernel 2 with padding 1: the second output of three sees both."""
    unit = small(input={"shape": [1, 2, 2]}, layers=[
        {"kind": "conv", "channels": 1, "kernel": 2, "padding": 1, "lanes": 1}]).units[0]
    assert unit.shape_out == (2, 3, 1)
    weights = torch.tensor([[1], [10], [2], [20], [3], [30], [4], [40]])  # rows: (kernel row, kernel column, channel)
    inputs = torch.tensor([[1, 2, 3, 4]])
    # In the upper outputs the inputs are under the lower taps, in the lower outputs under the upper ones.
    assert input_sums(unit, inputs, weights).tolist() == [[
        4 + 80, 3 + 60 + 12 + 160, 9 + 120,
        2 + 40, 1 + 20 + 6 + 80, 3 + 40]]
    errors = torch.tensor([[1, 0, 0, 0, 100, 0]])
    assert output_sums(unit, errors, weights).tolist() == [[4 + 100, 40 + 1000, 200, 2000]]
    assert gradient(unit, inputs, errors).flatten().tolist() == [100, 200, 300, 400, 0, 0, 1, 2]


@pytest.mark.parametrize("size, fraction, weight", [(2, 6, 16), (3, 6, 7), (3, 3, 1), (4, 7, 8), (5, 8, 10)])
def test_average(size, fraction, weight):
    # 2**fraction / size**2 to the nearest.
    unit = small(
        input={"shape": [size, size, 2]}, numbers={"weight": {"width": 10, "fraction": fraction}},
        layers=[{"kind": "avg_pool", "size": size}, {"neurons": 2, "lanes": 1}]).units[0]
    assert unit.pool_weight == weight == round(2**fraction / size**2)
    inputs = torch.arange(2 * size**2).unsqueeze(0) % 7
    sums = [weight * int(inputs[0, channel::2].sum()) for channel in range(2)]
    assert input_sums(unit, inputs, None).tolist() == [sums]
    assert output_sums(unit, torch.tensor([[3, -5]]), None).tolist() == [[3 * weight, -5 * weight] * size**2]
