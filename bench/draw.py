"""Random configurations for co-simulation, and samples for them: small networks that use every option.

Every other seed draws a network with convolutions and pooling. In each, the weights of every unit that has any move
while it trains: a core whose updates are never seen would agree with a model that has none.
"""

import random

import numpy as np
import torch

from spikeloom.golden.config import ConfigError, parse
from spikeloom.golden.model import Golden, initial_state
from spikeloom.golden.units import clog2
from spikeloom.sim.cosim import Batch

__all__ = ["draw", "moved", "stimulus"]


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


def moved(config, batches):
    """Which units with stored weights have other ones after `batches`, a list of bool."""
    golden, size = Golden(config), config.update.batch
    for batch in batches:
        trains = np.broadcast_to(batch.train, batch.labels.shape)
        for first in np.flatnonzero(trains[::size]) * size:
            labels = [label if label < config.network.classes else None for label in batch.labels[first:first + size]]
            golden.train_batch(torch.from_numpy(batch.frames[first:first + size]), labels)
    return [not torch.equal(*pair) for unit, *pair in zip(
        config.units, golden.state["weight"], initial_state(config)["weight"]) if unit.weights.stored]


def _dense(r, lanes):
    neurons = r.choice([r.randint(1, 21), r.randint(1, 21), r.randint(33, 40)])
    return {"kind": "dense", "neurons": neurons, "lanes": lanes(neurons),
            "gradient": r.choice(["auto", "auto", "history", "memory"])}


def _conv(r, lanes):
    channels, kernel = r.choice([1, 2, 3, 5, 6, 8, 34]), r.randint(1, 3)
    return {"kind": "conv", "channels": channels, "kernel": kernel, "stride": r.choice([1, 1, 2]),
            "padding": r.choice([0, 0, 1, 2]), "lanes": lanes(channels)}


def _pool(r, lanes):
    return {"kind": "avg_pool", "size": r.choice([2, 2, 3]), "stride": r.choice([None, None, 1, 2])}


def _try(r, spatial):
    """One draw; may break a rule of the configuration."""
    depth = r.choice([1, 1, 2, 2, 3])
    if spatial:
        depth = r.choice([1, 2, 2, 3, 3, 4])
    steps = r.choice([1, 2, 4, 6])
    divisors = [k for k in range(1, steps + 1) if steps % k == 0]
    interval = r.choice([1, 2 if steps % 2 == 0 else 1, steps, r.choice(divisors)])
    intervals = steps // interval
    period = r.choice([1, 1, r.choice([p for p in range(1, intervals + 1) if intervals % p == 0])])

    def lanes(count):
        return r.choice([1, min(count, r.randint(2, 6)), min(count, r.randint(2, 6)), count])

    momentum = {"multiplier": r.randint(1, 15), "shift": 4, "width": r.randint(10, 20)}
    kinds = [r.choice([_conv, _conv, _pool] if spatial else [_dense]) for _ in range(depth)]
    if spatial and depth > 1 and r.random() < 0.4:
        kinds[-1] = _dense
    pool_first = spatial and depth > 2 and r.random() < 0.4  # a later block begins with a pool
    if pool_first:
        kinds[:2] = [_conv, _pool]
    layers = [{name: value for name, value in kind(r, lanes).items() if value is not None} for kind in kinds]
    weighted = sum(kind is not _pool for kind in kinds)
    network = {"block_length": r.choice([1, 1, min(2, depth), max(1, weighted)])}
    if pool_first:
        network = {"block_ends": [1, depth]}
    elif spatial and r.random() < 0.3:
        network = {"block_ends": sorted({*r.sample(range(1, depth + 1), r.randint(0, depth - 1)), depth})}
    shape = {"size": r.choice([1, 5, 17, 31, 32, 33, 40, 65])}
    if spatial:
        shape = {"shape": (r.randint(1, 9), r.randint(1, 9), r.choice([1, 1, 2, 3]))}

    batch = r.choice([1, 1, 1, 2, 4])
    classes = r.choice([2, 3, 7, 10, 13])
    reset = r.choice(["subtract", "subtract", "subtract-before-leak", "zero", "none"])
    fraction = r.choice([4, 6, 8])
    weight = {"width": r.randint(fraction + 1, fraction + 5), "fraction": fraction}
    potential_fraction = fraction + r.choice([-1, 0, 0, 0, 2])
    surrogate = r.choice([
        {"shape": "rectangle", "width": r.choice([0.5, 1.0, 2.0])},
        {"shape": "rectangle", "width": 1.0},
        {"shape": "triangle", "width": r.choice([0.5, 1.0, 2.0]), "bins": r.choice([2, 4])},
        {"shape": "table", "bin": 0.25, "values": [r.randint(1, 7) for _ in range(r.randint(1, 4))],
         "shift": r.randint(-1, 3)},
    ])
    leak = r.choice([
        {"form": "multiply", "multiplier": r.randint(0, 16), "shift": 4},
        {"form": "multiply", "multiplier": r.randint(200, 256), "shift": 8},
        {"form": "shift", "shift": r.randint(1, 5)},
    ])
    pixels = {"kind": "frame", "bits": r.randint(1, 6), "fraction": r.randint(0, 5)}
    if r.random() < 0.3:
        pixels = {"kind": "events"}
    return {
        "name": "drawn",
        "time": {"steps": steps, "interval": interval, "update_period": period},
        "input": {**shape, **pixels},
        "layers": layers,
        "network": {"classes": classes, **network},
        "classifier": {
            "lanes": lanes(classes), "kind": r.choice(["trainable", "trainable", "random"]),
            "seed": r.randint(0, 65535),
            "gradient": r.choice(["auto", "history", "memory"])},
        "neuron": {
            "leak": leak, "threshold": r.choice([0.25, 0.5, 1.0]), "reset_amount": r.choice([0.25, 0.5]),
            "reset": reset, "compare": r.choice([">=", ">"]),
            "reset_error": reset.startswith("subtract") and r.random() < 0.7},
        "surrogate": surrogate,
        "numbers": {
            "weight": weight,
            "potential": {"width": potential_fraction + r.randint(2, 6), "fraction": potential_fraction},
            "error": {"width": r.choice([*range(8, 15), 20]), "fraction": r.randint(2, 6)}},
        "update": {
            "multiplier": r.choice([1, 1, 3, 5]), "shift": r.randint(0, 7), "batch": batch,
            "decay_samples": r.choice([0, 1, 2, 3]) * batch,
            "decay_limit": r.randint(0, 2), "momentum": r.choice([None, None, momentum]),
            "rounding": r.choice(["nearest", "stochastic"]),
            "seed": r.randint(1, 65535)},
        "initial": {"gain": r.choice([1.0, 2.0, 4.0]), "seed": r.randint(0, 999)},
        "hardware": {"sample_slots": batch - 1 + r.randint(1, 3), "spike_slots": r.randint(1, 2),
                     "scan_bits": r.choice([4, 16, 32]),
                     "error_steps": r.choice([None, *(c for c in range(1, interval) if interval % c == 0)])},
    }


