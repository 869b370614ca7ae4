"""A synthetic event set: what a small sensor would see of a bar that moves in one of eight directions."""

import math

import numpy as np

from .dataset import DataError, Dataset
from .events import EventFrames

__all__ = ["DIRECTIONS", "directions"]

#: (x, y) of each class; y points down, as in an image.
DIRECTIONS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


def directions(shape, steps, *, train=800, test=200, seed=0):
    """Moving bars with noise; synthetic, and the same for the same arguments.

    A pixel that the leading edge crosses gives an event of polarity 1, and one of polarity 0 when the trailing edge
    does. Start, speed and length of the bar are random; a tenth of the events is lost, and a hundredth of all places
    holds noise. The class is the direction, in turn.

    Parameters
    ----------
    shape : tuple of int
        (height, width, 2) of the sensor, at least 4 by 4.
    steps : int
        Frames of a sample.
    train, test : int
        Samples.
    seed : int

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If `shape` is too small, or has not two channels.
    """
    height, width, channels = shape
    if min(height, width) < 4 or channels != 2:
        raise DataError(f"input.shape must be at least [4, 4, 2], with 2 channels, for data set 'directions', "
                        f"not {list(shape)}")
    random = np.random.Generator(np.random.PCG64(seed))
    parts = []
    for count in (train, test):
        labels = np.arange(count, dtype=np.int64) % len(DIRECTIONS)
        samples = [_bar(random, DIRECTIONS[label], shape, steps) for label in labels]
        parts += EventFrames(samples, steps, math.prod(shape)), labels
    return Dataset(*parts)


def _bar(random, direction, shape, steps):
    """Places of the events of one bar."""
    height, width, _ = shape
    size = math.prod(shape)
    index = np.arange(0, size, 2).reshape(height, width)
    y, x = np.indices((height, width))
    along = x * direction[0] + y * direction[1]  # the way of each pixel in the direction
    along -= along.min()
    way = int(along.max()) + 1
    length, start = random.integers(2, 2 + way // 3), random.integers(0, way // 2)
    speed = random.integers(8 * way, 16 * way + 1)  # half of the way to all of it, in sixteenths
    front = start + speed * np.arange(steps + 1) // (16 * steps)
    places = [random.integers(0, steps * size, steps * size // 100)]
    for polarity, edge in enumerate((front - length, front)):
        # The step in which the edge leaves a pixel behind: edge[step] <= along < edge[step + 1].
        step = np.searchsorted(edge, along, side="right") - 1
        seen = (step >= 0) & (step < steps) & (random.integers(0, 10, along.shape) > 0)
        places.append(step[seen] * size + index[seen] + polarity)
    return np.concatenate(places)
