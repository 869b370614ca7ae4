"""What can be wrong with what comes from outside: flagged and counted until the host has heard of it.

docs/samples.md says what the core does with malformed samples.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["COUNT_BITS", "ViolationBank", "violation_layout", "violations"]

#: Bits of the count of each kind.
COUNT_BITS = 16

_MEANINGS = {
    "short": {"frame": "frames that ended too early; dropped",
              "events": "samples or batches that lacked ends of steps; the missing steps were taken as empty"},
    "long": {"frame": "frames that went on after their last value; dropped"},
    "stray": {"frame": "values that belong to no sample; dropped",
              "events": "items that belong to no sample; dropped"},
    "place": {"events": "events beyond the image; dropped"},
    "label": {"frame": "frames with a label beyond the classes; their error is zero",
              "events": "intervals with a label beyond the classes; their error is zero"},
}


def violations(config):
    """Name -> what is counted, of all kinds of violations that the sample stream of `config` can have."""
    kind = config.input.kind
    return {name: meanings[kind] for name, meanings in _MEANINGS.items() if kind in meanings}


def violation_layout(config):
    """One bit per kind of `violations`, high for one cycle each time."""
    return data.StructLayout({name: 1 for name in violations(config)})


class ViolationBank(wiring.Component):
    """A flag that stays and a count that saturates for each of `size` kinds of violations.

    Members
    -------
    found : In(size)
        Violations of this cycle.
    clear : In(size)
        Clear flag and count of a kind; a violation of the same cycle is kept.
    flags : Out(size)
    counts : Out(ArrayLayout(COUNT_BITS, size))
    error : Out(1)
        Any flag is set, from a register; a cycle after the flags.
    """

    def __init__(self, size):
        super().__init__({
            "found":  In(size),
            "clear":  In(size),
            "flags":  Out(size),
            "counts": Out(data.ArrayLayout(COUNT_BITS, size)),
            "error":  Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [self.flags.eq(self.flags & ~self.clear | self.found), self.error.eq(self.flags.any())]
        for place, found in enumerate(self.found):
            count = Signal(COUNT_BITS, name=f"count_{place}")
            m.d.comb += self.counts[place].eq(count)
            # In this form the flip-flops of the upper bits are cleared by their own reset, and a bit takes one cell.
            m.d.sync += count.eq(count + (found & ~count.all()))
            with m.If(self.clear[place]):
                m.d.sync += count.eq(found)
        return m
