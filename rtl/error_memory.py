"""The error memory of a unit, and what reads and fills it."""

from amaranth.hdl import Mux, Signal, signed

from .arithmetic import register, times
from .store import Store
from .weight_memory import Read

__all__ = ["error_memory"]


def error_memory(m, core, backward, learning, asked, busy):
    """Add the errors of a `UnitCore` to its module `m`: the backward pass writes, the update and the unit below read.

    Parameters
    ----------
    backward, learning, asked
        Who fills and who reads it; None where the unit has none.
    busy : dict of str to Signal
        Which pass runs.

    Returns
    -------
    Store, Read
        The memory, and the word of errors that it reads.
    """
    unit = core.unit
    m.submodules.error_store = errors = Store(
        width=unit.lanes * unit.history_width, depth=unit.words * unit.error_frames,
        style=core.config.hardware.memory.error)
    # Who reads is chosen a cycle before, since the address has a long way to the memory.
    read_en, address = Signal(), Signal.like(errors.read_address)
    if unit.serves:
        m.d.comb += [read_en.eq(asked[1].valid), address.eq(asked[1].error_address)]
    if learning is not None:
        with m.If(busy["update"]):
            m.d.comb += [read_en.eq(learning.error_en), address.eq(learning.reader.error_address)]
    m.d.comb += [
        errors.read_en.eq(register(m, read_en, name="error_read_en")),
        errors.read_address.eq(register(m, address, name="error_read_address", reset=False)),
    ]
    found = Read.of(m, errors, unit.history_width, unit.lanes, name="error")
    _keep(m, core, errors, read_en, address, found.now, backward)
    return errors, found


def _keep(m, core, errors, read_en, address, read, backward):
    """Write errors; for a static input only their sum over the update period, which is all its update needs.

    What they go on from, in a later slice or interval, is read by `read_en` and `address`.
    """
    unit = core.unit
    resume = register(m, core.offset != 0 if unit.static else core.resume, name="resuming")
    if not unit.static:
        m.d.comb += [errors.write_en.eq(backward.error_valid), errors.write.eq(backward.errors.as_value()),
                     errors.write_address.eq(backward.error_address)]
        if unit.slices > 1:
            # The first step of the later slice lies behind this slice, or still where its own first will be.
            step = core.offset + unit.slice_steps if unit.gradient == "history" else 0
            with m.If(backward.stored_en & resume):
                m.d.comb += [read_en.eq(1), address.eq(times(backward.stored_word, unit.error_frames) + step)]
            m.d.sync += [backward.stored[lane].eq(Mux(resume, read[lane], 0)) for lane in range(unit.lanes)]
        return
    with m.If(backward.sum_en & resume):
        m.d.comb += [read_en.eq(1), address.eq(backward.sum_word)]
    # A step takes two cycles at least, so the sum stands while it is written.
    m.d.sync += [errors.write_en.eq(backward.error_valid & backward.error_word_last),
                 errors.write_address.eq(backward.error_address)]
    for lane in range(unit.lanes):
        running = Signal(signed(unit.history_width), name=f"running_{lane}", reset_less=True)
        start = register(m, Mux(resume, read[lane], 0), name=f"start_{lane}", reset=False)
        with m.If(backward.error_valid):
            m.d.sync += running.eq(Mux(backward.error_word_first, start, running) + backward.errors[lane])
        m.d.comb += errors.write.word_select(lane, unit.history_width).eq(running)
