"""Mutants of a small core: what a simulation notices is never proven equal, and most of them are noticed."""

from bench.mutation.equivalence import proven_equal
from bench.mutation.run import try_mutants
from strategies import small

CONFIG = small(layers=[{"neurons": 3, "lanes": 2}], input={"size": 4}, hardware={"counters": False})


def test_what_was_noticed_is_never_proven_equal(models):
    """The prover has an oracle: a simulation in which the mutant differs."""
    trial = try_mutants(CONFIG, 12, 1, root=models, samples=8)
    noticed = [mutant for mutant in trial.netlist.mutants if trial.ends[mutant.number] is not None]
    assert len(trial.ends) == 12 and len(noticed) >= 6 and sum(trial.noticed().values()) == len(noticed)
    assert proven_equal(trial, noticed) == ([], [])
