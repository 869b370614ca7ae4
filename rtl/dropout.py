"""Dropout: which spikes of a word of neurons do not leave their layer."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.parts.dropout import DROPOUT_BITS
from .lfsr import LaneLfsr

__all__ = ["Dropout"]


def _below(random, dropout):
    """Whether the low bits of an LFSR are below the share of dropped spikes."""
    return random[:DROPOUT_BITS] < dropout


class Dropout(wiring.Component):
    """One LFSR per lane that chooses the dropped neurons; twin of `golden.dropout.draw_dropped`.

    Combinational; the LFSRs leap in the cycle after a word of neurons in training. Reset restores the seeds.

    Parameters
    ----------
    seeds : list of int
        State of each lane after reset, 1 .. 65535.
    dropout : int
        Sixteenths of the spikes that are dropped.

    Members
    -------
    train, valid : In(1)
        Whether anything is dropped; whether a word of neurons stands at the outputs of the unit.
    dropped : Out(lanes)
        Neurons of that word whose spikes do not leave the layer.
    load, load_lane, load_state, states
        As of `LaneLfsr`, where `states` is `random`.

    Raises
    ------
    ValueError
        If `dropout` is not in 1 .. 15.
    """

    def __init__(self, seeds, *, dropout):
        if not 1 <= dropout < 1 << DROPOUT_BITS:
            raise ValueError(f"dropout must be in 1..{(1 << DROPOUT_BITS) - 1}, not {dropout!r}")
        self.lfsr, self.dropout = LaneLfsr(seeds), dropout
        super().__init__({
            "train":      In(1),
            "valid":      In(1),
            "dropped":    Out(len(seeds)),
            "load":       In(1),
            "load_lane":  In(range(max(2, len(seeds)))),
            "load_state": In(16),
            "states":     Out(data.ArrayLayout(16, len(seeds))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.lfsr = lfsr = self.lfsr
        m.d.comb += [
            lfsr.advance.eq(self.train & self.valid),
            lfsr.load.eq(self.load), lfsr.load_lane.eq(self.load_lane), lfsr.load_state.eq(self.load_state),
            self.states.eq(lfsr.random),
            self.dropped.eq(Cat(self.train & _below(random, self.dropout) for random in lfsr.random)),
        ]
        return m
