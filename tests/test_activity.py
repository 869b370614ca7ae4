"""Operations and counters against loops that walk every word, step, group and bit as the hardware does."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.golden.activity import passes_and_counters
from spikeloom.golden.model import Golden
from spikeloom.golden.schedule import Passes
from strategies import configs, frames, small


def lanes_of(unit, word):
    return min(unit.lanes, unit.n_out - word * unit.lanes)


class Walk:
    """All passes of one unit with one sample, counted event by event."""

    def __init__(self, config, place, trace):
        self.config, self.unit, self.trace = config, config.units[place], trace
        self.above = None if self.unit.classifier else config.units[place + 1]
        self.k, self.seen = config.time.interval, trace.units[place]
        self.counts, self.asked = Counter(), Counter()
        self.passes = [self.interval(i) for i in range(config.intervals)]

    def rows(self, step, group):
        """Fan-in indices of the set bits of one bitmap word; a frame is the same in every step."""
        inputs = self.seen.inputs if self.unit.static else self.seen.inputs[step]
        low = group * self.unit.scan_width
        return [row for row in range(low, min(low + self.unit.scan_width, self.unit.n_in)) if inputs[row]]

    def interval(self, number):
        period = self.config.time.update_period
        forward = self.forward(number)
        if not self.trace.train:
            return Passes(forward, 0, 0)
        ends = (number + 1) % period == 0
        return Passes(forward, self.backward(number), self.update(number + 1 - period) if ends else 0)

    def forward(self, number):
        unit, counts, operations = self.unit, self.counts, 0
        for word in range(unit.words):
            if number > 0:
                counts["potential.read.forward"] += 1
            if number < self.config.intervals - 1:
                counts["potential.write.forward"] += 1
            # A frame is summed once for all steps; behind it the neurons take them all, two cycles each.
            for step in range(number * self.k, (number + 1) * self.k)[:1 if unit.static else None]:
                own = 0
                for group in range(unit.groups):
                    counts["input.read.forward"] += 1
                    rows = self.rows(step, group)
                    own += max(1, len(rows))
                    for _ in rows:
                        counts["weight.read.forward"] += 1
                        counts["value.read.forward"] += 1
                        counts["adds.forward"] += lanes_of(unit, word)
                operations += max(2 * self.k if unit.static else 2, own)
            counts["window.write.forward"] += self.k * self.trace.train
            counts["count.write.forward"] += 1
            counts["count.read.forward"] += number > 0
        return operations

    def backward(self, number):
        unit, counts, operations = self.unit, self.counts, 0
        for word in range(unit.words):
            for step in range(number * self.k, (number + 1) * self.k):
                counts["window.read.backward"] += 1
                own = 0
                for lane in range(lanes_of(unit, word) if self.above else 0):
                    if not self.seen.codes[step, word * unit.lanes + lane]:
                        continue
                    for above_word in range(self.above.words):  # one request each
                        own += 1
                        self.asked["weight.read.backward"] += 1
                        self.asked["error.read.backward"] += 1
                        self.asked["adds.backward"] += lanes_of(self.above, above_word)
                operations += max(2, own)
                if not unit.static:
                    counts["error.write.backward"] += 1
            if unit.static:
                # Errors of a frame are summed up over the update period, in place.
                counts["error.write.backward"] += 1
                counts["error.read.backward"] += number % self.config.time.update_period > 0
            counts["count.read.backward"] += 1
        return operations

    def update(self, first):
        unit, counts, operations = self.unit, self.counts, 0
        steps = range(first * self.k, (first + self.config.time.update_period) * self.k)
        steps = steps[:1] if unit.static else steps
        for group in range(unit.groups):
            active = Counter()
            for step in steps:
                counts["input.read.update"] += 1
                active.update(self.rows(step, group))
            for visits in active.values():
                for word in range(unit.words):
                    counts["weight.read.update"] += 1
                    counts["weight.write.update"] += 1
                    counts["error.read.update"] += visits
                    counts["value.read.update"] += visits
                    counts["adds.update"] += visits * lanes_of(unit, word)
                    operations += visits
        return operations

    def finish(self, requests):
        """The unit's counters; `requests` are those of the unit below."""
        unit, counts = self.unit, self.counts
        words = self.config.time.steps * -(-unit.n_in // unit.granule)
        counts["input.write.forward"] = unit.groups if unit.static else words
        if unit.static:
            counts["value.write.forward"] = unit.n_in
        if unit is self.config.units[-1]:
            counts["count.read.report"] = unit.words
        # The loops above count for every kind of unit; only a frame has values, only a classifier spike counts.
        absent = [kind for kind, there in (("value", unit.static), ("count", unit.classifier)) if not there]
        kept = {name: count for name, count in counts.items() if name.split(".")[0] not in absent}
        return {**kept, **requests}


def expected(config, trace):
    passes, counters, below = [], {}, Walk(config, 0, trace)
    for place, unit in enumerate(config.units):
        walk = below if place == 0 else Walk(config, place, trace)
        requests = {} if unit.bottom else below.asked
        passes.append(walk.passes)
        counters |= {f"{unit.path}.{name}": count for name, count in walk.finish(requests).items() if count}
        below = walk
    for block in config.blocks[:-1]:
        for operation in ("read", "write"):
            counters[f"{block.name}.output.queue.{operation}.forward"] = config.time.steps * block.layers[-1].words
    return passes, counters


def check(config, train, seed=0):
    golden = Golden(config)
    for number, frame in enumerate(frames(config, 2, seed)):
        trace = golden.run(frame, number % config.network.classes, train=train)
        passes, counters = passes_and_counters(config, trace)
        wanted, counted = expected(config, trace)
        assert passes == wanted
        assert {name: count for name, count in counters.items() if count} == counted
        assert all(type(count) is int for count in counters.values())  # a tensor would not go into JSON


@given(configs(), st.booleans())
def test_equals_the_walk(config, train):
    check(config, train)


@pytest.mark.parametrize("train", [False, True])
def test_equals_the_walk_with_many_words(train):
    # More than one bitmap word everywhere, the last of each not full.
    check(small(
        time={"steps": 6, "interval": 3, "update_period": 2}, input={"size": 70}, classifier={"lanes": 2},
        layers=[{"neurons": 67, "lanes": 3}, {"neurons": 41, "lanes": 4}, {"neurons": 35, "lanes": 35}],
        network={"classes": 5, "block_length": None, "block_ends": [2, 3]}, initial={"gain": 4.0}), train)


def test_by_hand():
    """Two inputs of five set, one of two neurons inside the window, nothing fires."""
    config = small(time={"steps": 1, "interval": 1}, input={"size": 5, "fraction": 0},
                   layers=[{"neurons": 2, "lanes": 1}], network={"classes": 3}, classifier={"lanes": 2})
    golden = Golden(config)
    golden.state.weights[0][:] = torch.tensor([[0, 0], [6, -6], [0, 0], [6, -6], [0, 0]])
    passes, counters = passes_and_counters(config, golden.run(torch.tensor([0, 1, 0, 1, 0]), 0, train=True))
    # Forward: two words with two events; the classifier has none, twice two. Backward: the first neuron (12 of 32, in
    # the window) asks for two words, the other costs two empty operations. Update: two rows, two words; none.
    assert passes == [[Passes(4, 4, 4)], [Passes(4, 4, 0)]]
    assert {name: counters[name] for name in (
        "block0.layer0.adds.forward", "block0.layer0.weight.read.forward", "block0.layer0.weight.write.update",
        "block0.classifier.weight.read.backward", "block0.classifier.adds.backward",
        "block0.classifier.weight.write.update")} == {
        "block0.layer0.adds.forward": 4, "block0.layer0.weight.read.forward": 4,
        "block0.layer0.weight.write.update": 4, "block0.classifier.weight.read.backward": 2,
        "block0.classifier.adds.backward": 3, "block0.classifier.weight.write.update": 0}
