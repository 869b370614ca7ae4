"""Events of a sensor as binary frames (Guo et al., III.C): one frame per time window, a channel per polarity."""

import numpy as np

from .dataset import DataError

__all__ = ["EventFrames", "bin_events", "reduction"]


class EventFrames:
    """Samples of binary frames, stored as the places of their ones; indexed like an array (samples, steps, size).

    A place is ``step * size + index``. Any index or slice of the first axis gives a dense uint8 array: a sample
    (steps, size), or samples (n, steps, size).

    Parameters
    ----------
    samples : iterable of array_like
        Places of each sample, in any order; a place that comes twice is still a one.
    steps, size : int
        Frames of a sample, and values of a frame.

    Raises
    ------
    ValueError
        If a place lies outside a sample.
    """

    def __init__(self, samples, steps, size):
        self.steps, self.size = steps, size
        self._places = []
        for number, sample in enumerate(samples):
            places = np.unique(np.asarray(sample, dtype=np.int64))
            if places.size and not 0 <= places[0] <= places[-1] < steps * size:
                raise ValueError(f"places of sample {number} must be 0 to {steps * size - 1}, "
                                 f"not {places[0]} to {places[-1]}")
            self._places.append(places.astype(np.uint32))

    def __len__(self):
        return len(self._places)

    @property
    def shape(self):
        """(samples, steps, size)."""
        return len(self), self.steps, self.size

    def arrays(self):
        """All that makes these frames what they are, as arrays: shape, and for each sample its places."""
        yield np.array(self.shape)
        yield from self._places

    def __getitem__(self, key):
        chosen = np.arange(len(self))[key]  # every kind of index that NumPy knows, and its errors
        dense = np.zeros((chosen.size, self.steps * self.size), np.uint8)
        for row, number in zip(dense, chosen.flat):
            row[self._places[number]] = 1
        return dense.reshape(*chosen.shape, self.steps, self.size)

    def pairs(self, number):
        """Steps and indices of the ones of one sample, two arrays, sorted by step and then by index."""
        return np.divmod(self._places[number], np.uint32(self.size))


def reduction(sensor, shape):
    """By how much y and x of a sensor are divided to fit `shape`.

    Parameters
    ----------
    sensor, shape : tuple of int
        (height, width, 2) of the recordings and of the frames.

    Raises
    ------
    DataError
        If `shape` is not a whole fraction of `sensor`.
    """
    (height, width, polarities), (rows, columns, channels) = sensor, shape
    if height % rows or width % columns or channels != polarities:
        raise DataError(f"input.shape must be {list(sensor)}, or have a height and a width that divide it, "
                        f"not {list(shape)}")
    return height // rows, width // columns


def bin_events(t, x, y, p, *, sensor, shape, steps, bin_microseconds):
    """Places (``step * size + index``) of events in the first `steps` windows; unsorted, with repetitions.

    The first window starts at the earliest event, since the clocks of recordings start anywhere. The index of an
    event is ``(y * width + x) * 2 + polarity``, its coordinates divided down to `shape`.

    Parameters
    ----------
    t, x, y, p : numpy.ndarray
        Time in microseconds, coordinates and polarity of each event, (events,), integers.
    sensor, shape : tuple of int
        (height, width, 2) of the recording and of the frames.
    steps : int
        Windows that are kept.
    bin_microseconds : int
        Length of a window.

    Returns
    -------
    numpy.ndarray
        int64.

    Raises
    ------
    DataError
        If there is no event, one lies outside the sensor, or `shape` is no whole fraction of it.
    """
    down_y, down_x = reduction(sensor, shape)
    t, x, y, p = (np.asarray(values).astype(np.int64) for values in (t, x, y, p))
    if not t.size:
        raise DataError("must hold at least one event, not none")
    for name, values, limit in zip(("y", "x", "polarity"), (y, x, p), sensor):
        wrong = (values < 0) | (values >= limit)
        if wrong.any():
            raise DataError(f"{name} of an event must be 0 to {limit - 1}, not {values[wrong][0]}")
    rows, columns, _ = shape
    step = (t - t.min()) // bin_microseconds
    index = (y // down_y * columns + x // down_x) * 2 + p
    return (step * (rows * columns * 2) + index)[step < steps]
