"""Data sets of events: binned, made up, and from recordings through tonic, whole and damaged. Every file is tiny."""

import importlib
import os
import re
import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loading import refused, wanted
from spikeloom.golden.data import DataError, load_dataset
from spikeloom.golden.dataset import Request
from spikeloom.golden.directions import DIRECTIONS, directions
from spikeloom.golden.events import Binning, EventFrames, reduction
from spikeloom.golden.recordings import load_recordings

# Events

def binning(sensor, shape, steps, window):
    config = wanted("events", size=np.prod(shape), bits=1, steps=steps, shape=shape, bin_microseconds=window)
    return Binning(sensor, config)


def test_binning_by_hand():
    events = np.array([  # t, x, y, p
        (100, 3, 0, 1), (105, 2, 1, 1), (109, 0, 2, 0), (107, 3, 1, 1),  # window 0: pixels (0, 1) thrice, and (1, 0)
        (110, 3, 3, 0), (119, 1, 3, 1),  # window 1: (1, 1) and (1, 0)
        (131, 0, 0, 1)])  # window 3 comes too late
    places = binning((4, 4, 2), (2, 2, 2), steps=3, window=10).places(*events.T, where="it")
    frames = EventFrames([places], 3, 8)
    assert frames[0].tolist() == [[0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 0], [0] * 8]
    assert [part.tolist() for part in frames.pairs(0)] == [[0, 0, 1, 1], [3, 4, 5, 6]]


def test_whole_sensor():
    """Unsigned times as cameras write them, a sensor that is not square."""
    t, x, y, p = np.array([7, 9], np.uint64), np.array([4, 0], np.uint16), np.array([2, 1], np.uint16), [True, False]
    places = binning((3, 5, 2), (3, 5, 2), steps=2, window=2).places(t, x, y, p, where="it")
    assert places.tolist() == [(2 * 5 + 4) * 2 + 1, 30 + 5 * 2]


@pytest.mark.parametrize("shape", [(3, 4, 2), (4, 8, 2), (4, 4, 1)])
def test_shape_must_divide_the_sensor(shape):
    assert refused(reduction, (4, 4, 2), shape) == (
        f"input.shape must be [4, 4, 2], or have a height and a width that divide it, not {list(shape)}")


@pytest.mark.parametrize("event, message", [
    ((0, 4, 0, 0), "x of an event must be 0 to 3, not 4"), ((0, 0, -1, 0), "y of an event must be 0 to 3, not -1"),
    ((0, 0, 0, 2), "polarity of an event must be 0 to 1, not 2"), ((), "must hold at least one event, not none"),
    ((-1, 0, 0, 0), f"t of an event must be 0 to {2**62 - 1}, not -1"),
    ((0.5, 0, 0, 0), "t of an event must be an integer, not float64"),
    ((np.nan, 0, 0, 0), "t of an event must be an integer, not float64"),
    ((0, 0.0, 0, 0), "x of an event must be an integer, not float64"),
    ((0, 0, 0, 0), "must use more than one of the 3 steps of 10 microseconds; its 1 events begin at 0 and end at 0, "
                   "0.0% of them too late")])
def test_events_outside(event, message):
    fields = [np.array([value]) for value in event] or [np.array([])] * 4
    with pytest.raises(DataError, match=f"^it: {re.escape(message)}$"):
        binning((4, 4, 2), (4, 4, 2), steps=3, window=10).places(*fields, where="it")


