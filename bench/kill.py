"""Ends commands at random moments, and looks at what is left: ``python -m bench.kill --seed S --signals N``.

After every signal no process may be left, and no folder may be free while its work goes on. After a few of them the
command is run to its end: what it wrote must be what an undisturbed run writes, and nothing else may lie around.
"""

import argparse
import fcntl
import hashlib
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from spikeloom.gen import presets

__all__ = ["SCENARIOS", "Finding", "attack"]

#: Seconds in which everything must be gone.
PATIENCE = 20
#: What ends a command; the last one closes its terminal.
WAYS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL, "closed terminal")
#: What may not be left anywhere.
REMAINS = ("**/.running", "**/.*.part", "**/*.run", "temporary/*")


class Finding(Exception):
    """Something was left, or a result differs."""


class Scenario(NamedTuple):
    """A command, and what it leaves that must be the same every time."""

    arguments: tuple
    outcome: callable


def _checkpoint(folder, _):
    with np.load(folder / "out/checkpoint.npz") as arrays:
        return hashlib.sha256(b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays.files)))


def _files(folder, _):
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted((folder / "out").glob("*"))))


def _words(_, said):
    return hashlib.sha256(said)


SCENARIOS = {
    "train on golden": Scenario(("train", "little.toml", "--epochs", "3", "-o", "out"), _checkpoint),
    "train on rtl": Scenario(("train", "little.toml", "--on", "rtl", "--epochs", "2", "-o", "out"), _checkpoint),
    "simulate": Scenario(("simulate", "little.toml", "--level", "sample", "--samples", "400"), _words),
    "simulate with cocotb": Scenario(("simulate", "little.toml", "--samples", "4"), _words),
    "generate": Scenario(("generate", "little.toml", "-o", "out"), _files),
    "synth": Scenario(("synth", "little.toml", "--target", "ice40-up5k", "--seeds", "1", "-o", "out"), _files),
}


def _little(path):
    """A configuration that is quickly compiled: `mini` with fewer neurons."""
    text = presets.text("mini").replace('name = "mini"', 'name = "little"')
    path.write_text(text.replace("neurons = 16", "neurons = 4").replace("neurons = 12", "neurons = 3"))


