"""Fields at later cycles, and only the registers that somebody asked for."""

import pytest
from amaranth.hdl import Module, Signal, signed

from spikeloom.golden.stages import Stages
from spikeloom.rtl.pipeline import Pipeline
from strategies import simulate


def test_every_stage_is_one_cycle_later():
    m, number, flag = Module(), Signal(signed(5)), Signal()
    m.submodules.pipe = pipe = Pipeline(number=number, flag=flag, sum=number + flag)
    stages = {stage: (pipe[stage].number, pipe[stage].sum) for stage in (3, 0, 1)}  # in any order
    seen, values = {stage: [] for stage in stages}, [(3, 1), (-16, 0), (15, 1), (-1, 1), (7, 0), (0, 0), (1, 0)]

    async def bench(ctx):
        for own in values:
            ctx.set(number, own[0])
            ctx.set(flag, own[1])
            for stage, fields in stages.items():
                seen[stage].append(tuple(ctx.get(field) for field in fields))
            await ctx.tick()

    simulate(m, bench)
    now = [(number, number + flag) for number, flag in values]
    assert seen == {stage: [(0, 0)] * stage + now[:len(now) - stage] for stage in stages}


def test_a_field_nobody_asks_for_has_no_registers():
    pipe = Pipeline(wanted=Signal(3), other=Signal(8))
    first, again = pipe[2].wanted, pipe[2].wanted
    assert first is again
    assert [len(field) for field, _ in pipe._delays] == [3, 3]


def test_stages_have_names():
    stages = Stages(("now", "port", "memory", "word")).mark("word", read=2)
    pipe = Pipeline(stages, number=Signal(8))
    assert pipe["word"] is pipe[3] and pipe["read"] is pipe["port"] is pipe[1]
    later = Pipeline(stages.since("port"), number=Signal(8))
    assert later["word"] is later[2] and later["read"] is later[0]
    with pytest.raises(KeyError, match="no stage 'now'"):
        later["now"]


def test_an_unknown_field():
    with pytest.raises(AttributeError):
        _ = Pipeline(known=Signal())[2].unknown
