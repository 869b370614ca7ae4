"""The port of the serial line without a core: packets, answers, and what happens when they come at a wrong time."""

import random

from test_host import CONFIG, DIVISOR, PACKETS, response

from serial_line import Line
from spikeloom.board.host import Result, decode, encode_request
from spikeloom.rtl.host import Answer, HostPort
from spikeloom.rtl.registers import RegisterMap, Status


class Port:
    """A `HostPort` whose streams the test plays: what it takes, and what it gives back."""

    def __init__(self):
        self.dut = HostPort(CONFIG, DIVISOR)
        self.taken, self.room, self.results, self.responses, self.leds = [], True, [], [], {}
        self.line = Line(self.dut, DIVISOR, self._take, self._give, self._respond)
        assert self.line.read(9) == bytes([Answer.RESET])  # what it says after power-up

    async def _take(self, ctx):
        ports = {name: getattr(self.dut, name) for name in ("samples", "request")}
        while True:
            for name, port in ports.items():
                ctx.set(port.ready, self.room)
                if self.room and ctx.get(port.valid):
                    payload = ctx.get(port.payload)
                    self.taken.append((name, payload.as_value().value))
            self.leds = {name: ctx.get(getattr(self.dut.leds, name))
                         for name in ("busy", "result", "framing", "overrun")}
            await ctx.tick()

    async def _give(self, ctx):
        port = self.dut.results
        while True:
            if self.results:
                ctx.set(port.payload, self.results[0])
                ctx.set(port.valid, 1)
                while not ctx.get(port.ready):
                    await ctx.tick()
                self.results.pop(0)
            await ctx.tick()
            ctx.set(port.valid, 0)

    async def _respond(self, ctx):
        """The next response some cycles after every request, for one cycle; none when there are no more."""
        while True:
            while not (self.room and ctx.get(self.dut.request.valid)):
                await ctx.tick()
            await ctx.tick().repeat(5)
            if self.responses:
                data, status = self.responses.pop(0)
                ctx.set(self.dut.response.payload, {"data": data, "status": status})
                ctx.set(self.dut.response.valid, 1)
            await ctx.tick()
            ctx.set(self.dut.response.valid, 0)


def item(**fields):
    """A packet of an item, and what `Port.taken` says of it."""
    word = PACKETS.item.const(fields).as_value().value
    return (word << 1).to_bytes(PACKETS.item_bytes, "little"), ("samples", word)


def test_packets_back_to_back():
    """Items and requests in any order, without a gap; only the item that closes a sample is answered."""
    source, port, sent, wanted = random.Random(0), Port(), b"", []
    for place in range(24):
        if source.random() < 0.5:
            packet, expected = item(value=source.randrange(8), label=source.randrange(3), last=place == 7,
                                    train=source.randrange(2))
        else:
            address, value = source.randrange(1 << RegisterMap(CONFIG).address_bits), source.randrange(2**32)
            packet = encode_request(PACKETS, address, value)
            expected = "request", PACKETS.request.const(
                {"address": address, "write": 1, "data": value}).as_value().value
        sent, wanted = sent + packet, [*wanted, expected]
    closing, expected = item(last=1)
    port.responses = [(place, Status.OK) for place in range(24)]
    port.line.write(sent + closing)
    heard, requests = port.line.read(999), [name for name, _ in wanted].count("request")
    answers = [response(place) for place in range(requests)]
    rooms = 1 + any(name == "samples" and PACKETS.item.from_bits(word).last for name, word in wanted)
    assert len(heard) == len(b"".join(answers)) + rooms
    for answer in answers:
        heard = heard.replace(answer, b"", 1)
    assert heard == bytes([Answer.ROOM]) * rooms
    assert port.taken == [*wanted, expected]