def _own_terminal():
    """What a shell gives a command, even if this one runs under nohup."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class _Run:
    """A running command with a terminal of its own; its processes are known by a variable in their environment."""

    def __init__(self, arguments, folder):
        self.token = f"{os.getpid()}-{time.monotonic_ns()}"
        self.terminal, inside = os.openpty()
        self.said = (folder / "said").open("w+b")
        (folder / "temporary").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from spikeloom.cli.main import run; run()", *arguments], cwd=folder, stdin=inside,
            stdout=self.said, stderr=inside, start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509 (its only thread reads)
            env=os.environ | {"SPIKELOOM_TOKEN": self.token, "TMPDIR": str(folder / "temporary"),
                              "OMP_NUM_THREADS": "1"})
        os.close(inside)
        self.heard, self.quiet = b"", threading.Event()
        self.reader = threading.Thread(target=self._read)  # a full terminal would stop the command
        self.reader.start()

    def _read(self):
        while not self.quiet.is_set():
            if select.select([self.terminal], [], [], 0.05)[0]:
                try:
                    self.heard = (self.heard + os.read(self.terminal, 65536))[-2000:]
                except OSError:  # nobody has the other end any more
                    return

    def _hang_up(self):
        self.quiet.set()
        self.reader.join()
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None

    def alive(self):
        """Numbers of all processes of this run."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if f"SPIKELOOM_TOKEN={self.token}".encode() in path.read_bytes():
                    found.append(int(path.parent.name))
        return found

    def end(self, way):
        """Status of the command, after it was ended in this way."""
        if way == "closed terminal":
            self._hang_up()
        else:
            self.process.send_signal(way)
        return self.close()

    def close(self):
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Finding(f"the command goes on: {self.heard[-200:]!r}") from None
        finally:
            self._hang_up()
        self.said.close()
        return status

    def finish(self, limit=1800):
        """What it wrote to standard output, when it has ended by itself."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(limit)
        self.said.seek(0)
        said = self.said.read()
        if self.close():
            raise Finding(f"status {self.process.returncode}: {self.heard[-400:].decode(errors='replace')!r}")
        return said


def _free_at_work(folder):
    """Folders with a mark that somebody could lock."""
    for mark in folder.glob("**/.running"):
        with suppress(OSError):
            handle = os.open(mark.parent, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield mark.parent
            except BlockingIOError:
                pass
            finally:
                os.close(handle)


def _end(run, way, folder):
    """End a run, and look at its processes and locks until none is left."""
    run.end(way)
    deadline = time.monotonic() + PATIENCE
    while True:
        free = list(_free_at_work(folder))  # before the look at the processes: those left now held it then, or not
        left = [number for number in run.alive() if not _zombie(number)]
        if not left:
            return
        if free and all(_works_in(number, free) for number in left):
            raise Finding(f"{free[0].name} is free, and {len(left)} processes work there")
        if time.monotonic() > deadline:
            raise Finding(f"{len(left)} processes are left: "
                          f"{Path(f'/proc/{left[0]}/cmdline').read_bytes().split(bytes(1))[:6]}")
        time.sleep(0.02)


def _zombie(number):
    with suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    return True


def _works_in(number, folders):
    with suppress(OSError):
        return Path(os.readlink(f"/proc/{number}/cwd")) in folders
    return False


def attack(name, *, folder, random, signals, wants, takes):
    """End a command so many times, run it to its end, and compare.

    Parameters
    ----------
    name : str
        One of `SCENARIOS`.
    folder : Path
        Where it works; what is there stays there for it.
    random : random.Random
    signals : int
    wants : str
        Digest of an undisturbed run.
    takes : float
        Seconds of an undisturbed run.

    Returns
    -------
    list of str
        What was done, in words.

    Raises
    ------
    Finding
    """
    scenario, done = SCENARIOS[name], []
    for _ in range(signals):
        way, moment = random.choice(WAYS), random.random() * takes
        run = _Run(scenario.arguments, folder)
        with suppress(subprocess.TimeoutExpired):
            run.process.wait(moment)
        done.append(f"{getattr(way, 'name', way)} at {moment:.1f} s")
        _end(run, way, folder)
    said = _Run(scenario.arguments, folder).finish()
    if scenario.outcome(folder, said).hexdigest() != wants:
        raise Finding(f"another result after {', '.join(done)}")
    remains = [str(path.relative_to(folder)) for pattern in REMAINS for path in folder.glob(pattern)]
    if remains:
        raise Finding(f"left after {', '.join(done)}: {remains[:5]}")
    return done


def undisturbed(name, folder):
    """Digest of the outcome of a run without a signal, and its seconds; `folder` is as an attack finds it then."""
    _little(folder / "little.toml")
    started = time.monotonic()
    said = _Run(SCENARIOS[name].arguments, folder).finish()
    return SCENARIOS[name].outcome(folder, said).hexdigest(), time.monotonic() - started


def main():
    """Exit status 1 if anything is left, or differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signals", type=int, default=50)
    parser.add_argument("--only", choices=SCENARIOS, action="append")
    args = parser.parse_args()
    console, chosen, failed = Console(), random.Random(args.seed), 0
    names = args.only or list(SCENARIOS)
    with tempfile.TemporaryDirectory() as root:
        known, sent = {}, 0
        while sent < args.signals:
            name = names[sent % len(names)] if sent < len(names) else chosen.choice(names)
            folder = Path(root) / name
            if name not in known:
                folder.mkdir()
                known[name] = undisturbed(name, folder)
                console.print(f"{name}: {known[name][1]:.1f} s undisturbed", highlight=False)
            wants, takes = known[name]
            shutil.rmtree(folder / "out", ignore_errors=True)
            cold = chosen.random() < 0.5
            if cold:
                shutil.rmtree(folder / "build", ignore_errors=True)
            count = min(chosen.randint(1, 3), args.signals - sent)
            sent += count
            try:
                done = attack(name, folder=folder, random=chosen, signals=count, wants=wants, takes=takes)
                console.print(f"{name}{', nothing built' if cold else ''}: {', '.join(done)}: same result, nothing "
                              "left", highlight=False, soft_wrap=True)
            except Finding as finding:
                failed += 1
                console.print(f"FAILED {name}: {finding}", highlight=False, soft_wrap=True)
    console.print(f"{sent} signals, {failed} findings")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
