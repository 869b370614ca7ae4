"""Data sets as NumPy archives: names of others, layouts, events; compared with the configuration first."""

import re

import numpy as np
import pytest

from loading import refused, unfit, wanted
from spikeloom.golden.data import load_dataset

X = np.arange(5 * 2 * 3 * 2).reshape(5, 2, 3, 2).astype(np.uint8)
Y = np.array([3, 0, 9, 1, 2])
FRAMES = wanted(size=12, shape=(2, 3, 2))


def write(folder, names=("train_frames", "train_labels", "test_frames", "test_labels"), arrays=(X, Y, X[:2], Y[:2]),
          **more):
    np.savez(folder / "set.npz", **dict(zip(names, arrays)), **more)
    return f"npz:{folder}/set.npz"


@pytest.mark.parametrize("names, more", [
    (("x_train", "y_train", "x_test", "y_test"), {}),
    (("train_images", "train_labels", "test_images", "test_labels"), {"val_images": X, "val_labels": Y})])
def test_names_of_others(names, more, tmp_path):
    """Keras, and MedMNIST with its columns of labels."""
    data = load_dataset(write(tmp_path, names, (X, Y[:, None], X[:2], Y[:2, None]), **more), FRAMES)
    assert np.array_equal(data.train_frames, X.reshape(5, 12))
    assert np.array_equal(data.test_frames, X[:2].reshape(2, 12))
    assert data.train_labels.tolist() == Y.tolist() and data.test_labels.tolist() == Y[:2].tolist()


KERAS = {"x_train": X, "y_train": Y, "x_test": X[:2], "y_test": Y[:2]}
MEDMNIST = {"train_images": X, "train_labels": Y, "test_images": X[:2], "test_labels": Y[:2]}


@pytest.mark.parametrize("more, others", [
    (MEDMNIST, "train_images, train_labels, test_images, test_labels"), ({"train_images": X}, "train_images"),
    ({"test_labels": Y[:2]}, "test_labels"), ({"train_t": [1], "train_p": [1]}, "train_t, train_p")])
def test_two_sets_in_one_archive(more, others, tmp_path):
    """Whole or not: nothing says which one is meant."""
    assert refused(load_dataset, write(tmp_path, (), (), **KERAS, **more), FRAMES) == (
        f"{tmp_path}/set.npz: must hold arrays of one set of names, not of x_train, y_train, x_test, y_test and of "
        f"{others}")


@pytest.mark.parametrize("change, message", [
    (lambda x: x.transpose(0, 3, 1, 2), unfit("input.shape", "(5, 2, 2, 3)", "(samples, 2, 3, 2) or (samples, 12)")),
    (lambda x: x.transpose(0, 2, 1, 3), unfit("input.shape", "(5, 3, 2, 2)", "(samples, 2, 3, 2) or (samples, 12)")),
    (lambda x: x[0], unfit("input.shape", "(2, 3, 2)", "(samples, 2, 3, 2) or (samples, 12)")),
    (lambda x: x[:, None], unfit("input.shape", "(5, 1, 2, 3, 2)", "(samples, 2, 3, 2) or (samples, 12)")),
    (lambda x: x / 255, "must hold integers 0 to 255, not float64"),
    (lambda x: x.astype(np.float32), "must hold integers 0 to 255, not float32"),
    (lambda x: x > 3, "must hold integers 0 to 255, not bool"),
    (lambda x: x.astype(complex), "must hold integers 0 to 255, not complex128"),
    (lambda x: x.astype(str), "must hold integers 0 to 255, not <U3"),
    (lambda x: x.astype(np.int8) - 1, "must hold values from 0, not -1"),
])
def test_frames_of_another_form(change, message, tmp_path):
    name = write(tmp_path, arrays=(change(X), Y, X[:2], Y[:2]))
    assert refused(load_dataset, name, FRAMES) == f"{tmp_path}/set.npz: train_frames {message}"


def test_frames_of_another_size(tmp_path):
    """Neither the file nor the configuration is blamed: both shapes are there."""
    name = write(tmp_path, arrays=(X[..., 0], Y, X[:2, ..., 0], Y[:2]))
    assert refused(load_dataset, name, wanted(size=64)) == f"{tmp_path}/set.npz: train_frames " + unfit(
        "input.size", "(5, 2, 3)", "(samples, 64)")


