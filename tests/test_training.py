"""Training on the golden model resumes with identical bits; damaged checkpoints are refused."""

import itertools
import re

import numpy as np
import pytest

from loading import unfit
from spikeloom.gen import presets
from spikeloom.golden import training
from spikeloom.golden.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from spikeloom.golden.data import DataError, Dataset, load_dataset


@pytest.fixture
def small(monkeypatch):
    """The tiny preset, 30 samples in chunks of 8."""
    monkeypatch.setattr(training, "CHUNK", 8)
    config = presets.find("tiny").replace(update={"rounding": "stochastic", "decay_samples": 20, "decay_limit": 2})
    data = load_dataset("digits", config)
    return config, Dataset(data.train_frames[:30], data.train_labels[:30], data.test_frames[:9], data.test_labels[:9])


def test_interrupted_training_resumes(small, tmp_path):
    config, data = small
    list(training.train(config, data, 2, tmp_path / "through.npz", seed=7))
    list(itertools.islice(training.train(config, data, 2, tmp_path / "broken.npz", seed=7), 3))
    # The order of the samples is that of the checkpoint.
    list(training.train(config, data, 2, tmp_path / "broken.npz"))
    with np.load(tmp_path / "through.npz") as through, np.load(tmp_path / "broken.npz") as broken:
        assert through.files == broken.files
        for name in through.files:
            assert np.array_equal(through[name], broken[name]), name
        assert through["history"].shape == (2, 3)


def test_order_differs_by_epoch_and_covers_all():
    chunks = list(training.plan(30, 2, 0, training.Progress()))
    first, second = (np.concatenate([c.order for c in chunks if c.epoch == epoch]) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(30))
    assert list(first) != list(second)


def test_only_whole_batches():
    chunks = list(training.plan(30, 2, 0, training.Progress(), batch=8))
    assert [len(chunk.order) for chunk in chunks] == [24, 24] and all(chunk.ends_epoch for chunk in chunks)
    with pytest.raises(DataError, match="must hold a batch of 64 samples to train, not 30"):
        training.plan(30, 2, 0, training.Progress(), batch=64)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"text"])
def test_damaged_checkpoint(content, small, tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.npz: not a checkpoint"):
        load_checkpoint(path)
    assert path.read_bytes() == content


def test_checkpoint_of_another_configuration(small, tmp_path):
    config, data = small
    next(training.train(config, data, 1, tmp_path / "c.npz"))
    with pytest.raises(CheckpointError, match="belongs to configuration"):
        load_checkpoint(tmp_path / "c.npz", presets.find("digits"))


@pytest.mark.parametrize("changes, message", [
    ({"input": {"size": 63}}, f"data set 'digits' {unfit('input.size', '(1797, 8, 8)', '(samples, 63)')}"),
    ({"input": {"bits": 4}}, "input.bits must hold 16 for data set 'digits', not 4"),
    ({"network": {"classes": 9}}, "network.classes must be at least 10 for data set 'digits', not 9"),
])
def test_data_must_fit(changes, message):
    with pytest.raises(DataError) as error:
        load_dataset("digits", presets.find("tiny").replace(**changes))
    assert str(error.value) == message


def test_checkpoint_is_enough_by_itself(small, tmp_path):
    config, data = small
    *_, progress = training.train(config, data, 1, tmp_path / "c.npz", seed=3)
    found = load_checkpoint(tmp_path / "c.npz")
    assert found.config == config and (found.progress, found.seed, found.data) == (progress, 3, data.digest)
    save_checkpoint(tmp_path / "again.npz", found)
    with np.load(tmp_path / "c.npz") as first, np.load(tmp_path / "again.npz") as again:
        assert first.files == again.files
        for name in first.files:
            assert np.array_equal(first[name], again[name]), name


@pytest.mark.parametrize("change, message", [
    (lambda config, data: (config, data, 4), "was trained with seed 0, not with 4"),
    (lambda config, data: (config, data._replace(test_labels=data.test_labels[::-1]), None),
     "was trained with data [0-9a-f]{16}, not with [0-9a-f]{16}"),
    (lambda config, data: (config.replace(update={"seed": 2}), data, None), "belongs to configuration 'tiny', "),
])
def test_used_folder(change, message, small, tmp_path):
    path = tmp_path / "c.npz"
    save_checkpoint(path, Checkpoint(small[0], training.initial_state(small[0]), data=small[1].digest))
    config, data, seed = change(*small)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=message):
        next(training.train(config, data, 1, path, seed=seed))
    assert path.read_bytes() == before


@pytest.mark.parametrize("change, message", [
    ({"train_frames": np.zeros((30, 8, 8), np.uint8)},
     "train_frames must have the shape (samples, 64), not (30, 8, 8)"),
    ({"test_frames": np.zeros((9, 64))}, "test_frames must hold integers, not float64"),
    ({"test_frames": np.full((9, 64), 32)}, "test_frames must hold values 0 to 31, not 32"),
    ({"test_frames": np.zeros((0, 64), int)}, "test_frames must hold at least one sample, not none"),
    ({"test_labels": np.arange(8)}, "test_labels must hold 9 labels, one for each sample, not 8"),
    ({"train_labels": np.full(30, 10)}, "network.classes must be at least 11 for train_labels, not 10"),
    ({"train_labels": np.zeros(30)}, "train_labels must hold integers, not float64")])
def test_data_of_another_form(change, message, small, tmp_path):
    """Before anything is trained, and so nothing is written."""
    config, data = small
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        next(training.train(config, data._replace(**change), 1, tmp_path / "c.npz"))
    assert list(tmp_path.iterdir()) == []


def test_position_beyond_the_data(small, tmp_path):
    config, data = small
    save_checkpoint(tmp_path / "c.npz", Checkpoint(config, training.initial_state(config),
                                                   training.Progress(0, 30), data=data.digest))
    with pytest.raises(CheckpointError, match="position must be below the 30 samples of an epoch, not 30"):
        next(training.train(config, data, 1, tmp_path / "c.npz"))


def test_a_plan_takes_no_memory():
    """Its chunks are made when they are asked for."""
    chunks = training.plan(10**6, 100_000, 0, training.Progress(3, 480, 7))
    assert len(chunks) == 100_000 * 2084 - 3 * 2084 - 1
    assert (chunks[0].epoch, chunks[0].first, chunks[-1].epoch, chunks[-1].last) == (3, 480, 99_999, 10**6)
    assert [chunk.ends_epoch for chunk in chunks[2081:2084]] == [False, True, False]
    with pytest.raises(DataError, match="epochs must be at most 100,000, not 1,000,000,000"):
        training.plan(30, 10**9, 0, training.Progress())
    assert list(training.plan(30, 2, 0, training.Progress(2))) == []