def _drop(r, document):
    """`document` with dropout in some of its layers."""
    layers = [layer if layer["kind"] == "avg_pool" else {**layer, "dropout": r.choice([0, 0, 0, r.randint(1, 8)])}
              for layer in document["layers"]]
    return {**document, "layers": layers}


def _bias(r, document):
    """`document`, in some draws with biases: of layers and classifier."""
    if r.random() < 0.6:
        return document
    layers = [layer if layer["kind"] == "avg_pool" else {**layer, "bias": r.random() < 0.7}
              for layer in document["layers"]]
    return {**document, "layers": layers, "classifier": {**document["classifier"], "bias": r.random() < 0.5}}


def _widen(r, document):
    """`document`, in some draws with wide numbers: factors that are multiplied in parts, constants of many digits."""
    if r.random() < 0.6:
        return document
    neuron, numbers, pixels = dict(document["neuron"]), dict(document["numbers"]), dict(document["input"])
    if r.random() < 0.6:
        fraction = r.randint(8, 18)
        numbers["weight"] = {"width": fraction + r.randint(1, 6), "fraction": fraction}
        numbers["potential"] = {"width": fraction + r.randint(2, 6), "fraction": fraction}
    if r.random() < 0.6:
        numbers["error"] = {"width": r.randint(15, 24), "fraction": r.randint(2, 14)}
    if r.random() < 0.4:
        neuron["leak"] = {"form": "multiply", "multiplier": r.randint(0, 1 << 12), "shift": 12}
    if pixels["kind"] == "frame" and r.random() < 0.4:
        pixels["bits"] = r.randint(7, 16)
    update = {**document["update"], **({"multiplier": r.randint(1, 255)} if r.random() < 0.4 else {})}
    return {**document, "neuron": neuron, "numbers": numbers, "input": pixels, "update": update}


def _differ(r, document):
    """`document`, in some draws with neurons and surrogates that differ from layer to layer, and a start of samples."""
    def neuron():
        reset = r.choice(["subtract", "subtract-before-leak", "zero", "none"])
        threshold = r.choice([0.25, 0.5, 1.0])
        return {**document["neuron"], "threshold": threshold, "reset": reset,
                "reset_error": reset.startswith("subtract") and r.random() < 0.7,
                "start": r.choice([0.0, threshold / 2, -threshold])}

    def own():
        table = {"shape": "table", "bin": 0.25, "values": [r.randint(1, 7) for _ in range(r.randint(1, 4))]}
        return ({"neuron": neuron()} if r.random() < 0.5 else {}) | ({"surrogate": table} if r.random() < 0.3 else {})

    if r.random() < 0.6:
        return document
    return {**document, "layers": [{**layer, **own()} for layer in document["layers"]],
            "classifier": {**document["classifier"], **own()}, "neuron": neuron()}


def draw(seed):
    """A valid random configuration, the same for the same seed; `stimulus` of that seed moves weights in each unit."""
    # Apart: one does not shift the other.
    r, dropping, widening, differing, biasing = (random.Random(own) for own in (
        seed, f"dropout {seed}", f"widths {seed}", f"neurons {seed}", f"biases {seed}"))
    while True:
        try:
            document = _widen(widening, _drop(dropping, _try(r, spatial=seed % 2 == 1)))
            config = parse(_bias(biasing, _differ(differing, document)))
        except ConfigError:
            continue
        if all(moved(config, stimulus(config, seed))):
            return config
