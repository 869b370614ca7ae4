"""Checkpoints: every array is compared with the configuration that the file itself holds."""

import json
import re

import numpy as np
import pytest

from spikeloom.gen import presets
from spikeloom.golden.checkpoint import (
    Checkpoint,
    CheckpointError,
    Progress,
    load_checkpoint,
    save_arrays,
    save_checkpoint,
    state_arrays,
    state_from,
)
from spikeloom.golden.errors import InputError
from spikeloom.golden.model import Golden, initial_state

#: With everything that a state may have; batches of two.
CONFIG = presets.find("tiny").replace(
    layers=[{"neurons": 6, "lanes": 4, "dropout": 4}], network={"block_length": 1}, input={"size": 9, "bits": 3},
    hardware={"sample_slots": 2}, update={
        "rounding": "stochastic", "decay_samples": 8, "decay_limit": 2, "shift": 4, "batch": 2,
        "momentum": {"multiplier": 3, "shift": 2, "width": 12}})
WEIGHT = CONFIG.numbers.weight.width
START = Checkpoint(CONFIG, initial_state(CONFIG), Progress(2, 4, 3, ((1, 0.5, 0.25), (2, 1.0, 0.0))), 7, "ab" * 8)


@pytest.fixture
def arrays(tmp_path):
    save_checkpoint(tmp_path / "c.npz", START)
    with np.load(tmp_path / "c.npz") as archive:
        return dict(archive)


def test_as_it_was_written(arrays, tmp_path):
    found = load_checkpoint(tmp_path / "c.npz", CONFIG)
    assert (found.config, *found[2:]) == (CONFIG, *START[2:])
    for name, value in state_arrays(found.state).items():
        assert np.array_equal(value, arrays[name]) and value.dtype == np.int64, name
    assert json.loads(str(arrays["config"]))["name"] == "tiny"


def test_configuration_of_a_checkpoint(arrays, tmp_path):
    assert presets.find(str(tmp_path / "c.npz")) == CONFIG


def spoiled(place, value, kind=np.int64):
    """A change of one value of an array."""
    def change(array):
        array = array.astype(kind)
        array[place] = value
        return array
    return change


@pytest.mark.parametrize("name, change, message", [
    ("weight_0", lambda a: a.T, "weight_0 must have the shape (9, 6), not (6, 9)"),
    ("weight_0", lambda a: a.astype(float), "weight_0 must hold integers, not float64"),
    ("weight_0", spoiled((0, 0), np.nan, float), "weight_0 must hold integers, not float64"),
    ("weight_0", spoiled((8, 5), 1 << (WEIGHT - 1)),
     f"weight_0 must hold values {-1 << (WEIGHT - 1)} to {(1 << (WEIGHT - 1)) - 1}, not {1 << (WEIGHT - 1)}"),
    ("weight_1", lambda a: a.astype(np.uint64), "weight_1 must hold values"),
    ("velocity_0", spoiled((0, 0), -2049), "velocity_0 must hold values -2048 to 2047, not -2049"),
    ("velocity_1", lambda a: a[:0], "velocity_1 must have the shape (6, 10), not (0, 10)"),
    ("lfsr_0", spoiled(1, 0), "lfsr_0 must hold values 1 to 65535, not 0"),
    ("lfsr_0", spoiled(1, 65536), "lfsr_0 must hold values 1 to 65535, not 65536"),
    ("lfsr_0", lambda a: a[:-1], "lfsr_0 must have the shape (4,), not (3,)"),
    ("dropout_0", spoiled(0, 0), "dropout_0 must hold values 1 to 65535, not 0"),
    ("dropout_1", lambda a: np.array([1]), "dropout_1 must have the shape (0,), not (1,)"),
    ("shift", lambda a: a + 3, "shift must hold values 4 to 6, not 7"),
    ("shift", lambda a: a - 1, "shift must hold values 4 to 6, not 3"),
    ("since_decay", lambda a: a + 8, "since_decay must hold values 0 to 7, not 8"),
    ("since_decay", lambda a: a - 1, "since_decay must hold values 0 to 7, not -1"),
    ("seed", lambda a: a - 8, f"seed must hold values 0 to {2**63 - 1}, not -1"),
    ("epoch", lambda a: a + 10**9, "epoch must hold values 0 to 100000, not 1000000002"),
    ("epoch", lambda a: a + 1, "history must hold float64, shape (3, 3), not float64, (2, 3)"),
    ("position", lambda a: a - 1, "position must be a multiple of update.batch = 2, not 3"),
    ("position", lambda a: a / 1, "position must hold integers, not float64"),
    ("correct", lambda a: a + 2, "correct must be at most position = 4, not 5"),
    ("history", lambda a: a.T, "history must hold float64, shape (2, 3), not float64, (3, 2)"),
    ("history", lambda a: a * np.nan, "history must count epochs from 1, with accuracies 0 to 1, not [[nan"),
    ("history", lambda a: a[::-1], "history must count epochs from 1, with accuracies 0 to 1, not [[2.0"),
    ("data", lambda a: a[None], "data must be a text, not <U16 of shape (1,)"),
    ("config", lambda a: np.array(str(a)[:-1]), "not a checkpoint: config: Expecting"),
    ("config", lambda a: np.array(str(a).replace('"steps": 4', '"steps": 5')),
     "not a checkpoint: config: time.interval must divide time.steps = 5, not 2"),
    ("config", lambda a: np.array(str(a).replace(', "seed": 0', "")),
     "not a checkpoint: config: must be a whole configuration, as a checkpoint is written"),
    *((name, None, f"must hold {name}, which is missing")
      for name in ("weight_1", "velocity_0", "lfsr_1", "dropout_0", "shift", "since_decay", "seed", "epoch", "position",
                   "correct", "history", "data")),
    ("config", None, "not a checkpoint: config is missing"),
])
def test_another_array(name, change, message, arrays, tmp_path):
    arrays |= {name: change(arrays[name])} if change else {}
    save_arrays(tmp_path / "c.npz", {own: array for own, array in arrays.items() if change or own != name})
    with pytest.raises(CheckpointError, match=rf"^{re.escape(str(tmp_path))}/c\.npz: .*{re.escape(message)}"):
        load_checkpoint(tmp_path / "c.npz")


