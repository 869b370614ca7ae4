"""The sequencer of a block: every pass in its cycle, and what it says of the interval, whatever the passes take."""

import random
from itertools import count

import pytest

from spikeloom.rtl.sequencer import Sequencer
from strategies import simulate, small

EVENTS = {"kind": "events", "shape": [2, 3, 1], "bits": 1, "fraction": 0}
DENSE = {"neurons": 4, "lanes": 2}
#: Configuration and number of the block.
CASES = {
    "history": (small(time={"steps": 8, "interval": 2, "update_period": 2}, network={"block_length": 2}), 0),
    "static-batch": (small(update={"batch": 3}, hardware={"sample_slots": 4}, network={"block_length": 2}), 0),
    "later-block": (small(time={"steps": 4, "interval": 1, "update_period": 4}), 1),
    "slices": (small(time={"steps": 8, "interval": 4}, input=EVENTS, hardware={"error_steps": 1}, network={
        "block_length": 2}, layers=[DENSE | {"gradient": "memory"}, DENSE | {"gradient": "history"}]), 0),
    "slices-batch": (small(time={"steps": 8, "interval": 4, "update_period": 2}, input=EVENTS, update={"batch": 2},
                           hardware={"error_steps": 2}), 1),
    "pooling": (small(input={"shape": [4, 4, 1]}, layers=[
        {"kind": "conv", "channels": 2, "kernel": 1, "lanes": 2}, {"kind": "avg_pool", "size": 2}],
        network={"block_length": None, "block_ends": [1, 2]}), 1),
    "one-interval": (small(time={"steps": 4, "interval": 4}), 1),
}
PHASES = ("idle", "dispatch", "forward", "backward", "updating", "interval_ends", "report")


class Model:
    """Batch after batch in the order of the document: what happens in which cycle, and what is said of it.

    ``events`` are (cycle, pass, unit) of all first cycles, ``ends`` the last ones; ``phases`` has which of `PHASES`
    holds in a cycle, ``said`` what outputs are where they count.
    """

    def __init__(self, config, block, seed):
        self.config, self.units, self.last, self.source = config, block.units, block.last, random.Random(seed)
        self.events, self.ends, self.phases, self.said = [], {}, {}, {}

    def places(self):
        """(interval, sample) for ever."""
        for _ in count():
            for interval in range(self.config.intervals):
                for sample in range(self.config.update.batch):
                    yield interval, sample

    def run(self, cycle, names, phase):
        """Passes that begin at once; the cycle behind the last one."""
        ends = []
        for kind, place in names:
            self.events.append((cycle, kind, place))
            ends.append(cycle + self.source.randrange(1, 6))
            self.ends.setdefault((kind, place), set()).add(ends[-1])
        end = max(ends)
        self.phases |= dict.fromkeys(range(cycle, end + 1), phase)
        return end + 1

    def interval(self, dispatch, interval, sample, train):
        """An interval that begins in the cycle `dispatch`; the first cycle in which another may."""
        config, time = self.config, self.config.time
        offset = interval * time.interval % config.update_steps
        period_ends = offset == config.update_steps - time.interval
        now = dispatch + 1
        self.phases[dispatch] = "dispatch"
        said = {"first": interval == 0, "last": interval == config.intervals - 1, "offset": offset, "computed": sample,
                "train": train}
        for place in range(len(self.units)):
            if place:
                self.said[now] = dict(said)
            now = self.run(now, [("forward", place)], "forward")
        learners = [place for place, unit in enumerate(self.units) if unit.rule.learns]
        accumulate = [place for place, unit in enumerate(self.units) if unit.rule.accumulates]
        later = [place for place, unit in enumerate(self.units) if unit.weights.stored and not unit.rule.accumulates]
        steps = self.units[0].slice_steps
        for first in reversed(range(0, time.interval, steps)) if train else ():
            said |= {"slice_first": first, "resume": first + steps < time.interval}
            for place in reversed(learners):
                self.said[now] = dict(said)
                now = self.run(now, [("backward", place)], "backward")
            if not accumulate and not period_ends:
                continue
            moves = period_ends and first == 0
            self.said[now] = said | {"apply": moves and sample == config.update.batch - 1}
            now = self.run(now, [("update", place) for place in accumulate + later * moves], "updating")
        self.phases[now] = "interval_ends"
        whole = sample == config.update.batch - 1 and interval == config.intervals - 1
        releases = whole if self.units[0].input.static else period_ends or self.units[0].rule.gradient != "history"
        self.said[now] = {"samples_end": whole, "release": releases}
        now += 1
        if self.last and interval == config.intervals - 1:
            now = self.run(now, [("report", 0)], "report")
        return now


