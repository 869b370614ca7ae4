"""A netlist as a formula: what lies between its registers and memories, as a solver takes it.

Registers and memories become inputs and outputs of what lies between them. What a memory does with an address or data
that no enable asks for is not seen; nor is a payload that is not valid.
"""

import re

from spikeloom.synth.tools import run_once

__all__ = ["Gates", "formula"]

#: In the place of a memory: what it is asked and told, as far as an enable says so; what it answers may be anything.
MEMORY = """module {name} #(parameter WIDTH = 1, parameter DEPTH = 2, parameter GRANULE = 1, parameter ADDRESS = 1) (
  input clk,
  input read_en, input [ADDRESS-1:0] read_address, output reg [WIDTH-1:0] read,
  input [WIDTH/GRANULE-1:0] write_en, input [ADDRESS-1:0] write_address, input [WIDTH-1:0] write);
  wire [WIDTH-1:0] mask, fresh;
  genvar part;
  generate for (part = 0; part < WIDTH/GRANULE; part = part + 1) begin : parts
    assign mask[part*GRANULE +: GRANULE] = {{GRANULE{{write_en[part]}}}};
  end endgenerate
  (* keep *) reg [2*ADDRESS+2*WIDTH:0] told;
  always @(posedge clk) begin
    if (read_en) read <= fresh;
    told <= {{read_en, read_en ? read_address : {{ADDRESS{{1'b0}}}}, |write_en ? write_address : {{ADDRESS{{1'b0}}}},
             mask, write & mask}};
  end
endmodule
"""

SCRIPT = """read_rtlil mutated.il
delete {memories}
read_verilog memories.v
hierarchy -top {name}
proc
flatten
memory_map
opt_clean
async2sync
dffunmap
setundef -undriven -anyseq
opt_clean
write_smt2 -wires equal.smt2
"""


def formula(config, netlist, root):
    """The netlist as Yosys writes it for solvers."""
    memories = sorted(set(re.findall(r"^module (\w+)", netlist.memories, re.MULTILINE)))
    script = SCRIPT.format(name=config.name, memories=" ".join(memories))
    folder, _ = run_once(root, "yosys", arguments=["-Q", "-T", "-q", "-s", "run.ys"], files={
        "mutated.il": netlist.folder / "mutated.il", "run.ys": script,
        "memories.v": "".join(MEMORY.format(name=name) for name in memories)})
    return (folder / "equal.smt2").read_text()


def _verilog(comment):
    """The signals, or bits of them, that a register drives, as Verilog within the core writes them."""
    _, signals = comment.split(" ", 1)
    parts = re.findall(r"([\\$]\S+)((?: \[\d+(?::\d+)?\])?)", signals)
    return [f"\\{name.removeprefix(chr(92))}{bits}" for name, bits in parts]


