"""A few mutants of a small core: the suite notices what is wrong, and what is not is proven equal or explained."""

import pytest

from bench.mutation.equivalence import proven_equal
from bench.mutation.netlist import mutate
from bench.mutation.run import try_mutants
from strategies import small

#: One block, one layer: the model of its netlist builds in seconds.
CONFIG = small(layers=[{"neurons": 3, "lanes": 2}], input={"size": 4}, hardware={"counters": False})


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return try_mutants(CONFIG, 12, 1, root=tmp_path_factory.mktemp("mutation"), samples=8)


def test_mutants_are_noticed_or_equal(trial, tmp_path):
    assert len(trial.ends) == 12
    equal, open_ones = proven_equal(CONFIG, trial.netlist, trial.survivors, root=tmp_path)
    assert not open_ones
    assert sorted(mutant.place for mutant in trial.survivors if mutant.number not in equal) == []


def test_the_prover_does_not_take_noticed_mutants_for_equal(trial, tmp_path):
    noticed = [mutant for mutant in trial.netlist.mutants if trial.ends[mutant.number] is not None][:3]
    assert noticed and proven_equal(CONFIG, trial.netlist, noticed, root=tmp_path) == ([], [])


def test_mutants_are_the_same_every_time(tmp_path):
    first, second = (mutate(CONFIG, 5, 3, root=tmp_path / name) for name in ("a", "b"))
    assert first.mutants == second.mutants and first.text == second.text
    assert [mutant.number for mutant in first.mutants] == [1, 2, 3, 4, 5]
