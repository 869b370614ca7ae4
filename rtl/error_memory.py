"""The error memory of a unit, and what reads and fills it."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import register, times
from .ports import Ports, Use, counted, state_port

__all__ = ["ErrorMemory"]


class ErrorMemory(wiring.Component):
    """Keeps the errors of a unit: the backward pass writes them, the update and the unit below read them.

    Of a static input only the sum over the update period is kept, which is all that its update needs.

    Parameters
    ----------
    config : Config
    unit : Unit

    Members
    -------
    error_valid, error_address, errors : In
        One word of errors of one step, and where it is kept.
    error_word_first, error_word_last : In(1)
        Static input only: first and last step of the word in the interval, in backward order.
    sum_en, sum_word : In
        Static input only: three cycles before the first errors of a word, so that there is time to read their sum.
    offset : In
        First step of the slice among those whose errors are kept: 0 where a sum begins.
    resume, stored_en, stored_word : In
        Only where an interval has several slices: whether a later one has gone backward before, and the read of the
        errors of its first step.
    stored : Out(ArrayLayout(signed(error width), lanes))
        They, three cycles later; zero without `resume`.
    updating, update_en, update_address : In
        Only of a unit that updates: whether it does, and its read.
    serve_en, serve_address : In
        Only of a unit that serves the one below: its read.
    read : Out(ArrayLayout(signed(history width), lanes))
        What an update or the unit below reads, three cycles later: address, memory, and a register behind it.
    memory : Out(memory_port(...))
        Written in the cycle of `error_valid`, and a sum one cycle later.
    counted : Out(StructLayout)
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        self.layout = data.ArrayLayout(signed(unit.history_width), unit.lanes)
        errors, word, address = (data.ArrayLayout(signed(unit.rule.error_width), unit.lanes), range(max(2, unit.words)),
                                 range(max(2, unit.words * unit.error_frames)))
        members = {
            "error_valid":   In(1),
            "error_address": In(address),
            "errors":        In(errors),
            "offset":        In(range(max(2, unit.history_steps))),
            "read":          Out(self.layout),
            "memory":        state_port(config, unit, "error"),
            "counted":       counted(config, unit, "error"),
        }
        if unit.input.static:
            members |= {"error_word_first": In(1), "error_word_last": In(1), "sum_en": In(1), "sum_word": In(word)}
        elif unit.slices > 1:
            members |= {"resume": In(1), "stored_en": In(1), "stored_word": In(word), "stored": Out(errors)}
        if unit.weights.stored:
            members |= {"updating": In(1), "update_en": In(1), "update_address": In(address)}
        if unit.rule.serves:
            members |= {"serve_en": In(1), "serve_address": In(address)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        unit, memory, uses = self.unit, self.memory, []
        ports, read = Ports(m, platform, self.config, unit), data.View(self.layout, self.memory.read)
        (self._sum if unit.input.static else self._each)(m, uses, read)
        if unit.weights.stored:
            uses.append(Use("update", self.update_en, self.update_address, self.updating))
        if unit.rule.serves:
            uses.append(Use("backward", self.serve_en, self.serve_address))
        if uses:
            ports.read("error", memory, *uses)
        ports.count("error.write.backward", memory.write_en)
        ports.tell(self.counted)
        m.d.comb += [self.read[lane].eq(register(m, read[lane], name=f"error_{lane}", reset=False))
                     for lane in range(unit.lanes)]
        return m

    def _each(self, m, uses, read):
        """Write every error; a later slice, or the one before it, goes on from what is read."""
        unit, memory = self.unit, self.memory
        m.d.comb += [memory.write_en.eq(self.error_valid), memory.write.eq(self.errors.as_value()),
                     memory.write_address.eq(self.error_address)]
        if unit.slices > 1:
            resume = register(m, self.resume, name="resuming")
            # The first step of the later slice lies after this slice, or still where its own first will be.
            step = self.offset + unit.slice_steps if unit.rule.gradient == "history" else 0
            uses.append(Use("backward", self.stored_en & resume, times(self.stored_word, unit.error_frames) + step))
            m.d.sync += [self.stored[lane].eq(Mux(resume, read[lane], 0)) for lane in range(unit.lanes)]

    def _sum(self, m, uses, read):
        """Write the sum over the update period."""
        unit, memory = self.unit, self.memory
        resume = register(m, self.offset != 0, name="resuming")
        uses.append(Use("backward", self.sum_en & resume, self.sum_word))
        # A step takes two cycles at least, so the sum stands while it is written.
        m.d.sync += [memory.write_en.eq(self.error_valid & self.error_word_last),
                     memory.write_address.eq(self.error_address)]
        for lane in range(unit.lanes):
            running = Signal(signed(unit.history_width), name=f"running_{lane}", reset_less=True)
            start = register(m, Mux(resume, read[lane], 0), name=f"start_{lane}", reset=False)
            with m.If(self.error_valid):
                m.d.sync += running.eq(Mux(self.error_word_first, start, running) + self.errors[lane])
            m.d.comb += memory.write.word_select(lane, unit.history_width).eq(running)
