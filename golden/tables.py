"""Tables of pixels (CSV): a line per image. An error names the line in the file, the column and what is in there."""

import re
from typing import NamedTuple

import numpy as np

from .checks import SAMPLES, check_frames
from .dataset import DataError
from .messages import shown
from .reading import reading, unpacked

__all__ = ["read_table"]

#: Of a label, at most; whether there is such a class is compared later.
_DIGITS = 9
_NUMBER = re.compile("[0-9]{1,9}")


class Columns(NamedTuple):
    """How many columns there are, which one is the label, and their names; without a line of names there are none."""

    count: int
    label: int
    names: tuple = ()


def read_table(path, config):
    """Pixels (samples, size) uint8 and labels int64 of a table, packed or not.

    Parameters
    ----------
    path : Path
    config : Config

    Raises
    ------
    DataError
        If a line or a cell is not as it must be.
    """
    size, columns, pixels, labels = config.input.size, None, bytearray(), []
    with reading(path, DataError), unpacked(path, DataError) as file:
        for where, line in _lines(path, file, 64 * (size + 1)):  # a line of names may name every column
            if columns is None:
                columns = _columns(where, line, size + 1)
                if columns.names:
                    continue
            if len(labels) == SAMPLES:
                raise DataError(f"{path}: must hold at most {SAMPLES:,} samples, not more")
            own, label = _row(where, line, columns)
            pixels += own
            labels.append(label)
    frames = np.frombuffer(pixels, np.uint8).reshape(-1, size)
    check_frames(f"{path}:", frames.dtype, frames.shape, config, DataError)
    return frames, np.array(labels, np.int64)


def _lines(path, file, longest):
    """Place (for errors) and text of each line that is not empty, of at most `longest` bytes."""
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        where = f"{path}: line {number}"
        if len(line) > longest:
            raise DataError(f"{where}: must have at most {longest:,} bytes, not more")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield where, line.rstrip(b"\r\n")


def _columns(where, line, count):
    """`Columns` by the first line of a table, which may hold names."""
    text = line.decode("latin-1")
    if not any(letter.isalpha() for letter in text):
        return Columns(count, 0)
    names = [name.strip('" ').lower() for name in text.split(",")]
    if "label" not in names:
        raise DataError(f"{where}: must hold numbers, or names of columns, one of them 'label', not {shown(text)}; the "
                        "test set of a competition has none")
    if len(names) != count:
        raise DataError(f"{where}: must name a label and the {count - 1} values of input.size, not {len(names)} "
                        "columns")
    for place, name in enumerate(names):
        if (first := names.index(name)) < place:
            raise DataError(f"{where}: must name every column once, not {shown(name)} in columns {first + 1} and "
                            f"{place + 1}")
    _check_order(where, names)
    return Columns(count, names.index("label"), tuple(names))


def _check_order(where, names):
    """Pixels are taken by their place: numbers in their names may not say otherwise."""
    numbered = [(name, [int(number) for number in _NUMBER.findall(name)]) for name in names if name != "label"]
    numbered = [(name, numbers) for name, numbers in numbered if numbers]
    for (left, smaller), (right, larger) in zip(numbered, numbered[1:]):
        if smaller > larger:
            raise DataError(f"{where}: must name pixels in the order of their numbers, not {shown(left)} before "
                            f"{shown(right)}")


def _row(where, line, columns):
    """Pixels, as bytes, and label of one line."""
    cells = line.split(b",")
    if len(cells) != columns.count:
        raise DataError(f"{where}: must hold a label and the {columns.count - 1} values of input.size, not "
                        f"{len(cells)} cells")
    label, pixels = cells[columns.label], cells[:columns.label] + cells[columns.label + 1:]
    try:
        if line.translate(None, b"0123456789,") or len(label) > _DIGITS:  # `int` takes signs, spaces and underscores
            raise ValueError
        return bytes(map(int, pixels)), int(label)
    except ValueError:  # of `bytes`, too, for what is above 255
        raise DataError(_fault(where, cells, columns)) from None


def _fault(where, cells, columns):
    """What to say of the first cell of a line that is no number, or out of range."""
    for place, cell in enumerate(cells):
        largest = 10**_DIGITS - 1 if place == columns.label else 255
        if not cell.isdigit() or len(cell) > _DIGITS or int(cell) > largest:
            break
    name = f" ({shown(columns.names[place])})" if columns.names else ""
    return (f"{where}, column {place + 1}{name}: must hold an integer from 0 to {largest}, not "
            f"{shown(cell.decode('latin-1'))}")
