"""The memory against a list of words."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import ResetInserter, Signal
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.rtl.store import Store
from strategies import simulate


def model(width, depth, granule, cycles):
    """Read data after each cycle of ``(read_en, read_address, write_en, write_address, write)``."""
    memory, data, results = [0] * depth, 0, []
    for read_en, read_address, write_en, write_address, write in cycles:
        if read_en:
            data = memory[read_address]
        for part in range(width // granule):
            if write_en >> part & 1:
                mask = ((1 << granule) - 1) << part * granule
                memory[write_address] = memory[write_address] & ~mask | write & mask
        results.append(data)
    return results


def rtl_store(width, depth, granule, cycles, resets=()):
    """The same of the component; `resets` are cycles in which reset is high."""
    reset, results = Signal(), []
    dut = Store(width=width, depth=depth, granule=granule)

    async def bench(ctx):
        for cycle, values in enumerate(cycles):
            ctx.set(reset, cycle in resets)
            for name, value in zip(("read_en", "read_address", "write_en", "write_address", "write"), values):
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            results.append(ctx.get(dut.read))

    simulate(ResetInserter(reset)(dut), bench)
    return results


@given(st.data())
def test_equals_a_list(data):
    granule, parts, depth = (data.draw(st.integers(1, high)) for high in (5, 4, 6))
    width = granule * parts
    cycle = st.tuples(st.integers(0, 1), st.integers(0, depth - 1), st.integers(0, (1 << parts) - 1),
                      st.integers(0, depth - 1), st.integers(0, (1 << width) - 1))
    cycles = [(read_en and not (write_en and read_address == write_address), read_address, write_en, write_address,
               write) for read_en, read_address, write_en, write_address, write in data.draw(
                   st.lists(cycle, min_size=1, max_size=40))]
    assert rtl_store(width, depth, granule, cycles) == model(width, depth, granule, cycles)


def test_by_hand():
    cycles = [
        (0, 0, 0b11, 2, 0xAB),  # the whole word
        (1, 2, 0, 0, 0),
        (0, 0, 0b10, 2, 0xCD),  # what was read stands, while its upper half changes
        (1, 2, 0b11, 1, 0x12),  # another word is written
        (1, 1, 0, 0, 0),
    ]
    assert rtl_store(8, 3, 4, cycles) == [0, 0xAB, 0xAB, 0xCB, 0x12]


def test_no_word_is_read_while_it_is_written():
    with pytest.raises(AssertionError, match="no word of a memory is read in the cycle in which it is written"):
        rtl_store(8, 3, 4, [(1, 2, 0b10, 2, 0xCD)])


def test_unless_its_user_knows_what_is_written():
    dut, found = Store(width=8, depth=3, bypassed=True), []

    async def bench(ctx):
        for port in (dut.read_en, dut.write_en, dut.write):
            ctx.set(port, 1)
        await ctx.tick()
        found.append(ctx.get(dut.read))

    simulate(dut, bench)
    assert found == [0]


def test_contents_survive_reset():
    cycles = [(0, 0, 1, 1, 0x5A), (0, 0, 0, 0, 0), (1, 1, 0, 0, 0)]
    assert rtl_store(8, 2, 8, cycles, resets={1})[-1] == 0x5A


@pytest.mark.parametrize("style", ["block", "distributed", "auto"])
def test_ram_style(style):
    text = rtlil.convert(Store(width=8, depth=4, style=style), emit_src=False)
    assert [line.strip() for line in text.splitlines() if "ram_style" in line] == (
        [] if style == "auto" else [f'attribute \\ram_style "{style}"'])


@pytest.mark.parametrize("sizes, message", [
    ({"width": 0, "depth": 4}, "memory must have positive width and depth, not 0 and 4"),
    ({"width": 8, "depth": 0}, "memory must have positive width and depth, not 8 and 0"),
    ({"width": 8, "depth": 4, "granule": 3}, "granule must divide the width 8, not 3"),
])
def test_constructor_errors(sizes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Store(**sizes)
