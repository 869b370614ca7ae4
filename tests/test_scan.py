# amaranth: UnusedElaboratable=no
"""The event scan: which events, in which order, and in exactly which cycle."""

from typing import NamedTuple

import pytest
from amaranth.hdl import Module
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.rtl.scan import EventScan
from spikeloom.rtl.store import Store
from strategies import simulate


class Shape(NamedTuple):
    """Parameters of a scan, and where it begins; its memory has a few words around what it visits."""

    words: int
    steps: int
    groups: int
    width: int
    partial: int
    repeat: int = 1
    minimum: int = 2
    mute: bool = False
    backward: bool = False
    before: int = 0

    @property
    def visited(self):
        return self.steps * (self.words if self.backward else self.groups)

    @property
    def depth(self):
        return self.before + self.visited + 1

    @property
    def base(self):
        return self.before + (self.visited - 1 if self.backward else 0)


class Operation(NamedTuple):
    """Outputs of one cycle; where it carries no event, its place is None."""

    word: int
    step: int
    event: tuple | None  # group, index, repeat_first, repeat_last
    first: bool
    last: bool
    word_first: bool
    word_last: bool
    final: bool


def expected_scan(shape, memory):
    """Operations and read addresses, from the loops of the docstring."""
    operations, addresses = [], []
    for word in range(shape.words):
        for step in range(shape.steps):
            events = []
            for group in range(shape.groups):
                offset = word * shape.steps + step if shape.backward else step * shape.groups + group
                address = shape.base - offset if shape.backward else shape.base + offset
                addresses.append(address)
                part = word == 0 if shape.backward else group == shape.groups - 1
                width = 0 if shape.mute else shape.partial if part else shape.width
                hits = [(group, index, turn == 0, turn == shape.repeat - 1) for index in range(width)
                        if memory[address] >> index & 1 for turn in range(shape.repeat)]
                events += hits or [None]
            events += [None] * (shape.minimum - len(events))
            ends = {"word_first": step == 0, "word_last": step == shape.steps - 1}
            for place, event in enumerate(events):
                last = place == len(events) - 1
                operations.append(Operation(
                    word, step, event, place == 0, last, **ends,
                    final=last and ends["word_last"] and word == shape.words - 1))
    return operations, addresses


def rtl_scan(shape, memory, *, limit, runs=1):
    """For each of `runs` scans in one simulation: operations by cycle since `start` and read addresses."""
    m = Module()
    options = {name: getattr(shape, name) for name in ("words", "steps", "groups", "width", "partial", "repeat",
                                                       "minimum", "mute", "backward", "depth")}
    m.submodules.scan = scan = EventScan(**options)
    m.submodules.store = store = Store(width=shape.width, depth=shape.depth)
    m.d.comb += [store.read_en.eq(scan.fetch), store.read_address.eq(scan.address), scan.bits.eq(store.read)]
    results = []

    def observe(ctx):
        group, index, first, last = (ctx.get(signal) for signal in (
            scan.group, scan.index, scan.repeat_first, scan.repeat_last))
        event = (group, index, bool(first), bool(last)) if ctx.get(scan.event) else None
        return Operation(ctx.get(scan.word), ctx.get(scan.step), event, *(
            bool(ctx.get(signal)) for signal in (scan.first, scan.last, scan.word_first, scan.word_last, scan.final)))

    async def bench(ctx):
        ctx.set(store.write_en, 1)
        for address, bits in enumerate(memory):
            ctx.set(store.write_address, address)
            ctx.set(store.write, bits)
            await ctx.tick()
        ctx.set(store.write_en, 0)
        for _ in range(runs):
            operations, addresses, cycle = {}, [], 0
            ctx.set(scan.start, 1)
            ctx.set(scan.base, shape.base)
            while not any(operation.final for operation in operations.values()):
                if ctx.get(scan.fetch):
                    addresses.append(ctx.get(scan.address))
                if ctx.get(scan.valid):
                    operations[cycle] = observe(ctx)
                await ctx.tick()
                ctx.set(scan.start, 0)
                ctx.set(scan.base, 0)
                cycle += 1
                assert cycle < limit, "the scan does not end"
            results.append((operations, addresses))
            assert not ctx.get(scan.valid)

    simulate(m, bench)
    return results


