"""Files from outside: opened without waiting, never larger than what is needed, and packed or not by their content."""

import gzip
import os
import stat
from contextlib import contextmanager

__all__ = ["opened", "read_file", "reading", "unpacked"]

_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISCHR, "a device"),
          (stat.S_ISBLK, "a device"), (stat.S_ISSOCK, "a socket"))


@contextmanager
def reading(path, error, reason="cannot be read"):
    """Whatever goes wrong in the block becomes one `error` that names `path`.

    The libraries below raise what they like at damaged files, and other things in their next release: there is no list
    of types. Keep the block to their calls.
    """
    try:
        yield
    except error:
        raise
    except Exception as cause:
        said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        raise error(f"{path}: {reason}: {said}") from None


@contextmanager
def opened(path, error):
    """The regular file at `path`, open for reading bytes.

    Raises
    ------
    OSError
        If there is none.
    error
        If it is something else: a FIFO would wait, a device would never end.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            kind = next((name for found, name in _KINDS if found(mode)), "something else")
            raise error(f"{path}: must be a file, not {kind}")
        file = os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
    with file:
        yield file


@contextmanager
def unpacked(path, error):
    """As `opened`; a file that begins as gzip does is unpacked while it is read."""
    with opened(path, error) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield gzip.GzipFile(fileobj=file) if packed else file


def read_file(path, limit, error):
    """The content of a file of at most `limit` bytes.

    Raises
    ------
    OSError
        If there is no such file.
    error
        If it is no file, or larger; nothing is read of it then.
    """
    with opened(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise error(f"{path}: must have at most {limit:,} bytes, not {size:,}")
        content = file.read(limit + 1)
        if len(content) > limit:  # it grows, or its file system does not know
            raise error(f"{path}: must have at most {limit:,} bytes, not more")
        return content
