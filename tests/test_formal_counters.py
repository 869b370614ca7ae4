"""The counter bank loses nothing: whatever comes in which cycle, a counter that is read has all that came before.

Small counters, so that they reach their end, where they stay.
"""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, ResetSignal, Signal

from formal import Verdict, check, constant, without_reset
from spikeloom.rtl.counters import CounterBank

NAMES, WIDE, WIDTH = ["a", "b", "c", "d"], {"c": 3}, 3


def verdict(*, lost=0, lag=0):
    m = Module()
    m.submodules.bank = bank = CounterBank(NAMES, amounts=WIDE, width=WIDTH)
    without_reset(m)
    adds = [getattr(bank, bank.port(name)) for name in NAMES]
    inputs = [*adds, bank.clear, bank.read]
    which, top = constant(m, inputs, range(len(NAMES)), name="which"), (1 << WIDTH) - 1
    total, at_read, asked = (Signal(8, name=name) for name in ("total", "at_read", "asked"))
    amount = Signal(2, name="amount")
    for place, add in enumerate(adds):
        with m.If(which == place):
            m.d.comb += amount.eq(add)
    # All increments before the read; at least these are in what is read, and at most those up to the answer.
    with m.If(bank.clear):
        m.d.sync += [total.eq(0), asked.eq(0)]
    with m.Else():
        m.d.sync += total.eq(total + amount)
        with m.If(bank.read):
            m.d.sync += [asked.eq(1), at_read.eq(total)]
        with m.Elif(asked != 0):
            m.d.sync += asked.eq(asked + 1)
    m.d.comb += [
        bank.index.eq(which),
        # One question at a time, and no clearing while it waits.
        Assume(~bank.read | (asked == 0)), Assume(~bank.clear | (asked == 0)),
    ]
    answered = asked == CounterBank.latency(NAMES) - lag
    least = Mux(at_read + lost > top, top, at_read + lost)
    most = Mux(total > top, top, total)
    m.d.comb += Assert(ResetSignal() | ~answered | ((bank.value >= least) & (bank.value <= most)))
    return check(m, inputs, depth=2 * CounterBank.latency(NAMES) + 3)


def test_no_increment_is_lost():
    assert verdict() is Verdict.BOUNDED


@pytest.mark.parametrize("amiss", [{"lost": 1}, {"lag": 3}], ids=str)
def test_a_wrong_claim_is_refuted(amiss):
    """One more than came; and an answer before its time."""
    assert verdict(**amiss) is Verdict.REFUTED
