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

    FILES = ("state", "samples", "results", "abort")

    def __init__(self, config, model, folder, steps, *, seed=0, waves=False):
        self.folder = Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        absolute = [{key: str(self.folder / value) if key in self.FILES else value for key, value in step.items()}
                    for step in steps]
        for step in absolute:
            for key in ("results", *(["state"] if step["do"] == "read" else [])):
                if key in step:
                    Path(step[key]).unlink(missing_ok=True)
        (self.folder / "script.json").write_text(json.dumps({"config": config.model_dump(), "steps": absolute}))
        self.log = self.folder / "simulation.log"
        self._command = [sys.executable, "-m", "spikeloom.sim.launch", str(model), str(self.folder), "--seed",
                         str(seed), *(["--waves"] if waves else [])]
        self._process = None

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
        path = self.folder / name
        while not path.exists():
            if self._process.poll() is not None and not path.exists():
                raise SimulationError(f"the simulation ended without {name}; see {self.log}")
            if tick:
                tick()
            time.sleep(0.02)
        with np.load(path) as arrays:
            return dict(arrays)

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
