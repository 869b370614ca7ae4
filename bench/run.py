"""Speed of everything that a user waits for, on the presets digits and tiny. Prints; never passes or fails.

Run it on an idle machine: ``make bench``.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from spikeloom.gen import presets
from spikeloom.gen.generate import generate
from spikeloom.golden.checkpoint import state_arrays
from spikeloom.golden.data import load_dataset
from spikeloom.golden.model import Golden, initial_state
from spikeloom.golden.prediction import Prediction
from spikeloom.sim.build import build, build_driver
from spikeloom.sim.driver import Driver
from spikeloom.sim.run import Simulation

TARGETS = {"generate": "< 10 s", "digits, compiled": ">= 300,000", "tiny, compiled": ">= 1,000,000",
           "train": ">= 200", "infer": ">= 20,000"}


def _timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def golden_training(config, data, samples=300):
    """Samples per second at batch 1, and of the prediction of cycles and traffic beside it."""
    frames = torch.from_numpy(data.train_frames)
    model, prediction = Golden(config), Prediction(config)

    def train(count):
        for index in range(count):
            model.run(frames[index], int(data.train_labels[index]), train=True)

    def predict():
        for index in range(samples):
            prediction.sample(frames[index], int(data.train_labels[index]), True)

    train(30)
    return samples / _timed(lambda: train(samples))[0], samples / _timed(predict)[0]


def golden_inference(config, data, batch=1024, batches=20):
    """Samples per second of a batch."""
    frames = torch.from_numpy(data.train_frames[:batch])
    model = Golden(config)
    model.infer(frames)
    seconds, _ = _timed(lambda: [model.infer(frames) for _ in range(batches)])
    return batch * batches / seconds


def rtl_training(config, data, folder, driver, samples=1437):
    """Seconds of the build, and simulated cycles per second and per sample of a long training run."""
    make, kind = {"compiled": (build_driver, Driver), "cocotb": (build, Simulation)}[driver]
    build_seconds, model = _timed(lambda: make(config, root=Path("build/sim"), fast=True))
    with kind(config, model, folder) as simulation:
        simulation.load(state_arrays(initial_state(config)))
        simulation.wait_for(simulation.read())
        results = simulation.run(data.train_frames[:samples], data.train_labels[:samples], np.ones(samples))
        seconds, arrays = _timed(lambda: simulation.wait_for(results))
        simulation.finish()
    cycles = int(arrays["results"]["taken"][-1] - arrays["results"]["arrived"][0])
    return build_seconds, cycles / seconds, cycles / samples


def main():
    """Print the table."""
    config = presets.find("digits")
    data = load_dataset("digits", config)
    table = Table("figure", "value", "target", title=f"digits, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        seconds, _ = _timed(lambda: generate(config, folder))
        table.add_row("generate Verilog and sidecar, s", f"{seconds:.1f}", TARGETS["generate"])
        rtl = {}
        for name in ("tiny", "digits"):
            for driver in ("cocotb", "compiled"):
                own = presets.find(name)
                build_seconds, rate, per_sample = rtl_training(own, load_dataset("digits", own), folder / name, driver)
                rtl[name, driver] = rate / per_sample
                title = f"{name}, {driver}"
                table.add_row(f"{title}: build of the model, s (0: it was there)", f"{build_seconds:.1f}", "")
                table.add_row(f"{title}: simulated cycles/s in training", f"{rate:,.0f}", TARGETS.get(title, ""))
            table.add_row(f"{name}: cycles per sample in training", f"{per_sample:,.0f}", "")
    trained, predicted = golden_training(config, data)
    table.add_row("golden training, batch 1, samples/s", f"{trained:,.0f}", TARGETS["train"])
    ratio = trained / rtl["digits", "compiled"]
    table.add_row("the same, times as fast as the compiled RTL run", f"{ratio:.1f}", "> 1")
    table.add_row("the same with cycles and traffic, samples/s", f"{predicted:,.0f}", "")
    table.add_row("golden inference, batch 1024, samples/s", f"{golden_inference(config, data):,.0f}",
                  TARGETS["infer"])
    Console().print(table)


if __name__ == "__main__":
    main()
