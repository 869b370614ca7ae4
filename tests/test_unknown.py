"""Registers and memories that begin unknown, and a reset of one cycle: nothing of it is ever seen."""

import re

import pytest
from test_text import icarus

from bench.draw import draw
from spikeloom.gen import presets
from spikeloom.gen.generate import generate_text
from spikeloom.sim.unknown import unknown
from strategies import small

TRIANGLE = {"shape": "triangle", "width": 1.0, "bins": 2}
TABLE = {"shape": "table", "bin": 0.25, "values": [3, 2], "shift": 0}
DENSE = {"input": {"size": 5}, "layers": [{"neurons": 5, "lanes": 3}, {"neurons": 4, "lanes": 2}]}
#: Codes of several bits, by which errors are multiplied; every kind of layer, input, memory and random number.
CONFIGS = [
    small(name="codes", surrogate=TRIANGLE, **DENSE),
    small(name="slices", surrogate=TABLE, time={"steps": 4, "interval": 4},
          input={"kind": "events", "shape": [3, 3, 1], "size": None, "bits": 1, "fraction": 0},
          layers=[{"kind": "conv", "channels": 3, "kernel": 2, "lanes": 2},
                  {"neurons": 4, "lanes": 3, "gradient": "memory"}],
          network={"block_length": 2}, hardware={"error_steps": 2}),
    pytest.param(small(name="zeros", surrogate=TABLE, neuron={"reset": "zero", "reset_error": False}, **DENSE),
                 marks=pytest.mark.long),
    pytest.param(small(
        name="images", surrogate=TRIANGLE, time={"steps": 4, "interval": 2}, input={"shape": [3, 3, 1], "size": None},
        layers=[{"kind": "conv", "channels": 3, "kernel": 2, "lanes": 2, "dropout": 4},
                {"kind": "avg_pool", "size": 2, "stride": 1}, {"neurons": 4, "lanes": 3}],
        network={"block_length": None, "block_ends": [1, 3]},
        update={"rounding": "stochastic", "momentum": {"multiplier": 14, "shift": 4, "width": 14}}),
        marks=pytest.mark.long),
]


def check(config, folder):
    with icarus(config, folder, "2005", unknown) as run:
        printed, _ = run.communicate(timeout=1200)
    assert re.fullmatch(r"PASS: .* are as predicted, .*\n", printed)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_nothing_depends_on_power_up(config, tmp_path):
    """The bench finds an unknown bit in every handshake, result, weight and counter."""
    check(config, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_drawn(seed, tmp_path):
    check(draw(seed), tmp_path)


def test_no_value_is_left():
    """But that which wakes the processes; and an edit that removes nothing would make every test here pass."""
    text = generate_text(presets.find("tiny"))
    assert len(re.findall(r"\binitial\b", text)) > 1000
    left = re.findall(r"\binitial\b.*", unknown(text))
    assert set(left) == {"initial \\$wake  <= 0;"}
