"""Ring buffers: no overflow, order kept, and no word of a slot changes while the block may still read it.

One place of one interval (any number of the ring, any word) is followed from the stream to the read port, while the
block takes, reads and releases intervals in any cycles that the rules of the buffer allow.
"""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, ResetSignal, Signal

from formal import Verdict, check, constant, without_reset
from spikeloom.rtl import buffers, events
from spikeloom.rtl.arithmetic import times
from spikeloom.rtl.buffers import FrameBuffer, SpikeBuffer
from spikeloom.rtl.events import EventBuffer
from strategies import small

LAYERS = [{"neurons": 2, "lanes": 1}, {"neurons": 2, "lanes": 1}]
PERIOD = {"steps": 2, "interval": 1, "update_period": 2}
SPIKES = small(time=PERIOD, layers=LAYERS, hardware={"spike_slots": 2})
FRAMES = small(input={"size": 3, "bits": 2, "fraction": 1}, layers=LAYERS, hardware={"sample_slots": 2})
EVENTS = small(time=PERIOD, input={"shape": [1, 2, 1], "kind": "events", "bits": 1, "fraction": 0}, layers=LAYERS,
               hardware={"spike_slots": 2})
#: The slot that is followed is one of the first so many: the ring goes round.
FOLLOWED = 3


