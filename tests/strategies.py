"""Small configurations, stimuli, and the simulator as a function."""

import copy

import torch
from amaranth.sim import Simulator
from hypothesis import strategies as st

from spikeloom.golden.config import parse

__all__ = ["BASE", "LEAKS", "SURROGATES", "configs", "document", "frames", "patterns", "simulate", "small"]

#: Two blocks of one layer; layer and classifier words that are not full; a frame in one bitmap word.
BASE = {
    "name": "little",
    "time": {"steps": 4, "interval": 2},
    "input": {"size": 6, "bits": 3, "fraction": 1},
    "layers": [{"neurons": 5, "lanes": 2}, {"neurons": 4, "lanes": 4}],
    "network": {"classes": 3, "block_length": 1},
    "classifier": {"lanes": 2},
    "neuron": {"leak": {"form": "multiply", "multiplier": 230, "shift": 8}, "threshold": 0.5, "reset_amount": 0.5},
    "surrogate": {"shape": "rectangle", "width": 1.0},
    "numbers": {"weight": {"width": 10, "fraction": 6}, "potential": {"width": 12, "fraction": 6},
                "error": {"width": 12, "fraction": 4}},
    "update": {"shift": 4},
}

#: Each form of the leak, with its corner cases.
LEAKS = {
    "none-left": {"form": "multiply", "multiplier": 0, "shift": 0},
    "all-left": {"form": "multiply", "multiplier": 4, "shift": 2},
    "0.9": {"form": "multiply", "multiplier": 230, "shift": 8},
    "shift-1": {"form": "shift", "shift": 1},
    "shift-4": {"form": "shift", "shift": 4},
}

#: Each shape of the surrogate, with gains below and above one.
SURROGATES = {
    "rectangle": {"shape": "rectangle", "width": 1.0},
    "rectangle-wide": {"shape": "rectangle", "width": 4.0},
    "rectangle-narrow": {"shape": "rectangle", "width": 0.25},
    "triangle": {"shape": "triangle", "width": 1.0, "bins": 4},
    "triangle-16": {"shape": "triangle", "width": 2.0, "bins": 16},
    "table": {"shape": "table", "bin": 0.25, "values": [9, 0, 255, 1, 6], "shift": 3},
    "table-gain": {"shape": "table", "bin": 0.5, "values": [0, 3], "shift": -2},
}


def document(**changes):
    """`BASE` as a document of its own; a dict changes the fields it names, a surrogate or another value replaces."""
    made = copy.deepcopy(BASE)
    for name, value in changes.items():
        merge = isinstance(value, dict) and "shape" not in value
        made[name] = {**made.get(name, {}), **value} if merge else value
    return made


def small(**changes):
    """The `Config` of `document(**changes)`."""
    return parse(document(**changes))


def _power(draw, low, high):
    return 2.0 ** draw(st.integers(low, high))


@st.composite
def _surrogates(draw, fraction):
    kind = draw(st.sampled_from(["rectangle", "triangle", "table"]))
    if kind == "rectangle":
        return {"shape": kind, "width": _power(draw, 1 - fraction, 2)}
    if kind == "triangle":
        bins = draw(st.sampled_from([2, 4]))
        return {"shape": kind, "bins": bins, "width": _power(draw, bins.bit_length() - 1 - fraction, 3)}
    values = draw(st.lists(st.integers(0, 15), min_size=1, max_size=4).filter(any))
    return {"shape": kind, "bin": _power(draw, -fraction, 1), "values": values, "shift": draw(st.integers(-1, 4))}


@st.composite
def configs(draw):
    """Random small configurations, valid by construction, lively enough that spikes and errors occur."""
    interval, intervals = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 4]))
    period = draw(st.sampled_from([p for p in (1, 2, 4) if intervals % p == 0]))
    depth = draw(st.integers(1, 3))
    sizes = draw(st.lists(st.one_of(st.integers(1, 20), st.integers(33, 40)), min_size=depth, max_size=depth))
    layers = [{"neurons": n, "lanes": draw(st.integers(1, min(n, 5)))} for n in sizes]
    ends = [*sorted(draw(st.sets(st.integers(1, depth - 1)))), depth] if depth > 1 else [1]
    classes = draw(st.integers(2, 5))
    leak = draw(st.one_of(
        st.integers(0, 8).flatmap(lambda s: st.fixed_dictionaries(
            {"form": st.just("multiply"), "shift": st.just(s), "multiplier": st.integers(1 << s >> 1, 1 << s)})),
        st.fixed_dictionaries({"form": st.just("shift"), "shift": st.integers(1, 5)})))
    fraction = draw(st.integers(2, 7))
    reset = draw(st.sampled_from(["subtract", "subtract-before-leak", "zero", "none"]))
    neuron = {
        "leak": leak, "reset": reset, "compare": draw(st.sampled_from([">=", ">"])),
        "threshold": draw(st.integers(1, 1 << fraction)) / (1 << fraction),
        "reset_amount": draw(st.integers(1, 1 << fraction)) / (1 << fraction),
        "reset_error": reset.startswith("subtract") and draw(st.booleans()),
    }
    weight, error = draw(st.integers(4, 9)), draw(st.integers(0, 6))
    stochastic = draw(st.booleans())
    return small(
        time={"steps": interval * intervals, "interval": interval, "update_period": period},
        input={"size": draw(st.integers(1, 70)), "bits": draw(st.integers(1, 4)), "fraction": draw(st.integers(0, 3))},
        layers=layers, network={"block_length": None, "block_ends": ends, "classes": classes},
        classifier={"lanes": draw(st.integers(1, classes))}, neuron=neuron,
        surrogate=draw(_surrogates(fraction)),
        numbers={"weight": {"width": weight, "fraction": draw(st.integers(1, weight - 1))},
                 "potential": {"width": fraction + draw(st.integers(2, 4)), "fraction": fraction},
                 "error": {"width": error + draw(st.integers(3, 6)), "fraction": error}},
        update={"multiplier": draw(st.integers(1, 5)), "shift": draw(st.integers(0, 8)),
                "decay_samples": draw(st.integers(0, 2)), "decay_limit": draw(st.integers(0, 2)),
                "rounding": "stochastic" if stochastic else "nearest", "seed": draw(st.integers(1, 65535))},
        initial={"gain": draw(st.sampled_from([1.0, 4.0, 16.0])), "seed": draw(st.integers(0, 99))})


def frames(config, count, seed=0):
    """Random samples, int64 (count, size); half of the values are zero, so that there are bits to scan."""
    random = torch.Generator().manual_seed(seed)
    shape = count, config.input.size
    values = torch.randint(0, 1 << config.input.bits, shape, generator=random)
    return values * torch.randint(0, 2, shape, generator=random)


#: When a side of a stream is willing, as a bit string that repeats; it always is at some time.
patterns = st.text("01", min_size=1, max_size=7).filter(lambda text: "1" in text)


def simulate(dut, *testbenches, clocked=True):
    """Run asynchronous testbenches on a component until the last has ended."""
    sim = Simulator(dut)
    if clocked:
        sim.add_clock(1e-6)
    for bench in testbenches:
        sim.add_testbench(bench)
    sim.run()