def test_answers():
    """Responses and results leave one after the other, each whole; a response that is not ok is a single byte."""
    port, source = Port(), random.Random(1)
    results = [{"prediction": place % 3, "counts": [source.randrange(5) for _ in range(3)], "label": 2 - place,
                "train": place % 2, "cycles": source.randrange(2**32)} for place in range(3)]
    responses = [(source.randrange(2**32), Status.OK), (0, Status.BUSY), (source.randrange(2**32), Status.OK),
                 (0, Status.REFUSED)]
    port.responses = list(responses)
    port.line.write(encode_request(PACKETS, 1))
    while not port.taken:
        port.line.wait(1)
    port.line.wait(6)
    port.results = [PACKETS.result.const(result) for result in results]
    heard = port.line.read(5 + 3 * PACKETS.result_bytes)
    port.line.write(encode_request(PACKETS, 1) * 3)  # no result is due any more
    heard += port.line.read(1 + 5 + 1)
    assert port.line.read(1) == b""
    found = {"responses": [], "results": []}
    assert heard[0] == Answer.RESPONSE
    while heard:
        if heard[0] == Answer.RESULT:
            size = PACKETS.result_bytes
            found["results"].append(decode(PACKETS, heard[1:size]))
        else:
            size = 5 if heard[0] == Answer.RESPONSE else 1
            status = {Answer.RESPONSE: Status.OK, Answer.BUSY: Status.BUSY, Answer.REFUSED: Status.REFUSED}[heard[0]]
            found["responses"].append((int.from_bytes(heard[1:size], "little"), status))
        heard = heard[size:]
    assert found == {"responses": responses, "results": [
        Result(**result | {"counts": tuple(result["counts"])}) for result in results]}
    port.line.wait(4 * DIVISOR)
    assert port.leds["result"] == 1  # has changed three times


def test_room_only_when_there_is_room():
    port = Port()
    port.line.write(item(last=1)[0])
    while not port.taken:
        port.line.wait(1)
    port.room = False
    port.line.wait(40 * DIVISOR)
    assert port.line.heard == b""
    assert port.leds["busy"] == 1
    port.room = True
    assert port.line.read(1) == bytes([Answer.ROOM])


def test_overrun():
    """What waits is kept, what follows is lost, and the host hears of it, once; a break begins anew."""
    port = Port()
    port.room = False
    (first, expected), (second, _) = item(value=5), item(value=3)
    port.line.write(first + second + first)
    assert port.line.read(9) == bytes([Answer.OVERRUN])
    assert port.leds["overrun"] == 1
    port.room = True
    port.line.write(second)
    assert port.line.read(9) == b""
    assert port.taken == [expected]
    port.line.send_break()
    assert port.line.read(9)[-1:] == bytes([Answer.RESET])
    assert port.leds["overrun"] == 0
    port.line.write(second)
    assert port.line.read(9) == b""
    assert port.taken == [expected, item(value=3)[1]]


def test_framing_error():
    """In the middle of a packet: nothing of it arrives, nor of what follows, until a break."""
    port = Port()
    packet = encode_request(PACKETS, 1, -1)
    port.line.write(packet[:3])
    port.line.write(packet[3:4], stop=0)
    port.line.write(packet[4:] + item(value=1)[0])
    assert port.line.read(9) == bytes([Answer.FRAMING])
    assert port.taken == []
    assert port.leds["framing"] == 1
    port.line.send_break()
    assert port.line.read(9)[-1:] == bytes([Answer.RESET])
    port.line.write(item(value=1)[0])
    assert port.line.read(9) == b""
    assert port.taken == [item(value=1)[1]]


def test_break_within_a_packet_and_an_answer():
    """The rest of both is gone; the next packet begins with its first byte."""
    port = Port()
    port.responses = [(0x12345678, Status.OK)]
    packet, expected = item(value=6)
    port.line.write(encode_request(PACKETS, 1, -1) + encode_request(PACKETS, 1, -1)[:2])
    port.line.send_break()
    heard = port.line.read(99)
    assert heard[0] == Answer.RESPONSE and heard[-1] == Answer.RESET
    port.line.write(packet)
    assert port.line.read(9) == b""
    assert port.taken[1:] == [expected]
