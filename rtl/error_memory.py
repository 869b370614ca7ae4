"""The error memory of a unit, and what reads and fills it."""

from amaranth.hdl import Mux, Signal, signed

from .arithmetic import register, times
from .ports import Use
from .weight_memory import Read

__all__ = ["error_memory"]


def error_memory(m, core, ports, backward, learning, asked, busy):
    """Add the errors of a `UnitCore` to its module `m`: the backward pass writes, the update and the unit below read.

    Parameters
    ----------
    ports : Ports
    backward, learning, asked
        Who fills and who reads it; None where the unit has none.
    busy : dict of str to Signal
        Which pass runs.

    Returns
    -------
    Read
        The word of errors that it reads.
    """
    unit, errors, uses = core.unit, ports.store("error"), []
    found = Read.of(m, errors, unit.history_width, unit.lanes, name="error")
    (_sum if unit.input.static else _each)(m, core, errors, uses, found.now, backward)
    if learning is not None:
        uses.append(Use("update", learning.error_en, learning.reader.error_address, busy["update"]))
    if unit.rule.serves:
        uses.append(Use("backward", asked[1].valid, asked[1].error_address))
    if uses:
        ports.read("error", errors, *uses)
    ports.count("error.write.backward", errors.write_en)
    return found


def _each(m, core, errors, uses, read, backward):
    """Write every error; a later slice, or the one before it, goes on from what is read."""
    unit = core.unit
    m.d.comb += [errors.write_en.eq(backward.error_valid), errors.write.eq(backward.errors.as_value()),
                 errors.write_address.eq(backward.error_address)]
    if unit.slices > 1:
        resume = register(m, core.resume, name="resuming")
        # The first step of the later slice lies after this slice, or still where its own first will be.
        step = core.offset + unit.slice_steps if unit.rule.gradient == "history" else 0
        uses.append(Use("backward", backward.stored_en & resume, times(backward.stored_word, unit.error_frames) + step))
        m.d.sync += [backward.stored[lane].eq(Mux(resume, read[lane], 0)) for lane in range(unit.lanes)]


def _sum(m, core, errors, uses, read, backward):
    """Write the sum over the update period, which is all that the update of a static input needs."""
    unit = core.unit
    resume = register(m, core.offset != 0, name="resuming")
    uses.append(Use("backward", backward.sum_en & resume, backward.sum_word))
    # A step takes two cycles at least, so the sum stands while it is written.
    m.d.sync += [errors.write_en.eq(backward.error_valid & backward.error_word_last),
                 errors.write_address.eq(backward.error_address)]
    for lane in range(unit.lanes):
        running = Signal(signed(unit.history_width), name=f"running_{lane}", reset_less=True)
        start = register(m, Mux(resume, read[lane], 0), name=f"start_{lane}", reset=False)
        with m.If(backward.error_valid):
            m.d.sync += running.eq(Mux(backward.error_word_first, start, running) + backward.errors[lane])
        m.d.comb += errors.write.word_select(lane, unit.history_width).eq(running)
