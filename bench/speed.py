"""Training speed of the golden model, as it is specified and compiled, and in floating point: samples per second.

``python -m bench.speed``, on an idle machine. Frames are random: the work does not depend on their values. The models
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

#: Preset, batch -> batches per run.
CASES = {("tiny", 1): 40, ("digits", 1): 40, ("digits", 128): 1, ("lenet1", 1): 20, ("lenet1", 128): 1}


def speeds(name, batch, repeats=5):
    """Samples per second: the PyTorch form, compiled, and the reference, as medians over `repeats` runs."""
    config = presets.find(name).replace(update={"batch": batch, "decay_samples": 0, "decay_limit": 0},
                                        hardware={"sample_slots": max(batch, 2)})
    random = torch.Generator().manual_seed(0)
    # As dark as digits: four pixels of five are zero.
    frames = torch.randint(0, 1 << config.input.bits, (batch, config.input.size), generator=random)
    frames *= torch.rand(frames.shape, generator=random) < 0.2
    labels = torch.randint(0, config.network.classes, (batch,), generator=random).tolist()
    models = Golden(config, compiled=False), Golden(config), Reference(config)
    found = [], [], []
    for model in models:
        model.train_batch(frames, labels)
    for _ in range(repeats):
        for model, own in zip(models, found):
            start = time.perf_counter()
            for _ in range(CASES[name, batch]):
                model.train_batch(frames, labels)
            own.append(batch * CASES[name, batch] / (time.perf_counter() - start))
    return [statistics.median(own) for own in found]


def table():
    """The table, for one thread: more of them wait for each other as soon as a machine is busy."""
    threads, made = torch.get_num_threads(), Table(
        "preset", "batch", "PyTorch form, samples/s", "Golden, samples/s", "ratio", "floating point, samples/s",
        title=f"training, one thread, PyTorch {torch.__version__}")
    torch.set_num_threads(1)
    for name, batch in CASES:
        plain, compiled, reference = speeds(name, batch)
        made.add_row(name, str(batch), f"{plain:.0f}", f"{compiled:.0f}", f"{compiled / plain:.1f}",
                     f"{reference:.0f}")
    torch.set_num_threads(threads)
    return made


if __name__ == "__main__":
    Console(width=110).print(table())
