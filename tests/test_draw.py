"""Drawn configurations are worth a simulation: what they train shows in their weights."""

import torch

from bench.draw import draw, moved, stimulus
from spikeloom.golden.model import initial_state
from strategies import small
from tests.independent import Independent


def _plain(weights):
    return [matrix.tolist() for matrix in weights]


def test_every_unit_learns():
    """The model of loops sees it, too; with other samples most units still do."""
    elsewhere = []
    for seed in range(24):
        config = draw(seed)
        own, size = Independent(config.model_dump()), config.update.batch
        for frames, labels, trains in stimulus(config, seed):
            for first in range(0, len(labels), size):
                train = trains if isinstance(trains, bool) else bool(trains[first])
                own.run(frames[first:first + size].tolist(), labels[first:first + size].tolist(), train)
        start = _plain(initial_state(config)["weight"])
        assert all(before != after for unit, before, after in zip(config.units, start, own.weights) if unit.weights.stored)
        elsewhere += moved(config, stimulus(config, seed + 1000))
    assert sum(elsewhere) / len(elsewhere) > 0.8


def test_moved_says_which():
    """A random classifier has nothing to move, and what never trains stays."""
    config = small()
    batches = stimulus(config, 2)
    assert moved(config, batches) == [True] * 4
    assert moved(config, [batch._replace(train=False) for batch in batches]) == [False] * 4
    assert moved(config.replace(update={"shift": 24}), batches) == [False] * 4
    assert moved(config.replace(classifier={"kind": "random"}), batches) == [True] * 2


def test_the_same_seed_draws_the_same():
    assert draw(7) == draw(7)
    assert draw(7) != draw(9)
    for one, other in zip(stimulus(draw(7), 7), stimulus(draw(7), 7)):
        assert torch.equal(torch.from_numpy(one.frames), torch.from_numpy(other.frames))
