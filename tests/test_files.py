"""Files and folders: complete or not there, one process at a time, nothing left of those that were killed."""

import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from spikeloom.golden.files import MARK, FileError, check_folder, locked, once, own_folder, write_atomically


def test_a_file_is_replaced_whole(tmp_path):
    write_atomically(tmp_path / "new/file", "first")
    write_atomically(tmp_path / "new/file", b"second")
    assert (tmp_path / "new/file").read_bytes() == b"second"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_what_a_killed_writer_left_is_used_up(tmp_path):
    (tmp_path / ".file.part").write_text("something longer than what comes now")
    write_atomically(tmp_path / "file", "now")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "now"}


def test_many_writers_of_one_file(tmp_path):
    texts = [str(number) * 50_000 for number in range(8)]
    writers = [threading.Thread(target=lambda text=text: [write_atomically(tmp_path / "file", text)
                                                          for _ in range(20)]) for text in texts]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if (tmp_path / "file").exists():
            assert (tmp_path / "file").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failing_write_leaves_what_was_there(tmp_path, monkeypatch):
    write_atomically(tmp_path / "file", "before")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        write_atomically(tmp_path / "file", "after")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "before"}


def test_check_of_folders(tmp_path):
    (tmp_path / "file").touch()
    assert check_folder(tmp_path / "not/there/yet") == tmp_path / "not/there/yet"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for wrong in ("file", "file/below"):
        with pytest.raises(FileError, match=rf"{wrong}: cannot be written: a folder is wanted, and .*/file is none"):
            check_folder(tmp_path / wrong)
    with pytest.raises(FileError, match="/proc/nothing: cannot be written: "):
        check_folder("/proc/nothing")


def test_one_at_a_time(tmp_path):
    with locked(tmp_path / "own"), pytest.raises(FileError, match="own: another process is at work here"), \
            locked(tmp_path / "own", wait=False):
        pass
    with locked(tmp_path / "own", wait=False):
        pass


def test_a_folder_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """Others take it for abandoned while it is empty."""
    opened, real = [], os.open

    def late(path, *arguments, **options):
        if path == tmp_path / "own" and not opened:
            path.rmdir()
        opened.append(path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", late)
    with locked(tmp_path / "own"):
        assert opened == [tmp_path / "own"] * 2 and (tmp_path / "own").is_dir()


def test_a_folder_removed_while_it_is_found_to_be_there(tmp_path, monkeypatch):
    asked, real = [], pathlib.Path.is_dir

    def late(path):
        if path == tmp_path / "own" and not asked:
            path.rmdir()
        asked.append(path)
        return real(path)

    (tmp_path / "own").mkdir()
    monkeypatch.setattr(pathlib.Path, "is_dir", late)
    with locked(tmp_path / "own"):
        assert asked == [tmp_path / "own"] and (tmp_path / "own").exists()


@pytest.mark.parametrize("place", ["own", "own/below"])
def test_what_is_in_the_way_stays_there(tmp_path, place):
    """A file, and a link to nothing: an error at once, no endless wait."""
    (tmp_path / "own").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileExistsError), locked(tmp_path / place):
        pass
    (tmp_path / "own").unlink()
    (tmp_path / "own").touch()
    with pytest.raises((FileExistsError, NotADirectoryError)), locked(tmp_path / place):
        pass


def test_many_own_folders_at_the_same_time(tmp_path):
    failed = []

    def work():
        try:
            for _ in range(50):
                with own_folder(tmp_path, "own") as (folder, _):
                    (folder / "half").touch()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and list(tmp_path.iterdir()) == []


def test_threads_that_want_the_same_wait(tmp_path):
    done = []

    def work(folder, lock):
        time.sleep(0.05)
        done.append(folder)
        (folder / "product").write_text("made")
        return "kept"

    found = []
    threads = [threading.Thread(target=lambda: found.append(once(tmp_path, "key", work))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [tmp_path / "key"] and found == [(tmp_path / "key", "kept")] * 6
    assert {path.name for path in (tmp_path / "key").iterdir()} == {"product", "done"}


def test_a_failure_is_kept_until_it_is_tried_again(tmp_path):
    def fail(folder, lock):
        (folder / "sub").mkdir()
        (folder / "log").write_text("why")
        raise OSError("no")

    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            once(tmp_path, "key", fail)
        assert {path.name for path in (tmp_path / "key").iterdir()} == {"log", "sub"}
    folder, _ = once(tmp_path, "key", lambda folder, lock: "done")
    assert [path.name for path in folder.iterdir()] == ["done"]


@pytest.mark.parametrize("error, left", [(None, 0), (ValueError("wrong"), 1), (KeyboardInterrupt(), 0)])
def test_own_folder(error, left, tmp_path):
    """Gone after a run and after a signal, kept after a failure."""
    try:
        with own_folder(tmp_path, "name") as (folder, _), own_folder(tmp_path, "name") as (other, _):
            assert folder != other
            (folder / "log").touch()
            if error:
                raise error
    except BaseException as raised:
        assert raised is error
    kept = [path for path in tmp_path.rglob("log")]
    assert len(kept) == left and not list(tmp_path.rglob(MARK))
    with own_folder(tmp_path, "name", keep=True) as (folder, _):
        pass
    assert folder.exists() and all(path.exists() for path in kept)


KILLED = """
import os, pathlib, sys, time
from spikeloom.golden.files import once, own_folder
def work(folder, lock):
    with own_folder(pathlib.Path(sys.argv[1]) / "runs", "name") as (own, _):
        (folder / "half").touch(); (own / "half").touch()
        print("there", flush=True)
        time.sleep(60)
once(sys.argv[1], "key", work)
"""


def test_what_a_killed_process_left_is_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"there\n"
        with own_folder(tmp_path / "runs", "other"), own_folder(tmp_path, "other"):
            assert len(list(tmp_path.rglob("half"))) == 2  # it lives
        process.send_signal(signal.SIGKILL)
    (tmp_path / "empty").mkdir()  # somebody else's
    with own_folder(tmp_path / "runs", "other"), own_folder(tmp_path, "other"):
        assert not list(tmp_path.rglob("half")) and (tmp_path / "empty").exists()


def test_a_lock_lasts_as_long_as_a_child_that_has_it(tmp_path):
    with locked(tmp_path / "own") as lock:
        child = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
    handle = os.open(tmp_path / "own", os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        child.kill()
        child.wait()
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
