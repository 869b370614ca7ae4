"""The forward pass: potentials, spikes and codes of the golden model, in order, in the documented cycles."""

import random
from collections import deque
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.golden import neuron
from spikeloom.golden.arithmetic import shift_floor, shift_kept
from spikeloom.golden.linear import bias_sums, input_sums
from spikeloom.golden.schedule import forward_cycles
from spikeloom.golden.stages import product_latency
from spikeloom.rtl.forward import ForwardPath
from strategies import biased, configs, dropping, simulate, small, spatial_configs

BASE = 3  # the bitmaps do not begin with the memory


class Late:
    """A value that is to be set so many cycles from now."""

    def __init__(self, cycles):
        self._values = deque([None] * cycles)

    def then(self, value):
        """Take one in; the one that is due, or None."""
        self._values.append(value)
        return self._values.popleft()


def place(unit, i):
    """Bit of an input in the bitmap words of a step."""
    _, width, channels = unit.shape_in
    if unit.window.kind == "dense":
        return unit.fan_address(i)
    return unit.bitmap.position(i // channels // width, i // channels % width, i % channels)


def bitmaps(unit, inputs, source):
    """Words of all steps, behind some of another interval."""
    layout = unit.bitmap
    words = [source.getrandbits(layout.scan_width) for _ in range(BASE)]
    for step in inputs.tolist():
        bits = sum(1 << place(unit, i) for i, value in enumerate(step) if value)
        words += [bits >> word * layout.scan_width & (1 << layout.scan_width) - 1 for word in range(layout.words)]
    return words


def operations(unit, inputs):
    """Of the pass: bits under each window, bitmap word by bitmap word; of a pooling, its taps."""
    layout, total = unit.bitmap, 0
    for step in (inputs != 0).tolist():
        bits = {place(unit, i) for i, value in enumerate(step) if value}
        for rows, columns in product(*unit.windows):
            words = {}
            for y, x, channel in product(range(rows.first, rows.first + rows.count),
                                         range(columns.first, columns.first + columns.count),
                                         range(layout.channels)):
                bit = layout.position(y, x, channel)
                words.setdefault(bit // layout.scan_width, []).append(bit in bits)
            count = rows.count * columns.count if unit.window.pools else \
                sum(max(1, sum(own)) for own in words.values()) + unit.weights.bias
            total += max(unit.step_minimum, count) * unit.channel_words
    return total


def rtl_forward(config, unit, inputs, weights, stored, *, first, last, train, seed):
    """Outputs (word, step, word_last, spikes, codes, potentials), cycles, and what becomes of the potentials."""
    source = random.Random(seed)
    memory = bitmaps(unit, inputs, source)
    term_width = unit.weights.width + unit.input.bits
    dut = ForwardPath(config, unit, depth=len(memory), term_width=term_width)
    rows = {unit.fan_address(row): row for row in range(unit.fan_in)}
    values = {(BASE * unit.bitmap.scan_width if unit.input.static else 0) + place(unit, i): value
              for i, value in enumerate(inputs[0].tolist())}
    found, spent, reads, kept = [], [], [], {}

    def terms(address, position, of_bias):
        """A word of weights, times the frame value where the input is one."""
        group, row = divmod(address, unit.fan_rows) if not unit.window.pools else (0, 0)
        assert of_bias == (unit.weights.bias and row == unit.fan_rows - 1)
        factor = 1 << unit.input.fraction if of_bias else values[position] if unit.input.static else 1
        if unit.window.pools:
            return [unit.pool_weight * factor] * unit.lanes
        return [int(weights[rows[row]][c]) * factor if c < unit.channels else source.randrange(9)
                for c in range(group * unit.lanes, (group + 1) * unit.lanes)]

    async def bench(ctx):
        # Address, memory, register; the choice of a factor and its product.
        late_terms = Late(3 + (1 + product_latency(unit) if unit.input.static else 0) - 1)
        late_bits, late_stored = Late(0), Late(1)
        for name, value in (("first_interval", first), ("last_interval", last), ("base", BASE), ("start", 1)):
            ctx.set(getattr(dut, name), value)
        if unit.input.dropout:
            ctx.set(dut.train, train)
        cycles, done = 0, False
        while not done:
            done = ctx.get(dut.done)
            if ctx.get(dut.out_valid):
                found.append((
                    ctx.get(dut.out_word), ctx.get(dut.out_step), ctx.get(dut.out_word_last), ctx.get(dut.out_spikes),
                    *([int(own) for own in ctx.get(lanes)] for lanes in (dut.out_codes, dut.out_potentials))))
            if ctx.get(dut.stored_en):
                reads.append(ctx.get(dut.stored_address))
            if ctx.get(dut.keep_en):
                kept[ctx.get(dut.keep_address)] = found[-1][-1]
            due = {
                "bits": late_bits.then(memory[ctx.get(dut.address)] if ctx.get(dut.fetch) else None),
                "stored": late_stored.then(stored[ctx.get(dut.stored_address)] if ctx.get(dut.stored_en) else
                                           [0] * unit.lanes if first else None),
                "terms": late_terms.then(terms(ctx.get(dut.weight_address), ctx.get(dut.position),
                                               unit.weights.bias and bool(ctx.get(dut.of_bias)))
                                         if ctx.get(dut.event) else None),
            }
            cycles += 1
            assert cycles < 50_000, "the pass does not end"
            await ctx.tick()
            ctx.set(dut.start, 0)
            for name, value in due.items():
                if value is not None:
                    ctx.set(getattr(dut, name), value)
                elif name == "terms":  # what nobody asked for does not count
                    ctx.set(dut.terms, [source.randrange(9) for _ in range(unit.lanes)])
        spent.append(cycles)

    simulate(dut, bench)
    return found, spent[0], reads, kept


def check(config, unit, density, seed, *, first=False, last=False, train=True):
    """One pass over random inputs, from random potentials."""
    random_source = torch.Generator().manual_seed(seed)

    def drawn(low, high, *shape):
        return torch.randint(low, high, shape, generator=random_source)

    frames = 1 if unit.input.static else unit.steps
    inputs = (torch.rand(frames, unit.n_in, generator=random_source) < density).long()
    inputs *= drawn(1, 1 << unit.input.bits if unit.input.static else 2, frames, unit.n_in)
    top, width = 1 << unit.weights.width - 1, 1 << unit.neuron.width - 1
    weights, before = drawn(-top, top, unit.fan_in, unit.channels), drawn(-width, width, unit.n_out)
    if first:
        before.zero_()
    sums = input_sums(unit, inputs, weights)
    biases = bias_sums(unit, weights) if unit.weights.bias else torch.tensor(0)
    current = shift_kept(sums, -unit.align, unit.input.dropout, biases) if unit.input.dropout and not train else \
        shift_floor(sums + biases, -unit.align)
    potentials = neuron.potential_steps(before, current, unit.neuron, unit.steps)

    def words(values):
        """By word and step: the channels of a word, as far as there are any."""
        return [[step[pixel * unit.channels + group * unit.lanes:][:min(
            unit.lanes, unit.channels - group * unit.lanes)] for step in values.tolist()]
            for pixel in range(unit.pixels) for group in range(unit.channel_words)]

    fired, codes = neuron.fired(potentials, unit.neuron), neuron.codes(potentials, unit.neuron)
    wanted = [words(own) for own in (fired.int(), codes, potentials)]
    stored = [own[0] + [7] * (unit.lanes - len(own[0])) for own in words(before.unsqueeze(0))]
    found, cycles, reads, kept = rtl_forward(
        config, unit, inputs, weights, stored, first=first, last=last, train=train, seed=seed)
    assert cycles == forward_cycles(unit, operations(unit, inputs))
    assert [own[:3] for own in found] == [(word, step, step == unit.steps - 1)
                                          for word in range(unit.words) for step in range(unit.steps)]
    for word, step, _, fired, codes, own in found:
        lanes = len(wanted[0][word][step])
        assert fired == sum(bit << lane for lane, bit in enumerate(wanted[0][word][step]))
        assert codes[:lanes] == wanted[1][word][step]
        assert own[:lanes] == wanted[2][word][step]
    # Potentials are read once per word, and none for a sample that begins; none is kept of one that ends.
    assert reads == ([] if first else list(range(unit.words)))
    assert {word: own[:len(wanted[2][word][-1])] for word, own in kept.items()} == (
        {} if last else {word: own[-1] for word, own in enumerate(wanted[2])})


@settings(max_examples=12)
@given(biased(dropping(configs()) | dropping(spatial_configs())), st.data())
def test_one_interval(config, data):
    check(config, data.draw(st.sampled_from(config.units)), data.draw(st.sampled_from([0.0, 0.2, 1.0])),
          data.draw(st.integers(0, 999)), first=data.draw(st.booleans()), last=data.draw(st.booleans()),
          train=data.draw(st.booleans()))


POOLED = small(input={"shape": [4, 4, 1]}, layers=[
    {"kind": "conv", "channels": 3, "kernel": 3, "padding": 1, "lanes": 2}, {"kind": "avg_pool", "size": 2}])


@pytest.mark.parametrize("config, number", [
    (small(), 0), (small(), 1), (POOLED, 0), (POOLED, 1), (POOLED, 2),
    (small(input={"shape": [4, 4, 2]}, layers=[{"kind": "avg_pool", "size": 2}, {"neurons": 3, "lanes": 2}],
           network={"block_length": 1}), 0)])
def test_each_kind_of_unit(config, number):
    """A frame, spikes, a convolution over a frame, a pooling of spikes and of a frame."""
    check(config, config.units[number], 0.5, 1)
