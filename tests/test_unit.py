"""One unit on its own: two update periods of training, what it gives to the unit below, its registers and counters."""

import random

import numpy as np
import pytest
import torch
from test_forward import place
from test_taps import expected_walk

from spikeloom.gen.state import from_memory, to_memory
from spikeloom.golden import neuron, stages
from spikeloom.golden.arithmetic import saturate, shift_floor, shift_nearest
from spikeloom.golden.counters import unit_counters
from spikeloom.golden.dropout import draw_dropped
from spikeloom.golden.lfsr import Lfsr, lane_seeds
from spikeloom.golden.linear import bias_sums, gradient, input_sums, output_sums
from spikeloom.golden.model import visited_rows
from spikeloom.golden.random_weights import lane_keys, random_weights
from spikeloom.golden.states import unit_states
from spikeloom.golden.units import clog2
from spikeloom.rtl.registers import RegisterMap
from spikeloom.rtl.unit import UnitCore
from strategies import simulate, small

LIVELY = {"initial": {"gain": 4.0}, "update": {"shift": 2}}
EVENTS = {"kind": "events", "shape": [4, 4, 2], "bits": 1, "fraction": 0}
CONV = {"kind": "conv", "channels": 3, "kernel": 3, "padding": 1, "lanes": 2}
DENSE = {"neurons": 5, "lanes": 2}
MOMENTUM = {"multiplier": 12, "shift": 4, "width": 16}
#: Configuration and place of the unit.
BIASED = DENSE | {"bias": True}
CASES = {
    "frame": (small(time={"update_period": 2}, **LIVELY), 0),
    "history": (small(time={"steps": 8, "interval": 2, "update_period": 2}, layers=[
        DENSE, DENSE | {"gradient": "history"}], **LIVELY), 2),
    "classifier": (small(**LIVELY, hardware={"counters": True}), 1),
    "memory": (small(layers=[DENSE | {"gradient": "memory"}, DENSE | {"gradient": "memory"}], **LIVELY), 2),
    "batch": (small(initial={"gain": 4.0}, update={"shift": 3, "batch": 2}, hardware={"sample_slots": 3}), 3),
    "momentum": (small(initial={"gain": 4.0}, update={"shift": 3, "momentum": MOMENTUM}), 1),
    "stochastic": (small(initial={"gain": 4.0}, update={"shift": 4, "rounding": "stochastic", "seed": 7}), 1),
    "slices": (small(time={"steps": 8, "interval": 4}, input=EVENTS, layers=[CONV, DENSE], network={
        "block_length": 1}, hardware={"error_steps": 2}, **LIVELY), 0),
    "conv-frame": (small(input={"shape": [4, 4, 2]}, layers=[CONV], **LIVELY), 0),
    "dropout": (small(layers=[DENSE, DENSE | {"dropout": 7}], neuron={"reset": "zero", "reset_error": False},
                      **LIVELY), 2),
    "after-dropout": (small(layers=[DENSE | {"dropout": 7}, DENSE], network={"block_length": 2}, **LIVELY), 1),
    "pool": (small(input={"shape": [4, 4, 2]}, layers=[CONV, {"kind": "avg_pool", "size": 2}]), 1),
    "random": (small(classifier={"kind": "random", "seed": 5}, initial={"gain": 4.0}), 1),
    "bias-frame": (small(time={"update_period": 2}, layers=[BIASED, BIASED], **LIVELY), 0),
    "bias-frame-memory": (small(layers=[BIASED | {"gradient": "memory"}], **LIVELY), 0),
    "bias-history": (small(time={"steps": 8, "interval": 2, "update_period": 2}, layers=[
        DENSE, BIASED | {"gradient": "history"}], **LIVELY), 2),
    "bias-conv": (small(time={"steps": 8, "interval": 4}, input=EVENTS, layers=[CONV | {"bias": True}], hardware={
        "error_steps": 2}, **LIVELY), 0),
    "bias-after-dropout": (small(layers=[DENSE | {"dropout": 7}, BIASED], network={"block_length": 2}, **LIVELY), 1),
    "bias-random": (small(classifier={"kind": "random", "seed": 5, "bias": True}, initial={"gain": 4.0}), 1),
}


