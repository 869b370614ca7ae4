"""Image sets from files on disk: IDX (MNIST and its relatives), CIFAR-10, and tables of pixels. Nothing downloads."""

import hashlib
import itertools
import math
import os
import re
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .archive import ARRAY_LIMIT
from .checks import SAMPLES, check_form, check_frames, check_labels
from .dataset import DataError, Dataset
from .reading import read_file, reading, unpacked
from .tables import read_table

__all__ = ["find_sets", "load_cifar10", "load_csv", "load_idx"]

#: Records of one file of CIFAR-10, and their pixels (channel, y, x).
CIFAR10_RECORDS = 10_000
CIFAR10_SHAPE = (3, 32, 32)
#: Magic numbers of IDX files of unsigned bytes -> what they hold.
MAGIC = {2051: "images", 2049: "labels"}

_PART = re.compile(r"(?P<set>.*?)(?P<part>train|t10k|test)")
#: Folders that a folder of data may hold inside each other, and files in all of them.
_DEPTH, _FILES = 4, 10_000


class Found(NamedTuple):
    """A file of a set: its name before the part (``emnist-letters-``), whether it trains, and words to choose it by."""

    path: Path
    set: str
    train: bool
    words: frozenset


def find_sets(folder, split, suits):
    """The `Found` files of one set, in `folder` and the folders in it, whatever others are there.

    Parameters
    ----------
    folder : Path
    split : str
        A word of the file names or the name of a folder, if there are several sets; capitals do not matter.
    suits : callable
        Says of a name, in small letters, whether it may be a file of data.

    Raises
    ------
    DataError
        If nothing is found, or several sets are.
    """
    found, seen = [], 0
    with reading(folder, DataError):
        os.stat(os.path.join(folder, ""))  # says what is wrong if it is no folder
        for root, folders, files in os.walk(folder):
            folders.sort()
            inside = Path(root).relative_to(folder).parts
            if len(inside) >= _DEPTH:
                folders.clear()
            seen += len(files)
            if seen > _FILES:
                raise DataError(f"{folder}: must hold at most {_FILES:,} files, and the folders in it; not so many")
            for name in sorted(files):
                lower = name.lower()
                if suits(lower) and (match := _PART.match(lower)):
                    words = frozenset((*re.split(r"[^a-z0-9]+", lower), *(part.lower() for part in inside)))
                    found.append(Found(Path(root, name), match["set"], match["part"] == "train", words))
    if split:
        chosen = [file for file in found if split.lower() in file.words]
        if found and not chosen:
            raise DataError(f"{folder}: must hold a set {split!r}, not only {_sets(found)}")
        found = chosen
    if len({file.set for file in found}) > 1:
        raise DataError(f"{folder}: must hold one set, or a SPLIT must choose one (idx:FOLDER:SPLIT), not "
                        f"{_sets(found)}")
    return found


def _sets(found):
    return ", ".join(sorted({file.set.strip("-_. ") or "one without a name" for file in found}))


def _one(folder, files, what):
    """The file among `files` that is to be read: any of them, if all hold the same, packed or not."""
    digests = set()
    for file in files if len(files) > 1 else []:
        found = hashlib.sha256()
        with reading(file, DataError), unpacked(file, DataError) as stream:
            for size in itertools.accumulate(itertools.repeat(1 << 20)):
                part = stream.read(1 << 20)
                if not part or size > ARRAY_LIMIT:
                    break
                found.update(part)
        digests.add(found.digest())
    if len(digests) > 1:
        names = ", ".join(str(file.relative_to(folder)) for file in files)
        raise DataError(f"{folder}: must hold one file of the {what}, or the same one several times, or a "
                        f"SPLIT must choose a folder (idx:FOLDER:SPLIT), not {names}")
    return files[0]


# IDX

