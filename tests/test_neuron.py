"""Neuron steps of the golden model against the equations over the rationals, one neuron and one step at a time."""

import math
from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.golden.neuron import codes, error_steps, fired, potential_steps
from spikeloom.golden.steps.lif import decayed, leak
from strategies import configs


def factor(config):
    rule = config.neuron.leak
    return Fraction(rule.multiplier, 2**rule.shift) if rule.form == "multiply" else 1 - Fraction(1, 2**rule.shift)


def leaked(x, config):
    # `u - floor(u / 2**s)` rounds up what the multiplier rounds down.
    return (math.floor if config.neuron.leak.form == "multiply" else math.ceil)(x * factor(config))


def clamp(x, width):
    return max(-(2 ** (width - 1)), min(2 ** (width - 1) - 1, x))


def threshold(config):
    return Fraction(config.neuron.threshold) * 2**config.numbers.potential.fraction


def fires(u, config):
    return u > threshold(config) if config.neuron.compare == ">" else u >= threshold(config)


def next_potential(u, current, config):
    neuron = config.neuron
    theta = int(Fraction(neuron.reset_amount) * 2**config.numbers.potential.fraction) if fires(u, config) else 0
    if neuron.reset == "subtract":
        left = leaked(u, config) - theta
    elif neuron.reset == "subtract-before-leak":
        left = leaked(u - theta, config)
    elif neuron.reset == "zero":
        left = 0 if fires(u, config) else leaked(u, config)
    else:
        left = leaked(u, config)
    return clamp(left + current, config.numbers.potential.width)


def slope(u, config):
    """The surrogate's value at a potential, in real numbers."""
    distance = abs(u - threshold(config)) / 2**config.numbers.potential.fraction
    shape = config.surrogate
    if shape.shape == "rectangle":
        return Fraction(distance < Fraction(shape.width) / 2) / Fraction(shape.width)
    if shape.shape == "triangle":
        width, place = Fraction(shape.width), math.floor(distance / Fraction(shape.width) * shape.bins)
        return max(Fraction(0), 1 - Fraction(2 * place + 1, 2 * shape.bins)) / width
    place = math.floor(distance / Fraction(shape.bin))
    return Fraction(shape.values[place]) / Fraction(2) ** shape.shift if place < len(shape.values) else Fraction(0)


def potentials_of(config, count):
    width = config.numbers.potential.width
    return st.lists(st.integers(-(1 << width - 1), (1 << width - 1) - 1), min_size=count, max_size=count)


@given(configs(), st.data())
def test_potentials(config, data):
    steps, reach = config.time.interval, 1 << config.numbers.potential.width
    start = data.draw(potentials_of(config, 4))
    current = data.draw(st.lists(st.lists(st.integers(-reach, reach), min_size=4, max_size=4),
                                 min_size=steps, max_size=steps))
    expected, u = [], start
    for row in current:
        u = [next_potential(x, i, config) for x, i in zip(u, row)]
        expected.append(u)
    n = config.units[0].neuron
    history = potential_steps(torch.tensor(start), torch.tensor(current), n, steps)
    assert history.tolist() == expected
    assert fired(history, n).tolist() == [[fires(x, config) for x in row] for row in expected]


@given(configs(), st.data())
def test_surrogate(config, data):
    n = config.units[0].neuron
    u = data.draw(potentials_of(config, 30)) + [n.threshold + offset for offset in range(-3, 4)]
    made = codes(torch.tensor(u), n).tolist()
    assert [code / Fraction(2) ** n.gain_shift for code in made] == [slope(x, config) for x in u]


@given(configs(), st.data())
def test_errors(config, data):
    steps, width = config.time.interval, config.numbers.error.width
    rho = math.floor(Fraction(config.neuron.reset_amount) * 2**config.numbers.potential.fraction
                     * (factor(config) if config.neuron.reset == "subtract-before-leak" else 1))
    if config.neuron.reset == "subtract-before-leak" and config.neuron.leak.form == "shift":
        amount = int(config.neuron.reset_amount * 2**config.numbers.potential.fraction)
        rho = amount - amount // 2**config.neuron.leak.shift
    top = 1 << width - 1
    delta = data.draw(st.lists(st.integers(-top, top - 1), min_size=steps, max_size=steps))
    n = config.units[0].neuron
    codes = data.draw(st.lists(st.sampled_from([0, *n.codes]), min_size=steps, max_size=steps))
    fired = data.draw(st.lists(st.booleans(), min_size=steps, max_size=steps))
    expected, later = [0] * steps, 0
    for t in reversed(range(steps)):
        error = delta[t]
        if config.neuron.reset_error:
            error -= math.floor(Fraction(rho * later, 2**config.numbers.potential.fraction))
        carried = 0 if config.neuron.reset == "zero" and fired[t] else leaked(later, config)
        own = math.floor(codes[t] * error / Fraction(2) ** n.gain_shift)
        later = expected[t] = clamp(own + carried, width)
    made = error_steps(*(torch.tensor(values).unsqueeze(1) for values in (delta, codes, fired)), n)
    assert made.squeeze(1).tolist() == expected


@given(configs(), st.data())
def test_steps_of_a_batch_are_those_of_its_members(config, data):
    u = torch.tensor([data.draw(potentials_of(config, 3)) for _ in range(2)])
    current = torch.tensor([[data.draw(potentials_of(config, 3)) for _ in range(2)]])
    n, steps = config.units[0].neuron, config.time.interval
    whole = potential_steps(u, current, n, steps)
    # One current for all steps, and the same current given step by step.
    assert torch.equal(whole, potential_steps(u, current.expand(steps, -1, -1), n, steps))
    assert torch.equal(whole, torch.stack([potential_steps(u[i], current[:, i], n, steps) for i in range(2)], 1))


@given(configs(), st.data())
def test_nothing_grows_by_itself(config, data):
    n = config.units[0].neuron
    u = torch.tensor(data.draw(potentials_of(config, 20)))
    assert bool((leak(u, n.leak).abs() <= u.abs()).all())
    quiet = u[~fired(u, n)]
    assert torch.equal(decayed(quiet, n), leak(quiet, n.leak))  # no spike, no reset
