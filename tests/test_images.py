"""Image sets as people have them: names, folders, packed or not, several sets; tables; CIFAR-10."""

import gzip
import struct

import numpy as np
import pytest

from loading import refused, unfit, wanted
from spikeloom.golden import images
from spikeloom.golden.data import load_dataset

X = np.arange(4 * 9).reshape(4, 3, 3) * 7
Y = np.array([3, 0, 9, 1])
CONFIG = wanted(size=9, shape=(3, 3, 1))


def idx(path, values, packed=None):
    values = np.asarray(values, np.uint8)
    content = struct.pack(f">{values.ndim + 1}I", 0x0800 | values.ndim, *values.shape) + values.tobytes()
    packed = path.name.endswith(".gz") if packed is None else packed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if packed else content)


def write(folder, form, x=X, y=Y, **more):
    """A set whose names are made of `form`, with ``{part}``, ``{what}`` and ``{number}``; two images to test with."""
    for part, count in (("train", 4), ("t10k", 2)):
        for what, number, values in (("images", 3, x), ("labels", 1, y)):
            idx(folder / form.format(part=part, what=what, number=number), values[:count], **more)


@pytest.mark.parametrize("forms", [
    ["{part}-{what}-idx{number}-ubyte"],  # original, Keras
    ["{part}-{what}-idx{number}-ubyte.gz"],
    ["{part}-{what}.idx{number}-ubyte"],  # Kaggle
    ["{part}-{what}.idx{number}-ubyte", "{part}-{what}-idx{number}-ubyte/{part}-{what}-idx{number}-ubyte"],
    ["MNIST/raw/{part}-{what}-idx{number}-ubyte", "MNIST/raw/{part}-{what}-idx{number}-ubyte.gz"],  # torchvision
    ["raw/{part}-{what}-idx{number}-ubyte.gz"], ["{part}-{what}-IDX{number}-ubyte.GZ"]])
def test_names(forms, tmp_path):
    for form in forms:
        write(tmp_path, form)
    data = load_dataset(f"idx:{tmp_path}", CONFIG)
    assert np.array_equal(data.train_frames, X.reshape(4, 9)) and np.array_equal(data.test_frames, X[:2].reshape(2, 9))
    assert data.train_labels.tolist() == Y.tolist() and data.test_labels.tolist() == Y[:2].tolist()


@pytest.mark.parametrize("packed", [False, True])
def test_packed_or_not_by_content(packed, tmp_path):
    write(tmp_path, "{part}-{what}-idx{number}-ubyte" + ".gz" * (not packed), packed=packed)
    assert np.array_equal(load_dataset(f"idx:{tmp_path}", CONFIG).train_frames, X.reshape(4, 9))


def emnist(folder, capitals=False):
    """The archive: six sets beside each other, here three; letters count from 1."""
    for split, y in (("letters", Y + 1), ("Digits" if capitals else "digits", Y), ("byclass", Y[::-1])):
        for part in ("train", "test"):
            form = f"gzip/emnist-{split}-{part}-{{what}}-idx{{number}}-ubyte.gz"
            form = form.replace("emnist", "EMNIST") if capitals else form
            for what, number, values in (("images", 3, X), ("labels", 1, y)):
                idx(folder / form.format(what=what, number=number), values)


@pytest.mark.parametrize("capitals", [False, True])
def test_emnist(capitals, tmp_path):
    emnist(tmp_path, capitals)
    message = f"{tmp_path}: must hold one set, or a SPLIT must choose one (idx:FOLDER:SPLIT), not emnist-byclass, " \
              "emnist-digits, emnist-letters"
    assert refused(load_dataset, f"idx:{tmp_path}", CONFIG) == message
    for split in ("digits", "DIGITS"):
        data = load_dataset(f"idx:{tmp_path}:{split}", CONFIG)
        assert np.array_equal(data.train_frames, X.transpose(0, 2, 1).reshape(4, 9))
        assert data.train_labels.tolist() == Y.tolist()
    assert load_dataset(f"idx:{tmp_path}:byclass", CONFIG).train_labels.tolist() == Y[::-1].tolist()
    assert refused(load_dataset, f"idx:{tmp_path}:balanced", CONFIG) == (
        f"{tmp_path}: must hold a set 'balanced', not only emnist-byclass, emnist-digits, emnist-letters")
    labels = "EMNIST" if capitals else "emnist"
    assert refused(load_dataset, f"idx:{tmp_path}:letters", CONFIG) == (
        f"network.classes must be at least 11 for {tmp_path}/gzip/{labels}-letters-train-labels-idx1-ubyte.gz, not 10; "
        "labels that count from 1 are said so: DATA,first-label=1")
    assert load_dataset(f"idx:{tmp_path}:letters,first-label=1", CONFIG).train_labels.tolist() == Y.tolist()


