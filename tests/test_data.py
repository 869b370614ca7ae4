"""Data sets from files, whole and damaged; events in frames. Every file here is tiny, but for MNIST."""

import gzip
import os
import re
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spikeloom.gen import presets
from spikeloom.golden import images
from spikeloom.golden.data import SOURCES, DataError, load_dataset
from spikeloom.golden.directions import DIRECTIONS, directions
from spikeloom.golden.events import EventFrames, bin_events, reduction
from spikeloom.golden.recordings import load_recordings

MNIST = Path(__file__).parents[2] / "shared/data/mnist"


def wanted(kind="frame", size=6, bits=8, classes=10, steps=3, shape=(1, 3, 2), bin_microseconds=10):
    """As much of a configuration as the loaders look at."""
    return SimpleNamespace(
        input=SimpleNamespace(kind=kind, size=size, bits=bits, shape=shape, bin_microseconds=bin_microseconds),
        time=SimpleNamespace(steps=steps), network=SimpleNamespace(classes=classes))


def refused(load, *arguments):
    """The message of the `DataError`: one line."""
    with pytest.raises(DataError) as error:
        load(*arguments)
    message = str(error.value)
    assert "\n" not in message
    return message


# Names

@pytest.mark.parametrize("name, form", [
    ("idx", "idx:FOLDER"), ("idx:", "idx:FOLDER"), ("npz", "npz:FILE"), ("digits:", "digits"), ("digits:x", "digits")])
def test_form_of_name(name, form):
    assert refused(load_dataset, name, wanted()) == f"data must be written {form}, not {name!r}"


def test_unknown_name():
    assert refused(load_dataset, "letters", wanted()) == (
        "data must be one of cifar10:FOLDER, cifar10dvs:FOLDER, digits, directions, dvsgesture:FOLDER, idx:FOLDER, "
        "nmnist:FOLDER, npz:FILE, not 'letters'")


@pytest.mark.parametrize("name", SOURCES)
def test_kind_of_input(name):
    source = SOURCES[name]
    written, other = name + (":x" if ":" in source.form else ""), {"frame": "events", "events": "frame"}[source.kind]
    assert refused(load_dataset, written, wanted(other)) == (
        f"input.kind must be {source.kind!r} for data set {written!r}, not {other!r}")


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
    (lambda folder: write_idx(folder / "train-labels-idx1-ubyte", Y), "must hold images and labels of one training"),
    (lambda folder: (folder / "t10k-labels-idx1-ubyte").rename(folder / "emnist-mnist-test-labels-idx1-ubyte"),
     "must hold images and labels of one training and one test set"),
    (lambda folder: write_idx(folder / "train-labels-idx1-ubyte.gz", Y[:3]),
     "/train-labels-idx1-ubyte.gz: must hold 4 labels, one for each image, not 3"),
    (lambda folder: write_idx(folder / "t10k-images-idx3-ubyte.gz", X[:2, :, :2]),
     "/t10k-images-idx3-ubyte.gz: must hold images of 2 x 3 like the training set, not 2 x 2"),
    (lambda folder: write_idx(folder / "train-images-idx3-ubyte", X[0]),
     "/train-images-idx3-ubyte: magic number must be 2051, not 2050"),
    (lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03"),
     "/train-images-idx3-ubyte: must hold a header of 16 bytes, not 4 bytes"),
    (lambda folder: os.truncate(folder / "train-images-idx3-ubyte", 20),
     "/train-images-idx3-ubyte: must hold 4 x 2 x 3 values after its header, at least one, not 4"),
    (lambda folder: write_idx(folder / "t10k-labels-idx1-ubyte", []),
     "/t10k-labels-idx1-ubyte: must hold 0 values after its header, at least one, not 0"),
    (lambda folder: os.truncate(folder / "train-labels-idx1-ubyte.gz", 20),
     "/train-labels-idx1-ubyte.gz: cannot be read: Compressed file ended before"),
    (lambda folder: (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"text"),
     "/train-labels-idx1-ubyte.gz: cannot be read: Not a gzipped file"),
])
def test_damaged_idx(idx, spoil, message):
    spoil(idx)
    assert message in refused(load_dataset, f"idx:{idx}", wanted())


def test_missing_folder(tmp_path):
    assert refused(load_dataset, f"idx:{tmp_path}/none", wanted()) == (
        f"{tmp_path}/none: cannot be read: No such file or directory")


