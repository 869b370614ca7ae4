"""Mutants that no stimulus can notice, whatever the state and the inputs.

Of two copies of what lies between registers (`gates`) with the same inputs, one has a mutant; a solver looks for inputs
for which something differs.

A register that the mutant changes need not stay equal: it may be equal while some flag beside it holds, such as the one
that says that it is full. The flags are found by trying: all of them first, and each counterexample takes away those
that hold in it. What remains holds for ever, by induction: states begin equal, and every step keeps what is claimed.
States that the core without a mutant cannot reach are left out, as far as `invariants` finds out.
"""

import time

from .invariants import assume
from .solver import Solver

__all__ = ["proven_equal"]

#: Seconds for one question, and for one mutant.
QUESTION, PATIENCE = 30, 120
#: Registers that may differ at some time: of more, most mutants that are left are not equal.
MOST_LOOSE = 24


def _judge(solver, gates, number):
    """Whether a mutant is equal; None without a verdict in time."""
    loose, end = {}, time.monotonic() + PATIENCE
    while number in gates.switches:
        lines, ends, literals = gates.question(number, loose)
        flags = [f"d{place}" for place in range(len(ends))] + [f"l{place}" for place in range(len(literals))]
        verdict, values = solver.ask(lines, flags)
        if verdict is False:
            return True
        if verdict is None or time.monotonic() > end:
            return None
        differ = {own for place, own in enumerate(ends) if values[f"d{place}"] == "1"}
        if None in differ or len(loose) > MOST_LOOSE:
            return False
        for own in differ - set(loose):
            loose[own] = {(flag, value) for flag in gates.flags.get(gates.home[own], ()) for value in (0, 1)
                          if flag[0] != own}
        for place, (own, flag, value) in enumerate(literals):
            if own in differ and values[f"l{place}"] == "1":
                loose[own].discard((flag, value))
    return True


def proven_equal(trial, mutants=None):
    """Numbers of those `mutants` of a `Trial` that are equal to the core, and of those without a verdict in time.

    By default, its survivors are asked for.
    """
    with Solver(trial.gates.shared(), QUESTION) as solver:
        assume(trial.gates, trial.states, solver)
        verdicts = {mutant.number: _judge(solver, trial.gates, mutant.number)
                    for mutant in mutants or trial.survivors}
    return ([number for number, equal in verdicts.items() if equal],
            [number for number, equal in verdicts.items() if equal is None])
