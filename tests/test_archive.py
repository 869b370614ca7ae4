"""NumPy archives: arrays of every plain form as NumPy reads them, and one line for everything else."""

import io
import re
import struct
import zipfile

import numpy as np
import pytest

from spikeloom.golden.archive import open_archive
from spikeloom.golden.errors import InputError


def test_every_form(tmp_path):
    arrays = {"i": np.arange(6, dtype=np.int16).reshape(2, 3), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
              "b": np.array([True, False]), "big": np.arange(4, dtype=">u4"), "none": np.zeros((0, 3)),
              "one": np.array(7), "text": np.array("text"), "large": np.arange(3 << 17)}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        with open_archive(tmp_path / "a.npz", InputError) as archive:
            assert archive.names == tuple(arrays)
            for name, array in arrays.items():
                form, found = archive.form(name), archive.read(name)
                assert (form.dtype, form.shape, form.bytes) == (array.dtype, array.shape, array.nbytes)
                assert np.array_equal(found, array) and found.dtype.isnative and found.flags.writeable


def archived(path, content, *, method=zipfile.ZIP_DEFLATED, name="x.npy", times=1):
    with zipfile.ZipFile(path, "w", method) as archive:
        for _ in range(times):
            archive.writestr(name, content)


def packed(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=True)
    return buffer.getvalue()


ARRAY = packed(np.arange(4000))


def header(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make, message", [
    (lambda path: path.write_bytes(b""), "File is not a zip file"),
    (lambda path: archived(path, b"text"), "an array must begin with the header of NumPy"),
    (lambda path: archived(path, packed([{}])), "arrays must hold plain numbers; Python objects (pickles) and records "
                                                "are never loaded"),
    (lambda path: archived(path, packed(np.zeros(2, "i4,f4"))), "arrays must hold plain numbers; Python objects "
                                                                "(pickles) and records are never loaded"),
    (lambda path: archived(path, ARRAY, method=zipfile.ZIP_LZMA), "x must be stored or deflated, not compressed by "
                                                                  "method 14"),
    (lambda path: archived(path, ARRAY, method=zipfile.ZIP_BZIP2), "x must be stored or deflated, not compressed by "
                                                                   "method 12"),
    (lambda path: archived(path, ARRAY[:-1]), "an array of 32,000 bytes cannot have 31,999"),
    (lambda path: archived(path, ARRAY + b"!"), "an array of 32,000 bytes cannot have 32,001"),
    (lambda path: archived(path, ARRAY, times=2), "an array comes twice"),
    # what a header says is not evaluated, and no memory is taken for it
    (lambda path: archived(path, header(b"{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999,), }")),
     "an array of 799,999,999,992 bytes cannot have 0"),
    (lambda path: archived(path, header(b"{'descr': '<i8', 'fortran_order': False, 'shape': (2**9,), }")),
     "the header of an array must say its order and its shape"),
    (lambda path: archived(path, header(b"__import__('os').abort()")), "arrays must hold plain numbers; Python objects "
                                                                       "(pickles) and records are never loaded"),
    (lambda path: archived(path, b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
     "the header of an array must have at most 4096 bytes"),
])
def test_one_line(make, message, tmp_path):
    path = tmp_path / "a.npz"
    make(path)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: not a NumPy archive: {message}')}$"), \
            open_archive(path, InputError) as archive:
        archive.read("x")


@pytest.mark.parametrize("hurt, message", [
    (lambda content: content.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00").replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"), "is encrypted"),
    (lambda content: content.replace(b"\x08\x00", b"\x63\x00"), "compress"),
    (lambda content: content[:60] + b"\xff\xff\xff\xff" + content[64:], ""),
    (lambda content: content[:-40], "not a zip file"),
])
def test_damaged(hurt, message, tmp_path):
    """Encrypted, of an unknown method, of wrong content, cut off."""
    path = tmp_path / "a.npz"
    archived(path, ARRAY)
    whole = path.read_bytes()
    path.write_bytes(hurt(whole))
    assert path.read_bytes() != whole
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: not a NumPy archive: .*{message}"), \
            open_archive(path, InputError) as archive:
        archive.read("x")


def test_bombs(tmp_path):
    """A gigabyte of zeros in a megabyte is never unpacked; neither is a directory of any size."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, \
            archive.open("x.npy", "w", force_zip64=True) as file:
        file.write(header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1073741824,), }"))
        for _ in range(1 << 6):
            file.write(bytes(1 << 24))
    assert path.stat().st_size < 2 << 20
    with open_archive(path, InputError) as archive:
        assert archive.form("x").bytes == 1 << 30
        with pytest.raises(InputError, match=r"a\.npz: x must have at most 1,000 bytes, not 1,073,741,824$"):
            archive.read("x", limit=1000)
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    content[end + 12:end + 20] = struct.pack("<II", end, 0)  # the directory is all of the file
    path.write_bytes(content[:end] + bytes(2 << 20) + content[end:])
    with pytest.raises(InputError, match="not a NumPy archive"), open_archive(path, InputError):
        pass
