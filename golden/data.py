"""Data sets as integer frames."""

from typing import NamedTuple

import numpy as np

__all__ = ["DATASETS", "DataError", "Dataset", "load_dataset"]


class DataError(ValueError):
    """A data set that is unknown or does not fit the configuration."""


class Dataset(NamedTuple):
    """Frames (samples, size) and labels (samples,), int64 arrays; a training and a test part."""

    train_frames: np.ndarray
    train_labels: np.ndarray
    test_frames: np.ndarray
    test_labels: np.ndarray


def _digits():
    """scikit-learn's 8x8 digits, values 0 .. 16: 1,437 to train and 360 to test, stratified, `random_state=0`."""
    from sklearn.datasets import load_digits  # seconds to import
    from sklearn.model_selection import train_test_split

    frames, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        frames.astype(np.int64), labels.astype(np.int64), test_size=360, random_state=0, stratify=labels)
    return Dataset(x, y, x_test, y_test)


#: Name -> loader.
DATASETS = {"digits": _digits}


def load_dataset(name, config):
    """The data set `name`, checked against the input and the classes of `config`.

    Raises
    ------
    DataError
        If the name is unknown, or a frame, value or label does not fit.
    """
    if name not in DATASETS:
        raise DataError(f"data must be one of {', '.join(sorted(DATASETS))}, not {name!r}")
    data = DATASETS[name]()
    size, top = data.train_frames.shape[1], int(max(data.train_frames.max(), data.test_frames.max()))
    classes = int(max(data.train_labels.max(), data.test_labels.max())) + 1
    if size != config.input.size:
        raise DataError(f"input.size must be {size} for data set {name!r}, not {config.input.size}")
    if top >= 1 << config.input.bits:
        raise DataError(f"input.bits must hold {top} for data set {name!r}, not {config.input.bits}")
    if classes > config.network.classes:
        raise DataError(f"network.classes must be at least {classes} for data set {name!r}, "
                        f"not {config.network.classes}")
    return data
