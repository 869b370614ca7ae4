"""Proof that the comparison can fail: wrong cores, each of which must be caught and located.

Every fault is put into the RTL: into its generation, or into what is loaded. The golden model stays as it is.
``python -m bench.faults`` runs them all.
"""

import argparse
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from amaranth.hdl import Cat, Const, Mux
from rich.console import Console

from spikeloom.gen.generate import generate_text
from spikeloom.golden import checkpoint
from spikeloom.golden.config import parse
from spikeloom.golden.files import own_folder
from spikeloom.golden.geometry import Bitmap, Span
from spikeloom.golden.random_weights import lane_keys
from spikeloom.golden.units import Unit
from spikeloom.rtl import arithmetic, pipeline
from spikeloom.rtl.arithmetic import register
from spikeloom.rtl.counters import CounterBank
from spikeloom.rtl.error import ErrorUnit
from spikeloom.rtl.events import EventBuffer
from spikeloom.rtl.gradient import AccumulatePath
from spikeloom.rtl.potential_memory import PotentialMemory
from spikeloom.rtl.taps import TapWalk, lookup
from spikeloom.rtl.update import UpdatePath
from spikeloom.sim.build import SimulationError
from spikeloom.sim.compare import Difference
from spikeloom.sim.cosim import Mismatch, cosimulate

from .draw import stimulus

__all__ = ["EVENTS", "FAULTS", "Fault", "dense", "find", "images"]


def dense():
    """A dense layer and its classifier, errors and spikes kept in histories."""
    return parse({
        "name": "victim",
        "time": {"steps": 4, "interval": 2},
        "input": {"size": 20, "bits": 4, "fraction": 3},
        "layers": [{"neurons": 7, "lanes": 3}],
        "network": {"classes": 3, "block_length": 1},
        "classifier": {"lanes": 2},
        "neuron": {"leak": {"form": "multiply", "multiplier": 230, "shift": 8}, "threshold": 0.5,
                   "reset_amount": 0.5},
        "surrogate": {"shape": "rectangle", "width": 1.0},
        "numbers": {"weight": {"width": 9, "fraction": 6}, "potential": {"width": 8, "fraction": 6},
                    "error": {"width": 10, "fraction": 5}},
        "update": {"shift": 4, "decay_samples": 3, "decay_limit": 2, "rounding": "stochastic", "seed": 77},
        "initial": {"gain": 3.0},
        "hardware": {"counters": False},  # a smaller model is built faster
    })


