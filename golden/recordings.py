"""Event sets read through tonic from files on disk. Nothing downloads: where tonic would, a `DataError` says so."""

import importlib
import math
import os

import numpy as np

from .checks import check_labels
from .dataset import DataError, Dataset
from .events import Binning, EventFrames

__all__ = ["RECORDINGS", "load_recordings"]

#: Name -> class of tonic, and the packages that it needs.
RECORDINGS = {
    "cifar10dvs": ("CIFAR10DVS", ("tonic.datasets", "aedat")),
    "dvsgesture": ("DVSGesture", ("tonic.datasets",)),
    "nmnist": ("NMNIST", ("tonic.datasets",)),
}


def load_recordings(name, request, config):
    """One of `RECORDINGS` as binary frames.

    Samples are in the order of their paths. CIFAR10-DVS has no test set of its own: the last tenth of each class,
    in that order, becomes one.

    Parameters
    ----------
    name : str
        Of `RECORDINGS`.
    request : Request
        Its path is what tonic calls `save_to`: a folder that holds one named after tonic's class, with archive and
        extracted files.
    config : Config
        Its `input.shape` is a whole fraction of the sensor; the steps begin with the first event of a recording.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If a package or a file is missing, a file is damaged, or `shape` does not fit.
    """
    class_name, packages = RECORDINGS[name]
    try:
        tonic, *_ = (importlib.import_module(package) for package in packages)
    except ImportError as error:
        raise DataError(f"data set {name!r} needs {' and '.join(package.split('.')[0] for package in packages)}; "
                        f"install with: pip install aedat tonic ({error})") from None
    base = getattr(tonic, class_name)
    width, height, polarities = base.sensor_size
    sensor = (height, width, polarities)
    folder, binning = request.path, Binning(sensor, config)  # which refuses before minutes of reading

    def load(source, chosen):
        if not chosen:
            raise DataError(f"{os.path.join(source.location_on_system, source.folder_name)}: must hold samples to "
                            "train and to test with, not none")
        places = (_places(source, number, binning) for number in chosen)
        frames = EventFrames(places, config.time.steps, math.prod(config.input.shape))
        labels = np.array([source.targets[number] for number in chosen])
        check_labels(f"{folder}: labels", labels, len(chosen), config.network.classes, DataError, request.first_label)
        return frames, labels.astype(np.int64) - request.first_label

    if name == "cifar10dvs":
        source = _open(base, folder)
        train, test = _split(source)
        return Dataset(*load(source, train), *load(source, test), binning.notes)
    train, test = (_open(base, folder, train=train) for train in (True, False))
    return Dataset(*load(train, _order(train)), *load(test, _order(test)), binning.notes)


def _open(base, folder, **options):
    """An instance of tonic's class `base` that raises where tonic would download."""
    def refuse(self):
        raise DataError(f"{self.location_on_system}: must hold {self.filename} and all files extracted from it, "
                        "laid out as tonic does; nothing is downloaded")

    local = type(base.__name__, (base,), {"download": refuse})  # tonic looks for a folder named after the class
    try:
        return local(os.fspath(folder), **options)
    except DataError:
        raise
    except Exception as error:  # names of files and folders that tonic takes for labels
        raise DataError(f"{folder}: must be laid out as tonic's {base.__name__}, not so: {error!r}") from None


def _order(source):
    """Numbers of the samples by path; tonic gives some in the order of the file system."""
    return sorted(range(len(source.data)), key=source.data.__getitem__)


def _split(source):
    """Numbers of training and test samples: nine tenths of each class, and the rest."""
    parts = [], []
    for label in sorted(set(source.targets)):
        chosen = [number for number in _order(source) if source.targets[number] == label]
        border = len(chosen) * 9 // 10
        parts[0].extend(chosen[:border])
        parts[1].extend(chosen[border:])
    return parts


def _places(source, number, binning):
    """Places of the events of one sample; a file that cannot be used is named."""
    path = source.data[number]
    if path.endswith(".bin") and os.path.getsize(path) % 5:  # tonic may not notice
        raise DataError(f"{path}: must hold events of 5 bytes, not {os.path.getsize(path)} bytes")
    try:
        events, _ = source[number]
        return binning.places(*(events[field] for field in "txyp"), where=path)
    except (DataError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # damaged files give any error, and a panic of aedat is no Exception
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split()) or repr(error)}") from None
