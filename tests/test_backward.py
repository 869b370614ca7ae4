"""The backward pass: errors of the golden model in the documented cycles, and no request that nobody needs."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_taps import expected_walk

from spikeloom.golden.neuron import error_steps
from spikeloom.golden.schedule import backward_cycles
from spikeloom.golden.stages import serve
from spikeloom.rtl.backward import BackwardPath, window_layout
from strategies import configs, dropping, simulate, small, spatial_configs


def word_of(unit, neuron):
    """Word and lane of a neuron."""
    pixel, channel = divmod(neuron, unit.channels)
    return pixel * unit.channel_words + channel // unit.lanes, channel % unit.lanes


def window_words(config, unit, codes, fired, dropped, source):
    """The window history; lanes without a neuron hold anything."""
    layout, words = window_layout(unit), []
    for word in range(unit.words):
        group = word % unit.channel_words
        lanes = unit.lanes if group < unit.channel_words - 1 else unit.last_lanes
        first = word // unit.channel_words * unit.channels + group * unit.lanes
        for step in range(unit.steps):
            fields = {"codes": codes, "fired": fired, "dropped": dropped}
            values = {name: [int(own) for own in fields[name][step][first:first + lanes]]
                      + [source.randrange(2) for _ in range(unit.lanes - lanes)] for name in layout.members}
            bits = unit.neuron.code_bits
            value = sum(code << lane * bits for lane, code in enumerate(values.pop("codes")))
            for name, flags in values.items():
                value |= sum(flag << lane for lane, flag in enumerate(flags)) << layout[name].offset
            words.append(value)
    return words


def walk(unit, above, neuron):
    """Requests that the error of a neuron takes, as (row, weight_base, word, first, last, full)."""
    if above.window.kind == "dense":
        word, lane = word_of(unit, neuron)
        return expected_walk(above, 0, 0, word * unit.lanes + lane)
    pixel, channel = divmod(neuron, unit.channels)
    return expected_walk(above, pixel // unit.shape_out[1], pixel % unit.shape_out[1], channel)


def rtl_backward(config, unit, above, memory, own, delta, *, offset):
    """Errors by (word, step), requests, cycles of each slice, addresses; slices from the last to the first.

    `own` has the error of each lane of a word of a classifier; `delta` is asked with each request for what it gives.
    """
    dut = BackwardPath(config, unit, above)
    errors, requests, spent, kept, carried = {}, [], [], [], {}

    async def one_slice(ctx, first):
        latency = len(serve(above)) - 1 if above else 0
        due_delta, due_own, due_stored, cycle, done = {}, {}, {}, 0, False
        for name, value in (("start", 1), ("slice_first", first), ("offset", offset + (
                first if unit.rule.gradient == "history" else 0))):
            ctx.set(getattr(dut, name), value)
        while not done:
            done = ctx.get(dut.done)
            window = memory[ctx.get(dut.address)] if ctx.get(dut.fetch) else None
            if above and ctx.get(dut.request.valid):
                asked = ctx.get(dut.request)
                requests.append((asked.step + first, asked))
                if asked.last:
                    due_delta[cycle + latency] = delta(len(requests) - 1)
            if above is None and ctx.get(dut.own_en):
                due_own[cycle + 1] = own[ctx.get(dut.own_word)]
            if ctx.get(dut.stored_en):
                due_stored[cycle + 3] = carried.get(ctx.get(dut.stored_word), [0] * unit.lanes)
            if ctx.get(dut.error_valid):
                step = ctx.get(dut.error_step) - offset + (0 if unit.rule.gradient == "history" else first)
                word = ctx.get(dut.error_word)
                errors[word, step] = [int(value) for value in ctx.get(dut.errors)]
                kept.append(ctx.get(dut.error_address))
                assert ctx.get(dut.error_word_first) == (step == first + unit.slice_steps - 1)
                assert ctx.get(dut.error_word_last) == (step == first)
            cycle += 1
            assert cycle < 50_000, "the pass does not end"
            await ctx.tick()
            ctx.set(dut.start, 0)
            if window is not None:
                ctx.set(dut.window.as_value(), window)
            if above:
                ctx.set(dut.delta, due_delta.get(cycle, 3))  # of another cycle it is anything
            elif cycle in due_own:
                ctx.set(dut.own, due_own[cycle])
            if unit.slices > 1:
                ctx.set(dut.stored, due_stored.get(cycle, [5] * unit.lanes))
        spent.append(cycle)

    async def bench(ctx):
        for first in reversed(range(0, unit.steps, unit.slice_steps)):
            await one_slice(ctx, first)
            carried.update({word: errors[word, first] for word in range(unit.words)})
            await ctx.tick()

    simulate(dut, bench)
    return errors, requests, spent, kept


def check(config, unit, above, density, seed, *, offset=0):
    """One interval of random codes, spikes and errors from above."""
    source, random_source = random.Random(seed), torch.Generator().manual_seed(seed)
    shape = unit.steps, unit.n_out
    inside = torch.rand(shape, generator=random_source) < density
    codes = torch.tensor([0, *config.surrogate.codes])[
        torch.randint(0, len(config.surrogate.codes) + 1, shape, generator=random_source)] * inside
    fired, dropped = (torch.rand(shape, generator=random_source) < 0.4 for _ in range(2))
    dropped = dropped if unit.dropout else torch.zeros_like(dropped)
    memory = window_words(config, unit, codes.tolist(), fired.tolist(), dropped.tolist(), source)
    top = 1 << unit.rule.error_width - 1

    # What is asked, in order: from the last word and step on, in a word from the first neuron on.
    wanted, asking, operations = [], [], [0] * unit.slices
    for part in reversed(range(unit.slices)):
        for word in reversed(range(unit.words)):
            for step in reversed(range(part * unit.slice_steps, (part + 1) * unit.slice_steps)):
                neurons = [own for own in range(unit.n_out)
                           if word_of(unit, own)[0] == word and codes[step, own] and not dropped[step, own]]
                visits = [[(step, visit) for visit in walk(unit, above, own)] for own in neurons] if above else []
                asking += [(step, own) for own in neurons]
                wanted += [visit for visits_of_one in visits for visit in visits_of_one]
                operations[part] += max(unit.neuron_cycles, sum(map(len, visits)))
    given = {place: source.randrange(-top, top) for place in asking}
    ends = [place for place, (_, visit) in enumerate(wanted) if visit.last]
    delta = torch.zeros(shape, dtype=torch.int64)
    own = [[source.randrange(-unit.steps, unit.steps + 1) for _ in range(unit.lanes)] for _ in range(unit.words)]
    if above is None:
        for neuron in range(unit.n_out):
            word, lane = word_of(unit, neuron)
            delta[:, neuron] = own[word][lane] << config.numbers.error.fraction
    else:
        for place, value in given.items():
            delta[place] = value
    found, requests, spent, kept = rtl_backward(
        config, unit, above, memory, own, lambda number: given[asking[ends.index(number)]], offset=offset)

    assert [(step, (asked.row, None if above.window.pools else asked.weight_base, asked.word, bool(asked.first),
                    bool(asked.last), bool(asked.full))) for step, asked in requests] == [
        (step, tuple(visit)) for step, visit in wanted]
    errors = error_steps(delta, codes, fired, unit.neuron)
    for neuron in range(unit.n_out):
        word, lane = word_of(unit, neuron)
        assert [found[word, step][lane] for step in range(unit.steps)] == errors[:, neuron].tolist()
    # Lanes without a neuron never leave zero: their errors are read by the unit below and by the update.
    assert not any(any(own[unit.last_lanes:]) for (word, _), own in found.items()
                   if word % unit.channel_words == unit.channel_words - 1)
    assert spent == [backward_cycles(unit, above, own) for own in reversed(operations)]
    steps = [step for part in reversed(range(unit.slices)) for _ in range(unit.words)
             for step in reversed(range(part * unit.slice_steps, (part + 1) * unit.slice_steps))]
    words = [word for _ in range(unit.slices) for word in reversed(range(unit.words)) for _ in range(unit.slice_steps)]
    if not unit.input.static:
        within = [offset + step if unit.rule.gradient == "history" else step % unit.slice_steps for step in steps]
        assert kept == [word * unit.error_frames + step for word, step in zip(words, within)]
    return requests


@settings(max_examples=25)
@given(dropping(configs()) | dropping(spatial_configs()), st.data())
def test_one_interval(config, data):
    block = data.draw(st.sampled_from(config.blocks))
    places = [place for place, unit in enumerate(block.units) if unit.rule.learns]
    place = data.draw(st.sampled_from(places))
    unit = block.units[place]
    offset = data.draw(st.sampled_from(range(0, unit.error_frames, unit.steps))) \
        if unit.rule.gradient == "history" and not unit.input.static else 0
    check(config, unit, block.units[place + 1] if place + 1 < len(block.units) else None,
          data.draw(st.sampled_from([0.0, 0.2, 1.0])), data.draw(st.integers(0, 999)), offset=offset)


IMAGES = small(time={"steps": 4, "interval": 4}, input={
    "kind": "events", "shape": [4, 4, 2], "bits": 1, "fraction": 0},
               layers=[{"kind": "conv", "channels": 3, "kernel": 3, "padding": 1, "lanes": 2, "dropout": 5},
                       {"kind": "avg_pool", "size": 2}, {"neurons": 4, "lanes": 3}], network={"block_length": 2},
               neuron={"reset": "zero", "reset_error": False}, hardware={"error_steps": 2},
               surrogate={"shape": "table", "bin": 0.25, "values": [3, 1], "shift": 0})


@pytest.mark.parametrize("place", range(4))
def test_slices_with_every_flag_in_the_window(place):
    """Below a pooling, a dense layer and a classifier; two slices, of which the later one is passed on."""
    units = IMAGES.blocks[0].units
    assert set(window_layout(units[0]).members) == {"codes", "fired", "dropped"} and units[0].slices == 2
    requests = check(IMAGES, units[place], units[place + 1] if place < 3 else None, 0.6, place)
    assert bool(requests) == (place < 3)


def test_nobody_inside_a_window_asks_nothing():
    config = small()
    unit, above = config.blocks[0].units
    assert check(config, unit, above, 0.0, 1) == []
