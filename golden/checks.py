"""What arrays from outside must be, compared before anything is converted: one function per boundary.

Data sets and the Python API hand over samples, checkpoints and hosts a state. The rules are those of the
configuration; an error names file, array, rule and value.
"""

import math
from typing import NamedTuple

import numpy as np

from .states import unit_states

__all__ = ["SAMPLES", "Rule", "check_dataset", "check_form", "check_frames", "check_labels", "check_range",
           "check_samples", "check_state", "check_values", "state_rules"]

#: Samples of a data set, at most.
SAMPLES = 1 << 20


class Rule(NamedTuple):
    """An array of integers: its shape, and the least and the largest value."""

    shape: tuple
    low: int
    high: int


def _shape(shape):
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _suits(shape, own):
    """Whether a shape is one that may be; a name in that stands for any length."""
    return len(own) == len(shape) and all(isinstance(right, str) or right == length
                                          for right, length in zip(own, shape))


def check_form(where, dtype, shape, shapes, error, wanted="integers"):
    """Compare type and shape of an array with what they may be; a name in a shape stands for any length.

    Parameters
    ----------
    where : str
        File and array.
    dtype : numpy.dtype
    shape : tuple of int
    shapes : list of tuple
        Of int and str.
    error : type
    wanted : str
        What the values must be.
    """
    if dtype.kind not in ("iu" if wanted == "integers" else "iub"):
        raise error(f"{where} must hold {wanted}, not {dtype}")
    if not any(_suits(shape, own) for own in shapes):
        raise error(f"{where} must have the shape {' or '.join(map(_shape, shapes))}, not {_shape(shape)}")


def check_range(where, array, low, high, error):
    """Compare the values of an array of integers with their range."""
    if array.size:
        for value in (int(array.min()), int(array.max())):
            if not low <= value <= high:
                raise error(f"{where} must hold {f'values {low} to {high}' if low < high else f'only {low}'}, "
                            f"not {value}")


def frame_shapes(config):
    """Shapes that frames of a data set may have: those of `input.shape`, or flat.

    A configuration that gives only a size does not know rows from columns: images of that size are taken row by row.
    """
    steps = (config.time.steps,) if config.input.kind == "events" else ()
    height, width, channels = config.input.shape
    shapes = [("samples", *steps, height, width, channels)] if (height, width) != (1, 1) else []
    if channels == 1 and shapes:
        shapes.append(("samples", *steps, height, width))
    return [*shapes, ("samples", *steps, config.input.size)]


def check_frames(where, dtype, shape, config, error):
    """Compare the form of frames with what the configuration says; of values nothing is known yet.

    Either may be wrong, so that the message gives both shapes.
    """
    events = config.input.kind == "events"
    wanted = "bits" if events else f"integers 0 to {(1 << config.input.bits) - 1}"
    if dtype.kind not in ("iub" if events else "iu"):
        raise error(f"{where} must hold {wanted}, not {dtype}")
    shapes = frame_shapes(config)
    (height, width, _), size = config.input.shape, config.input.size
    flat = (height, width) == (1, 1) and not events
    by_rows = flat and len(shape) == 3 and math.prod(shape[1:]) == size
    if not by_rows and not any(_suits(shape, own) for own in shapes):
        name = "input.size" if flat else "time.steps and input.shape" if events else "input.shape"
        raise error(f"{where.rstrip(':')} and {name} must fit each other: the data have the shape {_shape(shape)}, the "
                    f"configuration takes {' or '.join(map(_shape, shapes))}")
    if not 0 < shape[0] <= SAMPLES:
        raise error(f"{where} must hold 1 to {SAMPLES:,} samples, not {shape[0]:,}")


def check_values(where, frames, config, error):
    """Compare the values of frames of integers with `input.bits`."""
    low, high = int(frames.min()), int(frames.max())
    if low < 0:
        raise error(f"{where} must hold values from 0, not {low}")
    if high >= 1 << config.input.bits:
        raise error(f"input.bits must hold {high} for {where}, not {config.input.bits}")


