"""Training speed of the golden model on preset lenet1, beside the same network in floating point: images per second.

``python -m bench.speed``, on an idle machine. Frames are random: the work does not depend on their values. Both models
take turns, and the median of their runs counts.
"""

import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from spikeloom.gen import presets
from spikeloom.golden.model import Golden

from .reference import Reference

__all__ = ["speeds", "table"]

#: Batch -> batches per run.
BATCHES = {1: 20, 128: 1}


def speeds(batch, repeats=5):
    """Images per second of the golden model and of the reference, as medians over `repeats` runs."""
    config = presets.find("lenet1").replace(update={"batch": batch, "decay_samples": 0, "decay_limit": 0},
                                            hardware={"sample_slots": max(batch, 2)})
    random = torch.Generator().manual_seed(0)
    # As dark as digits: four pixels of five are zero.
    frames = torch.randint(0, 1 << config.input.bits, (batch, config.input.size), generator=random)
    frames *= torch.rand(frames.shape, generator=random) < 0.2
    labels = torch.randint(0, config.network.classes, (batch,), generator=random).tolist()
    models = Golden(config), Reference(config)
    found = [], []
    for model in models:
        model.train_batch(frames, labels)
    for _ in range(repeats):
        for model, own in zip(models, found):
            start = time.perf_counter()
            for _ in range(BATCHES[batch]):
                model.train_batch(frames, labels)
            own.append(batch * BATCHES[batch] / (time.perf_counter() - start))
    return [statistics.median(own) for own in found]


def table():
    """The table, for one thread: more of them wait for each other as soon as a machine is busy."""
    threads, made = torch.get_num_threads(), Table(
        "batch", "golden, images/s", "floating point, images/s",
        title=f"training of lenet1 (k = 2, n = 1), one thread, PyTorch {torch.__version__}")
    torch.set_num_threads(1)
    for batch in BATCHES:
        made.add_row(str(batch), *(f"{speed:.0f}" for speed in speeds(batch)))
    torch.set_num_threads(threads)
    return made


if __name__ == "__main__":
    Console(width=100).print(table())
