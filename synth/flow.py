"""Configuration -> netlist, placement, routing; and what was found: resources by unit, memories, frequency."""

import hashlib
import inspect
import json
import re
import statistics

from ..gen.generate import generate_text, sidecar
from ..gen.text import instances
from ..golden.config import ConfigError
from ..golden.files import write_atomically
from ..rtl.core import Core
from . import multipliers, netlist, targets
from .memory import place_memories
from .netlist import amounts, count_cells, memory_cells
from .pins import pins_text, port_bits
from .targets import RESOURCES
from .tools import SynthesisError, run_once, tool_versions

__all__ = ["check_memories", "implement", "parse_route", "script", "usage"]

#: What Yosys writes itself: behind ABC, its standard output is gone.
LOG = "synthesis.log"
#: When a router that looks for shorter ways is stopped: after so many rounds (`digits` on an ECP5-85 took 49, 52 and
#: 142), or after some in which there were always more ways too long than that (there, fewer than 100 were left).
ROUNDS, TRIAL, MANY = 300, 20, 200
ROUND = re.compile(r"^Info:\s+iter=\d+ wires=.* tmgfail=(\d+)", re.MULTILINE)
#: What a router says when a design is too large for the chip; every other error is a failure.
TOO_LARGE = re.compile(r"no Bels remaining|[Uu]nable to place cell|[Uu]nable to find legal placement|utilisation limit|"
                       r"[Ff]ailed to (place|expand|find)|too many")


def script(config, target, top, placed, modules):
    """Commands for Yosys: hierarchy of blocks and units kept, the kind of every memory imposed.

    Equal blocks and units are one module, with equal memories; `modules` says which (`gen.text.instances`).
    """
    core = config.name
    paths = [core, f"{core}.registers"]
    for block in config.blocks:
        paths += [f"{core}.{block.name}", f"{core}.{block.name}.buffer"]
        paths += [f"{core}.{block.name}.{unit.name}" for unit in block.units]
    kept = list(dict.fromkeys(modules[path] for path in paths if path != top))
    command = f"{target.family.synthesis} -top {top}"
    lines = ["read_verilog core.v", f"setattr -mod -set keep_hierarchy 1 {' '.join(kept)}",
             f"{command} -run :{target.family.map_memory}"]
    imposed = []
    for own in placed:
        if own.kind == "registers":
            continue
        full = f"{core}.{own.memory.path}"
        path = max((path for path in paths if full.startswith(f"{path}.")), key=len)
        module = modules[path]
        imposed.append(f'setattr -set ram_style "{own.kind}" {module}/{full[len(path) + 1:]}.* {module}/t:$mem_v2 %i')
    lines += dict.fromkeys(imposed)
    lines.append(f"{command} -run {target.family.map_memory}: -json netlist.json")
    # What is done to the netlist then is not Yosys' business, but part of what goes in.
    then = "".join(inspect.getsource(own) for own in (_count, multipliers, netlist, targets))
    lines.append(f"# then {hashlib.sha256(then.encode()).hexdigest()}")
    return "\n".join(lines) + "\n"


def _count(folder, family):
    """Finish the netlist, and leave the counts beside it: it is a hundred times as large."""
    path = folder / "netlist.json"
    if not path.exists():
        raise SynthesisError(f"yosys wrote no netlist; see {folder / LOG}")
    found = json.loads(path.read_text())
    wrong = netlist.wrong_nets(found, (folder / LOG).read_text(errors="replace"))
    if wrong:
        raise SynthesisError(f"the netlist of yosys is wrong, two drivers: {wrong[0]}; see {folder / LOG}")
    if family.finish:
        family.finish(found)
        write_atomically(path, json.dumps(found))
    modules, rams = count_cells(found, family)
    write_atomically(folder / "cells.json", json.dumps({"modules": modules, "rams": rams}))


