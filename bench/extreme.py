"""Configurations at the limits of what is valid: each draw takes one extreme by turns, and up to two others.

An extreme changes a small network. What breaks a rule of the configuration is drawn again; rules are no part of it.
"""

import random

from spikeloom.golden.config import ConfigError, parse

__all__ = ["EXTREMES", "draw_extreme"]


def _base(r):
    neurons = r.choice([1, 2, 3, 5])
    return {
        "name": "extreme",
        "time": {"steps": 4, "interval": 2},
        "input": {"shape": [2, 3, 1], "bits": 3, "fraction": 1},
        "layers": [{"kind": "dense", "neurons": neurons, "lanes": r.randint(1, neurons)}],
        "network": {"classes": 2, "block_length": 1},
        "classifier": {"lanes": r.randint(1, 2)},
        "neuron": {"leak": {"form": "multiply", "multiplier": 230, "shift": 8}, "threshold": 0.5, "reset_amount": 0.5},
        "surrogate": {"shape": "rectangle", "width": r.choice([1.0, 4.0])},
        "numbers": {"weight": {"width": 10, "fraction": 6}, "potential": {"width": 12, "fraction": 6},
                    "error": {"width": 12, "fraction": 4}},
        "update": {"shift": r.randint(0, 6)},
        "initial": {"gain": r.choice([1.0, 4.0]), "seed": r.randint(0, 99)},
        "hardware": {},
    }


def _one_neuron(r, d):
    """One input, one neuron, one lane."""
    d["input"]["shape"] = [1, 1, 1]
    d["layers"] = [{"kind": "dense", "neurons": 1, "lanes": 1}] * r.choice([1, 1, 2, 3])
    d["classifier"]["lanes"] = 1


def _prime_lanes(r, d):
    """Channels and lanes of different primes, in layers that meet."""
    primes = [2, 3, 5, 7, 11, 13, 17]

    def own():
        return {"lanes": r.choice(primes[:5])}

    d["input"]["shape"] = [r.choice([3, 5]), r.choice([3, 7]), r.choice([2, 3])]
    d["layers"] = [{"kind": "conv", "channels": r.choice(primes[3:]), "kernel": r.choice([2, 3]), **own()},
                   {"kind": "dense", "neurons": r.choice(primes[3:]), **own()}]
    d["network"] |= {"classes": r.choice([5, 7, 11, 13])}
    d["classifier"] |= {"lanes": r.choice([2, 3, 5]), "kind": r.choice(["trainable", "random"])}


def _narrow(r, d):
    """The narrowest formats: weights, potentials and errors of two bits."""
    fraction = r.choice([0, 1])
    d["time"] = {"steps": r.choice([1, 3]), "interval": 1}
    d["numbers"] = {"weight": {"width": 2, "fraction": r.choice([0, 1])},
                    "potential": {"width": 2, "fraction": fraction}, "error": {"width": 2, "fraction": 0}}
    d["neuron"] |= {"threshold": 1 / (1 << fraction), "reset_amount": 1 / (1 << fraction)}
    d["surrogate"] = {"shape": "rectangle", "width": 2.0}
    d["input"] |= {"bits": 1, "fraction": 0}
    d["update"] |= {"shift": 0}


def _wide(r, d):
    """The widest formats that leave every sum within its bounds."""
    weight, error = r.choice([(32, 14), (14, 32), (24, 20), (18, 26), (26, 18)])
    d["numbers"] = {"weight": {"width": weight, "fraction": min(24, weight - r.randint(1, 8))},
                    "potential": {"width": r.choice([28, 32]), "fraction": r.choice([0, 12, 24])},
                    "error": {"width": error, "fraction": r.randint(0, min(24, error - 4))}}
    d["input"] |= {"bits": r.choice([1, 8, 16]), "fraction": 0}
    d["neuron"]["leak"] = r.choice([{"form": "shift", "shift": 16}, {"form": "multiply", "multiplier": 1, "shift": 1}])
    d["neuron"]["reset_error"] = r.random() < 0.5
    d["neuron"] |= {"threshold": 1.0, "reset_amount": 1.0}
    d["update"] |= {"shift": r.choice([0, 24])}


def _input(r, d):
    """Frame values of one bit or of sixteen, all of them fraction."""
    bits = r.choice([1, 16])
    d["input"] |= {"bits": bits, "fraction": r.choice([0, bits, 16])}
    d["update"] |= {"shift": r.choice([0, 8, 24])}


def _one_step(r, d):
    """One step, one interval."""
    d["time"] = {"steps": 1, "interval": 1}
    d["numbers"]["weight"] = {"width": 12, "fraction": 4}


