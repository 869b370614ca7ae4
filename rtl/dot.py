"""Transposed product: the error that a unit passes down."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.schedule import tree_latency
from .arithmetic import adder_tree, half, register, saturate, shift_floor

__all__ = ["DotPath"]


class DotPath(wiring.Component):
    """Sum of the products of one weight row with one error vector, rounded to an error: the sum of equation (4).

    The products of one word enter per cycle; `delta` stands ``tree_latency(lanes) + 2`` cycles after the last one.

    Parameters
    ----------
    config : Config
    unit : Unit
        The unit whose weights they are.

    Members
    -------
    first : In(1)
        Products of the first word of a row.
    products : In(ArrayLayout)
        Weight times error of each lane.
    full : In(1)
        Whether all lanes hold a neuron; if not, only those of the last word do.
    delta : Out(signed(error width))
        Rounded to nearest and saturated.
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        width = unit.weights.width + unit.rule.error_width
        super().__init__({
            "first":    In(1),
            "full":     In(1),
            "products": In(data.ArrayLayout(signed(width), unit.lanes)),
            "delta":    Out(signed(unit.rule.error_width)),
        })

    def elaborate(self, platform):
        m = Module()
        unit = self.unit
        terms = [self.products[lane] if lane < unit.last_lanes else Mux(self.full, self.products[lane], 0)
                 for lane in range(unit.lanes)]
        total = adder_tree(m, terms, name="tree")
        first = register(m, self.first, name="first", stages=tree_latency(unit.lanes))
        fraction = self.config.numbers.weight.fraction
        dot = Signal(signed(unit.dot_width + 1), reset_less=True)  # with what rounding to the nearest adds
        m.d.sync += dot.eq(Mux(first, half(fraction), dot) + total)
        m.d.sync += self.delta.eq(saturate(m, shift_floor(dot, fraction), unit.rule.error_width, name="rounded"))
        return m