@pytest.mark.parametrize("labels, message", [
    (Y + 0.5, "{}: train_labels must hold integers, not float64"), (Y.astype(float), "{}: train_labels must hold "
                                                                                     "integers, not float64"),
    (np.eye(10, dtype=int)[Y], "{}: train_labels must hold the number of a class for each sample, shape (5,), not one "
                               "column per class, (5, 10)"),
    (Y - 1, "{}: train_labels must hold labels from 0, not -1"),
    (Y + 1, "network.classes must be at least 11 for {}: train_labels, not 10; labels that count from 1 are said so: "
            "DATA,first-label=1"),
    (Y.astype(np.uint64) + 2**63, f"network.classes must be at least {2**63 + 10} for {{}}: train_labels, not 10"),
    (Y[:4], "{}: train_labels must hold 5 labels, one for each sample, not 4"),
    (Y[:, None, None], "{}: train_labels must have the shape (5,), not (5, 1, 1)"),
])
def test_labels_of_another_form(labels, message, tmp_path):
    name = write(tmp_path, arrays=(X, labels, X[:2], Y[:2]))
    assert refused(load_dataset, name, FRAMES) == message.format(f"{tmp_path}/set.npz")


def test_first_label_is_said(tmp_path):
    name = write(tmp_path, arrays=(X, Y + 1, X[:2], Y[:2] + 1))
    assert load_dataset(f"{name},first-label=1", FRAMES).train_labels.tolist() == Y.tolist()
    assert refused(load_dataset, f"{name},first-label=2", FRAMES) == (
        f"{tmp_path}/set.npz: train_labels must hold labels from 2, not 1")


# Events

EVENTS = wanted("events", size=12, bits=1, steps=3, shape=(2, 3, 2))
BITS = np.random.default_rng(0).integers(0, 2, (4, 3, 2, 3, 2))


@pytest.mark.parametrize("kind", [np.uint8, bool, np.int64])
def test_event_frames(kind, tmp_path):
    for frames in (BITS.astype(kind), BITS.astype(kind).reshape(4, 3, 12)):
        data = load_dataset(write(tmp_path, arrays=(frames, Y[:4], frames[:2], Y[:2])), EVENTS)
        assert np.array_equal(data.train_frames[:], BITS.reshape(4, 3, 12))
        assert np.array_equal(data.test_frames[:], BITS[:2].reshape(2, 3, 12))


def unfit_events(found):
    return "{}: train_frames " + unfit("time.steps and input.shape", found, "(samples, 3, 2, 3, 2) or (samples, 3, 12)")


@pytest.mark.parametrize("frames, message", [
    (BITS.swapaxes(0, 1), unfit_events("(3, 4, 2, 3, 2)")),
    (BITS.transpose(0, 1, 4, 2, 3), unfit_events("(4, 3, 2, 2, 3)")),
    (BITS[:, 0], unfit_events("(4, 2, 3, 2)")),
    (BITS.astype(float), "{}: train_frames must hold bits, not float64"),
    (BITS * 2, "input.bits must hold 2 for {}: train_frames, not 1"),
])
def test_event_frames_of_another_form(frames, message, tmp_path):
    name = write(tmp_path, arrays=(frames, Y[:4], BITS[:2], Y[:2]))
    assert refused(load_dataset, name, EVENTS) == message.format(f"{tmp_path}/set.npz")


def recordings(**changes):
    """Two recordings to train, one to test; windows of 10 microseconds."""
    arrays = {"train_t": [5, 16, 40, 100, 125], "train_x": [0, 2, 1, 1, 2], "train_y": [0, 1, 1, 0, 0],
              "train_p": [0, 1, 1, 0, 1], "train_borders": [0, 3, 5], "train_labels": [7, 1],
              "test_t": [0, 10], "test_x": [1, 1], "test_y": [0, 1], "test_p": [True, False], "test_borders": [0, 2],
              "test_labels": [9]}
    return {name: np.asarray(value) for name, value in (arrays | changes).items() if value is not None}


def ones(frames):
    return np.argwhere(frames[:].reshape(-1, 3, 2, 3, 2)).tolist()


