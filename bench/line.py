"""Talks to a core over lines that damage what they carry: ``python -m bench.line --seed S --count N``.

With checksums every conversation ends with the right results or with a `LinkError`; without, it ends, and with nothing
else. Whatever comes over the line: no conversation lasts for ever.
"""

import argparse
import random
import sys
from collections import deque

import numpy as np
from rich.console import Console

from spikeloom.board.host import Host, LinkError, Result
from spikeloom.gen import presets
from spikeloom.rtl.host import Answer, Packets
from spikeloom.rtl.registers import MAGIC, RegisterMap

__all__ = ["CONFIG", "DAMAGES", "Device", "Line", "converse"]

CONFIG = presets.find("tiny").replace(name="line", input={"shape": [2, 3, 1], "bits": 3, "fraction": 2})
#: Calls of the port after which a conversation counts as endless; an undisturbed one needs about 100.
ENOUGH = 100_000


class Device:
    """What a core does on its end of a line, without computing: counts of a result are sums of the values."""

    def __init__(self, packets, config):
        self.packets, self.out, self.registers = packets, bytearray(), RegisterMap(config)
        self.classes = config.network.classes
        self.words = {self.registers.regions["identification"].base: MAGIC,
                      self.registers.regions["configuration"].base: int(config.hash[:8], 16)}
        self.reset()

    def reset(self):
        """What a break does."""
        self.packet, self.deaf, self.sample = b"", False, []
        self.out.clear()
        self.say(bytes([Answer.RESET]))

    def say(self, answer):
        self.out += self.packets.close(answer)

    def hear(self, byte):
        """One byte from the host."""
        if self.deaf:
            return
        self.packet += bytes([byte])
        asks = self.packet[0] & 1
        if len(self.packet) < (self.packets.request_bytes if asks else self.packets.item_bytes):
            return
        packet, self.packet = self.packet, b""
        if not self.packets.intact(packet):
            self.deaf = True
            self.say(bytes([Answer.DAMAGED]))
            return
        layout = self.packets.request if asks else self.packets.item
        word = int.from_bytes(packet[:len(packet) - self.packets.check_bytes], "little") >> 1
        (self.access if asks else self.item)(layout.from_bits(word & (1 << layout.size) - 1))

    def access(self, request):
        if request.write:
            self.words[request.address] = request.data
        data = 0 if request.write else self.words.get(request.address, 0)
        self.say(bytes([Answer.RESPONSE]) + data.to_bytes(4, "little"))

    def item(self, item):
        if item.first:
            self.sample = []
        self.sample.append(item.value)
        if item.last:
            self.say(bytes([Answer.ROOM]))
            fields = {"label": item.label, "train": item.train, "cycles": sum(self.sample), "prediction": 1,
                      "counts": [value % 4 for value in self.sample[:self.classes]]
                      + [0] * (self.classes - len(self.sample))}
            size = self.packets.result_bytes - 1 - self.packets.check_bytes
            self.say(bytes([Answer.RESULT]) + self.packets.result.const(fields).as_value().value.to_bytes(
                size, "little"))


def flip(source, data):
    place = source.randrange(8 * len(data))
    return bytes(byte ^ (1 << place % 8 if number == place // 8 else 0) for number, byte in enumerate(data))


def lose(source, data):
    place = source.randrange(len(data))
    return data[:place] + data[place + 1:]


def repeat(source, data):
    place = source.randrange(len(data))
    return data[:place] + data[place:place + 1] * source.randint(2, 5) + data[place + 1:]


def insert(source, data):
    place = source.randrange(len(data) + 1)
    return data[:place] + source.randbytes(source.randint(1, 4)) + data[place:]


def scramble(source, data):
    return source.randbytes(len(data))


#: What happens to bytes on their way; the last three are states that last.
DAMAGES = (flip, lose, repeat, insert, scramble, "silence", "babble", "gone")


class Line:
    """A port to a `Device`; once, at a random moment, it damages what it carries.

    Parameters
    ----------
    device : Device
    source : random.Random
    damage : one of `DAMAGES`, or None
    """

    timeout = 0.1

    def __init__(self, device, source, damage):
        self.device, self.source, self.damage = device, source, damage
        self.calls, self.due, self.done, self.outward = 0, source.randrange(60), False, source.random() < 0.5
        self.noise = bytes([source.choice([*Answer, *source.randbytes(4)])])

    def _call(self):
        self.calls += 1
        if self.calls > ENOUGH:
            raise AssertionError(f"endless: {self.damage}")
        lasting = self.damage if isinstance(self.damage, str) and self.calls > self.due else None
        if lasting == "gone":
            raise OSError(5, "Input/output error")
        return lasting

    def _carry(self, data, outward):
        if data and callable(self.damage) and not self.done and outward == self.outward and self.calls > self.due:
            self.done = True
            return self.damage(self.source, data)
        return data

    def write(self, data):
        if not self._call():
            for byte in self._carry(bytes(data), True):
                self.device.hear(byte)

    def read(self, count):
        lasting = self._call()
        if lasting:
            return self.noise * count if lasting == "babble" else b""
        if self.device.out and not self.outward and callable(self.damage) and not self.done and self.calls > self.due:
            self.device.out[:] = self._carry(bytes(self.device.out), False)
        data = bytes(self.device.out[:count])
        del self.device.out[:count]
        return data

    def flush(self):
        self._call()

    def send_break(self):
        if not self._call():
            self.device.reset()


def converse(source, *, crc, damage):
    """One conversation: registers, samples, registers; true if it came to its end.

    Raises
    ------
    AssertionError
        If it does not end, or something wrong was taken for right, with checksums.
    """
    device = Device(Packets(CONFIG, crc=crc), CONFIG)
    frames = np.array([[source.randrange(8) for _ in range(6)] for _ in range(5)])
    labels, words = [source.randrange(10) for _ in frames], [source.getrandbits(32) for _ in range(20)]
    expected = deque(Result(1, tuple(int(value) % 4 for value in frame) + (0,) * 4, label, 1, int(frame.sum()))
                     for frame, label in zip(frames, labels))
    try:
        host = Host(Line(device, source, damage), CONFIG, crc=crc)
        host.write(1000, words)
        for result in host.run(frames, labels, train=True):
            assert not crc or result == expected.popleft(), f"{damage}: wrong result"
        found = host.read(1000, len(words))
        assert not crc or (found == words and not expected), f"{damage}: wrong words"
    except LinkError:
        return False
    return True


def main():
    """Exit status 1 if a conversation does not end as it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    args = parser.parse_args()
    console, failed, ended = Console(), 0, 0
    for seed in range(args.seed, args.seed + args.count):
        source = random.Random(seed)
        crc, damage = seed % 4 != 0, source.choice(DAMAGES)
        try:
            ended += converse(source, crc=crc, damage=damage)
        except Exception as error:
            failed += 1
            console.print(f"seed {seed}, {'with' if crc else 'without'} checksums: {type(error).__name__}: {error}",
                          highlight=False, soft_wrap=True)
    console.print(f"{args.count} damaged lines: {ended} conversations came to their end, "
                  f"{args.count - ended - failed} to a LinkError, {failed} to anything else")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