class Bench:
    """A `UnitCore` between the memories of its input, a unit above that answers at random, and a host."""

    def __init__(self, config, number):
        self.config, self.unit = config, config.units[number]
        unit, block = self.unit, config.blocks[self.unit.block]
        self.above = None if unit.classifier else block.units[unit.index + 1]
        self.regions = RegisterMap(config).of(unit.block, unit.index)
        self.seeds = lane_seeds(config.update.seed, unit.lanes, number) \
            if unit.weights.stored and config.update.rounding == "stochastic" else []
        self.memory = [0] * (unit.frames * unit.bitmap.words)
        self.values = [0] * (len(self.memory) * unit.bitmap.scan_width)
        self.dut = UnitCore(config, unit, self.above, self.regions, seeds=self.seeds, depth=len(self.memory))
        self.source, self.now, self.answers, self.spikes, self.spans = random.Random(number), 0, {}, {}, {}

    def answer(self, row, step):
        """The error that the unit above gives for an input in a step of this interval."""
        top = 1 << self.unit.rule.error_width - 2
        return random.Random(1000 * self.salt + 10 * row + step).randrange(-top, top)

    async def tick(self, ctx):
        """One cycle of everything around the unit."""
        dut, unit, due = self.dut, self.unit, {}
        if ctx.get(dut.input_en):
            due["input_bits"] = self.memory[ctx.get(dut.input_address)]
        if unit.input.static and ctx.get(dut.value_en):
            due["value"] = self.values[ctx.get(dut.value_address)]
        if self.above is not None and unit.rule.learns:
            asked = ctx.get(dut.ask)
            if asked.valid and asked.last:
                self.answers[self.now + len(stages.serve(self.above)) - 1] = self.answer(
                    asked.row, asked.step + self.slice_first)
            due["answer"] = self.answers.get(self.now + 1, 1)
        if ctx.get(dut.spikes_valid):
            self.spikes[ctx.get(dut.spikes_word), ctx.get(dut.spikes_step)] = ctx.get(dut.spikes)
        self.now += 1
        await ctx.tick()
        for name, value in due.items():
            ctx.set(getattr(dut, name), value)

    async def run(self, ctx, phase, **inputs):
        """One pass."""
        for name, value in inputs.items():
            ctx.set(getattr(self.dut, name), value)
        await self.tick(ctx)
        ctx.set(getattr(self.dut, f"start_{phase}"), 1)
        cycles, done = 0, False
        while not done:
            done = ctx.get(getattr(self.dut, f"done_{phase}"))
            cycles += 1
            assert cycles < 20_000, f"{phase} does not end"
            await self.tick(ctx)
            ctx.set(getattr(self.dut, f"start_{phase}"), 0)
        self.spans[phase] = self.spans.get(phase, 0) + cycles

    async def access(self, ctx, kind, number, value=None):
        """One register of the unit."""
        bus, (select, region) = self.dut.bus, next(
            own for own in enumerate(self.regions) if own[1].kind == kind)
        for name, own in (("valid", 1), ("select", 1 << select), ("write", value is not None),
                          ("address", region.base + number), ("data", (value or 0) & 0xFFFFFFFF)):
            ctx.set(getattr(bus, name), own)
        for _ in range(60):
            ack, answer = ctx.get(bus.ack), ctx.get(bus.answer)
            await self.tick(ctx)
            ctx.set(bus.valid, 0)
            if ack:
                return answer
            assert not answer
        raise AssertionError("no answer")

    async def matrix(self, ctx, kind, matrix=None):
        """Load a matrix, or read it."""
        unit = self.unit
        lanes = 1 << clog2(unit.lanes)
        if matrix is not None:
            for number, value in enumerate(to_memory(unit, matrix)):
                await self.access(ctx, kind, number, value)
            return None
        words = [await self.access(ctx, kind, number) for number in range(unit.weight_depth * lanes)]
        return from_memory(unit, np.array(words, dtype=np.uint32).view(np.int32).astype(np.int64))

    def write_inputs(self, inputs, first):
        """Inputs of an interval, from a step of the history on."""
        layout = self.unit.bitmap
        for step, own in enumerate(inputs.tolist(), first):
            bits = sum(1 << place(self.unit, i) for i, value in enumerate(own) if value)
            for word in range(layout.words):
                self.memory[step * layout.words + word] = \
                    bits >> word * layout.scan_width & (1 << layout.scan_width) - 1
        if self.unit.input.static:
            for i, value in enumerate(inputs[0].tolist()):
                self.values[place(self.unit, i)] = value


