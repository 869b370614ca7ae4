"""The event scan: which events, in which order, and in exactly which cycle."""

from typing import NamedTuple

import pytest
from amaranth.hdl import Array, Module, Signal
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.rtl.pick import PickBits, PickNone, PickWord, few
from spikeloom.rtl.scan import EventScan, OperationCount
from spikeloom.rtl.walk import Descent, Rectangles, StepLoop
from strategies import scan_memory, simulate


@given(st.integers(1, 40), st.data())
def test_few(width, data):
    """None, one, two, or more: of any width, wherever they are."""
    places = st.lists(st.integers(0, width - 1), max_size=4)
    values = [sum({1 << place for place in own}) for own in data.draw(st.lists(places, min_size=20, max_size=20))]
    values += [0, (1 << width) - 1, *(1 << place for place in range(width))]
    m, bits, count, found = Module(), Signal(width), Signal(2), []
    m.d.comb += count.eq(few(m, bits, name="few"))

    async def bench(ctx):
        for value in values:
            ctx.set(bits, value)
            await ctx.delay(1e-9)
            found.append(ctx.get(count))

    simulate(m, bench, clocked=False)
    assert found == [min(3, value.bit_count()) for value in values]


class Shape(NamedTuple):
    """Parameters of a scan, and what its surroundings tell it."""

    steps: int
    width: int
    rectangles: tuple     # per word: rows, groups, and the offset in each group
    masks: tuple          # per word, row and group; repeats
    repeats: tuple        # operations of an event, by its index; repeats
    rows: int = 1
    groups: int = 1
    group_pitch: int = 1
    row_pitch: int = 0
    step_pitch: int = 1
    minimum: int = 2
    whole: bool = False
    mute: bool = False
    backward: bool = False
    skip: int = 0
    base: int = 0
    constant: bool = False  # the last row of every rectangle is not in memory

    @property
    def words(self):
        return len(self.rectangles)

    def reads(self):
        """(word, step, row, group, address, number of its mask), in order."""
        place = self.base
        for word, (rows, groups, offsets) in enumerate(self.rectangles):
            for step in range(self.steps):
                for row in range(rows):
                    for group in range(groups):
                        address = place if self.backward else (
                            self.base + step * self.step_pitch + row * self.row_pitch + group * self.group_pitch)
                        mask = (word * self.rows + row) * self.groups + group
                        yield word, step, row, group, address + offsets[group], mask % len(self.masks)
                        place -= 1
            place -= self.skip

    @property
    def depth(self):
        return max(address for *_, address, _ in self.reads()) + 2


def plain(width, words=1, groups=1, **options):
    """A scan like that of a dense layer: all bits of all groups count, one operation per event."""
    masks = ((1 << width) - 1,)
    return Shape(width=width, groups=groups, rectangles=((1, groups, (0,) * groups),) * words, masks=masks,
                 repeats=(1,), **{"steps": 1, "step_pitch": groups, **options})


class Operation(NamedTuple):
    """Outputs of one cycle; `address` and `seen` are those of its bitmap word."""

    word: int
    step: int
    index: int | None
    address: int
    seen: int | None
    first: bool
    last: bool
    word_first: bool
    word_last: bool
    final: bool


class Read(NamedTuple):
    row: int
    group: int
    ends_step: bool
    ends_word: bool


def expected_scan(shape, memory):
    """Operations and reads, from the loops of the docstring."""
    operations, addresses, reads = [], [], []
    last_read = {(word, step): place for place, (word, step, *_) in enumerate(shape.reads())}
    steps = {}
    for place, (word, step, row, group, address, mask) in enumerate(shape.reads()):
        ends, constant = place == last_read[word, step], shape.constant and row == shape.rectangles[word][0] - 1
        bits = 0 if shape.mute else 1 if constant else memory[address] & shape.masks[mask]
        if not constant:
            addresses.append(address)
            reads.append(Read(row, group, ends, ends and step == shape.steps - 1))
        events = [index for index in range(shape.width) if bits >> index & 1
                  for _ in range(shape.repeats[index % len(shape.repeats)])]
        if shape.whole:
            events = events[:1]
        steps.setdefault((word, step), []).extend(
            (index, address, bits if shape.whole else None) for index in events or [None])
    for (word, step), events in steps.items():
        # What fills up a step comes behind its last bitmap word.
        events += [(None, events[-1][1], 0 if shape.whole else None)] * (shape.minimum - len(events))
        ends = {"word_first": step == 0, "word_last": step == shape.steps - 1}
        for place, event in enumerate(events):
            last = place == len(events) - 1
            operations.append(Operation(
                word, step, *event, place == 0, last, **ends,
                final=last and ends["word_last"] and word == shape.words - 1))
    return operations, addresses, reads


