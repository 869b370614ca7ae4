"""The event scan over every content of a small memory at once: each set bit once, in order, and no gap.

The statement knows nothing of the places of a bitmap word, of counts or of look-ahead: it goes along the bits as the
memory has them.
"""

import pytest
from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, ResetSignal, Signal

from formal import Verdict, check, constant, without_reset
from spikeloom.rtl import pick as rtl_pick
from spikeloom.rtl.pick import PickBits, few, first_set
from spikeloom.rtl.scan import EventScan
from spikeloom.rtl.walk import Rectangles


def popcount(bits):
    return sum((bit for bit in bits), Const(0))


def largest(a, b):
    return Mux(a > b, a, b)


class Claims:
    """What a scan does, word by word and step by step, in a memory of any content.

    Bits are numbered in the order in which they are to be visited: word, step, group, bit.
    """

    def __init__(self, *, words, steps, groups, width, minimum=2, stays=False, amiss=None):
        self.m = m = Module()
        depth = words * steps * groups
        walk = Rectangles(words=words, steps=steps, depth=depth, groups=groups, step_pitch=groups)
        self.scan = scan = EventScan(walk, PickBits(width), minimum=minimum, tag=range(depth))
        m.submodules.scan = scan
        without_reset(m)
        stay = Signal(name="stay")
        self.inputs = [stay]
        memory = [constant(m, self.inputs, width, name=f"memory_{place}") for place in range(depth)]
        self._surround(memory, steps * groups, stay if stays else Const(0))

        # Operations of each step, and of all.
        totals = []
        for step in range(words * steps):
            each = [largest(Const(1), popcount(bits)) for bits in memory[step * groups:(step + 1) * groups]]
            totals.append(largest(Const(minimum), sum(each[1:], each[0])))
        total = Signal(range(words * steps * (minimum + groups * width) + 1))
        m.d.comb += total.eq(sum(totals[1:], totals[0]) + (amiss == "late"))
        self.most = words * steps * max(minimum, groups * width)
        self._claim(memory, total, groups=groups, width=width, steps=steps, words=words, amiss=amiss,
                    timed=not stays)

    def _surround(self, memory, per_word, stay):
        """The memory, and a start in the first cycle after reset only."""
        m, scan = self.m, self.scan
        self.age = Signal(8)
        word, read = Signal(8), Signal(scan.pick.width)
        m.d.sync += self.age.eq(self.age + 1)
        with m.If(scan.fetch):
            m.d.sync += read.eq(Array(memory)[scan.address])
        with m.If(scan.read_word):
            m.d.sync += word.eq(word + per_word)
        m.d.comb += [
            scan.start.eq(self.age == 0), scan.bits.eq(read), scan.mask.eq(~0), scan.last_row.eq(0),
            scan.last_group.eq(scan.walk.groups - 1), scan.tag_in.eq(scan.address), scan.stay.eq(stay),
            scan.offset.eq(word),
        ]

    def _claim(self, memory, total, *, groups, width, steps, words, amiss, timed):
        m, scan, flat = self.m, self.scan, Cat(memory)
        place, before = Signal(range(len(flat) + 1)), Signal(range(len(flat) + 1))
        operations, over, taken = Signal(8), Signal(), Signal()
        m.d.comb += [
            # The tag is the address of the bitmap word, which is its number.
            place.eq(scan.tag * width + scan.index),
            taken.eq(scan.valid & scan.event & ~scan.stay),
        ]
        # All set bits below `before` have been visited, and none from there on.
        m.d.sync += [operations.eq(operations + scan.valid), over.eq(over | (scan.valid & scan.final))]
        with m.If(taken):
            m.d.sync += before.eq(place + 1)
        between = (flat >> before) & ~(Const(-1, len(flat)) << (place - before).as_unsigned()[:len(place)])
        event = scan.valid & scan.event
        claims = {
            "set": ~event | flat.bit_select(place, 1),
            "in order": ~event | (place >= before),
            "none left out": ~event | (between == 0),
            "all at the end": ~(scan.valid & scan.final & ~scan.stay) | (
                (flat >> Mux(scan.event, place + 1, before)) == 0),
            "where it says": ~event | (scan.tag // groups == scan.word * steps + scan.step),
        }
        if timed:
            busy = (self.age >= 4) & (self.age < total + 4)
            claims |= {"without a gap": scan.valid == busy,
                       "ends": (scan.valid & scan.final) == (busy & (operations == total - 1))}
        if amiss == "twice":
            claims["in order"] = ~event | (place > before)
        m.d.comb += [Assert(ResetSignal() | claim, name) for name, claim in claims.items()]

    def verdict(self):
        return check(self.m, self.inputs, depth=self.most + 8)


@pytest.mark.parametrize("shape", [
    {"words": 2, "steps": 2, "groups": 1, "width": 3, "minimum": 3},
    {"words": 1, "steps": 2, "groups": 2, "width": 3},
    {"words": 2, "steps": 1, "groups": 1, "width": 6},
    {"words": 1, "steps": 1, "groups": 3, "width": 4, "minimum": 6},
    {"words": 2, "steps": 1, "groups": 2, "width": 2, "stays": True},
], ids=str)
def test_every_set_bit_once_in_order_without_a_gap(shape):
    assert Claims(**shape).verdict() is Verdict.BOUNDED


SMALL = {"words": 1, "steps": 2, "groups": 2, "width": 3}


@pytest.mark.parametrize("amiss", ["late", "twice"])
def test_a_wrong_claim_is_refuted(amiss):
    assert Claims(**SMALL, amiss=amiss).verdict() is Verdict.REFUTED


def _few_miscounts(m, bits, *, name):
    """Three set bits look like two."""
    count = few(m, bits, name=name)
    return Mux(count.all(), Const(2, 2), count)


def _highest(m, bits, *, name, one_hot=False):
    """The bits are visited from the other end."""
    lowest, index = first_set(m, Cat(reversed(list(bits))), name=name)
    return Cat(reversed(list(lowest))), (len(bits) - 1 - index)[:len(index)]


@pytest.mark.parametrize("name, wrong", [("few", _few_miscounts), ("first_set", _highest)])
def test_a_wrong_scan_is_refuted(name, wrong, monkeypatch):
    monkeypatch.setattr(rtl_pick, name, wrong)
    assert Claims(**SMALL).verdict() is Verdict.REFUTED


def test_counts_and_places_of_bits():
    """`few` and `first_set`, of any word of some widths."""
    def verdict(amiss):
        m, inputs, claims = Module(), [], []
        for width in (1, 2, 3, 8, 13, 16):
            inputs.append(bits := Signal(width, name=f"bits_{width}"))
            lowest, index = first_set(m, bits, name=f"first_{width}")
            below = Cat(bits[:place].any() if place else Const(0) for place in range(width))
            claims += [
                few(m, bits, name=f"few_{width}") == Mux(popcount(bits) > 3, 3, popcount(bits)) + amiss,
                lowest == bits & ~below, ~bits.any() | (lowest == Const(1) << index), bits.any() | (index == 0)]
        m.d.comb += Assert(Cat(claims).all())
        return check(m, inputs, depth=1)

    assert verdict(0) is Verdict.BOUNDED
    assert verdict(1) is Verdict.REFUTED
