"""The presets: structure, sizes and savings as the paper has them, any (k, n), co-simulation in small, and in full the
golden model."""

import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from bench.draw import stimulus
from spikeloom.gen import presets
from spikeloom.gen.generate import generate
from spikeloom.gen.text import instances
from spikeloom.golden.config import Config, ConfigError
from spikeloom.golden.data import load_dataset
from spikeloom.golden.memories import CHIPS, memories, verdict
from spikeloom.golden.model import initial_state
from spikeloom.golden.parts import sections_in
from spikeloom.golden.prediction import Prediction
from spikeloom.golden.training import train
from spikeloom.sim.cosim import Batch, cosimulate

#: Height and channels (neurons) behind every layer, and what is fixed of time: T and, of recordings, the window in us.
STRUCTURES = {
    "digits": ([(1, 128), (1, 128)], 10, None),
    "tiny": ([(1, 16), (1, 12)], 4, None),
    "mini": ([(1, 16), (1, 12)], 4, None),
    "lenet1": ([(28, 6), (14, 6), (10, 16), (5, 16), (1, 120), (1, 128)], 10, None),
    "lenet2": ([(28, 64), (14, 64), (10, 128), (5, 128), (1, 128), (1, 256)], 60, 20000),
    "alexnet": ([(16, 96), (16, 256), (8, 256), (8, 384), (4, 384), (4, 512), (4, 384), (4, 256), (1, 4096),
                 (1, 1024)], 10, None),
    "alexnet_dvs": ([(16, 96), (16, 256), (8, 256), (8, 384), (4, 384), (4, 512), (4, 384), (4, 256), (1, 4096),
                     (1, 1024)], 100, 5000),
    "gestures": ([(16, 8), (8, 8), (6, 16), (3, 16), (1, 16), (1, 32)], 10, 20000),
}


def test_all_presets_are_known_here_and_in_the_readme():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert presets.names() == sorted(STRUCTURES)
    for name in STRUCTURES:
        assert f"| `{name}` |" in readme


def test_template_mentions_every_field():
    """`spikeloom new` writes the default preset: whoever reads it knows all that can be said."""
    template = presets.text(presets.DEFAULT)
    def within(section):
        return {section}.union(*(within(own) for field in section.model_fields.values()
                                 for own in sections_in(field, own=True)))

    found = within(Config)
    fields = {name for section in found for name in section.model_fields}
    assert len(found) > 15
    assert [name for name in sorted(fields) if not re.search(rf"\b{name}\b", template)] == []


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure(name):
    shapes, steps, window = STRUCTURES[name]
    config = presets.find(name)
    layers = [unit for unit in config.units if not unit.classifier]
    assert config.name == name
    assert [unit.shape_out for unit in layers] == [(height, height, channels) for height, channels in shapes]
    assert config.time.steps == steps
    if window:
        assert (config.input.kind, config.input.shape[2], config.input.bin_microseconds) == ("events", 2, window)
    assert len(config.blocks) == (1 if name == "mini" else sum(not unit.window.pools for unit in layers))