def check(shape, memory, runs=1):
    operations, addresses = expected_scan(shape, memory)
    # Start in cycle 0, first read in 1, first operation in 3, then one in every cycle.
    expected = {3 + place: operation for place, operation in enumerate(operations)}
    assert rtl_scan(shape, memory, limit=len(operations) + 20, runs=runs) == [(expected, addresses)] * runs
    return operations


@st.composite
def scans(draw, **fixed):
    backward = fixed.get("backward", False)
    width = draw(st.integers(1, 6))
    shape = Shape(words=draw(st.integers(1, 3)), steps=draw(st.integers(1, 3)),
                  groups=1 if backward else draw(st.integers(1, 3)), width=width,
                  partial=draw(st.integers(1, width)), before=draw(st.integers(0, 3)), **fixed)
    # Empty words are as frequent as all others together; bits beyond `partial` hold anything.
    word = st.one_of(st.just(0), st.integers(0, (1 << width) - 1))
    return shape, draw(st.lists(word, min_size=shape.depth, max_size=shape.depth))


@pytest.mark.parametrize("options", [
    {}, {"minimum": 3}, {"minimum": 10}, {"backward": True}, {"backward": True, "repeat": 2},
    {"backward": True, "repeat": 3}, {"backward": True, "mute": True},
], ids=lambda options: "-".join(f"{name}{int(value)}" for name, value in options.items()) or "forward")
def test_every_event_in_its_cycle(options):
    @given(scans(**options))
    def check_random(drawn):
        check(*drawn, runs=2)

    check_random()


@pytest.mark.parametrize("memory, operations", [
    ([0b0000, 0b0000], 2),      # two empty words fill the two operations that a step takes
    ([0b1111, 0b1111], 4 + 2),  # the last two of the second word are beyond `partial`
    ([0b1111, 0b1100], 4 + 1),  # nothing valid in it, but it was read
    ([0b0000, 0b0001], 1 + 1),
])
def test_operations_of_a_step(memory, operations):
    shape = Shape(words=1, steps=1, groups=2, width=4, partial=2)
    assert len(check(shape, [*memory, 0])) == operations


def test_a_lone_event_is_followed_by_an_empty_operation():
    operations = check(Shape(words=1, steps=1, groups=1, width=4, partial=4), [0b0100, 0])
    assert [(op.event, op.first, op.last) for op in operations] == [
        ((0, 2, True, True), True, False), (None, False, True)]


def test_a_step_takes_its_minimum():
    shape = Shape(words=2, steps=1, groups=2, width=4, partial=4, minimum=6)
    operations = check(shape, [0b0011, 0b0001, 0])
    assert [op.event is None for op in operations] == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3


@pytest.mark.parametrize("changes, message", [
    ({"words": 0}, "words must be positive, not 0"),
    ({"steps": 0}, "steps must be positive, not 0"),
    ({"groups": 0}, "groups must be positive, not 0"),
    ({"width": 0}, "width must be positive, not 0"),
    ({"repeat": 0}, "repeat must be positive, not 0"),
    ({"minimum": 1}, "minimum must be at least 2, not 1"),
    ({"partial": 0}, r"partial must be in 1\.\.4, not 0"),
    ({"partial": 5}, r"partial must be in 1\.\.4, not 5"),
    ({"groups": 2, "backward": True}, "groups must be 1 in a backward scan, not 2"),
])
def test_constructor_errors(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        EventScan(**{"words": 1, "steps": 1, "groups": 1, "width": 4, "partial": 4, "depth": 4, **changes})
