"""Image sets from files on disk: IDX (MNIST and its relatives), CIFAR-10, and NumPy archives. Nothing downloads."""

import math
import re
import struct
import textwrap
import zipfile
import zlib

import numpy as np

from .dataset import DataError, Dataset, read_bytes

__all__ = ["load_cifar10", "load_idx", "load_npz"]

#: Records of one file of CIFAR-10, and their pixels (channel, y, x).
CIFAR10_RECORDS = 10_000
CIFAR10_SHAPE = (3, 32, 32)

IDX_NAME = re.compile(r"(?P<set>.*?)(?P<part>train|t10k|test)-(?P<what>images-idx3|labels-idx1)-ubyte(\.gz)?")


def load_idx(folder, bits):
    """MNIST, Fashion-MNIST, EMNIST and others in IDX form, files as they are or ``.gz``.

    The labels are those of the files: the split `letters` of EMNIST counts from 1. EMNIST stores its images
    transposed, which is undone where a file name starts with ``emnist``.

    Parameters
    ----------
    folder : Path
        Holds images and labels of exactly one training and one test set.
    bits : int
        Of a pixel; below 8, the low bits are dropped.

    Returns
    -------
    Dataset
        Frames uint8, (samples, height * width).

    Raises
    ------
    DataError
        If files are missing, ambiguous or damaged, or do not belong together.
    """
    parts = []
    for images_path, labels_path in _idx_pairs(folder):
        images, labels = _read_idx(images_path, 3), _read_idx(labels_path, 1)
        if len(images) != len(labels):
            raise DataError(f"{labels_path}: must hold {len(images)} labels, one for each image, not {len(labels)}")
        if images_path.name.startswith("emnist"):
            images = images.transpose(0, 2, 1)
        if parts and images.shape[1:] != parts[0].shape[1:]:
            raise DataError(f"{images_path}: must hold images of {_times(parts[0].shape[1:])} like the training set, "
                            f"not {_times(images.shape[1:])}")
        parts += images, labels
    x, y, x_test, y_test = parts
    return Dataset(_pixels(x, bits), y.astype(np.int64), _pixels(x_test, bits), y_test.astype(np.int64))


def load_cifar10(folder, bits):
    """CIFAR-10 in its binary form: ``data_batch_1.bin`` to ``data_batch_5.bin``, and ``test_batch.bin``.

    Parameters
    ----------
    folder : Path
        Holds the six files.
    bits : int
        Of a pixel; below 8, the low bits are dropped.

    Returns
    -------
    Dataset
        Frames uint8, (samples, 3072), the three colours of a pixel side by side.

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    batches = [_read_cifar10(folder / f"data_batch_{place}.bin", bits) for place in range(1, 6)]
    x, y = (np.concatenate(part) for part in zip(*batches))
    return Dataset(x, y, *_read_cifar10(folder / "test_batch.bin", bits))


def load_npz(path):
    """A NumPy archive of ``train_frames``, ``train_labels``, ``test_frames`` and ``test_labels``.

    Frames are (samples, ...), integers from 0, channel last; they are flattened. Labels are (samples,).

    Raises
    ------
    DataError
        If the file is missing or damaged, or an array is missing or does not fit the others.
    """
    try:
        with path.open("rb") as file, np.load(file) as archive:
            arrays = {name: archive[name] for name in Dataset._fields}
    except KeyError as error:
        raise DataError(f"{path}: must hold {', '.join(Dataset._fields)}: {error.args[0]}") from None
    # A file that is no archive loads as one array, which is no context; a damaged header may ask for any memory.
    except (OSError, ValueError, TypeError, EOFError, MemoryError, NotImplementedError, zipfile.BadZipFile,
            zlib.error) as error:
        raise DataError(f"{path}: not a NumPy archive: {getattr(error, 'strerror', None) or error}") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "iu":
            raise DataError(f"{path}: {name} must hold integers, not {array.dtype}")
        if array.ndim < 2 if name.endswith("frames") else array.ndim != 1:
            shape = "(samples, ...)" if name.endswith("frames") else "(samples,)"
            raise DataError(f"{path}: {name} must have the shape {shape}, not {array.shape}")
        if not array.size:
            raise DataError(f"{path}: {name} must hold at least one sample, not the shape {array.shape}")
        if array.min() < 0:
            raise DataError(f"{path}: {name} must hold values from 0, not {array.min()}")
    for part in ("train", "test"):
        frames, labels = len(arrays[f"{part}_frames"]), len(arrays[f"{part}_labels"])
        if frames != labels:
            raise DataError(f"{path}: {part}_labels must hold {frames} labels, one for each frame, not {labels}")
    x, y, x_test, y_test = arrays.values()
    if x.shape[1:] != x_test.shape[1:]:
        raise DataError(f"{path}: test_frames must be {_times(x.shape[1:])} like train_frames, "
                        f"not {_times(x_test.shape[1:])}")
    smallest = np.min_scalar_type(max(x.max(), x_test.max()))
    return Dataset(x.reshape(len(x), -1).astype(smallest), y.astype(np.int64),
                   x_test.reshape(len(x_test), -1).astype(smallest), y_test.astype(np.int64))


def _times(shape):
    return " x ".join(map(str, shape))


def _pixels(images, bits):
    """8-bit images (samples, ...) as frames of `bits` bits; always a copy, since what was read is not writable."""
    return images.reshape(len(images), -1) >> max(8 - bits, 0)


def _idx_pairs(folder):
    """Paths of the images and labels of the training set, then of the test set."""
    try:
        matches = [(IDX_NAME.fullmatch(path.name), path) for path in sorted(folder.iterdir())]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None
    found = {(match["part"] == "train", match["what"]): path for match, path in matches if match}
    names = [path.name for match, path in matches if match]
    if not len(found) == len(names) == 4 or len({match["set"] for match, _ in matches if match}) != 1:
        raise DataError(f"{folder}: must hold images and labels of one training and one test set, such as "
                        f"train-images-idx3-ubyte.gz, not {textwrap.shorten(', '.join(names), 200) or 'none'}")
    return [(found[train, "images-idx3"], found[train, "labels-idx1"]) for train in (True, False)]


def _read_idx(path, dimensions):
    """The uint8 array of an IDX file."""
    content, header = read_bytes(path), 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{path}: must hold a header of {header} bytes, not {len(content)} bytes")
    magic, *shape = struct.unpack_from(f">{1 + dimensions}I", content)
    if magic != 0x0800 | dimensions:  # 8: unsigned bytes
        raise DataError(f"{path}: magic number must be {0x0800 | dimensions}, not {magic}")
    if not 0 < math.prod(shape) == len(content) - header:
        raise DataError(f"{path}: must hold {_times(shape)} values after its header, at least one, "
                        f"not {len(content) - header}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _read_cifar10(path, bits):
    """Frames and labels of one file."""
    content, record = read_bytes(path), 1 + math.prod(CIFAR10_SHAPE)
    if len(content) != CIFAR10_RECORDS * record:
        raise DataError(f"{path}: must hold {CIFAR10_RECORDS} records of {record} bytes, not {len(content)} bytes")
    records = np.frombuffer(content, np.uint8).reshape(CIFAR10_RECORDS, record)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise DataError(f"{path}: labels must be 0 to 9, not {labels.max()}")
    return _pixels(records[:, 1:].reshape(-1, *CIFAR10_SHAPE).transpose(0, 2, 3, 1), bits), labels
