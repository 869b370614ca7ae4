"""Data sets by name: built in (`digits`, `directions`), or ``kind:PATH`` for files on disk. Nothing downloads.

Another package adds a source with an entry point of the group ``spikeloom.data``, whose name is what stands before the
colon and whose object is a `Source`.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .checks import check_dataset, check_frames, check_labels, check_values
from .dataset import DataError, Dataset, Request
from .directions import directions
from .errors import SpikeloomError
from .events import EventFrames
from .images import load_cifar10, load_csv, load_idx
from .npz import load_npz
from .offers import load_offer, offers, refuse_offer
from .recordings import RECORDINGS, load_recordings

__all__ = ["GROUP", "SOURCES", "DataError", "Dataset", "Request", "Source", "load_dataset"]

#: Group of entry points in which other packages offer sources.
GROUP = "spikeloom.data"

#: Kind of data -> files that tell a folder of it.
FOLDERS = (("idx", "*ubyte*"), ("csv", "*.csv*"), ("cifar10", "*batch*"))
#: What may be said after the path: the label of class 0.
_FIRST = re.compile(r",first-label=([0-9]{1,5})$")


class Source(NamedTuple):
    """One kind of data.

    Attributes
    ----------
    form : str
        How it is written.
    kinds : tuple of str
        Values of ``input.kind`` that it serves.
    load : callable
        From `Request` (None for built-in sets) and configuration to a `Dataset` that fits the configuration.
    """

    form: str
    kinds: tuple
    load: Callable


def load_digits(config):
    """scikit-learn's 8x8 digits, values 0 .. 16: 1,437 to train and 360 to test, stratified, `random_state=0`."""
    from sklearn import datasets  # seconds to import
    from sklearn.model_selection import train_test_split

    frames, labels = datasets.load_digits(return_X_y=True)
    where = "data set 'digits'"
    check_frames(where, np.dtype(np.uint8), (len(frames), 8, 8), config, DataError)
    check_values(where, frames, config, DataError)
    check_labels(where, labels, len(frames), config.network.classes, DataError)
    x, x_test, y, y_test = train_test_split(
        frames.astype(np.uint8), labels.astype(np.int64), test_size=360, random_state=0, stratify=labels)
    return Dataset(x, y, x_test, y_test)


def load_directions(config):
    """The synthetic `directions`, on a sensor of `input.shape`."""
    data = directions(config.input.shape, config.time.steps)
    check_labels("data set 'directions'", data.train_labels, len(data.train_labels), config.network.classes, DataError)
    return data


def _recordings(name):
    return Source(f"{name}:FOLDER", ("events",), lambda request, config: load_recordings(name, request, config))


#: Name, or what stands before the colon -> source of Spikeloom.
SOURCES = {
    "digits": Source("digits", ("frame",), lambda _, config: load_digits(config)),
    "directions": Source("directions", ("events",), lambda _, config: load_directions(config)),
    "idx": Source("idx:FOLDER[:SPLIT]", ("frame",), load_idx),
    "csv": Source("csv:FOLDER[:SPLIT]", ("frame",), load_csv),
    "cifar10": Source("cifar10:FOLDER", ("frame",), load_cifar10),
    "npz": Source("npz:FILE", ("frame", "events"), load_npz),
    **{name: _recordings(name) for name in RECORDINGS},
}


def _sources():
    """All names, each with a function that gives the source: only one that is asked for is imported."""
    found = {name: lambda own=source: own for name, source in SOURCES.items()}
    for name, entry in offers(GROUP).items():
        if name in found:
            refuse_offer(entry, "there is such data already")
        found[name] = lambda own=entry: load_offer(
            own, "a golden.data.Source that says its form, its kinds of input, and how it loads", _whole)
    return found


def _whole(source):
    return isinstance(source, Source) and isinstance(source.form, str) and callable(source.load) and (
        isinstance(source.kinds, tuple) and {*source.kinds} & {"frame", "events"} == {*source.kinds} != set())


def _load_offered(entry, source, request, config):
    """What a source of another package gives, as far as it is a data set that fits."""
    try:
        data = source.load(request, config)
    except SpikeloomError:
        raise
    except Exception as error:  # whatever another package does wrong
        refuse_offer(entry, f"{type(error).__name__}: {error}")
    if not isinstance(data, Dataset):
        refuse_offer(entry, f"must load a golden.data.Dataset, not {type(data).__name__}")
    for name, part in zip(data._fields[:4], data):
        labels = name.endswith("labels")
        if not isinstance(part, np.ndarray) and (labels or not isinstance(part, EventFrames)):
            refuse_offer(entry, f"{name} must be a numpy.ndarray{' or EventFrames' * (not labels)}, not "
                         f"{type(part).__name__}")
        if labels and part.ndim != 1:
            refuse_offer(entry, f"{name} must be of shape (samples,), not {part.shape}")
    check_dataset(config, data, DataError)
    return data


def load_dataset(name, config):
    """The data set `name`, checked against the input and the classes of `config`.

    Parameters
    ----------
    name : str
        One of the forms of `SOURCES`, or of those of other packages, such as ``digits`` or
        ``idx:../shared/data/mnist``; of files, ``,first-label=1`` after it says that their labels count from 1.
    config : Config

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If the name is unknown, a file is missing or damaged, or a frame, value or label does not fit.
    OfferError
        If another package offers what is no source.
    """
    (key, colon, path), sources = name.partition(":"), _sources()
    if key not in sources:
        forms = ", ".join(source().form for _, source in sorted(sources.items()))
        raise DataError(f"data must be one of {forms}, not {name!r}{_meant(name)}")
    source, kind = sources[key](), config.input.kind
    if (":" in source.form) != bool(path) or bool(colon) != bool(path):
        raise DataError(f"data must be written {source.form}, not {name!r}")
    if kind not in source.kinds:
        raise DataError(f"input.kind must be {source.kinds[0]!r} for data set {name!r}, not {kind!r}")
    request = _request(path, source) if path else None
    if key in SOURCES:
        return source.load(request, config)
    return _load_offered(offers(GROUP)[key], source, request, config)


def _meant(name):
    """How a path is written that came without its kind."""
    folder = Path(os.path.expanduser(name))
    if name.endswith(".npz"):
        return f"; this file is written npz:{name}"
    kind = next((kind for kind, files in FOLDERS if folder.is_dir() and any(folder.glob(files))), "KIND")
    return f"; this folder is written {kind}:{name}" if folder.is_dir() else ""


def _request(path, source):
    """The `Request` of what stands after the colon."""
    first = _FIRST.search(path)
    if first:
        path = path[:first.start()]
    if "\0" in path:
        raise DataError(f"data must be written {source.form}, not with a zero byte: {path!r}")
    folder, colon, split = path.rpartition(":")
    if "SPLIT" not in source.form or not colon or os.path.exists(os.path.expanduser(path)):
        folder, split = path, ""
    return Request(Path(os.path.expanduser(folder)), split, int(first[1]) if first else 0)  # which never fails
