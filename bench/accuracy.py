"""Test accuracy of the golden model beside the floating-point reference: `python -m bench.accuracy --data idx:FOLDER`.

Preset lenet1 for several intervals `k` and block lengths `n`, with trainable and with random classifiers, in batches of
32 with momentum. Both models see the same samples in the same order. What is done is kept in a folder, and not done
again; empty it after a change of the code.
"""

import argparse
import hashlib
import json
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from spikeloom.gen import presets
from spikeloom.golden.data import load_dataset
from spikeloom.golden.files import write_atomically
from spikeloom.golden.model import Golden
from spikeloom.golden.training import Progress as Start
from spikeloom.golden.training import accuracy, plan

from .reference import Reference

MODELS = {"golden": Golden, "reference": Reference}


class Case(NamedTuple):
    """Interval, block length, and kind of the local classifiers."""

    k: int
    n: int
    classifier: str

    @property
    def name(self):
        return f"{self.k},{self.n},{self.classifier}"


CASES = [Case(1, 1, "trainable"), Case(2, 1, "trainable"), Case(2, 2, "trainable"), Case(10, 1, "trainable"),
         Case(10, 4, "trainable"), Case(2, 1, "random"), Case(10, 1, "random")]
BATCH = 32
#: Shift at k = 1.
SHIFT = 9


def configure(case, shift=None):
    """Preset lenet1 for a case: batches and momentum, a rate that is halved twice, and more fraction bits.

    A gradient, summed over an interval and multiplied by its count of spikes, grows with the square of `k`, and there
    are `k` times fewer updates; so that a sample moves the weights as far, the shift grows by the logarithm of `k`,
    in whole bits. One rule for all cases and both models.

    The formats of the preset suit updates by single samples. At k = 1 an error is one spike times a weight, and a
    quarter of it behind a pool: rounding halves upwards then adds an eighth of the last bit to each, over all pixels
    of a batch more than the gradient itself. Four more bits make that a sixteenth; as many more in the weights keep
    the small updates.
    """
    return presets.find("lenet1").replace(
        time={"interval": case.k}, network={"block_length": case.n}, classifier={"kind": case.classifier},
        hardware={"sample_slots": BATCH},
        numbers={"weight": {"width": 18, "fraction": 16}, "error": {"width": 20, "fraction": 12}},
        update={"batch": BATCH, "decay_samples": 20000, "decay_limit": 2,
                "shift": SHIFT + round(math.log2(case.k)) if shift is None else shift,
                "momentum": {"multiplier": 230, "shift": 8, "width": 32}})


def train(model, config, data, epochs, tick):
    """Train and test: accuracy in per cent after each epoch, and trained images per second."""
    found, trained, seconds = [], 0, 0.0
    for chunk in plan(len(data.train_labels), epochs, 0, Start(), config.update.batch):
        start = time.perf_counter()
        for first in range(0, len(chunk.order), config.update.batch):
            own = chunk.order[first:first + config.update.batch]
            model.train_batch(torch.from_numpy(data.train_frames[own]), data.train_labels[own].tolist())
            tick(len(own))
        seconds += time.perf_counter() - start
        trained += len(chunk.order)
        if chunk.ends_epoch:
            found.append(100 * accuracy(model, data.test_frames, data.test_labels))
    return {"accuracy": found, "speed": trained / seconds}


def run(case, kind, config, data, epochs, folder):
    """The result of one model in one case, from `folder` if it is there."""
    digest = hashlib.sha256(b"".join(array.tobytes() for array in data)).hexdigest()[:8]
    path = folder / f"{case.name}-{kind}-{config.hash}-{digest}-{len(data.train_labels)}x{epochs}.json"
    if not path.exists():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"k,n = {case.name}, {kind}", total=epochs * len(data.train_labels))
            result = train(MODELS[kind](config), config, data, epochs, lambda count: bar.advance(task, count))
        write_atomically(path, json.dumps({"threads": torch.get_num_threads(), **result}))
    return json.loads(path.read_text())


def main():
    """Run the cases that are missing, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="idx:data/mnist", help="as for `spikeloom train`")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, help="only the first so many training images")
    parser.add_argument("--cases", nargs="+", metavar="K,N,CLASSIFIER", help="default: all")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--shift", type=int, help="learning-rate shift, instead of the rule's")
    parser.add_argument("--output", type=Path, default=Path("build/accuracy"))
    options = parser.parse_args()
    cases = CASES
    if options.cases:
        cases = [Case(int(k), int(n), kind) for k, n, kind in (text.split(",") for text in options.cases)]
    data = load_dataset(options.data, configure(cases[0]))
    data = data._replace(train_frames=data.train_frames[:options.images],
                         train_labels=data.train_labels[:options.images])
    table = Table("k", "n", "classifier", "shift", *(f"{kind}, %" for kind in options.models), "difference, points",
                  *(f"{kind}, images/s" for kind in options.models),
                  title=f"lenet1, {len(data.train_labels):,} images, {options.epochs} epochs, test accuracy")
    for case in cases:
        config = configure(case, options.shift)
        results = [run(case, kind, config, data, options.epochs, options.output) for kind in options.models]
        last = [result["accuracy"][-1] for result in results]
        table.add_row(str(case.k), str(case.n), case.classifier, str(config.update.shift),
                      *(f"{value:.2f}" for value in last), f"{last[0] - last[1]:+.2f}" if len(last) > 1 else "",
                      *(f"{result['speed']:.0f}" for result in results))
        print(f"{case.name}: {results}", file=sys.stderr, flush=True)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
