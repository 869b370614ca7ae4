"""How a unit serves the one below it: products of its weights and errors, summed, for each request."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..golden.stages import serve
from .arithmetic import times
from .backward import request_layout
from .dot import DotPath
from .pipeline import Pipeline
from .taps import lookup

__all__ = ["Service"]


class Service(wiring.Component):
    """Reads weights and errors for the requests of the unit below, and sums their products (`DotPath`).

    Parameters
    ----------
    config : Config
    unit : Unit
        The unit that serves.

    Members
    -------
    request : In(request_layout(unit))
    offset : In
        First step of the slice among those whose errors are kept.
    read_en, weight_address, error_address : Out
        Read of one word of weights (but of a pooling) and one of errors, a cycle after the request.
    adds : Out
        With it, how many lanes have a channel.
    lane : Out
        Only of a pooling: the lane of the channel, as `Multipliers` want it.
    products : In(ArrayLayout)
        Products of what was read, in stage ``product`` of the request.
    delta : Out(signed(error width))
        The rounded sum, in stage ``delta`` of the last request of a row.
    """

    def __init__(self, config, unit):
        self.config, self.unit, self.dot = config, unit, DotPath(config, unit)
        super().__init__({
            "request":        In(request_layout(unit)),
            "offset":         In(range(max(2, unit.history_steps))),
            "read_en":        Out(1),
            "error_address":  Out(range(max(2, unit.words * unit.error_frames))),
            "adds":           Out(range(unit.lanes + 1)),
            "products":       In(self.dot.products.shape()),
            "delta":          Out(self.dot.delta.shape()),
        } | ({"lane": Out(range(max(2, unit.lanes)))} if unit.window.pools else {
            "weight_address": Out(range(max(2, unit.weight_depth)))}))

    def elaborate(self, platform):
        m = Module()
        unit, request = self.unit, self.request
        m.submodules.dot = dot = self.dot
        m.submodules.asked = asked = Pipeline(
            serve(unit), valid=request.valid, first=request.first, full=request.full, row=request.row,
            weight_address=(request.weight_base + request.row)[:len(request.weight_base)],
            error_address=(times(request.word, unit.error_frames) + (self.offset + request.step))[
                :len(self.error_address)])
        now, summed = asked["address"], asked["product"]
        lanes = 1 if unit.window.pools else Mux(now.full, unit.lanes, unit.last_lanes)
        m.d.comb += [
            self.read_en.eq(now.valid), self.error_address.eq(now.error_address),
            self.adds.eq(Mux(now.valid, lanes, 0)),
            dot.first.eq(summed.first), dot.full.eq(summed.full), dot.products.eq(self.products),
            self.delta.eq(dot.delta),
        ]
        if unit.window.pools:
            m.d.comb += self.lane.eq(lookup(
                m, asked["multiply"].row, [c % unit.lanes for c in range(unit.bitmap.pitch)],
                name="lane"))
        else:
            m.d.comb += self.weight_address.eq(now.weight_address)
        return m
