"""What every loader of data takes and gives, and the error that it raises."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .errors import InputError

__all__ = ["DataError", "Dataset", "Request"]


class DataError(InputError):
    """A data set that is unknown, damaged, or does not fit the configuration; the message is one line."""


class Request(NamedTuple):
    """Files that are to be loaded: where they are, which of several sets, and the label of class 0."""

    path: Path
    split: str = ""
    first_label: int = 0


class Dataset(NamedTuple):
    """Frames and labels of a training and a test part.

    Attributes
    ----------
    train_frames, test_frames : numpy.ndarray or EventFrames
        Static frames: (samples, size), of the smallest unsigned type that holds them, values of one pixel side by
        side (y, x, channel). Events: (samples, steps, size), uint8, stored sparsely.
    train_labels, test_labels : numpy.ndarray
        (samples,), int64.
    notes : tuple of str
        What a person should know of the files, such as how many events were left out.
    """

    train_frames: np.ndarray
    train_labels: np.ndarray
    test_frames: np.ndarray
    test_labels: np.ndarray
    notes: tuple = ()

    @property
    def digest(self):
        """First 16 hex digits of a SHA-256 of all frames and labels: what a checkpoint knows its data by."""
        found = hashlib.sha256()
        for part in self[:4]:
            for array in part.arrays() if hasattr(part, "arrays") else (part,):
                found.update(f"{array.dtype.str}{array.shape}".encode())
                found.update(np.ascontiguousarray(array))
        return found.hexdigest()[:16]