class Model:
    """The same unit, from the functions of the golden model."""

    def __init__(self, config, number, weights):
        self.config, self.unit, self.weights = config, config.units[number], weights
        self.u = torch.zeros(config.update.batch, self.unit.n_out, dtype=torch.int64)
        self.velocity, self.drops = torch.zeros_like(weights), list(
            unit_states(config, self.unit, "lanes")["dropout"].start)

    def forward(self, sample, inputs, first):
        unit = self.unit
        if first:
            self.u[sample] = unit.neuron.start
        sums = input_sums(unit, inputs, self.weights)
        if unit.weights.bias:
            sums = sums + bias_sums(unit, self.weights)
        current = shift_floor(sums, -unit.align)
        potentials = neuron.potential_steps(self.u[sample], current, unit.neuron, unit.steps)
        self.u[sample] = potentials[-1]
        fired, codes, dropped = neuron.fired(potentials, unit.neuron), neuron.codes(potentials, unit.neuron), None
        if unit.dropout:
            dropped, self.drops = draw_dropped(unit, self.drops, 1)
            dropped = torch.from_numpy(dropped).squeeze(1)
        return fired, codes, dropped

    def update(self, inputs, errors, lfsr):
        """Inputs and errors of a period, of each sample of the batch."""
        unit, update = self.unit, self.config.update
        inputs = torch.stack([own[0] for own in inputs]) if unit.input.static else torch.cat(inputs)
        errors = torch.stack([own.sum(0) for own in errors]) if unit.input.static else torch.cat(errors)
        total = gradient(unit, inputs, errors)
        if update.momentum:
            kept = shift_nearest(self.velocity * update.momentum.multiplier, update.momentum.shift)
            total = self.velocity = saturate(kept + total, update.momentum.width)
        scaled, shift = total * update.multiplier, update.shift + unit.input.fraction
        if lfsr is None:
            step = shift_nearest(scaled, shift)
        else:
            rows = visited_rows(unit, inputs)
            drawn = torch.zeros(unit.fan_in, unit.channels, dtype=torch.int64)
            drawn[rows] = torch.from_numpy(lfsr.draw(len(rows) * unit.channel_words)).reshape(
                len(rows), -1)[:, :unit.channels]
            step = shift_floor(scaled + drawn % (1 << shift), shift)
        self.weights = saturate(self.weights - step, unit.weights.width)


def spike_words(unit, fired):
    """(word, step) -> the spikes of that word."""
    return {(pixel * unit.channel_words + group, step): sum(
        int(fired[step, pixel * unit.channels + channel]) << channel - group * unit.lanes
        for channel in range(group * unit.lanes, min(unit.channels, (group + 1) * unit.lanes)))
        for pixel in range(unit.pixels) for group in range(unit.channel_words) for step in range(unit.steps)}