def load_idx(request, config):
    """MNIST, Fashion-MNIST, EMNIST and others in IDX form, as they are or packed, whatever their exact names.

    A name has to say ``train``, ``t10k`` or ``test``, and ``idx`` or ``ubyte``; what a file holds is seen from its
    content. EMNIST stores its images transposed, which is undone where a name begins with ``emnist``.

    Parameters
    ----------
    request : Request
    config : Config

    Returns
    -------
    Dataset
        Frames uint8, (samples, height * width); below 8 `input.bits`, the low bits are dropped.

    Raises
    ------
    DataError
        If files are missing, ambiguous or damaged, or do not belong together or to the configuration.
    """
    folder = request.path
    found = find_sets(folder, request.split, lambda name: "idx" in name or "ubyte" in name)
    held = {}
    for file in found:
        held.setdefault((file.train, _kind(file.path)), []).append(file.path)
    if len(held) < 4:
        names = ", ".join(file.path.name for file in found)
        raise DataError(f"{folder}: must hold images and labels of one training and one test set, such as "
                        f"train-images-idx3-ubyte.gz, not {names or 'none'}{_instead(folder)}")
    parts, shape, transposed = [], None, "emnist" in found[0].set
    for train in (True, False):
        images_path, labels_path = (_one(folder, held[train, what], f"{'training' if train else 'test'} {what}")
                                    for what in ("images", "labels"))
        images = _read_idx(images_path, 3, config, transposed)
        if parts and images.shape[1:] != shape:
            raise DataError(f"{images_path}: must hold images of {_times(shape)} like the training set, not "
                            f"{_times(images.shape[1:])}")
        shape, labels = images.shape[1:], _read_idx(labels_path, 1, config)
        check_labels(f"{labels_path}:", labels, len(images), config.network.classes, DataError, request.first_label)
        parts += _pixels(images, config.input.bits), labels.astype(np.int64) - request.first_label
    return Dataset(*parts)


def _instead(folder):
    """What to write where a folder holds another form of the same data."""
    for path in sorted(folder.glob("*.npz"))[:1]:
        return f"; for {path.name} write npz:{path}"
    return "; for tables write csv:FOLDER" if any(folder.glob("*.csv*")) else ""


def _kind(path):
    """Whether a file holds images or labels, by its first bytes."""
    with reading(path, DataError), unpacked(path, DataError) as file:
        head = file.read(4)
    magic = int.from_bytes(head, "big")
    if len(head) < 4 or magic not in MAGIC:
        raise DataError(f"{path}: magic number must be 2051 (images) or 2049 (labels), not {magic}")
    return MAGIC[magic]


def _read_idx(path, dimensions, config, transposed=False):
    """The uint8 array of an IDX file; its shape is compared with the configuration before its values are read."""
    header = 4 + 4 * dimensions
    with reading(path, DataError), unpacked(path, DataError) as file:
        head = file.read(header)
        if len(head) < header:
            raise DataError(f"{path}: must hold a header of {header} bytes, not {len(head)} bytes")
        shape = struct.unpack(f">{dimensions}I", head[4:])
        if transposed:
            shape = (shape[0], *shape[:0:-1])
        if math.prod(shape):  # and otherwise says so below
            if dimensions > 1:
                check_frames(f"{path}:", np.dtype(np.uint8), shape, config, DataError)
            elif shape[0] > SAMPLES:
                raise DataError(f"{path}: must hold at most {SAMPLES:,} labels, not {shape[0]:,}")
        values = file.read(math.prod(shape) + 1)
    if not 0 < math.prod(shape) == len(values):
        raise DataError(f"{path}: must hold {_times(shape)} values after its header, at least one, not "
                        f"{len(values) if len(values) <= math.prod(shape) else 'more'}")
    array = np.frombuffer(values, np.uint8)
    if transposed:
        return array.reshape(shape[0], *shape[:0:-1]).transpose(0, 2, 1)
    return array.reshape(shape)


def _times(shape):
    return " x ".join(map(str, shape))


def _pixels(images, bits):
    """8-bit images (samples, ...) as frames of `bits` bits; always a copy, since what was read is not writable."""
    return images.reshape(len(images), -1) >> max(8 - bits, 0)


# CIFAR-10

