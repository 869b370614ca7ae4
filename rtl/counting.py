"""What the counters of a block and of a unit count: one line each, at one place."""

from amaranth.hdl import Mux, Signal

from ..golden.counters import WAIT_BITS, unit_amounts
from .arithmetic import register
from .counters import CounterBank

__all__ = ["count_block", "count_unit"]


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


def count_unit(m, core, forward, backward, learning, errors, counts, asked, busy):
    """Add the counter bank of a `UnitCore` to its module `m`; every counter counts the enable of a port.

    Parameters
    ----------
    forward, backward, learning, errors, counts, asked
        Paths and memories of the unit; None where it has none.
    busy : dict of str to Signal
        Which pass runs, from the cycle after its start.

    Returns
    -------
    CounterBank
    """
    config, unit = core.config, core.unit
    m.submodules.counters = bank = CounterBank(
        core.names, amounts=unit_amounts(config, unit), width=config.hardware.counter_bits)
    m.d.comb += bank.clear.eq(core.counter_clear)
    used = set()

    def count(name, amount):
        if f"{unit.path}.{name}" in core.names:
            used.add(f"{unit.path}.{name}")
            m.d.comb += getattr(bank, bank.port(f"{unit.path}.{name}")).eq(amount)

    def lanes_of(enable, full):
        return Mux(enable, Mux(full, unit.lanes, unit.last_lanes), 0)

    for name, runs in busy.items():
        count(f"cycles.{name}", getattr(core, f"start_{name}") | runs)
    count("adds.forward", lanes_of(forward.event, forward.full))
    count("weight.read.forward", forward.event)
    count("potential.read.forward", forward.stored_en)
    count("potential.write.forward", forward.keep_en)
    count("input.write.forward", core.input_written)
    count("input.read.forward", forward.fetch)
    if unit.static:
        count("value.read.forward", forward.event)
        count("value.write.forward", core.value_written)
    if unit.learns:
        count("window.write.forward", m.submodules.window_store.write_en)
        count("window.read.backward", backward.fetch)
        count("error.write.backward", errors.write_en)
        count("error.read.backward", errors.read_en & ~busy["update"] if "update" in busy else errors.read_en)
    if unit.serves:
        count("adds.backward", asked[1].valid if unit.pool else lanes_of(asked[1].valid, asked[1].full))
        count("weight.read.backward", asked[1].valid)
    if learning is not None:
        update, reader = learning.update, learning.reader
        count("adds.update", lanes_of(learning.slot, reader.full))
        count("weight.read.update", update.weight_en)
        count("weight.write.update", update.write_en)
        count("skips.update", update.skip)
        count("error.read.update", learning.error_en)
        count("input.read.update", reader.fetch)
        count("value.read.update", learning.value_en)
        if unit.accumulates:
            count("gradient.read.update", reader.reads)
            count("gradient.write.update", reader.writes)
        if unit.velocity_width:
            count("velocity.read.update", update.velocity_en)
            count("velocity.write.update", update.velocity_write_en)
    if counts is not None:
        count("count.read.forward", forward.stored_en)
        count("count.write.forward", counts.write_en)
        count("count.read.backward", backward.own_en)
        count("count.read.report", core.count_en)
    if used != set(core.names):
        raise AssertionError(f"counters without a source: {sorted(set(core.names) - used)}")
    return bank
