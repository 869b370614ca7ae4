"""The same training from several seeds, on all cores: `python -m bench.seeds digits --seeds 8`.

A seed gives both the initial weights and the order of the samples. Printed: test accuracy of each epoch, as mean and
standard deviation over the seeds, and trained samples per second of all together.
"""

import argparse
import statistics
import time

import torch
from joblib import Parallel, cpu_count, delayed
from rich.console import Console
from rich.table import Table

from spikeloom.gen import presets
from spikeloom.golden.data import load_dataset
from spikeloom.golden.model import Golden
from spikeloom.golden.training import Progress, accuracy, plan

__all__ = ["train"]


def train(config, data, epochs, seed):
    """Test accuracy in per cent after each epoch."""
    torch.set_num_threads(1)
    model, found, batch = Golden(config.replace(initial={"seed": seed})), [], config.update.batch
    for chunk in plan(len(data.train_labels), epochs, seed, Progress(), batch):
        for first in range(0, len(chunk.order), batch):
            own = chunk.order[first:first + batch]
            model.train_batch(torch.from_numpy(data.train_frames[own]), data.train_labels[own].tolist())
        if chunk.ends_epoch:
            found.append(100 * accuracy(model, data.test_frames, data.test_labels))
    return found


def main():
    """Train, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.seeds", description=__doc__.splitlines()[0])
    parser.add_argument("preset", nargs="?", default="digits", choices=presets.names())
    parser.add_argument("--data", default="digits", help="as for `spikeloom train`")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=cpu_count())
    parser.add_argument("--jobs", type=int, default=-1, help="cores; all by default")
    options = parser.parse_args()
    config = presets.find(options.preset)
    data = load_dataset(options.data, config)
    start = time.perf_counter()
    found = Parallel(n_jobs=options.jobs)(
        delayed(train)(config, data, options.epochs, seed) for seed in range(options.seeds))
    seconds = time.perf_counter() - start
    made = Table("epoch", "test accuracy, %", "standard deviation", title=f"{config.name}, {options.seeds} seeds")
    for epoch, values in enumerate(zip(*found), 1):
        made.add_row(str(epoch), f"{statistics.mean(values):.2f}", f"{statistics.pstdev(values):.2f}")
    console = Console(width=100)
    console.print(made)
    trained = options.seeds * options.epochs * len(data.train_labels)
    console.print(f"{trained / seconds:,.0f} training samples/s, start and tests included")


if __name__ == "__main__":
    main()
