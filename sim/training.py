"""Training on the Verilated core, checked against the golden model at every checkpoint."""

from contextlib import closing
from itertools import chain, tee
from typing import NamedTuple

import numpy as np

from ..golden.checkpoint import save_checkpoint, state_from
from ..golden.training import Progress, advance, plan, resume
from .build import LONG
from .cosim import Batch, Checked, cosimulate

__all__ = ["Step", "train_rtl"]


class Step(NamedTuple):
    """One chunk of training: progress after it, the checked batches of the chunk and, at an epoch's end, the test."""

    progress: Progress
    checked: Checked
    trained: int


def train_rtl(config, data, epochs, path, *, root, folder=None, seed=None, sim_seed=0, test_first=False, tick=None,
              driver="compiled"):
    """Train in the RTL, from the checkpoint at `path` on; every chunk is compared, then written to the checkpoint.

    At the end of every epoch, the core itself classifies the test set.

    Parameters
    ----------
    config, data, epochs, path, seed
        As `golden.training.train`.
    root, folder, sim_seed, tick, driver
        As `cosimulate`.
    test_first : bool
        Also classify the test set before the first sample is trained.

    Yields
    ------
    Step
        After every chunk; before the first one, with `test_first`, a step that trained nothing.

    Raises
    ------
    Mismatch
        At the first difference.
    """
    start = resume(path, config, data, seed)
    batch, progress = config.update.batch, start.progress
    chunks = plan(len(data.train_labels), epochs, start.seed, progress, batch)
    samples = len(data.train_labels) // batch * batch
    # The core takes whole batches: the last sample once more, as often as needed, and not counted.
    tests = len(data.test_labels)
    filled = np.minimum(np.arange(-(-tests // batch) * batch), tests - 1)
    test = Batch(data.test_frames[filled], data.test_labels[filled], False)
    ahead, chunks = tee(chunks)  # the core is a few chunks ahead of the comparison
    following = next(ahead, None)
    if following is None:
        return

    def batches():
        if test_first:
            yield test
        for chunk in chain([following], ahead):
            yield Batch(data.train_frames[chunk.order], data.train_labels[chunk.order], True)
            if chunk.ends_epoch:
                yield test

    trained = 0
    with closing(cosimulate(config, batches(), root=root, folder=folder, state=start.state, seed=sim_seed, tick=tick,
                            fast=(samples + tests) * epochs >= LONG, driver=driver)) as checks:
        if test_first:
            yield Step(progress, next(checks), 0)
        for chunk in chunks:
            checked = next(checks)
            correct = checked.correct(data.train_labels[chunk.order])
            trained += len(chunk.order)
            if chunk.ends_epoch:
                checked = next(checks)
                right = checked.correct(data.test_labels)
            progress = advance(progress, chunk, samples, correct,
                               lambda: right / len(data.test_labels))  # noqa: B023
            save_checkpoint(path, start._replace(state=state_from(checked.arrays, config), progress=progress))
            yield Step(progress, checked, trained)
        for _ in checks:  # lets the simulation end in order
            pass
