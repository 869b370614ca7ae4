"""A pause in the middle of training: what a host sees, what it may touch, and that nothing of the training changes."""

import pytest
from test_registers import access

from spikeloom.gen.samples import items
from spikeloom.gen.state import state_writes
from spikeloom.golden.checkpoint import state_arrays
from spikeloom.golden.model import initial_state
from spikeloom.golden.prediction import Prediction
from spikeloom.rtl.core import Core
from spikeloom.rtl.registers import RegisterMap, Status
from strategies import frames, simulate, small

CONFIG = small(update={"shift": 1, "decay_samples": 2, "decay_limit": 3}, hardware={"counters": False})
REGISTERS = RegisterMap(CONFIG)


def fields(name, word):
    """Names of the fields that are set."""
    return {field.name for field in REGISTERS.regions[name].fields if word >> field.lsb & 1}


class Session:
    """A core that trains while a host asks.

    `taking` says whether results are taken. `host` is an async function of the context and of this session.
    """

    def __init__(self, host, samples=6):
        self.dut, self.results, self.taking, self.host = Core(CONFIG), [], True, host
        self.frames, self.labels = frames(CONFIG, samples), [place % 3 for place in range(samples)]
        self.prediction = Prediction(CONFIG)
        for frame, label in zip(self.frames, self.labels):
            self.prediction.sample(frame, label, True)
        simulate(self.dut, self._host, self._samples, self._results)

    async def ask(self, ctx, *requests):
        return [answer[:2] for answer in await access(ctx, self.dut, requests)]

    async def read(self, ctx, name):
        (data, status), = await self.ask(ctx, (REGISTERS.regions[name].base, None))
        assert status == Status.OK
        return fields(name, data)

    async def pause(self, ctx, on=1):
        address, mask = REGISTERS.mask("control", "hold")
        await self.ask(ctx, (address, mask * on))

    async def _host(self, ctx):
        await self.pause(ctx)
        writes = [(base + place, value) for base, values in state_writes(REGISTERS, state_arrays(initial_state(CONFIG)))
                  for place, value in enumerate(values)]
        while "held" not in await self.read(ctx, "status"):
            pass
        assert {status for _, status in await self.ask(ctx, *writes)} == {Status.OK}
        await self.pause(ctx, 0)
        self.loaded = True
        await self.host(ctx, self)

    loaded = False

    async def _samples(self, ctx):
        port = self.dut.samples
        while not self.loaded:
            await ctx.tick()
        for word in items(CONFIG, self.frames.numpy(), self.labels, [True] * len(self.labels))[0].tolist():
            ctx.set(port.payload, port.payload.shape().from_bits(word))
            ctx.set(port.valid, 1)
            while not ctx.get(port.ready):
                await ctx.tick()
            await ctx.tick()
        ctx.set(port.valid, 0)

    async def _results(self, ctx):
        port = self.dut.results
        while len(self.results) < len(self.labels):
            ctx.set(port.ready, self.taking)
            if self.taking and ctx.get(port.valid):
                self.results.append(list(ctx.get(port.payload.counts)))
            await ctx.tick()

    def check(self):
        assert self.results == [wanted["spike counts"] for wanted in self.prediction.results]
        assert any(any(counts) for counts in self.results)


async def finish(ctx, session, weights):
    """Weights at the end, once all results are there."""
    while len(session.results) < len(session.labels):
        await ctx.tick()
    await session.pause(ctx)
    while "held" not in await session.read(ctx, "status"):
        pass
    region = REGISTERS.regions["block1.layer0.weight"]
    weights += [data for data, _ in await session.ask(ctx, *((region.base + place, None)
                                                             for place in range(region.size)))]


@pytest.mark.parametrize("pauses", [0, 12])
def test_pauses_change_nothing(pauses):
    """Each comes in the middle of something; weights are read and written back, and are what they were."""
    weights, seen = [], set()
    region = REGISTERS.regions["block1.layer0.weight"]

    async def host(ctx, session):
        for turn in range(pauses):
            await ctx.tick().repeat(37 * turn + 11)
            await session.pause(ctx)
            while "held" not in (status := await session.read(ctx, "status")):
                seen.add(frozenset(status))
                # As long as a block computes, nothing of it can be touched, and all else answers.
                (_, status), = await session.ask(ctx, (region.base, None))
                assert status in (Status.BUSY, Status.OK)
            kept = await session.ask(ctx, *((region.base + place, None) for place in range(region.size)))
            await session.ask(ctx, *((region.base + place, data - 2**32 if data >> 31 else data)
                                     for place, (data, _) in enumerate(kept)))
            assert await session.ask(ctx, *((region.base + place, None) for place in range(region.size))) == kept
            assert {status for _, status in kept} == {Status.OK}
            await session.pause(ctx, 0)
        await finish(ctx, session, weights)

    session = Session(host)
    session.check()
    unit = CONFIG.units[2]
    assert unit.path == "block1.layer0"
    wanted = session.prediction.model.state["weight"][2]
    for row in range(unit.fan_in):
        for channel in range(unit.channels):
            place = REGISTERS.weight(unit, row, channel) - region.base
            assert weights[place] == int(wanted[row, channel]) % 2**32
    if pauses:
        assert any("idle" not in status for status in seen), "no pause came while something was computed"


def test_a_host_finds_out_why_nothing_moves():
    """Nobody takes results: everything still answers, and says where it waits; afterwards all goes on."""
    async def host(ctx, session):
        assert "starved" in await session.read(ctx, "status")
        session.taking = False
        await ctx.tick().repeat(4000)
        before = len(session.results)
        await session.pause(ctx)
        await ctx.tick().repeat(2000)
        status = await session.read(ctx, "status")
        assert "result_waits" in status and not status & {"held", "starved", "idle"}
        assert await session.read(ctx, "block0.status") == {"idle", "blocked"}
        assert await session.read(ctx, "block1.status") == {"blocked"}
        (_, answer), = await session.ask(ctx, (REGISTERS.regions["block0.layer0.weight"].base, None))
        assert answer == Status.BUSY
        assert len(session.results) == before
        await session.pause(ctx, 0)
        session.taking = True
        while len(session.results) < len(session.labels):
            await ctx.tick()
        await ctx.tick().repeat(2000)
        status = await session.read(ctx, "status")
        assert status == {"idle", "starved"}
        assert await session.read(ctx, "block1.status") == {"idle", "starved"}

    Session(host, samples=12).check()