def test_a_folder_of_several_sets(tmp_path):
    for name, y in (("MNIST", Y), ("KMNIST", Y[::-1])):
        write(tmp_path, f"{name}/raw/{{part}}-{{what}}-idx{{number}}-ubyte", y=y)
    assert "must hold one file of the training labels" in refused(load_dataset, f"idx:{tmp_path}", CONFIG)
    assert load_dataset(f"idx:{tmp_path}:kmnist", CONFIG).train_labels.tolist() == Y[::-1].tolist()


def test_a_colon_in_a_path(tmp_path):
    write(tmp_path / "a:b", "{part}-{what}-idx{number}-ubyte")
    assert len(load_dataset(f"idx:{tmp_path}/a:b", CONFIG).train_frames) == 4


@pytest.mark.parametrize("shape, taken", [
    ((9, 1, 1), "(samples, 9, 1, 1) or (samples, 9, 1) or (samples, 9)"),
    ((3, 1, 3), "(samples, 3, 1, 3) or (samples, 9)")])
def test_images_of_another_shape(shape, taken, tmp_path):
    """Of as many pixels."""
    write(tmp_path, "{part}-{what}-idx{number}-ubyte")
    assert refused(load_dataset, f"idx:{tmp_path}", wanted(size=9, shape=shape)) == (
        f"{tmp_path}/train-images-idx3-ubyte {unfit('input.shape', '(4, 3, 3)', taken)}")


def test_no_memory_for_what_a_header_says(tmp_path):
    write(tmp_path, "{part}-{what}-idx{number}-ubyte")
    path = tmp_path / "train-images-idx3-ubyte"
    large = unfit("input.shape", "(4, 65536, 65536)", "(samples, 3, 3, 1) or (samples, 3, 3) or (samples, 9)")
    for head, message in (((2**32 - 1, 3, 3), ": must hold 1 to 1,048,576 samples, not 4,294,967,295"),
                          ((4, 2**16, 2**16), f" {large}")):
        path.write_bytes(struct.pack(">4I", 2051, *head))
        assert refused(load_dataset, f"idx:{tmp_path}", CONFIG) == f"{path}{message}"


def test_another_form_is_said(tmp_path):
    np.savez(tmp_path / "mnist.npz", x=X)
    assert refused(load_dataset, f"idx:{tmp_path}", CONFIG).endswith(
        f"not none; for mnist.npz write npz:{tmp_path}/mnist.npz")


# CIFAR-10

@pytest.mark.parametrize("name", ["data_batch_1", "cifar-10-batches-py/data_batch_1", "cifar-10-python.tar.gz"])
def test_pickles_are_refused(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert refused(load_dataset, f"cifar10:{tmp_path}", wanted(size=3072, shape=(32, 32, 3))) == (
        f"{tmp_path}: must hold CIFAR-10 in its binary form (cifar-10-binary.tar.gz, unpacked), not as pickles "
        f"({name.split('/')[0]}), which could run any code and are never loaded")


def test_cifar10_as_its_archive_unpacks(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "CIFAR10_RECORDS", 1)
    monkeypatch.setattr(images, "CIFAR10_SHAPE", (3, 1, 2))
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in [f"data_batch_{place}" for place in range(1, 6)] + ["test_batch"]:
        (folder / f"{name}.bin").write_bytes(bytes([1, *range(6)]))
    data = load_dataset(f"cifar10:{tmp_path}", wanted(shape=(1, 2, 3)))
    assert data.test_frames.tolist() == [[0, 2, 4, 1, 3, 5]]
    assert refused(load_dataset, f"cifar10:{tmp_path}", wanted(shape=(3, 1, 2))) == (
        f"{folder}: must have the shape (samples, 1, 2, 3) or (samples, 1, 1, 6), not (1, 3, 1, 2) (input.shape)")
