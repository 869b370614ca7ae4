"""States and other arrays on disk: complete, or not there."""

import io
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

__all__ = ["CheckpointError", "load_state", "save_arrays", "state_arrays", "state_from", "write_atomically"]


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the reason."""


def write_atomically(path, content):
    """Write bytes or text to a temporary name beside `path`, then rename: readers never see half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


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


def load_state(path, config):
    """The `State` and the other arrays of a checkpoint.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or belongs to another configuration.
    """
    try:
        with Path(path).open("rb") as file, np.load(file) as archive:
            arrays = dict(archive)
        if str(arrays["config"]) != config.hash:
            raise CheckpointError(f"{path}: belongs to configuration {arrays['config']}, not to {config.hash}")
        return state_from(arrays, config), arrays
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: not a checkpoint: {error}") from None
