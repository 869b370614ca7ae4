"""Files from outside: only regular ones, of a size that is needed, packed or not; one error for whatever is wrong."""

import gzip
import os
import re
import socket

import pytest

from loading import wanted
from spikeloom.golden.checkpoint import CheckpointError, load_checkpoint
from spikeloom.golden.config import TEXT_LIMIT, ConfigError, load
from spikeloom.golden.data import DataError, load_dataset
from spikeloom.golden.errors import LIMIT, InputError, one_line
from spikeloom.golden.reading import read_file, reading, unpacked


def loads(path):
    """Every way in which a file comes in, and the error that it gives."""
    return ((ConfigError, lambda: load(path)), (CheckpointError, lambda: load_checkpoint(path)),
            (DataError, lambda: load_dataset(f"npz:{path}", wanted())))


@pytest.fixture(params=["fifo", "device", "folder", "socket"])
def special(request, tmp_path):
    path = tmp_path / "it"
    match request.param:
        case "fifo":
            os.mkfifo(path)
        case "device":
            return "/dev/zero", "must be a file, not a device"
        case "folder":
            path.mkdir()
            return path, "must be a file, not a folder"
        case "socket":
            with socket.socket(socket.AF_UNIX) as own:
                own.bind(str(path))
            return path, "No such device or address"
    return path, "must be a file, not a FIFO"


def test_what_is_no_file(special):
    """Nothing waits, and nothing is read for ever."""
    path, reason = special
    for error, read in loads(path):
        with pytest.raises(error, match=f"^{re.escape(str(path))}: .*{reason}$"):
            read()


def test_large_files(tmp_path):
    """They take no memory and no time, since their size is known."""
    path = tmp_path / "it"
    path.touch()
    os.truncate(path, 4 << 30)
    messages = [f"must have at most {TEXT_LIMIT:,} bytes, not 4,294,967,296",
                "not a checkpoint, which is an .npz file that train writes: File is not a zip file",
                "not a NumPy archive: File is not a zip file"]
    for (error, read), message in zip(loads(path), messages):
        with pytest.raises(error, match=f": {message}$"):
            read()
    (tmp_path / "train-images-idx3-ubyte").symlink_to(path)
    with pytest.raises(DataError, match="magic number must be 2051"):
        load_dataset(f"idx:{tmp_path}", wanted())


def test_a_file_that_grows(tmp_path):
    """As those of `/proc`, which have no size."""
    assert os.stat("/proc/cpuinfo").st_size == 0
    with pytest.raises(InputError, match=r"^/proc/cpuinfo: must have at most 10 bytes, not more$"):
        read_file("/proc/cpuinfo", 10, InputError)
    (tmp_path / "it").write_bytes(b"0123456789")
    assert read_file(tmp_path / "it", 10, InputError) == b"0123456789"


def test_packed_by_content(tmp_path):
    for name in ("a", "a.gz"):
        for content in (b"text", gzip.compress(b"text")):
            (tmp_path / name).write_bytes(content)
            with unpacked(tmp_path / name, InputError) as file:
                assert file.read() == b"text"


@pytest.mark.parametrize("cause, said", [
    (OSError(2, "Gone"), "Gone"), (RuntimeError("encrypted"), "encrypted"), (RecursionError(), "RecursionError"),
    (KeyError("x"), "'x'"), (MemoryError("9 GiB"), "9 GiB")])
def test_one_error_for_whatever_is_wrong(cause, said):
    with pytest.raises(InputError, match=f"^it: cannot be read: {said}$"), reading("it", InputError):
        raise cause
    with pytest.raises(KeyboardInterrupt), reading("it", InputError):
        raise KeyboardInterrupt


def test_messages_are_one_short_line():
    assert str(InputError("a\nb\x1b[31m\u202eé\x00")) == r"a\nb\x1b[31m\u202eé\x00"
    long = one_line("a" * 400 + "b" * 400)
    assert len(long) == LIMIT and long.startswith("aaa") and long.endswith("bbb") and " ... " in long
