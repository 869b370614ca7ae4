"""The sequencer of a block: which pass runs, and where in the samples it is."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .promise import promise

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Starts the passes of the units of a block, one after the other, and counts samples, intervals and slices.

    An interval begins when its input is complete and its output free; passes then follow each other without a gap. All
    units update at the same time. Of `start_...` and `done_...` a unit has the bit of its place in the block; a pass
    that it does not have is never started.

    Parameters
    ----------
    config : Config
    block : Block

    Members
    -------
    available, next_label, next_train : In
        Of the input buffer: whether the next interval is complete; label and mode, looked at in its second cycle.
    out_free, hold : In(1)
        The spikes of the interval before have left; begin no interval.
    ready : In(1)
        The memories of all units are cleared.
    idle : Out(1)
        Between intervals.
    dispatch, interval_ends : Out(1)
        First and last cycle of an interval.
    begins : Out(1)
        Second cycle of the first interval of a sample.
    take, release, sample : Out
        To the input buffer, each if it has that: an interval was taken; a slot, or those of a batch, are free; place of
        the next interval's sample in the batch.
    start_forward, start_backward, start_update, done_forward, done_backward, done_update : Out, In
        First and last cycle of a pass.
    forward, backward, updating : Out(1)
        Between `dispatch` and `interval_ends`: which passes run.
    start_report, report, report_done : Out(1), Out(1), In(1)
        Only of the last block: the result of a sample is reported.
    label, train : Out
        Of the interval; the first sample of a batch decides `train` for all of it.
    computed : Out
        Place of the interval's sample in the batch, until the next one begins.
    first, last : Out(1)
        The interval is the first or the last of its sample.
    offset : Out
        First step of the interval in the update period.
    slice_first, resume : Out
        First step of the slice in the interval, slices going backward from the last to the first; whether a later one
        has gone backward before it.
    apply : Out(1)
        The weights move behind this slice.
    samples_end : Out(1)
        With `interval_ends`: the last interval of a batch.
    """

    def __init__(self, config, block):
        self.config, self.block = config, block
        units = len(block.units)
        super().__init__({
            "available":      In(1),
            "next_label":     In(range(config.network.classes)),
            "next_train":     In(1),
            "out_free":       In(1),
            "hold":           In(1),
            "ready":          In(1),
            "idle":           Out(1),
            "dispatch":       Out(1),
            "interval_ends":  Out(1),
            "begins":         Out(1),
            "take":           Out(1),
            "release":        Out(1),
            "sample":         Out(range(max(2, config.update.batch))),
            "start_forward":  Out(units), "done_forward":  In(units),
            "start_backward": Out(units), "done_backward": In(units),
            "start_update":   Out(units), "done_update":   In(units),
            "forward":        Out(1),
            "backward":       Out(1),
            "updating":       Out(1),
            "label":          Out(range(config.network.classes)),
            "train":          Out(1),
            "computed":       Out(range(max(2, config.update.batch))),
            "first":          Out(1),
            "last":           Out(1),
            "offset":         Out(range(max(2, config.update_steps))),
            "slice_first":    Out(range(max(2, config.time.interval))),
            "resume":         Out(1),
            "apply":          Out(1),
            "samples_end":    Out(1),
        } | ({"start_report": Out(1), "report": Out(1), "report_done": In(1)} if block.last else {}))

    def elaborate(self, platform):
        m = Module()
        config, units, last_block = self.config, self.block.units, self.block.last
        learners = [place for place, unit in enumerate(units) if unit.rule.learns]
        writers = [place for place, unit in enumerate(units) if unit.weights.stored]
        accumulates = any(unit.rule.accumulates for unit in units)
        slice_steps = units[0].slice_steps
        interval, batch_ends, period_ends, slice_last = (
            Signal(range(max(2, config.intervals)), name="interval"), Signal(name="batch_ends"),
            Signal(name="period_ends"), Signal(name="slice_last"))
        # What is asked long after it changes comes from registers.
        m.d.sync += [
            self.last.eq(interval == config.intervals - 1), batch_ends.eq(self.sample == config.update.batch - 1),
            period_ends.eq(self.offset == config.update_steps - config.time.interval),
        ]
        m.d.comb += [
            self.first.eq(interval == 0), slice_last.eq(self.slice_first == 0),
            self.resume.eq(self.slice_first != config.time.interval - slice_steps),
            self.apply.eq(period_ends & batch_ends & slice_last),
        ]
        # Units that update (known long before), and those that are not done.
        pending, left, begun = (Signal(len(writers), name=name) for name in ("pending", "left", "begun"))
        # The first cycle of a pass, and of the report.
        starts = {state: Signal(name=f"start_{state.lower()}") for state in (
            *(f"Forward{place}" for place in range(len(units))), *(f"Backward{place}" for place in learners),
            "Update", "Report")}
        m.d.sync += [start.eq(0) for start in starts.values()]

        def enter(state):
            m.d.sync += starts[state].eq(1)
            m.next = state

        with m.FSM():
            # Clear -- gradient memories, after reset.
            if accumulates:
                with m.State("Clear"), m.If(self.ready):
                    m.next = "Wait"

            # Wait -- for the input, for the output queue, or for the register port.
            with m.State("Wait"):
                m.d.comb += [self.idle.eq(1), self.dispatch.eq(self.available & self.out_free & ~self.hold)]
                with m.If(self.dispatch):
                    enter("Forward0")

            # Forward -- unit after unit, each through all steps of the interval.
            for place in range(len(units)):
                with m.State(f"Forward{place}"):
                    m.d.comb += self.forward.eq(1)
                    with m.If(self.done_forward[place]):
                        if place + 1 < len(units):
                            enter(f"Forward{place + 1}")
                        else:
                            with m.If(self.train):
                                enter(f"Backward{place}")
                            with m.Else():
                                m.next = "End"

            # Backward -- from the classifier down.
            for place in reversed(learners):
                with m.State(f"Backward{place}"):
                    m.d.comb += self.backward.eq(1)
                    with m.If(self.done_backward[place]):
                        if place != learners[0]:
                            enter(f"Backward{place - 1}")
                        elif accumulates:
                            enter("Update")
                        else:
                            with m.If(period_ends):
                                enter("Update")
                            with m.Else():
                                m.next = "End"

            # Update -- all units at once, until the last one is done. Gradients are summed after every slice.
            with m.State("Update"):
                m.d.comb += self.updating.eq(1)
                with m.If(~starts["Update"] & (left == 0)):
                    with m.If(slice_last):
                        m.next = "End"
                    with m.Else():
                        m.d.sync += self.slice_first.eq(self.slice_first - slice_steps)
                        enter(f"Backward{learners[-1]}")

            # End -- of the interval: its places are counted, its input is free.
            with m.State("End"):
                m.d.comb += self.interval_ends.eq(1)
                m.next = "Wait"
                if last_block:
                    with m.If(self.last):
                        enter("Report")

            # Report -- the result leaves the classifier before the next sample overwrites it.
            if last_block:
                with m.State("Report"):
                    m.d.comb += self.report.eq(1)
                    with m.If(self.report_done):
                        m.next = "Wait"

        # What the interval is, in its second cycle: nobody needs it before.
        m.d.comb += [self.begins.eq(starts["Forward0"] & self.first), self.take.eq(starts["Forward0"])]
        with m.If(starts["Forward0"]):
            m.d.sync += [
                self.label.eq(self.next_label), self.computed.eq(self.sample),
                self.slice_first.eq(config.time.interval - slice_steps),
            ]
            # The first sample of a batch decides for all, in every interval.
            with m.If(self.first & (self.sample == 0)):
                m.d.sync += self.train.eq(self.next_train)

        m.d.comb += [self.start_forward[place].eq(starts[f"Forward{place}"]) for place in range(len(units))]
        m.d.comb += [self.start_backward[place].eq(starts[f"Backward{place}"]) for place in learners]
        for number, place in enumerate(writers):
            m.d.sync += begun[number].eq(1 if units[place].rule.accumulates else period_ends & slice_last)
            m.d.comb += [
                self.start_update[place].eq(starts["Update"] & begun[number]),
                left[number].eq(pending[number] & ~self.done_update[place]),
            ]
        m.d.sync += pending.eq(Mux(starts["Update"], begun, left))
        if last_block:
            m.d.comb += self.start_report.eq(starts["Report"])

        # An interval of every sample of the batch, then the next interval.
        with m.If(self.interval_ends):
            m.d.sync += self.sample.eq(self.sample + 1)
            with m.If(batch_ends):
                m.d.sync += [self.sample.eq(0), interval.eq(interval + 1),
                             self.offset.eq(self.offset + config.time.interval)]
                with m.If(self.last):
                    m.d.sync += interval.eq(0)
                with m.If(period_ends):
                    m.d.sync += self.offset.eq(0)
        m.d.comb += self.samples_end.eq(self.interval_ends & self.last & batch_ends)
        m.d.comb += self.release.eq(
            self.samples_end if units[0].input.static else
            self.interval_ends & (period_ends if units[0].rule.gradient == "history" else 1))
        promise(m, platform, (self.forward | ~self.done_forward.any()) & (self.backward | ~self.done_backward.any())
                & (self.updating | ~self.done_update.any()), "no pass ends that does not run")
        return m
