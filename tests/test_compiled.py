"""The compiled golden model gives the bits of the PyTorch form: scalars, whole networks, several kinds at once."""

import re
import subprocess
import sys

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import NumbaError
from test_shortcuts import extreme, same

from bench.draw import draw
from spikeloom.gen import presets
from spikeloom.golden import arithmetic, compiled, kernel
from spikeloom.golden.compiled import cache_folder
from spikeloom.golden.errors import InputError
from spikeloom.golden.model import FEW, Golden, initial_state
from strategies import LEAKS, SURROGATES, frames, small

STEPS = "spikeloom.golden.steps.lif"
INTEGERS = st.integers(-(1 << 40), (1 << 40) - 1)


def stimulus(config, batches, seed, full=False):
    """Batches with frames or events, and labels of which some are None."""
    source, samples = torch.Generator().manual_seed(seed), config.update.batch
    events = config.input.kind == "events"
    shape = (samples, config.time.steps, config.input.size) if events else (samples, config.input.size)
    for number in range(batches):
        values = torch.full(shape, (1 << config.input.bits) - 1) if full else torch.randint(
            0, 1 << config.input.bits, shape, generator=source)
        values *= torch.rand(shape, generator=source) < (0.9 if full else 0.4)
        yield values, [None if (number + place) % 5 == 4 else (seed + number + place) % config.network.classes
                       for place in range(samples)]


def compare(config, state, seed, *, full=False, batches=2):
    plain, fast = Golden(config, state, compiled=False), Golden(config, state)
    for values, labels in stimulus(config, batches, seed, full):
        assert torch.equal(plain.train_batch(values, labels), fast.train_batch(values, labels))
        assert torch.equal(plain.infer(values), fast.infer(values))
    same(plain, fast)


@settings(max_examples=60)
@given(st.integers(0, 1_000_000))
def test_drawn_networks(seed):
    """Frames, events, convolutions, poolings, dropout, momentum, batches, periods, random classifiers, ..."""
    config = draw(seed)
    compare(config, initial_state(config), seed)


@settings(max_examples=20)
@given(st.integers(0, 1_000_000))
def test_at_the_ends_of_what_is_stored(seed):
    config = draw(seed)
    compare(config, extreme(config, seed), seed, full=True)


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("reset", ["subtract", "subtract-before-leak", "zero", "none"])
def test_every_neuron(reset, leak, surrogate):
    config = small(surrogate=SURROGATES[surrogate], initial={"gain": 4.0}, neuron={
        "leak": LEAKS[leak], "reset": reset, "reset_error": reset.startswith("subtract"),
        "compare": ">" if leak == "0.9" else ">="})
    compare(config, initial_state(config), 1)


def test_training_with_and_without_traces_in_turn():
    config = small(update={"batch": 2, "momentum": {"multiplier": 3, "shift": 2, "width": 20}},
                   hardware={"sample_slots": 2})
    plain, mixed = Golden(config, compiled=False), Golden(config)
    for number, (values, labels) in enumerate(stimulus(config, 6, 3)):
        plain.train_batch(values, labels)
        if number % 2:
            mixed.train_batch(values, labels)
        else:
            mixed.run_batch(values, labels, train=True)
    same(plain, mixed)


def test_a_state_that_is_put_in_place_of_another():
    config = small()
    golden, (values, labels) = Golden(config), next(stimulus(config, 1, 0))
    golden.train_batch(values, labels)
    golden.state = initial_state(config).copy()
    golden.train_batch(values, labels)
    other = Golden(config, compiled=False)
    other.train_batch(values, labels)
    same(golden, other)


def test_two_models_do_not_share_anything():
    config = small()
    first, second = Golden(config), Golden(config)
    values, labels = next(stimulus(config, 1, 0))
    first.train_batch(values, labels)
    kept = first.state.copy()
    second.train_batch(values, labels)
    second.train_batch(values, labels)
    assert all(torch.equal(a, b) for a, b in zip(kept["weight"], first.state["weight"]))
    copied = Golden(config, first.state)
    copied.train_batch(values, labels)
    assert all(torch.equal(a, b) for a, b in zip(kept["weight"], first.state["weight"]))


@pytest.mark.parametrize("samples", [0, 1, FEW - 1, FEW, FEW + 1])
def test_few_and_many_samples(samples):
    config = presets.find("tiny")
    values = torch.randint(0, 1 << config.input.bits, (samples, config.input.size),
                           generator=torch.Generator().manual_seed(0))
    golden = Golden(config)
    assert torch.equal(golden.infer(values), Golden(config, compiled=False).infer(values))
    assert ("_engine" in vars(golden)) == (samples < FEW)


def test_a_step_that_cannot_be_compiled(monkeypatch):
    def run(*_):
        raise NumbaError("no such function\nin line 3")

    monkeypatch.setattr(compiled, "_kernel", lambda modules: run)
    message = f"golden steps {STEPS}: cannot be compiled; Golden(compiled=False) does without: no such"
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        Golden(small()).train_batch(frames(small(), 1), [1])


def test_the_kernel_is_python_too():
    """What is compiled can be read and run as it stands."""
    unit = np.zeros(1, kernel.UNIT).view(np.recarray)[0]
    unit.n_in, unit.n_out, unit.channels_in, unit.channels = 2, 3, 1, 3
    sums = np.ones(3, np.int64)
    kernel.gather(unit, np.array([2, 0]), np.arange(6), (np.arange(3), np.zeros(2, np.int64), np.arange(2)), sums)
    assert sums.tolist() == [0, 2, 4]


def every_rule(x, width, shift, random, dropout, whole):
    return (arithmetic.saturate(x, width), arithmetic.shift_floor(x, shift), arithmetic.shift_nearest(x, shift),
            arithmetic.shift_kept(x, shift, dropout, whole), arithmetic.shift_stochastic(x, max(shift, 0), random),
            arithmetic.less(x, x > 0, width), arithmetic.where(x > 0, x, -x))


compiled_rules = numba.njit(every_rule)


@given(INTEGERS, st.integers(2, 48), st.integers(-8, 30), st.integers(0, 65535), st.integers(0, 15), INTEGERS)
def test_scalars(x, width, shift, random, dropout, whole):
    expected = every_rule(torch.tensor(x), width, shift, random, dropout, whole)
    assert compiled_rules(x, width, shift, random, dropout, whole) == tuple(map(int, expected))


def test_machine_code_is_kept(tmp_path):
    code = ("from spikeloom.gen import presets\nfrom spikeloom.golden.model import Golden\nimport torch\n"
            "config = presets.find('tiny')\nmodel = Golden(config)\n"
            "model.train_batch(torch.zeros(1, config.input.size, dtype=torch.int64), [0])\n"
            "print(sum(model._engine._run.stats.cache_hits.values()))")
    found = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300,
                            env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path)}).stdout for _ in range(2)]
    assert found == ["0\n", "1\n"]
    assert [path.name for path in (tmp_path / "spikeloom").iterdir()] == [cache_folder((STEPS,)).name]


def test_without_a_place_for_machine_code():
    code = ("from spikeloom.gen import presets\nfrom spikeloom.golden.model import Golden\nimport torch\n"
            "config = presets.find('tiny')\n"
            "print(Golden(config).infer(torch.zeros(1, config.input.size, dtype=torch.int64)).tolist())")
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300,
                           env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": "/dev/null/nowhere"})
    assert found.stdout == f"{[[0] * presets.find('tiny').network.classes]}\n"
