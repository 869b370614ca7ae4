"""Builds the model of a netlist with mutants, and tries them all."""

import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import jinja2

from spikeloom.rtl.events import input_layout
from spikeloom.rtl.registers import RegisterMap, request_layout
from spikeloom.rtl.result import result_layout
from spikeloom.sim.build import compile_model, random_power_up

from .netlist import mutate
from .stimuli import write_plan

__all__ = ["Trial", "try_mutants"]

HERE = Path(__file__).parent


class Trial(NamedTuple):
    """What became of the mutants.

    Attributes
    ----------
    netlist : Netlist
    cycles : int
        Of the whole suite.
    marks : list of (str, int)
        Parts of the suite, and the cycles in which they begin.
    ends : dict of int to int or None
        Cycle in which the outputs of a mutant differ for the first time; None if they never do.
    """

    netlist: object
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


def _build(config, netlist, root):
    """Folder of the program."""
    template = jinja2.Template((HERE / "mutants.sv.jinja").read_text(), undefined=jinja2.StrictUndefined)
    sources = {
        "core.v": netlist.text, "mutants.cpp": (HERE / "mutants.cpp").read_text(),
        "mutants.sv": template.render(
            name=config.name, selector=netlist.bits, sample_bits=input_layout(config).size,
            request_bits=request_layout(RegisterMap(config).address_bits).size,
            result_bits=-(-result_layout(config).size // 32) * 32, payload_bits=result_layout(config).size)}
    return compile_model(root, sources, True, ["-Wno-fatal", "--prefix", "Vmutants", "--top-module", "Mutants", "-o",
                                               "mutants"])


def try_mutants(config, count, seed, *, root, samples=40):
    """Make `count` mutants, and run the suite on each until it differs.

    Parameters
    ----------
    config : Config
    count, seed : int
    root : Path
        Folder of netlists and models.
    samples : int
        Of the training run.

    Raises
    ------
    RuntimeError
        If the core without a mutant does not repeat itself.
    """
    netlist = mutate(config, count, seed, root=root)
    program = _build(config, netlist, root) / "mutants"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_plan(config, folder, samples=samples)
        # A mutant may choose two cases at once, which Verilator takes for an error of ours.
        subprocess.run([program, folder, str(len(netlist.mutants)), *random_power_up(seed), "+verilator+noassert"],
                       check=True)
        first, *lines = (folder / "verdicts.txt").read_text().splitlines()
        marks = [(part, int(cycle)) for part, cycle in map(str.split, (folder / "marks.txt").read_text().splitlines())]
    cycles, ends = int(first), {}
    for line in lines:
        number, cycle = map(int, line.split())
        ends[number] = None if cycle == cycles else cycle
    if ends.pop(0) is not None:
        raise RuntimeError("the core without a mutant must repeat itself")
    return Trial(netlist, cycles, marks, ends)
