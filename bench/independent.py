"""The golden model against the one of `tests/independent.py`, written from docs/arithmetic.md alone.

Draws configurations, trains and infers a few samples of each in both, and compares all of the state before and after
every batch, and every result. ``python -m bench.independent --count 200``. Exit status 1 if any differs.
"""

import argparse
import json
import sys
from collections import Counter

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.draw import draw, stimulus
from bench.extreme import draw_extreme
from bench.sweep import LONG
from spikeloom.gen import presets
from spikeloom.golden.model import Golden
from tests.independent import Independent

__all__ = ["compare", "kinds", "plain"]

#: Presets that a model of loops can compute; the others are the same kinds, larger.
PRESETS = ["tiny", "mini", "digits", "gestures"]


def plain(config, *, short=False):
    """A configuration as the dict of the sidecar; `short` leaves out what is a default, as a TOML file may."""
    return json.loads(json.dumps(config.model_dump(exclude_defaults=short)))


def _state(golden, own):
    """Name of the first part of the state that differs, or None."""
    for place, weights in enumerate(golden.state["weight"]):
        pairs = {"weights": (weights.tolist(), own.weights[place]),
                 "velocities": (golden.state["velocity"][place].tolist(), own.velocities[place]),
                 "LFSR": (golden.state["lfsr"][place], own.lfsr[place]),
                 "LFSR of dropout": (golden.state["dropout"][place], own.dropout[place])}
        for name, (have, want) in pairs.items():
            if have != want:
                return f"{name} of the unit at place {place}"
    for name in ("shift", "since_decay"):
        if getattr(golden.state, name) != getattr(own, name):
            return name
    return None


def compare(config, batches, *, document=None, own=None):
    """Run `batches` (as of `bench.draw.stimulus`) in both models.

    Parameters
    ----------
    config : Config
    batches : list of Batch
        Runs of whole batches.
    document : dict, optional
        What the independent model is built from; `plain` of the configuration by default.
    own : Independent, optional
        The model itself, if it is not to be built.

    Returns
    -------
    str or None
        The first difference.
    """
    golden, own = Golden(config), own or Independent(document or plain(config))
    if difference := _state(golden, own):
        return f"at the start: {difference}"
    size = config.update.batch
    for number, (frames, labels, trains) in enumerate(batches):
        for first in range(0, len(labels), size):
            chosen = slice(first, first + size)
            train = bool(trains if isinstance(trains, bool) else trains[first])
            classes = [label if label < config.network.classes else None for label in labels[chosen].tolist()]
            traces = golden.run_batch(torch.from_numpy(frames[chosen]), classes, train=train)
            have = [(trace.prediction, trace.counts.tolist()) for trace in traces]
            want = own.run(frames[chosen].astype(int).tolist(), classes, train)
            where = f"run {number}, samples from {first} on, {'training' if train else 'inference'}"
            if have != want:
                return f"{where}: results {have}, not {want}"
            if difference := _state(golden, own):
                return f"{where}: {difference}"
    return None


def kinds(config):
    """What a configuration uses, as a list of names."""
    layers, update, neuron = config.layers, config.update, config.neuron
    uses = {
        "dense layers": any(layer.kind == "dense" for layer in layers),
        "convolutions": any(layer.kind == "conv" for layer in layers),
        "poolings": any(layer.kind == "avg_pool" for layer in layers),
        "frames": config.input.kind == "frame",
        "events": config.input.kind == "events",
        "several blocks": len(config.blocks) > 1,
        "blocks of several layers": any(len(block.units) > 2 for block in config.blocks),
        "random classifiers": config.classifier.kind == "random",
        "dropout": any(getattr(layer, "dropout", 0) for layer in layers),
        "stochastic rounding": update.rounding == "stochastic",
        "momentum": update.momentum is not None,
        "batches": update.batch > 1,
        "halvings of the rate": update.decay_samples > 0 and update.decay_limit > 0,
        "several intervals": config.intervals > 1,
        "updates after several intervals": config.time.update_period > 1,
        "k = 1": config.time.interval == 1,
        "k = T": config.time.interval == config.time.steps,
        "error through the reset": config.neuron.reset_error,
        "neurons or surrogates of a layer": any(own.neuron or own.surrogate for own in config.owners),
        "start of samples": any(unit.neuron.start for unit in config.units),
    }
    return [name for name, used in uses.items() if used] + [
        f"leak: {neuron.leak.form}", f"reset: {neuron.reset}", f"surrogate: {config.surrogate.shape}"]


def main():
    """Print a line for every difference, and the table of what was compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--extreme", action="store_true", help="at the limits of what is valid, instead of presets")
    args = parser.parse_args()
    torch.set_num_threads(1)
    console, used, equal = Console(), Counter(), Counter()
    seeds = range(args.seed, args.seed + args.count)
    chosen = [(f"seed {seed}", draw_extreme(seed)[0] if args.extreme else draw(seed), seed) for seed in seeds]
    chosen += [] if args.extreme else [(f"preset {name}", presets.find(name), 1) for name in PRESETS]
    with Progress(console=Console(stderr=True)) as bar:
        for number, (name, config, seed) in enumerate(bar.track(chosen)):
            samples = 4 if name.startswith("seed") else config.update.batch
            samples = samples if config.time.steps <= LONG else 1
            difference = compare(config, stimulus(config, seed, samples=samples),
                                 document=plain(config, short=number % 2 == 1))
            if difference:
                console.print(f"{name}: {difference}", highlight=False, soft_wrap=True)
            own = ["all", "drawn" if name.startswith("seed") else "presets: " + ", ".join(PRESETS), *kinds(config)]
            used.update(own)
            equal.update(own if difference is None else [])
    table = Table("configurations with", "compared", "equal")
    for name in dict.fromkeys(used):
        table.add_row(name, str(used[name]), str(equal[name]))
    console.print(table)
    sys.exit(used["all"] - equal["all"] > 0)


if __name__ == "__main__":
    main()