def check_labels(where, labels, count, classes, error, first=0):
    """Compare labels with the number of samples and of classes; `first` is the label of class 0."""
    if labels.dtype.kind not in "iu":  # fractions, and what was written as one
        raise error(f"{where} must hold integers, not {labels.dtype}")
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise error(f"{where} must hold the number of a class for each sample, shape ({count},), not one column per "
                    f"class, {_shape(labels.shape)}")
    if labels.shape not in ((count,), (count, 1)):
        if labels.ndim != 1:
            raise error(f"{where} must have the shape ({count},), not {_shape(labels.shape)}")
        raise error(f"{where} must hold {count} labels, one for each sample, not {len(labels)}")
    low, high = int(labels.min()), int(labels.max())
    if low < first:
        raise error(f"{where} must hold labels from {first}, not {low}")
    if high - first >= classes:
        hint = "; labels that count from 1 are said so: DATA,first-label=1" if low == 1 and not first else ""
        raise error(f"network.classes must be at least {high - first + 1} for {where.rstrip(':')}, not {classes}{hint}")


def check_samples(config, frames, labels, error, classes=None):
    """Samples as they go to a core or to its model: frames (samples, size), events (samples, T, size), and labels.

    Parameters
    ----------
    config : Config
    frames : numpy.ndarray
    labels : sequence of int
    error : type
    classes : int, optional
        How many there are, if not as many as the configuration says: a core takes labels of no class.
    """
    events = config.input.kind == "events"
    shape = ("samples", *((config.time.steps,) if events else ()), config.input.size)
    high = 1 if events else (1 << config.input.bits) - 1
    check_form("frames", frames.dtype, frames.shape, [shape], error, f"integers 0 to {high}")
    check_range("frames", frames, 0, high, error)
    own = _integers(labels)
    if own.shape != (len(frames),):
        raise error(f"labels must be {len(frames)} integers, one for each sample, not of shape {_shape(own.shape)}")
    if own.size:
        check_form("labels", own.dtype, own.shape, [("samples",)], error)
        check_range("labels", own, 0, (classes or config.network.classes) - 1, error)


def check_dataset(config, data, error):
    """A whole `Dataset`, before anything is trained with it: the rules of `check_samples` for both parts."""
    events = config.input.kind == "events"
    for part, frames, labels in (("train", data.train_frames, data.train_labels),
                                 ("test", data.test_frames, data.test_labels)):
        shape = ("samples", *((config.time.steps,) if events else ()), config.input.size)
        stored = np.dtype(np.uint8) if events and not hasattr(frames, "dtype") else frames.dtype  # as bits, sparsely
        check_form(f"{part}_frames", stored, frames.shape, [shape], error)
        if hasattr(frames, "dtype"):
            check_range(f"{part}_frames", frames, 0, (1 << (1 if events else config.input.bits)) - 1, error)
        if not len(frames):
            raise error(f"{part}_frames must hold at least one sample, not none")
        check_labels(f"{part}_labels", labels, len(frames), config.network.classes, error)


def _integers(labels):
    """A sequence as an array; what is no list of integers stays an array of objects, of whatever shape."""
    if hasattr(labels, "shape"):
        return np.asarray(labels)
    own = np.array(labels, dtype=object)  # which nothing is too ragged or too large for
    whole = all(isinstance(label, int | np.integer) and not isinstance(label, bool) and -(1 << 63) <= label < 1 << 63
                for label in own.flat)
    return own.astype(np.int64) if whole else own


def state_rules(config):
    """The `Rule` of every array of a state, by its name: see `golden.checkpoint.state_arrays`."""
    update, rules = config.update, {}
    for place, unit in enumerate(config.units):
        for saved, rows in (("matrix", unit.fan_in), ("lanes", unit.lanes)):
            for name, state in unit_states(config, unit, saved).items():
                shape = (rows if state.there else 0, *[unit.channels] * (saved == "matrix"))
                rules[f"{name}_{place}"] = Rule(shape, state.values.minimum, state.values.maximum)
    rules["shift"] = Rule((), update.shift, update.shift + (update.decay_limit if update.decay_samples else 0))
    rules["since_decay"] = Rule((), 0, max(update.decay_samples - 1, 0))
    return rules


def check_state(config, arrays, error, where="state"):
    """A state as arrays, compared with the configuration.

    Parameters
    ----------
    config : Config
    arrays : mapping of str to numpy.ndarray
        More arrays than those of a state may be among them.
    error : type
    where : str
        The file, or what else an error calls it.

    Returns
    -------
    dict of str to numpy.ndarray
        The arrays of the state.
    """
    checked = {}
    for name, rule in state_rules(config).items():
        if name not in arrays:
            raise error(f"{where}: must hold {name}, which is missing")
        array = checked[name] = np.asarray(arrays[name])
        check_form(f"{where}: {name}", array.dtype, array.shape, [rule.shape], error)
        check_range(f"{where}: {name}", array, rule.low, rule.high, error)
    return checked