@pytest.mark.parametrize("name", CASES)
def test_two_periods(name):
    """Spikes of every interval, weights and velocities after every update, and what is served from the errors."""
    config, number = CASES[name]
    bench, unit = Bench(config, number), config.units[number]
    dut, time, update = bench.dut, config.time, config.update
    drawn = torch.Generator().manual_seed(number)
    top = 1 << unit.weights.width - 2
    weights = torch.randint(-top // 8, top // 4, (unit.fan_in, unit.channels), generator=drawn)
    if unit.weights.random:
        weights = torch.from_numpy(random_weights(
            unit, lane_keys(config.classifier.seed, number, unit.lanes), config.initial.gain))
    model, lfsr = Model(config, number, weights), Lfsr(bench.seeds) if bench.seeds else None

    def neuron_row(neuron):
        """The row of the unit above that a neuron is."""
        if bench.above.window.kind != "dense":
            return neuron % unit.channels
        pixel, channel = divmod(neuron, unit.channels)
        return pixel * unit.channel_words * unit.lanes + channel

    async def interval(ctx, offset, sample, inputs, *, first, last, ends):
        label = sample
        history = unit.rule.gradient == "history"
        bench.salt, bench.slice_first = bench.salt + 1, 0
        bench.write_inputs(inputs, 0 if unit.input.static or not history else offset)
        bench.spikes = {}
        passes = {"train": 1, "first_interval": first, "last_interval": last, "sample": sample, "update_base": 0}
        if unit.classifier:
            passes["label"] = label
        base = offset * unit.bitmap.words if history and not unit.input.static else 0
        await bench.run(ctx, "forward", base=base, **passes)
        fired, codes, dropped = model.forward(sample, inputs, first)
        sent = fired if dropped is None else fired & ~dropped
        await bench.tick(ctx)
        assert bench.spikes == spike_words(unit, sent)
        if unit.classifier:
            delta = (fired.sum(0) - unit.steps * (torch.arange(unit.n_out) == label)) << config.numbers.error.fraction
            delta = delta.expand(unit.steps, -1)
        else:
            delta = torch.tensor([[bench.answer(neuron_row(neuron), step) for neuron in range(unit.n_out)]
                                  for step in range(unit.steps)])
            delta = delta if dropped is None else delta.masked_fill(dropped, 0)
        errors = neuron.error_steps(delta, codes, fired, unit.neuron)
        for first_step in reversed(range(0, unit.steps, unit.slice_steps)):
            # The unit above counts the steps of a slice from its first.
            bench.slice_first = first_step
            await bench.run(ctx, "backward", slice_first=first_step, resume=first_step + unit.slice_steps < unit.steps,
                            offset=offset + first_step if history else 0)
            if unit.rule.serves:
                await serve(ctx, errors, first_step)
            if unit.weights.stored and (unit.rule.accumulates or (ends and first_step == 0)):
                await bench.run(ctx, "update", apply=ends and first_step == 0 and sample == update.batch - 1,
                                update_base=0 if history or unit.input.static else first_step * unit.bitmap.words)
        return errors

    async def serve(ctx, errors, first_step):
        """The error of some inputs in the first step of the slice: one request in every cycle."""
        wanted = saturate(shift_nearest(output_sums(unit, errors[first_step].unsqueeze(0), model.weights)[0],
                                        config.numbers.weight.fraction), unit.rule.error_width).tolist()
        layout, due, requests = unit.bitmap, {}, []
        for i in bench.source.sample(range(unit.n_in), min(4, unit.n_in)):
            bit = place(unit, i)
            y, x, channel = 0, 0, bit
            if unit.window.kind != "dense":
                pixel, channel = divmod(i, unit.shape_in[2])
                y, x = divmod(pixel, layout.width)
            requests += [(visit, wanted[i]) for visit in expected_walk(unit, y, x, channel)]
        for cycle in range(len(requests) + len(stages.serve(unit))):
            visit, value = requests[cycle] if cycle < len(requests) else (None, 0)
            ctx.set(dut.request, {name: 0 for name in dut.request.shape().members} if visit is None else {
                "valid": 1, "first": visit.first, "last": visit.last, "full": visit.full, "row": visit.row,
                "weight_base": visit.weight_base or 0, "word": visit.word, "step": 0})
            if visit is not None and visit.last:
                due[cycle + len(stages.serve(unit)) - 1] = value
            if cycle in due:
                assert ctx.get(dut.delta) == due.pop(cycle)
            await bench.tick(ctx)
        assert not due

    async def run(ctx):
        bench.salt = 0
        if unit.weights.stored:
            while not ctx.get(dut.ready):
                await bench.tick(ctx)
            await bench.matrix(ctx, "weight", weights.numpy())
            if unit.optimiser.velocity_width:
                await bench.matrix(ctx, "velocity", np.zeros_like(weights.numpy()))
        frames = [torch.randint(0, 1 << unit.input.bits, (1, unit.n_in), generator=drawn)
                  * (torch.rand(1, unit.n_in, generator=drawn) < 0.4) if unit.input.static else None
                  for _ in range(update.batch)]
        for period in range(2):
            kept = [([], []) for _ in range(update.batch)]
            for number_of in range(time.update_period):
                for sample in range(update.batch):
                    inputs = frames[sample] if unit.input.static else (
                        torch.rand(unit.steps, unit.n_in, generator=drawn) < 0.5).long()
                    kept[sample][0].append(inputs)
                    kept[sample][1].append(await interval(
                        ctx, number_of * unit.steps, sample, inputs, first=period == number_of == 0,
                        last=period == 1 and number_of == time.update_period - 1,
                        ends=number_of == time.update_period - 1))
            if not unit.weights.stored:
                continue
            model.update([torch.cat(own) for own, _ in kept], [torch.cat(own) for _, own in kept], lfsr)
            await bench.tick(ctx)
            assert np.array_equal(await bench.matrix(ctx, "weight"), model.weights.numpy())
            if unit.optimiser.velocity_width:
                assert np.array_equal(await bench.matrix(ctx, "velocity"), model.velocity.numpy())
        assert unit.weights.stored != torch.equal(model.weights, weights)  # it was lively enough
        for kind, states in (("lfsr", lfsr and lfsr.state), ("dropout", model.drops)):
            for lane, state in enumerate(states if states is not None else ()):
                assert await bench.access(ctx, kind, lane) == state
        if unit.classifier:
            await counters(ctx)

    async def counters(ctx):
        """The cycles of all passes; and none once they were cleared."""
        names = [name.removeprefix("cycles.") for name in dut_names if name.startswith("cycles.")]
        for cleared in (0, 1):
            found = {name: await bench.access(ctx, "counters", 2 * dut_names.index(f"cycles.{name}")) for name in names}
            assert found == ({name: 0 for name in names} if cleared else bench.spans)
            ctx.set(dut.counter_clear, 1)
            await bench.tick(ctx)
            ctx.set(dut.counter_clear, 0)
            await bench.tick(ctx)

    dut_names = [own.removeprefix(f"{unit.path}.") for own in unit_counters(config, unit)]
    simulate(dut, run)


def test_one_pass_at_a_time():
    bench = Bench(*CASES["classifier"])

    async def run(ctx):
        ctx.set(bench.dut.start_forward, 1)
        await ctx.tick()
        ctx.set(bench.dut.start_forward, 0)
        ctx.set(bench.dut.start_backward, 1)
        await ctx.tick()

    with pytest.raises(AssertionError, match="one pass of a unit runs at a time"):
        simulate(bench.dut, run)


@pytest.mark.parametrize("port", ["sample", "train", "first_interval", "last_interval"])
def test_the_place_of_an_interval_stands(port):
    bench = Bench(*CASES["batch"])

    async def run(ctx):
        ctx.set(bench.dut.start_forward, 1)
        await ctx.tick()
        ctx.set(bench.dut.start_forward, 0)
        for value in (1, 1, 0):  # it may change with the first cycle
            ctx.set(getattr(bench.dut, port), value)
            await ctx.tick()

    with pytest.raises(AssertionError, match="the place of an interval stands while a pass runs"):
        simulate(bench.dut, run)


@pytest.mark.parametrize("name, seeds", [("classifier", [1, 2]), ("stochastic", [])])
def test_seeds_only_where_they_are_needed(name, seeds):
    config, number = CASES[name]
    unit = config.units[number]
    with pytest.raises(ValueError, match=r"^seeds must be given for weights with stochastic rounding only, not "):
        UnitCore(config, unit, None, RegisterMap(config).of(unit.block, unit.index), seeds=seeds, depth=2)
