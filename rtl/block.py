"""One block: layers, their local classifier, and the sequencer that trains them."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import register, times
from .buffers import FrameBuffer, SpikeBuffer, SpikeStore, spike_layout
from .bus import node_signature
from .counters import CounterBank
from .counting import BlockCounters
from .events import EventBuffer
from .learning_rate import LearningRate
from .nodes import block_node, counter_node, rate_node
from .ports import feed
from .promise import promise, simulated
from .registers import BLOCK_STATUS
from .result import CYCLE_BITS, ResultUnit, result_layout
from .sequencer import Sequencer
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
        self.sequencer = Sequencer(config, block)
        self.rate = LearningRate(config, {
            region.kind: region.reset[0] for region in self.regions if region.kind in ("decays", "since_decay")})
        self.counting = BlockCounters(config, block) if config.hardware.counters else None
        if block.last:
            self.result, output = ResultUnit(config, block.classifier), result_layout(config)
        else:
            output = spike_layout(config, top.lanes)
            self.queue = fifo.SyncFIFOBuffered(width=output.size, depth=max(2, top.words * top.steps) + 1)
        super().__init__({
            "i": In(stream.Signature(self.buffer.i.payload.shape())),
            "o": Out(stream.Signature(output)),
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
        m.submodules.buffer = buffer = self.buffer
        m.submodules.sequencer = sequencer = self.sequencer
        m.submodules.rate = rate = self.rate
        for core in self.units:
            m.submodules[core.unit.name] = core
        for core, store in zip(self.units[1:], self.stores):
            m.submodules[f"{core.unit.name}_input"] = store
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        if self.block.index == 0:
            m.d.comb += self.violations.eq(buffer.violations)
        self._wire_buffer(m, platform)
        self._wire_units(m)
        self._wire_stores(m)
        if self.block.last:
            self._wire_result(m)
        else:
            self._wire_queue(m, platform)
        m.d.comb += [
            sequencer.hold.eq(self.hold), self.idle.eq(sequencer.idle), self.begins.eq(sequencer.begins),
            rate.ended.eq(sequencer.samples_end & sequencer.train),
        ]
        self._registers(m, self._count(m) if self.counting is not None else None)
        return m

    def _wire_buffer(self, m, platform):
        """The buffer of the input, to the sequencer and to the unit that reads it."""
        buffer, bottom, sequencer = self.buffer, self.units[0], self.sequencer
        m.d.comb += [
            sequencer.available.eq(buffer.available), sequencer.next_label.eq(buffer.label),
            sequencer.next_train.eq(buffer.train), buffer.release.eq(sequencer.release),
            buffer.read_en.eq(bottom.input_en), buffer.read_address.eq(bottom.input_address),
            bottom.input_bits.eq(buffer.bits),
        ]
        if bottom.unit.input.static:
            feed(m, buffer, sequencer, "sample")
            feed(m, buffer, bottom, "value_en", "value_address")
            feed(m, bottom, buffer, "value", "value_written")
            m.d.comb += bottom.input_written.eq(buffer.bits_written)
            if simulated(platform):
                taken, now = register(m, sequencer.take, name="taken"), Cat(buffer.label, buffer.train)
                promise(m, platform, ~taken | (now == register(m, now, name="before")),
                        "label and mode of a frame stand when a block looks at them")
        else:
            feed(m, buffer, sequencer, "take")
            m.d.comb += bottom.input_written.eq(buffer.written)

    def _wire_units(self, m):
        """What the sequencer tells the units, and they it."""
        units, sequencer = self.units, self.sequencer
        for place, core in enumerate(units):
            unit = core.unit
            # An interval begins two cycles after the one before has ended, at the earliest.
            interval, update = self._first_words(sequencer.offset, sequencer.slice_first, unit)
            slot = self.buffer.base if place == 0 else 0
            m.d.sync += [
                core.base.eq(slot + interval), core.update_base.eq(slot + update),
                core.offset.eq(sequencer.offset + sequencer.slice_first if unit.rule.gradient == "history" else 0),
            ]
            m.d.comb += [
                core.first_interval.eq(sequencer.first), core.last_interval.eq(sequencer.last),
                core.sample.eq(sequencer.computed), core.decays.eq(self.rate.decays),
            ]
            feed(m, core, sequencer, "train", "slice_first", "resume", *["apply"] * unit.weights.stored)
            for phase in ("forward", *["backward"] * unit.rule.learns, *["update"] * unit.weights.stored):
                m.d.comb += [
                    getattr(core, f"start_{phase}").eq(getattr(sequencer, f"start_{phase}")[place]),
                    getattr(sequencer, f"done_{phase}")[place].eq(getattr(core, f"done_{phase}")),
                ]
        m.d.comb += [
            sequencer.ready.eq(Cat(core.ready for core in units if core.unit.weights.stored).all()),
            units[-1].label.eq(sequencer.label),
        ]

    def _wire_stores(self, m):
        """Spikes and errors between the units."""
        for below, core, store in zip(self.units, self.units[1:], self.stores):
            # They are in memory a cycle later: two before the unit reads its first ones.
            step = below.spikes_step + (self.sequencer.offset if core.unit.rule.gradient == "history" else 0)
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

    @staticmethod
    def _first_words(offset, slice_first, unit):
        """First bitmap words, within their slot, of the interval and of what is updated from.

        That is the update period where there is a history, and else the slice.
        """
        if unit.input.static:
            return 0, 0
        if unit.rule.gradient == "history":
            return times(offset, unit.bitmap.words), 0
        if unit.slices == 1:
            return 0, 0
        return 0, times(slice_first, unit.bitmap.words)

    def _wire_result(self, m):
        """The result of a sample, to the outside."""
        result, classifier, sequencer = self.result, self.units[-1], self.sequencer
        m.submodules.result = result
        wiring.connect(m, result.o, wiring.flipped(self.o))
        feed(m, result, sequencer, "label", "train")
        feed(m, result, classifier, "counts")
        feed(m, classifier, result, "count_en", "count_word")
        m.d.comb += [
            result.start.eq(sequencer.start_report), sequencer.report_done.eq(result.done),
            result.cycles.eq(self.cycles), self.reported.eq(result.done), sequencer.out_free.eq(1),
        ]

    def _wire_queue(self, m, platform):
        """The spikes of one interval, to the outside. They wait in a queue, so that no pass stops in the middle."""
        top, sequencer, layout = self.units[-2], self.sequencer, self.o.payload.shape()
        m.submodules.queue = queue = self.queue
        word = Signal(layout)
        m.d.comb += [
            word.spikes.eq(top.spikes), word.label.eq(sequencer.label), word.train.eq(sequencer.train),
            queue.w_data.eq(register(m, word.as_value(), name="queued", reset=False)),
            queue.w_en.eq(register(m, top.spikes_valid, name="queues")),
            self.o.valid.eq(queue.r_rdy), self.o.payload.eq(queue.r_data), queue.r_en.eq(self.o.ready),
            sequencer.out_free.eq(queue.level == 0),
        ]
        promise(m, platform, queue.w_rdy | ~queue.w_en, "the output queue has room for all spikes of an interval")

    def _count(self, m):
        """The counters of the block."""
        counting, sequencer = self.counting, self.sequencer
        m.submodules.counting = counting
        m.submodules.counters = bank = CounterBank(
            counting.names, amounts=counting.amounts, width=self.config.hardware.counter_bits)
        feed(m, counting, sequencer, "dispatch", "interval_ends", "forward", "backward", "updating", "idle",
             "available", "out_free", *["report"] * self.block.last)
        if self.block.last:
            feed(m, counting, self.result, "waiting")
        else:
            m.d.comb += [counting.queue_written.eq(self.queue.w_en),
                         counting.queue_read.eq(self.queue.r_rdy & self.queue.r_en)]
        m.d.comb += [
            counting.clear.eq(self.counter_clear), bank.clear.eq(counting.clearing),
            *(core.counter_clear.eq(counting.clearing) for core in self.units),
            *(getattr(bank, bank.port(f"{self.block.name}.{name}")).eq(counting.add[name])
              for name, _ in counting.add.shape()),
        ]
        return bank

    def _registers(self, m, bank):
        """The register bus: its border, the block's own registers, and the learning rate."""
        sequencer, available = self.sequencer, self.buffer.available
        m.d.comb += [
            self.starved.eq(self.idle & ~available),
            self.blocked.eq(sequencer.report & self.result.waiting if self.block.last else
                            self.idle & available & ~sequencer.out_free),
        ]
        status = {"idle": self.idle, "starved": self.starved, "blocked": self.blocked}
        status = register(m, Cat(status[field.name] for field in BLOCK_STATUS), name="status")
        access, join = block_node(m, self)
        nodes = [rate_node(m, access, self.rate, status)]
        if bank is not None:
            nodes.append(counter_node(m, access, bank))
        join(nodes)