@pytest.mark.parametrize("name", CASES)
def test_passes_in_order(name):
    config, number = CASES[name]
    block = config.blocks[number]
    dut, model, source = Sequencer(config, block), Model(config, block, 7), random.Random(5)
    found, trained = [], set()

    async def bench(ctx):
        places, free, labels, dispatched, train = model.places(), 0, {}, None, False
        ctx.set(dut.ready, 1)
        await ctx.tick()
        interval, sample = next(places)
        for cycle in range(1500):
            label, mode = source.randrange(config.network.classes), source.random() < 0.7
            if dispatched != cycle - 1:  # until the second cycle of an interval they stand
                ctx.set(dut.next_label, label)
                ctx.set(dut.next_train, mode)
            else:
                label, mode = ctx.get(dut.next_label), ctx.get(dut.next_train)
            willing = {port: source.random() < 0.6 for port in ("available", "out_free")}
            hold = source.random() < 0.2
            for port, value in (willing | {"hold": hold}).items():
                ctx.set(getattr(dut, port), value)
            if ctx.get(dut.idle):
                free = max(free, cycle)
                assert ctx.get(dut.sample) == sample
                if ctx.get(dut.dispatch):
                    dispatched = cycle
                assert (dispatched == cycle) == (all(willing.values()) and not hold)
            if dispatched == cycle - 1:
                assert ctx.get(dut.take) and ctx.get(dut.begins) == (interval == 0)
                if interval == sample == 0:
                    train = bool(mode)
                    trained.add(train)
                free = model.interval(dispatched, interval, sample, train)
                labels |= dict.fromkeys(range(cycle + 1, free), label)
                interval, sample = next(places)
            else:
                assert not ctx.get(dut.take) and not ctx.get(dut.begins)
            for kind in ("forward", "backward", "update"):
                starts = ctx.get(getattr(dut, f"start_{kind}"))
                found.extend((cycle, kind, place) for place in range(len(block.units)) if starts >> place & 1)
                ctx.set(getattr(dut, f"done_{kind}"), sum(
                    (cycle in model.ends.get((kind, place), ())) << place for place in range(len(block.units))))
            if block.last:
                found.extend([(cycle, "report", 0)] * ctx.get(dut.start_report))
                ctx.set(dut.report_done, cycle in model.ends.get(("report", 0), ()))
            phase = model.phases.get(cycle, "idle")
            flags = {name: bool(ctx.get(getattr(dut, name))) for name in PHASES if name != "report" or block.last}
            wanted = dict.fromkeys(flags, False) | {phase: True} | ({"idle": True} if phase == "dispatch" else {})
            if dispatched == cycle:
                wanted["dispatch"] = True
            assert flags == wanted, cycle
            assert ctx.get(dut.label) == labels.get(cycle, ctx.get(dut.label))
            said = model.said.get(cycle, {"samples_end": 0, "release": 0})
            assert {name: ctx.get(getattr(dut, name)) for name in said} == said, cycle
            await ctx.tick()

    simulate(dut, bench)
    assert found == [event for event in sorted(model.events) if event[0] < 1500]
    assert trained == {False, True}
    assert len(found) > 100


def test_it_waits_until_memories_are_cleared():
    config, number = CASES["slices"]
    dut = Sequencer(config, config.blocks[number])

    async def bench(ctx):
        ctx.set(dut.available, 1)
        ctx.set(dut.out_free, 1)
        for _ in range(5):
            assert not ctx.get(dut.idle) and not ctx.get(dut.dispatch)
            await ctx.tick()
        ctx.set(dut.ready, 1)
        await ctx.tick()
        assert ctx.get(dut.idle) and ctx.get(dut.dispatch)

    simulate(dut, bench)


def test_no_pass_ends_that_does_not_run():
    config, number = CASES["history"]
    dut = Sequencer(config, config.blocks[number])

    async def bench(ctx):
        ctx.set(dut.done_backward, 2)
        await ctx.tick()

    with pytest.raises(AssertionError, match="no pass ends that does not run"):
        simulate(dut, bench)
