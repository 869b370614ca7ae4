"""One unit: a layer or a classifier with its memories and its three passes."""

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.schedule import product_latency
from ..golden.units import clog2
from .arithmetic import copies, multiply, register, times
from .backward import BackwardPath, request_layout
from .bus import any_of, joined, node_signature
from .dot import DotPath
from .dropout import Dropout
from .error_memory import error_memory
from .forward import ForwardPath
from .gradient import AccumulatePath
from .lfsr import LaneLfsr
from .nodes import Access, counter_node, lfsr_node
from .pipeline import Pipeline, running
from .ports import Ports, Use
from .spike_counts import keep_counts
from .taps import lookup
from .update import UpdatePath
from .weight_memory import weight_memory

__all__ = ["UnitCore"]


class _Learning(NamedTuple):
    """Who updates, who reads inputs and errors for it, and its reading of values and errors."""

    update: UpdatePath
    reader: object
    value_en: object
    error_en: object
    value_address: object


class UnitCore(wiring.Component):
    """Weights, potentials, window history and errors of one layer or classifier, and what computes with them.

    The passes never run at the same time, with one exception: while the unit below goes backward, this one serves
    its requests (`DotPath`). Memory outputs and products are registered.

    Parameters
    ----------
    config : Config
    unit, above : Unit
        This unit, and the one above it in its block; None for a classifier.
    regions : list of Region
        Its registers.
    seeds : list of int
        LFSR seeds, one per lane; empty with nearest rounding.

    Members
    -------
    start_forward, start_backward, start_update : In(1)
        Begin a pass; `done_forward`, `done_backward`, `done_update` answer. Backward only where the unit learns,
        update only where it has weights.
    base, update_base : In
        First bitmap word of the interval, and of the update period or slice.
    first_interval, last_interval, train : In(1)
        Place of the interval in the sample; whether windows are kept and spikes dropped.
    offset : In
        First step of the slice among those whose errors are kept.
    slice_first, resume : In
        First step of the slice in the interval; whether a later slice has gone backward before it.
    apply, ready
        Whether an update period ends; whether the unit can begin at all (a memory is cleared after reset).
    label, decays : In
        Class of the sample (classifier only); learning-rate halvings.
    sample : In
        Its place in the batch: where its potentials and counts are kept.
    input_en, input_address, input_bits : read port of the input bitmaps.
    input_written : In(1)
        A part of a bitmap is written: for the counter.
    value_en, value_address, value, value_written : the same of the frame values (static input only).
    spikes_valid, spikes_word, spikes_step, spikes : Out
        Spikes of one word of neurons, without the dropped ones.
    request, delta
        Service to the unit below, if that learns.
    ask, answer
        Requests to the unit above (layers that learn).
    count_en, count_word, counts : read port of the classifier's spike counts of the sample.
    bus : In(node_signature(regions))
        Its registers: those of its weights only while no pass runs.
    counter_clear : In(1)
    """

    def __init__(self, config, unit, above, regions, *, seeds, depth):
        self.config, self.unit, self.above, self.depth = config, unit, above, depth
        self.regions = regions
        self.stochastic = config.update.rounding == "stochastic" and unit.weights.stored
        self.seeds = list(seeds)
        if self.stochastic != bool(seeds):
            raise ValueError(f"seeds must be given for weights with stochastic rounding only, not {seeds!r}")
        self.count_bits = config.time.steps.bit_length()
        members = {
            "start_forward":  In(1), "done_forward":  Out(1),
            "base":           In(range(max(2, depth))),
            "update_base":    In(range(max(2, depth))),
            "first_interval": In(1),
            "last_interval":  In(1),
            "train":          In(1),
            "offset":         In(range(max(2, unit.history_steps))),
            "slice_first":    In(range(max(2, unit.steps))),
            "resume":         In(1),
            "decays":         In(range(max(2, config.update.decay_limit + 1))),
            "sample":         In(range(max(2, unit.batch))),
            "counter_clear":  In(1),
            "bus":            In(node_signature(regions)),
            "input_en":       Out(1),
            "input_address":  Out(range(max(2, depth))),
            "input_bits":     In(unit.bitmap.scan_width),
            "input_written":  In(1),
            "spikes_valid":   Out(1),
            "spikes_word":    Out(range(max(2, unit.words))),
            "spikes_step":    Out(range(max(2, unit.steps))),
            "spikes":         Out(unit.lanes),
        }
        if unit.rule.learns:
            members |= {"start_backward": In(1), "done_backward": Out(1)}
        if unit.weights.stored:
            members |= {
                "start_update":   In(1), "done_update": Out(1), "apply": In(1), "ready": Out(1),
            }
        if unit.input.static:
            members |= {"value_en": Out(1), "value_address": Out(range(max(2, depth * unit.bitmap.scan_width))),
                        "value": In(unit.input.bits), "value_written": In(1)}
        if unit.rule.serves:
            members |= {"request": In(request_layout(unit)), "delta": Out(signed(unit.rule.error_width))}
        if above is not None and unit.rule.learns:
            members |= {"ask": Out(request_layout(above)), "answer": In(signed(above.rule.error_width))}
        if above is None:
            members |= {
                "label":      In(range(unit.n_out)),
                "count_en":   In(1),
                "count_word": In(range(max(2, unit.words))),
                "counts":     Out(data.ArrayLayout(self.count_bits, unit.lanes)),
            }
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config, unit, lanes = self.config, self.unit, self.unit.lanes
        ports = Ports(m, config, unit)
        # The frame value is unsigned: one bit more to multiply it as a signed number.
        m.submodules.forward = forward = ForwardPath(
            config, unit, depth=self.depth, term_width=unit.weights.width + unit.input.bits)
        m.d.comb += [
            forward.start.eq(self.start_forward), self.done_forward.eq(forward.done), forward.base.eq(self.base),
            forward.first_interval.eq(self.first_interval), forward.last_interval.eq(self.last_interval),
            forward.bits.eq(self.input_bits),
            self.spikes_valid.eq(forward.out_valid), self.spikes_word.eq(forward.out_word),
            self.spikes_step.eq(forward.out_step),
        ]
        dropped = self._dropout(m, forward) if unit.dropout else None
        m.d.comb += self.spikes.eq(forward.out_spikes if dropped is None else forward.out_spikes & ~dropped)
        if unit.input.dropout:
            m.d.comb += forward.train.eq(self.train)
        self._potentials(m, ports, forward)
        asked = self._asked(m, ports) if unit.rule.serves else None
        backward = self._backward(m, ports, forward, dropped) if unit.rule.learns else None
        learning = self._learning(m, ports) if unit.weights.stored else None

        # Which pass runs: whose addresses the shared ports take, and which cycles are counted.
        busy = {name: running(m, start, done, name=f"in_{name}") for name, start, done in (
            ("forward", self.start_forward, self.done_forward),
            *([("backward", self.start_backward, self.done_backward)] if unit.rule.learns else []),
            *([("update", self.start_update, self.done_update)] if unit.weights.stored else []))}
        for name, runs in busy.items():
            ports.count(f"cycles.{name}", getattr(self, f"start_{name}") | runs)
        ports.count("adds.forward", self._active(forward.event, forward.full))
        self._inputs(m, ports, forward, learning, busy)
        error = error_memory(m, self, ports, backward, learning, asked, busy) if unit.rule.learns else None
        weight, weight_node = weight_memory(m, self, ports, forward, learning, asked, busy)
        products = self._products(m, forward, learning, asked, busy, weight, error)
        for lane in range(lanes):
            m.d.comb += forward.terms[lane].eq(products[lane] if unit.input.static else weight.later[lane])
            if learning is not None:
                m.d.comb += [
                    learning.reader.terms[lane].eq(products[lane] if unit.input.static else error.later[lane]),
                    learning.update.weights[lane].eq(weight.later[lane]),
                ]
        if unit.rule.serves:
            m.submodules.dot = dot = DotPath(config, unit)
            own = asked[4 + product_latency(unit)]
            m.d.comb += [
                dot.first.eq(own.first), dot.full.eq(own.full), self.delta.eq(dot.delta),
            ]
            m.d.comb += [dot.products[lane].eq(products[lane]) for lane in range(lanes)]

        if self.above is None:
            keep_counts(m, self, ports, forward, backward)
        self._registers(m, learning, weight_node, ports.bank(self.counter_clear))
        return m

    def _active(self, enable, full):
        """Lanes that compute something in this cycle."""
        return Mux(enable, Mux(full, self.unit.lanes, self.unit.last_lanes), 0)

    def _inputs(self, m, ports, forward, learning, busy):
        """Who reads the memories of the input: the forward pass, and the update."""
        updates, values = [], []
        if learning is not None:
            reader = learning.reader
            m.d.comb += reader.bits.eq(self.input_bits)
            updates = [Use("update", reader.fetch, reader.address, busy["update"])]
            values = [Use("update", learning.value_en, learning.value_address, busy["update"])]
        en, address = ports.choose("input", *updates, Use("forward", forward.fetch, forward.address))
        m.d.comb += [self.input_en.eq(en), self.input_address.eq(address)]
        ports.count("input.write.forward", self.input_written)
        if self.unit.input.static:
            en, address = ports.choose("value", *values, Use("forward", forward.event, forward.position))
            m.d.comb += [self.value_en.eq(en), self.value_address.eq(address)]
            ports.count("value.write.forward", self.value_written)

    def _registers(self, m, learning, weight_node, bank):
        """What the register bus hears: of weights, LFSRs and counters, whichever there are."""
        access, nodes = Access.of(self.bus, self.regions), [] if weight_node is None else [weight_node]
        if self.stochastic:
            m.submodules.lfsr = lfsr = LaneLfsr(self.seeds)
            m.d.comb += [lfsr.advance.eq(learning.update.advance), learning.update.random.eq(lfsr.random)]
            nodes.append(lfsr_node(m, access, "lfsr", lfsr, lfsr.random.as_value()))
        if self.unit.dropout:
            dropout = m.submodules.dropout
            nodes.append(lfsr_node(m, access, "dropout", dropout, dropout.states.as_value()))
        if bank is not None:
            nodes.append(counter_node(m, access, bank))
        m.d.comb += [
            self.bus.ack.eq(any_of([ack for ack, _ in nodes])),
            self.bus.answer.eq(joined([answer for _, answer in nodes])),
        ]

    def _asked(self, m, ports):
        """Requests of the unit below, and a cycle behind them what they read."""
        unit, request = self.unit, self.request
        address = times(request.word, unit.error_frames) + (self.offset + request.step)
        m.submodules.asked = asked = Pipeline(
            valid=request.valid, first=request.first, full=request.full, row=request.row,
            weight_address=(request.weight_base + request.row)[:len(request.weight_base)],
            error_address=address[:clog2(max(2, unit.words * unit.error_frames))])
        ports.count("adds.backward", asked[1].valid if unit.window.pools else self._active(asked[1].valid, asked[1].full))
        return asked

    def _potentials(self, m, ports, forward):
        unit, potentials = self.unit, ports.store("potential")
        first = times(self.sample, unit.words) if unit.batch > 1 else 0
        begins = copies(m, self.first_interval, unit.lanes, name="begins")
        read = data.View(forward.stored.shape(), potentials.read)
        ports.read("potential", potentials, Use("forward", forward.stored_en, forward.stored_address), first=first)
        ports.count("potential.write.forward", forward.keep_en)
        m.d.comb += [
            *(forward.stored[lane].eq(Mux(begins[lane], unit.neuron.start, read[lane])) for lane in range(unit.lanes)),
            # A step takes two cycles at least, so that a potential stands for another one.
            potentials.write_en.eq(register(m, forward.keep_en, name="potential_write_en")),
            potentials.write_address.eq(register(
                m, (first + forward.keep_address)[:len(potentials.write_address)], name="potential_write_address")),
            potentials.write.eq(forward.out_potentials.as_value()),
        ]

    def _dropout(self, m, forward):
        """Which spikes of the word at the outputs of the forward pass do not leave the unit."""
        m.submodules.dropout = dropout = Dropout(
            next(region.reset for region in self.regions if region.kind == "dropout"), dropout=self.unit.dropout)
        m.d.comb += [
            dropout.train.eq(self.train), dropout.valid.eq(forward.out_valid),
        ]
        return dropout.dropped

    def _backward(self, m, ports, forward, dropped):
        """The backward pass and the windows that it reads."""
        config, unit = self.config, self.unit
        m.submodules.backward = backward = BackwardPath(config, unit, self.above)
        windows = ports.store("window")
        ports.read("window", windows, Use("backward", backward.fetch, backward.address), ahead=False)
        ports.count("window.write.forward", windows.write_en)
        # Written a cycle after it stands: the way to the memory is long.
        window_write = Signal.like(windows.write_address)
        written = register(m, forward.out_valid & self.train, name="window_written")
        with m.If(self.start_forward):
            m.d.sync += window_write.eq(0)
        with m.Elif(windows.write_en):
            m.d.sync += window_write.eq(window_write + 1)
        window = Cat(forward.out_codes.as_value(), forward.out_spikes if unit.neuron.needs_spike else (),
                     () if dropped is None else dropped)
        m.d.comb += [
            backward.start.eq(self.start_backward), self.done_backward.eq(backward.done),
            backward.offset.eq(self.offset), backward.slice_first.eq(self.slice_first),
            windows.write_en.eq(written), windows.write_address.eq(window_write),
            windows.write.eq(register(m, window, name="window", reset=False)),
            backward.window.eq(windows.read),
        ]
        if self.above is not None:
            m.d.comb += [self.ask.eq(backward.request), backward.delta.eq(self.answer)]
        return backward

    def _learning(self, m, ports):
        """The update path, and before it the gradient memory where there is one."""
        config, unit = self.config, self.unit
        term_width = unit.history_width + unit.input.bits
        m.submodules.update = update = UpdatePath(config, unit, depth=self.depth, term_width=term_width)
        m.d.comb += update.decays.eq(self.decays)
        ports.count("skips.update", update.skip)
        if not unit.rule.accumulates:
            m.d.comb += [
                update.start.eq(self.start_update), self.done_update.eq(update.done), update.base.eq(self.update_base),
                self.ready.eq(1),
            ]
            ports.count("adds.update", self._active(update.slot, update.full))
            return _Learning(update, update, update.row_en, update.error_en, update.position)
        m.submodules.accumulate = accumulate = AccumulatePath(unit, depth=self.depth, term_width=term_width)
        m.d.sync += update.start.eq(accumulate.done & self.apply)
        m.d.comb += [
            accumulate.start.eq(self.start_update), accumulate.base.eq(self.update_base),
            self.done_update.eq(Mux(self.apply, update.done, accumulate.done)), self.ready.eq(accumulate.ready),
            accumulate.apply_en.eq(update.gradient_en), accumulate.apply_address.eq(update.gradient_address),
            update.gradient.eq(accumulate.apply),
        ]
        ports.count("adds.update", self._active(accumulate.error_en, accumulate.full))
        ports.count("gradient.read.update", accumulate.reads)
        ports.count("gradient.write.update", accumulate.writes)
        return _Learning(update, accumulate, accumulate.error_en, accumulate.error_en, accumulate.position)

    def _products(self, m, forward, learning, asked, busy, weight, error):
        """One multiplier per lane where something multiplies: frame values, or errors times weights for those below."""
        unit, products = self.unit, []
        if unit.input.static:
            value_q = register(m, self.value, name="value_q", stages=3, reset=False)
        if unit.rule.serves and unit.window.pools:
            row = asked[3 + product_latency(unit)].row
            lane_q = lookup(m, row, [c % unit.lanes for c in range(unit.bitmap.pitch)], name="lane")
        if unit.input.static and learning is not None:
            updates = copies(m, busy["update"], unit.lanes, name="multiplies_errors")
        for lane in range(unit.lanes if unit.input.static or unit.rule.serves else 0):
            other = unit.input.bits + 1 if unit.input.static else unit.rule.error_width
            product = Signal(signed(unit.factor_width + other), name=f"product_{lane}", reset_less=True)
            if unit.input.static:
                factor = Signal(signed(unit.factor_width), name=f"factor_{lane}", reset_less=True)
                m.d.sync += factor.eq(weight.later[lane] if learning is None else Mux(
                    updates[lane], error.later[lane], weight.later[lane]))
                m.d.comb += product.eq(multiply(m, factor, value_q, name=f"times_{lane}"))
            elif unit.window.pools:
                # An average reaches one channel only.
                spread = register(m, error.later[lane], name=f"spread_{lane}", reset=False)
                m.d.sync += product.eq(Mux(lane_q == lane, spread * unit.pool_weight, 0))
            else:
                m.d.comb += product.eq(multiply(m, weight.later[lane], error.later[lane], name=f"times_{lane}"))
            products.append(product)
        return products
