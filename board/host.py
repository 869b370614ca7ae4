"""The computer's end of the serial line: packets over any port that reads and writes bytes.

Nothing is ever sent that the core might not have room for: a sample (or, with events, a step of one) only after the
answer that there is room, and a register request only after a response, or while no result is due: responses leave
faster than requests come.
"""

from collections import deque
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..gen.samples import items
from ..gen.state import state_from_words, state_reads, state_writes
from ..golden.errors import InputError, SpikeloomError
from ..rtl.host import Answer, Packets
from ..rtl.registers import MAGIC, RegisterMap

__all__ = ["Host", "LinkError", "Result", "decode", "encode_batch", "encode_request"]

#: Requests on the way at a time while no result is due: their responses stay far below the buffer of any driver.
WINDOW = 64
#: How often to ask whether all blocks pause: more than an interval of any core takes.
PATIENCE = 1_000_000
#: Bytes after a break that no core has on the way.
BABBLE = 1 << 16
#: Why an access is not carried out.
_DENIED = {Answer.BUSY: "the blocks did not pause (see Host.paused)",
           Answer.REFUSED: "no such register, not writable, or value out of range"}


class LinkError(SpikeloomError):
    """The line or the core does not do what it should; the message says what, and what helps."""


class Result(NamedTuple):
    """What the core says of a sample: see `rtl.result.result_layout`; `counts` is a tuple of int."""

    prediction: int
    counts: tuple
    label: int
    train: int
    cycles: int


def _within(name, values, limit):
    if wrong := [int(value) for value in np.ravel(values) if not 0 <= value < limit]:
        raise ValueError(f"{name} must be within 0 .. {limit - 1}, not {wrong[0]}")


def encode_request(packets, address, value=None):
    """The packet of a read, or of a write of the integer `value` (32 bits, signed or unsigned)."""
    _within("address", [address], 1 << packets.request["address"].width)
    if value is not None and not (isinstance(value, int | np.integer) and -2**31 <= value < 2**32):
        raise InputError(f"value must have 32 bits, signed or unsigned, not {value}")
    fields = {"address": address, "write": value is not None, "data": int(value or 0) % 2**32}
    word = packets.request.const(fields).as_value().value << 1 | 1
    return packets.close(word.to_bytes(packets.request_bytes - packets.check_bytes, "little"))


def encode_batch(config, packets, frames, labels, train):
    """The packets of one batch, as parts of which each ends with an item that is answered by `Answer.ROOM`.

    Parameters
    ----------
    config : Config
    packets : Packets
    frames : array of int
        Values (update.batch, input.size); with events, the bits of every step (update.batch, T, input.size).
    labels : sequence of int
    train : bool

    Returns
    -------
    list of bytes
        A part for each sample; with events, for each step.

    Raises
    ------
    ValueError
        If the frames have another shape, or a value or a label is out of range.
    """
    frames = np.asarray(frames)
    events, batch = config.input.kind == "events", config.update.batch
    shape = (batch, *([config.time.steps] if events else []), config.input.size)
    if frames.shape != shape or len(labels) != batch:
        raise ValueError(f"a batch must have shape {shape} and {batch} labels, not {frames.shape} and {len(labels)}")

    _within("label", labels, config.network.classes)
    if not events:
        _within("value", frames, 1 << config.input.bits)
    closing = 1 << packets.item["end" if events else "last"].offset
    parts, part = [], b""
    for payload in items(config, frames, labels, [train] * batch)[0].tolist():
        part += packets.close((payload << 1).to_bytes(packets.item_bytes - packets.check_bytes, "little"))
        if payload & closing:
            parts.append(part)
            part = b""
    return parts


def decode(packets, payload):
    """The `Result` of the bytes that follow `Answer.RESULT`."""
    word = packets.result.from_bits(int.from_bytes(payload, "little") & (1 << packets.result.size) - 1)
    return Result(word.prediction, tuple(word.counts), word.label, word.train, word.cycles)


