"""NumPy archives from outside: form and size of every array are known before anything of it is unpacked."""

import math
import os
import re
import zipfile
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np

from .reading import opened, reading

__all__ = ["ARRAY_LIMIT", "Form", "open_archive"]

#: Bytes of an array, whatever a configuration would allow.
ARRAY_LIMIT = 1 << 31
#: Bytes that are read at a time, and so of the directory of an archive.
_PART = 1 << 20
#: Bytes of an array's header: its kind and its shape, as text.
_HEADER = 1 << 12
_FIELD = {"descr": re.compile(rb"'descr'\s*:\s*'([^']*)'"),
          "order": re.compile(rb"'fortran_order'\s*:\s*(True|False)"),
          "shape": re.compile(rb"'shape'\s*:\s*\(([\dL,\s]*)\)")}
_KIND = re.compile(r"[<>|=]?([biufcU?])(\d{0,9})")


class Form(NamedTuple):
    """What the header of an array says: type, shape, whether the first axis changes fastest, length of the header."""

    dtype: np.dtype
    shape: tuple
    fortran: bool
    header: int

    @property
    def bytes(self):
        """Of the array's values."""
        return math.prod(self.shape) * self.dtype.itemsize


class _Parts:
    """A file that gives at most `_PART` bytes at a time: a directory may claim any size."""

    def __init__(self, file):
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, count=-1):
        data = self._file.read(count if 0 <= count <= _PART else _PART + 1)
        if len(data) > _PART:
            raise ValueError(f"a directory must have at most {_PART:,} bytes")
        return data

    def seekable(self):
        return True


class Archive:
    """An open archive. Every method raises `error`, one line that names the file, for whatever is wrong with it.

    Attributes
    ----------
    path : Path
    names : tuple of str
        Of the arrays, in their order.
    """

    def __init__(self, path, file, error, reason):
        self.path, self._error, self._reason = path, error, reason
        with self._reading():
            size = os.fstat(file.fileno()).st_size
            self._zip = zipfile.ZipFile(_Parts(file))
            members = [member for member in self._zip.infolist() if member.filename.endswith(".npy")]
            self._members = {member.filename[:-4]: member for member in members}
            if len(self._members) < len(members):
                raise ValueError("an array comes twice")
            if sum(member.compress_size for member in members) > size:
                raise ValueError("its arrays overlap")
        self.names = tuple(self._members)

    def _reading(self):
        return reading(self.path, self._error, self._reason)

    def form(self, name):
        """The `Form` of an array; of its values nothing is read."""
        with self._reading(), self._open(name) as member:
            return _form(member.read(_HEADER), self._members[name].file_size)

    def read(self, name, limit=ARRAY_LIMIT):
        """An array of at most `limit` bytes."""
        form = self.form(name)
        if form.bytes > limit:
            raise self._error(f"{self.path}: {name} must have at most {limit:,} bytes, not {form.bytes:,}")
        with self._reading(), self._open(name) as member:
            member.read(form.header)
            flat = np.empty(form.bytes, np.uint8)
            place, view = 0, memoryview(flat)
            while place < form.bytes:
                part = member.read(min(_PART, form.bytes - place))
                if not part:
                    raise ValueError(f"{name} ends after {place:,} of {form.bytes:,} bytes")
                view[place:place + len(part)] = part
                place += len(part)
            if member.read(1):  # and so the sum over all of it was checked
                raise ValueError(f"{name} has more than {form.bytes:,} bytes")
        array = flat.view(form.dtype) if form.bytes else np.empty(0, form.dtype)
        array = array.reshape(form.shape, order="F" if form.fortran else "C")
        return array.astype(form.dtype.newbyteorder("="), copy=False)

    def _open(self, name):
        member = self._members[name]
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} must be stored or deflated, not compressed by method {member.compress_type}")
        return self._zip.open(member)


def _form(head, size):
    """The form of an array from its first bytes; what a header says is never evaluated."""
    major = head[6] if len(head) > 6 else 0
    if head[:6] != b"\x93NUMPY" or major not in (1, 2, 3):
        raise ValueError("an array must begin with the header of NumPy")
    first = 10 if major == 1 else 12
    header = first + int.from_bytes(head[8:first], "little")
    if header > len(head):
        raise ValueError(f"the header of an array must have at most {_HEADER} bytes")
    found = {name: pattern.search(head[first:header]) for name, pattern in _FIELD.items()}
    kind = _KIND.fullmatch(found["descr"][1].decode("latin-1")) if found["descr"] else None
    if not kind:
        raise ValueError("arrays must hold plain numbers; Python objects (pickles) and records are never loaded")
    if not found["order"] or not found["shape"]:
        raise ValueError("the header of an array must say its order and its shape")
    shape = tuple(int(length) for length in found["shape"][1].replace(b"L", b"").split(b",") if length.strip())
    form = Form(np.dtype(found["descr"][1].decode("latin-1")), shape, found["order"][1] == b"True", header)
    if header + form.bytes != size:
        raise ValueError(f"an array of {form.bytes:,} bytes cannot have {size - header:,}")
    return form


@contextmanager
def open_archive(path, error, reason="not a NumPy archive"):
    """An `Archive` for the file at `path`; it reads nothing but the directory yet."""
    with ExitStack() as stack:
        with reading(path, error, reason):
            file = stack.enter_context(opened(path, error))
        yield Archive(path, file, error, reason)