def load_cifar10(request, config):
    """CIFAR-10 in its binary form: ``data_batch_1.bin`` to ``data_batch_5.bin``, and ``test_batch.bin``.

    Parameters
    ----------
    request : Request
        Its folder holds the six files, or the folder ``cifar-10-batches-bin`` with them.
    config : Config

    Returns
    -------
    Dataset
        Frames uint8, (samples, 3072), the three colours of a pixel side by side; below 8 `input.bits`, the low bits
        are dropped.

    Raises
    ------
    DataError
        If a file is missing or damaged, or the configuration does not fit.
    """
    folder = request.path
    if (folder / "cifar-10-batches-bin").is_dir():
        folder = folder / "cifar-10-batches-bin"
    pickled = ("data_batch_1", "cifar-10-batches-py", "cifar-10-python.tar.gz")
    if not (folder / "data_batch_1.bin").exists():
        for name in pickled:
            if (folder / name).exists():
                raise DataError(f"{folder}: must hold CIFAR-10 in its binary form (cifar-10-binary.tar.gz, unpacked), "
                                f"not as pickles ({name}), which could run any code and are never loaded")
    channels, height, width = CIFAR10_SHAPE
    names = [f"data_batch_{place}.bin" for place in range(1, 6)] + ["test_batch.bin"]
    check_form(f"{folder}:", np.dtype(np.uint8), (1, *config.input.shape),
               [("samples", height, width, channels), ("samples", 1, 1, math.prod(CIFAR10_SHAPE))],
               lambda text: DataError(f"{text} (input.shape)"))
    batches = [_read_cifar10(folder / name, request, config) for name in names]
    x, y = (np.concatenate(part) for part in zip(*batches[:5]))
    return Dataset(x, y, *batches[5])


def _read_cifar10(path, request, config):
    """Frames and labels of one file."""
    record = 1 + math.prod(CIFAR10_SHAPE)
    with reading(path, DataError):
        content = read_file(path, CIFAR10_RECORDS * record, DataError)
    if len(content) != CIFAR10_RECORDS * record:
        raise DataError(f"{path}: must hold {CIFAR10_RECORDS} records of {record} bytes, not {len(content)} bytes")
    records = np.frombuffer(content, np.uint8).reshape(CIFAR10_RECORDS, record)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise DataError(f"{path}: labels must be 0 to 9, not {labels.max()}")
    check_labels(f"{path}:", labels, len(labels), config.network.classes, DataError, request.first_label)
    images = records[:, 1:].reshape(-1, *CIFAR10_SHAPE).transpose(0, 2, 3, 1)
    return _pixels(images, config.input.bits), labels - request.first_label


# Tables

def load_csv(request, config):
    """Images as tables, as Kaggle has them: a line per image, its label and then its pixels, 0 to 255, row by row.

    A name has to say ``train`` or ``test`` and end with ``.csv`` (or ``.csv.gz``). The label is in the column that the
    first line calls ``label``, or without such a line in the first one (`read_table`). EMNIST as in `load_idx`.

    Parameters and errors as for `load_idx`.
    """
    found = find_sets(request.path, request.split, lambda name: name.endswith((".csv", ".csv.gz")))
    parts = []
    for train in (True, False):
        files = [file.path for file in found if file.train == train]
        if not files:
            raise DataError(f"{request.path}: must hold one table to train and one to test with, such as "
                            f"mnist_train.csv, not {', '.join(file.path.name for file in found) or 'none'}"
                            f"{_instead(request.path) if not found else ''}")
        path = _one(request.path, files, "training part" if train else "test part")
        images, labels = read_table(path, config)
        if "emnist" in found[0].set:
            side = math.isqrt(images.shape[1])
            if side * side != images.shape[1]:
                raise DataError(f"{path}: must hold square images, to be transposed, not {images.shape[1]} pixels")
            images = images.reshape(-1, side, side).transpose(0, 2, 1)
        check_labels(f"{path}:", labels, len(images), config.network.classes, DataError, request.first_label)
        parts += _pixels(images, config.input.bits), labels - request.first_label
    return Dataset(*parts)