class Host:
    """A core at the other end of a serial line.

    Samples may be sent before the results of those before were asked for; results come in order.

    Parameters
    ----------
    port
        Has ``timeout``, the seconds that `read` waits, more than 0; ``read(count)``, which returns fewer bytes if they
        do not come in time, ``write(data)``, ``flush()``, which returns when everything was sent, and
        ``send_break()``: a `serial.Serial`, or anything alike.
    config : Config
        What the core was built from.
    crc : bool
        As of `rtl.host.Packets`; the core must have been built with it. Whatever bits the line changes, nothing
        wrong is taken for right then; without, only what breaks the rules of the line is noticed.
    reset : bool
        Begin with `reset`; otherwise the core must be at rest, and goes on as it is.

    Raises
    ------
    LinkError
        From every method: nothing answers, another core does, the line lost or changed something, or the device is
        gone. Every method ends, whatever comes over the line.
    ValueError
        If the port would wait for ever, or not at all.
    """

    def __init__(self, port, config, *, reset=True, crc=False):
        timeout = getattr(port, "timeout", None)
        if timeout is None or not 0 < timeout < float("inf"):
            raise ValueError(f"timeout of the port must be seconds, more than 0, not {timeout}")
        self.port, self.config = port, config
        self.registers, self.packets = RegisterMap(config), Packets(config, crc=crc)
        self._forget()
        if reset:
            self.reset()
        else:
            self._identify()

    def _forget(self):
        self._responses, self._results, self._denied = deque(), deque(), []
        # Answers that are due: anything else is not of this core, or was changed on the way.
        self._room, self._asked, self._due, self.pending = True, 0, 0, 0

    def reset(self):
        """Break: the core forgets everything but what is in its memories. Weights have to be loaded or trusted."""
        self._port("flush")  # what is still to be sent would come behind the break
        self._port("send_break")
        heard, silent, end = b"", False, self.packets.answer_bytes
        while len(heard) < BABBLE and not silent:  # what was on the way, cut off, and then the answer
            part = self._port("read", 256)
            heard, silent = heard + part, not part
        if not silent:
            raise LinkError(f"{BABBLE} bytes came after a break, and no end: check the port and the bit rate")
        if heard[-end:] != self.packets.close(bytes([Answer.RESET])):
            raise LinkError("no answer to a break: check the port, the bit rate and the board")
        self._forget()
        self._identify()

    def _port(self, method, *arguments):
        """What the port does; whatever it raises means that it is of no use any more."""
        try:
            return getattr(self.port, method)(*arguments)
        except Exception as error:  # pyserial's own, those of the operating system, of termios, of a closed port
            raise LinkError(f"the port does not {method}: {type(error).__name__}: {error}") from None

    def _identify(self):
        for name, wanted in (("identification", MAGIC), ("configuration", int(self.config.hash[:8], 16))):
            found, = self.read(self.registers.regions[name].base)
            if found != wanted:
                raise LinkError(f"register {name} must be {wanted:#010x}, not {found:#010x}: another core is loaded")

    # Answers

    def _packet(self, head, count):
        """The payload of an answer of `count` bytes, of which the first has come."""
        data = head
        while len(data) < count:
            part = self._port("read", count - len(data))
            if not part:
                raise LinkError(f"the core sent {len(data)} of {count} bytes: check the bit rate, then reset")
            data += part
        if not self.packets.intact(data):
            raise LinkError("an answer was changed on the way, its checksum is wrong: reset")
        return data[1:count - self.packets.check_bytes]

    def _hear(self, what):
        """Take one answer from the line; the core may need more than one timeout of the port for `what`."""
        head = self._port("read", 1)
        if not head:
            raise LinkError(f"no answer: waited for {what}")
        packets = self.packets
        payload = self._packet(head, {Answer.RESPONSE: packets.response_bytes, Answer.RESULT: packets.result_bytes}.get(
            head[0], packets.answer_bytes))
        match head[0]:
            case Answer.ROOM if not self._room:
                self._room = True
            case Answer.RESPONSE if self._asked:
                self._asked -= 1
                self._responses.append(int.from_bytes(payload, "little"))
            case Answer.BUSY | Answer.REFUSED as denied if self._asked:
                self._asked -= 1
                self._responses.append(0)
                self._denied.append(denied)
            case Answer.RESULT if self._due:
                self._due -= 1
                self._results.append(decode(packets, payload))
            case Answer.RESET:
                raise LinkError("the core was reset by something else; samples on the way are lost")
            case Answer.FRAMING:
                raise LinkError("the core received a byte without a stop bit: check the bit rate, then reset")
            case Answer.OVERRUN:
                raise LinkError("the core received a packet before it had room: reset, and send only behind answers")
            case Answer.DAMAGED:
                raise LinkError("the core received a packet with a wrong checksum: reset")
            case Answer.ROOM | Answer.RESPONSE | Answer.BUSY | Answer.REFUSED | Answer.RESULT as other:
                raise LinkError(f"the core sent {Answer(other).name}, which nobody had asked for: check the bit rate, "
                                "then reset")
            case other:
                raise LinkError(f"the core sent {other:#04x}, which is no answer: check the bit rate, then reset")

    # Registers

    def _response(self):
        while not self._responses:
            self._hear("the response to a register access")
        return self._responses.popleft()

    def _access(self, requests):
        """Data of the responses to many requests, as fast as the line allows while nothing else comes from the core."""
        sent, answers = 0, []
        window = 1 if self.pending else WINDOW
        while len(answers) < len(requests):
            while sent < len(requests) and sent - len(answers) < window:
                self._port("write", requests[sent])
                sent, self._asked = sent + 1, self._asked + 1
            answers.append(self._response())
        if self._denied:
            denied, self._denied = self._denied, []
            raise LinkError(f"{len(denied)} of {len(requests)} register accesses were not carried out: "
                            + " and ".join(sorted({_DENIED[answer] for answer in denied})))
        return answers

    def read(self, address, count=1):
        """Consecutive registers, as a list of unsigned integers."""
        return self._access([encode_request(self.packets, address + place) for place in range(count)])

    def write(self, address, values):
        """Write consecutive registers; values are integers, signed or unsigned, in fields only bits that they have."""
        self.registers.check_bits(address, values)
        self._access([encode_request(self.packets, address + place, value) for place, value in enumerate(values)])

    @contextmanager
    def paused(self):
        """While all blocks pause between two intervals: what belongs to the computation can be read and written."""
        control, hold = self.registers.mask("control", "hold")
        status, held = self.registers.mask("status", "held")
        self.write(control, [hold])
        try:
            # The line takes the results that leave while blocks end their intervals, so that they do end.
            if not any(self.read(status)[0] & held for _ in range(PATIENCE)):
                raise LinkError("the blocks do not pause: reset, or check the core")
            yield
        finally:
            self.write(control, [0])

    def load(self, arrays):
        """Write a whole state (`golden.checkpoint.state_arrays`): weights, velocities, LFSRs, learning rate."""
        with self.paused():
            for address, values in state_writes(self.registers, arrays):
                self.write(address, values)

    def state(self):
        """Read the whole state, with the counters as ``counter:<name>``."""
        with self.paused():
            return state_from_words(self.registers, {
                name: self.read(*place) for name, place in state_reads(self.registers).items()})

    def counters(self):
        """All counters by name, integers."""
        found = {}
        for name, address in self.registers.counters().items():
            low, high = self.read(address, 2)
            found[name] = low | high << 32
        return found

    def fields(self, name):
        """Fields of a register by name, integers: of ``status``, ``violations``, ``block0.status``, ..."""
        region = self.registers.regions[name]
        word, = self.read(region.base)
        return {field.name: word >> field.lsb & (1 << field.width) - 1 for field in region.fields}

    # Samples

    def send(self, frames, labels=None, *, train=False):
        """Send one batch (with `update.batch` = 1, one sample) as soon as there is room.

        Parameters and errors as for `encode_batch`; nothing is sent of a batch with errors. Labels may be left out
        without training.
        """
        labels = [0] * self.config.update.batch if labels is None and not train else labels
        parts = encode_batch(self.config, self.packets, frames, labels, train)
        for part in parts:
            while not self._room:
                self._hear("room for a sample")
            self._room = False
            # With the last part of a batch, its results are due; they may come before anybody asks.
            self._due += self.config.update.batch if part is parts[-1] else 0
            self._port("write", part)
        self.pending += self.config.update.batch

    def result(self):
        """The `Result` of the oldest sample that was sent and not asked for.

        Raises
        ------
        LinkError
            If there is none, too.
        """
        if not self.pending:
            raise LinkError("no result is due: every sample that was sent has been answered")
        while not self._results:
            self._hear("a result")
        self.pending -= 1
        return self._results.popleft()

    def run(self, frames, labels, *, train=False):
        """Send samples, a multiple of `update.batch`, and yield their results in order, one batch ahead of them."""
        batch = self.config.update.batch
        for begin in range(0, len(labels) + batch, batch):
            end = begin + batch
            if begin < len(labels):
                self.send(frames[begin:end], labels[begin:end], train=train)
            for _ in range(batch if begin else 0):
                yield self.result()
