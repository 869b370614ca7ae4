"""The entry point: one line and an exit status for whatever goes wrong, and for every signal."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest


def protected(code, *, env=None, **options):
    """What `protected` makes of a piece of code."""
    text = f"import os, sys, time\nfrom spikeloom.cli.main import protected\ndef work():\n    {code}\nprotected(work)"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False,
                          env=os.environ | (env or {}), **options)


@pytest.mark.parametrize("code, status, message", [
    ("return 3", 3, ""),
    ("1 / 0", 70, "internal error, please report it: ZeroDivisionError: division by zero (in work, <string>:4; "
                  "SPIKELOOM_TRACEBACK=1 shows more)"),
    ("raise MemoryError", 1, "not enough memory"),
    ("raise RecursionError('too\\ndeep')", 70, r"internal error, please report it: RecursionError: too\ndeep (in work"),
    ("open('/gone/file')", 2, "/gone/file: No such file or directory"),
    ("raise OSError('odd')", 2, "odd"),
    ("from spikeloom.golden.errors import SpikeloomError as E; raise E('failed')", 1, "failed"),
    ("from spikeloom.golden.errors import InputError as E; raise E('\\x1b[31m\\nred')", 2, r"\x1b[31m\nred"),
    ("from spikeloom.golden.errors import InputError as E; raise E('long ' * 1000)", 2, "long long"),
    ("from spikeloom.sim.cosim import Mismatch as E; raise E('differ')", 1, "differ; again with: spikeloom"),
])
def test_one_line(code, status, message):
    done = protected(code)
    assert done.returncode == status
    assert done.stderr.startswith(f"spikeloom: {message}") if message else done.stderr == ""
    assert done.stderr.count("\n") == bool(message) and len(done.stderr) < 600


@pytest.mark.parametrize("name, content", [
    ("random.py", ""), ("signal.py", ""), ("tomllib.py", ""), ("typing.py", "if"), ("json.py", "1 / 0"),
    ("csv/__init__.py", ""), ("uuid.py", "import gone")])
def test_a_file_that_hides_a_module_of_python(name, content, tmp_path):
    """Another's, or broken: which file it is, and not that Spikeloom has an error."""
    path, module = tmp_path / name, re.split(r"[./]", name)[0]
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    done = protected(f"import {module}, tempfile, random, tomllib, typing; tomllib.loads; {module}.gone",
                     env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"spikeloom: {path}: must not have the name of Python's own module {module}, ")


def test_a_module_of_that_name_elsewhere_is_nobodys_error(tmp_path):
    """Inside a package it hides nothing."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package/random.py").write_text("1 / 0")
    done = protected("import package.random", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 70 and "internal error" in done.stderr


def test_traceback_on_demand():
    done = protected("1 / 0", env={"SPIKELOOM_TRACEBACK": "1"})
    assert "Traceback" in done.stderr and "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signals(name):
    """On the way up everything is left in order, whatever more signals come."""
    number = getattr(signal, name)
    done = protected(f"""
    try:
        os.kill(os.getpid(), {number})
        time.sleep(60)
    finally:
        os.kill(os.getpid(), {number})
        print("in order")""")
    assert (done.returncode, done.stdout) == (128 + number, "in order\n")
    assert done.stderr == f"spikeloom: stopped by {name}; what was written is complete\n"


def test_hangup_is_ignored_under_nohup():
    done = protected(f"os.kill(os.getpid(), {signal.SIGHUP}); print('goes on')",
                     preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert (done.returncode, done.stdout) == (0, "goes on\n")


def test_reader_that_has_seen_enough():
    text = ("from spikeloom.cli.main import protected\n"
            "protected(lambda: [print('y' * 1000) for _ in range(10_000)] and 0)")
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 128 + signal.SIGPIPE


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams(closed):
    def close():
        for number in closed:
            os.close(number)

    text = "from spikeloom.cli.main import protected\nprotected(lambda: print('said'))"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", text], preexec_fn=close, check=False)
    assert done.returncode == 0 and time.monotonic() - started < 30


def test_full_disk():
    with open("/dev/full", "w") as full:
        text = "from spikeloom.cli.main import protected\nprotected(lambda: print('said'))"
        done = subprocess.run([sys.executable, "-c", text], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "spikeloom: No space left on device\n")


def test_a_letter_that_the_terminal_lacks():
    done = protected("print('größe')", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "gr\\xf6\\xdfe\n")
