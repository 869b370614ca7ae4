"""The update scan: each active row, each of its words, each active step, in exactly the documented cycle."""

import random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.golden import stages
from spikeloom.golden.schedule import update_cycles, update_operations
from spikeloom.rtl.update import UpdateScan
from strategies import scan_memory, small


class Operation(NamedTuple):
    row: int
    step: int
    weight_base: int
    error_base: int
    first: bool
    last: bool
    full: bool


def unit_of(n_in, lanes_below, *, classes=3, lanes=2, steps=1, period=1, bias=False):
    """A classifier with `n_in` inputs that arrive `lanes_below` at a time."""
    return small(time={"steps": steps * period, "interval": steps, "update_period": period},
                 layers=[{"neurons": n_in, "lanes": lanes_below}],
                 network={"classes": classes}, classifier={"lanes": lanes, "bias": bias}).units[-1]


def expected_scan(unit, base, memory):
    operations, addresses, layout, begun = [], [], unit.bitmap, 0
    for group in range(layout.words):
        addresses += [base + step * layout.words + group for step in range(unit.frames)]
        history = [memory[address] for address in addresses[-unit.frames:]]
        active = False
        for bit in range(min(layout.scan_width, layout.channels - group * layout.scan_width)):
            steps = [step for step in range(unit.frames) if history[step] >> bit & 1]
            active |= bool(steps)
            operations += [
                Operation(group * layout.scan_width + bit, step, word * unit.fan_rows, word * unit.frames,
                          step == steps[0], step == steps[-1], word != unit.words - 1)
                for word in range(unit.words) for step in steps]
        begun += active
    if unit.weights.bias:
        begun += 1
        operations += [
            Operation(unit.fan_rows - 1, step, word * unit.fan_rows, word * unit.frames, step == 0,
                      step == unit.frames - 1, word != unit.words - 1)
            for word in range(unit.words) for step in range(unit.frames)]
    return operations, addresses, begun


def check(unit, base, memory, runs=1):
    operations, addresses, begun = expected_scan(unit, base, memory)
    # The pass ends when `finish` has gone through all stages, and counts its first and last cycle. A group takes three
    # cycles beside its reads, and one more where a row is active.
    finish = update_cycles(unit, update_operations(len(operations), begun)) - len(stages.update(unit))
    groups = unit.bitmap.words + unit.weights.bias
    assert finish == 1 + groups * (unit.frames + 3) + len(operations) + begun
    scan = UpdateScan(unit, depth=len(memory))

    def observe(ctx):
        return Operation(*(ctx.get(getattr(scan, name)) for name in Operation._fields))

    found = scan_memory(scan, memory, base=base, runs=runs, observe=observe, ends=lambda ctx: ctx.get(scan.finish),
                        limit=finish + 10)
    assert [(list(own.values()), *rest) for own, *rest in found] == [(operations, addresses, finish)] * runs
    return operations


@given(st.data())
def test_rows_in_order(data):
    n_in, classes = data.draw(st.integers(1, 70)), data.draw(st.integers(2, 5))
    unit = unit_of(
        n_in, data.draw(st.integers(1, min(n_in, 6))), classes=classes, lanes=data.draw(st.integers(1, classes)),
        steps=data.draw(st.integers(1, 3)), period=data.draw(st.integers(1, 2)), bias=data.draw(st.booleans()))
    base, source = data.draw(st.integers(0, 3)), random.Random(data.draw(st.integers(0, 999)))
    density = data.draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    memory = [sum((source.random() < density) << bit for bit in range(unit.bitmap.scan_width))
              for _ in range(base + unit.frames * unit.bitmap.words + 1)]
    check(unit, base, memory, runs=2)


@pytest.mark.parametrize("channels, lanes, fan_rows, rows", [
    (5, 4, 21, [0, 3, 4, 8, 16, 20]),  # three pixels of eight bits; the last one ends before its granule does
    (3, 3, 9, [0, 3, 4, 8]),
])
def test_rows_of_pixels(channels, lanes, fan_rows, rows):
    """Behind an image every pixel begins with a granule; bits behind the last channel do not count."""
    unit = small(input={"shape": [1, 3, 1]}, time={"steps": 1, "interval": 1}, classifier={"lanes": 3},
                 layers=[{"kind": "conv", "channels": channels, "kernel": 1, "lanes": lanes}]).units[-1]
    assert unit.fan_rows == fan_rows < unit.bitmap.scan_width
    assert [op.row for op in check(unit, 0, [sum(1 << row for row in [*rows, fan_rows])])] == rows


def test_static_rows():
    # A frame has one bitmap for the whole update period: one operation per word of each row that is not zero.
    unit = small(input={"size": 40}, layers=[{"neurons": 5, "lanes": 2}]).units[0]
    operations = check(unit, 0, [1 << 31 | 1, 0b100000001])
    assert [(op.row, op.weight_base) for op in operations] == [
        (row, word * 40) for row in (0, 31, 32) for word in range(3)]


def test_by_hand():
    """Three steps, two words: row 0 is active in steps 0 and 2, row 2 in step 1; row 5 does not exist."""
    unit = unit_of(5, 1, steps=3)
    assert check(unit, 0, [0b000001, 0b100100, 0b100001]) == [
        Operation(0, 0, 0, 0, 1, 0, 1), Operation(0, 2, 0, 0, 0, 1, 1),
        Operation(0, 0, 5, 3, 1, 0, 0), Operation(0, 2, 5, 3, 0, 1, 0),
        Operation(2, 1, 0, 0, 1, 1, 1), Operation(2, 1, 5, 3, 1, 1, 0),
    ]


@pytest.mark.parametrize("memory", [[0], [0b100000]])
def test_nothing_active(memory):
    assert check(unit_of(5, 1), 0, memory) == []
