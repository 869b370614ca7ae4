"""Operations and counters against loops that walk every word, step, group and bit as the hardware does."""

from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.golden.activity import passes_and_counters
from spikeloom.golden.model import Golden
from spikeloom.golden.schedule import Passes
from strategies import biased, configs, dropping, frames, small, spatial_configs


def lanes_of(unit, word):
    """Lanes of an output word that hold a neuron."""
    return min(unit.lanes, unit.channels - word % unit.channel_words * unit.lanes)


def windows_of(unit):
    """Inputs (indices) under every output pixel, tap by tap; all channels of a tap together."""
    height, width, channels = unit.shape_in
    _, _, stride, padding = unit.window
    if unit.window.kind == "dense":
        return [[list(range(pixel * channels, (pixel + 1) * channels)) for pixel in range(height * width)]]
    return [[[(y * width + x) * channels + channel for channel in range(channels)]
             for y in range(begin_y, begin_y + unit.window.kernel) if 0 <= y < height
             for x in range(begin_x, begin_x + unit.window.kernel) if 0 <= x < width]
            for begin_y in range(-padding, unit.shape_out[0] * stride - padding, stride)
            for begin_x in range(-padding, unit.shape_out[1] * stride - padding, stride)]


def words_of(unit):
    """Bitmap word of every input."""
    _, width, channels = unit.shape_in
    if unit.window.kind == "dense":
        pitch = -(-channels // unit.granule) * unit.granule
        return [(i // channels * pitch + i % channels) // unit.bitmap.scan_width for i in range(unit.n_in)]
    return [unit.bitmap.position(i // channels // width, i // channels % width, i % channels) // unit.bitmap.scan_width
            for i in range(unit.n_in)]


class Walk:
    """All passes of one unit with one sample, counted event by event; `before` are its weights at the beginning."""

    def __init__(self, config, place, trace, before):
        self.config, self.unit, self.trace = config, config.units[place], trace
        self.above = None if self.unit.classifier else config.units[place + 1]
        self.k, self.seen = config.time.interval, trace.units[place]
        self.windows, self.word = windows_of(self.unit), words_of(self.unit)
        self.learns = trace.train and self.unit.rule.learns
        self.weights, self.updates = [before, *self.seen.weights], 0
        self.counts, self.asked, self.touched = Counter(), Counter(), set()
        if self.above:
            # Output pixels that each neuron reaches.
            self.reach = Counter(i for window in windows_of(self.above) for tap in window for i in tap)
        self.passes = [self.interval(i) for i in range(config.intervals)]

    def steps(self, number, intervals=1):
        """Steps whose inputs are read for `intervals` intervals; a frame is the same in every step."""
        return [0] if self.unit.input.static else range(number * self.k, (number + intervals) * self.k)

    def active(self, step, inputs):
        """Which of `inputs` are set."""
        values = self.seen.inputs if self.unit.input.static else self.seen.inputs[step]
        return [i for i in inputs if values[i]]

    def interval(self, number):
        period = self.config.time.update_period
        ends = (number + 1) % period == 0
        forward = self.forward(number)
        backward, update = [0] * self.unit.slices, [0] * self.unit.slices
        for part in reversed(range(self.unit.slices) if self.learns else []):
            first = number * self.k + part * self.unit.slice_steps
            steps = range(first, first + self.unit.slice_steps)
            backward[part] = self.backward(number, steps)
            # In the first slice, an error goes on from nowhere.
            self.counts["error.read.backward"] += self.unit.words * (part < self.unit.slices - 1)
            if self.unit.weights.stored and self.unit.rule.accumulates:
                update[part] = self.accumulate([0] if self.unit.input.static else steps)
        if self.learns and self.unit.weights.stored and ends:
            if self.unit.rule.accumulates:
                self.apply()
            else:
                update[0] = self.update(number + 1 - period)
        return Passes(forward, tuple(backward), tuple(update))

    def forward(self, number):
        unit, counts, operations = self.unit, self.counts, 0
        for word in range(unit.words):
            if number > 0:
                counts["potential.read.forward"] += 1
            if number < self.config.intervals - 1:
                counts["potential.write.forward"] += 1
            # A frame is summed once for all steps; behind it the neurons take them all, two cycles each.
            for step in self.steps(number):
                sums = self.pool_sum if unit.window.pools else self.sum
                operations += max(2 * self.k if unit.input.static else 2, sums(word, step))
            counts["window.write.forward"] += self.k * self.learns
            counts["count.write.forward"] += 1
            counts["count.read.forward"] += number > 0
        return operations

    def sum(self, word, step):
        """Operations of one word: every bitmap word under its window, every set bit of the window in it."""
        unit, counts, operations = self.unit, self.counts, 0
        inputs = [i for tap in self.windows[word // unit.channel_words] for i in tap]
        for bitmap_word in sorted({self.word[i] for i in inputs}):
            counts["input.read.forward"] += 1
            events = self.active(step, [i for i in inputs if self.word[i] == bitmap_word])
            operations += max(1, len(events))
            for _ in events:
                counts["weight.read.forward"] += 1
                counts["value.read.forward"] += 1
                counts["adds.forward"] += lanes_of(unit, word)
        if unit.weights.bias:  # one more event, of an input that is in no memory
            operations += 1
            counts["weight.read.forward"] += 1
            counts["adds.forward"] += lanes_of(unit, word)
        return operations

    def pool_sum(self, word, step):
        """Operations of one word of a pool: every tap, whose spikes are added at once."""
        unit, counts = self.unit, self.counts
        window, first = self.windows[word // unit.channel_words], word % unit.channel_words * unit.lanes
        for tap in window:
            counts["input.read.forward"] += 1
            if self.active(step, tap[first:first + unit.lanes]):
                counts["value.read.forward"] += 1
                counts["adds.forward"] += lanes_of(unit, word)
        return len(window)

    def backward(self, number, steps):
        unit, counts, operations = self.unit, self.counts, 0
        for word in range(unit.words):
            pixel, group = divmod(word, unit.channel_words)
            first = pixel * unit.channels + group * unit.lanes
            for step in steps:
                counts["window.read.backward"] += 1
                own = 0
                for neuron in range(first, first + lanes_of(unit, word) if self.above else first):
                    # Nobody above has heard of a dropped spike.
                    if self.seen.codes[step, neuron] and not (unit.dropout and self.seen.dropped[step, neuron]):
                        own += self.ask(neuron)
                operations += max(2, own)
                if not unit.input.static:
                    counts["error.write.backward"] += 1
            if unit.input.static:
                # Errors of a frame are summed in place: over the interval, or over all of the update period.
                counts["error.write.backward"] += 1
                counts["error.read.backward"] += (
                    not unit.rule.accumulates and number % self.config.time.update_period > 0)
            counts["count.read.backward"] += 1
        return operations

    def ask(self, neuron):
        """Requests of one neuron: a word of the unit above each."""
        above, asked, requests = self.above, self.asked, 0
        for _ in range(self.reach[neuron]):
            for word in [0] if above.window.pools else range(above.channel_words):
                requests += 1
                asked["error.read.backward"] += 1
                asked["weight.read.backward"] += not above.window.pools
                asked["adds.backward"] += 1 if above.window.pools else lanes_of(above, word)
        return requests

    def update(self, first):
        """Row by row, over the errors of an update period."""
        unit, counts, operations = self.unit, self.counts, 0
        for bitmap_word in range(unit.bitmap.words):
            inputs = [i for i in range(unit.n_in) if self.word[i] == bitmap_word]
            visited, before = Counter(), operations
            for step in self.steps(first, self.config.time.update_period):
                counts["input.read.update"] += 1
                visited.update(self.active(step, inputs))
            for row, visits in visited.items():
                for word in range(unit.words):
                    self.move(row, word)
                    counts["error.read.update"] += visits
                    counts["value.read.update"] += visits
                    counts["adds.update"] += visits * lanes_of(unit, word)
                    operations += visits
            operations += operations > before  # one cycle until the first row is known
        if unit.weights.bias:
            operations += 1
            for word in range(unit.words):
                self.move(unit.fan_in - 1, word)
                for _ in self.steps(first, self.config.time.update_period):
                    counts["error.read.update"] += 1
                    counts["adds.update"] += lanes_of(unit, word)
                    operations += 1
        self.updates += 1
        return operations

    def move(self, row, word):
        """A weight word is read, and written unless no weight in it moves."""
        lanes = slice(word * self.unit.lanes, (word + 1) * self.unit.lanes)
        before, after = (self.weights[self.updates + i][row, lanes] for i in range(2))
        top = (1 << self.unit.weights.width - 1) - 1
        # Weights at their limit may stand still although they are written.
        stuck = ((before == top) | (before == -top - 1)).any() and bool(self.seen.moved[self.updates][row, lanes].any())
        moves = not torch.equal(before, after) or stuck
        self.counts["weight.read.update"] += 1
        self.counts["weight.write.update" if moves else "skips.update"] += 1

    def accumulate(self, steps):
        """Event by event: every weight word that an input meets, through every tap."""
        unit, counts, operations = self.unit, self.counts, 0
        for step in steps:
            own = 0
            for bitmap_word in range(unit.bitmap.words):
                counts["input.read.update"] += 1
                events = 0
                for i in self.active(step, [i for i in range(unit.n_in) if self.word[i] == bitmap_word]):
                    y, x = divmod(i // unit.shape_in[2], unit.shape_in[1])
                    for out_y, out_x in product(range(unit.shape_out[0]), range(unit.shape_out[1])):
                        _, _, stride, padding = unit.window
                        tap = y + padding - out_y * stride, x + padding - out_x * stride
                        if unit.window.kind == "dense":
                            tap = y, x  # one window over everything
                        elif not all(0 <= place < unit.window.kernel for place in tap):
                            continue
                        for word in range(unit.channel_words):
                            events += 1
                            counts["gradient.read.update"] += 1
                            counts["gradient.write.update"] += 1
                            counts["error.read.update"] += 1
                            counts["value.read.update"] += 1
                            counts["adds.update"] += lanes_of(unit, word)
                            self.touched.add((*tap, i % unit.shape_in[2], word))
                own += max(1, events)
            for word in range(unit.words if unit.weights.bias else 0):
                own += 1
                counts.update(["gradient.read.update", "gradient.write.update", "error.read.update"])
                counts["adds.update"] += lanes_of(unit, word)
                self.touched.add((None, None, None, word % unit.channel_words))
            operations += max(2, own)
        return operations

    def apply(self):
        """All words of the gradient memory; those that were touched move a weight and are cleared."""
        unit, counts = self.unit, self.counts
        counts["gradient.read.update"] += unit.weight_depth
        counts["gradient.write.update"] += len(self.touched)
        for y, x, channel, word in self.touched:
            width = unit.window.kernel if unit.window.kind == "conv" else unit.shape_in[1]
            self.move(unit.fan_in - 1 if y is None else (y * width + x) * unit.shape_in[2] + channel, word)
        self.touched = set()
        self.updates += 1

    def finish(self, requests):
        """The unit's counters; `requests` are those of the unit below."""
        unit, counts = self.unit, self.counts
        granules = unit.shape_in[0] * unit.shape_in[1] * -(-unit.shape_in[2] // unit.granule)
        counts["input.write.forward"] = unit.bitmap.words if unit.input.static else self.config.time.steps * granules
        if unit.input.static:
            counts["value.write.forward"] = unit.n_in
        if unit is self.config.units[-1]:
            counts["count.read.report"] = unit.words
        # The loops above count for every kind of unit; only a frame has values, only a classifier spike counts.
        absent = [kind for kind, there in (("value", unit.input.static), ("count", unit.classifier)) if not there]
        kept = {name: count for name, count in counts.items() if name.split(".")[0] not in absent}
        return Counter(kept) + Counter(requests)


def expected(config, trace, before):
    passes, counters, below = [], {}, Walk(config, 0, trace, before[0])
    for place, unit in enumerate(config.units):
        walk = below if place == 0 else Walk(config, place, trace, before[place])
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
        before = [weights.clone() for weights in golden.state["weight"]]
        trace = golden.run(frame, number % config.network.classes, train=train, record=True)
        (passes,), counters = passes_and_counters(config, [trace])
        wanted, counted = expected(config, trace, before)
        assert passes == wanted
        assert {name: count for name, count in counters.items() if count} == counted
        assert all(type(count) is int for count in counters.values())  # a tensor would not go into JSON


@given(biased(dropping(configs())), st.booleans())
def test_equals_the_walk(config, train):
    check(config, train)


@settings(max_examples=100)
@given(biased(dropping(spatial_configs())), st.booleans())
def test_equals_the_walk_over_images(config, train):
    check(config, train)


@pytest.mark.parametrize("train", [False, True])
def test_equals_the_walk_with_many_words(train):
    # More than one bitmap word everywhere, the last of each not full.
    check(small(
        time={"steps": 6, "interval": 3, "update_period": 2}, input={"size": 70}, classifier={"lanes": 2},
        layers=[{"neurons": 67, "lanes": 3}, {"neurons": 41, "lanes": 4}, {"neurons": 35, "lanes": 35}],
        network={"classes": 5, "block_length": None, "block_ends": [2, 3]}, initial={"gain": 4.0}), train)


@pytest.mark.parametrize("train", [False, True])
def test_equals_the_walk_with_wide_pixels(train):
    # Pixels of more than one bitmap word, below a pool and below a convolution; a pool that serves.
    check(small(
        time={"steps": 4, "interval": 2, "update_period": 2}, input={"shape": (4, 5, 35)}, initial={"gain": 4.0},
        layers=[{"kind": "conv", "channels": 37, "kernel": 3, "padding": 1, "lanes": 5},
                {"kind": "avg_pool", "size": 2, "stride": 1},
                {"kind": "conv", "channels": 34, "kernel": 2, "lanes": 17}],
        network={"block_length": 2}, classifier={"lanes": 2}), train)


def test_by_hand():
    """Two inputs of five set, one of two neurons inside the window, nothing fires."""
    config = small(time={"steps": 1, "interval": 1}, input={"size": 5, "fraction": 0},
                   layers=[{"neurons": 2, "lanes": 1}], network={"classes": 3}, classifier={"lanes": 2})
    golden = Golden(config)
    golden.state["weight"][0][:] = torch.tensor([[0, 0], [6, -6], [0, 0], [6, -6], [0, 0]])
    (passes,), counters = passes_and_counters(config, [golden.run(torch.tensor([0, 1, 0, 1, 0]), 0, train=True)])
    # Forward: two words with two events; the classifier has none, twice two. Backward: the first neuron (12 of 32, in
    # the window) asks for two words, the other costs two empty operations. Update: two rows, two words, in which
    # every step rounds to zero, and a cycle until the first is known; none.
    assert passes == [[Passes(4, (4,), (5,))], [Passes(4, (4,), (0,))]]
    assert {name: counters[name] for name in (
        "block0.layer0.adds.forward", "block0.layer0.weight.read.forward", "block0.layer0.weight.read.update",
        "block0.layer0.weight.write.update", "block0.layer0.skips.update",
        "block0.classifier.weight.read.backward", "block0.classifier.adds.backward",
        "block0.classifier.weight.write.update")} == {
        "block0.layer0.adds.forward": 4, "block0.layer0.weight.read.forward": 4,
        "block0.layer0.weight.read.update": 4, "block0.layer0.weight.write.update": 0,
        "block0.layer0.skips.update": 4, "block0.classifier.weight.read.backward": 2,
        "block0.classifier.adds.backward": 3, "block0.classifier.weight.write.update": 0}
