"""Configurations at the limits of what is valid: all of them are drawn, and both models and the core agree."""

from collections import Counter

import pytest

from bench.draw import stimulus
from bench.extreme import EXTREMES, draw_extreme
from bench.independent import compare, plain
from bench.sweep import check, check_text
from spikeloom.sim.cosim import cosimulate
from strategies import small

#: Steps of all samples, times neurons, that loops over integers are asked for here.
SHORT = 4000


def test_every_limit_is_drawn():
    used, reached = Counter(), set()
    for seed in range(200):
        config, limits = draw_extreme(seed)
        used.update(limits)
        reached |= {
            f"T = {config.time.steps}", f"{max(unit.n_out for unit in config.units)} neurons at most",
            *(f"{name} of {getattr(config.numbers, name).width} bits" for name in ("weight", "potential", "error")),
            *(f"dropout {unit.dropout}" for unit in config.units), f"rounding {config.update.rounding}",
            *(f"{unit.window.kind} of {unit.window.kernel}" for unit in config.units),
            *("all of the padding" for unit in config.units if unit.window.padding == unit.window.kernel - 1 > 1),
            *("all of the stride" for unit in config.units
              if unit.window.kind == "conv" and unit.window.stride == unit.window.kernel > 3),
            f"{len(config.layers) // 16 * 16} layers and more"}
        if config.time.steps == config.time.interval == 4096:
            reached.add("k = T = 4096")
    assert len(used) == len(EXTREMES) and min(used.values()) >= 10
    assert {"T = 1", "T = 4096", "k = T = 4096", "2 neurons at most", "weight of 2 bits", "weight of 32 bits",
            "potential of 2 bits", "potential of 32 bits", "error of 2 bits", "error of 32 bits", "dropout 15",
            "conv of 31", "all of the padding", "all of the stride", "avg_pool of 16", "16 layers and more"} <= reached


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_equal_to_the_independent_model(first):
    compared = 0
    for seed in range(first, first + 20):
        config, _ = draw_extreme(seed)
        if sum(unit.n_out for unit in config.units) * config.time.steps > SHORT:
            continue
        compared += 1
        assert compare(config, stimulus(config, seed, samples=2), document=plain(config, short=seed % 2 == 1)) is None
    assert compared >= 10


@pytest.mark.parametrize("seed", [0, 30])
def test_generated(seed, tmp_path):
    assert check_text(seed, folder=tmp_path, extreme=True).endswith("lines")


@pytest.mark.parametrize("rounding, shift", [("nearest", 24), ("stochastic", 15)])
def test_a_shift_beyond_the_product(rounding, shift, models, tmp_path):
    """What rounding adds has more bits than the gradient: nothing moves to the nearest, hardly anything by chance."""
    config = small(
        name="beyond", time={"steps": 1, "interval": 1}, layers=[{"neurons": 3, "lanes": 2}],
        numbers={"error": {"width": 2, "fraction": 0}}, neuron={"threshold": 0.125},
        update={"shift": shift, "rounding": rounding, "multiplier": 1})
    assert all(unit.scaled_width < shift for unit in config.units)
    assert len(list(cosimulate(config, stimulus(config, 1, samples=8), root=models, folder=tmp_path))) == 3


@pytest.mark.parametrize("seed", [16, 57])
def test_simulated(seed, models, tmp_path):
    assert check(seed, root=models, folder=tmp_path, extreme=True).endswith("no difference")


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 6, 9, 10, 11, 13, 14, 15, 17, 18, 19])
def test_simulated_many(seed, models, tmp_path):
    check(seed, root=models, folder=tmp_path, extreme=True)
