"""States and other arrays on disk: complete, or not there."""

import io
import json
from typing import NamedTuple

import numpy as np

from .archive import open_archive
from .checks import SAMPLES, Rule, check_form, check_range, check_state, state_rules
from .config import TEXT_LIMIT, Config, parse
from .errors import InputError
from .files import write_atomically
from .reading import reading
from .states import saved_kinds

__all__ = [
    "EPOCHS",
    "Checkpoint",
    "CheckpointError",
    "Progress",
    "load_checkpoint",
    "save_arrays",
    "save_checkpoint",
    "state_arrays",
    "state_from",
]

#: Epochs of a training, at most.
EPOCHS = 100_000
#: What a checkpoint holds besides state and texts.
_PROGRESS = {"seed": Rule((), 0, (1 << 63) - 1), "epoch": Rule((), 0, EPOCHS), "position": Rule((), 0, SAMPLES),
             "correct": Rule((), 0, SAMPLES)}


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
    """A `State` as named arrays; nothing is converted, so that `check_state` sees what was there."""
    arrays = {"shift": np.asarray(state.shift), "since_decay": np.asarray(state.since_decay)}
    for name, every in state.kept.items():
        # Of no lanes NumPy would make an array of floats.
        arrays |= {f"{name}_{place}": np.asarray(own) if len(own) or hasattr(own, "dtype") else np.zeros(0, np.int64)
                   for place, own in enumerate(every)}
    return arrays


def state_from(arrays, config, where="state"):
    """The `State` of named arrays; the inverse of `state_arrays`.

    Raises
    ------
    CheckpointError
        If an array is missing, or is not as the configuration says; `where` is what the message calls them all.
    """
    import torch  # writing a checkpoint does not need it

    from .model import State

    units, arrays = range(len(config.units)), check_state(config, arrays, CheckpointError, where)
    kept = {kind: [torch.from_numpy(arrays[f"{kind}_{place}"].astype(np.int64)) for place in units]
            for kind in saved_kinds(config, "matrix")}
    kept |= {kind: [arrays[f"{kind}_{place}"].tolist() for place in units] for kind in saved_kinds(config, "lanes")}
    return State(kept, int(arrays["shift"]), int(arrays["since_decay"]))


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
    wrong = "not a checkpoint" + ("" if str(path).endswith(".npz") else ", which is an .npz file that train writes")
    with open_archive(path, CheckpointError, wrong) as archive:
        own = _config(archive)
        if config is not None and own != config:
            raise CheckpointError(f"{path}: belongs to configuration {own.name!r}, {own.hash}, not to "
                                  f"{config.name!r}, {config.hash}")
        rules = state_rules(own) | _PROGRESS
        wanted = (*rules, "config", "data", "history")
        for name in wanted:
            if name not in archive.names:
                raise CheckpointError(f"{path}: must hold {name}, which is missing")
        if unknown := sorted(set(archive.names) - set(wanted)):
            raise CheckpointError(f"{path}: must hold nothing but a training of its configuration, not {unknown[0]!r}")
        arrays = {}
        for name, rule in rules.items():
            form = archive.form(name)
            check_form(f"{path}: {name}", form.dtype, form.shape, [rule.shape], CheckpointError)
            arrays[name] = archive.read(name)
        for name, rule in _PROGRESS.items():
            check_range(f"{path}: {name}", arrays[name], rule.low, rule.high, CheckpointError)
        progress = Progress(*(int(arrays[name]) for name in ("epoch", "position", "correct")),
                            _history(archive, int(arrays["epoch"])))
        _check_progress(path, progress, own.update.batch)
        data = _text(archive, "data", 64)
    return Checkpoint(own, state_from(arrays, own, path), progress, int(arrays["seed"]), data)


def _text(archive, name, limit):
    """A text of at most `limit` characters."""
    form = archive.form(name)
    if form.dtype.kind != "U" or form.shape:
        raise CheckpointError(f"{archive.path}: {name} must be a text, not {form.dtype} of shape {form.shape}")
    text = archive.read(name, limit=4 * limit)
    with reading(archive.path, CheckpointError, f"not a checkpoint: {name}"):
        return str(text)


def _config(archive):
    """The configuration that the checkpoint belongs to."""
    if "config" not in archive.names:
        raise CheckpointError(f"{archive.path}: not a checkpoint: config is missing")
    text = _text(archive, "config", TEXT_LIMIT)
    with reading(archive.path, CheckpointError, "not a checkpoint: config"):
        config = parse(json.loads(text))
        if config.text != text:
            raise ValueError("must be a whole configuration, as a checkpoint is written")
        return config


def _history(archive, epochs):
    """The accuracies of the epochs that are done."""
    where, form = f"{archive.path}: history", archive.form("history")
    if form.dtype != np.float64 or form.shape != (epochs, 3):
        raise CheckpointError(f"{where} must hold float64, shape ({epochs}, 3), not {form.dtype}, {form.shape}")
    history = archive.read("history")
    if (history[:, 0] != np.arange(1, epochs + 1)).any() or not ((history[:, 1:] >= 0) & (history[:, 1:] <= 1)).all():
        raise CheckpointError(f"{where} must count epochs from 1, with accuracies 0 to 1, not {history.tolist()}")
    return tuple(tuple(row) for row in history.tolist())


def _check_progress(path, progress, batch):
    if progress.position % batch:
        raise CheckpointError(f"{path}: position must be a multiple of update.batch = {batch}, not {progress.position}")
    if progress.correct > progress.position:
        raise CheckpointError(f"{path}: correct must be at most position = {progress.position}, not {progress.correct}")
