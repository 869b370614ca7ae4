"""Small configurations, stimuli, and the simulator as a function."""

import copy
from collections import Counter

import torch
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator
from hypothesis import assume
from hypothesis import strategies as st

from spikeloom.golden.config import parse
from spikeloom.golden.parts.avg_pool import AvgPool
from spikeloom.golden.parts.conv import Conv
from spikeloom.golden.parts.dense import Dense
from spikeloom.rtl.store import Store

__all__ = ["BASE", "LEAKS", "SURROGATES", "biased", "configs", "document", "dropping", "frames", "load", "patterns",
           "scan_memory", "simulate", "small", "spatial_configs", "spatial_units", "violation_counts", "with_stores"]

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
        if name == "input" and "shape" in value:
            made["input"].pop("size")
        merge = isinstance(value, dict) and not (name == "surrogate" and "shape" in value)
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


def _rest(draw, *, weight_fraction=1, **network):
    """A `Config` of what is left to choose once layers, blocks and input are there."""
    interval, intervals = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 4]))
    period = draw(st.sampled_from([p for p in (1, 2, 4) if intervals % p == 0]))
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
        input={**network["input"], "bits": draw(st.integers(1, 4)), "fraction": draw(st.integers(0, 3))},
        layers=network["layers"],
        network={"block_length": None, "block_ends": _ends(draw, len(network["layers"])), "classes": classes},
        classifier={"lanes": draw(st.integers(1, classes)), "gradient": draw(st.sampled_from(["auto", "memory"]))},
        hardware={"scan_bits": draw(st.sampled_from([4, 32])),
                  "error_steps": draw(st.sampled_from([None, *(c for c in range(1, interval) if interval % c == 0)]))},
        neuron=neuron,
        surrogate=draw(_surrogates(fraction)),
        numbers={"weight": {"width": weight, "fraction": draw(st.integers(weight_fraction, weight - 1))},
                 "potential": {"width": fraction + draw(st.integers(2, 4)), "fraction": fraction},
                 "error": {"width": error + draw(st.integers(4, 6)), "fraction": error}},
        update={"multiplier": draw(st.integers(1, 5)), "shift": draw(st.integers(0, 8)),
                "decay_samples": draw(st.integers(0, 2)), "decay_limit": draw(st.integers(0, 2)),
                "rounding": "stochastic" if stochastic else "nearest", "seed": draw(st.integers(1, 65535))},
        initial={"gain": draw(st.sampled_from([1.0, 4.0, 16.0])), "seed": draw(st.integers(0, 99))})


def _ends(draw, depth):
    return [*sorted(draw(st.sets(st.integers(1, depth - 1)))), depth] if depth > 1 else [1]


@st.composite
def configs(draw):
    """Random small configurations of dense layers, lively enough that spikes and errors occur."""
    depth = draw(st.integers(1, 3))
    sizes = draw(st.lists(st.one_of(st.integers(1, 20), st.integers(33, 40)), min_size=depth, max_size=depth))
    layers = [{"neurons": n, "lanes": draw(st.integers(1, min(n, 5)))} for n in sizes]
    return _rest(draw, layers=layers, input={"size": draw(st.integers(1, 70))})


def _reaches(length, kernel, stride, padding):
    """Whether windows fit into `length` inputs and leave none out."""
    left = length + 2 * padding - kernel
    return left >= 0 and left // stride * stride - padding + kernel >= length


def _window(draw, shape, *, sizes, most_padding):
    """Kernel, stride and padding that suit `shape`, or None."""
    own = [(k, s, p) for k in sizes for s in range(1, k + 1) for p in range(min(k, most_padding + 1))
           if all(_reaches(length, k, s, p) for length in shape[:2])]
    return draw(st.sampled_from(own)) if own else None


@st.composite
def _spatial_layers(draw, shape):
    """One to four layers over an input of `shape`, at least one of them with weights."""
    layers = []
    for _ in range(draw(st.sampled_from([1, 2, 3, 3, 4]))):
        kind = draw(st.sampled_from(["conv", "avg_pool", "conv", "avg_pool", "dense"]))
        window = _window(draw, shape, sizes=(2, 3) if kind == "avg_pool" else (1, 2, 3),
                         most_padding=2 if kind == "conv" else 0)
        if kind == "avg_pool" and window:
            layers.append(AvgPool(kind=kind, size=window[0], stride=window[1]))
        elif kind == "dense" and layers:
            neurons = draw(st.integers(1, 9))
            layers.append(Dense(neurons=neurons, lanes=draw(st.integers(1, min(neurons, 5)))))
        else:
            kernel, stride, padding = window or (1, 1, 0)
            channels = draw(st.sampled_from([1, 2, 3, 5, 6, 34]))
            layers.append(Conv(kind="conv", channels=channels, kernel=kernel, stride=stride, padding=padding,
                               lanes=draw(st.integers(1, min(channels, 5)))))
        shape = layers[-1].shape_out(shape)
    assume(any(layer.kind != "avg_pool" for layer in layers))
    return [layer.model_dump() for layer in layers]


@st.composite
def spatial_configs(draw):
    """Random small configurations with convolutions and pooling."""
    shape = draw(st.tuples(*[st.sampled_from([1, 2, 4, 5, 6, 7])] * 2, st.sampled_from([1, 1, 2, 3, 5])))
    # An average over nine inputs needs three fraction bits.
    return _rest(draw, layers=draw(_spatial_layers(shape)), input={"shape": shape}, weight_fraction=3)


