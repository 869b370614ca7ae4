"""What the counters of a block count: one line each, at one place."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.counters import WAIT_BITS, block_counters
from .arithmetic import register

__all__ = ["BlockCounters"]


class BlockCounters(wiring.Component):
    """What the counters of a block add in each cycle: cycles by phase, waits, the output queue.

    Waits are credited when they end, so that a core at rest has settled counters. All is counted a cycle late, from
    registers: behind the beginning of an interval stands half of the sequencer.

    Parameters
    ----------
    config : Config
    block : Block

    Attributes
    ----------
    names : list of str
        The counters, in the order of their indices.
    amounts : dict of str to int
        Largest increment of one, where it is not 1.

    Members
    -------
    dispatch, interval_ends, forward, backward, updating, idle : In(1)
        As `Sequencer`.
    available, out_free : In(1)
        What an idle block waits for: its input, and then that its spikes are taken.
    report, waiting : In(1)
        Only of the last block: the result is reported, or waits until the one before was taken.
    queue_written, queue_read : In(1)
        Only of the others: accesses of the output queue.
    clear, clearing : In(1), Out(1)
        Forget the waits that have not ended; `clear` a cycle later, for the counters.
    add : Out(StructLayout)
        By the name of the counter without that of the block.
    """

    def __init__(self, config, block):
        self.config, self.block = config, block
        self.names = block_counters(block)
        self.bits = min(WAIT_BITS, config.hardware.counter_bits)
        self.waits = ["wait.input", *(["wait.output"] if not block.last else [])]
        self.amounts = {f"{block.name}.{wait}": (1 << self.bits) - 1 for wait in self.waits}
        inputs = ["dispatch", "interval_ends", "forward", "backward", "updating", "idle", "available", "out_free",
                  *(["report", "waiting"] if block.last else ["queue_written", "queue_read"]), "clear"]
        super().__init__({name: In(1) for name in inputs} | {
            "clearing": Out(1),
            "add":      Out(data.StructLayout({
                name.removeprefix(f"{block.name}."): self.bits if name in self.amounts else 1
                for name in self.names})),
        })

    def elaborate(self, platform):
        m = Module()

        def late(condition, name):
            return register(m, condition, name="late_" + name.replace(".", "_"))

        m.d.comb += self.clearing.eq(register(m, self.clear, name="clearing"))
        dispatch = late(self.dispatch, "dispatch")
        causes = {"wait.input": ~self.available, "wait.output": self.available & ~self.out_free}
        for wait in self.waits:
            pending, waits = Signal(self.bits, name="pending_" + wait[5:]), late(self.idle & causes[wait], wait)
            with m.If(dispatch | self.clearing):
                m.d.sync += pending.eq(0)
            with m.Elif(waits & (pending != (1 << self.bits) - 1)):
                m.d.sync += pending.eq(pending + 1)
            m.d.comb += self.add[wait].eq(Mux(dispatch, pending, 0))
        conditions = {"cycles.forward": self.forward | self.dispatch | self.interval_ends,
                      "cycles.backward": self.backward, "cycles.update": self.updating}
        if self.block.last:
            conditions |= {"cycles.report": self.report & ~self.waiting, "wait.result": self.report & self.waiting}
        else:
            conditions |= {"output.queue.write.forward": self.queue_written,
                           "output.queue.read.forward": self.queue_read}
        m.d.comb += [self.add[name].eq(late(condition, name)) for name, condition in conditions.items()]
        return m
