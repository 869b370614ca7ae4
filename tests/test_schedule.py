"""The schedule against cycles counted by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.golden.schedule import (
    Passes,
    Phase,
    Schedule,
    accumulate_cycles,
    apply_cycles,
    backward_cycles,
    forward_cycles,
    report_cycles,
    update_cycles,
)
from spikeloom.golden.stages import product_latency, serve
from strategies import small

#: One block of one layer, one interval of one step.
ONE = small(time={"steps": 1, "interval": 1}, input={"size": 3}, layers=[{"neurons": 2, "lanes": 2}],
            network={"classes": 2}, classifier={"lanes": 2})
#: Two blocks of one layer with two output words, two intervals of one step, one slot between the blocks.
TWO = small(time={"steps": 2, "interval": 1}, input={"size": 3},
            layers=[{"neurons": 4, "lanes": 2}, {"neurons": 2, "lanes": 2}],
            network={"classes": 2}, classifier={"lanes": 2}, hardware={"spike_slots": 1, "sample_slots": 1})
#: One block of one convolution with nine weight words; two intervals of one step, one update.
IMAGE = small(time={"steps": 2, "interval": 1, "update_period": 2}, input={"shape": [1, 2, 1]},
              layers=[{"kind": "conv", "channels": 2, "kernel": 3, "padding": 1, "lanes": 2}],
              network={"classes": 2}, classifier={"lanes": 2})
#: Operations of a layer and its classifier in one interval.
LAYER, CLASSIFIER = Passes(4, (4,), (6,)), Passes(2, (3,), (7,))


def test_passes_of_one_interval():
    layer, classifier = ONE.units
    # Three cycles until the first operation; its last: eight stages (three multiply), one to move the sum of the frame
    # aside, and two to integrate and to leave, which take the classifier as many.
    assert forward_cycles(layer, 5) == 3 + 5 + 9 + 3
    assert forward_cycles(classifier, 2) == 3 + 2 + 6 + 2
    # A request: register, two for the address, memory, output register, two for the product, a tree of one level, sum,
    # rounding.
    assert len(serve(classifier)) == 10
    # Wide factors are multiplied in parts, a pooling multiplies with a constant.
    numbers = {"error": {"width": 19, "fraction": 4}}
    wide = small(layers=[{"neurons": 3, "lanes": 2}], numbers=numbers).units[0]
    pool = small(input={"shape": (2, 2, 1), "kind": "events", "bits": 1, "fraction": 0}, numbers=numbers, layers=[
        {"kind": "conv", "channels": 2, "kernel": 1, "lanes": 2}, {"kind": "avg_pool", "size": 2}]).units[1]
    assert [product_latency(unit) for unit in (layer, classifier, wide, pool)] == [2, 2, 3, 2]
    assert backward_cycles(classifier, None, 3) == 3 + 3 + 3 + 2
    assert backward_cycles(layer, classifier, 4) == 3 + 4 + 11 + 2
    # One group: one bitmap, three cycles to load and to leave it; a frame multiplies.
    assert update_cycles(layer, 6) == 2 + (1 + 3) + 6 + 8 + 2
    assert update_cycles(classifier, 7) == 2 + (1 + 3) + 7 + 8
    assert report_cycles(classifier) == 3 + 1 + 2


def test_one_sample():
    schedule = Schedule(ONE, log=True)
    # Values in cycles 0 to 2, dispatch in 3.
    assert schedule.sample([[LAYER], [CLASSIFIER]], train=True) == (3, 3 + 19 + 13 + 11 + 20 + 22 + 1 + 6)
    assert schedule.phases == [
        Phase(0, 0, 0, "forward", 0, 4, 22),
        Phase(0, 0, 0, "forward", 1, 23, 35),
        Phase(0, 0, 0, "backward", 1, 36, 46),
        Phase(0, 0, 0, "backward", 0, 47, 66),
        Phase(0, 0, 0, "update", 0, 67, 88),   # both at once, 22 and 21 cycles
        Phase(0, 0, 0, "update", 1, 67, 87),
        Phase(0, 0, 0, "report", -1, 90, 95),
    ]
    assert schedule.counters == {
        "block0.layer0.cycles.forward": 19, "block0.classifier.cycles.forward": 13,
        "block0.layer0.cycles.backward": 20, "block0.classifier.cycles.backward": 11,
        "block0.layer0.cycles.update": 22, "block0.classifier.cycles.update": 21,
        "block0.cycles.forward": 1 + 19 + 13 + 1,  # and the cycles in which the interval begins and ends
        "block0.cycles.backward": 31, "block0.cycles.update": 22, "block0.cycles.report": 6,
        "block0.wait.input": 3, "block0.wait.result": 0,
    }


def test_gradients_in_memory():
    """Added up after every interval, applied after the last; the memory is cleared before the first sample begins."""
    layer, classifier = IMAGE.units
    # Three cycles until the first operation; the tables of the kernel; eight stages of a product, the sum, its write.
    assert accumulate_cycles(layer, 3) == 3 + 3 + 1 + 8 + 2
    assert apply_cycles(layer) == 2 + 9 + 8
    assert update_cycles(classifier, 7) == 2 + (2 + 3) + 7 + 8  # two steps of one bitmap word
    schedule = Schedule(IMAGE, log=True)
    # The values are there in cycle 2, nine words are cleared until 9.
    begin, end = schedule.sample(
        [[Passes(4, (4,), (3,))] * 2, [Passes(2, (3,), (0,)), Passes(2, (3,), (7,))]], train=True)
    first = 10 + 19 + 13 + 11 + 20
    assert (begin, end) == (10, first + 17 + 1 + 1 + 19 + 13 + 11 + 20 + (17 + 19) + 1 + 6)
    updates = [(p.interval, p.unit, p.first, p.last) for p in schedule.phases if p.kind == "update"]
    assert updates == [(0, 0, first + 1, first + 17),
                       (1, 0, first + 83, first + 118), (1, 1, first + 83, first + 104)]
    assert schedule.counters["block0.layer0.cycles.update"] == 17 + 36
    assert schedule.counters["block0.classifier.cycles.update"] == 22
    assert schedule.counters["block0.cycles.update"] == 17 + 36
    assert schedule.counters["block0.wait.input"] == 0
    # Long after reset nothing is cleared.
    assert Schedule(IMAGE, cleared=True).sample(
        [[Passes(4, (4,), (3,))] * 2, [Passes(2, (3,), (0,)), Passes(2, (3,), (7,))]], train=True)[0] == 2


def test_slices():
    """Two slices of one step: the later one goes backward and is added up, then the earlier one."""
    config = small(time={"steps": 2, "interval": 2}, input={"size": 3, "kind": "events", "bits": 1, "fraction": 0},
                   layers=[{"neurons": 2, "lanes": 2, "gradient": "memory"}], network={"classes": 2},
                   classifier={"lanes": 2, "gradient": "history"}, hardware={"error_steps": 1})
    layer, classifier = config.units
    assert (layer.slices, layer.error_frames, classifier.error_frames) == (2, 1, 2)
    schedule = Schedule(config, log=True)
    schedule.batch([[[Passes(4, (5, 6), (3, 2))], [Passes(2, (3, 4), (7, 0))]]], train=True, items=[[2]])
    late = [3 + 4 + 3 + 2, 3 + 6 + 11 + 2, 3 + 2 + 5 + 2]
    early = [3 + 3 + 3 + 2, 3 + 5 + 11 + 2, 3 + 3 + 5 + 2 + (2 + 3 + 8)]
    passes = [(p.kind, p.unit, p.last - p.first + 1) for p in schedule.phases if p.kind in ("backward", "update")]
    assert passes == [
        ("backward", 1, late[0]), ("backward", 0, late[1]), ("update", 0, late[2]),
        ("backward", 1, early[0]), ("backward", 0, early[1]), ("update", 0, early[2]),
        ("update", 1, 2 + (2 + 3) + 7 + 8)]
    assert schedule.counters["block0.cycles.backward"] == sum(late[:2] + early[:2])
    assert schedule.counters["block0.cycles.update"] == late[2] + max(early[2], 22)


def test_inference_has_neither_backward_nor_update():
    schedule = Schedule(ONE, log=True)
    begin, end = schedule.sample([[LAYER], [CLASSIFIER]], train=False)
    assert (begin, end) == (3, 3 + 32 + 1 + 6)
    assert {phase.kind for phase in schedule.phases} == {"forward", "report"}
    assert not {name for name in schedule.counters if "backward" in name or "update" in name}


@pytest.mark.parametrize("arrival, begin, wait", [
    (47, 48, 5),   # from cycle 43, after the report, to the dispatch
    (43, 44, 1),
    (42, 43, 0),   # complete just in time
    (10, 43, 0),
])
def test_waiting_for_input(arrival, begin, wait):
    schedule = Schedule(ONE)
    assert schedule.sample([[LAYER], [CLASSIFIER]], train=False) == (3, 42)
    assert schedule.counters["block0.wait.input"] == 3
    assert schedule.sample([[LAYER], [CLASSIFIER]], train=False, arrival=arrival) == (begin, begin + 39)
    assert schedule.counters["block0.wait.input"] == 3 + wait


@pytest.mark.parametrize("accepted, wait", [(43, 0), (77, 0), (78, 1), (111, 34)])
def test_waiting_for_the_result_to_be_taken(accepted, wait):
    # The second forward passes end in cycle 75, the interval in 76; the report reads its first count in 78 if the port
    # is free by then.
    schedule = Schedule(ONE)
    assert schedule.sample([[LAYER], [CLASSIFIER]], train=False, accepted=accepted) == (3, 42)
    assert schedule.sample([[LAYER], [CLASSIFIER]], train=False, arrival=30) == (43, 82 + wait)
    assert schedule.counters["block0.wait.result"] == wait
    assert schedule.counters["block0.cycles.report"] == 12


def test_two_blocks_hand_over_spikes():
    """Block 1 begins when both spike words of an interval have passed the queue; block 0 when they are taken."""
    schedule = Schedule(TWO, log=True)
    quick = [[Passes(2, (0,), (0,))] * 2] * 3 + [[Passes(3, (0,), (0,))] * 2]
    # Layer 0: 2 + 15 = 17 cycles, the last classifier 14, all others 13; block 0 begins in cycle 3.
    begin, end = schedule.sample(quick, train=False)
    first = {(p.block, p.interval, p.unit): (p.first, p.last) for p in schedule.phases}
    # Spikes are written until cycle 20, offered three later, taken in 23: block 1 dispatches in 24. Block 0 has
    # computed its classifier until 33, ends the interval in 34 and goes on in 35.
    assert first[0, 0, 0] == (4, 20) and first[0, 0, 1] == (21, 33)
    assert first[1, 0, 0] == (25, 37) and first[1, 0, 1] == (38, 51)
    # Interval 1: written until 52, taken in 55. Its slot is taken until 52 and free in 53.
    assert first[0, 1, 0] == (36, 52) and first[0, 1, 1] == (53, 65)
    assert first[1, 1, 0] == (57, 69) and first[1, 1, 1] == (70, 83)
    assert (begin, end) == (3, 83 + 1 + 6)
    assert {name: schedule.counters[name] for name in schedule.counters if "wait" in name} == {
        "block0.wait.input": 3, "block0.wait.output": 0,
        "block1.wait.input": 24 + 3, "block1.wait.result": 0,
    }


def test_waiting_for_the_block_after():
    """A block whose spikes are not taken does not begin the next interval, although its input is there."""
    schedule = Schedule(TWO, log=True)
    slow = [[Passes(count, (0,), (0,))] * 2 for count in (2, 2, 100, 2)]
    schedule.sample(slow, train=False)
    # Block 1 computes interval 0 until 24 + 111 + 13 = 148 and ends it in 149; the words of interval 1 leave in 150
    # and 151.
    first = {(p.block, p.interval, p.unit): (p.first, p.last) for p in schedule.phases}
    assert first[1, 0, 1] == (136, 148)
    assert first[1, 1, 0][0] == 153
    schedule.sample(slow, train=False, arrival=50)
    begins = [p.first - 1 for p in schedule.phases if (p.block, p.sample, p.interval, p.unit) == (0, 1, 0, 0)]
    assert begins == [152]
    # The sample was there in 51, the block in 67. Its next interval could begin in 184, but block 1 frees the slot in
    # 277, after its 124 cycles from 152 and the one that ends the interval, and takes words in 278 and 279.
    assert schedule.counters["block0.wait.output"] == (152 - 67) + (280 - 184)


@given(st.integers(1, 4), st.integers(1, 20), st.lists(st.integers(2, 80), min_size=1, max_size=8))
def test_free_running_source(slots, size, operations):
    """A source that never waits fills the ring; the core begins with the value after the last, or when it is free."""
    config = ONE.replace(input={"size": size}, hardware={"sample_slots": slots})
    schedule = Schedule(config)
    arrivals, begins, released = [], [], []
    for count in operations:
        arrival = schedule.next_arrival()
        room = released[len(arrivals) - slots] + 1 if len(arrivals) >= slots else 0
        assert arrival == max(arrivals[-1] + 1 if arrivals else 0, room) + size - 1
        begin, end = schedule.sample([[Passes(count, (0,), (0,))], [Passes(2, (0,), (0,))]], train=False)
        # The sample's slot is free when its last interval has ended: not during the report.
        released.append(begin + forward_cycles(config.units[0], count) + 13 + 1)
        assert begin == max(arrival + 1, begins[-1] + 1 if begins else 0)
        assert end == released[-1] + report_cycles(config.units[1])
        arrivals.append(arrival)
        begins.append(end)
