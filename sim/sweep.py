"""Cycle-level co-simulation of randomly drawn configurations: ``python -m spikeloom.sim.sweep --seed S --count N``."""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from ..golden.units import clog2
from .cosim import Batch, cosimulate
from .draw import draw

__all__ = ["check", "stimulus"]


def stimulus(config, seed, samples=4):
    """Random batches: training, inference, and both; frames of any density. Labels in the last one may be of no class.
    """
    random = np.random.default_rng(seed)
    batches = []
    batch = config.update.batch
    count = -(-samples // batch) * batch
    mixed = (random.random(2 * count // batch) < 0.5).repeat(batch)  # a batch trains, or does not
    for train in (True, False, mixed):
        samples = np.size(train) if np.size(train) > 1 else count
        shape = (samples, config.input.size) if config.input.kind == "frame" else \
            (samples, config.time.steps, config.input.size)
        frames = random.integers(0, 1 << config.input.bits, shape) * (random.random(shape) < random.random())
        top = config.network.classes if np.size(train) == 1 else 1 << clog2(config.network.classes)
        batches.append(Batch(frames, random.integers(0, top, samples), train))
    return batches


def describe(layer):
    """A layer in a few characters: neurons/lanes, or kernel, channels/lanes, stride, padding, or a pool; dropout."""
    if layer.kind == "avg_pool":
        return f"pool{layer.size}s{layer.stride or layer.size}"
    dropout = f"d{layer.dropout}" if layer.dropout else ""
    if layer.kind == "dense":
        return f"{layer.neurons}/{layer.lanes}{dropout}"
    return f"conv{layer.kernel}x{layer.channels}/{layer.lanes}s{layer.stride}p{layer.padding}{dropout}"


def check(seed, *, root, folder):
    """Draw, build, simulate and compare one configuration; a line that says what it was.

    Raises
    ------
    Mismatch, SimulationError
        As `cosimulate`.
    """
    config, pause = draw(seed), (0, 60, 160)[seed % 3]
    batches = stimulus(config, seed)
    for checked in cosimulate(config, batches, root=root, folder=folder / f"draw{seed}", cycle_level=True, seed=seed,
                              sample_pause=pause, result_pause=pause):
        last = checked
    layers = "-".join(describe(layer) for layer in config.layers)
    shape = "x".join(str(length) for length in config.input.shape) + {"frame": "", "events": "ev"}[config.input.kind]
    return (f"seed {seed}: {shape} {layers} classes {config.network.classes}/{config.classifier.lanes} "
            f"T={config.time.steps} k={config.time.interval} period={config.time.update_period} "
            f"blocks={len(config.blocks)} {config.neuron.reset} {config.neuron.compare} {config.neuron.leak.form} "
            f"{config.surrogate.shape} {config.update.rounding} pause={pause}: "
            f"{int(last.rows[-1, 5])} cycles, no difference")


def main():
    """Exit status 0 if no configuration shows a difference; the first difference of each is printed with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--build-dir", type=Path, default=Path("build/sim"))
    args = parser.parse_args()
    console, failed = Console(), 0

    def one(seed):
        try:
            return True, check(seed, root=args.build_dir, folder=args.build_dir / "sweep")
        except Exception as error:  # a generator that gives up is a finding like a difference
            return False, (f"seed {seed}: {type(error).__name__}: {error}; again with: "
                           f"python -m spikeloom.sim.sweep --seed {seed} --count 1")

    with Progress(console=Console(stderr=True)) as bar, ThreadPoolExecutor(args.jobs) as pool:
        task = bar.add_task("configurations", total=args.count)
        for good, line in pool.map(one, range(args.seed, args.seed + args.count)):
            failed += not good
            bar.advance(task)
            console.print(line, highlight=False, soft_wrap=True)
    console.print(f"{args.count - failed} of {args.count} without a difference")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
