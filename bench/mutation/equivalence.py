"""Mutants that no stimulus can notice, whatever the state and the inputs.

Registers and memories become inputs and outputs of what lies between them. Of two copies with the same inputs, one has
a mutant; a solver looks for inputs for which something differs. What a memory does with an address or data that no
enable asks for, it does not see; nor is a payload seen that is not valid.

A register that the mutant changes need not stay equal: it may be equal while some flag beside it holds, such as the one
that says that it is full. The flags are found by trying: all of them first, and each counterexample takes away those
that hold in it. What remains holds for ever, by induction: states begin equal, and every step keeps what is claimed.
States that the core without a mutant cannot reach are left out, as far as `invariants` finds out.
"""

import re
import subprocess
import time

from spikeloom.synth.tools import run_once

from .invariants import invariants

__all__ = ["proven_equal"]

#: Seconds for one mutant.
PATIENCE = 30
#: Registers that may differ at some time: of more, most mutants that are left are not equal.
MOST_LOOSE = 24

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


def _formula(config, netlist, root):
    memories = sorted(set(re.findall(r"^module (\w+)", netlist.memories, re.MULTILINE)))
    script = SCRIPT.format(name=config.name, memories=" ".join(memories))
    folder, _ = run_once(root, "yosys", arguments=["-Q", "-T", "-q", "-s", "run.ys"], files={
        "mutated.il": netlist.folder / "mutated.il", "run.ys": script,
        "memories.v": "".join(MEMORY.format(name=name) for name in memories)})
    return (folder / "equal.smt2").read_text()


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
        self.flags = {}
        for kept in self.registers:
            if self.free[kept] in ("Bool", "(_ BitVec 1)"):
                self.flags.setdefault(self.home[kept], []).append(kept)
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

    @staticmethod
    def _names(body):
        return set(re.findall(r"\|[^|]*\|", body))

    @staticmethod
    def _constant(kind, value):
        return ("false", "true")[value] if kind == "Bool" else f"#b{value}"

    def shared(self):
        """Definitions of the core without a mutant."""
        for own, kind in self.free.items():
            yield f"(declare-fun {own} () {kind})"
        off = set(self.switches.values())
        for own, (kind, body) in self.nodes.items():
            yield f"(define-fun {own} () {kind} {self._constant(kind, 0) if own in off else body})"

    def literal(self, flag, value, body):
        """That `body`, of the sort of a flag, has a value."""
        return f"(= {body} {self._constant(self.free[flag], value)})"

    def question(self, number, loose):
        """What a solver is asked, and what the flags in its answer mean.

        Parameters
        ----------
        number : int
            The mutant.
        loose : dict of str to set of (str, int)
            Registers that are equal only while one of these flags has this value.

        Returns
        -------
        lines : list of str
        ends : list
            Register that differs, None for an output; by the number of the flag ``d``.
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
                lines.append(f"(assert (=> {self.literal(flag, value, flag)} (= {own} {other(own)})))")
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
                                 f"{self.literal(flag, value, self.registers[flag])})")
                    literals.append((own, flag, value))
                differs = f"(and {differs} (or false {' '.join(names)}))"
            lines.append(f"(define-fun d{len(ends)} () Bool {differs})")
            ends.append(own)
        names = [f"d{place}" for place in range(len(ends))]
        lines += [f"(assert (or false {' '.join(names)}))", "(check-sat)"]
        names += [f"l{place}" for place in range(len(literals))]
        return lines + ([f"(get-value ({' '.join(names)}))"] if names else []), ends, literals


def _judge(gates, shared, number):
    """Whether a mutant is equal; None without a verdict in time."""
    loose, end = {}, time.monotonic() + PATIENCE
    while number in gates.switches:
        lines, ends, literals = gates.question(number, loose)
        text = "\n".join(["(set-option :produce-models true)", "(set-logic QF_BV)", *shared, *lines])
        own = subprocess.run(["yices-smt2", f"--timeout={PATIENCE}"], capture_output=True, text=True, check=False,
                             input=text)
        verdict = own.stdout.split(maxsplit=1)[0]
        if verdict not in ("sat", "unsat", "unknown", "timeout"):
            raise RuntimeError(f"yices: {own.stdout[-500:]}")
        if verdict == "unsat":
            return True
        if verdict != "sat" or time.monotonic() > end:
            return None
        holds = set(re.findall(r"\((\w+) true\)", own.stdout))
        differ = {own for place, own in enumerate(ends) if f"d{place}" in holds}
        if None in differ or len(loose) > MOST_LOOSE:
            return False
        for own in differ - set(loose):
            loose[own] = {(flag, value) for flag in gates.flags.get(gates.home[own], ()) for value in (0, 1)
                          if flag != own}
        for place, (own, flag, value) in enumerate(literals):
            if own in differ and f"l{place}" in holds:
                loose[own].discard((flag, value))
    return True


def proven_equal(config, netlist, mutants, *, root):
    """Numbers of those of `mutants` that are equal to the core, and of those without a verdict in time."""
    text = _formula(config, netlist, root)
    gates = Gates(text, config.name)
    shared = list(gates.shared())
    shared += invariants(gates, shared, text)
    verdicts = {mutant.number: _judge(gates, shared, mutant.number) for mutant in mutants}
    return ([number for number, equal in verdicts.items() if equal],
            [number for number, equal in verdicts.items() if equal is None])
