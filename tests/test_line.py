"""Lines that damage what they carry, and ports that cannot be used: a `LinkError`, or all is right."""

import random

import numpy as np
import pytest
from test_host import CONFIG as SMALL
from test_host import DIVISOR

from bench.line import CONFIG, DAMAGES, Device, Line, converse
from serial_line import Line as SerialLine
from spikeloom.board.host import Host, LinkError, encode_request
from spikeloom.rtl.host import Answer, HostedCore, Packets
from spikeloom.rtl.registers import MAGIC


@pytest.mark.parametrize("crc", [False, True])
@pytest.mark.parametrize("damage", [None, *DAMAGES], ids=lambda own: getattr(own, "__name__", own))
def test_damaged_lines(damage, crc):
    ended = [converse(random.Random(seed), crc=crc, damage=damage) for seed in range(8)]
    assert all(ended) if damage is None else not all(ended) or not crc


def test_a_flipped_bit_is_noticed():
    """Every single one that is carried, with checksums."""
    for seed in range(60):
        source = random.Random(seed)
        device = Device(Packets(CONFIG, crc=True), CONFIG)
        line = Line(device, source, DAMAGES[0])
        line.due = source.randrange(6)
        with pytest.raises(LinkError):
            Host(line, CONFIG, crc=True).read(0, 5)
            assert not line.done, "it was carried"
            raise LinkError("nothing was carried")


@pytest.mark.parametrize("timeout", [None, 0, -1, float("inf")])
def test_ports_that_wait_for_ever_or_never(timeout):
    line = Line(Device(Packets(CONFIG), CONFIG), random.Random(0), None)
    line.timeout = timeout
    with pytest.raises(ValueError, match=f"timeout of the port must be seconds, more than 0, not {timeout}"):
        Host(line, CONFIG)


def test_vanished_device():
    line = Line(Device(Packets(CONFIG), CONFIG), random.Random(0), None)
    host = Host(line, CONFIG)
    line.damage, line.due = "gone", 0
    with pytest.raises(LinkError, match=r"the port does not write: OSError: .*Input/output error"):
        host.read(0)
    with pytest.raises(LinkError, match="the port does not flush: OSError"):
        host.reset()


def test_answers_that_nobody_asked_for():
    for answer, name in ((b"\1", "ROOM"), (b"\2\0\0\0\0", "RESPONSE"), (b"\6", "BUSY")):
        line = Line(Device(Packets(CONFIG), CONFIG), random.Random(0), None)
        host = Host(line, CONFIG)
        host.send([[0] * 6])
        line.device.out[:] = b"\1" * (name == "ROOM") + answer
        with pytest.raises(LinkError, match=f"the core sent {name}, which nobody had asked for"):
            host.result()


def test_core_with_checksums():
    """The RTL closes and checks packets as the host does; after a damaged one it is deaf until a break."""
    line = SerialLine(HostedCore(SMALL, divisor=DIVISOR, crc=True), DIVISOR)
    host, packets = Host(line, SMALL, crc=True), Packets(SMALL, crc=True)
    samples = np.arange(12).reshape(2, 6) % 4
    results = list(host.run(samples, [0, 2], train=True))
    assert [(result.label, result.train) for result in results] == [(0, 1), (2, 1)]
    with host.paused():
        weights = host.registers.regions["block0.layer0.weight"].base
        host.write(weights, [5, -3])
        assert host.read(weights, 2) == [5, 2**32 - 3]
    good = encode_request(packets, 0)
    for place in (9, 8 * len(good) - 1):
        wrong = int.from_bytes(good, "little") ^ 1 << place
        line.write(wrong.to_bytes(len(good), "little"))
        assert line.read(20) == packets.close(bytes([Answer.DAMAGED]))
        line.write(good)
        assert line.read(20) == b""
        host.reset()
    line.write(good[:-1])
    line.wait(200)
    host.reset()
    assert host.read(0) == [MAGIC]
