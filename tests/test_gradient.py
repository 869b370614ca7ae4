"""Gradients summed in memory: the sums of linear algebra in the documented cycles, whatever was added just before."""

from dataclasses import replace

import pytest
import torch
from amaranth.hdl import ClockDomain, Module, Mux, Signal, signed
from amaranth.lib import data
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.golden.linear import columns, gradient, weighted_rows
from spikeloom.golden.schedule import accumulate_cycles
from spikeloom.rtl.arithmetic import multiply, register
from spikeloom.rtl.gradient import AccumulatePath, ApplyScan
from spikeloom.rtl.store import Store
from strategies import load, simulate, small, spatial_units

BASE = 2  # the bitmaps do not begin with the memory


class Bench:
    """An `AccumulatePath` between memories of bitmaps, frame values and errors, wired as in a unit."""

    def __init__(self, unit):
        self.unit, self.m = unit, Module()
        m, layout, depth = self.m, unit.bitmap, BASE + unit.frames * unit.bitmap.words
        m.domains.sync = self.domain = ClockDomain()
        self.path = path = AccumulatePath(unit, depth=depth, term_width=unit.history_width + unit.input.bits)
        self.bitmaps = Store(width=layout.scan_width, depth=depth)
        self.errors = Store(width=unit.lanes * unit.history_width, depth=unit.words * unit.frames)
        self.values = Store(width=max(1, unit.input.bits), depth=depth * layout.scan_width)
        m.submodules += [path, self.bitmaps, self.errors, self.values]
        lanes = data.ArrayLayout(signed(unit.history_width), unit.lanes)
        # The unit has a register before its memories and one behind.
        error, value = Signal(lanes), Signal(max(1, unit.input.bits))
        read = self.values.read
        if unit.weights.bias:
            read = Mux(register(m, path.of_bias, name="of_bias"), 1 << unit.input.fraction, read)
        m.d.sync += [error.eq(register(m, self.errors.read, name="early_error")),
                     value.eq(register(m, read, name="early_value"))]
        m.d.comb += [
            self.bitmaps.read_en.eq(path.fetch), self.bitmaps.read_address.eq(path.address),
            path.bits.eq(self.bitmaps.read),
            self.errors.read_en.eq(path.error_en), self.errors.read_address.eq(path.error_address),
            self.values.read_en.eq(path.error_en), self.values.read_address.eq(path.position),
        ]
        for lane in range(unit.lanes):
            if unit.input.static:
                factor = Signal(signed(unit.factor_width), name=f"factor_{lane}")
                m.d.sync += factor.eq(error[lane])
                m.d.comb += path.terms[lane].eq(
                    multiply(m, factor, register(m, value, name=f"value_{lane}"), name=f"product_{lane}"))
            else:
                m.d.comb += path.terms[lane].eq(error[lane])

    def place(self, i):
        """Bit of an input in the bitmap words of a step."""
        _, width, channels = self.unit.shape_in
        return self.unit.bitmap.position(i // channels // width, i // channels % width, i % channels)

    async def fill(self, ctx, inputs, errors):
        """Memories as they are when an interval is over; bits that nobody ever writes are set."""
        unit, layout = self.unit, self.unit.bitmap
        unused = (1 << layout.words * layout.scan_width) - 1
        for i in range(0, unit.n_in, unit.shape_in[2]):
            unused &= ~((1 << layout.granules * layout.granule) - 1 << self.place(i))
        rows = [0] * BASE
        for step in inputs.tolist():
            bits = unused | sum(1 << self.place(i) for i, value in enumerate(step) if value)
            rows += [bits >> word * layout.scan_width & (1 << layout.scan_width) - 1 for word in range(layout.words)]
        await load(ctx, self.bitmaps, rows)
        words = errors.reshape(-1, unit.pixels, unit.channels)
        words = torch.nn.functional.pad(words, (0, unit.channel_words * unit.lanes - unit.channels))
        words = words.reshape(len(words), unit.words, unit.lanes).transpose(0, 1).flatten(0, 1).tolist()
        width = unit.history_width
        await load(ctx, self.errors, [sum(error % (1 << width) << lane * width for lane, error in enumerate(word))
                                      for word in words])
        if unit.input.static:
            for i, value in enumerate(inputs[0].tolist()):
                ctx.set(self.values.write_en, 1)
                ctx.set(self.values.write_address, BASE * layout.scan_width + self.place(i))
                ctx.set(self.values.write, value)
                await ctx.tick()
            ctx.set(self.values.write_en, 0)

    async def accumulate(self, ctx, inputs, errors):
        """One interval; cycles from `start` to `done`, both included, and counted memory accesses."""
        path = self.path
        await self.fill(ctx, inputs, errors)
        while not ctx.get(path.ready):
            await ctx.tick()
        cycles = reads = writes = done = 0
        ctx.set(path.start, 1)
        ctx.set(path.base, BASE)
        while not done:
            reads, writes, done = reads + ctx.get(path.reads), writes + ctx.get(path.writes), ctx.get(path.done)
            cycles += 1
            assert cycles < 100_000, "the pass does not end"
            await ctx.tick()
            ctx.set(path.start, 0)
        return cycles, reads, writes

    async def apply(self, ctx):
        """All words in the order of addresses, one per cycle: the sums, or None of a word that was not touched."""
        path, words = self.path, []
        ctx.set(path.apply_en, 1)
        for address in range(self.unit.weight_depth):
            ctx.set(path.apply_address, address)
            await ctx.tick()
            word = ctx.get(path.apply)
            words.append([word.sums[lane] for lane in range(self.unit.lanes)] if word.touched else None)
        ctx.set(path.apply_en, 0)
        await ctx.tick()
        return words


def visits(unit, inputs):
    """How many additions each input of each step takes: (steps, n_in)."""
    reach = columns(unit, torch.eye(unit.n_in, dtype=torch.int64)).sum((1, 2))
    return (inputs != 0) * reach * unit.channel_words


def operations(bench, inputs):
    """Of one interval, from the loops of the scan."""
    unit, total = bench.unit, 0
    owner = torch.tensor([bench.place(i) // unit.bitmap.scan_width for i in range(unit.n_in)])
    for step in visits(unit, inputs):
        words = [int(step[owner == word].sum()) for word in range(unit.bitmap.words)]
        words += [unit.words] * unit.weights.bias
        total += max(2, sum(max(1, word) for word in words))
    return total


def expected_words(unit, intervals):
    """The gradient memory after `intervals` of (inputs, errors); lanes without a neuron are zero."""
    total = sum(gradient(unit, inputs, errors) for inputs, errors in intervals)
    rows = torch.stack([weighted_rows(unit, inputs != 0) for inputs, _ in intervals]).any(0)
    padded = torch.nn.functional.pad(total, (0, unit.channel_words * unit.lanes - unit.channels)).tolist()
    words = [None] * unit.weight_depth
    for row in range(unit.fan_in):
        for group in range(unit.channel_words if rows[row] else 0):
            words[group * unit.fan_rows + unit.fan_address(row)] = \
                padded[row][group * unit.lanes:(group + 1) * unit.lanes]
    return words


def check(unit, periods):
    """Accumulate the intervals of every period, and apply."""
    bench, seen, wanted = Bench(unit), [], []

    async def run(ctx):
        for intervals in periods:
            for inputs, errors in intervals:
                seen.append(await bench.accumulate(ctx, inputs, errors))
            seen.append(await bench.apply(ctx))

    simulate(bench.m, run)
    for intervals in periods:
        for inputs, _ in intervals:
            additions = int(visits(unit, inputs).sum()) + unit.weights.bias * unit.words * len(inputs)
            wanted.append((accumulate_cycles(unit, operations(bench, inputs)), additions, additions))
        wanted.append(expected_words(unit, intervals))
    assert seen == wanted
    return wanted


def stimulus(unit, source, density):
    """Inputs and errors of one interval, errors over their whole range."""
    steps = unit.frames
    inputs = (torch.rand(steps, unit.n_in, generator=source) < density).long()
    if unit.input.static:
        inputs *= torch.randint(1, 1 << unit.input.bits, inputs.shape, generator=source)
    top = (1 << unit.rule.error_width - 1) * (unit.steps if unit.input.static else 1)
    return inputs, torch.randint(-top, top, (steps, unit.n_out), generator=source)


@settings(max_examples=30)
@given(spatial_units(kinds=("conv",)), st.sampled_from([0.0, 0.1, 0.4, 1.0]), st.integers(0, 999))
def test_sums_of_two_periods(drawn, density, seed):
    """What one period has summed is gone in the next."""
    config, unit = drawn
    unit = replace(unit, slice_steps=unit.steps)  # a path knows no other slice than its own
    source = torch.Generator().manual_seed(seed)
    check(unit, [[stimulus(unit, source, density) for _ in range(config.time.update_period)] for _ in range(2)])


def conv_unit(shape, steps, *, static=False, **layer):
    """A convolution over `shape`, behind a frame or behind a layer that keeps its shape."""
    layers = [{"kind": "conv", "channels": shape[2], "kernel": 1, "lanes": 1}, {"kind": "conv", "lanes": 1, **layer}]
    return small(input={"shape": shape}, time={"steps": steps, "interval": steps},
                 layers=layers[1:] if static else layers).units[0 if static else 2]


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5])
def test_one_word_again_after_so_many_cycles(distance, static):
    """Pixels share the weight of a kernel of one: `distance` output words, met in turn by every pixel."""
    unit = conv_unit((2, 5, 1), 2, static=static, channels=distance, kernel=1)
    source = torch.Generator().manual_seed(distance)
    inputs, errors = stimulus(unit, source, 1.0)
    words = check(unit, [[(inputs, errors)]])[-1]
    assert len(words) == distance
    if not static:
        assert words == [[int(errors[:, channel::distance].sum())] for channel in range(distance)]


def test_a_word_again_in_the_next_step():
    # Nothing but one pixel in two steps: its second addition comes two cycles behind the first.
    unit = conv_unit((1, 2, 1), 2, channels=1, kernel=1)
    inputs, errors = torch.tensor([[1, 0], [1, 0]]), torch.tensor([[5, 100], [-7, 1000]])
    assert check(unit, [[(inputs, errors)]]) == [(accumulate_cycles(unit, 4), 2, 2), [[-2]]]


def test_nothing_active():
    unit = conv_unit((3, 3, 2), 2, channels=3, kernel=2)
    quiet = torch.zeros(2, unit.n_in, dtype=torch.int64), torch.ones(2, unit.n_out, dtype=torch.int64)
    # Three image rows of one word each, in two steps.
    assert check(unit, [[quiet]]) == [(accumulate_cycles(unit, 6), 0, 0), [None] * unit.weight_depth]


@pytest.mark.parametrize("channels", [1, 3])
def test_cleared_after_reset(channels):
    """A reset in the middle of a period: its sums are gone once the path is ready, one cycle per word later."""
    unit = conv_unit((2, 3, 1), 1, channels=channels, kernel=1)
    bench, seen = Bench(unit), []
    stuff = torch.ones(1, unit.n_in, dtype=torch.int64), torch.ones(1, unit.n_out, dtype=torch.int64)

    async def run(ctx):
        await bench.accumulate(ctx, *stuff)
        ctx.set(bench.domain.rst, 1)
        await ctx.tick()
        ctx.set(bench.domain.rst, 0)
        for _ in range(unit.weight_depth + 1):
            seen.append((ctx.get(bench.path.ready), ctx.get(bench.path.writes)))
            await ctx.tick()
        seen.append(await bench.apply(ctx))
        await bench.accumulate(ctx, *stuff)
        seen.append(await bench.apply(ctx))

    simulate(bench.m, run)
    assert seen == [*[(0, 0)] * unit.weight_depth, (1, 0), [None] * channels, [[unit.n_in]] * channels]


def test_order_of_applying():
    """Row by row, and in a row word by word: the order in which random words are drawn."""
    unit = conv_unit((3, 3, 3), 1, static=True, channels=5, kernel=2, lanes=2)
    dut, seen = ApplyScan(unit), []
    assert (unit.fan_rows, unit.channel_words) == (12, 3)

    async def bench(ctx):
        for _ in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            while not ctx.get(dut.finish):
                assert ctx.get(dut.valid)
                seen.append((ctx.get(dut.row), ctx.get(dut.weight_base), ctx.get(dut.full)))
                await ctx.tick()
                assert len(seen) <= 72, "the scan does not end"
            assert not ctx.get(dut.valid)

    simulate(dut, bench)
    assert seen == [(row, 12 * group, int(group != 2)) for row in range(12) for group in range(3)] * 2
