"""Whole cores under Verilator against the golden model: every bit, every cycle, every memory access."""

import numpy as np
import pytest

from bench.draw import stimulus
from bench.sweep import check
from spikeloom.gen import presets
from spikeloom.golden.checkpoint import state_arrays, state_from
from spikeloom.golden.data import Dataset, load_dataset
from spikeloom.golden.model import initial_state
from spikeloom.golden.prediction import Prediction
from spikeloom.golden.training import train
from spikeloom.sim.build import build
from spikeloom.sim.compare import compare_counters, compare_results, compare_state
from spikeloom.sim.cosim import Batch, cosimulate
from spikeloom.sim.run import Simulation
from spikeloom.sim.training import train_rtl
from strategies import small


@pytest.mark.parametrize("seed", [10, 11, 13, 35, 42, 43])
def test_drawn(seed, models, tmp_path):
    """A few of the configurations that `python -m bench.sweep` draws, small ones that have everything among them."""
    assert check(seed, root=models, folder=tmp_path).endswith("no difference")


MOMENTUM = {"multiplier": 14, "shift": 4, "width": 14}
#: A block that ends behind a convolution, one that begins with an overlapping pool; all of the optimiser, and dropout.
IMAGES = small(
    name="images", time={"steps": 4, "interval": 1, "update_period": 2}, input={"shape": [4, 4, 2], "size": None},
    layers=[{"kind": "conv", "channels": 3, "kernel": 2, "padding": 1, "lanes": 2, "dropout": 4},
            {"kind": "avg_pool", "size": 2, "stride": 1}, {"neurons": 5, "lanes": 2, "dropout": 6}],
    network={"block_length": None, "block_ends": [1, 3]}, classifier={"kind": "random", "seed": 3},
    update={"batch": 2, "momentum": MOMENTUM, "rounding": "stochastic", "decay_samples": 2, "decay_limit": 2},
    hardware={"sample_slots": 3, "spike_slots": 1})
#: Events into a convolution with a stride and dropout, gradients of a dense layer in a memory.
EVENTS = small(
    name="events", time={"steps": 6, "interval": 3}, input={
        "kind": "events", "shape": [5, 5, 2], "size": None, "bits": 1, "fraction": 0},
    layers=[{"kind": "conv", "channels": 4, "kernel": 3, "stride": 2, "lanes": 2, "dropout": 3},
            {"neurons": 5, "lanes": 2, "gradient": "memory"}], network={"block_length": 2})
#: A block of a pooling alone: it has no weights, and asks its classifier for no errors.
POOLED = small(
    name="pooled", time={"steps": 4, "interval": 2}, input={"shape": [6, 6, 1], "size": None},
    layers=[{"kind": "conv", "channels": 3, "kernel": 3, "lanes": 2}, {"kind": "avg_pool", "size": 2}],
    network={"block_length": None, "block_ends": [1, 2]})


@pytest.mark.parametrize("config, pause", [(IMAGES, 0), (EVENTS, 0), (EVENTS, 100), (POOLED, 0)],
                         ids=lambda value: getattr(value, "name", value))
def test_images_and_events(config, pause, models, tmp_path):
    state = initial_state(config)
    state = state.replace(dropout=[lanes[::-1] for lanes in state["dropout"]])  # other ones than after reset
    assert len(list(cosimulate(config, stimulus(config, 2), root=models, folder=tmp_path, state=state,
                               cycle_level=True, seed=1, sample_pause=pause, result_pause=pause))) == 3


def test_training_on_the_core_equals_training_on_the_model(models, tmp_path):
    """In batches, with dropout: the same checkpoint, and the test set classified by the core, filled up to batches."""
    config = presets.find("tiny").replace(
        update={"batch": 4, "decay_samples": 0}, hardware={"sample_slots": 4},
        layers=[{"neurons": 9, "lanes": 3, "dropout": 3}], classifier={"lanes": 2})
    data = load_dataset("digits", config)
    data = Dataset(data.train_frames[:10], data.train_labels[:10], data.test_frames[:7], data.test_labels[:7])
    for _ in train_rtl(config, data, 2, tmp_path / "rtl.npz", root=models, folder=tmp_path):
        pass
    for _ in train(config, data, 2, tmp_path / "golden.npz"):
        pass
    with np.load(tmp_path / "rtl.npz") as rtl, np.load(tmp_path / "golden.npz") as golden:
        for name in golden.files:
            assert np.array_equal(rtl[name], golden[name]), name


def _tiny_batch(first, last, train=True):
    data = load_dataset("digits", presets.find("tiny"))
    return Batch(data.train_frames[first:last], data.train_labels[first:last], train)


def test_cycle_level_tiny(models, tmp_path):
    """All traffic and all cycles also in a network on real data, under back-pressure at both ends."""
    batches = [_tiny_batch(10, 13, train=False), _tiny_batch(0, 10), _tiny_batch(10, 15, train=False)]
    for checked in cosimulate(presets.find("tiny"), batches, root=models, folder=tmp_path, cycle_level=True,
                              seed=3, sample_pause=100, result_pause=200):
        last = checked
    assert last.prediction.counters["block0.wait.input"] > 0


