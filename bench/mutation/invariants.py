"""Bits of registers that never change from their initial values on.

All bits are tried at once: a solver looks for a step after which one is another, and that one is taken away, until
there is no such step. What remains holds for ever, by induction. Memories may answer anything.
"""

import re
import subprocess

__all__ = ["invariants"]

#: Steps that are looked for; after that, nothing is claimed. Seconds for one of them.
ROUNDS, PATIENCE = 5000, 60


def _bits(text):
    """A value that a solver prints, as a string of bits; a flag is one of them."""
    return {"true": "1", "false": "0"}.get(text, text.removeprefix("#b"))


def _initial(gates, text):
    """Register -> bits, the highest first; ``-`` where there is no initial value."""
    found = {}
    for own, kind in gates.free.items():
        if own in gates.registers:
            found[own] = ["-"] * (1 if kind == "Bool" else int(re.search(r"\d+", kind)[0]))
    body = re.search(r"^\(define-fun \|\S+_i\| .*?^\(define-fun", text, re.DOTALL | re.MULTILINE)[0]
    name = r"\((\|[^|]*\|) state\)"
    for own, value in re.findall(rf"^ *\(= {name} (#b[01]+|true|false)\)", body, re.MULTILINE):
        if own in found:
            found[own] = list(_bits(value))
    for high, low, own, value in re.findall(
            rf"\(= \(\(_ extract (\d+) (\d+)\) {name}\) (#b[01]+)\)(?! (?:true|false))", body):
        if own in found:
            found[own][len(found[own]) - 1 - int(high):len(found[own]) - int(low)] = _bits(value)
    for place, own, value in re.findall(
            rf"\(= \(= \(\(_ extract (\d+) \d+\) {name}\) #b1\) (true|false)\)", body):
        if own in found:
            found[own][len(found[own]) - 1 - int(place)] = _bits(value)
    return found


def invariants(gates, shared, text):
    """Assertions about the registers of a core without a mutant.

    Parameters
    ----------
    gates : Gates
    shared : list of str
        Its definitions.
    text : str
        What `gates` was made from.
    """
    kept = {own: bits for own, bits in _initial(gates, text).items() if set(bits) != {"-"}}
    def masked(own, body):
        bits = kept[own]
        if gates.free[own] == "Bool":
            return f"(= {body} {'true' if bits[0] == '1' else 'false'})"
        mask = "".join("0" if bit == "-" else "1" for bit in bits)
        value = "".join("0" if bit == "-" else bit for bit in bits)
        return f"(= (bvand {body} #b{mask}) #b{value})"

    def claims(bodies):
        return [masked(own, bodies(own)) for own, bits in kept.items() if set(bits) != {"-"}]

    steps = [f"(define-fun |next:{own[1:]} () {gates.free[own]} {gates.registers[own]})" for own in kept]
    asked = " ".join(f"|next:{own[1:]}" for own in kept)
    for _ in range(ROUNDS):
        now, then = claims(lambda own: own), claims(lambda own: f"|next:{own[1:]}")
        lines = ["(set-option :produce-models true)", "(set-logic QF_BV)", *shared, *steps,
                 *(f"(assert {claim})" for claim in now),
                 f"(assert (or false {' '.join(f'(not {claim})' for claim in then)}))",
                 "(check-sat)", f"(get-value ({asked}))"]
        own = subprocess.run(["yices-smt2", f"--timeout={PATIENCE}"], input="\n".join(lines), capture_output=True,
                             text=True, check=False)
        verdict = own.stdout.split(maxsplit=1)[0]
        if verdict == "unsat":
            return [f"(assert {claim})" for claim in now]
        if verdict != "sat":
            return []
        values = {f"|{name}": _bits(value) for name, value in re.findall(
            r"\(\|next:([^|]*\|) (#b[01]+|true|false)\)", own.stdout)}
        for name, bits in kept.items():
            for place, bit in enumerate(bits):
                if bit not in ("-", values[name][place]):
                    bits[place] = "-"
    return []
