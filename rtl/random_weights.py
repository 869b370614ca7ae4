"""Weights that are computed instead of stored."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RandomWeights"]


class RandomWeights(wiring.Component):
    """The weight word of an address, two cycles later; twin of `golden.random_weights`.

    Parameters
    ----------
    keys : list of int
        32 bits for each lane.
    address_width, bits, width : int
        Bits of an address, of the random values, and of the weights that hold them.

    Members
    -------
    address : In
    weights : Out(ArrayLayout)
    """

    def __init__(self, keys, *, address_width, bits, width):
        if not 2 <= bits <= width:
            raise ValueError(f"bits must be in 2..{width}, not {bits!r}")
        self.keys, self.bits = list(keys), bits
        super().__init__({
            "address": In(address_width),
            "weights": Out(data.ArrayLayout(signed(width), len(self.keys))),
        })

    def elaborate(self, platform):
        m = Module()
        for lane, key in enumerate(self.keys):
            def step(x, left, right, name, lane=lane):
                total = Signal(32, name=f"{name}_{lane}")
                m.d.comb += total.eq(x + (x << left))
                return total ^ (total >> right) if right else total

            begun, half, hashed = (Signal(32, name=f"{name}_{lane}") for name in ("begun", "half", "hashed"))
            m.d.comb += begun.eq(self.address + key)
            m.d.sync += [
                half.eq(step(step(begun, 10, 6, "first"), 13, 7, "second")),
                hashed.eq(step(step(step(half, 3, 17, "third"), 5, 11, "fourth"), 15, 0, "fifth")),
            ]
            m.d.comb += self.weights[lane].eq((hashed[32 - self.bits:] | 1).as_signed())
        return m