@pytest.mark.parametrize("changes, message", [
    ({"size": 5}, "input.size must be 6 for data set"), ({"classes": 9}, "network.classes must be at least 10")])
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
    ({"train_frames": X / 2}, "train_frames must hold integers, not float64"),
    ({"test_labels": [True, False]}, "test_labels must hold integers, not bool"),
    ({"test_frames": [1, 2]}, r"test_frames must have the shape (samples, ...), not (2,)"),
    ({"train_labels": X}, r"train_labels must have the shape (samples,), not (4, 2, 3)"),
    ({"test_frames": X[:0]}, "test_frames must hold at least one sample, not the shape (0, 2, 3)"),
    ({"train_frames": X - 7}, "train_frames must hold values from 0, not -7"),
    ({"train_labels": Y[:3]}, "train_labels must hold 4 labels, one for each frame, not 3"),
    ({"test_frames": X[:2, 0]}, "test_frames must be 2 x 3 like train_frames, not 3"),
    ({"test_labels": [{}, {}]}, "not a NumPy archive: Object arrays cannot be loaded"),
    ({"train_frames": X * 11}, "input.bits must hold 2783 for data set"),
])
def test_damaged_npz(tmp_path, changes, message):
    np.savez(tmp_path / "set.npz", **GOOD | changes)
    assert message in refused(load_dataset, f"npz:{tmp_path}/set.npz", wanted())


def test_npz_without_an_array(tmp_path):
    np.savez(tmp_path / "set.npz", train_frames=X)
    assert "must hold train_frames, train_labels, test_frames, test_labels: train_labels is not a file" in \
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


# Events

def test_binning_by_hand():
    events = np.array([  # t, x, y, p
        (100, 3, 0, 1), (105, 2, 1, 1), (109, 0, 2, 0), (107, 3, 1, 1),  # window 0: pixels (0, 1) thrice, and (1, 0)
        (110, 3, 3, 0), (119, 1, 3, 1),  # window 1: (1, 1) and (1, 0)
        (131, 0, 0, 1)])  # window 3 comes too late
    places = bin_events(*events.T, sensor=(4, 4, 2), shape=(2, 2, 2), steps=3, bin_microseconds=10)
    frames = EventFrames([places], 3, 8)
    assert frames[0].tolist() == [[0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 0], [0] * 8]
    assert [part.tolist() for part in frames.pairs(0)] == [[0, 0, 1, 1], [3, 4, 5, 6]]


def test_whole_sensor():
    """Unsigned times as cameras write them, a sensor that is not square."""
    t, x, y, p = np.array([7, 9], np.uint64), np.array([4, 0], np.uint16), np.array([2, 1], np.uint16), [True, False]
    places = bin_events(t, x, y, p, sensor=(3, 5, 2), shape=(3, 5, 2), steps=2, bin_microseconds=2)
    assert places.tolist() == [(2 * 5 + 4) * 2 + 1, 30 + 5 * 2]


@pytest.mark.parametrize("shape", [(3, 4, 2), (4, 8, 2), (4, 4, 1)])
def test_shape_must_divide_the_sensor(shape):
    assert refused(reduction, (4, 4, 2), shape) == (
        f"input.shape must be [4, 4, 2], or have a height and a width that divide it, not {list(shape)}")


@pytest.mark.parametrize("event, message", [
    ((0, 4, 0, 0), "x of an event must be 0 to 3, not 4"), ((0, 0, -1, 0), "y of an event must be 0 to 3, not -1"),
    ((0, 0, 0, 2), "polarity of an event must be 0 to 1, not 2"), ((), "must hold at least one event, not none")])
def test_events_outside(event, message):
    fields = [np.array([value]) for value in event] or [np.array([])] * 4
    with pytest.raises(DataError, match=re.escape(message)):
        bin_events(*fields, sensor=(4, 4, 2), shape=(4, 4, 2), steps=3, bin_microseconds=10)


