"""The core: a cascade of blocks, and the register port."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..golden.edges import edges
from ..golden.memories import samples_begun
from .arithmetic import register
from .block import BlockCore
from .bus import RegisterPort, response_signature
from .common import CommonRegisters
from .events import input_layout
from .promise import promise
from .registers import RegisterMap, request_layout
from .result import CYCLE_BITS, result_layout

__all__ = ["Core"]


class Core(wiring.Component):
    """A network that trains itself: samples in, results out, weights and counters behind the register port.

    Blocks are joined by spike streams and work at the same time, each on its own interval; every schedule gives the
    same bits. Cycle counts: `golden.schedule`. Reset may come at any time and leads to the idle state; weights keep
    what they had, learning-rate state and LFSRs return to the start.

    Parameters
    ----------
    config : Config
    registers : RegisterMap, optional
        With other values after reset than those of the configuration.

    Members
    -------
    samples : In(stream.Signature(input_layout(config)))
    results : Out(stream.Signature(result_layout(config)))
    request : In(stream.Signature(request_layout(...)))
    response : Out(response_signature())
    error : Out(1)
        Something was wrong with what came from outside; until the host clears the register `violations`.
    """

    def __init__(self, config, registers=None):
        self.config = config
        self.map = registers or RegisterMap(config)
        regions = self.map.regions
        seeds = {unit.path: regions[f"{unit.path}.lfsr"].reset if f"{unit.path}.lfsr" in regions else []
                 for unit in config.units}
        self.blocks = [BlockCore(config, block, self.map, seeds=[seeds[unit.path] for unit in block.units])
                       for block in config.blocks]
        super().__init__({
            "samples":  In(stream.Signature(input_layout(config))),
            "results":  Out(stream.Signature(result_layout(config))),
            "request":  In(stream.Signature(request_layout(self.map.address_bits))),
            "response": Out(response_signature()),
            "error":    Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        blocks = self.blocks
        for block in blocks:
            m.submodules[block.block.name] = block
        for edge in edges(self.config):
            source = wiring.flipped(self.samples) if edge.source is None else blocks[edge.source].o
            wiring.connect(m, source, blocks[edge.target].i)
        wiring.connect(m, blocks[-1].o, wiring.flipped(self.results))

        nodes = {"common": self.map.of(None)} | {
            block.block.name: self.map.of(block.block.index) for block in blocks}
        m.submodules.registers = registers = RegisterPort(self.map, nodes)
        m.submodules.common = common = CommonRegisters(self.map)
        wiring.connect(m, wiring.flipped(self.request), registers.request)
        wiring.connect(m, registers.response, wiring.flipped(self.response))
        wiring.connect(m, registers.common, common.bus)
        for block in blocks:
            wiring.connect(m, getattr(registers, block.block.name), block.bus)
            m.d.comb += [block.hold.eq(common.hold), block.counter_clear.eq(common.clear)]

        # Whether all pause is known a cycle after they were told to.
        quiet = register(m, Cat(block.idle for block in blocks).all(), name="quiet")
        held = Signal()
        m.d.comb += held.eq(common.hold & quiet & register(m, common.hold, name="told_to_hold"))
        status = {"idle": quiet, "held": held, "starved": register(m, blocks[0].starved, name="starved"),
                  "result_waits": register(m, self.results.valid & ~self.results.ready, name="result_waits")}
        m.d.comb += [
            *(common.status[name].eq(value) for name, value in status.items()),
            common.found.eq(Cat(blocks[0].violations, registers.refused)),
            registers.held.eq(held), self.error.eq(common.error),
        ]

        # When each sample that is still in the cascade began.
        now = Signal(self.config.hardware.time_bits)
        m.d.sync += now.eq(now + 1)
        m.submodules.begun = begun = fifo.SyncFIFOBuffered(width=CYCLE_BITS, depth=samples_begun(self.config))
        m.d.comb += [
            begun.w_data.eq(register(m, now, name="began")),
            begun.w_en.eq(blocks[0].begins),
            begun.r_en.eq(register(m, blocks[-1].reported, name="reported")),
            blocks[-1].cycles.eq((now - begun.r_data)[:CYCLE_BITS]),
            common.now.eq(now),
        ]
        promise(m, platform, (begun.w_rdy | ~begun.w_en) & (begun.r_rdy | ~begun.r_en),
                "the queue of begun samples has room for each, and has each that is reported")
        return m
