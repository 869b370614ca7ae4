"""The serial host interface: packets, whole training over the line, and lines that misbehave."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from serial_line import Line
from spikeloom.board.host import Host, LinkError, Result, decode, encode_batch, encode_request
from spikeloom.gen.generate import generate_text
from spikeloom.golden.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, state_arrays, state_from
from spikeloom.golden.errors import InputError
from spikeloom.golden.model import initial_state
from spikeloom.golden.prediction import Prediction
from spikeloom.rtl.host import Answer, HostedCore, Packets
from spikeloom.rtl.registers import MAGIC, RegisterMap
from strategies import configs, frames, small, spatial_configs

DIVISOR = 4
CONFIG = small()
PACKETS = Packets(CONFIG)
#: A core that Amaranth's simulator runs quickly.
FRAMES = {"layers": [{"neurons": 3, "lanes": 2}], "network": {"classes": 2, "block_length": 1}, "input": {"size": 3},
          "hardware": {"counters": False}, "update": {"shift": 1}}
EVENTS = FRAMES | {"input": {"kind": "events", "shape": [1, 2, 2], "bits": 1, "fraction": 0}}


# Packets

@given(configs(), st.data())
def test_request_round_trip(config, data):
    packets = Packets(config)
    address = data.draw(st.integers(0, (1 << RegisterMap(config).address_bits) - 1))
    value = data.draw(st.one_of(st.none(), st.integers(-2**31, 2**31 - 1)))
    packet = encode_request(packets, address, value)
    word = int.from_bytes(packet, "little")
    fields = packets.request.from_bits(word >> 1 & (1 << packets.request.size) - 1)
    assert (word & 1, fields.address, fields.write, fields.data) == (1, address, value is not None,
                                                                     (value or 0) % 2**32)
    # What makes it safe to send requests without waiting while no result is due.
    assert len(packet) == packets.request_bytes > 5


@given(configs(), st.data())
def test_result_round_trip(config, data):
    packets = Packets(config)
    classes, steps = config.network.classes, config.time.steps
    chosen = Result(*(data.draw(shape) for shape in (
        st.integers(0, classes - 1), st.tuples(*[st.integers(0, steps)] * classes), st.integers(0, classes - 1),
        st.integers(0, 1), st.integers(0, 2**32 - 1))))
    word = packets.result.const(chosen._asdict() | {"counts": list(chosen.counts)}).as_value().value
    assert decode(packets, word.to_bytes(packets.result_bytes - 1, "little")) == chosen


def items(packets, part):
    """Fields of the items in some bytes."""
    assert len(part) % packets.item_bytes == 0
    for place in range(0, len(part), packets.item_bytes):
        word = int.from_bytes(part[place:place + packets.item_bytes], "little")
        assert word & 1 == 0
        yield packets.item.from_bits(word >> 1 & (1 << packets.item.size) - 1)


@given(configs(), st.integers(0, 99))
def test_frames_round_trip(config, seed):
    packets = Packets(config)
    sample, label = frames(config, 1, seed).numpy(), seed % config.network.classes
    part, = encode_batch(config, packets, sample, [label], seed % 2)
    found = list(items(packets, part))
    assert [item.value for item in found] == sample[0].tolist()
    assert [item.first for item in found] == [1] + [0] * (len(found) - 1)
    assert [item.last for item in found] == [0] * (len(found) - 1) + [1]
    assert {(item.label, item.train) for item in found} == {(label, seed % 2)}


def test_events_come_interval_by_interval():
    """With a batch, the interval of one sample after the other; every step ends with its end."""
    config = small(input={"kind": "events", "shape": [2, 3, 2], "bits": 1, "fraction": 0}, update={"batch": 2})
    packets, generator = Packets(config), np.random.default_rng(0)
    steps, k = config.time.steps, config.time.interval
    samples = generator.integers(0, 2, (2, steps, config.input.size))
    parts = encode_batch(config, packets, samples, [1, 2], True)
    order = [(sample, interval * k + step) for interval in range(config.intervals) for sample in (0, 1)
             for step in range(k)]
    assert len(parts) == len(order)
    for part, (sample, step) in zip(parts, order):
        *events, end = items(packets, part)
        found = np.zeros((2, 3, 2), dtype=int)
        for event in events:
            found[event.y, event.x, event.channel] += 1
        assert found.ravel().tolist() == samples[sample][step].tolist()
        assert [item.end for item in (*events, end)] == [0] * len(events) + [1]
        assert (*events, end)[0].first == (step == 0)
        assert {item.label for item in (*events, end)} == {sample + 1}


@pytest.mark.parametrize("sample, label, message", [
    (np.zeros((1, 5)), 0, r"a batch must have shape \(1, 6\) and 1 labels, not \(1, 5\) and 1"),
    (np.full((1, 6), 8), 0, "value must be within 0 .. 7, not 8"),
    (np.full((1, 6), 0.5), 0, "frames must hold integers 0 to 7, not float64"),
    (np.zeros((1, 6), int), 1.5, "labels must hold integers, not"),
    (np.zeros((1, 6)), -1, "label must be within 0 .. 2, not -1"),
    (np.zeros((1, 6)), 3, "label must be within 0 .. 2, not 3"),
])
def test_wrong_samples(sample, label, message):
    with pytest.raises(ValueError, match=message):
        encode_batch(CONFIG, PACKETS, sample, [label], True)


@pytest.mark.parametrize("value", [2**32, -2**31 - 1, 0.5, 1.0, "1"])
def test_wrong_value(value):
    with pytest.raises(ValueError, match=f"value must have 32 bits, signed or unsigned, not {value}"):
        encode_request(PACKETS, 0, value)


def test_wrong_address():
    top = 1 << RegisterMap(CONFIG).address_bits
    with pytest.raises(ValueError, match=rf"address must be within 0 \.\. {top - 1}, not {top}"):
        encode_request(PACKETS, top)


# Host against a core

def run_over_the_line(config, samples, labels):
    """Train over the line from a state other than that after reset; everything equals the golden model."""
    line = Line(HostedCore(config, divisor=DIVISOR), DIVISOR)
    host, prediction = Host(line, config), Prediction(config)
    host.load(state_arrays(prediction.model.state))
    results = list(host.run(samples.numpy(), labels, train=True))
    for sample, label in zip(samples, labels):
        prediction.sample(sample, label, True)
    assert [result.prediction for result in results] == [wanted["prediction"] for wanted in prediction.results]
    assert [list(result.counts) for result in results] == [wanted["spike counts"] for wanted in prediction.results]
    assert [(result.label, result.train) for result in results] == [(label, 1) for label in labels]
    assert any(any(result.counts) for result in results)
    found, wanted = host.state(), state_arrays(prediction.model.state)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert np.array_equal(found[name], value), name
    for before, after in zip(initial_state(config)["weight"], prediction.model.state["weight"]):
        assert not before.equal(after), "nothing was learned"
    assert host.fields("status") == {"idle": 1, "held": 0, "starved": 1, "result_waits": 0, "error": 0}
    assert not any(host.fields("violations").values())
    check_what_is_not_carried_out(host)
    low, high = host.read(host.registers.regions["time"].base, 2)
    assert (0 < low <= line.cycle, high) == (True, 0)
    return line, host, results, prediction


def check_what_is_not_carried_out(host):
    """Each is said, and the next access is answered as ever."""
    weights = host.registers.regions["block0.layer0.weight"]
    with pytest.raises(LinkError, match=r"^1 of 1 register accesses were not carried out: the blocks did not pause"):
        host.read(weights.base)
    with pytest.raises(LinkError, match=r"^2 of 3 register accesses were not carried out: no such register, not wri"):
        host.write(host.registers.regions["configuration"].base, [0, 0, 0])  # of which the last one is `control`
    with host.paused():
        kept = host.read(weights.base)
        with pytest.raises(LinkError, match="value out of range"):
            host.write(weights.base, [weights.values.maximum + 1])
        assert host.read(weights.base) == kept
        assert host.fields("status")["held"] == 1
    assert host.fields("violations")["refused"] == 1
    violations, refused = host.registers.mask("violations", "refused")
    host.write(violations, [refused])
    assert host.fields("status") == {"idle": 1, "held": 0, "starved": 1, "result_waits": 0, "error": 0}


def test_train_frames(tmp_path):
    """And then, after a reset, from what is in the memories; what was read makes a checkpoint."""
    config = small(**FRAMES | {"update": {"shift": 1, "rounding": "stochastic"}})
    samples, labels = frames(config, 6), [0, 1, 1, 0, 1, 0]
    line, host, results, prediction = run_over_the_line(config, samples, labels)
    # Later ones may have had to wait until the result before was out on the line.
    assert results[0].cycles == prediction.results[0]["cycle count"]

    save_checkpoint(tmp_path / "trained.npz", Checkpoint(config, state_from(host.state(), config)))
    state = load_checkpoint(tmp_path / "trained.npz").state
    assert all(map(torch.equal, state["weight"], prediction.model.state["weight"]))

    host.reset()
    for sample in samples[:2]:
        host.send(sample[None].numpy())
        prediction.sample(sample, 0, False)
    assert [host.result().counts for _ in range(2)] == [
        tuple(wanted["spike counts"]) for wanted in prediction.results[-2:]]
    with pytest.raises(LinkError, match="no result is due"):
        host.result()
    other = small(**FRAMES | {"update": {"shift": 2}})
    with pytest.raises(LinkError, match=r"register configuration must be 0x.*, not 0x.*: another core is loaded"):
        Host(line, other, reset=False)


def test_train_events():
    config = small(**EVENTS)
    generator = torch.Generator().manual_seed(3)
    samples = torch.randint(0, 2, (4, config.time.steps, config.input.size), generator=generator)
    run_over_the_line(config, samples, [0, 1, 1, 0])


def response(value):
    return bytes([Answer.RESPONSE]) + value.to_bytes(4, "little")


class Memory:
    """A port to a core of which there is nothing but its registers, each of which keeps what is written."""

    timeout = 1

    def __init__(self, config):
        self.packets, self.words, self.heard = Packets(config), {}, b""
        regions, (status, held) = RegisterMap(config).regions, RegisterMap(config).mask("status", "held")
        self.words |= {regions["identification"].base: MAGIC, status: held,
                       regions["configuration"].base: int(config.hash[:8], 16)}

    def write(self, data):
        for place in range(0, len(data), self.packets.request_bytes):
            word = int.from_bytes(data[place:place + self.packets.request_bytes], "little")
            request = self.packets.request.from_bits(word >> 1 & (1 << self.packets.request.size) - 1)
            if request.write:
                self.words[request.address] = request.data
            self.heard += response(0 if request.write else self.words.get(request.address, 0))

    def read(self, count):
        data, self.heard = self.heard[:count], self.heard[count:]
        return data


@given(st.one_of(configs(), spatial_configs()), st.integers(0, 99))
def test_state_and_counters_round_trip(config, seed):
    """Every array that is loaded is read back, whatever the layers; every counter has both of its words."""
    port, registers, source = Memory(config), RegisterMap(config), random.Random(seed)
    host, arrays = Host(port, config, reset=False), state_arrays(initial_state(config))
    host.load(arrays)
    counters = {name: source.randrange(2**48) for name in registers.counters()}
    for name, address in registers.counters().items():
        port.words |= {address: counters[name] & 2**32 - 1, address + 1: counters[name] >> 32}
    assert host.counters() == counters
    found = host.state()
    assert found.keys() == arrays.keys() | {f"counter:{name}" for name in counters}
    for name, value in (arrays | {f"counter:{name}": value for name, value in counters.items()}).items():
        assert np.array_equal(found[name], value), name


def test_bits_that_no_field_has_are_not_sent():
    host = Host(Memory(CONFIG), CONFIG, reset=False)
    control = host.registers.regions["control"].base
    with pytest.raises(InputError, match=r"register control must be written with bits of 0x3, .* not with 0x6"):
        host.write(control, [6])
    host.write(control, [2])
    assert host.read(control) == [2]


# Host against a line that misbehaves

class Script:
    """A port that answers with what it is given, whatever is asked."""

    timeout = 1

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def write(self, data):
        self.asked.append(data)

    def flush(self):
        self.asked.append("flush")

    def send_break(self):
        self.asked.append("break")

    def read(self, count):
        if not self.answers:
            return b""
        head, *_ = self.answers
        self.answers[0] = head[count:]
        if not self.answers[0]:
            self.answers.pop(0)
        return head[:count]


IDENTITY = (response(MAGIC), response(int(CONFIG.hash[:8], 16)))


@pytest.mark.parametrize("answers, message", [
    ([], "no answer to a break: check the port, the bit rate and the board"),
    ([b"\0"], "no answer: waited for the response to a register access"),
    ([b"\xa5\0", b"", response(1)], f"register identification must be {MAGIC:#010x}, not 0x00000001"),
])
def test_no_core(answers, message):
    with pytest.raises(LinkError, match=message):
        Host(Script(*answers), CONFIG)


@pytest.mark.parametrize("answer, message", [
    (b"", "no answer: waited for a result"),
    (bytes([Answer.RESET]), "the core was reset by something else"),
    (bytes([Answer.FRAMING]), "received a byte without a stop bit"),
    (bytes([Answer.OVERRUN]), "received a packet before it had room"),
    (b"\x77", "sent 0x77, which is no answer"),
    (bytes([Answer.RESULT, 1, 2]), f"the core sent 3 of {PACKETS.result_bytes} bytes"),
])
def test_line_that_loses_something(answer, message):
    host = Host(Script(*IDENTITY), CONFIG, reset=False)
    host.send(np.zeros((1, 6), dtype=int))
    host.port.answers = [answer] if answer else []
    with pytest.raises(LinkError, match=message):
        host.result()


def test_waits_for_room():
    """The second sample is not sent before there is room for it; a result that comes meanwhile is kept."""
    host = Host(Script(*IDENTITY), CONFIG, reset=False)
    sample = np.zeros((1, 6), dtype=int)
    host.send(sample)
    asked = len(host.port.asked)
    with pytest.raises(LinkError, match="waited for room for a sample"):
        host.send(sample)
    assert len(host.port.asked) == asked
    host.port.answers = [bytes([Answer.RESULT]) + bytes(PACKETS.result_bytes - 1), bytes([Answer.ROOM])]
    host.send(sample)
    assert len(host.port.asked) == asked + 1
    assert host.result() == Result(0, (0, 0, 0), 0, 0, 0)


def test_verilog_of_its_own():
    """A hosted core converts like a core, with three wires and the lamps as its ports."""
    text = generate_text(CONFIG, HostedCore(CONFIG, divisor=12))
    header = text[text.index("module little("):]
    assert sorted(header[len("module little("):header.index(")")].split(", ")) == ["clk", "leds", "rst", "rx", "tx"]
