"""States and other arrays on disk: complete, or not there."""

import io
import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .config import Config, parse
from .errors import InputError
from .files import write_atomically

__all__ = ["Checkpoint", "CheckpointError", "Progress", "load_checkpoint", "save_arrays", "save_checkpoint",
           "state_arrays", "state_from"]


class CheckpointError(InputError):
    """A checkpoint that cannot be used; the message names the file and the reason."""


class Progress(NamedTuple):
    """How far a training is: the next sample to train, and (epoch, running accuracy, test accuracy) so far.

    `correct` counts right predictions of the unfinished epoch, made while it was training.
    """

    epoch: int = 0
    position: int = 0
    correct: int = 0
    history: tuple = ()


class Checkpoint(NamedTuple):
    """All that a training goes on from; enough by itself, since the configuration is part of it.

    Attributes
    ----------
    config : Config
    state : State
    progress : Progress
    seed : int
        Of the order of the samples.
    data : str
        `Dataset.digest` of what was trained; empty if nothing was, or nobody knows.
    """

    config: Config
    state: NamedTuple
    progress: Progress = Progress()
    seed: int = 0
    data: str = ""


def save_arrays(path, arrays):
    """Write a NumPy archive atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def state_arrays(state):
    """A `State` as named arrays."""
    arrays = {"shift": np.int64(state.shift), "since_decay": np.int64(state.since_decay)}
    for place, (weights, velocities) in enumerate(zip(state.weights, state.velocities)):
        arrays[f"weight_{place}"], arrays[f"velocity_{place}"] = weights.numpy(), velocities.numpy()
        arrays[f"lfsr_{place}"] = np.array(state.lfsr[place], dtype=np.int64)
        arrays[f"dropout_{place}"] = np.array(state.dropout[place], dtype=np.int64)
    return arrays


def state_from(arrays, config):
    """The `State` of named arrays; the inverse of `state_arrays`."""
    import torch  # writing a checkpoint does not need it

    from .model import State

    units = range(len(config.units))
    weights, velocities = ([torch.from_numpy(arrays[f"{kind}_{place}"].astype(np.int64)) for place in units]
                           for kind in ("weight", "velocity"))
    lfsr, dropout = ([arrays[f"{kind}_{place}"].tolist() for place in units] for kind in ("lfsr", "dropout"))
    return State(weights, velocities, lfsr, dropout, int(arrays["shift"]), int(arrays["since_decay"]))


def save_checkpoint(path, checkpoint):
    """Write a `Checkpoint`, complete or not at all."""
    progress = checkpoint.progress
    save_arrays(path, state_arrays(checkpoint.state) | {
        "config": checkpoint.config.text, "data": checkpoint.data, "seed": checkpoint.seed, "epoch": progress.epoch,
        "position": progress.position, "correct": progress.correct,
        "history": np.array(progress.history, dtype=np.float64).reshape(-1, 3)})


def load_checkpoint(path, config=None):
    """The `Checkpoint` at `path`; no other file is needed.

    Parameters
    ----------
    path : Path
    config : Config, optional
        What it has to belong to.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or belongs to another configuration.
    """
    try:
        with Path(path).open("rb") as file, np.load(file) as archive:
            arrays = dict(archive)
        own = parse(json.loads(str(arrays["config"])))
        if config is not None and own != config:
            raise CheckpointError(f"{path}: belongs to configuration {own.name!r}, {own.hash}, not to "
                                  f"{config.name!r}, {config.hash}")
        progress = Progress(*(int(arrays[name]) for name in ("epoch", "position", "correct")),
                            tuple(tuple(row) for row in arrays["history"].tolist()))
        return Checkpoint(own, state_from(arrays, own), progress, int(arrays["seed"]), str(arrays["data"]))
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: not a checkpoint: {error}") from None