@pytest.mark.parametrize("name", STRUCTURES)
def test_any_truncation_and_block_length(name):
    config = presets.find(name)
    weighted = sum(layer.kind != "avg_pool" for layer in config.layers)
    steps = config.time.steps
    for k in {1, 2, 5, steps}:
        if steps % k:
            continue
        for n in sorted({1, 2, 4, weighted}):
            if n > weighted:
                continue
            other = config.replace(time={"interval": k}, network={"block_length": n})
            assert (other.intervals, len(other.blocks)) == (steps // k, -(-weighted // n))
            # A block ends with a classifier, and pooling belongs to what is below it.
            assert all(block.classifier.classifier and not block.layers[0].window.pools for block in other.blocks)


def _products(config):
    """Products of the backward pass of one step, equation (16)."""
    def of(unit):
        return unit.n_out * unit.fan_in

    return sum(of(above) for block in config.blocks for below, above in pairwise(block.units)
               if not above.window.pools and not below.classifier)


@pytest.mark.parametrize("name, classes, saved", [
    ("lenet1", 47, 0.72), ("lenet2", 11, 0.99), ("alexnet", 10, 0.99), ("alexnet_dvs", 10, 0.99)])
def test_local_classifiers_save_what_the_paper_says(name, classes, saved):
    """The paper reports the products that blocks of one layer save against one block: that depends on all sizes."""
    config = presets.find(name).replace(network={"classes": classes})
    weighted = sum(layer.kind != "avg_pool" for layer in config.layers)
    whole = config.replace(network={"block_length": weighted})
    assert saved <= 1 - _products(config) / _products(whole) < saved + 0.01


@pytest.mark.parametrize("name, message", [
    ("lenet1", r"layers\.4\.kernel must be at most the 4 inputs in height and width, or nothing is left"),
    ("alexnet", r"layers\.0\.stride must reach all 32 inputs: .* the last 1 would be cut off")])
def test_without_padding_something_is_lost(name, message):
    config = presets.find(name)
    layers = [layer.model_dump() | ({"padding": 0} if layer.kind == "conv" else {}) for layer in config.layers]
    with pytest.raises(ConfigError, match=message):
        config.replace(layers=layers)


@pytest.mark.parametrize("name", STRUCTURES)
def test_momentum_and_batches_of_the_paper(name):
    config = presets.find(name).replace(
        update={"batch": 32, "decay_samples": 0, "momentum": {"multiplier": 230, "shift": 8, "width": 32}},
        hardware={"sample_slots": 32})
    assert all(unit.rule.gradient == "memory" for unit in config.units if unit.weights.stored)


def test_verdict():
    assert CHIPS[0].bits < CHIPS[1].bits
    assert verdict(CHIPS[0].bits) == "100.0% of ECP5-85"
    assert verdict(CHIPS[0].bits + 1) == "0.8% of VU13P"
    assert verdict(CHIPS[1].bits + 1) == "exceeds VU13P: 100%"
    sizes = {name: sum(memory.bits for memory in memories(presets.find(name))) for name in STRUCTURES}
    assert sizes["lenet1"] < CHIPS[0].bits < sizes["lenet2"] < CHIPS[1].bits < sizes["alexnet"]


#: Channels or neurons of the layers with weights, and height and width of the input. On less than 32x32 pixels,
#: nothing would be left of the third convolution of lenet2.
SMALL = {"lenet1": ((3, 4, 5, 6), 28), "lenet2": ((3, 4, 5, 6), 32), "alexnet": ((2, 3, 4, 5, 4, 3, 6, 5), 16),
         "alexnet_dvs": ((2, 3, 4, 5, 4, 3, 6, 5), 16)}


def scaled(name, block_length, lanes=2):
    """A preset with fewer channels and steps and a smaller image; kinds, kernels, strides and paddings remain.

    So few neurons would fall silent, and their errors be rounded away: they get larger weights and finer errors.
    """
    config, (channels, side) = presets.find(name), SMALL[name]
    left = iter(channels)
    layers = []
    for layer in config.layers:
        layer = layer.model_dump()
        if layer["kind"] != "avg_pool":
            count = next(left)
            layer |= {"neurons" if layer["kind"] == "dense" else "channels": count, "lanes": min(lanes, count)}
        layers.append(layer)
    return config.replace(
        time={"steps": 4, "interval": 2}, input={"shape": [side, side, config.input.shape[2]]}, layers=layers,
        network={"block_length": block_length}, classifier={"lanes": lanes}, surrogate={"width": 2.0},
        numbers={"error": {"width": 20, "fraction": 12}}, update={"shift": 4}, initial={"gain": 3.0})


@pytest.mark.parametrize("name, block_length", [
    ("alexnet", 4), *(pytest.param(*own, marks=pytest.mark.long) for own in (
        ("lenet1", 1), ("lenet1", 4), ("lenet2", 1), ("lenet2", 2), ("alexnet", 1), ("alexnet", 8),
        ("alexnet_dvs", 2)))])
def test_scaled_down_cosimulation(name, block_length, models, tmp_path):
    """Every bit and every cycle; spikes and errors reach everything."""
    config = scaled(name, block_length)
    *_, last = cosimulate(config, stimulus(config, 1, samples=1), root=models, folder=tmp_path, cycle_level=True)
    start = initial_state(config)["weight"]
    for unit, old, new in zip(config.units, start, last.prediction.model.state["weight"]):
        assert last.prediction.counters[f"{unit.path}.adds.forward"] > 0, unit.path
        assert not unit.weights.stored or not torch.equal(old, new), unit.path


def _sample(config):
    """One training sample: bars that move, or a smooth random image."""
    if config.input.kind == "events":
        return load_dataset("directions", config).train_frames[0]
    height, width, channels = config.input.shape
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, channels, height // 4, width // 4, generator=random)
    image = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0].movedim(0, 2).flatten()
    return (image * (1 << config.input.bits)).to(torch.int64).numpy()


