"""Long sparse sequences: a 40-100 network over 2,250 steps with 500 events per sample, one interval or fifteen.

Every case trains in the RTL and is compared with the golden model: results, weights, counters and cycles. Prints the
memory that either way to sum gradients needs, and what a step costs. ``python -m bench.sparse``.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from spikeloom.golden.config import ConfigError, parse
from spikeloom.sim.build import LONG
from spikeloom.sim.cosim import Batch, cosimulate

STEPS, EVENTS = 2250, 500
CASES = [(STEPS, "memory", 50, 32), (STEPS, "memory", 50, 128), (STEPS, "history", None, 32), (150, "memory", None, 32),
         (150, "memory", None, 128), (150, "memory", 50, 32), (150, "history", None, 32)]


def network(interval, gradient, error_steps, scan_bits):
    """The network with intervals of `interval` steps; leak 0.999."""
    return parse({
        "name": "sparse",
        "time": {"steps": STEPS, "interval": interval},
        "input": {"kind": "events", "size": 40},
        "layers": [{"neurons": 100, "lanes": 16, "gradient": gradient}],
        "network": {"classes": 2, "block_length": 1},
        "classifier": {"lanes": 2, "gradient": gradient},
        "neuron": {"leak": {"form": "multiply", "multiplier": 65470, "shift": 16}, "threshold": 0.5,
                   "reset_amount": 0.5},
        "surrogate": {"shape": "rectangle", "width": 1.0},
        "numbers": {"weight": {"width": 16, "fraction": 12}, "potential": {"width": 20, "fraction": 12},
                    "error": {"width": 20, "fraction": 4}},
        "update": {"shift": 12},
        "hardware": {"error_steps": error_steps, "scan_bits": scan_bits},
    })


def samples(count, seed=0):
    """Random events (count, T, 40), each sample with `EVENTS` of them in different places; labels."""
    random = np.random.default_rng(seed)
    frames = np.zeros((count, STEPS * 40), dtype=np.uint8)
    for frame in frames:
        frame[random.choice(STEPS * 40, EVENTS, replace=False)] = 1
    return frames.reshape(count, STEPS, 40), random.integers(0, 2, count)


def main():
    """Exit by exception at the first difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=4, help="per case; half of them train")
    parser.add_argument("--build-dir", type=Path, default=Path("build/sim"))
    args = parser.parse_args()
    table = Table(title=f"40-100, 2 classes, T = {STEPS}, {EVENTS} events per sample, 16 lanes")
    for column in ("k", "gradient", "error steps", "spikes read at a time", "bits: history", "bits: memory",
                   "hidden spikes per sample", "cycles per step, training", "inference", "difference"):
        table.add_column(column, justify="right")
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("samples", total=len(CASES) * args.samples)
        for number, (interval, gradient, error_steps, scan_bits) in enumerate(CASES):
            # Both sizes are those of the whole network; a history cannot be cut into slices.
            units = network(interval, "memory", error_steps, scan_bits).units
            bits = [f"{sum(unit.gradient_bits[way] for unit in units):,}" for way in ("history", "memory")]
            cells = [str(interval), gradient, str(error_steps or interval), str(scan_bits), *bits]
            try:
                config = network(interval, gradient, error_steps, scan_bits)
            except ConfigError as error:
                table.add_row(*cells, "", "", "", f"not built: {error}")
                bar.update(task, completed=(number + 1) * args.samples)
                continue
            frames, labels = samples(args.samples)
            train = np.arange(args.samples) < args.samples // 2
            base = number * args.samples
            checked, = cosimulate(
                config, [Batch(frames, labels, train)], root=args.build_dir, fast=args.samples >= LONG,
                tick=lambda done, base=base: bar.update(task, completed=base + done))
            prediction, cycles = checked.prediction, checked.results["cycles"] / STEPS
            spikes = prediction.counters["block0.classifier.weight.read.forward"] / args.samples
            table.add_row(*cells, f"{spikes:,.0f}", f"{cycles[train].mean():.1f}", f"{cycles[~train].mean():.1f}",
                          "none")
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