def usage(text):
    """Resource -> used, available, of the last table in a router's log."""
    return {name: {"used": int(used), "available": int(available)}
            for name, used, available in re.findall(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", text, re.MULTILINE)}


def parse_route(report):
    """Frequency and critical path of a router's report.

    Parameters
    ----------
    report : dict
        As ``--report`` writes it.

    Returns
    -------
    dict
        ``frequency_mhz``, and ``critical_path`` with ``start``, ``end``, ``logic_ns``, ``routing_ns``.
    """
    clock, achieved = min(((name, own["achieved"]) for name, own in report["fmax"].items()), key=lambda pair: pair[1])
    path = next(own["path"] for own in report["critical_paths"]
                if own["from"] == own["to"] == f"posedge {clock}")
    delays = {True: 0.0, False: 0.0}
    for step in path:
        delays[step["type"] == "routing"] += step["delay"]
    ends = [(step["cell"], step["port"]) for step in (path[0]["from"], path[-1]["to"])]
    return {"frequency_mhz": achieved, "critical_path": {
        "start": ".".join(ends[0]), "end": ".".join(ends[1]),
        "logic_ns": round(delays[False], 3), "routing_ns": round(delays[True], 3)}}


def _pack(path, target, root):
    """What a core needs of the chip: where that is more than there is, not every placer comes to an end."""
    folder, _ = run_once(
        root, target.router, files={"netlist.json": path}, accepts=lambda log: bool(TOO_LARGE.search(log)),
        arguments=[*target.arguments, "--pack-only", "--json", "netlist.json"])
    return usage((folder / f"{target.router}.log").read_text(errors="replace"))


def _route(path, target, seed, root, frequency):
    """One seed: how fast it is, or why it failed; if `frequency` is too much to ask for, as fast as it gets."""
    def attempt(*options, **limits):
        return run_once(
            root, target.router, files={"netlist.json": path}, accepts=lambda log: bool(TOO_LARGE.search(log)),
            **limits, arguments=[
                *target.arguments, *options, "--freq", f"{frequency or target.frequency:g}", "--seed", str(seed),
                "--timing-allow-fail", "--json", "netlist.json", "--report", "report.json"])

    def over(log):
        left = [int(ways) for ways in ROUND.findall(log)]
        return len(left) > ROUNDS or (len(left) > TRIAL and min(left) > MANY)

    good = False
    if frequency and target.insistent:
        folder, good = attempt(*target.insistent, hopeless=over, limit=(ROUNDS, TRIAL, MANY))
    if not good:
        folder, good = attempt()
    if good:
        return {"seed": seed, **parse_route(json.loads((folder / "report.json").read_text()))}
    text = (folder / f"{target.router}.log").read_text(errors="replace")
    error = next(line for line in text.splitlines() if line.startswith("ERROR:") and TOO_LARGE.search(line))
    return {"seed": seed, "failure": error.removeprefix("ERROR:").strip()}


def _units(config, modules, family):
    """Rows of resources: every unit, what a block has beside its units, registers, the rest; and unknown cells."""
    rows, unknown = [], {}
    for path, cells in modules.items():
        found, others = amounts(cells, family)
        unknown |= {kind: unknown.get(kind, 0) + count for kind, count in others.items()}
        block, _, part = path.partition(".")
        if not block.startswith("block"):
            block, part = "core", path
        rows.append({"block": block, "part": part or ("sequencer" if block != "core" else "top"), **found})
    order = [block.name for block in config.blocks] + ["core"]
    return sorted(rows, key=lambda row: order.index(row["block"])), unknown


def _sum(rows):
    return {resource: sum(row[resource] for row in rows) for resource in RESOURCES}


def _memory_rows(placed, cells, family):
    """What was predicted of every memory, and what is in the netlist."""
    rows = []
    for own in placed:
        types = cells[own.memory.path]
        found = {resource: sum(family.cells[kind].get(resource, 0) * count for kind, count in types.items())
                 for resource in ("bram", "lutram")}
        kind = "block" if found["bram"] else "distributed" if found["lutram"] else "registers"
        count = found["bram"] if kind == "block" else sum(types.values())
        rows.append({"name": own.memory.path, "category": own.memory.category, "depth": own.memory.depth,
                     "width": own.memory.width, "granule": own.memory.granule or own.memory.width,
                     "combinational": own.memory.combinational, "kind": own.kind, "predicted": own.count,
                     "kind_found": kind, "found": count, "cells": types})
    return rows


def check_memories(rows, total, strays):
    """What must hold of the memories of a netlist.

    Parameters
    ----------
    rows : list of dict
        One for each memory: ``name``, ``kind`` and ``predicted`` by the rule, ``kind_found`` and ``found``.
    total : dict of str to int
        Resources of the whole core.
    strays : dict of str to int
        RAM cells that belong to no memory.

    Returns
    -------
    list of dict
        ``rule``, ``holds``, ``expected``, ``found``.
    """
    predicted = sum(row["predicted"] for row in rows if row["kind"] == "block")
    registers = [row["name"] for row in rows if row["kind_found"] == "registers"]
    meant = [row["name"] for row in rows if row["kind"] == "registers"]
    other = [row["name"] for row in rows if row["kind_found"] != row["kind"] or row["found"] > row["predicted"]]
    return [
        {"rule": "block RAMs are those that the memory map predicts", "holds": predicted == total["bram"],
         "expected": predicted, "found": total["bram"]},
        # Bits that nobody reads leave no primitive, so a distributed memory may be smaller than in the map.
        {"rule": "every memory is of the kind that the rule gives it, and no larger", "holds": not other and not strays,
         "expected": [], "found": other + [f"{count} {kind} of no memory" for kind, count in strays.items()]},
        {"rule": "no memory is in flip-flops" + (", but what is read combinationally" if meant else ""),
         "holds": registers == meant, "expected": meant, "found": registers},
    ]


def implement(config, target, *, root, seeds=3, frequency=None, step=lambda text: None):
    """Synthesize, place and route a core.

    Parameters
    ----------
    config : Config
    target : Target
    root : Path
        Folder of what tools wrote, by content.
    seeds : int
        Seeds of placement, from 1 on.
    frequency : float, optional
        MHz that the core has to reach: on ECP5, the router then tries for up to `ROUNDS` rounds to route what is too
        slow anew. A seed for which that is too much is routed without, for the same frequency, and is as fast as it
        gets. The aim of the target if nothing is asked for.
    step : callable
        Hears of every step that is done, as a line of text; 2 + `seeds` steps, 2 without a router or where the chip is
        too small.

    Returns
    -------
    dict
        The report without rates; see docs/silicon.md.

    Raises
    ------
    ConfigError
        If a memory cannot be what the configuration asks for, or a frequency is asked for where nothing is routed.
    SynthesisError
        If a tool is missing or fails.
    """
    if frequency and not target.router:
        raise ConfigError(f"--frequency must not be given for {target.name}, which is not routed, not {frequency:g}")
    family, placed = target.family, place_memories(config, target)
    tools = tool_versions("yosys", *([target.router] if target.router else []))
    core = Core(config)
    ports = sidecar(core)["ports"]
    text = generate_text(config, core)
    top, wrapped = config.name, port_bits(ports) > target.pins
    if wrapped:
        top, around = pins_text(config.name, ports)
        text += around
    step(f"{config.name}: Verilog, {text.count(chr(10)):,} lines")

    folder, _ = run_once(
        root, "yosys", arguments=["-Q", "-T", "-l", LOG, "-s", "run.ys"], finish=lambda folder: _count(folder, family),
        files={"core.v": text, "run.ys": script(config, target, top, placed, instances(text, config.name))})
    counted = json.loads((folder / "cells.json").read_text())
    modules, rams, around = counted["modules"], counted["rams"], {}
    if wrapped:  # the core is an instance below its shift registers
        around = modules.pop("")
        modules = {path.removeprefix("core").removeprefix("."): cells for path, cells in modules.items()}
        rams = {path.removeprefix("core."): kind for path, kind in rams.items()}
    rows, unknown = _units(config, modules, family)
    total = _sum(rows)
    cells = memory_cells(rams, [own.memory.path for own in placed])
    memories = _memory_rows(placed, cells, family)
    step(f"{config.name}: synthesis, {total['lut']:,} LUT, {total['ff']:,} FF, {total['bram']} block RAM, "
         f"{total['dsp']} DSP")

    report = {
        "name": config.name, "target": target.name, "device": target.device, "configuration_hash": config.hash,
        "verilog_sha256": hashlib.sha256(text.encode()).hexdigest(), "tools": tools, "block_ram": family.block,
        "lanes": sum(unit.lanes for unit in config.units), "units": rows,
        "blocks": {block: _sum([row for row in rows if row["block"] == block])
                   for block in dict.fromkeys(row["block"] for row in rows)},
        "total": total, "pins": amounts(around, family)[0] if wrapped else None, "other_cells": unknown,
        "memories": memories, "checks": check_memories(memories, total, cells[""]),
    }
    if target.router:
        report |= _routes(config, target, folder / "netlist.json", seeds, frequency, root, step)
    return report


def _routes(config, target, path, seeds, frequency, root, step):
    """The part of the report that placement and routing give."""
    runs, used = [], _pack(path, target, root)
    overuse = [{"resource": name, "needed": own["used"], "available": own["available"]} for name, own in used.items()
               if own["used"] > own["available"]]
    for seed in range(1, seeds + 1) if not overuse else ():
        run = _route(path, target, seed, root, frequency)
        runs.append(run)
        step(f"{config.name}: seed {seed}, " + (f"{run['frequency_mhz']:.1f} MHz" if "frequency_mhz" in run else
                                                run["failure"]))
    routed = [run for run in runs if "frequency_mhz" in run]
    found = {"fits": len(routed) == seeds, "overuse": overuse, "goal_mhz": frequency or target.frequency, "seeds": runs,
             "utilization": {name: own for name, own in used.items() if own["used"]}}
    if routed:
        median = statistics.median_low(run["frequency_mhz"] for run in routed)
        found |= {"frequency_mhz": median, "critical_path": next(
            run["critical_path"] for run in routed if run["frequency_mhz"] == median)}
    return found
