"""States and samples on their way into a core: what the configuration forbids is refused before the first write."""

import re

import numpy as np
import pytest

from spikeloom.gen.samples import items
from spikeloom.gen.state import state_writes
from spikeloom.golden.checkpoint import state_arrays
from spikeloom.golden.errors import InputError
from spikeloom.golden.model import initial_state
from spikeloom.rtl.registers import RegisterMap
from strategies import small

CONFIG = small(update={"rounding": "stochastic"})
EVENTS = small(input={"kind": "events", "shape": [1, 3, 2], "bits": 1, "fraction": 0})


@pytest.mark.parametrize("name, change, message", [
    ("weight_0", lambda a: a.T, "must have the shape (6, 5), not (5, 6)"),
    ("weight_0", lambda a: a + 0.5, "must hold integers, not float64"),
    ("weight_0", lambda a: a + 512, "must hold values -512 to 511, not"),
    ("weight_1", lambda a: a.astype(np.uint8).astype(np.int64) + 2**32, "must hold values -512 to 511, not"),
    ("lfsr_0", lambda a: a * 0, "must hold values 1 to 65535, not 0"),
    ("lfsr_0", lambda a: a[:1], "must have the shape (2,), not (1,)"),
    ("shift", lambda a: a - 1, "must hold only 4, not 3"),
    ("since_decay", lambda a: a + 1, "must hold only 0, not 1"),
    ("since_decay", None, "must hold since_decay, which is missing"),
])
def test_wrong_states(name, change, message):
    arrays = state_arrays(initial_state(CONFIG))
    if change:
        arrays[name] = change(arrays[name])
    else:
        del arrays[name]
    with pytest.raises(InputError, match=f"^state: (?:{name} )?{re.escape(message)}"):
        state_writes(RegisterMap(CONFIG), arrays)


@pytest.mark.parametrize("config, frames, labels, trains, message", [
    (CONFIG, np.zeros((2, 6)), [0, 1], [1, 1], "frames must hold integers 0 to 7, not float64"),
    (CONFIG, np.full((2, 6), -1), [0, 1], [1, 1], "frames must hold values 0 to 7, not -1"),
    (CONFIG, np.full((2, 6), 8), [0, 1], [1, 1], "frames must hold values 0 to 7, not 8"),
    (CONFIG, np.ones((6, 2), int), [0, 1], [1, 1], "frames must have the shape (samples, 6), not (6, 2)"),
    (CONFIG, np.ones(6, int), [0], [1], "frames must have the shape (samples, 6), not (6,)"),
    (CONFIG, np.ones((2, 6), int), [0, -1], [1, 1], "labels must hold values 0 to 3, not -1"),
    (CONFIG, np.ones((2, 6), int), [0, 256], [1, 1], "labels must hold values 0 to 3, not 256"),
    (CONFIG, np.ones((2, 6), int), [0, 1.5], [1, 1], "labels must hold integers, not float64"),
    (CONFIG, np.ones((2, 6), int), [0, 1], [1, 2], "modes must be 2 values 0 or 1, not [1, 2]"),
    (CONFIG, np.ones((2, 6), int), [0, 1], [1], "modes must be 2 values 0 or 1, not [1]"),
    (EVENTS, np.full((2, 4, 6), 2), [0, 1], [1, 1], "frames must hold values 0 to 1, not 2"),
    (EVENTS, np.ones((4, 2, 6), int), [0, 1], [1, 1], "frames must have the shape (samples, 4, 6), not (4, 2, 6)"),
    (small(update={"batch": 2}, hardware={"sample_slots": 2}), np.ones((3, 6), int), [0, 1, 2], [1, 1, 1],
     "samples must be a multiple of update.batch = 2, not 3"),
])
def test_wrong_samples(config, frames, labels, trains, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        items(config, frames, labels, trains)
