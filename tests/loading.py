"""What tests of data sets share: a configuration as loaders see it, and what they say when they refuse."""

from types import SimpleNamespace

import pytest

from spikeloom.golden.data import DataError

__all__ = ["refused", "unfit", "wanted"]


def wanted(kind="frame", size=6, bits=8, classes=10, steps=3, shape=None, bin_microseconds=10):
    """As much of a configuration as the loaders look at."""
    shape = shape or (1, 1, size)
    return SimpleNamespace(
        input=SimpleNamespace(kind=kind, size=size, bits=bits, shape=shape, bin_microseconds=bin_microseconds),
        time=SimpleNamespace(steps=steps), network=SimpleNamespace(classes=classes))


def refused(load, *arguments):
    """The message of the `DataError`: one line."""
    with pytest.raises(DataError) as error:
        load(*arguments)
    message = str(error.value)
    assert "\n" not in message
    return message


def unfit(field, found, taken):
    """What is said of frames of a shape that the configuration does not take, after what names them."""
    return f"and {field} must fit each other: the data have the shape {found}, the configuration takes {taken}"
