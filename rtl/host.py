"""The core on a serial line: its four streams as packets, without a buffer but the register that bits are shifted into.

Towards the core there are items of a sample and register requests; the lowest bit of the first byte tells which, the
fields of the stream follow, the lowest bit first. From the core every answer begins with a byte that is an `Answer`.
docs/boards.md describes the line as its user sees it.
"""

import enum

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC16_MCRF4XX
from amaranth.lib.wiring import In, Out

from .bus import response_signature
from .core import Core
from .events import input_layout
from .registers import RegisterMap, Status, request_layout
from .result import result_layout
from .uart import UartReceiver, UartTransmitter

__all__ = ["Answer", "HostPort", "HostedCore", "Packets", "led_layout"]

#: Bytes of an answer to a register request, without a checksum.
RESPONSE_BYTES = 5
#: Of packets, bit by bit as they are on the line.
CHECK = CRC16_MCRF4XX


class Answer(enum.IntEnum):
    """First byte of what the core sends."""

    RESET = 0     #: nothing follows; reset is over, whatever was on the way is gone
    ROOM = 1      #: nothing follows; the item that closed a sample or a step was taken, and there is room for the next
    RESPONSE = 2  #: four bytes follow: the data of a register access that was carried out
    RESULT = 3    #: the fields of a result follow
    FRAMING = 4   #: nothing follows; a byte had no stop bit, and nothing is received any more
    OVERRUN = 5   #: nothing follows; a byte came while a packet was still waiting, and nothing is received any more
    BUSY = 6      #: nothing follows; the response to a register access: the blocks do not pause
    REFUSED = 7   #: nothing follows; the response to a register access that is not allowed
    DAMAGED = 8   #: nothing follows; a packet had a wrong checksum, and nothing is received any more


