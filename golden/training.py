"""Training on the golden model: the order of the samples, and checkpoints that resume with identical bits.

The order is the same whoever computes: the RTL trains by the same `plan`, and either continues the other's checkpoint.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from .checkpoint import EPOCHS, Checkpoint, CheckpointError, Progress, load_checkpoint, save_checkpoint
from .checks import check_dataset
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
    """Chunks that are left of `epochs` epochs over `samples` samples: a sequence that makes each when it is asked for.

    Every epoch has whole batches only: the last samples of its order may be left out.

    Raises
    ------
    DataError
        If there is not a single batch, or there are more than `EPOCHS` epochs.
    """
    if samples < batch:
        raise DataError(f"data set must hold a batch of {batch} samples to train, not {samples}")
    if epochs > EPOCHS:
        raise DataError(f"epochs must be at most {EPOCHS:,}, not {epochs:,}")
    return _Plan(samples, epochs, seed, progress, batch)


class _Plan(Sequence):
    """See `plan`."""

    def __init__(self, samples, epochs, seed, progress, batch):
        self._total, self._seed, self._progress = samples, seed, progress
        self._samples, self._length = samples // batch * batch, max(CHUNK // batch, 1) * batch
        self._epoch, self._order = None, None
        left, whole = max(epochs - progress.epoch, 0), -(-self._samples // self._length)
        first = -(-(self._samples - progress.position) // self._length)
        self._first, self._whole, self._count = first, whole, first + (left - 1) * whole if left else 0

    def __len__(self):
        return self._count

    def __getitem__(self, key):
        if isinstance(key, slice):
            return [self[place] for place in range(*key.indices(len(self)))]
        place = range(len(self))[key]
        epoch, number, start = self._progress.epoch, place, self._progress.position
        if place >= self._first:
            more, number = divmod(place - self._first, self._whole)
            epoch, start = epoch + 1 + more, 0
        first = start + number * self._length
        last = min(first + self._length, self._samples)
        return Chunk(epoch, first, last, self._of(epoch)[first:last], last == self._samples)

    def _of(self, epoch):
        """The order of an epoch."""
        if epoch != self._epoch:
            random = np.random.Generator(np.random.PCG64([self._seed, epoch]))
            self._epoch, self._order = epoch, random.permutation(self._total)
        return self._order


def resume(path, config, data, seed):
    """The `Checkpoint` at `path`, or that of the start if there is none.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged, or of another configuration, other data or another seed.
    DataError
        If the data do not fit the configuration.
    """
    check_dataset(config, data, DataError)
    if not path.exists():
        return Checkpoint(config, initial_state(config), seed=seed or 0, data=data.digest)
    found, batch = load_checkpoint(path, config), config.update.batch
    if found.data != data.digest:
        raise CheckpointError(f"{path}: was trained with data {found.data}, not with {data.digest}")
    if seed not in (None, found.seed):
        raise CheckpointError(f"{path}: was trained with seed {found.seed}, not with {seed}")
    samples = len(data.train_labels) // batch * batch
    if found.progress.position >= samples:
        raise CheckpointError(f"{path}: position must be below the {samples} samples of an epoch, not "
                              f"{found.progress.position}")
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