class Ring:
    """A buffer between a stream and a block that keeps to its rules, and one slot that is followed.

    What the slot must hold is found by whoever derives from this: `_follow` returns whether an item is accepted that
    completes an interval, and the claims on what is read.
    """

    def __init__(self, config, unit, kind, *, per_slot=1, amiss=None):
        self.config, self.unit, self.amiss = config, unit, amiss
        self.m = m = Module()
        m.submodules.buffer = self.buffer = buffer = kind(config, unit)
        without_reset(m)
        self.item, stream = buffer.i.payload, buffer.i
        self.inputs = [stream.valid, stream.payload.as_value(), buffer.release, buffer.read_en]
        self.slot = constant(m, self.inputs, range(FOLLOWED), name="slot")
        self.accept, self.completes = Signal(name="accept"), Signal(name="completes")
        m.d.comb += self.accept.eq(stream.valid & stream.ready)

        # Intervals that were completed and taken, and slots that were released, since reset.
        self.completed, taken, self.released = (
            Signal(5, name=name) for name in ("completed", "taken", "released"))
        take = buffer.take if hasattr(buffer, "take") else buffer.release
        if take is not buffer.release:
            self.inputs.append(take)
        m.d.sync += [
            self.completed.eq(self.completed + self.completes), taken.eq(taken + take),
            self.released.eq(self.released + buffer.release)]
        self._claim("available", buffer.available == (self.completed > taken))
        self._claim("no overflow", ~stream.ready | (self.completed // per_slot - self.released < buffer.slots))
        m.d.comb += Assume(~take | buffer.available)
        if per_slot > 1 or take is not buffer.release:
            m.d.comb += Assume(~buffer.release | (taken >= (self.released + 1) * per_slot))
        self.fills = self.completed // per_slot  # slot that is being written
        self._follow()

    def _claim(self, name, holds):
        self.m.d.comb += Assert(ResetSignal() | holds, name)

    def _read(self, address, bits, expected, *, known):
        """What is read from `address` of the slot that is followed, while it is the oldest, is `expected`."""
        asked, buffer = Signal(name="asked"), self.buffer
        self.m.d.comb += buffer.read_address.eq(buffer.base + address)
        self.m.d.sync += asked.eq(buffer.read_en & known & (self.released == self.slot))
        if self.amiss == "stale":
            expected = ~expected
        self._claim("what was sent is read", ~asked | (bits == expected))

    def verdict(self, depth):
        return check(self.m, self.inputs, depth=depth)


class Spikes(Ring):
    """Words of an interval, steps within each word."""

    def __init__(self, amiss=None):
        unit = SPIKES.blocks[1].units[0]
        super().__init__(SPIKES, unit, SpikeBuffer, per_slot=unit.frames // unit.steps, amiss=amiss)

    def _follow(self):
        m, unit, layout, buffer = self.m, self.unit, self.unit.bitmap, self.buffer
        parts = layout.granules
        count = Signal(5, name="count")  # items of this interval
        item, interval = (constant(m, self.inputs, range(size), name=name) for name, size in (
            ("item", parts), ("interval", unit.frames)))
        kept, label, known = Signal(unit.granule), Signal.like(self.item.label), Signal(name="known")
        m.d.comb += self.completes.eq(self.accept & (count == parts - 1))
        with m.If(self.accept):
            m.d.sync += count.eq(Mux(self.completes, 0, count + 1))
            with m.If((self.completed == self.slot * unit.frames + interval) & (count == item)):
                m.d.sync += [kept.eq(self.item.spikes), known.eq(1)]
            with m.If(self.fills == self.slot):
                m.d.sync += label.eq(self.item.label)
        m.d.comb += [Assume(item < parts), Assume(interval < unit.frames), Assume(self.slot < FOLLOWED)]
        done = self.completed > self.slot * unit.frames + interval
        self._read(interval * layout.words, buffer.bits.bit_select(item, 1), kept, known=known & done)
        self._claim("label", ~(buffer.available & (self.released == self.slot)) | (buffer.label == label))


class Frames(Ring):
    """Values from `first` to `last`; whatever else comes is no sample."""

    def __init__(self, amiss=None):
        super().__init__(FRAMES, FRAMES.units[0], FrameBuffer, amiss=amiss)

    def _follow(self):
        m, size, buffer, item = self.m, self.config.input.size, self.buffer, self.item
        self.inputs += [buffer.value_en]
        begun, count, now = Signal(name="begun_sample"), Signal(5, name="count"), Signal(5, name="now")
        place = constant(m, self.inputs, range(size), name="place")
        kept, new, label = Signal.like(item.value), Signal.like(item.value), Signal.like(item.label)
        known, held = Signal(name="known"), Signal(name="held")
        m.d.comb += [
            now.eq(Mux(item.first, 0, count)), new.eq(Mux(now == place, item.value, kept)),
            self.completes.eq(self.accept & (item.first | begun) & item.last & (now == size - 1)),
            Assume(place < size), Assume(self.slot < FOLLOWED)]
        with m.If(self.accept):
            m.d.sync += [count.eq(now + 1), begun.eq((item.first | begun) & ~item.last & (now < size - 1))]
            with m.If((self.completed == self.slot) & ~known):
                m.d.sync += kept.eq(new)
            with m.If(self.completes & (self.completed == self.slot)):
                m.d.sync += [known.eq(1), label.eq(item.label)]
        # A sample is read from the second cycle on after it became complete.
        m.d.sync += held.eq(known)
        where = self.unit.bitmap.position(0, 0, place)
        self._read(0, buffer.bits.bit_select(where, 1), kept != 0, known=held)
        asked = Signal()
        m.d.comb += buffer.value_address.eq(buffer.base * self.unit.bitmap.scan_width + where)
        m.d.sync += asked.eq(buffer.value_en & held & (self.released == self.slot))
        self._claim("values", ~asked | (buffer.value == kept))
        self._claim("label", ~(held & (self.released == self.slot)) | (buffer.label == label))


class Events(Ring):
    """Events of a step and its end; what had no event is zero, whatever was there before."""

    def __init__(self, amiss=None):
        unit = EVENTS.units[0]
        super().__init__(EVENTS, unit, EventBuffer, per_slot=unit.frames // unit.steps, amiss=amiss)

    def _follow(self):
        m, unit, layout, buffer, item = self.m, self.unit, self.unit.bitmap, self.buffer, self.item
        steps = self.config.time.steps
        total, fresh, found = Signal(5, name="total"), Signal(init=1, name="fresh"), Signal(name="found")
        x, interval = (constant(m, self.inputs, range(size), name=name) for name, size in (
            ("x", layout.channels), ("interval", unit.frames)))
        here = self.completed == self.slot * unit.frames + interval
        m.d.comb += [
            self.completes.eq(self.accept & item.end), Assume(x < layout.channels), Assume(interval < unit.frames),
            Assume(self.slot < FOLLOWED),
            # The first item of a sample says so, and no other.
            Assume(item.first == ((total == 0) & fresh))]
        with m.If(self.accept):
            m.d.sync += fresh.eq(item.end)
            with m.If(item.end):
                m.d.sync += total.eq(Mux(total == steps - 1, 0, total + 1))
            with m.Elif(here & (item.x == x) & (item.y == 0) & (item.channel == 0)):
                m.d.sync += found.eq(1)
        done = self.completed > self.slot * unit.frames + interval
        self._read(interval * layout.words, buffer.bits.bit_select(x, 1), found, known=done)


DEPTHS = {Spikes: 17, Frames: 15, Events: 18}


@pytest.mark.parametrize("kind", DEPTHS, ids=lambda kind: kind.__name__)
def test_what_was_sent_is_read(kind):
    assert kind().verdict(DEPTHS[kind]) is Verdict.BOUNDED


@pytest.mark.parametrize("kind", DEPTHS, ids=lambda kind: kind.__name__)
def test_a_wrong_claim_is_refuted(kind):
    assert kind(amiss="stale").verdict(DEPTHS[kind]) is Verdict.REFUTED


@pytest.mark.parametrize("kind, module, name, wrong", [
    (Spikes, buffers, "times", lambda x, constant: times(x, max(1, constant - 1))),
    (Frames, buffers, "_advance", lambda m, pointer, count: None),
    (Events, events, "times", lambda x, constant: times(x, max(1, constant - 1))),
], ids=["Spikes", "Frames", "Events"])
def test_slots_that_overlap_are_refuted(kind, module, name, wrong, monkeypatch):
    monkeypatch.setattr(module, name, wrong)
    assert kind().verdict(DEPTHS[kind]) is Verdict.REFUTED
