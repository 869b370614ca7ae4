"""Data sets by name: built in (`digits`, `directions`), or ``kind:PATH`` for files on disk. Nothing downloads."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .dataset import DataError, Dataset
from .directions import directions
from .images import load_cifar10, load_idx, load_npz
from .recordings import RECORDINGS, load_recordings

__all__ = ["SOURCES", "DataError", "Dataset", "Source", "load_dataset"]


class Source(NamedTuple):
    """One kind of data.

    Attributes
    ----------
    form : str
        How it is written.
    kind : str
        The ``input.kind`` that it needs: ``frame`` or ``events``.
    load : callable
        From path (None for built-in sets) and configuration to `Dataset`; passes on what the loader depends on.
    """

    form: str
    kind: str
    load: Callable


def load_digits():
    """scikit-learn's 8x8 digits, values 0 .. 16: 1,437 to train and 360 to test, stratified, `random_state=0`."""
    from sklearn import datasets  # seconds to import
    from sklearn.model_selection import train_test_split

    frames, labels = datasets.load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        frames.astype(np.uint8), labels.astype(np.int64), test_size=360, random_state=0, stratify=labels)
    return Dataset(x, y, x_test, y_test)


def _recordings(name):
    return Source(f"{name}:FOLDER", "events", lambda path, config: load_recordings(
        name, path, config.input.shape, config.time.steps, config.input.bin_microseconds))


#: Name, or what stands before the colon -> source.
SOURCES = {
    "digits": Source("digits", "frame", lambda path, config: load_digits()),
    "directions": Source("directions", "events",
                         lambda path, config: directions(config.input.shape, config.time.steps)),
    "idx": Source("idx:FOLDER", "frame", lambda path, config: load_idx(path, config.input.bits)),
    "cifar10": Source("cifar10:FOLDER", "frame", lambda path, config: load_cifar10(path, config.input.bits)),
    "npz": Source("npz:FILE", "frame", lambda path, config: load_npz(path)),
    **{name: _recordings(name) for name in RECORDINGS},
}


def load_dataset(name, config):
    """The data set `name`, checked against the input and the classes of `config`.

    Parameters
    ----------
    name : str
        One of the forms of `SOURCES`, such as ``digits`` or ``idx:../shared/data/mnist``.
    config : Config

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If the name is unknown, a file is missing or damaged, or a frame, value or label does not fit.
    """
    key, colon, path = name.partition(":")
    if key not in SOURCES:
        forms = ", ".join(source.form for _, source in sorted(SOURCES.items()))
        raise DataError(f"data must be one of {forms}, not {name!r}")
    source, kind = SOURCES[key], config.input.kind
    if (":" in source.form) != bool(path) or bool(colon) != bool(path):
        raise DataError(f"data must be written {source.form}, not {name!r}")
    if kind != source.kind:
        raise DataError(f"input.kind must be {source.kind!r} for data set {name!r}, not {kind!r}")
    data = source.load(Path(path).expanduser() if path else None, config)
    size = data.train_frames.shape[-1]
    top = 1 if kind == "events" else int(max(data.train_frames.max(), data.test_frames.max()))
    classes = int(max(data.train_labels.max(), data.test_labels.max())) + 1
    if size != config.input.size:
        raise DataError(f"input.size must be {size} for data set {name!r}, not {config.input.size}")
    if top >= 1 << config.input.bits:
        raise DataError(f"input.bits must hold {top} for data set {name!r}, not {config.input.bits}")
    if classes > config.network.classes:
        raise DataError(f"network.classes must be at least {classes} for data set {name!r}, "
                        f"not {config.network.classes}")
    return data
