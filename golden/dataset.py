"""What every loader of data gives, and the error that it raises."""

import gzip
import hashlib
import zlib
from typing import NamedTuple

import numpy as np

from .errors import InputError

__all__ = ["DataError", "Dataset", "read_bytes"]


class DataError(InputError):
    """A data set that is unknown, damaged, or does not fit the configuration; the message is one line."""


class Dataset(NamedTuple):
    """Frames and labels of a training and a test part.

    Attributes
    ----------
    train_frames, test_frames : numpy.ndarray or EventFrames
        Static frames: (samples, size), of the smallest unsigned type that holds them, values of one pixel side by
        side (y, x, channel). Events: (samples, steps, size), uint8, stored sparsely.
    train_labels, test_labels : numpy.ndarray
        (samples,), int64.
    """

    train_frames: np.ndarray
    train_labels: np.ndarray
    test_frames: np.ndarray
    test_labels: np.ndarray

    @property
    def digest(self):
        """First 16 hex digits of a SHA-256 of all frames and labels: what a checkpoint knows its data by."""
        found = hashlib.sha256()
        for part in self:
            arrays = part.arrays() if hasattr(part, "arrays") else (part,)
            for array in arrays:
                found.update(f"{array.dtype.str}{array.shape}".encode())
                found.update(np.ascontiguousarray(array))
        return found.hexdigest()[:16]


def read_bytes(path):
    """The content of the file at `path`, unpacked if its name ends in ``.gz``.

    Raises
    ------
    DataError
        If the file is missing, cannot be read, or is not complete.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
