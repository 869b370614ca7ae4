"""Samples as the items of the core's stream, for whoever sends them: test bench, driver, or host of a board."""

import numpy as np

from ..golden.checks import check_samples
from ..golden.errors import InputError
from ..rtl.events import input_layout

__all__ = ["items"]


def items(config, frames, labels, trains):
    """Samples as the stream takes them.

    Frames go value by value. Events go batch by batch, in each interval by interval, and in each of those sample by
    sample, an item per event and one for the end of every step.

    Returns
    -------
    items : numpy.ndarray of uint64
        Payloads of the stream `samples`.
    arrive : numpy.ndarray of bool
        Which items complete a frame, or an interval of a sample.

    Raises
    ------
    InputError
        If frames or labels have another form than the configuration says, or a value is out of range.
    """
    events = config.input.kind == "events"
    layout = dict(input_layout(config))
    frames, labels, trains = np.asarray(frames), np.asarray(labels), np.asarray(trains)
    check_samples(config, frames, labels, InputError, classes=1 << layout["label"].width)
    if len(labels) % config.update.batch:
        raise InputError(f"samples must be a multiple of update.batch = {config.update.batch}, not {len(labels)}")
    if trains.shape != labels.shape or not np.isin(trains, (0, 1)).all():
        raise InputError(f"modes must be {len(labels)} values 0 or 1, not {trains.tolist()}")
    offset = {name: np.uint64(field.offset) for name, field in layout.items()}
    batch, k = config.update.batch, config.time.interval
    shape = (-1, batch, config.intervals, k, config.input.size) if events else (-1, 1, 1, 1, config.input.size)
    values = frames.reshape(shape).astype(np.uint64).swapaxes(1, 2)
    own = (labels.astype(np.uint64) << offset["label"]
           | trains.astype(np.uint64) << offset["train"]).reshape(shape[:2])
    if not events:
        flat = values.reshape(-1, config.input.size) << offset["value"] | own
        flat[:, 0] |= np.uint64(1) << offset["first"]
        flat[:, -1] |= np.uint64(1) << offset["last"]
        return flat.ravel(), np.arange(flat.size) % config.input.size == config.input.size - 1
    # The end of a step is one more place behind those of the frame.
    present = np.pad(values != 0, [(0, 0)] * 4 + [(0, 1)], constant_values=True)
    number, interval, sample, step, place = np.nonzero(present)
    end = place == config.input.size
    _, width, channels = config.input.shape
    place = np.where(end, 0, place).astype(np.uint64)
    pixel, channel = place // np.uint64(channels), place % np.uint64(channels)
    # A sample begins where the item before belongs to another one.
    begins = np.diff((number * config.intervals + interval) * batch + sample, prepend=-1) != 0
    flat = (own[number, sample] | pixel // np.uint64(width) << offset["y"] | pixel % np.uint64(width) << offset["x"]
            | channel << offset["channel"] | end.astype(np.uint64) << offset["end"]
            | (begins & (interval == 0)).astype(np.uint64) << offset["first"])
    return flat, end & (step == k - 1)
