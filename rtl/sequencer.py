"""The sequencer of a block: which pass runs, and where in the samples it is."""

from amaranth.hdl import Mux, Signal

__all__ = ["Context", "sequence"]


class Context:
    """The sequencer's signals that other parts of a block see: where it is, and in which phase.

    `rate` has the values after reset of the learning-rate state.
    """

    def __init__(self, config, rate):
        self.label = Signal(range(config.network.classes))
        self.train = Signal()
        self.interval = Signal(range(max(2, config.intervals)))
        self.sample = Signal(range(max(2, config.update.batch)))  # of the batch
        self.batch_ends = Signal()  # its last sample
        self.computed = Signal.like(self.sample)  # the same until the next begins, so also while it is reported
        self.offset = Signal(range(max(2, config.update_steps)))  # first step of the interval in the update period
        # First step of the slice in the interval; slices go backward one after the other, the last one first.
        self.slice_first = Signal(range(max(2, config.time.interval)))
        self.slice_last, self.resume = Signal(), Signal()  # the first steps; a later slice was before
        update = config.update
        # How often the learning rate was halved, and samples trained since.
        self.decays = Signal(range(max(2, update.decay_limit + 1)), init=rate["decays"])
        self.since_decay = Signal(range(max(2, update.decay_samples)), init=rate["since_decay"])
        self.first, self.last, self.period_ends = Signal(), Signal(), Signal()
        self.ready = Signal()  # memories are cleared
        self.out_free = Signal()  # the spikes of the interval before have left
        self.queue_written, self.queue_read = Signal(), Signal()
        self.dispatch, self.interval_ends, self.samples_end = Signal(), Signal(), Signal()
        self.forward, self.backward, self.updating, self.report = Signal(), Signal(), Signal(), Signal()


def sequence(m, block, context, result):
    """Add the sequencer of a `BlockCore` to its module `m`: it starts passes and knows where the block is.

    Parameters
    ----------
    context : Context
        What it drives.
    result : ResultUnit
        None but in the last block.
    """
    config, units, buffer = block.config, block.units, block.buffer
    learners = [place for place, core in enumerate(units) if core.unit.rule.learns]
    writers = [core for core in units if core.unit.weights.stored]
    accumulates = any(core.unit.rule.accumulates for core in units)
    slice_steps = block.block.units[0].slice_steps
    # Units that update (known long before), and those that are not done.
    pending, left, begun = (Signal(len(writers), name=name) for name in ("pending", "left", "begun"))
    dispatch, interval_ends = context.dispatch, context.interval_ends
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
            with m.State("Clear"), m.If(context.ready):
                m.next = "Wait"

        # Wait -- for the input, for the output queue, or for the register port.
        with m.State("Wait"):
            m.d.comb += [
                block.idle.eq(1),
                dispatch.eq(buffer.available & context.out_free & ~block.hold),
            ]
            with m.If(dispatch):
                enter("Forward0")

        # Forward -- unit after unit, each through all steps of the interval.
        for place, core in enumerate(units):
            with m.State(f"Forward{place}"):
                m.d.comb += context.forward.eq(1)
                with m.If(core.done_forward):
                    if place + 1 < len(units):
                        enter(f"Forward{place + 1}")
                    else:
                        with m.If(context.train):
                            enter(f"Backward{place}")
                        with m.Else():
                            m.next = "End"

        # Backward -- from the classifier down.
        for place in reversed(learners):
            core = units[place]
            with m.State(f"Backward{place}"):
                m.d.comb += context.backward.eq(1)
                with m.If(core.done_backward):
                    if place != learners[0]:
                        enter(f"Backward{place - 1}")
                    elif accumulates:
                        enter("Update")
                    else:
                        with m.If(context.period_ends):
                            enter("Update")
                        with m.Else():
                            m.next = "End"

        # Update -- all units at once, until the last one is done. Gradients are summed after every slice.
        with m.State("Update"):
            m.d.comb += context.updating.eq(1)
            with m.If(~starts["Update"] & (left == 0)):
                with m.If(context.slice_last):
                    m.next = "End"
                with m.Else():
                    m.d.sync += context.slice_first.eq(context.slice_first - slice_steps)
                    enter(f"Backward{learners[-1]}")

        # End -- of the interval: its places are counted, its input is free.
        with m.State("End"):
            m.d.comb += interval_ends.eq(1)
            m.next = "Wait"
            if result is not None:
                with m.If(context.last):
                    enter("Report")

        # Report -- the result leaves the classifier before the next sample overwrites it.
        if result is not None:
            with m.State("Report"):
                m.d.comb += context.report.eq(1)
                with m.If(result.done):
                    m.next = "Wait"

    # What the interval is, in its second cycle: nobody needs it before.
    m.d.comb += block.begins.eq(starts["Forward0"] & context.first)
    with m.If(starts["Forward0"]):
        m.d.sync += [
            context.label.eq(buffer.label), context.computed.eq(context.sample),
            context.slice_first.eq(config.time.interval - slice_steps),
        ]
        # The first sample of a batch decides for all, in every interval.
        with m.If(context.first & (context.sample == 0)):
            m.d.sync += context.train.eq(buffer.train)

    for place, core in enumerate(units):
        m.d.comb += core.start_forward.eq(starts[f"Forward{place}"])
        if core.unit.rule.learns:
            m.d.comb += core.start_backward.eq(starts[f"Backward{place}"])
    for place, core in enumerate(writers):
        m.d.sync += begun[place].eq(1 if core.unit.rule.accumulates else context.period_ends & context.slice_last)
        m.d.comb += [
            core.start_update.eq(starts["Update"] & begun[place]),
            left[place].eq(pending[place] & ~core.done_update),
        ]
    m.d.sync += pending.eq(Mux(starts["Update"], begun, left))
    if result is not None:
        m.d.comb += result.start.eq(starts["Report"])

    # An interval of every sample of the batch, then the next interval.
    with m.If(interval_ends):
        m.d.sync += context.sample.eq(context.sample + 1)
        with m.If(context.batch_ends):
            m.d.sync += [context.sample.eq(0), context.interval.eq(context.interval + 1), context.offset.eq(
                context.offset + config.time.interval)]
            with m.If(context.last):
                m.d.sync += context.interval.eq(0)
            with m.If(context.period_ends):
                m.d.sync += context.offset.eq(0)
    m.d.comb += context.samples_end.eq(interval_ends & context.last & context.batch_ends)
    bottom = units[0].unit
    if bottom.input.static:
        m.d.comb += [buffer.release.eq(context.samples_end), buffer.sample.eq(context.sample)]
    else:
        m.d.comb += [
            buffer.release.eq(interval_ends & (context.period_ends if bottom.rule.gradient == "history" else 1)),
            buffer.take.eq(starts["Forward0"]),
        ]