@given(st.data())
def test_indexing_is_that_of_the_dense_array(data):
    samples, steps, size = (data.draw(st.integers(1, top)) for top in (5, 4, 9))
    dense = data.draw(arrays(np.uint8, (samples, steps, size), elements=st.integers(0, 1)))
    places = [data.draw(st.permutations(np.flatnonzero(sample).tolist() * 2)) for sample in dense]
    frames = EventFrames(places, steps, size)
    assert frames.shape == dense.shape and len(frames) == samples
    number = st.integers(-samples, samples - 1)
    for key in (data.draw(number), data.draw(st.slices(samples)), data.draw(st.lists(number)),
                np.array(data.draw(st.lists(number)), np.int64), dense[:, 0, 0] > 0):
        assert frames[key].dtype == np.uint8
        assert np.array_equal(frames[key], dense[key])
    assert all(np.array_equal(*both) for both in zip(frames, dense))
    for number, sample in enumerate(dense):
        assert all(np.array_equal(*both) for both in zip(frames.pairs(number), np.nonzero(sample)))


def test_places_outside_a_sample():
    with pytest.raises(ValueError, match="places of sample 1 must be 0 to 5, not 2 to 6"):
        EventFrames([[0, 5], [6, 2]], 2, 3)
    with pytest.raises(IndexError):
        EventFrames([[0, 5]], 2, 3)[1]


# Directions

def test_directions():
    config = wanted("events", size=8 * 10 * 2, bits=1, steps=6, shape=(8, 10, 2))
    data, again = load_dataset("directions", config), load_dataset("directions", config)
    assert data.train_frames.shape == (800, 6, 160) and data.test_frames.shape == (200, 6, 160)
    assert np.bincount(data.train_labels).tolist() == [100] * 8 and np.bincount(data.test_labels).tolist() == [25] * 8
    assert np.array_equal(data.train_frames[:], again.train_frames[:])
    assert not np.array_equal(data.train_frames[:9], directions((8, 10, 2), 6, seed=1).train_frames[:9])


def test_directions_can_be_learned():
    """The nearest mean of a class, in plain pixels, finds three of four; chance is one of eight."""
    data = directions((16, 16, 2), 10)
    x, x_test = (frames[:].reshape(len(frames), -1).astype(float) for frames in (data.train_frames, data.test_frames))
    means = np.stack([x[data.train_labels == label].mean(0) for label in range(8)])
    found = ((means ** 2).sum(1) - 2 * x_test @ means.T).argmin(1)
    assert (found == data.test_labels).mean() > 0.6


@pytest.mark.parametrize("label", range(8))
def test_bars_move_in_their_direction(label):
    """Without looking at how bars are made: events move the right way, and those of polarity 1 go ahead."""
    data = directions((24, 24, 2), 8)
    frames = data.train_frames[data.train_labels == label].sum(0).astype(float).reshape(8, 24, 24, 2)
    along = np.add.outer(np.arange(24) * DIRECTIONS[label][1], np.arange(24) * DIRECTIONS[label][0])
    trailing, leading = (frames * along[..., None]).sum((1, 2)).T / frames.sum((1, 2)).T
    assert leading[0] < leading[3] and trailing[2] < trailing[-1]
    assert leading[1] > trailing[1] and leading[4] > trailing[4]


@pytest.mark.parametrize("shape", [(3, 8, 2), (8, 8, 1)])
def test_directions_shape(shape):
    assert refused(directions, shape, 4) == (
        f"input.shape must be at least [4, 4, 2], with 2 channels, for data set 'directions', not {list(shape)}")


# Recordings, through tonic

#: (t, x, y, p) in microseconds, on any of the sensors.
EVENTS = [(1000, 0, 0, 1), (1500, 33, 32, 0), (3000, 2, 3, 1), (99000, 1, 1, 1)]
#: What they give with two steps of 2 ms: (step, y, x, polarity).
ONES = [[0, 0, 0, 1], [0, 32, 33, 0], [1, 3, 2, 1]]


def ones(frames, shape, number=0):
    """Ones of a sample as [step, y, x, polarity]."""
    return np.argwhere(frames[number].reshape(-1, *shape)).tolist()


