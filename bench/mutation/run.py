"""Builds the model of a netlist with mutants, and tries them all."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from spikeloom.gen import process
from spikeloom.golden.errors import SpikeloomError
from spikeloom.golden.files import once
from spikeloom.rtl.events import input_layout
from spikeloom.rtl.registers import RegisterMap, request_layout
from spikeloom.rtl.result import result_layout
from spikeloom.sim.build import LONG, compile_model
from spikeloom.sim.unknown import random_power_up

from .gates import Gates, formula
from .invariants import States
from .netlist import mutate
from .stimuli import write_plan

__all__ = ["Trial", "try_mutants"]

HERE = Path(__file__).parent
#: Registers of so many bits are looked at while the suite runs.
NARROW = 8


class Trial(NamedTuple):
    """What became of the mutants.

    Attributes
    ----------
    netlist : Netlist
    gates : Gates
        Of that netlist.
    states : States
        That the core without a mutant went through.
    cycles : int
        Of the whole suite.
    marks : list of (str, int)
        Parts of the suite, and the cycles in which they begin.
    ends : dict of int to int or None
        Cycle in which the outputs of a mutant differ for the first time; None if they never do.
    """

    netlist: object
    gates: object
    states: object
    cycles: int
    marks: list
    ends: dict

    @property
    def survivors(self):
        return [mutant for mutant in self.netlist.mutants if self.ends[mutant.number] is None]

    def noticed(self):
        """Part of the suite -> mutants that it is the first to notice."""
        found = {}
        for cycle in self.ends.values():
            if cycle is not None:
                name = [own for own, begin in self.marks if begin <= cycle][-1]
                found[name] = found.get(name, 0) + 1
        return found


def _narrow(gates, text):
    """Registers that are looked at, by their name in the formula: (their parts in Verilog, width)."""
    there = set(re.findall(r"^  (?:reg|wire) (?:signed )?(?:\[\d+:0\] )?(\\\S+)", text, re.MULTILINE))
    return {own: (parts, gates.width(own)) for own, parts in gates.verilog.items()
            if gates.width(own) <= NARROW and there.issuperset(part.split(" ")[0] for part in parts)}


def _build(config, netlist, seen, root, fast):
    """The program."""
    template = jinja2.Template((HERE / "mutants.sv.jinja").read_text(), undefined=jinja2.StrictUndefined)
    sources = {
        "core.v": netlist.text, "mutants.cpp": (HERE / "mutants.cpp").read_text(),
        "mutants.sv": template.render(
            name=config.name, selector=netlist.bits, sample_bits=input_layout(config).size,
            request_bits=request_layout(RegisterMap(config).address_bits).size, seen=list(seen),
            result_bits=-(-result_layout(config).size // 32) * 32, payload_bits=result_layout(config).size)}
    return compile_model(root, sources, fast, ["-Wno-fatal", "--prefix", "Vmutants", "--top-module", "Mutants", "-o",
                                               "mutants"]) / "mutants"


def _states(seen, path):
    """The `States` of a file of the program."""
    bits = [(own, place) for own, (_, width) in seen.items() for place in range(width)]
    size = -(-len(bits) // 32) * 4
    packed = np.fromfile(path, dtype=np.uint8).reshape(-1, size)
    return States(bits, np.unpackbits(packed, axis=1, bitorder="little", count=len(bits)))


def try_mutants(config, count, seed, *, root, samples=40):
    """Make `count` mutants, and run the suite on each until it differs; what was done before is not done again.

    Parameters
    ----------
    config : Config
    count, seed : int
    root : Path
        Folder of netlists, models and runs.
    samples : int
        Of the training run.

    Raises
    ------
    SpikeloomError
        If a tool is missing or fails, or the core without a mutant does not repeat itself.
    """
    netlist = mutate(config, count, seed, root=root)
    gates = Gates(formula(config, netlist, root), config.name)
    seen = _narrow(gates, netlist.text)
    program = _build(config, netlist, seen.values(), root, fast=count * samples >= LONG)
    plan = write_plan(config, samples=samples)
    # A mutant may choose two cases at once, which Verilator takes for an error of ours.
    arguments = [str(len(netlist.mutants)), *random_power_up(seed), "+verilator+noassert"]

    def work(folder, lock):
        for name, content in plan.items():
            (folder / name).write_bytes(content)
        log = folder / "run.log"
        status, _, _ = process.run([program, folder, *arguments], log=log, locks=[lock])
        if status:
            raise SpikeloomError(f"the mutants cannot be tried: {process.last_words(log)}; see {log}")
        return "done\n"

    key = hashlib.sha256(b"\0".join([str(program).encode(), *map(str.encode, arguments), *map(str.encode, plan),
                                    *plan.values()])).hexdigest()[:16]
    folder, _ = once(root, key, work)
    first, *lines = (folder / "verdicts.txt").read_text().splitlines()
    marks = [(part, int(cycle)) for part, cycle in map(str.split, (folder / "marks.txt").read_text().splitlines())]
    cycles, ends = int(first), {}
    for line in lines:
        number, cycle = map(int, line.split())
        ends[number] = None if cycle == cycles else cycle
    if ends.pop(0) is not None:
        raise SpikeloomError("the core without a mutant must repeat itself")
    return Trial(netlist, gates, _states(seen, folder / "states.bin"), cycles, marks, ends)
