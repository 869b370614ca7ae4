"""Carries out scripts in a model, from outside: start, watch, stop."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from .build import SimulationError

__all__ = ["Simulation"]


class Simulation:
    """A running simulation; use it as a context manager.

    Parameters
    ----------
    config : Config
        What the model was built from.
    model : Path
        From `build`.
    folder : Path
        Where script, logs and results go; relative names in `steps` are placed there.
    steps : list of dict
        See `sim.testbench`.
    seed : int
        Of everything random in the bench.
    waves : bool
        Write ``dump.vcd`` into `folder`; the model must have been built for it.

    Raises
    ------
    SimulationError
        From `wait_for`, if the simulation ended without the file.
    """

    def __init__(self, config, model, folder, steps, *, seed=0, waves=False):
        self.config, self.folder = config, Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        for step in steps:  # nothing of an earlier run may be taken for one of this
            for key in ("results", *(["state"] if step["do"] == "read" else [])):
                if key in step:
                    self._file(step[key]).unlink(missing_ok=True)
        (self.folder / "progress").unlink(missing_ok=True)
        self.log = self.folder / "simulation.log"
        self._command = [*self._prepare(model, steps, seed), *(["--waves"] if waves else [])]
        self._process = None

    def _prepare(self, model, steps, seed):
        """Write the script; the command that carries it out."""
        absolute = [{key: str(self.folder / value) if key in ("state", "samples", "results", "abort") else value
                     for key, value in step.items()} for step in steps]
        (self.folder / "script.json").write_text(json.dumps({"config": self.config.model_dump(), "steps": absolute}))
        return [sys.executable, "-m", "spikeloom.sim.launch", str(model), str(self.folder), "--seed", str(seed)]

    def _file(self, name):
        """Where the simulation writes what a step calls `name`."""
        return self.folder / name

    def _arrays(self, name):
        with np.load(self._file(name)) as arrays:
            return dict(arrays)

    def __enter__(self):
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT,
                                             stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()

    def wait_for(self, name, tick=None):
        """Arrays of the result file `name`, once it is there; `tick` is called while waiting."""
        path = self._file(name)
        while not path.exists():
            if self._process.poll() is not None and not path.exists():
                raise SimulationError(f"the simulation ended without {name}; see {self.log}")
            if tick:
                tick()
            time.sleep(0.02)
        return self._arrays(name)

    def progress(self):
        """Results that the simulation has given so far."""
        try:
            return int((self.folder / "progress").read_text() or 0)
        except FileNotFoundError:
            return 0

    def finish(self, tick=None):
        """Wait for the end of the script; `tick` is called while waiting."""
        while self._process.poll() is None:
            if tick:
                tick()
            time.sleep(0.02)
        if self._process.returncode:
            raise SimulationError(f"the simulation failed; see {self.log}")
