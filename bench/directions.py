"""The preset `gestures` learns the synthetic data set `directions`: ``python -m bench.directions``.

First the golden model trains, and its accuracy on the test set is printed after every epoch. Then the core runs the
first training samples under Verilator from the same start, and has to end with the same weights, counters and cycles.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from spikeloom.gen import presets
from spikeloom.golden.data import load_dataset
from spikeloom.golden.training import Progress, plan, train
from spikeloom.sim.cosim import Batch, Mismatch, cosimulate


def learn(config, data, epochs, folder, say):
    """Train; print a line per epoch."""
    start = time.perf_counter()
    for progress in train(config, data, epochs, folder / "checkpoint.npz"):
        if progress.position == 0:
            epoch, _, test = progress.history[-1]
            say(f"epoch {int(epoch)}: {test:.1%} of the test set ({time.perf_counter() - start:.0f} s)")


def compare(config, data, samples, root, say):
    """Run the first samples of the same training in the RTL, and compare."""
    order = plan(len(data.train_labels), 1, 0, Progress(), config.update.batch)[0].order[:samples]
    batch = Batch(data.train_frames[order], data.train_labels[order], True)
    start = time.perf_counter()
    checked, = cosimulate(config, [batch], root=root, fast=True)
    latency, cycles = checked.results["cycles"].mean(), int(
        checked.results["taken"][-1] - checked.results["arrived"][0])
    say(f"first {samples} samples in the RTL: weights, counters and cycles equal; {cycles:,} cycles, {latency:,.0f} "
        f"from begin to result of a sample, its batch included ({time.perf_counter() - start:.0f} s with the build)")


def main():
    """Exit status 1 if the core differs from the golden model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--samples", type=int, default=100, help="samples in the RTL")
    parser.add_argument("--build-dir", type=Path, default=Path("build/sim"))
    args = parser.parse_args()
    config = presets.find("gestures")
    data = load_dataset("directions", config)

    def say(text):
        Console().print(text, highlight=False, soft_wrap=True)

    say(f"{config.name} on directions: {len(data.train_labels)} training and {len(data.test_labels)} test samples, "
        f"chance {1 / config.network.classes:.1%}")
    with tempfile.TemporaryDirectory() as folder:
        learn(config, data, args.epochs, Path(folder), say)
        try:
            compare(config, data, args.samples, args.build_dir, say)
        except Mismatch as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
