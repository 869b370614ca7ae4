"""Training on the golden model: the order of the samples, and checkpoints that resume with identical bits.

The order is the same whoever computes: the RTL trains by the same `plan`, and either continues the other's checkpoint.
"""

from typing import NamedTuple

import numpy as np
import torch

from .checkpoint import Checkpoint, CheckpointError, Progress, load_checkpoint, save_checkpoint
from .dataset import DataError
from .model import Golden, initial_state

__all__ = ["CHUNK", "Chunk", "Progress", "plan", "resume", "train"]

#: Samples between two checkpoints.
CHUNK = 480


class Chunk(NamedTuple):
    """Samples `first` to `last` (exclusive) of the order of one epoch; with the test set after the last chunk."""

    epoch: int
    first: int
    last: int
    order: np.ndarray
    ends_epoch: bool


def plan(samples, epochs, seed, progress, batch=1):
    """Chunks that are left of `epochs` epochs over `samples` samples, as a list.

    Every epoch has whole batches only: the last samples of its order may be left out.

    Raises
    ------
    DataError
        If there is not a single batch.
    """
    if samples < batch:
        raise DataError(f"data set must hold a batch of {batch} samples to train, not {samples}")
    total, chunks, length = samples, [], max(CHUNK // batch, 1) * batch
    samples = samples // batch * batch
    for epoch in range(progress.epoch, epochs):
        order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(total)
        start = progress.position if epoch == progress.epoch else 0
        for first in range(start, samples, length):
            last = min(first + length, samples)
            chunks.append(Chunk(epoch, first, last, order[first:last], last == samples))
    return chunks


def resume(path, config, data, seed):
    """The `Checkpoint` at `path`, or that of the start if there is none.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged, or of another configuration, other data or another seed.
    """
    if not path.exists():
        return Checkpoint(config, initial_state(config), seed=seed or 0, data=data.digest)
    found = load_checkpoint(path, config)
    if found.data != data.digest:
        raise CheckpointError(f"{path}: was trained with data {found.data}, not with {data.digest}")
    if seed not in (None, found.seed):
        raise CheckpointError(f"{path}: was trained with seed {found.seed}, not with {seed}")
    return found


def advance(progress, chunk, samples, correct, test):
    """Progress after `chunk`; `test` is a function that gives the test accuracy, asked for at the end of an epoch."""
    correct += progress.correct
    if not chunk.ends_epoch:
        return Progress(chunk.epoch, chunk.last, correct, progress.history)
    return Progress(chunk.epoch + 1, 0, 0, (*progress.history, (chunk.epoch + 1, correct / samples, test())))


def accuracy(model, frames, labels, batch=1024):
    """Share of right predictions of a batch inference."""
    right = 0
    for first in range(0, len(frames), batch):
        counts = model.infer(torch.from_numpy(frames[first:first + batch]))
        right += int((counts.argmax(1).numpy() == labels[first:first + batch]).sum())
    return right / len(frames)


def train(config, data, epochs, path, *, seed=None, tick=None):
    """Train with the golden model, from the checkpoint at `path` on; writes it after every chunk.

    Parameters
    ----------
    config : Config
    data : Dataset
    epochs : int
        In total, those of the checkpoint included.
    path : Path
        The checkpoint.
    seed : int, optional
        Of the order of the samples; by default that of the checkpoint, or 0.
    tick : callable, optional
        Called with the number of samples after every batch.

    Yields
    ------
    Progress
        After every chunk.
    """
    start = resume(path, config, data, seed)
    progress, model, batch = start.progress, Golden(config, start.state), config.update.batch
    samples = len(data.train_labels) // batch * batch
    for chunk in plan(len(data.train_labels), epochs, start.seed, progress, batch):
        correct = 0
        for first in range(0, len(chunk.order), batch):
            own = chunk.order[first:first + batch]
            labels = data.train_labels[own]
            counts = model.train_batch(torch.from_numpy(data.train_frames[own]), labels.tolist())
            correct += int((counts.argmax(1).numpy() == labels).sum())
            if tick:
                tick(len(own))
        progress = advance(progress, chunk, samples, correct,
                           lambda: accuracy(model, data.test_frames, data.test_labels))
        save_checkpoint(path, start._replace(state=model.state, progress=progress))
        yield progress