def test_one_array_more(arrays, tmp_path):
    save_arrays(tmp_path / "c.npz", arrays | {"weight_2": arrays["weight_1"]})
    with pytest.raises(CheckpointError, match="must hold nothing but a training of its configuration, not 'weight_2'"):
        load_checkpoint(tmp_path / "c.npz")


def test_state_of_arrays():
    """As a host has it: its counters beside the state, and the same rules."""
    arrays = state_arrays(START.state) | {"counter:samples": np.array(7)}
    again = state_arrays(state_from(arrays, CONFIG))
    assert all(np.array_equal(value, arrays[name]) for name, value in again.items())
    with pytest.raises(CheckpointError, match=r"^state: shift must hold values 4 to 6, not -1$"):
        state_from(arrays | {"shift": np.array(-1)}, CONFIG)


@pytest.mark.parametrize("change, message", [
    ({"weight": [START.state["weight"][0].T, START.state["weight"][1]]},
     "weight_0 must have the shape (9, 6), not (6, 9)"),
    ({"weight": [own.float() for own in START.state["weight"]]}, "weight_0 must be a torch.Tensor of int64, not "
                                                                 "torch.float32"),
    ({"weight": [own.numpy() for own in START.state["weight"]]},
     "weight_0 must be a torch.Tensor of int64, not int64"),
    ({"weight": START.state["weight"][:1]},
     "must have weight of 2 units, not of 1"),
    ({"lfsr": [[1, 2, 3, 0], START.state["lfsr"][1]]}, "lfsr_0 must hold values 1 to 65535, not 0"),
    ({"lfsr": [[1, 2, 3, 0.5], START.state["lfsr"][1]]}, "lfsr_0 must hold integers, not float64"),
    ({"shift": 4.5}, "shift must hold integers, not float64"),
    ({"since_decay": 8}, "since_decay must hold values 0 to 7, not 8"),
])
def test_state_of_a_model(change, message):
    with pytest.raises(InputError, match=f"^state:? {re.escape(message)}"):
        Golden(CONFIG, START.state.replace(**change))


@pytest.mark.parametrize("kinds", [["weight"], ["weight", "velocity", "lfsr", "dropout", "spare"], []])
def test_state_of_other_kinds(kinds):
    state = START.state._replace(kept={kind: START.state.kept.get(kind, [[], []]) for kind in kinds})
    with pytest.raises(InputError, match="^state must keep weight, velocity, lfsr, dropout, not "
                                         f"{', '.join(kinds) or 'nothing'}$"):
        Golden(CONFIG, state)


def test_lanes_as_tuples():
    kept = START.state.kept | {kind: [tuple(own) for own in START.state[kind]] for kind in ("lfsr", "dropout")}
    assert Golden(CONFIG, START.state._replace(kept=kept)).state["lfsr"] == START.state["lfsr"]
