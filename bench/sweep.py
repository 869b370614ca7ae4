"""Cycle-level co-simulation of randomly drawn configurations: ``python -m bench.sweep --seed S --count N``.

``--extreme`` draws them at the limits of what is valid; ``--generate`` writes their Verilog, and simulates nothing.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from spikeloom.gen.generate import generate
from spikeloom.sim.cosim import cosimulate

from .draw import draw, stimulus
from .extreme import draw_extreme

__all__ = ["check", "check_text"]

#: Steps of a sample from which one sample of a kind has to do.
LONG = 64


def describe(layer):
    """A layer in a few characters: neurons/lanes, or kernel, channels/lanes, stride, padding, or a pool; dropout."""
    if layer.kind == "avg_pool":
        return f"pool{layer.size}s{layer.stride or layer.size}"
    dropout = f"d{layer.dropout}" if layer.dropout else ""
    if layer.kind == "dense":
        return f"{layer.neurons}/{layer.lanes}{dropout}"
    return f"conv{layer.kernel}x{layer.channels}/{layer.lanes}s{layer.stride}p{layer.padding}{dropout}"


def _summary(config):
    """A configuration in a line."""
    layers = "-".join(describe(layer) for layer in config.layers)
    shape = "x".join(str(length) for length in config.input.shape) + {"frame": "", "events": "ev"}[config.input.kind]
    return (f"{shape} {layers} classes {config.network.classes}/{config.classifier.lanes} "
            f"T={config.time.steps} k={config.time.interval} period={config.time.update_period} "
            f"blocks={len(config.blocks)} {_neurons(config)} {config.update.rounding}")


def _neurons(config):
    """The kinds of neurons and surrogates, each once."""
    tables = [config.tables_of(owner) for owner in config.owners]
    return ", ".join(dict.fromkeys(
        f"{neuron.reset} {neuron.compare} {neuron.leak.form} {neuron.start:g} {surrogate.shape}"
        for neuron, surrogate in tables))


def _drawn(seed, extreme):
    """A configuration, and what the line about it begins with."""
    if not extreme:
        config = draw(seed)
        return config, f"seed {seed}: {_summary(config)}"
    config, limits = draw_extreme(seed)
    return config, f"extreme seed {seed} ({', '.join(limits)}): {_summary(config)}"


def check(seed, *, root, folder=None, extreme=False):
    """Draw, build, simulate and compare one configuration; a line that says what it was.

    Raises
    ------
    Mismatch, SimulationError
        As `cosimulate`.
    """
    (config, line), pause = _drawn(seed, extreme), (0, 60, 160)[seed % 3]
    batches = stimulus(config, seed, samples=4 if config.time.steps <= LONG else 1)
    for checked in cosimulate(config, batches, root=root, folder=folder, cycle_level=True, seed=seed,
                              sample_pause=pause, result_pause=pause):
        last = checked
    return f"{line} pause={pause}: {int(last.results['taken'][-1])} cycles, no difference"


def check_text(seed, *, folder, extreme=False):
    """Draw and generate one configuration; a line that says what it was, and how much Verilog it became.

    Raises
    ------
    ValueError
        If a signal has no bits: Verilog has no such thing, and takes ``[-1:0]`` for two.
    """
    config, line = _drawn(seed, extreme)
    verilog, _ = generate(config, folder / f"draw{seed}")
    lines = verilog.read_text().splitlines()
    if empty := [own.strip() for own in lines if "[-1:0]" in own]:
        raise ValueError(f"{verilog}: {empty[0]}")
    return f"{line}: {len(lines):,} lines"


def main():
    """Exit status 0 if no configuration shows a difference; the first difference of each is printed with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--extreme", action="store_true", help="at the limits of what is valid")
    parser.add_argument("--generate", action="store_true", help="write Verilog, simulate nothing")
    parser.add_argument("--build-dir", type=Path, default=Path("build/sim"))
    args = parser.parse_args()
    console, failed = Console(), 0
    options = {"folder": args.build_dir / "sweep", "extreme": args.extreme}

    def one(seed):
        try:
            return True, check_text(seed, **options) if args.generate else check(seed, root=args.build_dir, **options)
        except Exception as error:  # a generator that gives up is a finding like a difference
            flags = " --extreme" * args.extreme + " --generate" * args.generate
            return False, (f"seed {seed}: {type(error).__name__}: {error}; again with: "
                           f"python -m bench.sweep --seed {seed} --count 1{flags}")

    with Progress(console=Console(stderr=True)) as bar, ThreadPoolExecutor(args.jobs) as pool:
        task = bar.add_task("configurations", total=args.count)
        for good, line in pool.map(one, range(args.seed, args.seed + args.count)):
            failed += not good
            bar.advance(task)
            console.print(line, highlight=False, soft_wrap=True)
    console.print(f"{args.count - failed} of {args.count} without {'an error' if args.generate else 'a difference'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
