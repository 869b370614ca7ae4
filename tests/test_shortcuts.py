"""What makes the golden model fast leaves no trace: 32-bit neurons, training without traces."""

import random
from unittest import mock

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.draw import draw
from spikeloom.golden import arithmetic, linear, neuron
from spikeloom.golden.checkpoint import state_arrays
from spikeloom.golden.config import ConfigError
from spikeloom.golden.model import Golden, initial_state
from strategies import configs, frames, small, spatial_configs


def extreme(config, seed):
    """A start from the largest weights of either sign, so that sums, potentials and errors reach their ends."""
    source, state = torch.Generator().manual_seed(seed), initial_state(config)
    top = 1 << config.numbers.weight.width - 1
    return state.replace(weight=[
        torch.where(torch.rand(w.shape, generator=source) < 0.7, top - 1, -top) for w in state["weight"]])


def same(a, b):
    assert {name: value.tolist() for name, value in state_arrays(a.state).items()} == \
        {name: value.tolist() for name, value in state_arrays(b.state).items()}


@given(st.one_of(configs(), spatial_configs()), st.integers(0, 99), st.booleans())
def test_the_width_of_neurons(config, seed, ends):
    state = extreme(config, seed) if ends else initial_state(config)
    narrow, wide = Golden(config, state), Golden(config, state)
    narrow._integer, wide._integer = neuron.integer(config), torch.int64
    assert narrow._integer == torch.int32
    for place, frame in enumerate(frames(config, 3, seed)):
        label = place % config.network.classes
        ours, theirs = (model.run(frame, label, train=True) for model in (narrow, wide))
        for a, b in zip(ours.units, theirs.units):
            assert a.potentials.tolist() == b.potentials.tolist()
            assert (a.errors is None) == (b.errors is None)
            assert a.errors is None or a.errors.tolist() == b.errors.tolist()
            assert a.potentials.dtype == a.codes.dtype == torch.int64
    same(narrow, wide)


def wide(seed):
    """A drawn configuration whose neurons come close to the 32 bits of an integer; None if luck fails."""
    source, config = random.Random(seed), draw(seed)
    table = {"shape": "table", "bin": 2.0**source.randint(-3, 6), "shift": source.randint(-8, 6),
             "values": [source.choice([255, 1, 7]) for _ in range(source.randint(1, 6))]}
    for _ in range(20):
        weight, potential, error = source.randint(4, 16), source.randint(8, 30), source.randint(8, 28)
        try:
            found = config.replace(
                numbers={"weight": {"width": weight, "fraction": source.randint(1, weight - 1)},
                         "potential": {"width": potential, "fraction": source.randint(3, min(24, potential - 1))},
                         "error": {"width": error, "fraction": source.randint(0, 6)}},
                surrogate=source.choice([config.surrogate.model_dump(), table]))
        except ConfigError:
            continue
        if 26 <= found.neuron_width <= 32:
            return found
    return None


@settings(max_examples=50)
@given(st.integers(0, 100_000))
def test_integers_and_products_at_their_limits(seed):
    """Neurons of 26 to 32 bits, full weights and full frames, against 64 bits of either kind."""
    config = wide(seed)
    assume(config is not None)
    source, state = torch.Generator().manual_seed(seed), extreme(config, seed)
    samples, events = config.update.batch, config.input.kind == "events"
    shape = (samples, config.time.steps, config.input.size) if events else (samples, config.input.size)
    batch = torch.where(torch.rand(shape, generator=source) < 0.8, (1 << config.input.bits) - 1, 0)
    labels = [place % config.network.classes for place in range(samples)]
    narrow, wider = Golden(config, state), Golden(config, state)
    wider._integer = torch.int64
    for train in (True, True, False):
        ours = narrow.run_batch(batch, labels, train=train)
        with mock.patch.object(linear, "float_type", lambda bound: torch.float64), \
                mock.patch.object(arithmetic, "float_type", lambda bound: torch.float64):
            theirs = wider.run_batch(batch, labels, train=train)
        for a, b in zip([unit for trace in ours for unit in trace.units],
                        [unit for trace in theirs for unit in trace.units]):
            assert torch.equal(a.potentials, b.potentials)
            assert a.errors is None or torch.equal(a.errors, b.errors)
    same(narrow, wider)


@pytest.mark.parametrize("surrogate", [{"shape": "rectangle", "width": 4096.0},
                                       {"shape": "table", "bin": 4096.0, "values": [1]}])
def test_a_window_beyond_the_integers(surrogate):
    config = small(surrogate=surrogate, numbers={"potential": {"width": 26, "fraction": 20}})
    assert config.units[0].neuron.bin_shift >= 31
    golden = Golden(config)
    trace = golden.run(frames(config, 1)[0], 0, train=True)
    assert all(bool((unit.codes == 1).all()) for unit in trace.units)


@pytest.mark.parametrize("changes, bits", [
    # potential, a bit for the subtracted amount, the multiplier of the leak: 12 + 1 + 8
    ({}, 21),
    ({"numbers": {"error": {"width": 24, "fraction": 4}}}, 32),  # the error times the leak's 230
    ({"numbers": {"error": {"width": 25, "fraction": 4}}}, 33),
    ({"numbers": {"weight": {"width": 29, "fraction": 6}}}, 36),  # the sum of six inputs of three bits, and a potential
])
def test_the_width_is_that_of_the_largest_value(changes, bits):
    config = small(**changes)
    assert config.neuron_width == bits
    assert neuron.integer(config) == (torch.int32 if bits <= 32 else torch.int64)


@given(st.one_of(configs(), spatial_configs()), st.integers(0, 99))
def test_training_without_traces(config, seed):
    traced, bare = Golden(config), Golden(config)
    for place, frame in enumerate(frames(config, 2, seed)):
        label = place % config.network.classes
        trace = traced.run(frame, label, train=True)
        assert bare.train_batch(frame.unsqueeze(0), [label]).tolist() == [trace.counts.tolist()]
    same(traced, bare)


def test_a_batch_without_traces():
    config = small(update={"batch": 3, "shift": 2}, hardware={"sample_slots": 3},
                   time={"steps": 8, "interval": 2, "update_period": 2})
    traced, bare, batch = Golden(config), Golden(config), frames(config, 3)
    traces = traced.run_batch(batch, [0, 1, 2], train=True)
    assert bare.train_batch(batch, [0, 1, 2]).tolist() == [trace.counts.tolist() for trace in traces]
    same(traced, bare)
    assert not torch.equal(traced.state["weight"][0], initial_state(config)["weight"][0])