@st.composite
def dropping(draw, networks):
    """Configurations of `networks`, some of their layers with dropout."""
    config, shares = draw(networks), st.sampled_from([0, 0, 1, 8, 15])
    return config.replace(layers=[
        layer.model_dump() | ({} if layer.kind == "avg_pool" else {"dropout": draw(shares)})
        for layer in config.layers])


@st.composite
def biased(draw, networks):
    """Configurations of `networks`, some of their layers and classifiers with biases."""
    config, own = draw(networks), st.booleans()
    own = {"layers": [layer.model_dump() | ({} if layer.kind == "avg_pool" else {"bias": draw(own)})
                      for layer in config.layers], "classifier": {"bias": draw(own)}}
    assume(config.input.fraction < config.input.bits or not own["layers"][0].get("bias"))
    return config.replace(**own)


@st.composite
def spatial_units(draw, kinds=("conv", "avg_pool", "dense")):
    """A random unit of one of `kinds`, and the `Config` that it belongs to."""
    config = draw(biased(spatial_configs()))
    units = [unit for unit in config.units if unit.window.kind in kinds]
    assume(units)
    return config, draw(st.sampled_from(units))


def frames(config, count, seed=0):
    """Random samples, int64 (count, size); half of the values are zero, so that there are bits to scan."""
    random = torch.Generator().manual_seed(seed)
    shape = count, config.input.size
    values = torch.randint(0, 1 << config.input.bits, shape, generator=random)
    return values * torch.randint(0, 2, shape, generator=random)


#: When a side of a stream is willing, as a bit string that repeats; it always is at some time.
patterns = st.text("01", min_size=1, max_size=7).filter(lambda text: "1" in text)


def simulate(dut, *testbenches, clocked=True, watching=()):
    """Run asynchronous testbenches on a component until the last has ended; nobody waits for those `watching`."""
    sim = Simulator(dut)
    if clocked:
        sim.add_clock(1e-6)
    for bench in testbenches:
        sim.add_testbench(bench)
    for bench in watching:
        sim.add_testbench(bench, background=True)
    sim.run()


def violation_counts(dut):
    """A testbench that counts the violations of an input buffer, and the counts: by kind, those that came."""
    counts = Counter()

    async def bench(ctx):
        async for _, _, found in ctx.tick().sample(dut.violations):
            counts.update(name for name in dut.violations.shape().members if found[name])

    return bench, counts


def with_stores(part):
    """A `Module` with a part and a `Store` behind each of its memory ports, and those by the name of the port."""
    m, stores = Module(), {}
    m.submodules.part = part
    for name, member in part.signature.members.items():
        if member.is_signature and "write_en" in member.signature.members:
            port = getattr(part, name)
            stores[name] = store = Store(width=len(port.write), depth=1 << len(port.write_address),
                                         granule=len(port.write) // len(port.write_en))
            m.submodules[name] = store
            wiring.connect(m, port, store)
    return m, stores


async def load(ctx, store, memory):
    """Fill a `Store`."""
    ctx.set(store.write_en, -1)
    for address, word in enumerate(memory):
        ctx.set(store.write_address, address)
        ctx.set(store.write, word)
        await ctx.tick()
    ctx.set(store.write_en, 0)


def scan_memory(scan, memory, *, base, observe, ends, limit, runs=1, drive=None):
    """Let `scan` read bitmaps in a memory, `runs` times in one simulation.

    Parameters
    ----------
    scan : Component
        Has `start`, `base`, `fetch`, `address`, `valid`, and `bits` if it looks at them.
    memory : list of int
    base : int
    observe : callable
        ``(ctx)``: what an operation is like, while `valid`.
    ends : callable
        ``(ctx)``: whether this is the last cycle.
    limit : int
        Cycles after which to give up.
    drive : callable, optional
        ``(m)`` adds what else drives the scan.

    Returns
    -------
    list of tuple
        Per run, operations by cycle since `start`, the addresses read, and the last cycle.
    """
    m, results = Module(), []
    m.submodules.scan = scan
    bits = getattr(scan, "bits", Signal(8))
    m.submodules.store = store = Store(width=len(bits), depth=len(memory))
    m.d.comb += [store.read_en.eq(scan.fetch), store.read_address.eq(scan.address), bits.eq(store.read)]
    if drive is not None:
        drive(m)

    async def bench(ctx):
        await load(ctx, store, memory)
        for _ in range(runs):
            operations, addresses, cycle, ended = {}, [], 0, False
            ctx.set(scan.start, 1)
            ctx.set(scan.base, base)
            while not ended:
                if ctx.get(scan.fetch):
                    addresses.append(ctx.get(scan.address))
                if ctx.get(scan.valid):
                    operations[cycle] = observe(ctx)
                ended = ends(ctx)
                await ctx.tick()
                ctx.set(scan.start, 0)
                ctx.set(scan.base, 0)
                cycle += 1
                assert cycle < limit, "the scan does not end"
            results.append((operations, addresses, cycle - 1))
            assert not ctx.get(scan.valid)

    simulate(m, bench)
    return results
