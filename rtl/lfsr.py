"""Random bits of stochastic rounding and of dropout."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden import lfsr

__all__ = ["LaneLfsr"]


def _leap(state):
    """The leap as one XOR per bit: steps are linear, so each result bit is the parity of some state bits."""
    rows = [1 << i for i in range(16)]
    for _ in range(lfsr.LEAP):
        out = rows[0]
        rows = [(rows[i + 1] if i < 15 else 0) ^ (out if lfsr.MASK >> i & 1 else 0) for i in range(16)]
    return Cat((state & row).xor() for row in rows)


class LaneLfsr(wiring.Component):
    """One 16-bit LFSR per lane; twin of `golden.lfsr.Lfsr`.

    Every lane leaps `golden.lfsr.LEAP` steps in the cycle after `advance`. Reset restores the seeds.

    Parameters
    ----------
    seeds : list of int
        State of each lane after reset, 1 .. 65535.

    Members
    -------
    advance : In(1)
        Leap at the next clock edge.
    random : Out(ArrayLayout(16, lanes))
        The states.
    load, load_lane, load_state : In
        Write `load_state` to one lane at the next clock edge.

    Raises
    ------
    ValueError
        If a seed is not in 1 .. 65535; an LFSR never leaves 0.
    """

    def __init__(self, seeds):
        for seed in seeds:
            if not 1 <= seed <= lfsr.PERIOD:
                raise ValueError(f"LFSR seed must be in 1..{lfsr.PERIOD}, not {seed!r}")
        self.seeds = tuple(seeds)
        super().__init__({
            "advance":    In(1),
            "random":     Out(data.ArrayLayout(16, len(seeds))),
            "load":       In(1),
            "load_lane":  In(range(max(2, len(seeds)))),
            "load_state": In(16),
        })

    def elaborate(self, platform):
        m = Module()
        for lane, seed in enumerate(self.seeds):
            state = Signal(16, init=seed, name=f"state_{lane}")
            m.d.comb += self.random[lane].eq(state)
            with m.If(self.load & (self.load_lane == lane)):
                m.d.sync += state.eq(self.load_state)
            with m.Elif(self.advance):
                m.d.sync += state.eq(_leap(state))
        return m

