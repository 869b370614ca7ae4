"""The multipliers of a unit: one for each lane, for all its passes."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.stages import forward
from .arithmetic import copies, multiply, register

__all__ = ["Multipliers"]


class Multipliers(wiring.Component):
    """Products of weights or errors with frame values, or of weights with errors for the unit below.

    Parameters
    ----------
    unit : Unit
        With a static input, or one that serves the unit below.

    Members
    -------
    weights : In(ArrayLayout(signed(weight width), lanes))
        Not of a pooling, whose weight is a constant.
    errors : In(ArrayLayout(signed(history width), lanes))
        Not of a unit with a static input that has no update.
    value : In(input_bits)
        Only of a static input: a frame value, two cycles before its factors.
    updating : In(1)
        Only of a static input with an update: errors are multiplied instead of weights; stands through the update.
    lane : In
        Only of a pooling: which lane the average reaches, a cycle after the errors. The products of others are zero.
    products : Out(ArrayLayout)
        `product_latency` cycles after weights and errors; of a static input one more.
    """

    def __init__(self, unit):
        self.unit = unit
        # Of an unsigned value, one bit more.
        other = unit.input.bits + 1 if unit.input.static else unit.rule.error_width
        members = {"products": Out(data.ArrayLayout(signed(unit.factor_width + other), unit.lanes))}
        if not unit.window.pools:
            members["weights"] = In(data.ArrayLayout(signed(unit.weights.width), unit.lanes))
        if unit.rule.serves or unit.weights.stored:
            members["errors"] = In(data.ArrayLayout(signed(unit.history_width), unit.lanes))
        if unit.input.static:
            members["value"] = In(unit.input.bits)
            if unit.weights.stored:
                members["updating"] = In(1)
        elif unit.window.pools:
            members["lane"] = In(range(max(2, unit.lanes)))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        unit = self.unit
        if unit.input.static:
            value = register(m, self.value, name="value_q",
                             stages=forward(unit).between("port", "factor"), reset=False)
            if unit.weights.stored:
                updates = copies(m, self.updating, unit.lanes, name="multiplies_errors")
        for lane in range(unit.lanes):
            product = Signal(self.products[lane].shape(), name=f"product_{lane}", reset_less=True)
            weight = unit.pool_weight if unit.window.pools else self.weights[lane]
            if unit.input.static:
                factor = Signal(signed(unit.factor_width), name=f"factor_{lane}", reset_less=True)
                m.d.sync += factor.eq(Mux(updates[lane], self.errors[lane], weight) if unit.weights.stored else weight)
                m.d.comb += product.eq(multiply(m, factor, value, name=f"times_{lane}"))
            elif unit.window.pools:
                # An average reaches one channel only.
                spread = register(m, self.errors[lane], name=f"spread_{lane}", reset=False)
                m.d.sync += product.eq(Mux(self.lane == lane, spread * weight, 0))
            else:
                m.d.comb += product.eq(multiply(m, weight, self.errors[lane], name=f"times_{lane}"))
            m.d.comb += self.products[lane].eq(product)
        return m
