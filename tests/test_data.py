"""Data sets of frames from files, whole and damaged. Every file here is tiny, but for MNIST."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from loading import refused, unfit, wanted
from spikeloom.gen import presets
from spikeloom.golden import images
from spikeloom.golden.data import SOURCES, load_dataset

MNIST = Path(__file__).parents[2] / "shared/data/mnist"


# Names

@pytest.mark.parametrize("name, form", [
    ("idx", "idx:FOLDER[:SPLIT]"), ("idx:", "idx:FOLDER[:SPLIT]"), ("csv", "csv:FOLDER[:SPLIT]"),
    ("npz", "npz:FILE"), ("digits:", "digits"), ("digits:x", "digits")])
def test_form_of_name(name, form):
    assert refused(load_dataset, name, wanted()) == f"data must be written {form}, not {name!r}"


def test_unknown_name():
    assert refused(load_dataset, "letters", wanted()) == (
        "data must be one of cifar10:FOLDER, cifar10dvs:FOLDER, csv:FOLDER[:SPLIT], digits, directions, "
        "dvsgesture:FOLDER, idx:FOLDER[:SPLIT], nmnist:FOLDER, npz:FILE, not 'letters'")


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if len(source.kinds) == 1])
def test_kind_of_input(name):
    source = SOURCES[name]
    kind, = source.kinds
    written, other = name + (":x" if ":" in source.form else ""), {"frame": "events", "events": "frame"}[kind]
    assert refused(load_dataset, written, wanted(other)) == (
        f"input.kind must be {kind!r} for data set {written!r}, not {other!r}")


def test_digits():
    data = load_dataset("digits", presets.find("tiny"))
    assert data.train_frames.shape == (1437, 64) and data.test_frames.shape == (360, 64)
    assert data.train_frames.dtype == np.uint8 and data.train_frames.max() == 16


# IDX

def write_idx(path, values):
    """An IDX file of unsigned bytes, packed if its name says so."""
    values = np.asarray(values, np.uint8)
    content = struct.pack(f">{values.ndim + 1}I", 0x0800 | values.ndim, *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


X = np.arange(4 * 2 * 3).reshape(4, 2, 3) * 11
Y = [3, 0, 9, 1]


@pytest.fixture
def idx(tmp_path):
    """Four images of 2 x 3 to train, two to test; a file that does not matter."""
    write_idx(tmp_path / "train-images-idx3-ubyte", X)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", Y)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", X[:2] + 1)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", Y[:2])
    (tmp_path / "README").write_text("")
    return tmp_path


@pytest.mark.parametrize("bits", [1, 4, 8, 10])
def test_idx(idx, bits):
    data = load_dataset(f"idx:{idx}", wanted(bits=bits))
    assert np.array_equal(data.train_frames, X.reshape(4, 6) >> max(8 - bits, 0))
    assert np.array_equal(data.test_frames, (X[:2] + 1).reshape(2, 6) >> max(8 - bits, 0))
    assert data.train_labels.tolist() == Y and data.test_labels.tolist() == Y[:2]
    assert data.train_frames.dtype == np.uint8 and data.train_labels.dtype == np.int64
    assert data.train_frames.flags.writeable  # PyTorch warns of arrays that are not


def test_emnist_is_transposed(tmp_path):
    for part, count in (("train", 4), ("test", 2)):
        write_idx(tmp_path / f"emnist-letters-{part}-images-idx3-ubyte.gz", X[:count])
        write_idx(tmp_path / f"emnist-letters-{part}-labels-idx1-ubyte.gz", Y[:count])
    data = load_dataset(f"idx:{tmp_path}", wanted())
    assert data.train_frames[0].tolist() == [0, 33, 11, 44, 22, 55]


@pytest.mark.parametrize("spoil, message", [
    (lambda folder: (folder / "t10k-labels-idx1-ubyte").unlink(),
     ": must hold images and labels of one training and one test set, such as train-images-idx3-ubyte.gz, "
     "not t10k-images-idx3-ubyte.gz, train-images-idx3-ubyte, train-labels-idx1-ubyte.gz"),
    (lambda folder: write_idx(folder / "train-labels-idx1-ubyte", Y[::-1]),
     ": must hold one file of the training labels, or the same one several times, or a SPLIT must choose a folder "
     "(idx:FOLDER:SPLIT), not train-labels-idx1-ubyte, train-labels-idx1-ubyte.gz"),
    (lambda folder: (folder / "t10k-labels-idx1-ubyte").rename(folder / "emnist-mnist-test-labels-idx1-ubyte"),
     ": must hold one set, or a SPLIT must choose one (idx:FOLDER:SPLIT), not emnist-mnist, one without a name"),
    (lambda folder: write_idx(folder / "train-labels-idx1-ubyte.gz", Y[:3]),
     "/train-labels-idx1-ubyte.gz: must hold 4 labels, one for each sample, not 3"),
    (lambda folder: write_idx(folder / "t10k-images-idx3-ubyte.gz", X[:2].transpose(0, 2, 1)),
     "/t10k-images-idx3-ubyte.gz: must hold images of 2 x 3 like the training set, not 3 x 2"),
    (lambda folder: write_idx(folder / "train-images-idx3-ubyte", X[0]),
     "/train-images-idx3-ubyte: magic number must be 2051 (images) or 2049 (labels), not 2050"),
    (lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03"),
     "/train-images-idx3-ubyte: must hold a header of 16 bytes, not 4 bytes"),
    (lambda folder: os.truncate(folder / "train-images-idx3-ubyte", 20),
     "/train-images-idx3-ubyte: must hold 4 x 2 x 3 values after its header, at least one, not 4"),
    (lambda folder: write_idx(folder / "t10k-labels-idx1-ubyte", []),
     "/t10k-labels-idx1-ubyte: must hold 0 values after its header, at least one, not 0"),
    (lambda folder: os.truncate(folder / "train-labels-idx1-ubyte.gz", 20),
     "/train-labels-idx1-ubyte.gz: cannot be read: Compressed file ended before"),
    (lambda folder: (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"text"),
     "/train-labels-idx1-ubyte.gz: magic number must be 2051 (images) or 2049 (labels), not 1952807028"),
])
def test_damaged_idx(idx, spoil, message):
    spoil(idx)
    assert message in refused(load_dataset, f"idx:{idx}", wanted())


@pytest.mark.parametrize("file, kind", [
    ("train-images-idx3-ubyte.gz", "idx"), ("train.csv", "csv"), ("data_batch_1.bin", "cifar10"), ("about", "KIND")])
def test_a_folder_without_its_kind(file, kind, tmp_path):
    (tmp_path / file).touch()
    assert refused(load_dataset, str(tmp_path), wanted()).endswith(
        f", not {str(tmp_path)!r}; this folder is written {kind}:{tmp_path}")


def test_a_file_without_its_kind():
    assert refused(load_dataset, "sets/own.npz", wanted()).endswith(
        ", not 'sets/own.npz'; this file is written npz:sets/own.npz")


def test_missing_folder(tmp_path):
    assert refused(load_dataset, f"idx:{tmp_path}/none", wanted()) == (
        f"{tmp_path}/none: cannot be read: No such file or directory")


@pytest.mark.parametrize("changes, message", [
    ({"size": 5}, f"/train-images-idx3-ubyte {unfit('input.size', '(4, 2, 3)', '(samples, 5)')}"),
    ({"classes": 9}, "network.classes must be at least 10")])
def test_idx_must_fit(idx, changes, message):
    assert message in refused(load_dataset, f"idx:{idx}", wanted(**changes))


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"no MNIST in {MNIST}")
def test_mnist():
    data = load_dataset(f"idx:{MNIST}", wanted(size=784))
    assert data.train_frames.shape == (60000, 784) and data.test_frames.shape == (10000, 784)
    assert round(float(data.train_frames.mean()) / 255, 4) == 0.1307  # the figure that everybody normalises by
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9] and data.test_labels[:3].tolist() == [7, 2, 1]
    assert set(data.train_labels) == set(data.test_labels) == set(range(10))


# CIFAR-10

@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """Six files of two records; pixels count up through colour, y, x."""
    monkeypatch.setattr(images, "CIFAR10_RECORDS", 2)
    monkeypatch.setattr(images, "CIFAR10_SHAPE", (3, 2, 1))
    for place, name in enumerate(["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5",
                                  "test_batch"]):
        (tmp_path / f"{name}.bin").write_bytes(bytes([place, *range(6), 9, *range(100, 106)]))
    return tmp_path


def test_cifar10(cifar10):
    data = load_dataset(f"cifar10:{cifar10}", wanted())
    assert data.train_frames.shape == (10, 6) and data.train_labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert data.train_frames[:2].tolist() == [[0, 2, 4, 1, 3, 5], [100, 102, 104, 101, 103, 105]]
    assert data.test_labels.tolist() == [5, 9]
    assert load_dataset(f"cifar10:{cifar10}", wanted(bits=5)).test_frames[1].tolist() == [12, 12, 13, 12, 12, 13]


@pytest.mark.parametrize("content, message", [
    (None, "cannot be read: No such file or directory"),
    (b"\0" * 13, "must hold 2 records of 7 bytes, not 13 bytes"),
    (b"\x0a" * 14, "labels must be 0 to 9, not 10"),
])
def test_damaged_cifar10(cifar10, content, message):
    path = cifar10 / "data_batch_3.bin"
    path.unlink()
    if content:
        path.write_bytes(content)
    assert refused(load_dataset, f"cifar10:{cifar10}", wanted()) == f"{path}: {message}"


# NumPy archives

GOOD = {"train_frames": X, "train_labels": Y, "test_frames": X[:2], "test_labels": Y[:2]}


@pytest.mark.parametrize("scale, kind", [(1, np.uint8), (250, np.uint16)])
def test_npz(tmp_path, scale, kind):
    np.savez_compressed(tmp_path / "set.npz", **GOOD | {"train_frames": X * scale})
    data = load_dataset(f"npz:{tmp_path}/set.npz", wanted(bits=16))
    assert np.array_equal(data.train_frames, X.reshape(4, 6) * scale) and data.train_frames.dtype == kind
    assert data.test_frames.shape == (2, 6) and data.test_labels.tolist() == Y[:2]


@pytest.mark.parametrize("changes, message", [
    ({"train_frames": X / 2}, "train_frames must hold integers 0 to 255, not float64"),
    ({"test_labels": [True, False]}, "test_labels must hold integers, not bool"),
    ({"test_frames": [1, 2]}, f"test_frames {unfit('input.size', '(2,)', '(samples, 6)')}"),
    ({"train_labels": X}, "train_labels must have the shape (4,), not (4, 2, 3)"),
    ({"test_frames": X[:0]}, "test_frames must hold 1 to 1,048,576 samples, not 0"),
    ({"train_frames": X - 7}, "train_frames must hold values from 0, not -7"),
    ({"train_labels": Y[:3]}, "train_labels must hold 4 labels, one for each sample, not 3"),
    ({"test_frames": X[:2].transpose(0, 2, 1)}, "test_frames must be 2 x 3 like train_frames, not 3 x 2"),
    ({"test_labels": [{}, {}]},
     "not a NumPy archive: arrays must hold plain numbers; Python objects (pickles) and records are never"),
    ({"train_frames": X * 11}, "set.npz: train_frames, not 8"),
])
def test_damaged_npz(tmp_path, changes, message):
    np.savez(tmp_path / "set.npz", **GOOD | changes)
    assert message in refused(load_dataset, f"npz:{tmp_path}/set.npz", wanted())


def test_npz_without_an_array(tmp_path):
    np.savez(tmp_path / "set.npz", train_frames=X)
    assert "must hold train_frames, train_labels, test_frames, test_labels or x_train, y_train, x_test, y_test or " in \
        refused(load_dataset, f"npz:{tmp_path}/set.npz", wanted())


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 damaged", b"\x93NUMPY\x01\x00"])
def test_no_npz(tmp_path, content):
    path = tmp_path / "set.npz"
    assert refused(load_dataset, f"npz:{path}", wanted()) == f"{path}: not a NumPy archive: No such file or directory"
    path.write_bytes(content)
    assert refused(load_dataset, f"npz:{path}", wanted()).startswith(f"{path}: not a NumPy archive: ")
    np.savez(path, **GOOD)
    os.truncate(path, path.stat().st_size // 2)
    assert refused(load_dataset, f"npz:{path}", wanted()).startswith(f"{path}: not a NumPy archive: ")
