"""What the counters of a block count: one line each, at one place."""

from amaranth.hdl import Mux, Signal

from ..golden.counters import WAIT_BITS
from .arithmetic import register
from .counters import CounterBank

__all__ = ["count_block"]


def count_block(m, block, context, result):
    """Add the counter bank of a `BlockCore` to its module `m`: cycles by phase, waits, the output queue.

    Waits are credited when they end, so that a core at rest has settled counters. All is counted a cycle late, from
    registers: behind the beginning of an interval stands half of the sequencer.

    Parameters
    ----------
    context : Context
    result : ResultUnit
        None but in the last block.

    Returns
    -------
    CounterBank
    """
    name = block.block.name
    bits = min(WAIT_BITS, block.config.hardware.counter_bits)
    waits = ["wait.input"] + ([] if result is not None else ["wait.output"])
    m.submodules.counters = bank = CounterBank(
        block.names, amounts={f"{name}.{wait}": (1 << bits) - 1 for wait in waits},
        width=block.config.hardware.counter_bits)
    clear = register(m, block.counter_clear, name="clearing")
    m.d.comb += [bank.clear.eq(clear), *(core.counter_clear.eq(clear) for core in block.units)]

    def add(counter, amount):
        m.d.comb += getattr(bank, bank.port(f"{name}.{counter}")).eq(amount)

    def late(condition, counter):
        return register(m, condition, name="late_" + counter.replace(".", "_"))

    dispatch = late(context.dispatch, "dispatch")
    causes = {"wait.input": ~block.buffer.available, "wait.output": block.buffer.available & ~context.out_free}
    for wait in waits:
        pending, waiting = Signal(bits, name="pending_" + wait[5:]), late(block.idle & causes[wait], wait)
        with m.If(dispatch | clear):
            m.d.sync += pending.eq(0)
        with m.Elif(waiting & (pending != (1 << bits) - 1)):
            m.d.sync += pending.eq(pending + 1)
        add(wait, Mux(dispatch, pending, 0))
    counted = {"cycles.forward": context.forward | context.dispatch | context.interval_ends,
               "cycles.backward": context.backward, "cycles.update": context.updating}
    if result is None:
        counted |= {"output.queue.write.forward": context.queue_written,
                    "output.queue.read.forward": context.queue_read}
    else:
        counted |= {"cycles.report": context.report & ~result.waiting,
                    "wait.result": context.report & result.waiting}
    for counter, condition in counted.items():
        add(counter, late(condition, counter))
    return bank