@pytest.mark.parametrize("name", ["lenet1", "lenet2", "alexnet", pytest.param("alexnet_dvs", marks=pytest.mark.long),
                                  "gestures"])
def test_full_size_in_the_golden_model(name):
    """Spikes reach every layer, errors every weight matrix, and every cycle is predicted."""
    config = presets.find(name)
    prediction, start = Prediction(config), initial_state(config)["weight"]
    for _ in range(config.update.batch):
        prediction.sample(_sample(config), 1, True)
    for place, unit in enumerate(config.units):
        assert prediction.counters[f"{unit.path}.adds.forward"] > 0, unit.path
        if unit.weights.stored:
            assert not torch.equal(prediction.model.state["weight"][place], start[place]), unit.path
    # A result waits for all passes forward, and for nothing that no block counts.
    counters, end = prediction.counters, prediction.results[-1]["cycle of the result"]
    forward = [counters[f"{block.name}.cycles.forward"] for block in config.blocks]
    assert max(forward) < end < sum(value for name, value in counters.items() if ".cycles." in name or ".wait." in name)


@pytest.mark.parametrize("name", ["lenet1", *(
    pytest.param(own, marks=pytest.mark.long) for own in ("lenet2", "alexnet"))])
def test_full_size_in_verilog(name, tmp_path):
    """Memories beyond any chip are instances like all others; another tool than Verilator takes the text."""
    verilog, contract = generate(presets.find(name), tmp_path)
    text = verilog.read_text()
    modules = re.split(r"^module ", text, flags=re.MULTILINE)
    inside = {re.split(r"[ (]", own.lstrip("\\"))[0]: re.findall(
        rf"^  {name}_memory #\(.*?DEPTH\(32'd(\d+)\).*?WIDTH\(32'd(\d+)\)", own, re.MULTILINE | re.DOTALL)
        for own in modules[1:]}
    sizes = [size for module in instances(text, name).values() for size in inside[module]]  # equal modules are one
    listed = [m for m in json.loads(contract.read_text())["memories"] if not m["verilog"].endswith(".counters")]
    assert sorted((int(depth), int(width)) for depth, width in sizes) == sorted(
        (max(2, m["depth"]), m["width"]) for m in listed)
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    subprocess.run(["iverilog", "-g2012", "-o", tmp_path / "out", verilog], check=True)


@pytest.mark.long
def test_gestures_learns(tmp_path):
    """Two epochs of the synthetic directions are clearly above chance, one in eight."""
    config = presets.find("gestures")
    *_, progress = train(config, load_dataset("directions", config), 2, tmp_path / "checkpoint.npz")
    assert progress.history[-1][2] > 0.3


@pytest.mark.long
def test_gestures_on_the_core(models, tmp_path):
    """The first 100 samples of the synthetic directions, with weights, counters and cycles as predicted."""
    config = presets.find("gestures")
    data = load_dataset("directions", config)
    checked, = cosimulate(config, [Batch(data.train_frames[:100], data.train_labels[:100], True)], root=models,
                          folder=tmp_path, fast=True)
    assert len(checked.prediction.results) == 100
