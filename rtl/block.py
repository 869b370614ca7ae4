"""One block: layers, their local classifier, and the sequencer that trains them."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..golden.counters import block_counters
from .arithmetic import register, times
from .buffers import FrameBuffer, SpikeBuffer, SpikeStore, spike_layout
from .bus import node_signature
from .counting import count_block
from .events import EventBuffer
from .nodes import block_node, counter_node, rate_node
from .registers import BLOCK_STATUS
from .result import CYCLE_BITS, ResultUnit, result_layout
from .sequencer import Context, sequence
from .unit import UnitCore
from .violations import violation_layout

__all__ = ["BlockCore"]


class BlockCore(wiring.Component):
    """A block works on its own: interval by interval, forward through its units, backward, and update.

    It begins an interval when its input is complete and the block after it has taken all spikes of the interval
    before; passes then follow each other without a gap, and all units update at the same time. No error enters or
    leaves. Reset leads to the idle state; memories keep their contents.

    Parameters
    ----------
    config : Config
    block : Block
    registers : RegisterMap
    seeds : list of list of int
        LFSR seeds of each unit.

    Members
    -------
    i : In(stream)
        Samples (first block) or spikes of the block before.
    o : Out(stream)
        Spikes for the block after, or results (last block).
    hold : In(1)
        Begin no interval.
    idle : Out(1)
        Between intervals.
    begins : Out(1)
        The first interval of a sample begins.
    reported : Out(1)
        The result of a sample is complete (last block).
    cycles : In
        Age of that sample.
    violations : Out(violation_layout(config))
        What is wrong on the sample stream (first block).
    starved, blocked : Out(1)
        It waits: for input that is complete; for somebody who takes what it gave.
    counter_clear : In(1)
    bus : In(node_signature(registers.of(block.index)))
        Its registers, and those of its units.
    """

    def __init__(self, config, block, registers, *, seeds):
        self.config, self.block, self.regions = config, block, registers.of(block.index)
        bottom, top = block.units[0], block.layers[-1]
        kind = FrameBuffer if bottom.input.static else EventBuffer if bottom.input.events else SpikeBuffer
        self.buffer = kind(config, bottom)
        self.stores = [SpikeStore(config, unit, slots=1) for unit in block.units[1:]]
        depths = [self.buffer.depth, *(store.depth for store in self.stores)]
        self.units = [
            UnitCore(config, unit, above, registers.of(block.index, unit.index), seeds=seed, depth=depth)
            for unit, above, seed, depth in zip(block.units, [*block.units[1:], None], seeds, depths)]
        self.names = block_counters(block) if config.hardware.counters else []
        super().__init__({
            "i": In(stream.Signature(self.buffer.i.payload.shape())),
            "o": Out(stream.Signature(result_layout(config) if block.last else spike_layout(config, top.lanes))),
            "hold":           In(1),
            "idle":           Out(1),
            "begins":         Out(1),
            "reported":       Out(1),
            "cycles":         In(CYCLE_BITS),
            "starved":        Out(1),
            "blocked":        Out(1),
            "counter_clear":  In(1),
            "bus":            In(node_signature(self.regions)),
        } | ({"violations": Out(violation_layout(config))} if block.index == 0 else {}))

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = self.buffer
        for core in self.units:
            m.submodules[core.unit.name] = core
        for core, store in zip(self.units[1:], self.stores):
            m.submodules[f"{core.unit.name}_input"] = store
        wiring.connect(m, wiring.flipped(self.i), self.buffer.i)
        if self.block.index == 0:
            m.d.comb += self.violations.eq(self.buffer.violations)

        context = Context(self.config, {
            region.kind: region.reset[0] for region in self.regions if region.kind in ("decays", "since_decay")})
        # What is asked long after it changes comes from registers.
        m.d.sync += [
            context.last.eq(context.interval == self.config.intervals - 1),
            context.batch_ends.eq(context.sample == self.config.update.batch - 1),
            context.period_ends.eq(context.offset == self.config.update_steps - self.config.time.interval),
        ]
        m.d.comb += [
            context.first.eq(context.interval == 0),
            context.slice_last.eq(context.slice_first == 0),
            context.resume.eq(context.slice_first != self.config.time.interval - self.block.units[0].slice_steps),
            context.ready.eq(Cat(core.ready for core in self.units if core.unit.weights.stored).all()),
        ]
        self._wire_units(m, context)
        result = self._wire_output(m, context)
        sequence(m, self, context, result)
        bank = count_block(m, self, context, result) if self.names else None
        self._registers(m, context, result, bank)
        return m

    def _wire_units(self, m, context):
        """Inputs, spikes and errors between the units."""
        units, buffer = self.units, self.buffer
        m.d.comb += [
            buffer.read_en.eq(units[0].input_en), buffer.read_address.eq(units[0].input_address),
            units[0].input.bits.eq(buffer.bits),
        ]
        if units[0].unit.input.static:
            m.d.comb += [
                buffer.value_en.eq(units[0].value_en), buffer.value_address.eq(units[0].value_address),
                units[0].value.eq(buffer.value), units[0].value_written.eq(buffer.value_written),
                units[0].input_written.eq(buffer.bits_written),
            ]
        else:
            m.d.comb += units[0].input_written.eq(buffer.written)

        for place, core in enumerate(units):
            # An interval begins two cycles after the one before has ended, at the earliest.
            interval, update = self._first_words(context, core.unit)
            slot = buffer.base if place == 0 else 0
            m.d.sync += [
                core.base.eq(slot + interval), core.update_base.eq(slot + update),
                core.offset.eq(context.offset + context.slice_first if core.unit.rule.gradient == "history" else 0),
            ]
            m.d.comb += [
                core.first_interval.eq(context.first), core.last_interval.eq(context.last),
                core.train.eq(context.train), core.decays.eq(context.decays), core.sample.eq(context.computed),
                core.slice_first.eq(context.slice_first), core.resume.eq(context.resume),
            ]
            if core.unit.weights.stored:
                m.d.comb += core.apply.eq(context.period_ends & context.batch_ends & context.slice_last)
        for below, core, store in zip(units, units[1:], self.stores):
            # They are in memory a cycle later: two before the unit reads its first ones.
            step = below.spikes_step + (context.offset if core.unit.rule.gradient == "history" else 0)
            m.d.comb += [
                store.write_en.eq(register(m, below.spikes_valid, name=f"{core.unit.name}_written")),
                store.write.eq(register(m, below.spikes, name=f"{core.unit.name}_spikes", reset=False)),
                store.write_step.eq(register(
                    m, step[:len(store.write_step)], name=f"{core.unit.name}_step", reset=False)),
                store.write_last.eq(register(
                    m, below.spikes_step == below.unit.steps - 1, name=f"{core.unit.name}_last")),
                core.input_written.eq(below.spikes_valid),
                store.read_en.eq(core.input_en), store.read_address.eq(core.input_address),
                core.input_bits.eq(store.bits),
            ]
            if core.unit.rule.serves:
                m.d.comb += [core.request.eq(below.ask), below.answer.eq(core.delta)]
        m.d.comb += units[-1].label.eq(context.label)

    @staticmethod
    def _first_words(context, unit):
        """First bitmap words, within their slot, of the interval and of what is updated from.

        That is the update period where there is a history, and else the slice.
        """
        if unit.input.static:
            return 0, 0
        if unit.rule.gradient == "history":
            return times(context.offset, unit.bitmap.words), 0
        if unit.slices == 1:
            return 0, 0
        return 0, times(context.slice_first, unit.bitmap.words)

    def _registers(self, m, context, result, bank):
        """The register bus: its border, the block's own registers, and the learning rate."""
        m.d.comb += [
            self.starved.eq(self.idle & ~self.buffer.available),
            self.blocked.eq(self.idle & self.buffer.available & ~context.out_free if result is None else
                            context.report & result.waiting),
        ]
        status = {"idle": self.idle, "starved": self.starved, "blocked": self.blocked}
        status = register(m, Cat(status[field.name] for field in BLOCK_STATUS), name="status")
        access, join = block_node(m, self)
        nodes = [rate_node(m, access, {"decays": context.decays, "since_decay": context.since_decay}, status)]
        if bank is not None:
            nodes.append(counter_node(m, access, bank))
        join(nodes)
        self._rate(m, context)

    def _wire_output(self, m, context):
        """Spikes or results to the outside; whether the spikes of the interval before are gone."""
        config, top = self.config, self.units[-2]
        if self.block.last:
            m.submodules.result = result = ResultUnit(config, self.block.classifier)
            classifier = self.units[-1]
            wiring.connect(m, result.o, wiring.flipped(self.o))
            m.d.comb += [
                result.label.eq(context.label), result.train.eq(context.train), result.cycles.eq(self.cycles),
                classifier.count_en.eq(result.count_en), classifier.count_word.eq(result.count_word),
                result.counts.eq(classifier.counts), self.reported.eq(result.done),
                context.out_free.eq(1),
            ]
            return result
        # The spikes of one interval wait here, so that a pass never stops in the middle.
        layout = self.o.payload.shape()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(
            width=layout.size, depth=max(2, top.unit.words * top.unit.steps) + 1)
        word = Signal(layout)
        m.d.comb += [
            word.spikes.eq(top.spikes), word.label.eq(context.label), word.train.eq(context.train),
            queue.w_data.eq(register(m, word.as_value(), name="queued", reset=False)),
            queue.w_en.eq(register(m, top.spikes_valid, name="queues")),
            self.o.valid.eq(queue.r_rdy), self.o.payload.eq(queue.r_data), queue.r_en.eq(self.o.ready),
            context.out_free.eq(queue.level == 0),
            context.queue_written.eq(queue.w_en), context.queue_read.eq(queue.r_rdy & queue.r_en),
        ]
        return None

    def _rate(self, m, context):
        """Step decay of the learning rate: one more shift after every `decay_samples` trained samples."""
        update = self.config.update
        if not update.decay_samples:
            return
        # One thing per cycle: it is known that this is the last sample long before the sample ends, and the end has a
        # register. No sample ends while the port loads.
        last = update.decay_samples - update.batch
        due = register(m, context.since_decay >= last if last else Const(1), name="due")
        ended = register(m, context.samples_end & context.train, name="ended")
        with m.If(ended):
            m.d.sync += context.since_decay.eq(context.since_decay + update.batch)
            with m.If(due):
                m.d.sync += context.since_decay.eq(context.since_decay - last)
                if update.decay_limit:
                    with m.If(context.decays < update.decay_limit):
                        m.d.sync += context.decays.eq(context.decays + 1)
