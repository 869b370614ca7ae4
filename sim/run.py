"""Has a model carry out steps, from outside: start, tell, watch, stop."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from ..gen import process
from ..golden.checkpoint import save_arrays
from .build import SimulationError

__all__ = ["Simulation"]


class Simulation:
    """A running simulation; use it as a context manager.

    Steps may be given before it runs or while it does; they are carried out in their order. Files of a step are there
    while it lasts, and no longer than until somebody has read what it gave.

    Parameters
    ----------
    config : Config
        What the model was built from.
    model : Path
        From `build`.
    folder : Path
        Where logs and files of steps go; nobody else's.
    seed : int
        Of everything random in the bench.
    waves : bool
        Write ``dump.vcd`` into `folder`; the model must have been built for it.
    locks : sequence of int
        As of `gen.process.Tool`.

    Raises
    ------
    SimulationError
        From every method, if the simulation ended before its time.
    """

    def __init__(self, config, model, folder, *, seed=0, waves=False, locks=()):
        self.config, self.folder = config, Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "simulation.log"
        (self.folder / "progress").unlink(missing_ok=True)
        self._command = [*self._start(Path(model), seed), *(["--waves"] if waves else [])]
        self._locks, self._number, self._lines, self._files, self._tool = locks, 0, [], {}, None

    def _start(self, model, seed):
        """The command that waits for steps."""
        (self.folder / "config.json").write_text(json.dumps(self.config.model_dump()))
        return [sys.executable, "-m", "spikeloom.sim.launch", model, self.folder, "--seed", seed]

    # Steps

    def load(self, arrays):
        """Write a whole state (`golden.checkpoint.state_arrays`) through the register port."""
        self._step("load", arrays)

    def run(self, frames, labels, trains, *, sample_pause=0, result_pause=0):
        """Offer samples and take their results; gives the name of the latter: ``rows``, ``arrivals``."""
        return self._step("run", {"frames": frames, "labels": labels, "trains": trains}, gives=True,
                          sample_pause=sample_pause, result_pause=result_pause)

    def read(self):
        """Read the whole state through the register port, and the counters; gives its name."""
        return self._step("read", gives=True)

    def reset(self, *, abort=None, cycles=0):
        """Reset; if there are samples to `abort`, so many cycles after they were first offered."""
        self._step("reset", abort, cycles=cycles)

    def trace(self, on=True):
        """Switch the trace on or off."""
        self._step("trace", on=on)

    def _step(self, kind, arrays=None, *, gives=False, **details):
        self._number += 1
        paths = [self.folder / f"{kind}_{self._number}_{end}.npz" for end in ("in", "out")]
        if arrays:
            save_arrays(paths[0], arrays)
        self._files[paths[1].name] = [path for path, used in zip(paths, (arrays, gives)) if used]
        self._tell(json.dumps({"do": kind, **details, "in": arrays and str(paths[0]), "out": str(paths[1])}))
        return paths[1].name

    def _tell(self, line):
        if self._tool is None:
            self._lines.append(line)
            return
        try:
            self._tool.process.stdin.write(line + "\n")
            self._tool.process.stdin.flush()
        except (OSError, ValueError):  # it ended, or was told that there is nothing more
            self._tool.process.wait()
            raise self._failure("ended before its time") from None

    def _failure(self, what):
        return SimulationError(f"the simulation {what}: {process.last_words(self.log)}; see {self.log}")

    # Running

    def __enter__(self):
        with self.log.open("wb") as log:
            self._tool = process.Tool(
                self._command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, text=True,
                cwd=self.folder, locks=self._locks, env=self._environment())
        try:
            for line in self._lines:
                self._tell(line)
        except BaseException:
            self._tool.stop()
            raise
        return self

    def _environment(self):
        from cocotb_tools import config as cocotb

        return process.environment(
            LD_LIBRARY_PATH=str(cocotb.libs_dir), COCOTB_LOG_LEVEL="WARNING", SPIKELOOM_RUN=str(self.folder),
            COCOTB_REWRITE_ASSERTION_FILES="")  # else it reads the source of every module that is imported

    def __exit__(self, *_):
        self._tool.stop()

    def wait_for(self, name, tick=None):
        """Arrays that the step of this name gave, once they are there; `tick` is called while waiting."""
        path = self.folder / name
        while not path.exists():
            if self._tool.process.poll() is not None and not path.exists():
                raise self._failure(f"ended without {name}")
            if tick:
                tick()
            time.sleep(0.02)
        arrays = self._arrays(path)
        for file in self._files.pop(name):
            file.unlink()
        return arrays

    def _arrays(self, path):
        with np.load(path) as arrays:
            return dict(arrays)

    def progress(self):
        """Results that the simulation has given so far."""
        try:
            return int((self.folder / "progress").read_text() or 0)
        except FileNotFoundError:
            return 0

    def finish(self, tick=None):
        """No further steps: wait for the end; `tick` is called while waiting."""
        self._tool.process.stdin.close()
        while self._tool.process.poll() is None:
            if tick:
                tick()
            time.sleep(0.02)
        if self._tool.process.returncode:
            raise self._failure("failed")
