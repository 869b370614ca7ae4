"""Events of a sensor as binary frames (Guo et al., III.C): one frame per time window, a channel per polarity."""

import numpy as np

from .dataset import DataError

__all__ = ["Binning", "EventFrames", "reduction"]


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


class Binning:
    """Events of recordings as places (``step * size + index``), and a count of what was left out.

    The first window starts at the earliest event, since the clocks of recordings start anywhere. The index of an
    event is ``(y * width + x) * 2 + polarity``, its coordinates divided down to `input.shape`.

    Parameters
    ----------
    sensor : tuple of int
        (height, width, 2) of the recordings.
    config : Config

    Raises
    ------
    DataError
        If `input.shape` is no whole fraction of the sensor.
    """

    def __init__(self, sensor, config):
        self.sensor, self.shape, self.steps = sensor, config.input.shape, config.time.steps
        self.window = config.input.bin_microseconds
        self.down = reduction(sensor, self.shape)
        self._events = self._outside = self._disordered = 0
        self._worst, self._worst_of = 0.0, ""

    def places(self, t, x, y, p, where):
        """Places of the events of one recording in the first `steps` windows; unsorted, with repetitions.

        Parameters
        ----------
        t, x, y, p : numpy.ndarray
            Time in microseconds, coordinates and polarity of each event, (events,), integers.
        where : str
            The recording, for errors.

        Returns
        -------
        numpy.ndarray
            int64.

        Raises
        ------
        DataError
            If there is no event, one lies outside the sensor or has a time below 0, or all that is not left out
            lies in one step.
        """
        if not len(t):
            raise DataError(f"{where}: must hold at least one event, not none")
        limits = (("t", t, 1 << 62), *zip(("y", "x", "polarity"), (y, x, p), self.sensor))
        for name, values, limit in limits:
            values = np.asarray(values)
            if values.dtype.kind not in ("iub" if name == "polarity" else "iu"):
                raise DataError(f"{where}: {name} of an event must be an integer, not {values.dtype}")
            for value in (int(values.min()), int(values.max())):
                if not 0 <= value < limit:
                    raise DataError(f"{where}: {name} of an event must be 0 to {limit - 1}, not {value}")
        t, x, y, p = (np.asarray(values).astype(np.int64) for values in (t, x, y, p))
        step = (t - t.min()) // self.window
        kept = step < self.steps
        self._count(t, step, kept, where)
        rows, columns, _ = self.shape
        down_y, down_x = self.down
        index = (y // down_y * columns + x // down_x) * 2 + p
        return (step * (rows * columns * 2) + index)[kept]

    def _count(self, t, step, kept, where):
        outside = len(t) - int(np.count_nonzero(kept))
        share = outside / len(t)
        if self.steps > 1 and (step[kept] == 0).all():
            raise DataError(f"{where}: must use more than one of the {self.steps} steps of {self.window} "
                            f"microseconds; its {len(t):,} events begin at {t.min()} and end at {t.max()}, {share:.1%} "
                            "of them too late")
        self._events, self._outside = self._events + len(t), self._outside + outside
        self._disordered += bool((np.diff(t) < -self.window).any())
        if share > self._worst:
            self._worst, self._worst_of = share, where

    @property
    def notes(self):
        """What a person should know of the recordings: lines of text, none if there is nothing."""
        found = []
        if self._outside:
            found.append(f"{self._outside / self._events:.1%} of the events come after the {self.steps} steps of "
                         f"{self.window} microseconds, at most {self._worst:.1%} of a recording ({self._worst_of})")
        if self._disordered:
            found.append(f"in {self._disordered} recordings times fall back by more than a step: not sorted, or a "
                         "counter that wrapped")
        return tuple(found)