class Gates:
    """What lies between registers, as definitions that refer to each other.

    Parameters
    ----------
    text : str
        As ``write_smt2`` writes it.
    name : str
        Of the module.

    Attributes
    ----------
    free : dict of str to str
        Inputs and registers, with their sorts.
    nodes : dict of str to (str, str)
        All others, with sort and expression.
    registers : dict of str to str
        What each becomes.
    home : dict of str to str
        Instance in which a register is.
    verilog : dict of str to list of str
        Register -> what it is in Verilog: signals, or bits of them, the highest first. Not of those in the place of
        memories.
    flags : dict of str to list of (str, int)
        Instance -> registers of one bit in there, and 0, the place of that bit.
    initial : dict of str to dict of int to int
        Register -> place of a bit -> what it is at power-up, where that is known.
    told : set of str
        Registers in the place of memories, for what those are asked and told.
    outputs : list of str
        A payload is one as long as it is valid.
    switches : dict of int to str
        What turns a mutant on.
    """

    def __init__(self, text, name):
        plain = re.sub(r"\((\|[^|]*\|) state\)", r"\1", text)
        sort = r"(Bool|\(_ BitVec \d+\))"

        def find(pattern):
            return re.findall(pattern, plain, re.MULTILINE)

        self.free = dict(find(rf"^\(declare-fun (\|[^|]*\|) \(\|{name}_s\|\) {sort}\)"))
        self.nodes = {own: (kind, body) for own, kind, body in find(
            rf"^\(define-fun (\|{name}#\d+\|) \(\(state \|{name}_s\|\)\) {sort} (.*?)\)(?: ; .*)?$")}
        steps = find(r"^ *\(= (.*) \((\|\S+\|) next_state\)\)\)? ; (.*)$")
        self.registers = {kept: step for step, kept, _ in steps}
        # Where a register is: registers of one bit in the same instance may say when it matters.
        homes = {kept: re.findall(r"\\([^ \\]+)", comment)[-1:] for _, kept, comment in steps}
        self.home = {kept: own[0].rpartition(".")[0] if own else "" for kept, own in homes.items()}
        # What a memory was told may not differ at all: nothing reads it, so that no later difference would show.
        self.told = {kept for _, kept, comment in steps if ".told" in comment}
        self.verilog = {kept: _verilog(comment) for _, kept, comment in steps
                        if kept in self.free and kept not in self.told}
        self.initial = self._initial(text)
        # Bits of wider registers would do, too, but proofs take many times as long.
        self.flags = {}
        for kept, own in self.verilog.items():
            if self.width(kept) == 1 and "[" not in own[0]:
                self.flags.setdefault(self.home[kept], []).append((kept, 0))
        wires = {own: (kind, body) for own, kind, body in find(
            rf"^\(define-fun \|{name}_n ([^|]*)\| \(.*?\)\) {sort} (.*)\)$")}
        self.outputs = []
        for own in re.findall(r"^; yosys-smt2-output (\S+) \d+", text, re.MULTILINE):
            kind, body = wires[own]
            valid = wires.get(own.replace("_payload", "_valid"))
            if own.endswith("_payload") and valid:
                body = f"(ite {valid[1]} {body} (_ bv0 {re.search(r'[0-9]+', kind)[0]}))"
            self.outputs.append(body)
        selector = wires["mutant"][1]
        self.used_by, self.switches = {}, {}
        for own, (_, body) in self.nodes.items():
            for other in self._names(body):
                self.used_by.setdefault(other, []).append(own)
        for own in self.used_by.get(selector, ()):
            self.switches[int(re.search(r"#b([01]+)", self.nodes[own][1])[1], 2)] = own

    def _initial(self, text):
        body = re.search(r"^\(define-fun \|\S+_i\| .*?^\(define-fun", text, re.DOTALL | re.MULTILINE)[0]
        name, found = r"\((\|[^|]*\|) state\)", {}
        values = [(own, 0, value) for own, value in re.findall(rf"^ *\(= {name} (#b[01]+|true|false)\)", body,
                                                               re.MULTILINE)]
        values += [(own, int(low), value) for low, own, value in re.findall(
            rf"\(= \(\(_ extract \d+ (\d+)\) {name}\) (#b[01]+)\)(?! (?:true|false))", body)]
        values += [(own, int(place), value) for place, own, value in re.findall(
            rf"\(= \(= \(\(_ extract (\d+) \d+\) {name}\) #b1\) (true|false)\)", body)]
        for own, low, value in values:
            bits = {"true": "1", "false": "0"}.get(value, value.removeprefix("#b"))
            found.setdefault(own, {}).update((low + place, int(bit)) for place, bit in enumerate(reversed(bits)))
        return found

    @staticmethod
    def _names(body):
        return set(re.findall(r"\|[^|]*\|", body))

    @staticmethod
    def _constant(kind, value):
        return ("false", "true")[value] if kind == "Bool" else f"#b{value}"

    def width(self, own):
        """Bits of an input or a register."""
        return 1 if self.free[own] == "Bool" else int(re.search(r"\d+", self.free[own])[0])

    def bit(self, own, place, value, body):
        """That a bit (0 is the lowest) of a register is `value`; `body` is the register, or what it becomes."""
        if self.free[own] == "Bool":
            return f"(= {body} {self._constant('Bool', value)})"
        return f"(= ((_ extract {place} {place}) {body}) #b{value})"

    def shared(self):
        """Definitions of the core without a mutant; of a register `|x|`, the next value is `|next:x|`."""
        for own, kind in self.free.items():
            yield f"(declare-fun {own} () {kind})"
        off = set(self.switches.values())
        for own, (kind, body) in self.nodes.items():
            yield f"(define-fun {own} () {kind} {self._constant(kind, 0) if own in off else body})"
        for own, body in self.registers.items():
            if own in self.free:
                yield f"(define-fun {self.next(own)} () {self.free[own]} {body})"

    @staticmethod
    def next(own):
        """What a register becomes."""
        return f"|next:{own[1:]}"

    def question(self, number, loose):
        """What a solver is asked, and what the flags in its answer mean.

        Parameters
        ----------
        number : int
            The mutant.
        loose : dict of str to set of ((str, int), int)
            Registers that are equal only while one of these flags (register, place of the bit) has this value.

        Returns
        -------
        lines : list of str
        ends : list
            Register that differs, None for an output or a memory; by the number of the flag ``d``.
        literals : list
            (register, flag, value) by the number of the flag ``l``: in the next state.
        """
        switch = self.switches[number]
        cone, waiting = {switch, *loose}, [switch, *loose]
        while waiting:
            for own in self.used_by.get(waiting.pop(), ()):
                if own not in cone:
                    cone.add(own)
                    waiting.append(own)

        def other(body):
            return re.sub(r"\|[^|]*\|", lambda name: f"|m:{name[0][1:]}" if name[0] in cone else name[0], body)

        lines = []
        for own in loose:
            lines.append(f"(declare-fun {other(own)} () {self.free[own]})")
        for own, conditions in loose.items():
            for flag, value in conditions:
                lines.append(f"(assert (=> {self.bit(*flag, value, flag[0])} (= {own} {other(own)})))")
        lines += [f"(define-fun {other(own)} () {kind} {self._constant(kind, 1) if own == switch else other(body)})"
                  for own, (kind, body) in self.nodes.items() if own in cone]
        ends, literals = [], []
        for own, body in [*self.registers.items(), *((None, body) for body in self.outputs)]:
            if not self._names(body) & cone:
                continue
            differs = f"(distinct {body} {other(body)})"
            if own in loose:
                names = []
                for flag, value in loose[own]:
                    names.append(f"l{len(literals)}")
                    lines.append(f"(define-fun {names[-1]} () Bool "
                                 f"{self.bit(*flag, value, self.next(flag[0]))})")
                    literals.append((own, flag, value))
                differs = f"(and {differs} (or false {' '.join(names)}))"
            lines.append(f"(define-fun d{len(ends)} () Bool {differs})")
            ends.append(None if own in self.told else own)
        lines.append(f"(assert (or false {' '.join(f'd{place}' for place in range(len(ends)))}))")
        return lines, ends, literals
