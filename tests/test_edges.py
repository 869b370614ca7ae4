"""Graphs of blocks: the schedule against a simulation of blocks, queues and slots, cycle by cycle."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.golden.edges import Edge, check_edges, edges, spike_edge
from spikeloom.golden.schedule import Passes, Schedule, forward_cycles, report_cycles
from strategies import small

LAYERS = [{"neurons": neurons, "lanes": 2} for neurons in (4, 2, 6, 2)]
#: Four blocks of one layer, fed with frames; their slots hold one interval.
FRAMES = small(time={"steps": 3, "interval": 1}, input={"size": 3}, layers=LAYERS, network={"classes": 2},
               classifier={"lanes": 2})
#: The same with two samples in a batch.
BATCH = FRAMES.replace(update={"batch": 2})
#: Fed with events; a slot holds the two intervals of an update period.
EVENTS = small(time={"steps": 4, "interval": 1, "update_period": 2}, network={"classes": 2}, classifier={"lanes": 2},
               input={"size": 3, "kind": "events", "bits": 1, "fraction": 0},
               layers=[{**layer, "gradient": "history"} for layer in LAYERS])


class Ring:
    """The buffer of an edge: a queue of items, and slots in use with the number of complete intervals in each."""

    def __init__(self, edge, amounts):
        self.edge, self.amounts = edge, list(amounts)  # items of all that will be handed over, in turn
        self.queue, self.slots = [], []                # of each item, the cycle from which it can be taken
        self.open, self.clearing, self.items = False, 0, 0
        self.arrived = self.done = 0

    def take(self, now):
        """What happens in a cycle: a slot is opened or cleared, or an item goes into it."""
        if not self.open:
            if len(self.slots) == self.edge.slots:
                return
            self.open, self.clearing = True, self.edge.clear
            self.slots.append(0)
        if self.clearing:
            self.clearing -= 1
            return
        if not self.queue or self.queue[0] > now:
            return
        self.queue.pop(0)
        self.items += 1
        if self.items == self.amounts[self.arrived]:
            self.items = 0
            self.arrived += 1
            self.slots[-1] += 1
            self.open = self.slots[-1] < self.edge.fills

    def release(self):
        self.done += 1
        if self.done % self.edge.fills == 0:
            self.slots.pop(0)


class Node:
    """A block that waits, or computes until some cycle."""

    def __init__(self, block, rings):
        self.block = block
        self.inputs = [own for own in rings if own.edge.target == block.index]
        self.outputs = [own for own in rings if own.edge.source == block.index]
        self.begins, self.waits, self.computes_until, self.busy_until = [], {"input": 0, "output": 0}, -1, -1

    def begin(self, now, cycles, reports):
        """Now; its units take so many cycles, and the report so many more."""
        self.begins.append(now)
        spikes, self.computes_until = now + sum(cycles[:-1]), now + sum(cycles) + 1
        self.busy_until = self.computes_until + reports
        for ring in self.outputs:
            # A word leaves every two cycles at most.
            first = spikes - 2 * (ring.edge.items - 1)
            assert first > now
            ring.queue += range(first + ring.edge.latency, spikes + ring.edge.latency + 1, 2)


def simulated(config, graph, batches, items):
    """Per block, when it begins each interval and how long it waits; and when each sample is reported.

    In inference, with a source that never waits, and results that are taken at once. `items` are those of everything
    that the source gives.
    """
    size, turns = len(batches[0]), [
        (number * len(batch) + sample, interval, passes) for number, batch in enumerate(batches)
        for interval in range(config.intervals) for sample, passes in enumerate(batch)]
    rings = [Ring(edge, items if edge.source is None else [edge.items] * len(turns)) for edge in graph]
    nodes = [Node(block, rings) for block in config.blocks]
    rings[0].queue = [0] * sum(items)
    reports, now = {}, 0
    while any(len(node.begins) < len(turns) or node.busy_until >= now for node in nodes):
        for node in nodes:
            turn = len(node.begins)
            if now <= node.busy_until or turn == len(turns):
                continue
            sample, interval, passes = turns[turn]
            if any(own.arrived <= (sample if own.edge.whole else turn) for own in node.inputs):
                node.waits["input"] += 1
            elif any(own.queue for own in node.outputs):
                node.waits["output"] += 1
            else:
                first = config.units.index(node.block.units[0])
                report = node.block.last and interval == config.intervals - 1
                node.begin(now, [forward_cycles(unit, passes[first + place][interval].forward)
                                 for place, unit in enumerate(node.block.units)],
                           report_cycles(node.block.classifier) if report else 0)
                if report:
                    reports[sample] = node.busy_until
        for ring in rings:
            ring.take(now)
        for node in nodes:
            if node.computes_until == now:
                for ring in node.inputs:
                    if not ring.edge.whole:
                        ring.release()
                    elif len(node.begins) % (config.intervals * size) == 0:
                        for _ in range(size):
                            ring.release()
        now += 1
        assert now < 100_000, "somebody waits for ever"
    return [(node.begins, node.waits) for node in nodes], [reports[sample] for sample in sorted(reports)]


def scheduled(config, graph, batches, items):
    """The same from the schedule."""
    schedule, reports = Schedule(config, graph=graph, log=True, cleared=True), []
    place = 0
    for batch in batches:
        own = None
        if config.input.kind == "events":
            own = [[items[place + interval * len(batch) + sample] for interval in range(config.intervals)]
                   for sample in range(len(batch))]
            place += config.intervals * len(batch)
        reports += [times.end for times in schedule.batch(batch, train=False, items=own)]
    found = []
    for block in config.blocks:
        begins = [phase.first - 1 for phase in schedule.phases
                  if (phase.block, phase.kind, phase.unit) == (block.index, "forward", 0)]
        found.append((begins, {kind: schedule.counters.get(f"{block.name}.wait.{kind}", 0)
                               for kind in ("input", "output")}))
    return found, reports


@st.composite
def runs(draw, pairs=None):
    """A configuration, a graph, samples in batches, and the items of the source."""
    config = draw(st.sampled_from([FRAMES, BATCH, EVENTS]))
    config = config.replace(hardware={"spike_slots": draw(st.integers(1, 3)),
                                      "sample_slots": draw(st.integers(config.update.batch, 3))})
    if pairs is None:
        possible = [(source, target) for target in range(1, 4) for source in range(target)]
        pairs = draw(st.lists(st.sampled_from(possible), unique=True).filter(
            lambda own: {target for _, target in own} == {1, 2, 3}))
    graph = [edges(config)[0]]
    for source, target in pairs:
        edge = spike_edge(config, source, target)
        graph.append(replace(edge, slots=draw(st.integers(1, 3)), latency=draw(st.integers(1, 5))))
    operations = st.integers(8, 120)
    batches = [[[[Passes(draw(operations), (0,), (0,)) for _ in range(config.intervals)] for _ in config.units]
                for _ in range(config.update.batch)] for _ in range(draw(st.integers(1, 3)))]
    samples = len(batches) * config.update.batch
    items = [config.input.size] * samples if config.input.kind == "frame" else [
        draw(st.integers(1, 200)) for _ in range(samples * config.intervals)]
    return config, graph, batches, items


@pytest.mark.parametrize("pairs", [
    [(0, 1), (1, 2), (2, 3)],          # the cascade
    [(0, 1), (1, 2), (0, 2), (2, 3)],  # block 0 has two readers, block 2 has two inputs
    [(0, 1), (0, 2), (1, 3), (2, 3)],  # two ways from 0 to 3
    [(0, 1), (0, 2), (0, 3)],          # three readers; nobody reads 1 and 2
    None,                              # any
], ids=str)
def test_every_cycle_of_a_graph(pairs):
    @settings(max_examples=25, deadline=None)
    @given(runs(pairs))
    def check(run):
        assert scheduled(*run) == simulated(*run)

    check()


def test_the_slowest_reader_holds_all_up():
    """A second reader that is slow keeps block 0 from going on, and through it the other reader."""
    config = FRAMES.replace(hardware={"spike_slots": 1})
    chain = edges(config)
    graph = [*chain[:2], spike_edge(config, 0, 2), *chain[2:]]
    batches = [[[[Passes(count, (0,), (0,))] * 3 for count in (8, 8, 8, 8, 400, 8, 8, 8)]]]
    alone, _ = scheduled(config, chain, batches, [3])
    both, _ = scheduled(config, graph, batches, [3])
    assert (both, _) == simulated(config, graph, batches, [3])
    assert alone[0][1]["output"] < both[0][1]["output"]
    assert alone[1][0][-1] < both[1][0][-1]


def test_the_edges_of_a_configuration():
    frame, *spikes = edges(BATCH)
    assert frame == Edge(source=None, target=0, whole=True, slots=2, fills=1, granule=1, items=3, latency=0)
    assert [(edge.source, edge.target, edge.slots, edge.fills, edge.granule, edge.items, edge.latency)
            for edge in spikes] == [(0, 1, 2, 1, 2, 2, 3), (1, 2, 2, 1, 2, 1, 3), (2, 3, 2, 1, 2, 3, 3)]
    events, *spikes = edges(EVENTS)
    assert events == Edge(source=None, target=0, slots=2, fills=2, granule=1, items=None, latency=0, clear=2)
    assert [edge.fills for edge in spikes] == [2, 2, 2]


@pytest.mark.parametrize("pairs, message", [
    ([(0, 1), (1, 2)], r"every block must have an input, not \[3\]"),
    ([(0, 1), (1, 2), (2, 3), (2, 2)], "an edge must lead to a later one of 4 blocks"),
    ([(0, 1), (1, 2), (2, 3), (2, 1)], "an edge must lead to a later one of 4 blocks"),
    ([(None, 0), (0, 1), (1, 2), (2, 3)], "samples must come to block 0 by one edge"),
])
def test_no_graph(pairs, message):
    first = edges(FRAMES)[0]
    graph = [first, *(first if source is None else replace(spike_edge(FRAMES, 0, 1), source=source, target=target)
                      for source, target in pairs)]
    with pytest.raises(ValueError, match=message):
        check_edges(graph, 4)
    with pytest.raises(ValueError, match=message):
        Schedule(FRAMES, graph=graph)