def walk_of(shape, depth):
    """What reads the words of `shape`."""
    if shape.backward:
        return Descent(words=shape.words, steps=shape.steps, skip=shape.skip, depth=depth)
    return Rectangles(words=shape.words, depth=depth, **{name: getattr(shape, name) for name in (
        "steps", "rows", "groups", "group_pitch", "row_pitch", "step_pitch")})


def rtl_scan(shape, memory, *, limit, runs=1):
    """For each of `runs` scans in one simulation: operations by cycle since `start`, addresses, and reads."""
    pick = PickNone() if shape.mute else PickWord(shape.width) if shape.whole else PickBits(shape.width)
    scan = EventScan(walk_of(shape, len(memory)), pick, minimum=shape.minimum, tag=range(len(memory)),
                     constant=shape.constant)
    reads = []

    def drive(m):
        # As a unit drives it: by the word being read, and for `stay` by the event.
        word, turn = Signal(range(shape.words + 1)), Signal(8)
        with m.If(scan.start):
            m.d.sync += word.eq(0)
        with m.Elif(scan.read_word):
            m.d.sync += word.eq(word + 1)
        place = word
        if not shape.backward:
            offsets = [offset for *_, own in shape.rectangles for offset in own]
            place = (word * shape.rows + scan.read_row) * shape.groups + scan.read_group
            m.d.comb += [
                scan.last_row.eq(Array(rows - 1 for rows, *_ in shape.rectangles)[word]),
                scan.last_group.eq(Array(groups - 1 for _, groups, _ in shape.rectangles)[word]),
                scan.offset.eq(Array(offsets)[word * shape.groups + scan.read_group]),
            ]
        m.d.comb += scan.tag_in.eq(scan.address)
        if shape.constant:
            m.d.comb += scan.constant.eq(scan.read_row == scan.last_row)
        if not shape.mute:
            m.d.comb += scan.mask.eq(Array(shape.masks)[place % len(shape.masks)])
        if not shape.mute and not shape.whole:
            with m.If(scan.valid & scan.event):
                m.d.sync += turn.eq(turn + 1)
                with m.If(~scan.stay):
                    m.d.sync += turn.eq(0)
            m.d.comb += scan.stay.eq(turn != Array(shape.repeats)[scan.index % len(shape.repeats)] - 1)

    def observe(ctx):
        index = ctx.get(scan.index) if not shape.mute and ctx.get(scan.event) else None
        seen = ctx.get(scan.seen) if shape.whole else None
        return Operation(ctx.get(scan.word), ctx.get(scan.step), index, ctx.get(scan.tag), seen, *(
            bool(ctx.get(signal)) for signal in (scan.first, scan.last, scan.word_first, scan.word_last, scan.final)))

    def ends(ctx):
        if ctx.get(scan.fetch):
            place = (0, 0) if shape.backward else (ctx.get(scan.read_row), ctx.get(scan.read_group))
            reads.append(Read(*place, bool(ctx.get(scan.read_step)), bool(ctx.get(scan.read_word))))
        return bool(ctx.get(scan.valid & scan.final))

    found = scan_memory(scan, memory, base=shape.base, observe=observe, ends=ends, limit=limit, runs=runs, drive=drive)
    return [(operations, addresses) for operations, addresses, _ in found], reads


def check(shape, memory, runs=1):
    operations, addresses, reads = expected_scan(shape, memory)
    # Start in cycle 0, first read in 1, first operation in 4, then one in every cycle.
    expected = {4 + place: operation for place, operation in enumerate(operations)}
    found = rtl_scan(shape, memory, limit=len(operations) + 20, runs=runs)
    assert found == ([(expected, addresses)] * runs, reads * runs)
    return operations


@st.composite
def scans(draw, **fixed):
    backward = fixed.get("backward", False)
    words, width = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    rows, groups = (1, 1) if backward else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    rectangles = tuple(
        (draw(st.integers(1, rows)), draw(st.integers(1, groups)),
         (0,) if backward else tuple(draw(st.lists(st.integers(0, 4), min_size=groups, max_size=groups))))
        for _ in range(words))
    some = st.lists(st.integers(0, (1 << width) - 1), min_size=1, max_size=7)
    steps = draw(st.integers(1, 3))
    shape = Shape(
        steps=steps, width=width, rectangles=rectangles, rows=rows, groups=groups, masks=tuple(draw(some)),
        repeats=tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))),
        group_pitch=draw(st.integers(0, 2)), row_pitch=draw(st.integers(0, 5)), step_pitch=draw(st.integers(0, 7)),
        base=draw(st.integers(0, 3)) + (words * (steps + fixed.get("skip", 0)) - 1 if backward else 0), **fixed)
    # Empty words are as frequent as all others together.
    word = st.one_of(st.just(0), st.integers(0, (1 << width) - 1))
    return shape, draw(st.lists(word, min_size=shape.depth, max_size=shape.depth))