class Packets:
    """Layouts and sizes of all packets of a core, from the configuration alone.

    Attributes
    ----------
    item, request, result : StructLayout
        Fields of the streams.
    item_bytes, request_bytes, response_bytes, result_bytes, answer_bytes : int
        Bytes of the packets, the last of answers that nothing else follows. A request is longer than its response, so
        that requests may follow each other as fast as the line allows while no result is due.
    check_bytes : int
        Of these, bytes of the checksum at the end; 0 without.

    Parameters
    ----------
    config : Config
    crc : bool
        Whether every packet ends with a checksum (`CHECK`) of the bytes before it, the lower byte first.
    """

    def __init__(self, config, *, crc=False):
        self.check_bytes = CHECK.crc_width // 8 if crc else 0
        self.item, self.result = input_layout(config), result_layout(config)
        self.request = request_layout(RegisterMap(config).address_bits)
        self.item_bytes = -(-(1 + self.item.size) // 8) + self.check_bytes
        self.request_bytes = max(RESPONSE_BYTES + 1, -(-(1 + self.request.size) // 8)) + self.check_bytes
        self.response_bytes = RESPONSE_BYTES + self.check_bytes
        self.result_bytes = 1 + -(-self.result.size // 8) + self.check_bytes
        self.answer_bytes = 1 + self.check_bytes

    def close(self, packet):
        """Bytes of a packet, its checksum after it if there is one."""
        return packet + CHECK(8).compute(packet).to_bytes(2, "little") if self.check_bytes else packet

    def intact(self, packet):
        """Whether the checksum of a packet, if there is one, is right."""
        return not self.check_bytes or self.close(packet[:-self.check_bytes]) == packet


def led_layout():
    """What a board shows.

    Fields
    ------
    busy : an item of a sample was taken, and no result has left since
    result : changes with every result
    framing, overrun : why nothing is received any more, until the next break; framing for a wrong checksum, too
    """
    return data.StructLayout({"busy": 1, "result": 1, "framing": 1, "overrun": 1})


class HostPort(wiring.Component):
    """A serial line on one side, the streams of a core on the other.

    A packet is offered in the cycle after its last byte and stays in the shift register until it is taken. A bit that
    comes before is an overrun: the packet that waits is kept, everything behind it is thrown away, and the host hears
    of it. A framing error ends reception likewise, and the packet that was under way is lost. Only a break begins anew:
    it resets this port, and the core.

    Parameters
    ----------
    config : Config
    divisor : int
        Cycles of a bit, at least 4.
    crc : bool
        As of `Packets`.

    Members
    -------
    rx, tx : In(1), Out(1)
        8N1, idle high. `rx` need not belong to the clock.
    samples, request : Out
    results, response : In
        Those of a `Core`.
    reset : Out(1)
        A break lasts.
    leds : Out(led_layout())

    Raises
    ------
    ValueError
        If `divisor` is no integer, or too small.
    """

    def __init__(self, config, divisor, *, crc=False):
        self.packets = Packets(config, crc=crc)
        self.receiver, self.transmitter = UartReceiver(divisor), UartTransmitter(divisor)
        super().__init__({
            "rx":       In(1, init=1),
            "tx":       Out(1, init=1),
            "samples":  Out(stream.Signature(self.packets.item)),
            "results":  In(stream.Signature(self.packets.result)),
            "request":  Out(stream.Signature(self.packets.request)),
            "response": In(response_signature()),
            "reset":    Out(1),
            "leds":     Out(led_layout()),
        })

    def elaborate(self, platform):
        m, packets = Module(), Module()
        # From a request to the end of its response on the line.
        asked = Signal()
        damaged = Signal()
        self._receive(packets, asked, damaged)
        self._send(packets, asked, damaged)
        m.submodules.receiver = self.receiver
        m.submodules.packets = ResetInserter(self.reset)(packets)
        m.d.comb += [self.receiver.rx.eq(self.rx), self.reset.eq(self.receiver.broken)]
        return m

    def _receive(self, m, asked, damaged):
        packets, receiver, leds = self.packets, self.receiver, self.leds
        # Bits enter at the top: a packet lies in the highest bits, whatever its length.
        longest = max(packets.item_bytes, packets.request_bytes)
        word = Signal(8 * longest, reset_less=True)
        left = Signal(range(longest))  # bytes that the packet still lacks; 0 between two packets
        asks, kind, full = Signal(), Signal(), Signal()
        expected = Signal(range(longest + 1))
        intact = Signal(init=1)
        if packets.check_bytes:
            m.submodules.received = check = CHECK(1).create()
            m.d.comb += [check.data.eq(receiver.bit), check.valid.eq(receiver.shift),
                         check.start.eq(receiver.done & (expected == 1)), intact.eq(check.match_detected)]
        m.d.comb += [
            kind.eq(Mux(left == 0, word[-8], asks)),
            expected.eq(Mux(left == 0, Mux(kind, packets.request_bytes, packets.item_bytes), left)),
        ]
        for port, layout, size, mine in ((self.samples, packets.item, packets.item_bytes, ~asks),
                                         (self.request, packets.request, packets.request_bytes, asks & ~asked)):
            first = 8 * (longest - size) + 1
            m.d.comb += [port.valid.eq(full & mine), port.payload.eq(word[first:first + layout.size])]
            with m.If(port.valid & port.ready):
                m.d.sync += full.eq(0)

        with m.If(self.request.valid & self.request.ready):
            m.d.sync += asked.eq(1)

        with m.If(~leds.framing & ~leds.overrun):
            with m.If(receiver.fault):
                m.d.sync += leds.framing.eq(1)
            with m.If(receiver.shift):
                with m.If(full):
                    m.d.sync += leds.overrun.eq(1)
                with m.Else():
                    m.d.sync += word.eq(Cat(word[1:], receiver.bit))
            with m.If(receiver.done):
                m.d.sync += [asks.eq(kind), left.eq(expected - 1), full.eq((expected == 1) & intact)]
                with m.If((expected == 1) & ~intact):
                    m.d.sync += [leds.framing.eq(1), damaged.eq(1)]

    def _send(self, m, asked, damaged):
        packets, leds, samples = self.packets, self.leds, self.samples
        m.submodules.transmitter = transmitter = self.transmitter
        m.d.comb += self.tx.eq(transmitter.tx)
        fresh, told, closed = Signal(init=1), Signal(), Signal()
        answer, sending = Signal(range(max(Answer) + 1)), Signal()
        byte = Signal(range(max(packets.result_bytes, packets.response_bytes) + 1))
        last = Signal.like(byte)

        response, responds = Signal(self.response.payload.shape(), reset_less=True), Signal()
        with m.If(self.response.valid):
            m.d.sync += [response.eq(self.response.payload), responds.eq(1)]

        taken = samples.valid & samples.ready
        closing = samples.payload["end" if "end" in packets.item.members else "last"]
        with m.If(taken):
            m.d.sync += leds.busy.eq(1)
        with m.If(~sending):
            m.d.sync += [sending.eq(1), byte.eq(0)]
            with m.If(fresh):
                m.d.sync += [answer.eq(Answer.RESET), fresh.eq(0)]
            with m.Elif((leds.framing | leds.overrun) & ~told):
                m.d.sync += [answer.eq(Mux(damaged, Answer.DAMAGED, Mux(
                    leds.framing, Answer.FRAMING, Answer.OVERRUN))), told.eq(1)]
            with m.Elif(closed & samples.ready):
                m.d.sync += [answer.eq(Answer.ROOM), closed.eq(0)]
            with m.Elif(responds):
                m.d.sync += answer.eq(Mux(response.status == Status.OK, Answer.RESPONSE, Mux(
                    response.status == Status.BUSY, Answer.BUSY, Answer.REFUSED)))
            with m.Elif(self.results.valid):
                m.d.sync += answer.eq(Answer.RESULT)
            with m.Else():
                m.d.sync += sending.eq(0)
        with m.If(taken & closing):
            m.d.sync += closed.eq(1)

        # Payloads stand until they are taken, with their last bit, so each bit is chosen from them when it is due.
        place, is_result, is_response, own = Cat(transmitter.index, byte), Signal(), Signal(), Signal()

        def chosen(kind, payload):
            return Cat(Const(kind, 8), payload).bit_select(place, 1)

        m.d.comb += [
            is_result.eq(answer == Answer.RESULT), is_response.eq(answer == Answer.RESPONSE),
            last.eq(Mux(is_result, packets.result_bytes - 1, Mux(
                is_response, packets.response_bytes - 1, packets.answer_bytes - 1))),
            transmitter.valid.eq(sending),
            own.eq(Mux(is_result, chosen(Answer.RESULT, self.results.payload.as_value()), Mux(
                is_response, chosen(Answer.RESPONSE, response.data),
                Cat(answer, Const(0, 8 - len(answer))).bit_select(transmitter.index, 1)))),
            transmitter.bit.eq(own),
        ]
        if packets.check_bytes:
            m.submodules.sent = check = CHECK(1).create()
            closing = Signal()  # the checksum goes out
            m.d.comb += [check.data.eq(own), check.valid.eq(transmitter.taken & ~closing), check.start.eq(~sending),
                         closing.eq(byte + packets.check_bytes > last)]
            with m.If(closing):
                m.d.comb += transmitter.bit.eq(check.crc.bit_select(Cat(transmitter.index, byte == last), 1))
        with m.If(transmitter.done):
            m.d.sync += byte.eq(byte + 1)
            with m.If(byte == last):
                m.d.sync += sending.eq(0)
                m.d.comb += self.results.ready.eq(is_result)
                with m.If(Cat(answer == own for own in (Answer.RESPONSE, Answer.BUSY, Answer.REFUSED)).any()):
                    m.d.sync += [responds.eq(0), asked.eq(0)]
                with m.If(is_result):
                    m.d.sync += [leds.busy.eq(0), leds.result.eq(~leds.result)]


class HostedCore(wiring.Component):
    """A `Core` with a serial line in the place of its streams.

    A break on the line resets all of it, for as long as it lasts; memories keep what they have.

    Parameters and errors as of `HostPort`; `registers` as of `Core`.

    Members
    -------
    rx, tx, leds
        As of `HostPort`.
    """

    def __init__(self, config, *, divisor, crc=False, registers=None):
        self.core, self.port = Core(config, registers), HostPort(config, divisor, crc=crc)
        self.config, self.map = config, self.core.map
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(led_layout())})

    def elaborate(self, platform):
        m = Module()
        core, port = self.core, self.port
        m.submodules.port = port
        m.submodules.core = ResetInserter(port.reset)(core)
        wiring.connect(m, port.samples, core.samples)
        wiring.connect(m, port.request, core.request)
        wiring.connect(m, core.results, port.results)
        wiring.connect(m, core.response, port.response)
        m.d.comb += [port.rx.eq(self.rx), self.tx.eq(port.tx), self.leds.eq(port.leds)]
        return m
