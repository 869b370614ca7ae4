"""The golden model equals the one that was written from docs/arithmetic.md alone, and the comparison can fail."""

import json
import tomllib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.draw import draw, stimulus
from bench.independent import compare, kinds, plain
from spikeloom.gen import presets
from spikeloom.gen.generate import sidecar
from spikeloom.golden.config import parse
from spikeloom.rtl.core import Core
from strategies import BASE, configs, dropping, spatial_configs
from tests import independent
from tests.independent import Independent

NETWORKS = dropping(st.one_of(configs(), spatial_configs()))


@given(NETWORKS, st.integers(0, 99), st.booleans())
def test_networks(config, seed, short):
    assert compare(config, stimulus(config, seed, samples=2), document=plain(config, short=short)) is None


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_drawn(first):
    """All of the optimiser, events and random classifiers as well."""
    used = set()
    for seed in range(first, first + 20):
        config = draw(seed)
        used |= set(kinds(config))
        assert compare(config, stimulus(config, seed), document=plain(config, short=seed % 2 == 0)) is None, seed
    assert {"momentum", "batches", "dropout", "stochastic rounding", "random classifiers", "poolings", "events",
            "halvings of the rate"} <= used


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_presets_from_their_own_text(name):
    """Built from TOML as people write it, where defaults are left out."""
    config = presets.find(name)
    assert compare(config, stimulus(config, 1), document=tomllib.loads(presets.text(name))) is None


def test_from_the_sidecar():
    config = parse(BASE)
    contract = json.loads(json.dumps(sidecar(Core(config))))
    assert compare(config, stimulus(config, 1), document=contract["configuration"]) is None


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**63 - 1])
def test_any_seed_of_the_initial_weights(seed):
    """Seeds of one 32-bit word, and of two."""
    assert compare(parse({**BASE, "initial": {"seed": seed}}), []) is None


def _half_even(x, shift):
    return round(x / 2**shift)  # exact: the numbers are far below 2**53


@cache
def _leaps_of_15():
    found = list(range(65536))
    for _ in range(15):
        found = [(x >> 1) ^ (0xD008 if x & 1 else 0) for x in found]
    return found


class _LastOfEqual(Independent):
    def run(self, frames, labels, train):
        return [(len(own) - 1 - own[::-1].index(max(own)), own) for _, own in super().run(frames, labels, train)]


class _HalvesLate(Independent):
    def _halve(self, samples):
        self.since_decay -= 1
        super()._halve(samples)
        self.since_decay += 1


class _KeepsFired(Independent):
    """The error is carried through a reset to zero."""

    def _errors(self, neuron, delta, history):
        saved, neuron.reset = neuron.reset, "none"
        found = super()._errors(neuron, delta, history)
        neuron.reset = saved
        return found


class _StepsBeforeWords(Independent):
    """Draws what is dropped step by step, in each the words."""

    def _sent(self, unit, fired, train):
        if not (train and unit.dropout):
            return super()._sent(unit, fired, train)
        k, self.k, out, dropped = self.k, 1, [], []
        for step in fired:
            own, gone = super()._sent(unit, [step], train)
            out, dropped = out + own, dropped + gone
        self.k = k
        return out, dropped


#: One change each: a function of the module, or a model.
MUTANTS = {
    "halves downwards": ("nearest", lambda x, s: (x + (1 << s - 1) - 1) >> s if s > 0 else x << -s),
    "halves to even": ("nearest", lambda x, s: _half_even(x, s) if s > 0 else x << -s),
    "towards zero": ("floor_shift", lambda x, s: (abs(x) >> s) * (1 if x >= 0 else -1) if s >= 0 else x << -s),
    "symmetric saturation": ("saturate", lambda x, w: max(1 - (1 << w - 1), min((1 << w - 1) - 1, x))),
    "leaps of 15": ("leaps", _leaps_of_15),
    "another hash": ("hash32", lambda x: x * 0x9E3779B1 & 0xFFFFFFFF),
    "doubles of 20 bits": ("doubles", lambda seed, exact=independent.doubles: (x - x % 2**-20 for x in exact(seed))),
    "last of equal classes": ("Independent", _LastOfEqual),
    "halving late": ("Independent", _HalvesLate),
    "carried through a reset to zero": ("Independent", _KeepsFired),
    "dropout step by step": ("Independent", _StepsBeforeWords),
}

@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name, monkeypatch):
    """Each change shows in one of a few drawn configurations, and without it none does."""
    part, change = MUTANTS[name]
    independent.lane_states.cache_clear()
    for seed in range(60):
        config = draw(seed)
        batches = stimulus(config, seed)
        with monkeypatch.context() as patch:
            patch.setattr(independent, part, change)
            independent.lane_states.cache_clear()
            found = compare(config, batches, own=independent.Independent(plain(config)))
        independent.lane_states.cache_clear()
        if found:
            assert compare(config, batches) is None
            return
    raise AssertionError("nothing differs")
