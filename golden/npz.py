"""Data sets as NumPy archives: frames, event frames, or events; names of arrays are in docs/data.md."""

import math

import numpy as np

from .archive import ARRAY_LIMIT, open_archive
from .checks import SAMPLES, check_form, check_frames, check_labels, check_range, check_values
from .dataset import DataError, Dataset
from .events import Binning, EventFrames

__all__ = ["load_npz"]

#: Names of frames and labels, to train and to test: ours, those of Keras, those of MedMNIST.
NAMES = (("train_frames", "train_labels", "test_frames", "test_labels"),
         ("x_train", "y_train", "x_test", "y_test"),
         ("train_images", "train_labels", "test_images", "test_labels"))
#: What events are made of; after ``train_`` and ``test_``.
EVENTS = ("t", "x", "y", "p", "borders")
#: Every set of names that an archive may hold: one of them.
SETS = (*NAMES, tuple(f"{part}_{name}" for part in ("train", "test") for name in (*EVENTS, "labels")))


def load_npz(request, config):
    """A NumPy archive of frames (or of events) and labels, to train and to test.

    Parameters
    ----------
    request : Request
    config : Config

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If the file is missing or damaged, or an array is missing or does not fit the others or the configuration.
    """
    with open_archive(request.path, DataError) as archive:
        names = next((own for own in SETS if set(own) <= set(archive.names)), None)
        _check_alone(archive, names)
        begun = names == SETS[-1] or (names is None and f"train_{EVENTS[0]}" in archive.names)
        if config.input.kind == "events" and begun:
            return _events(archive, request, config)
        if names not in NAMES:
            wanted = " or ".join(", ".join(own) for own in NAMES)
            raise DataError(f"{archive.path}: must hold {wanted}, not {', '.join(archive.names) or 'nothing'}")
        forms = [archive.form(name) for name in (names[0], names[2])]  # all of them before the first value
        for name, form in zip((names[0], names[2]), forms):
            check_frames(f"{archive.path}: {name}", form.dtype, form.shape, config, DataError)
        if forms[0].shape[1:] != forms[1].shape[1:]:
            own, other = (" x ".join(map(str, form.shape[1:])) for form in forms)
            raise DataError(f"{archive.path}: {names[2]} must be {own} like {names[0]}, not {other}")
        parts = []
        for frames_name, labels_name in (names[:2], names[2:]):
            labels = _labels(archive, labels_name, archive.form(frames_name).shape[0], request, config)
            parts += _frames(archive, frames_name, config), labels
    x, y, x_test, y_test = parts
    if config.input.kind == "frame":
        smallest = np.min_scalar_type(max(x.max(), x_test.max()))
        x, x_test = x.astype(smallest), x_test.astype(smallest)
    return Dataset(x, y, x_test, y_test)


def _check_alone(archive, names):
    """Refuse an archive that holds arrays of another set than `names`: it does not say which one is meant."""
    known = {name for own in SETS for name in own}
    others = [name for name in archive.names if names and name in known - set(names)]
    if others:
        raise DataError(f"{archive.path}: must hold arrays of one set of names, not of {', '.join(names)} and of "
                        f"{', '.join(others)}")


def _frames(archive, name, config):
    frames, events = archive.read(name), config.input.kind == "events"
    check_values(f"{archive.path}: {name}", frames, config, DataError)
    steps = (config.time.steps,) if events else ()
    frames = frames.reshape(len(frames), *steps, config.input.size)
    return EventFrames((np.flatnonzero(sample) for sample in frames), *steps, config.input.size) if events else frames


def _labels(archive, name, count, request, config):
    where, form = f"{archive.path}: {name}", archive.form(name)
    labels = archive.read(name, limit=8 * SAMPLES) if form.dtype.kind in "iu" and math.prod(form.shape) == count \
        else np.broadcast_to(np.zeros((), form.dtype), form.shape)  # of the wrong form: it is enough to know that
    check_labels(where, labels, count, config.network.classes, DataError, request.first_label)
    return labels.reshape(count).astype(np.int64) - request.first_label


def _events(archive, request, config):
    """Recordings as events, one after the other, with the borders of the samples."""
    parts, binning = [], None
    for part in ("train", "test"):
        wanted = [f"{part}_{name}" for name in (*EVENTS, "labels")]
        if missing := [name for name in wanted if name not in archive.names]:
            raise DataError(f"{archive.path}: must hold {', '.join(wanted)}: {missing[0]} is missing")
        if binning is None:
            binning = Binning(_sensor(archive, config), config)
        borders = _borders(archive, wanted[4])
        count = int(borders[-1])
        fields = []
        for name in wanted[:4]:
            form = archive.form(name)
            check_form(f"{archive.path}: {name}", form.dtype, form.shape, [(count,)], DataError,
                       "integers" if name[-1] != "p" else "bits")
            fields.append(archive.read(name))
        samples = (binning.places(*(field[first:last] for field in fields),
                                  where=f"{archive.path}: {part} recording {number}")
                   for number, (first, last) in enumerate(zip(borders, borders[1:])))
        parts += (EventFrames(samples, config.time.steps, config.input.size),
                  _labels(archive, wanted[5], len(borders) - 1, request, config))
    return Dataset(*parts, notes=binning.notes)


def _borders(archive, name):
    """Where each recording begins, and the end of the last one."""
    where, form = f"{archive.path}: {name}", archive.form(name)
    check_form(where, form.dtype, form.shape, [("samples + 1",)], DataError)
    if not 2 <= form.shape[0] <= SAMPLES + 1:
        raise DataError(f"{where} must hold 2 to {SAMPLES + 1:,} borders, not {form.shape[0]:,}")
    borders = archive.read(name)
    check_range(where, borders, 0, ARRAY_LIMIT, DataError)
    borders = borders.astype(np.int64)
    if borders[0] != 0 or (np.diff(borders) < 0).any():
        raise DataError(f"{where} must begin with 0 and rise, not {', '.join(map(str, borders[:4]))} ...")
    return borders


def _sensor(archive, config):
    """(height, width, 2) of the recordings: those of the frames, if the archive does not say."""
    if "sensor" not in archive.names:
        return config.input.shape
    form = archive.form("sensor")
    check_form(f"{archive.path}: sensor", form.dtype, form.shape, [(2,)], DataError)
    sensor = archive.read("sensor")
    check_range(f"{archive.path}: sensor", sensor, 1, 65536, DataError)
    return (*sensor.tolist(), 2)