@pytest.mark.parametrize("times, message", [
    (np.arange(0, 1000, 10) // 1000, "its 100 events begin at 0 and end at 0, 0.0% of them too late"),  # milliseconds
    (np.arange(0, 1000, 10) * 1000, "its 100 events begin at 0 and end at 990000, 99.0% of them too late"),  # ns
    ([0, *range(2**31, 2**31 + 99)], f"its 100 events begin at 0 and end at {2**31 + 98}, 99.0% of them too late")])
def test_a_recording_in_one_step(times, message):
    """Of another unit, or with a glitch: never an empty recording without a word."""
    zeros = np.zeros(100, np.int64)
    with pytest.raises(DataError, match=re.escape(message)):
        binning((4, 4, 2), (4, 4, 2), steps=5, window=100).places(np.array(times), zeros, zeros, zeros, where="it")


def test_events_that_are_left_out_are_reported():
    own = binning((4, 4, 2), (4, 4, 2), steps=2, window=10)
    for name, times in (("a", [0, 12]), ("b", [100, 111, 125, 990]), ("c", [2**32 - 15, 2**32 - 2, 3, 14])):
        zeros = np.zeros(len(times), np.int64)
        assert own.notes == () or name != "b"
        own.places(np.array(times), zeros, zeros, zeros, where=name)
    assert own.notes == (
        "40.0% of the events come after the 2 steps of 10 microseconds, at most 50.0% of a recording (b)",
        "in 1 recordings times fall back by more than a step: not sorted, or a counter that wrapped")


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


def recordings(name, folder, shape, first_label=0):
    config = wanted("events", size=np.prod(shape), bits=1, classes=11, steps=2, shape=shape, bin_microseconds=2000)
    return load_recordings(name, Request(folder, first_label=first_label), config)


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
    library = importlib.import_module("tonic")
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
    assert data.notes[0].startswith("25.0% of the events come after the 2 steps of 2000 microseconds, at most 25.0%")


@pytest.mark.parametrize("content, message", [
    (nmnist_bytes()[:-2], "must hold events of 5 bytes, not 18 bytes"),
    (b"", "must hold at least one event, not none"),
    (nmnist_bytes([(0, 34, 0, 1)]), "x of an event must be 0 to 33, not 34"),
])
def test_damaged_nmnist(nmnist, content, message):
    path = nmnist / "NMNIST/Train/7/00001.bin"
    path.write_bytes(content)
    assert refused(recordings, "nmnist", nmnist, (17, 17, 2)) == f"{path}: {message}"


def test_tonic_never_downloads(nmnist):
    (nmnist / "NMNIST/test.zip").unlink()
    assert refused(recordings, "nmnist", nmnist, (17, 17, 2)) == (
        f"{nmnist}/NMNIST: must hold test.zip and all files extracted from it, laid out as tonic does; "
        "nothing is downloaded")
    for name, file in (("dvsgesture", "ibmGestureTrain.tar.gz"), ("cifar10dvs", "CIFAR10DVS.zip")):
        assert f"must hold {file} and all files" in refused(recordings, name, nmnist / "none", (8, 8, 2))
    assert not (nmnist / "none").exists()


def test_shape_before_files(tonic, tmp_path):
    assert "input.shape must be [34, 34, 2]" in refused(recordings, "nmnist", tmp_path, (32, 32, 2))


def test_foreign_files_of_tonic(nmnist):
    (nmnist / "NMNIST/Train/seven").mkdir()
    (nmnist / "NMNIST/Train/seven/00001.bin").touch()
    assert f"{nmnist}: must be laid out as tonic's NMNIST" in \
        refused(recordings, "nmnist", nmnist, (17, 17, 2))


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
    data = recordings("dvsgesture", dvsgesture, (128, 128, 2))
    assert data.train_labels.tolist() == [0, 10] and data.test_labels.tolist() == [3]
    assert ones(data.train_frames, (128, 128, 2), 1) == ONES
    smaller = recordings("dvsgesture", dvsgesture, (32, 32, 2))
    assert ones(smaller.test_frames, (32, 32, 2)) == [[0, 0, 0, 1], [0, 8, 8, 0], [1, 0, 0, 1]]


def test_damaged_dvsgesture(dvsgesture):
    path = dvsgesture / "DVSGesture/ibmGestureTest/user02_fluorescent_led/3.npy"
    os.truncate(path, path.stat().st_size - 8)
    assert f"{path}: cannot be read: " in refused(recordings, "dvsgesture", dvsgesture, (32, 32, 2))


def test_recordings_without_samples(dvsgesture):
    """tonic counts the files, but reads only those in the folder of a person."""
    folder = dvsgesture / "DVSGesture/ibmGestureTest"
    (folder / "user02_fluorescent_led/3.npy").rename(folder / "3.npy")
    assert refused(recordings, "dvsgesture", dvsgesture, (32, 32, 2)) == (
        f"{folder}: must hold samples to train and to test with, not none")


@pytest.fixture
def cifar10dvs(tonic, tmp_path):
    """Ten recordings of two classes."""
    for name in ("cat", "truck"):
        folder = tmp_path / "CIFAR10DVS" / name
        folder.mkdir(parents=True)
        for number in range(10):
            (folder / f"cifar10_{name}_{number}.aedat4").write_bytes(aedat4_bytes([*EVENTS, (1000, number, 7, 0)]))
    (tmp_path / "CIFAR10DVS/CIFAR10DVS.zip").touch()
    return tmp_path


def test_cifar10dvs(cifar10dvs):
    data = recordings("cifar10dvs", cifar10dvs, (128, 128, 2))
    assert data.train_labels.tolist() == [3] * 9 + [9] * 9 and data.test_labels.tolist() == [3, 9]
    for place in range(18):
        assert ones(data.train_frames, (128, 128, 2), place) == sorted([*ONES, [0, 7, place % 9, 0]])
    assert ones(data.test_frames, (128, 128, 2), 1) == sorted([*ONES, [0, 7, 9, 0]])


@pytest.mark.parametrize("keep", [0, 20, 100, -1, -8, -30])
def test_damaged_cifar10dvs(cifar10dvs, keep):
    path = cifar10dvs / "CIFAR10DVS/truck/cifar10_truck_4.aedat4"
    path.write_bytes(path.read_bytes()[:keep])
    assert f"{path}: cannot be read: " in refused(recordings, "cifar10dvs", cifar10dvs, (32, 32, 2))


@pytest.mark.parametrize("name, packages, missing", [
    ("nmnist", "tonic", "tonic.datasets"), ("cifar10dvs", "tonic and aedat", "tonic.datasets"),
    pytest.param("cifar10dvs", "tonic and aedat", "aedat", marks=pytest.mark.extras)])
def test_missing_package(monkeypatch, tmp_path, name, packages, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    message = refused(recordings, name, tmp_path, (32, 32, 2))
    assert message.startswith(f"data set {name!r} needs {packages}; install with: pip install aedat tonic (")