def images():
    """Convolution, pooling, and everything that sums in memory: momentum, and batches of two."""
    return parse({
        "name": "victim",
        "time": {"steps": 4, "interval": 2},
        "input": {"shape": [5, 5, 1], "bits": 3, "fraction": 2},
        # A stride below the kernel: an input meets one weight or two, and the same one soon again.
        "layers": [{"kind": "conv", "channels": 3, "kernel": 3, "stride": 2, "padding": 1, "lanes": 3},
                   {"kind": "avg_pool", "size": 2, "stride": 1}],
        "network": {"classes": 3, "block_ends": [2]},
        "classifier": {"kind": "random", "lanes": 2, "seed": 5},
        "neuron": {"leak": {"form": "multiply", "multiplier": 230, "shift": 8}, "threshold": 0.5,
                   "reset_amount": 0.5},
        "surrogate": {"shape": "rectangle", "width": 1.0},
        "numbers": {"weight": {"width": 9, "fraction": 6}, "potential": {"width": 9, "fraction": 6},
                    "error": {"width": 10, "fraction": 5}},
        "update": {"shift": 4, "batch": 2, "momentum": {"multiplier": 13, "shift": 4, "width": 14},
                   "rounding": "stochastic", "seed": 77},
        "initial": {"gain": 3.0},
        "hardware": {"counters": False},
    })


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One kind of fault.

    Attributes
    ----------
    name : str
    caught : str
        Pattern of the difference that it must show as (`Difference.what`).
    victim : callable
        Gives the configuration that is broken.
    changes : dict
        Sections of the configuration that the RTL is generated from; the golden model keeps the right ones.
    patches : list of callable
        Give context managers that are active while the RTL is generated.
    edit : callable
        Changes the Verilog.
    loading : callable
        Gives a context manager that is active while the simulation is prepared.
    setting : dict
        Sections of the victim that are changed for both sides, so that the fault can show.
    further : bool
        Whether another fault is aimed at the same mechanism; the quick test runs leave it out.
    """

    name: str
    caught: str
    victim: Callable = dense
    changes: dict = field(default_factory=dict)
    patches: tuple[Callable, ...] = ()
    edit: Callable = str
    loading: Callable = nullcontext
    setting: dict = field(default_factory=dict)
    further: bool = False


def _wrap(m, x, width, *, name):
    """A saturation that wraps."""
    return x[:width].as_signed()


class _LateFinish(pipeline.Pipeline):
    """The end of an update, one cycle late."""

    def __getitem__(self, stage):
        found = super().__getitem__(stage)
        if stage != "write":
            return found
        late = mock.Mock(wraps=found)
        for name in ("last", "address"):
            setattr(late, name, getattr(found, name))
        late.finish = super().__getitem__(self.names.depth + 1).finish
        return late


def _flip_weight():
    right = checkpoint.state_arrays

    def flipped(state):
        arrays = right(state)
        arrays["weight_0"] = arrays["weight_0"].copy()
        arrays["weight_0"][5, 4] ^= 1
        return arrays

    return mock.patch("spikeloom.sim.cosim.state_arrays", flipped)


def _floor(x, shift):
    return arithmetic.shift_floor(x, shift)


def _forgotten(m, x, *, name, **options):
    """Registers that forget which spikes were dropped."""
    return Const(0, len(x)) if name == "dropped" else arithmetic.register(m, x, name=name, **options)


def _stuck(bank, elaborate):
    """A counter that hears nothing."""
    name = "block0.layer0.weight.write.update"
    with mock.patch.object(bank, bank.port(name), Const(0)) if name in bank.names else nullcontext():
        return elaborate()


def _late_ready(text):
    """A frame buffer that takes a cycle to see that a slot is free."""
    late, count = re.subn(
        r"(module \\victim\.block0\.buffer \(.*?)assign i__ready = (.*?);",
        r"\1reg seen = 0;\n  wire free = \2;\n  always @(posedge clk) seen <= free;\n  assign i__ready = free & seen;",
        text, count=1, flags=re.DOTALL)
    assert count, "no frame buffer"
    return late


def _patch(target, value):
    return lambda: mock.patch(f"spikeloom.rtl.{target}", value)


def _table(module, table, change):
    """Other entries in a table of geometry, that of one module."""
    return _patch(f"{module}.lookup", lambda m, index, values, *, name: lookup(
        m, index, change(values) if name == table else values, name=name))


def _next(values):
    """The entry of the place behind, for every place."""
    return [*values[1:], values[-1]]


def _size(name, wrong):
    """Another value of a derived size: ``wrong(unit, right value)``."""
    right = Unit.__dict__[name]
    compute = right.fget if isinstance(right, property) else right.func
    return lambda: mock.patch.object(Unit, name, property(lambda unit: wrong(unit, compute(unit))))


def _elaborate(component, wrong):
    """Another `elaborate`: ``wrong(component, right elaborate)``."""
    right = component.elaborate
    return lambda: mock.patch.object(component, "elaborate", lambda self, platform: wrong(
        self, lambda: right(self, platform)))


def _without(name):
    """A choice of the gradient memory that always takes the second value."""
    return _patch("gradient.Mux", lambda test, a, b: b if getattr(test, "name", None) == name else Mux(test, a, b))


def _padding_read(unit, windows):
    """Rows of padding are read, whatever lies before the image in memory."""
    rows, columns = windows
    if unit.window.kind != "conv":
        return windows
    return (Span(-unit.window.padding, unit.window.kernel, 0), *rows[1:]), columns


def _share_potentials(memory, elaborate):
    """All samples of a batch have the potentials of its first."""
    with mock.patch.object(memory, "sample", Const(0)):
        return elaborate()


def _forgetful(unit, elaborate):
    """Errors begin at zero in every slice."""
    with mock.patch.object(unit, "stored", Const(0)):
        return elaborate()


def _keep_gradient(path, elaborate):
    """A sum that was applied stays in memory."""
    m = elaborate()
    with m.If(register(m, path.apply_en, name="was_applied")):
        m.d.comb += m.submodules.gradient_store.write_en.eq(0)
    return m


def _write_all(path, elaborate):
    """Words that do not change are written all the same."""
    m = elaborate()
    with m.If(path.skip):
        m.d.comb += path.write_en.eq(1)
    return m


def _lose_event(buffer, elaborate):
    """The event that begins a sample is not written."""
    m = elaborate()
    with m.If(buffer.i.payload.first):
        m.d.comb += buffer.written.eq(0)
    return m


class _Astray(TapWalk):
    """A walk that begins with the outputs over the column behind."""

    def elaborate(self, platform):
        with _table("taps", "first_x", _next)():
            return super().elaborate(platform)


class _Hasty:
    """A unit whose intervals have one step."""

    steps = 1

    def __init__(self, unit):
        self._unit = unit

    def __getattr__(self, name):
        return getattr(self._unit, name)


def _count_steps(buffer, elaborate):
    """The end of every step is taken for that of an interval."""
    with mock.patch.object(buffer, "unit", _Hasty(buffer.unit)):
        return elaborate()


def _keep_bias(path, elaborate):
    """Biases are not written."""
    m, unit = elaborate(), path.unit
    with m.If(Cat(path.write_address == (word + 1) * unit.fan_rows - 1
                  for word in range(unit.channel_words if unit.weights.bias else 0)).any()):
        m.d.comb += path.write_en.eq(0)
    return m


#: A layer with biases.
_BIAS = {"layers": [{"neurons": 7, "lanes": 3, "bias": True}]}
#: Two layers in a block, the lower one with dropout.
_DROPOUT = {"layers": [{"neurons": 7, "lanes": 3, "dropout": 6}, {"neurons": 6, "lanes": 2}],
            "network": {"block_length": 2}}
_PASS_ENDS = "(first|last) cycle of a pass"
#: Another weight or velocity, or one that is written or left alone where it should not be.
_SUMS = "weight|velocity.*|(number|place) of (an )?events?.*"
#: What makes events of the input of `images`.
EVENTS = {"input": {"kind": "events", "shape": [5, 5, 1], "bits": 1, "fraction": 0}}
#: The same, going backward step by step.
SLICES = EVENTS | {"hardware": {"error_steps": 1}}


def _points(lanes):
    """A kernel of one: every pixel meets the same weights, of three channels on so many lanes."""
    return {"layers": [{"kind": "conv", "channels": 3, "kernel": 1, "lanes": lanes},
                       {"kind": "avg_pool", "size": 3, "stride": 2}]}


FAULTS = (
    Fault(name="flipped weight bit", caught="potential|weight", loading=_flip_weight),
    Fault(name="threshold off by one", further=True, caught="spike|window", changes={
        "neuron": {"threshold": 0.515625}}),
    Fault(name="compare > for >=", further=True, caught="spike", changes={"neuron": {"compare": ">"}}),
    Fault(name="leak factor off by one", caught="potential", changes={
        "neuron": {"leak": {"form": "multiply", "multiplier": 231, "shift": 8}}}),
    Fault(name="reset before the leak", further=True, caught="potential", changes={
        "neuron": {"reset": "subtract-before-leak"}}),
    Fault(name="wrapping potential", caught="potential", patches=(_patch("lif.saturate", _wrap),)),
    Fault(name="wider surrogate window", caught="window", changes={"surrogate": {"width": 2.0}}),
    Fault(name="no error through the reset", further=True, caught="error", changes={"neuron": {"reset_error": False}}),
    Fault(name="floored spike error", caught="error", patches=(_patch("dot.half", lambda shift: 0),)),
    Fault(name="floored update", further=True, caught="weight", setting={"update": {"rounding": "nearest"}}, patches=(
        _patch("update.half", lambda shift: 0),)),
    Fault(name="wrapping weight", further=True, caught="weight", setting={
        "update": {"shift": 0}, "numbers": {"weight": {"width": 7, "fraction": 6}}}, patches=(
        _patch("update.saturate", _wrap),)),
    Fault(name="write that changes nothing", caught=r"(number|place) of (an )?events?.*", patches=(
        _elaborate(UpdatePath, _write_all),)),
    Fault(name="wrong random bits", caught="weight", patches=(
        _patch("lfsr._leap", lambda state: state.rotate_left(1)),)),
    Fault(name="dropped at the limit too", caught="dropped", setting=_DROPOUT, patches=(
        _patch("dropout._below", lambda random, dropout: random[:4] <= dropout),)),
    Fault(name="error of a dropped spike", caught="error", setting=_DROPOUT, patches=(
        _patch("backward.register", _forgotten),)),
    Fault(name="all spikes count in full", caught="potential", setting=_DROPOUT, patches=(
        _patch("forward.shift_kept", lambda m, x, shift, dropout, bias, name: _floor(x, shift)),)),
    Fault(name="bias times the value before it", caught="potential", setting=_BIAS, patches=(
        _patch("unit.UnitCore._value", lambda unit, m, runs: unit.value),)),
    Fault(name="bias that stays", caught="potential", setting=_BIAS, further=True,
          patches=(_elaborate(UpdatePath, _keep_bias),)),
    Fault(name="learning rate decays late", caught="weight", setting={"update": {"decay_samples": 1}}, changes={
        "update": {"decay_samples": 2}}),
    Fault(name="lost input event", caught="potential", patches=(
        lambda: mock.patch.object(Bitmap, "partial", property(lambda bitmap: max(
            1, bitmap.channels - (bitmap.per_pixel - 1) * bitmap.scan_width - 1))),)),
    Fault(name="stuck counter", caught=r"counter block0\.layer0\.weight\.write\.update", patches=(
        _elaborate(CounterBank, _stuck),), setting={"hardware": {"counters": True}}),
    Fault(name="free slot seen a cycle late", caught="cycle of arrival|first cycle of a pass", edit=_late_ready),
    Fault(name="one cycle of extra latency", caught=_PASS_ENDS, patches=(_patch("update.Pipeline", _LateFinish),)),

    Fault(name="sum of the cycle before forgotten", caught="weight|velocity.*", victim=images, setting=_points(3),
          patches=(_without("adding"),)),
    Fault(name="sum of two cycles before forgotten", caught=_SUMS, victim=images, setting=_points(2), patches=(
        _without("writing"),)),
    Fault(name="sum of three cycles before forgotten", caught=_SUMS, victim=images, setting=_points(1), further=True,
          patches=(_without("written"),)),
    Fault(name="gradient not cleared", caught="weight", victim=images, patches=(
        _elaborate(AccumulatePath, _keep_gradient),)),
    Fault(name="wrong tap of a gradient", caught="weight|place of an event.*", victim=images, further=True, patches=(
        _table("taps", "tap_x", _next),)),
    Fault(name="error from the wrong outputs", caught="error", victim=images, patches=(
        _patch("backward.TapWalk", _Astray),)),
    Fault(name="wrong tap of a convolution", caught="potential", victim=images, patches=(
        _table("forward", "row_tap", _next),)),
    Fault(name="padding is read", caught="potential", victim=images, patches=(_size("windows", _padding_read),)),
    Fault(name="wrong weight of an average", caught="potential", victim=images, patches=(
        _size("pool_weight", lambda unit, weight: weight - 1),)),
    Fault(name="wrong key of random weights", caught="potential", victim=images, patches=(
        _patch("weight_memory.lane_keys", lambda seed, place, lanes: lane_keys(seed ^ 1, place, lanes)),)),
    Fault(name="floored velocity", caught="weight|velocity.*", victim=images, patches=(
        _patch("update.shift_nearest", _floor),)),
    Fault(name="samples share their potentials", caught="potential", victim=images, patches=(
        _elaborate(PotentialMemory, _share_potentials),)),
    Fault(name="later slice forgotten", caught="error", victim=images, setting=SLICES, patches=(
        _elaborate(ErrorUnit, _forgetful),)),
    Fault(name="lost event", caught="potential", victim=images, setting=EVENTS, patches=(
        _elaborate(EventBuffer, _lose_event),)),
    Fault(name="steps counted as intervals", caught="simulation", victim=images, setting=EVENTS,
          patches=(_elaborate(EventBuffer, _count_steps),)),
)


def find(fault, *, root, folder, driver="cocotb"):
    """Build the wrong core, run it, and return the difference that the comparison reports, or None.

    With cocotb at cycle level; the compiled driver sees results, state and counters only.
    """
    config = fault.victim().replace(**fault.setting)
    with ExitStack() as patches:
        for patch in fault.patches:
            patches.enter_context(patch())
        text = fault.edit(generate_text(config.replace(**fault.changes)))
    try:
        with fault.loading():
            for _ in cosimulate(config, stimulus(config, seed=1), root=root, folder=folder,
                                cycle_level=driver == "cocotb", seed=1, text=text, driver=driver):
                pass
    except Mismatch as mismatch:
        return mismatch.difference
    except SimulationError as error:
        return Difference(what="simulation", expected="results", actual=str(error))
    return None


def main():
    """Exit status 0 if every fault is caught as what it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build/sim"))
    args = parser.parse_args()
    console, missed = Console(), 0
    with own_folder(args.build_dir / "runs", "faults") as (folder, _):  # a fault that is found is no failure
        for fault in FAULTS:
            difference = find(fault, root=args.build_dir, folder=folder)
            caught = difference is not None and re.fullmatch(fault.caught, difference.what)
            missed += not caught
            console.print(f"{'caught' if caught else 'MISSED'}  {fault.name}: {difference}", highlight=False,
                          soft_wrap=True)
    console.print(f"{len(FAULTS) - missed} of {len(FAULTS)} faults caught")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
