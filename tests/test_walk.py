"""Walks over bitmap words: every address in its turn, whenever the next word is read."""

from typing import NamedTuple

import pytest
from amaranth.hdl import Array, Module, Signal
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.rtl.walk import Descent, Rectangles, StepLoop
from strategies import simulate


class Word(NamedTuple):
    """A bitmap word of a walk."""

    row: int
    group: int
    address: int
    step_ends: bool
    word_ends: bool


def rectangle_words(walk, base, rectangles):
    """All words, from the loops: per word of neurons the rows and groups of its rectangle, and where it begins."""
    for rows, groups, offset in rectangles:
        for step in range(walk.steps):
            for row in range(rows):
                for group in range(groups):
                    ends = row == rows - 1 and group == groups - 1
                    yield Word(row, group, (base + offset + step * walk.step_pitch + row * walk.row_pitch
                                            + group * walk.group_pitch) % walk.depth,
                               ends, ends and step == walk.steps - 1)


def descending_words(walk, base):
    address = base
    for _ in range(walk.words):
        for step in range(walk.steps):
            yield Word(0, 0, address, True, step == walk.steps - 1)
            address -= 1
        address -= walk.skip


def rtl_walk(walk, base, pauses, drive=None):
    """Two walks, one after the other, with so many cycles before each next word; a list of words of each."""
    m, found = Module(), []
    m.submodules.walk = walk
    if drive is not None:
        drive(m, walk)

    def see(ctx):
        place = (ctx.get(walk.read_row), ctx.get(walk.read_group)) if isinstance(walk, Rectangles) else (0, 0)
        return Word(*place, ctx.get(walk.address), bool(ctx.get(walk.step_ends)), bool(ctx.get(walk.word_ends)))

    async def bench(ctx):
        for _ in range(2):
            words = []
            assert not ctx.get(walk.running)
            ctx.set(walk.start, 1)
            ctx.set(walk.base, base)
            await ctx.tick()
            ctx.set(walk.start, 0)
            ctx.set(walk.base, 0)
            while ctx.get(walk.running):
                pause = pauses[len(words) % len(pauses)]
                for _ in range(pause):
                    before = see(ctx)
                    await ctx.tick()
                    assert ctx.get(walk.running) and see(ctx) == before
                words.append(see(ctx))
                ctx.set(walk.next, 1)
                await ctx.tick()
                ctx.set(walk.next, 0)
            found.append(words)

    simulate(m, bench)
    return found


def surround(rectangles):
    """Says the rectangle of the word that is being read, as a forward pass does."""
    def drive(m, walk):
        word = Signal(range(len(rectangles) + 1))
        with m.If(walk.start):
            m.d.sync += word.eq(0)
        with m.Elif(walk.next & walk.word_ends):
            m.d.sync += word.eq(word + 1)
        m.d.comb += [own.eq(Array(values)[word]) for own, values in zip(
            (walk.last_row, walk.last_group, walk.offset),
            zip(*((rows - 1, groups - 1, offset) for rows, groups, offset in rectangles)))]
    return drive


@settings(max_examples=40)
@given(st.data())
def test_rectangles(data):
    words, rows, groups = (data.draw(st.integers(1, 3)) for _ in range(3))
    walk = Rectangles(
        words=words, steps=data.draw(st.integers(1, 3)), rows=rows, groups=groups, depth=64,
        group_pitch=data.draw(st.integers(0, 2)), row_pitch=data.draw(st.integers(0, 5)),
        step_pitch=data.draw(st.sampled_from([None, 0, 1, 7])))
    rectangles = [tuple(data.draw(st.integers(low, high)) for low, high in ((1, rows), (1, groups), (0, 9)))
                  for _ in range(words)]
    base, pauses = data.draw(st.integers(0, 5)), data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=5))
    assert rtl_walk(walk, base, pauses, surround(rectangles)) == [list(rectangle_words(walk, base, rectangles))] * 2


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.lists(st.integers(0, 2), min_size=1, max_size=5))
def test_descent(words, steps, skip, pauses):
    walk = Descent(words=words, steps=steps, skip=skip, depth=64)
    base = words * (steps + skip) + 1
    assert rtl_walk(walk, base, pauses) == [list(descending_words(walk, base))] * 2


def test_a_rectangle_of_two_rows():
    walk = Rectangles(words=1, steps=2, rows=2, groups=2, row_pitch=5, step_pitch=20, depth=64)
    found, _ = rtl_walk(walk, 3, [0], surround([(2, 2, 10)]))
    assert [word.address for word in found] == [13, 14, 18, 19, 33, 34, 38, 39]


@pytest.mark.parametrize("words, steps", [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_step_loop(words, steps):
    """It knows which step is the last, and a step before that it will be."""
    m, loop, seen = Module(), StepLoop(words=words, steps=steps), []
    m.submodules.loop = loop

    async def bench(ctx):
        for _ in range(2):
            ctx.set(loop.start, 1)
            await ctx.tick()
            ctx.set(loop.start, 0)
            while ctx.get(loop.running):
                await ctx.tick()  # nothing moves but by `next`
                seen.append((ctx.get(loop.last), ctx.get(loop.last_follows)))
                ctx.set(loop.next, 1)
                await ctx.tick()
                ctx.set(loop.next, 0)

    simulate(m, bench)
    last = [step == steps - 1 for step in range(steps)]
    one = [(now, follows) for now, follows in zip(last, [*last[1:], last[0]])]
    assert seen == one * words * 2