def test_events(tmp_path):
    np.savez(tmp_path / "set.npz", **recordings())
    data = load_dataset(f"npz:{tmp_path}/set.npz", EVENTS)
    assert ones(data.train_frames) == [[0, 0, 0, 0, 0], [0, 1, 1, 2, 1], [1, 0, 0, 1, 0], [1, 2, 0, 2, 1]]
    assert ones(data.test_frames) == [[0, 0, 0, 1, 1], [0, 1, 1, 1, 0]]
    assert data.train_labels.tolist() == [7, 1] and data.test_labels.tolist() == [9]
    assert data.notes == ("14.3% of the events come after the 3 steps of 10 microseconds, at most 33.3% of a recording "
                          f"({tmp_path}/set.npz: train recording 0)",)


@pytest.mark.parametrize("kind", [EVENTS, FRAMES])
def test_events_beside_frames(kind, tmp_path):
    np.savez(tmp_path / "set.npz", **recordings(), train_frames=BITS, test_frames=BITS)
    assert refused(load_dataset, f"npz:{tmp_path}/set.npz", kind) == (
        f"{tmp_path}/set.npz: must hold arrays of one set of names, not of train_frames, train_labels, test_frames, "
        "test_labels and of train_t, train_x, train_y, train_p, train_borders, test_t, test_x, test_y, test_p, "
        "test_borders")


def test_events_for_a_core_of_frames(tmp_path):
    np.savez(tmp_path / "set.npz", **recordings())
    assert "must hold train_frames, train_labels, " in refused(load_dataset, f"npz:{tmp_path}/set.npz", FRAMES)


def test_events_of_a_larger_sensor(tmp_path):
    own = recordings(sensor=[4, 6])
    np.savez(tmp_path / "set.npz", **own | {name: own[name] * 2 + 1 for name in own if name[-2:] in ("_x", "_y")})
    large = load_dataset(f"npz:{tmp_path}/set.npz", EVENTS)
    np.savez(tmp_path / "set.npz", **recordings())
    assert ones(large.train_frames) == ones(load_dataset(f"npz:{tmp_path}/set.npz", EVENTS).train_frames)


@pytest.mark.parametrize("changes, message", [
    ({"train_t": [5.0, 16, 40, 100, np.nan]}, "train_t must hold integers, not float64"),
    ({"train_t": [5, 16, 40, 100]}, "train_t must have the shape (5,), not (4,)"),
    ({"train_t": [5, 16, -40, 100, 125]}, f"train recording 0: t of an event must be 0 to {2**62 - 1}, not -40"),
    ({"train_t": [5, 5, 5, 100, 125]}, "train recording 0: must use more than one of the 3 steps of 10 microseconds; "
                                       "its 3 events begin at 5 and end at 5, 0.0% of them too late"),
    ({"train_x": [0, 3, 1, 1, 2]}, "train recording 0: x of an event must be 0 to 2, not 3"),
    ({"test_p": [-1, 1]}, "test recording 0: polarity of an event must be 0 to 1, not -1"),
    ({"train_borders": [0, 3, 6]}, "train_t must have the shape (6,), not (5,)"),
    ({"train_borders": [0, 6, 5]}, "train_borders must begin with 0 and rise, not 0, 6, 5 ..."),
    ({"train_borders": [1, 3, 5]}, "train_borders must begin with 0 and rise, not 1, 3, 5 ..."),
    ({"train_borders": [0, 0, 5]}, "train recording 0: must hold at least one event, not none"),
    ({"train_borders": [0.0, 3, 5]}, "train_borders must hold integers, not float64"),
    ({"train_labels": [7]}, "train_labels must hold 2 labels, one for each sample, not 1"),
    ({"sensor": [4, 7]}, "input.shape must be [4, 7, 2], or have a height and a width that divide it, not [2, 3, 2]"),
    ({"test_borders": None}, "must hold test_t, test_x, test_y, test_p, test_borders, test_labels: test_borders is "
                             "missing"),
])
def test_events_of_another_form(changes, message, tmp_path):
    np.savez(tmp_path / "set.npz", **recordings(**changes))
    found = refused(load_dataset, f"npz:{tmp_path}/set.npz", EVENTS)
    assert re.sub(f"^{re.escape(str(tmp_path))}/set.npz: ", "", found) == message
