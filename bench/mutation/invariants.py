"""States that a core without a mutant never reaches, so that proofs need not care for them.

Claims are read off the states of a whole suite of stimuli: a bit of a register that never changes, and two flags, or
two bits of one register, that never have certain values together: one that is never set without another, a count that
ends before its bits do. Those that hold at power-up are
tried at once: a solver looks for a step from a state in which they hold to one in which some does not. Those are taken
away, until there is no such step. What remains holds for ever, by induction; nothing of it rests on the suite, which
may have missed states.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

__all__ = ["States", "assume"]


class States(NamedTuple):
    """What registers held in a simulation.

    Attributes
    ----------
    bits : list of (str, int)
        Register by its name in the `Gates`, and place of the bit, 0 the lowest.
    values : numpy.ndarray
        (states, bits), 0 or 1.
    """

    bits: list
    values: np.ndarray


def _never(gates, states):
    """(claims, 4): two bits, and the values that they never have together; twice the same where one is enough."""
    values, found = states.values, []
    always = values.all(axis=0), ~values.any(axis=0)
    for value in (0, 1):
        found += [(place, value, place, value) for place in np.flatnonzero(always[value])]
    groups, registers, flags = {}, {}, {flag for own in gates.flags.values() for flag in own}
    for place in np.flatnonzero(~always[0] & ~always[1]):
        if states.bits[place] in flags:
            groups.setdefault(gates.home[states.bits[place][0]], []).append(place)
        else:
            registers.setdefault(states.bits[place][0], []).append(place)
    # Of one instance, and of that which it is in.
    pairs = [(own, own + (groups.get(home.rpartition(".")[0], []) if "." in home else []))
             for home, own in groups.items()] + [(own, own) for own in registers.values()]
    for own, both in pairs:
        first, second = (values[:, places].astype(np.float32) for places in (own, both))
        for a, b in product((0, 1), repeat=2):
            # Sums of at most 2 ** 24 ones are exact.
            never = np.abs(1 - a - first).T @ np.abs(1 - b - second) == 0
            found += [(own[row], a, both[column], b) for row, column in zip(*np.nonzero(never)) if column > row]
    begin = [gates.initial.get(own, {}).get(place) for own, place in states.bits]
    held = [claim for claim in found
            if begin[claim[0]] == 1 - claim[1] or begin[claim[2]] == 1 - claim[3]]
    return np.array(held, dtype=np.int64).reshape(-1, 4)


def assume(gates, states, solver):
    """Have `solver` assume what is proven of the registers of a core without a mutant; gives how much it is.

    Parameters
    ----------
    gates : Gates
    states : States
    solver : Solver
        That knows the definitions of the core.
    """
    bits, never = states.bits, _never(gates, states)
    registers = sorted({own for own, _ in bits})

    def texts(name):
        def literal(place, value):
            return gates.bit(*bits[place], 1 - value, name(bits[place][0]))
        return [literal(a, first) if a == b else f"(or {literal(a, first)} {literal(b, second)})"
                for a, first, b, second in never.tolist()]

    now, then, alive = texts(str), texts(gates.next), np.ones(len(never), dtype=bool)
    groups = {}
    for claim, place in enumerate(never[:, 0]):
        groups.setdefault(gates.home[bits[place][0]], []).append(claim)
    left = None
    while left != alive.sum():
        left = alive.sum()
        with solver.scope([f"(assert {now[claim]})" for claim in np.flatnonzero(alive)]):
            for group in map(np.array, groups.values()):
                while len(own := group[alive[group]]):
                    verdict, found = solver.ask(
                        [f"(assert (not (and {' '.join(then[claim] for claim in own)})))"], map(gates.next, registers))
                    if verdict is False:
                        break
                    if verdict is None:
                        alive[own] = False
                        break
                    have = np.array([int(found[gates.next(own)][-1 - place]) for own, place in bits])
                    a, first, b, second = never.T
                    alive[(have[a] == first) & (have[b] == second)] = False
    solver.tell([f"(assert {now[claim]})" for claim in np.flatnonzero(alive)])
    return left