@pytest.mark.parametrize("options", [
    {}, {"minimum": 3}, {"minimum": 10}, {"whole": True}, {"whole": True, "minimum": 4}, {"mute": True},
    {"backward": True}, {"backward": True, "skip": 3}, {"backward": True, "minimum": 5},
    {"backward": True, "mute": True}, {"constant": True}, {"constant": True, "minimum": 6},
], ids=lambda options: "-".join(f"{name}{int(value)}" for name, value in options.items()) or "forward")
def test_every_event_in_its_cycle(options):
    @settings(max_examples=20)
    @given(scans(**options))
    def check_random(drawn):
        check(*drawn, runs=2)

    check_random()


@pytest.mark.parametrize("memory, operations", [
    ([0b0000, 0b0000], 2),      # two empty words fill the two operations that a step takes
    ([0b1111, 0b1111], 4 + 2),  # the last two of the second word do not count
    ([0b1111, 0b1100], 4 + 1),  # nothing valid in it, but it was read
    ([0b0000, 0b0001], 1 + 1),
])
def test_operations_of_a_step(memory, operations):
    shape = plain(4, groups=2)._replace(masks=(0b1111, 0b0011))
    assert len(check(shape, [*memory, 0])) == operations


def test_a_lone_event_is_followed_by_an_empty_operation():
    operations = check(plain(4), [0b0100, 0])
    assert [(op.index, op.first, op.last) for op in operations] == [(2, True, False), (None, False, True)]


def test_a_step_takes_its_minimum():
    operations = check(plain(4, words=2, groups=2, minimum=6), [0b0011, 0b0001, 0])
    assert [op.index is None for op in operations] == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3


def test_an_event_stays():
    # Bit 0 takes one operation, bit 1 three, bit 2 one again.
    operations = check(plain(3)._replace(repeats=(1, 3)), [0b111, 0])
    assert [op.index for op in operations] == [0, 1, 1, 1, 2]


def test_a_whole_word_is_one_operation():
    operations = check(plain(4, groups=3, whole=True), [0b1010, 0b0000, 0b1111, 0])
    assert [(op.index, op.seen) for op in operations] == [(1, 0b1010), (None, 0), (0, 0b1111)]


def test_rectangles_of_two_words():
    """An image of three rows of two bitmap words; windows of two rows and one word, and of one row and two words."""
    shape = plain(2, words=2)._replace(
        rows=2, groups=2, row_pitch=2, steps=2, step_pitch=6, base=1,
        rectangles=((2, 1, (1, 1)), (1, 2, (4, 4))))
    memory = [0] + [0b01] * 12 + [0]
    assert [op.address for op in check(shape, memory)] == [
        1 + 1, 1 + 3, 7 + 1, 7 + 3,
        1 + 4, 1 + 5, 7 + 4, 7 + 5]


@pytest.mark.parametrize("kind, changes, message", [
    (Rectangles, {"words": 0}, "words must be positive, not 0"),
    (Rectangles, {"steps": 0}, "steps must be positive, not 0"),
    (Rectangles, {"rows": 0}, "rows must be positive, not 0"),
    (Rectangles, {"groups": 0}, "groups must be positive, not 0"),
    (Descent, {"words": 0}, "words must be positive, not 0"),
    (Descent, {"steps": 0}, "steps must be positive, not 0"),
    (StepLoop, {"steps": -1}, "steps must be positive, not -1"),
    (OperationCount, {"words": 0}, "words must be positive, not 0"),
    (OperationCount, {"minimum": 1}, "minimum must be at least 2, not 1"),
    (PickBits, {"width": 0}, "width must be positive, not 0"),
    (PickWord, {"width": 0}, "width must be positive, not 0"),
])
def test_constructor_errors(kind, changes, message):
    right = {Rectangles: {"words": 1, "steps": 1, "depth": 4}, Descent: {"words": 1, "steps": 1, "depth": 4}}
    with pytest.raises(ValueError, match=f"^{message}$"):
        kind(**{**right.get(kind, {} if "width" in changes else {"words": 1, "steps": 1}), **changes})
