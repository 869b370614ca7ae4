"""A core's netlist with many mutants in it: a selector input says which of them is active, 0 none."""

import re
from typing import NamedTuple

from spikeloom.gen.generate import generate_text
from spikeloom.synth.tools import run_once

__all__ = ["Mutant", "Netlist", "mutate"]

#: Registers that begin near their end: `time` in 32 bits, waits and violations in 16 would take too long.
LATE = {"now": (32, (1 << 32) - 40_000), "block*.pending_input": (16, (1 << 16) - 1 - 40),
        "block*.pending_output": (16, (1 << 16) - 1 - 10), "common.violations.count_*": (16, (1 << 16) - 4)}

#: All registers begin with 0 (`zinit`), so that those do, too, whose outputs are mutants and have names of their own.
#: Memories stay modules: what they hold is no logic, their ports are. What nobody reads is taken away bit by bit, as in
#: every synthesis, and what does not matter is 0 (`setundef`): no fault can be in there.
SCRIPT = """read_verilog core.v
blackbox {name}_memory*
hierarchy -top {name}
proc
flatten
opt_clean
memory_collect
delete t:$scopeinfo
{late}
splitcells
opt
setundef -zero
opt
zinit
select -set cells t:* t:$mem* %d
mutate -list {count} -seed {seed} -ctrl mutant {bits} 1 -o mutants.ys @cells
select -clear
write_rtlil plain.il
script mutants.ys
select -set outputs t:$*dff* %co1:+[Q] w:$auto$mutate* %i
setattr -set init 1'b0 @outputs
write_rtlil mutated.il
write_verilog -noattr -norename mutated.v
"""


class Mutant(NamedTuple):
    """One fault: `mode` at `bit` of `port` of a cell of `instance`; the signal there, its bit, lines of the source.

    Where the signal has no name, it is that which the cell drives.
    """

    number: int
    mode: str
    kind: str
    port: str
    bit: int
    instance: str
    wire: str
    wire_bit: int
    source: str

    @property
    def place(self):
        """The fault in words; numbers that Yosys gives change with every change elsewhere, and are left out."""
        return f"{self.instance}: {self.mode} {self.kind}.{self.port}[{self.bit}] {self.wire}[{self.wire_bit}]"


class Netlist(NamedTuple):
    """Folder of ``mutated.v`` and ``mutated.il``, its memories as text, all mutants, and bits of the selector."""

    folder: object
    memories: str
    mutants: list
    bits: int

    @property
    def text(self):
        """Verilog of the netlist and of its memories."""
        return (self.folder / "mutated.v").read_text() + self.memories


def _driven(text):
    """Cell -> the first signal with a name that it drives, through other cells if need be: what tells where it is."""
    cells, drives, reads = re.findall(r"^  cell \S+ (\S+)\n(.*?)^  end$", text, re.MULTILINE | re.DOTALL), {}, {}
    for cell, body in cells:
        signals = {port: re.findall(r"[\\$][^\s{}]+", value)
                   for port, value in re.findall(r"^    connect \\(\w+) (.*)$", body, re.MULTILINE)}
        drives[cell] = [name for port in ("Y", "Q") for name in signals.get(port, ())]
        for port, names in signals.items():
            if port not in ("Y", "Q", "CLK"):
                for name in names:
                    reads.setdefault(name, []).append(cell)

    def of(cell, hops):
        for name in drives[cell]:
            if name.startswith("\\"):
                return name[1:]
        later = [other for name in drives[cell] for other in reads.get(name, ())] if hops else []
        return next((found for other in later if (found := of(other, hops - 1))), "")

    return {cell: of(cell, 3) for cell in drives}


def _mutant(line, driven):
    words = line.split()
    options = dict(zip(words[1:], words[2:]))
    path = options["-cell"].replace("\\", "").removeprefix("$flatten").split("$")
    options.setdefault("-wire", driven.get(options["-cell"], ""))
    wire = re.sub(r"\$\d+$", "$", options.get("-wire", "").replace("\\", ""))
    kind = next((part.partition(".cc:")[0] for part in path[1:] if part not in ("", "auto")), "instance")
    return Mutant(
        int(words[words.index("-ctrl") + 3]), options["-mode"], kind, options["-port"], int(options["-portbit"]),
        path[0].rstrip(".") or wire.rpartition(".")[0], wire, int(options.get("-wirebit", 0)),
        " ".join(part for option, part in zip(words, words[1:]) if option == "-src"))


def mutate(config, count, seed, *, root):
    """Netlist of the core of `config` with `count` mutants, sampled evenly over cells, ports and lines of the source.

    Raises
    ------
    SynthesisError
        If Yosys is missing, or fails.
    """
    text = generate_text(config)
    bits = (count + 1).bit_length()
    late = "\n".join(f"setattr -set init {width}'d{value} w:{name}" for name, (width, value) in LATE.items())
    script = SCRIPT.format(name=config.name, count=count, seed=seed, bits=bits, late=late)
    folder, _ = run_once(root, "yosys", arguments=["-Q", "-T", "-q", "-s", "run.ys"],
                         files={"core.v": text, "run.ys": script})
    lines = (folder / "mutants.ys").read_text().splitlines()
    driven = _driven((folder / "plain.il").read_text())
    memories = "".join(re.findall(rf"^module {config.name}_memory.*?^endmodule\n", text, re.DOTALL | re.MULTILINE))
    return Netlist(folder, memories, [_mutant(line, driven) for line in lines if line.startswith("mutate")], bits)
