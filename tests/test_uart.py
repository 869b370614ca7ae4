"""The serial line against bits that a model puts on the wire, and takes from it."""

import random

import pytest
from amaranth.sim import Simulator

from serial_line import send_byte
from spikeloom.rtl.uart import LEAST_DIVISOR, UartReceiver, UartTransmitter
from strategies import simulate


def received(drive, divisor=7):
    """What the receiver says of a line: its bytes, ``fault`` and ``break`` in order."""
    dut, heard, bits = UartReceiver(divisor), [], []

    async def watch(ctx):
        broken = False
        async for _, _, shift, bit, done, fault, now in ctx.tick().sample(
                dut.shift, dut.bit, dut.done, dut.fault, dut.broken):
            bits.extend([bit] * shift)
            if done:
                heard.append(sum(value << place for place, value in enumerate(bits)))
            if fault:
                heard.append("fault")
            if now and not broken:
                heard.append("break")
            if done or fault or (now and not broken):
                assert len(bits) == 8
                bits.clear()
            broken = now

    async def bench(ctx):
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(3)
        await drive(ctx, dut.rx)
        await ctx.tick().repeat(2 * divisor)

    simulate_with_background(dut, bench, watch)
    return heard


def simulate_with_background(dut, bench, watch):
    """As `simulate`, but `watch` does not keep the simulation alive."""
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(watch, background=True)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("divisor", [LEAST_DIVISOR, 7, 12])
def test_every_byte_back_to_back(divisor):
    values = random.Random(divisor).sample(range(256), 256)

    async def drive(ctx, rx):
        for value in values:
            await send_byte(ctx, rx, value, divisor)

    assert received(drive, divisor) == values


@pytest.mark.parametrize("theirs", [48, 52])
def test_other_clocks(theirs):
    """A line that is 4 % faster or slower is still understood."""
    values = [0x55, 0xFF, 0x00, 0xA3] * 4

    async def drive(ctx, rx):
        for value in values:
            await send_byte(ctx, rx, value, theirs)

    assert received(drive, 50) == values


def test_framing_errors_and_breaks():
    """What has no stop bit is told apart from what has, and what follows is heard again."""
    async def drive(ctx, rx):
        await send_byte(ctx, rx, 0x41, 7)
        await send_byte(ctx, rx, 0x80, 7, stop=0)
        await ctx.tick().repeat(3)
        await send_byte(ctx, rx, 0x42, 7)
        ctx.set(rx, 0)
        await ctx.tick().repeat(40 * 7)
        ctx.set(rx, 1)
        await ctx.tick().repeat(7)
        await send_byte(ctx, rx, 0x00, 7)

    assert received(drive) == [0x41, "fault", 0x42, "break", 0x00]


def test_no_start_bit():
    """A pulse shorter than half a bit is none, and does not keep the next byte from being heard."""
    async def drive(ctx, rx):
        ctx.set(rx, 0)
        await ctx.tick().repeat(3)
        ctx.set(rx, 1)
        await ctx.tick().repeat(4)
        await send_byte(ctx, rx, 0x5A, 7)

    assert received(drive) == [0x5A]


@pytest.mark.parametrize("divisor", [LEAST_DIVISOR, 9])
def test_transmitter(divisor):
    """Bytes without a gap, each in ten bits; the line is high before and after."""
    values = random.Random(0).choices(range(256), k=30)
    dut = UartTransmitter(divisor)
    line, done = [], []

    async def bench(ctx):
        for _ in range(2 * divisor):
            line.append(ctx.get(dut.tx))
            await ctx.tick()
        ctx.set(dut.valid, 1)
        for value in values:
            finished = False
            while not finished:
                ctx.set(dut.bit, value >> ctx.get(dut.index) & 1)
                finished = ctx.get(dut.done)
                if finished:
                    done.append(len(line))
                line.append(ctx.get(dut.tx))
                await ctx.tick()
        ctx.set(dut.valid, 0)
        for _ in range(3 * divisor):
            line.append(ctx.get(dut.tx))
            await ctx.tick()

    simulate(dut, bench)
    start = line.index(0)
    found = line[start::divisor]
    wanted = [bit for value in values for bit in (0, *((value >> place & 1) for place in range(8)), 1)]
    assert found[:len(wanted)] == wanted
    assert set(line[:start]) == {1} and set(line[start + divisor * len(wanted):]) == {1}
    assert {later - before for before, later in zip(done, done[1:])} == {10 * divisor}


@pytest.mark.parametrize("divisor", [3, 7.5])
@pytest.mark.parametrize("kind", [UartReceiver, UartTransmitter])
def test_divisor(kind, divisor):
    with pytest.raises(ValueError, match=rf"divisor must be an integer of at least 4, not {divisor}"):
        kind(divisor)