def nmnist_bytes(events=EVENTS):
    """Five bytes an event, time in 23 bits."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for t, x, y, p in events)


def aedat4_bytes(events=EVENTS):
    """AEDAT 4: one uncompressed packet; the two FlatBuffers written out by hand."""
    xml = (b'<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="0" path="/mainloop/'
           b'Recorder/outInfo/0/"><attr key="typeIdentifier" type="string">EVTS</attr><node name="info" path="/mainloop'
           b'/Recorder/outInfo/0/info/"><attr key="sizeX" type="int">128</attr><attr key="sizeY" type="int">128</attr>'
           b'</node></node></node></dv>')
    # Root offset, identifier; vtable: its size, size of the table, places of compression, data table, text.
    header = struct.pack("<I4s5H2x", 24, b"IOHE", 10, 20, 4, 8, 16) + b"\0" * 4
    header += struct.pack("<iiqI", len(header) - 8, 0, -1, 4) + struct.pack("<I", len(xml)) + xml + b"\0"
    packet = struct.pack("<I4s3H2x", 16, b"EVTS", 6, 8, 4)
    packet += struct.pack("<iI", len(packet) - 8, 4) + struct.pack("<I", len(events))
    packet += b"".join(struct.pack("<qhhB3x", t, x, y, p) for t, x, y, p in events)
    packet = struct.pack("<I", len(packet)) + packet
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header + struct.pack("<ii", 0, len(packet)) + packet


@pytest.fixture
def tonic(monkeypatch):
    """The library, content with a single file of each kind, and without a network."""
    library = pytest.importorskip("tonic", reason="no tonic: pip install aedat tonic")
    count = library.Dataset._folder_contains_at_least_n_files_of_type
    monkeypatch.setattr(library.Dataset, "_folder_contains_at_least_n_files_of_type",
                        lambda self, n_files, file_type: count(self, 1, file_type))

    def connect(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr("socket.socket.connect", connect)
    monkeypatch.setattr("socket.getaddrinfo", connect)
    return library


@pytest.fixture
def nmnist(tonic, tmp_path):
    folder = tmp_path / "NMNIST"
    for part, labels in (("Train", [4, 7, 0]), ("Test", [9])):
        for label in labels:
            (folder / part / str(label)).mkdir(parents=True)
            (folder / part / str(label) / "00001.bin").write_bytes(nmnist_bytes())
        (folder / f"{part.lower()}.zip").touch()
    return tmp_path


def test_nmnist(nmnist):
    config = wanted("events", size=2312, bits=1, steps=2, shape=(34, 34, 2), bin_microseconds=2000)
    data = load_dataset(f"nmnist:{nmnist}", config)
    assert data.train_frames.shape == (3, 2, 2312) and data.test_frames.shape == (1, 2, 2312)
    assert data.train_labels.tolist() == [0, 4, 7] and data.test_labels.tolist() == [9]
    assert ones(data.train_frames, (34, 34, 2)) == ones(data.test_frames, (34, 34, 2)) == ONES


@pytest.mark.parametrize("content, message", [
    (nmnist_bytes()[:-2], "must hold events of 5 bytes, not 18 bytes"),
    (b"", "must hold at least one event, not none"),
    (nmnist_bytes([(0, 34, 0, 1)]), "x of an event must be 0 to 33, not 34"),
])
def test_damaged_nmnist(nmnist, content, message):
    path = nmnist / "NMNIST/Train/7/00001.bin"
    path.write_bytes(content)
    assert refused(load_recordings, "nmnist", nmnist, (17, 17, 2), 2, 2000) == f"{path}: {message}"


def test_tonic_never_downloads(nmnist):
    (nmnist / "NMNIST/test.zip").unlink()
    assert refused(load_recordings, "nmnist", nmnist, (17, 17, 2), 2, 2000) == (
        f"{nmnist}/NMNIST: must hold test.zip and all files extracted from it, laid out as tonic does; "
        "nothing is downloaded")
    for name, file in (("dvsgesture", "ibmGestureTrain.tar.gz"), ("cifar10dvs", "CIFAR10DVS.zip")):
        if name == "cifar10dvs":
            pytest.importorskip("aedat", reason="no aedat: pip install aedat")
        assert f"must hold {file} and all files" in refused(load_recordings, name, nmnist / "none", (8, 8, 2), 2, 2000)
    assert not (nmnist / "none").exists()


def test_shape_before_files(tonic, tmp_path):
    assert "input.shape must be [34, 34, 2]" in refused(load_recordings, "nmnist", tmp_path, (32, 32, 2), 2, 2000)


def test_foreign_files_of_tonic(nmnist):
    (nmnist / "NMNIST/Train/seven").mkdir()
    (nmnist / "NMNIST/Train/seven/00001.bin").touch()
    assert f"{nmnist}: must be laid out as tonic's NMNIST" in \
        refused(load_recordings, "nmnist", nmnist, (17, 17, 2), 2, 2000)


@pytest.fixture
def dvsgesture(tonic, tmp_path):
    """Times in milliseconds."""
    rows = np.array([(x, y, p, t / 1000) for t, x, y, p in EVENTS])
    for part, labels in (("Train", [10, 0]), ("Test", [3])):
        folder = tmp_path / "DVSGesture" / f"ibmGesture{part}" / "user02_fluorescent_led"
        folder.mkdir(parents=True)
        for label in labels:
            np.save(folder / f"{label}.npy", rows)
        (tmp_path / "DVSGesture" / f"ibmGesture{part}.tar.gz").touch()
    return tmp_path


def test_dvsgesture(dvsgesture):
    data = load_recordings("dvsgesture", dvsgesture, (128, 128, 2), 2, 2000)
    assert data.train_labels.tolist() == [0, 10] and data.test_labels.tolist() == [3]
    assert ones(data.train_frames, (128, 128, 2), 1) == ONES
    smaller = load_recordings("dvsgesture", dvsgesture, (32, 32, 2), 2, 2000)
    assert ones(smaller.test_frames, (32, 32, 2)) == [[0, 0, 0, 1], [0, 8, 8, 0], [1, 0, 0, 1]]


def test_damaged_dvsgesture(dvsgesture):
    path = dvsgesture / "DVSGesture/ibmGestureTest/user02_fluorescent_led/3.npy"
    os.truncate(path, path.stat().st_size - 8)
    assert f"{path}: cannot be read: " in refused(load_recordings, "dvsgesture", dvsgesture, (32, 32, 2), 2, 2000)


def test_recordings_without_samples(dvsgesture):
    """tonic counts the files, but reads only those in the folder of a person."""
    folder = dvsgesture / "DVSGesture/ibmGestureTest"
    (folder / "user02_fluorescent_led/3.npy").rename(folder / "3.npy")
    assert refused(load_recordings, "dvsgesture", dvsgesture, (32, 32, 2), 2, 2000) == (
        f"{folder}: must hold samples to train and to test with, not none")


@pytest.fixture
def cifar10dvs(tonic, tmp_path):
    """Ten recordings of two classes."""
    pytest.importorskip("aedat", reason="no aedat: pip install aedat")
    for name in ("cat", "truck"):
        folder = tmp_path / "CIFAR10DVS" / name
        folder.mkdir(parents=True)
        for number in range(10):
            (folder / f"cifar10_{name}_{number}.aedat4").write_bytes(aedat4_bytes([*EVENTS, (1000, number, 7, 0)]))
    (tmp_path / "CIFAR10DVS/CIFAR10DVS.zip").touch()
    return tmp_path


def test_cifar10dvs(cifar10dvs):
    data = load_recordings("cifar10dvs", cifar10dvs, (128, 128, 2), 2, 2000)
    assert data.train_labels.tolist() == [3] * 9 + [9] * 9 and data.test_labels.tolist() == [3, 9]
    for place in range(18):
        assert ones(data.train_frames, (128, 128, 2), place) == sorted([*ONES, [0, 7, place % 9, 0]])
    assert ones(data.test_frames, (128, 128, 2), 1) == sorted([*ONES, [0, 7, 9, 0]])


@pytest.mark.parametrize("keep", [0, 20, 100, -1, -8, -30])
def test_damaged_cifar10dvs(cifar10dvs, keep):
    path = cifar10dvs / "CIFAR10DVS/truck/cifar10_truck_4.aedat4"
    path.write_bytes(path.read_bytes()[:keep])
    assert f"{path}: cannot be read: " in refused(load_recordings, "cifar10dvs", cifar10dvs, (32, 32, 2), 2, 2000)


@pytest.mark.parametrize("name, packages, missing", [
    ("nmnist", "tonic", "tonic.datasets"), ("cifar10dvs", "tonic and aedat", "tonic.datasets"),
    ("cifar10dvs", "tonic and aedat", "aedat")])
def test_missing_package(monkeypatch, tmp_path, name, packages, missing):
    if missing == "aedat":
        pytest.importorskip("tonic", reason="no tonic: pip install aedat tonic")
    monkeypatch.setitem(sys.modules, missing, None)
    message = refused(load_recordings, name, tmp_path, (32, 32, 2), 2, 2000)
    assert message.startswith(f"data set {name!r} needs {packages}; install with: pip install aedat tonic (")


def test_size_of_events():
    config = wanted("events", size=100, bits=1, shape=(4, 4, 2))
    assert refused(load_dataset, "directions", config) == "input.size must be 32 for data set 'directions', not 100"
