"""Training on the golden model: the order of the samples, and checkpoints that resume with identical bits.

The order is the same whoever computes: the RTL trains by the same `plan`, and either continues the other's checkpoint.
"""

from typing import NamedTuple

import numpy as np
import torch

from .checkpoint import load_state, save_arrays, state_arrays
from .dataset import DataError
from .model import Golden, initial_state

__all__ = ["CHUNK", "Chunk", "Progress", "plan", "resume", "save", "train"]

#: Samples between two checkpoints.
CHUNK = 480


class Chunk(NamedTuple):
    """Samples `first` to `last` (exclusive) of the order of one epoch; with the test set after the last chunk."""

    epoch: int
    first: int
    last: int
    order: np.ndarray
    ends_epoch: bool


class Progress(NamedTuple):
    """How far a training is: the next sample to train, and (epoch, running accuracy, test accuracy) so far.

    `correct` counts right predictions of the unfinished epoch, made while it was training.
    """

    epoch: int = 0
    position: int = 0
    correct: int = 0
    history: tuple = ()


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


def save(path, config, state, progress, seed):
    """Write a checkpoint, complete or not at all."""
    save_arrays(path, state_arrays(state) | {
        "config": config.hash, "seed": seed, "epoch": progress.epoch, "position": progress.position,
        "correct": progress.correct, "history": np.array(progress.history, dtype=np.float64).reshape(-1, 3)})


def resume(path, config, seed):
    """State and progress of the checkpoint at `path`, or of the start if there is none.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged or of another configuration.
    """
    if not path.exists():
        return initial_state(config), Progress(), seed
    state, arrays = load_state(path, config)
    progress = Progress(int(arrays["epoch"]), int(arrays["position"]), int(arrays["correct"]),
                        tuple(tuple(row) for row in arrays["history"].tolist()))
    return state, progress, int(arrays["seed"])


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


def train(config, data, epochs, path, *, seed=0, tick=None):
    """Train with the golden model, from the checkpoint at `path` on; writes it after every chunk.

    Parameters
    ----------
    config : Config
    data : Dataset
    epochs : int
        In total, those of the checkpoint included.
    path : Path
        The checkpoint.
    seed : int
        Of the order of the samples; that of the checkpoint wins.
    tick : callable, optional
        Called with the number of samples after every batch.

    Yields
    ------
    Progress
        After every chunk.
    """
    state, progress, seed = resume(path, config, seed)
    model, batch = Golden(config, state), config.update.batch
    samples = len(data.train_labels) // batch * batch
    for chunk in plan(len(data.train_labels), epochs, seed, progress, batch):
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
        save(path, config, model.state, progress, seed)
        yield progress
