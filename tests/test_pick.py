"""Events of a bitmap word, the queue of words before them, and the count of operations after them."""

from collections import deque

import pytest
from amaranth.hdl import Array, Module, Signal
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.rtl.pick import PickBits, PickNone, PickWord
from spikeloom.rtl.scan import OperationCount, WordQueue
from strategies import simulate


def rtl_events(pick, words, repeats=None):
    """Events of each word, taken as soon as the one before is done: (index, seen) in every cycle, None without event.

    An event of bit `index` stays for ``repeats[index]`` cycles.
    """
    m, found = Module(), []
    m.submodules.pick = pick
    if repeats:
        turn = Signal(range(max(repeats) + 1))
        m.d.comb += pick.stay.eq(turn != Array(repeats)[pick.index] - 1)
        with m.If(pick.event):
            m.d.sync += turn.eq(turn + 1)
            with m.If(~pick.stay):
                m.d.sync += turn.eq(0)

    async def bench(ctx):
        assert ctx.get(pick.done) and not ctx.get(pick.event)
        for word in words:
            ctx.set(pick.take, 1)
            ctx.set(pick.word, word)
            await ctx.tick()
            ctx.set(pick.take, 0)
            ctx.set(pick.word, ~word)
            own = []
            while True:
                seen = ctx.get(pick.seen) if isinstance(pick, PickWord) else None
                own.append((ctx.get(pick.index), seen) if ctx.get(pick.event) else None)
                if ctx.get(pick.done):
                    break
                await ctx.tick()
            found.append(own)
        await ctx.tick()
        assert ctx.get(pick.done) and not ctx.get(pick.event)

    simulate(m, bench)
    return found


@settings(max_examples=40)
@given(st.data())
def test_bits_one_by_one(data):
    width = data.draw(st.integers(1, 9))
    words = data.draw(st.lists(st.integers(0, (1 << width) - 1), min_size=1, max_size=12))
    repeats = data.draw(st.lists(st.integers(1, 3), min_size=width, max_size=width))
    expected = [[(index, None) for index in range(width) if word >> index & 1 for _ in range(repeats[index])] or [None]
                for word in words]
    assert rtl_events(PickBits(width), words, repeats) == expected


@settings(max_examples=20)
@given(st.lists(st.integers(0, 31), min_size=1, max_size=12))
def test_a_word_at_once(words):
    lowest = [(word & -word).bit_length() - 1 for word in words]
    assert rtl_events(PickWord(5), words) == [
        [(index, word) if word else None] for index, word in zip(lowest, words)]


def test_none():
    m, pick = Module(), PickNone()
    m.submodules.pick = pick
    # There is nothing that could be an event.
    assert set(pick.signature.members) == {"done"}

    async def bench(ctx):
        await ctx.delay(1e-9)
        assert ctx.get(pick.done)

    simulate(m, bench, clocked=False)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=10, max_size=60), st.integers(1, 7))
def test_queue_keeps_the_order(turns, mask):
    """Whenever words are read and taken: none is lost, and each has what came with it."""
    m, queue = Module(), WordQueue(width=3, tag=6, beside=6)
    m.submodules.queue = queue
    expected, inside, taken = deque(), deque(), []

    async def bench(ctx):
        number, read = 0, None
        ctx.set(queue.mask, mask)
        for put, take in turns:
            # What was read in the cycle before is at the memory output, until the next.
            if read is not None:
                ctx.set(queue.bits, read % 8)
                ctx.set(queue.beside_in, 63 - read)
                read = None
            take &= bool(ctx.get(queue.ready))
            put &= bool(ctx.get(queue.room))
            if take:
                taken.append(tuple(ctx.get(own) for own in (queue.last, queue.word, queue.tag, queue.beside)))
            ctx.set(queue.take, take)
            ctx.set(queue.put, put)
            ctx.set(queue.tag_in, number)
            ctx.set(queue.last_in, number % 3 == 0)
            if put:
                expected.append((number % 3 == 0, number % 8 & mask, number, 63 - number))
                read = number
                number += 1
            await ctx.tick()
            inside.append(len(expected) - len(taken))

    simulate(m, bench)
    assert list(expected)[:len(taken)] == taken
    assert max(inside) <= 4


def test_queue_passes_a_word_per_cycle():
    """A word is ready two cycles after it was read, and then one in every cycle; it stops while nobody takes any."""
    m, queue = Module(), WordQueue(width=1)
    m.submodules.queue = queue
    ready, room = [], []

    async def bench(ctx):
        for cycle in range(16):
            ready.append(ctx.get(queue.ready))
            room.append(ctx.get(queue.room))
            ctx.set(queue.put, ctx.get(queue.room))
            ctx.set(queue.take, ready[-1] and cycle < 8)
            await ctx.tick()

    simulate(m, bench)
    assert ready == [0, 0] + [1] * 14
    # The word that is not taken in cycle 8, one at the memory output, and the one that was being read: then it is full.
    assert room == [1] * 9 + [0] * 7


@pytest.mark.parametrize("words, steps, minimum", [(1, 1, 2), (2, 3, 2), (3, 1, 4), (2, 2, 5)])
def test_operation_count(words, steps, minimum):
    m, count, found = Module(), OperationCount(words=words, steps=steps, minimum=minimum), []
    m.submodules.count = count
    # How many operations of each step have something to do.
    busy = [1 + (7 * number) % (minimum + 2) for number in range(words * steps)]

    async def bench(ctx):
        for _ in range(2):
            ctx.set(count.start, 1)
            await ctx.tick()
            ctx.set(count.start, 0)
            for amount in busy:
                done = 0
                while True:
                    ctx.set(count.valid, 0)
                    ctx.set(count.ends, 0)
                    if done == 1:
                        await ctx.tick()  # a cycle without an operation counts for nothing
                    done += 1
                    ctx.set(count.valid, 1)
                    ctx.set(count.ends, done >= amount)
                    names = ("word", "step", "first", "last", "word_first", "word_last", "final")
                    found.append(tuple(ctx.get(getattr(count, name)) for name in names))
                    last = ctx.get(count.last)
                    await ctx.tick()
                    if last:
                        break
            ctx.set(count.valid, 0)
            ctx.set(count.ends, 0)

    simulate(m, bench)
    expected = []
    for number, amount in enumerate(busy):
        word, step = divmod(number, steps)
        length = max(minimum, amount)
        expected += [(word, step, place == 0, place == length - 1, step == 0, step == steps - 1,
                      place == length - 1 and number == words * steps - 1) for place in range(length)]
    assert found == expected * 2