@pytest.mark.parametrize("name", ["tiny", "images"])
def test_saved_state_continues_with_identical_bits(name, models, tmp_path):
    """Trained, the state read through the register port and loaded into a fresh core, trained: as without a break."""
    if name == "tiny":
        config, halves = presets.find("tiny"), [_tiny_batch(0, 4), _tiny_batch(4, 8)]
    else:  # velocities, LFSRs and the halvings of the rate as well
        config = IMAGES.replace(update={"decay_samples": 4})
        halves = [stimulus(config, seed, samples=6)[0] for seed in (2, 3)]
    whole = Batch(*(np.concatenate([half[part] for half in halves]) for part in (0, 1)), True)
    first, = cosimulate(config, halves[:1], root=models, folder=tmp_path / "a")
    resumed, = cosimulate(config, halves[1:], root=models, folder=tmp_path / "b",
                          state=state_from(first.arrays, config))
    through, = cosimulate(config, [whole], root=models, folder=tmp_path / "c")
    state = [key for key in through.arrays if not key.startswith("counter:")]
    for key in state:
        assert np.array_equal(resumed.arrays[key], through.arrays[key]), key
    # Whatever there is to save had changed before, and went on to change.
    changed = state_arrays(initial_state(config))
    stored = [place for place, unit in enumerate(config.units) if unit.weights.stored]
    kinds = ["weight", *(["velocity", "lfsr"] if config.update.momentum else [])]
    for key in [f"{kind}_{place}" for kind in kinds for place in stored]:
        assert (changed[key] != first.arrays[key]).any() and (first.arrays[key] != through.arrays[key]).any(), key
    assert np.array_equal(resumed.results["counts"], through.results["counts"][len(halves[0].labels):])


@pytest.mark.parametrize("name, cycles", [
    ("tiny", 100), ("tiny", 1357), ("tiny", 2500), ("images", 1100), ("images", 2900), ("events", 1700)])
def test_reset_in_mid_run(name, cycles, models, tmp_path):
    """Reset in the middle of everything leads to the idle state: the same run again, with the same cycles."""
    config, batch = presets.find("tiny"), _tiny_batch(0, 6)
    if name != "tiny":
        config = {"images": IMAGES, "events": EVENTS}[name]
        batch = stimulus(config, 2)[0]
    samples = {"frames": batch.frames, "labels": batch.labels, "trains": np.ones(len(batch.labels))}
    simulation = Simulation(config, build(config, root=models), tmp_path)
    simulation.load(state_arrays(initial_state(config)))
    simulation.reset(abort=samples, cycles=cycles)
    simulation.load(state_arrays(initial_state(config)))
    names = simulation.run(**samples), simulation.read()
    with simulation:
        results, arrays = map(simulation.wait_for, names)
        simulation.finish()
    found, arrivals = results["results"], results["arrivals"]
    prediction = Prediction(config)
    for frame, label, own, arrival in zip(batch.frames, batch.labels, found, arrivals.tolist()):
        arrival = arrival if config.input.kind == "events" else arrival[0]
        prediction.sample(frame, label, True, arrival=arrival, accepted=int(own["taken"]))
    assert compare_results(found, prediction.results) is None
    assert compare_state(config, arrays, prediction.model.state) is None
    assert compare_counters(arrays, prediction.counters) is None


def test_source_that_never_waits(models, tmp_path):
    """The schedule of a free-running core, predicted without looking at it."""
    config = presets.find("tiny")
    batch = _tiny_batch(0, 8)
    checked, = cosimulate(config, [batch], root=models, folder=tmp_path)
    prediction = Prediction(config)
    for place, (frame, label) in enumerate(zip(batch.frames, batch.labels)):
        # When the bench begins is its own affair; from then on the core alone decides.
        prediction.sample(frame, label, True, arrival=int(checked.results["arrived"][0]) if place == 0 else None)
    assert compare_results(checked.results, prediction.results) is None
    assert compare_counters(checked.arrays, prediction.counters) is None
    # Back to back: while a slot is free, the next sample follows the one before without a pause.
    assert checked.results["arrived"][1] - checked.results["arrived"][0] == config.input.size


@pytest.mark.long
def test_digits_epoch(models, tmp_path):
    """One epoch of the default core on real data."""
    config = presets.find("digits")
    data = load_dataset("digits", config)
    batches = [Batch(data.train_frames, data.train_labels, True), Batch(data.test_frames, data.test_labels, False)]
    for checked in cosimulate(config, batches, root=models, folder=tmp_path, fast=True):
        last = checked
    assert last.correct(data.test_labels) / len(data.test_labels) > 0.9


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 140))
def test_drawn_many(seed, models, tmp_path):
    check(seed, root=models, folder=tmp_path)


def test_stimulus_is_repeatable():
    config = presets.find("tiny")
    for left, right in zip(stimulus(config, 4), stimulus(config, 4)):
        assert np.array_equal(left.frames, right.frames)
        assert np.array_equal(left.labels, right.labels)
