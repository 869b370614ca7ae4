"""Spike counts of a classifier, from which come its result and its error."""

from amaranth.hdl import Mux, Signal
from amaranth.lib import data

from .arithmetic import register, times
from .ports import Use

__all__ = ["keep_counts"]


def keep_counts(m, core, ports, forward, backward):
    """Spike counts of a classifier: of the sample for the result, of the interval for its error (equation 3)."""
    unit, steps = core.unit, core.unit.steps
    layout = data.StructLayout({
        "total": data.ArrayLayout(core.count_bits, unit.lanes),
        "recent": data.ArrayLayout(steps.bit_length(), unit.lanes),
    })
    store = ports.store("count")
    first = times(core.sample, unit.words) if unit.batch > 1 else 0
    read = data.View(layout, store.read)
    write = Signal(layout)
    # Spikes are counted in the cycle after they stand, so that comparison and sums have a cycle each. The total of the
    # intervals before is needed with the last step of a word, and read behind its first.
    resume = register(m, forward.stored_en, name="resume", stages=3)
    valid, word_last = (register(m, own, name=f"counted_{name}") for name, own in (
        ("valid", forward.out_valid), ("word_last", forward.out_word_last)))
    step_first = register(m, forward.out_step == 0, name="counted_step_first")
    fresh_sample = register(m, core.first_interval, name="counted_first_interval")  # the block may already go on
    word, spikes = (register(m, own, name=f"counted_{name}") for name, own in (
        ("word", forward.out_word), ("spikes", forward.out_spikes)))
    last = core.config.blocks[unit.block].last
    ports.read("count", store, Use("report" if last else "", core.count_en, core.count_word),
               Use("backward", backward.own_en, backward.own_word),
               Use("forward", resume, register(m, forward.stored_address, name="resume_word", stages=3)),
               first=first, ahead=False)
    ports.count("count.write.forward", store.write_en)
    m.d.comb += [
        store.write_en.eq(valid & word_last),
        store.write_address.eq(first + word),
        store.write.eq(write.as_value()),
        core.counts.eq(read.total.as_value()),
    ]
    # A sample of no class teaches nothing.
    taught = register(m, core.label < unit.n_out, name="taught")
    for lane in range(unit.lanes):
        # Before the reading of the next word, the total of this one moves into the lane.
        recent = Signal(steps.bit_length(), name=f"recent_{lane}")
        before = Signal(core.count_bits, name=f"before_{lane}")
        count = Signal(steps.bit_length(), name=f"count_{lane}")
        fresh = register(m, resume, name=f"fresh_{lane}")
        with m.If(fresh):
            m.d.sync += before.eq(read.total[lane])
        m.d.comb += count.eq(Mux(step_first, 0, recent) + spikes[lane])
        with m.If(valid):
            m.d.sync += recent.eq(count)
        m.d.comb += [
            write.recent[lane].eq(count),
            write.total[lane].eq(Mux(fresh_sample, 0, before) + count),
        ]
        target = Signal(name=f"target_{lane}")
        place = Signal(range(max(2, unit.words)), name=f"place_{lane}")
        m.d.comb += [
            place.eq(register(m, backward.own_word, name=f"own_word_{lane}")),
            target.eq(times(place, unit.lanes) + lane == core.label),
            backward.own[lane].eq(Mux(taught, read.recent[lane] - Mux(target, steps, 0), 0)),
        ]