def _long(r, d):
    """4,096 steps, in intervals of one, of all, and between."""
    interval = r.choice([1, 16, 256, 4096, 4096])
    d["time"] = {"steps": 4096, "interval": interval,
                 "update_period": r.choice([1, 4096 // interval, max(1, 256 // interval)])}
    d["numbers"]["error"] = {"width": 20, "fraction": r.choice([0, 4])}
    d["input"] = {"kind": r.choice(["frame", "events"]), "shape": [1, 2, 1], **(
        {"bits": 1} if r.random() < 0.5 else {"bits": 1, "fraction": 0})}
    if interval > 1:
        d["hardware"]["error_steps"] = r.choice([None, 1, interval // 2, interval])
    d["update"] |= {"shift": 10}
    gradient = "auto" if interval == 4096 else r.choice(["auto", "memory"])
    d["layers"][0]["gradient"] = d["classifier"]["gradient"] = gradient


def _all_of_it(r, d):
    """k = T, or an update after all intervals."""
    steps = r.choice([2, 5, 16, 256])
    interval = r.choice([steps, 1])
    d["time"] = {"steps": steps, "interval": interval, "update_period": steps // interval}
    d["numbers"]["error"] = {"width": 16, "fraction": 4}
    d["layers"][0]["gradient"] = d["classifier"]["gradient"] = r.choice(["history", "memory"])


def _deep(r, d):
    """Sixteen layers and more, each its own block, or all in one."""
    depth = r.choice([16, 17, 24])
    d["layers"] = [{"kind": "dense", "neurons": r.choice([1, 2, 3]), "lanes": 1} for _ in range(depth)]
    d["network"] |= {"block_length": r.choice([1, depth, depth // 2, 5])}
    d["initial"] = {"gain": 8.0}
    d["neuron"]["threshold"] = 0.25


def _deep_images(r, d):
    """As deep, of convolutions and poolings."""
    depth = r.choice([16, 18])
    d["input"]["shape"] = [2, 2, 1]

    def conv():
        return {"kind": "conv", "channels": r.choice([1, 2]), "kernel": 2, "stride": r.choice([1, 2]), "padding": 1}

    d["layers"] = [r.choice([{**conv(), "lanes": 1}, {"kind": "conv", "channels": 2, "kernel": 1, "lanes": 2}])
                   for _ in range(depth)]
    d["layers"][r.randrange(1, depth)] = {"kind": "avg_pool", "size": 2, "stride": 1}
    d["network"] = {"classes": 2, "block_ends": sorted({*r.sample(range(1, depth), r.choice([0, 3, 8])), depth})}
    d["initial"] = {"gain": 8.0}


def _windows(r, d):
    """Kernels, strides and paddings at their limits: padding of kernel - 1, stride of the kernel, kernels of 31."""
    kernel = r.choice([1, 2, 3, 7, 31])
    stride, padding = r.choice([1, kernel]), r.choice([0, kernel - 1])
    if kernel == 31:
        padding = r.choice([15, 30])
    side = r.choice([1, 2]) if padding else kernel * r.choice([1, 2 if kernel < 31 else 1])
    d["input"]["shape"] = [side, r.choice([side, max(1, side - 1)]), r.choice([1, 2])]
    d["layers"] = [{"kind": "conv", "channels": r.choice([1, 2]), "kernel": kernel, "stride": stride,
                    "padding": padding, "lanes": 1}]


def _pools(r, d):
    """Poolings at their limits: first of all, over all, with a stride of 1, one after the other."""
    size = r.choice([2, 3, 16])
    stride = r.choice([1, size])
    side = size * r.choice([1, 2 if size < 16 else 1]) + (0 if stride == size else r.choice([0, 1]))
    d["input"]["shape"] = [side, side, r.choice([1, 3])]
    d["numbers"]["weight"] = {"width": 14, "fraction": 11}
    pool = {"kind": "avg_pool", "size": size, "stride": stride}
    conv = {"kind": "conv", "channels": 2, "kernel": 1, "lanes": r.choice([1, 2])}
    d["layers"] = r.choice([[pool, d["layers"][0]], [conv, pool], [pool, conv]])


def _classes(r, d):
    """Many classes, on one lane or on many."""
    classes = r.choice([64, 127, 128, 257])
    d["network"] |= {"classes": classes}
    d["classifier"] = {"lanes": r.choice([1, 7, 16]), "kind": r.choice(["trainable", "random"]), "seed": 65535}


def _batches(r, d):
    """Large batches, in an input buffer that just holds them."""
    batch = r.choice([16, 33, 128])
    d["update"] |= {"batch": batch, "shift": 8, "decay_samples": batch, "decay_limit": 16}
    d["hardware"] |= {"sample_slots": batch}
    d["time"] = {"steps": 2, "interval": r.choice([1, 2])}


def _momentum(r, d):
    """Momentum of almost one and of almost nothing, in velocities of two bits and of many."""
    shift = r.choice([1, 16])
    d["update"] |= {"momentum": {"multiplier": r.choice([1, (1 << shift) - 1]), "shift": shift,
                                 "width": r.choice([2, 3, 32])}, "multiplier": r.choice([1, 255])}


def _chances(r, d):
    """Dropout of one and of fifteen sixteenths; stochastic rounding by sixteen bits and by none."""
    for layer in d["layers"]:
        if layer["kind"] != "avg_pool":
            layer["dropout"] = r.choice([1, 15])
    d["update"] |= {"rounding": "stochastic", "seed": r.choice([1, 65535]), "multiplier": r.choice([1, 255]),
                    "shift": r.choice([0, 16 - d["input"].get("fraction", 0)])}


def _neurons(r, d):
    """Leaks that leave nothing and all, thresholds of one bit and of all of them, every reset."""
    fraction, width = (d["numbers"]["potential"][name] for name in ("fraction", "width"))
    low, top = 2.0**-fraction, ((1 << width - 1) - 1) / (1 << fraction)
    reset = r.choice(["subtract", "subtract-before-leak", "zero", "none"])
    d["neuron"] = {
        "leak": r.choice([{"form": "multiply", "multiplier": 0, "shift": 0},
                          {"form": "multiply", "multiplier": 1, "shift": 0},
                          {"form": "multiply", "multiplier": 1 << 16, "shift": 16},
                          {"form": "multiply", "multiplier": 1, "shift": 16},
                          {"form": "shift", "shift": 1}, {"form": "shift", "shift": 16}]),
        "threshold": r.choice([low, low, top]), "reset_amount": r.choice([low, top]), "reset": reset,
        "compare": r.choice([">=", ">"]), "reset_error": reset.startswith("subtract") and r.random() < 0.7}


def _surrogates(r, d):
    """The finest and the coarsest bins, most of them, the largest values and gains."""
    fraction = d["numbers"]["potential"]["fraction"]
    d["surrogate"] = r.choice([
        {"shape": "rectangle", "width": 2.0 ** (1 - fraction)}, {"shape": "rectangle", "width": 4096.0},
        {"shape": "triangle", "width": 2.0 ** (4 - fraction), "bins": 16},
        {"shape": "triangle", "width": 4096.0, "bins": 16},
        {"shape": "table", "bin": 2.0**-fraction, "values": [255] * 16, "shift": -8},
        {"shape": "table", "bin": 0.25, "values": [0, *r.sample(range(256), 15)], "shift": r.choice([-8, 16])}])


def _rates(r, d):
    """A rate that moves weights by all of their range, and one that hardly moves them; halvings at once and never."""
    d["update"] |= {"multiplier": 255, "shift": r.choice([0, 24]), "decay_limit": r.choice([0, 16]),
                    "decay_samples": r.choice([1, 2, (1 << 31) - 1])}
    d["initial"] = {"gain": r.choice([64.0, 2.0**-30]), "seed": r.choice([0, (1 << 64) + 1])}


def _hardware(r, d):
    """Buffers of one and of many, spikes one by one and 128 at a time, counters of 16 bits or none."""
    d["hardware"] |= {"sample_slots": r.choice([1, 64]), "spike_slots": r.choice([1, 16]),
                      "scan_bits": r.choice([1, 128]), "counters": r.random() < 0.7,
                      "counter_bits": r.choice([16, 64]),
                      "error_steps": r.choice([None, 1]),
                      "memory": dict.fromkeys(("weight", "potential", "history", "error", "input"),
                                              r.choice(["block", "distributed"]))}
    d["input"]["shape"] = r.choice([[1, 1, 1], [1, 1, 129], [5, 1, 1], [1, 9, 3]])


EXTREMES = [_one_neuron, _prime_lanes, _narrow, _wide, _input, _one_step, _long, _all_of_it, _deep, _deep_images,
            _windows, _pools, _classes, _batches, _momentum, _chances, _neurons, _surrogates, _rates, _hardware]


def draw_extreme(seed):
    """A valid configuration at some limits, the same for the same seed; and the names of these limits."""
    r = random.Random(f"extreme {seed}")
    first = EXTREMES[seed % len(EXTREMES)]
    while True:
        chosen = [first, *r.sample(EXTREMES, r.choice([0, 1, 1, 2]))]
        chosen = sorted(dict.fromkeys(chosen), key=EXTREMES.index)  # what reads others comes after them
        document = _base(r)
        for extreme in chosen:
            extreme(r, document)
        try:
            config = parse(document)
        except ConfigError:
            continue
        return config, [extreme.__name__[1:].replace("_", " ") for extreme in chosen]
