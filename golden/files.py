"""Files and folders that stay right whoever else works on them, and whatever ends this process.

A file is complete or not there. A folder belongs to one process at a time: it is locked, the lock ends with the last
process that holds it, and what an ended process left in a folder of its own is removed by the next one.
"""

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError

__all__ = ["FileError", "check_folder", "locked", "once", "own_folder", "write_atomically"]

#: In a folder that somebody works in; what bears it and is not locked was left by a process that was killed.
MARK = ".running"
#: Names of folders that `own_folder` makes.
OWN = re.compile(r".+-[0-9a-f]{8}\.run")


class FileError(InputError):
    """A file or a folder that cannot be written; the message names it and the reason."""


def write_atomically(path, content):
    """Write bytes or text under a temporary name beside `path`, then rename: readers never see half a file.

    The temporary name is always the same, so that a process that is killed leaves nothing for long.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    while True:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(handle, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _still(handle, temporary):
                continue  # another process has renamed it meanwhile
            try:
                os.truncate(handle, 0)
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
            return


def _still(handle, path):
    """Whether an open file or folder still bears its name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def check_folder(folder):
    """Say at once if nothing can be written into a folder, which may still be missing; nothing is made.

    Raises
    ------
    FileError
        If it, or what it would lie in, is no folder or cannot be written.
    """
    folder = Path(folder)
    there = next((path for path in (folder, *folder.absolute().parents) if os.path.lexists(path)), folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except (OSError, ValueError) as error:
        reason = f"a folder is wanted, and {there} is none" if there.exists() and not there.is_dir() else \
            getattr(error, "strerror", None) or error
        raise FileError(f"{folder}: cannot be written: {reason}") from None
    return folder


def _acquire(folder, wait):
    """Handle of the locked folder, made if it is missing."""
    while True:
        # An empty folder looks abandoned to others, who remove it: while it is found there, or before it is opened.
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            if os.path.lexists(error.filename):  # something else is in the way, and stays there
                raise
            continue
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _still(handle, folder):  # or it was removed while waiting
                return handle
        except BlockingIOError:
            os.close(handle)
            raise FileError(f"{folder}: another process is at work here") from None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


@contextmanager
def locked(folder, *, wait=True):
    """Have a folder alone, made if it is missing; gives a handle that a child process may inherit.

    The lock lasts until this process and all who inherited the handle have closed it.

    Parameters
    ----------
    folder : Path
    wait : bool
        Whether to wait for another process that has it.

    Raises
    ------
    FileError
        If another process has it, and `wait` is false.
    """
    handle = _acquire(Path(folder), wait)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _working(folder, keep=True):
    """A locked folder with the mark: removed by a signal, by others if this process is killed, at the end on demand."""
    with locked(folder) as handle:
        mark = folder / MARK
        try:
            mark.touch()
            yield handle
        except Exception:
            mark.unlink()
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if keep:
            mark.unlink()
        else:
            shutil.rmtree(folder)


def _abandoned(folder):
    """Whether somebody has begun to work in a folder, and has not ended that."""
    return (folder / MARK).exists() or (OWN.fullmatch(folder.name) and not any(folder.iterdir()))


def _sweep(root):
    """Remove what killed processes left below `root`."""
    for folder in root.iterdir():
        with suppress(FileError, OSError):
            if folder.is_dir() and not folder.is_symlink() and _abandoned(folder):
                with locked(folder, wait=False):
                    if _abandoned(folder):
                        shutil.rmtree(folder)


def once(root, key, work):
    """A folder below `root` in which ``work(folder, lock)`` was done, now or before; whoever wants the same waits.

    Parameters
    ----------
    root : Path
        Folder of all such folders.
    key : str
        Name of the folder: whatever decides what is done in it must be hashed into it.
    work : callable
        Gets an empty folder, and the handle of its lock, to be passed on to every process that works there. What it
        writes stays when it fails, until it is tried again. Returns a string that describes what was done.

    Returns
    -------
    folder : Path
    done : str
        What `work` returned.
    """
    root = Path(root).resolve()
    folder = root / key
    done = folder / "done"
    if not done.exists():
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        with _working(folder) as lock:
            if not done.exists():
                for path in folder.iterdir():
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    elif path.name != MARK:
                        path.unlink()
                write_atomically(done, work(folder, lock))
    return folder, done.read_text()


@contextmanager
def own_folder(root, name, *, keep=False):
    """A new folder ``<name>-<random>.run`` below `root` for one run; gives the folder and the handle of its lock.

    It is removed at the end, and by a signal; it stays if the run fails, or if `keep` says so.
    """
    root = Path(root).resolve()
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    folder = root / f"{name}-{secrets.token_hex(4)}.run"
    with _working(folder, keep) as lock:
        yield folder, lock
