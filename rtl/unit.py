"""One unit: a layer or a classifier with its memories and its three passes."""

from amaranth.hdl import Cat, Const, Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import register
from .backward import BackwardPath, request_layout
from .bus import any_of, joined, node_signature
from .dropout import Dropout
from .error_memory import ErrorMemory
from .forward import ForwardPath
from .gradient import AccumulatePath, gradient_layout
from .lfsr import LaneLfsr
from .multipliers import Multipliers
from .nodes import Access, counter_node, lfsr_node
from .pipeline import running
from .ports import Ports, Use, feed
from .potential_memory import PotentialMemory
from .promise import at_most_one, promise, simulated
from .service import Service
from .spike_counts import SpikeCounts
from .update import UpdatePath
from .weight_memory import KINDS, ComputedWeights, WeightMemory
from .window_memory import WindowMemory

__all__ = ["UnitCore"]


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
    depth : int
        Words of the memory of input bitmaps.

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

    Attributes
    ----------
    parts : dict of str to Component
        Its submodules, but the memories (``<state>_store``) and the counters.
    """

    def __init__(self, config, unit, above, regions, *, seeds, depth):
        self.config, self.unit, self.above, self.depth = config, unit, above, depth
        self.regions = regions
        self.stochastic = config.update.rounding == "stochastic" and unit.weights.stored
        self.seeds = list(seeds)
        if self.stochastic != bool(seeds):
            raise ValueError(f"seeds must be given for weights with stochastic rounding only, not {seeds!r}")
        self.parts = self._parts({region.kind: region for region in regions})
        super().__init__(self._members())

    def _parts(self, own):
        """The submodules, by name; `own` are the regions by kind."""
        config, unit, above, depth = self.config, self.unit, self.above, self.depth
        term_width = unit.history_width + unit.input.bits
        parts = {
            # The frame value is unsigned: one bit more to multiply it as a signed number.
            "forward": ForwardPath(config, unit, depth=depth, term_width=unit.weights.width + unit.input.bits),
            "potential_memory": PotentialMemory(config, unit),
        }
        if unit.dropout:
            parts["dropout"] = Dropout(own["dropout"].reset, dropout=unit.dropout)
        if unit.rule.learns:
            parts |= {"backward": BackwardPath(config, unit, above), "window_memory": WindowMemory(config, unit),
                      "error_memory": ErrorMemory(config, unit)}
        if unit.weights.stored:
            parts |= {"weight_memory": WeightMemory(config, unit, [own[kind] for kind in KINDS if kind in own]),
                      "update": UpdatePath(config, unit, depth=depth, term_width=term_width)}
        if unit.rule.accumulates:
            parts["accumulate"] = AccumulatePath(unit, depth=depth, term_width=term_width)
        if unit.weights.random:
            parts["weight_memory"] = ComputedWeights(config, unit)
        if unit.input.static or unit.rule.serves:
            parts["multipliers"] = Multipliers(unit)
        if unit.rule.serves:
            parts["service"] = Service(config, unit)
        if above is None:
            parts["spike_counts"] = SpikeCounts(config, unit)
        if self.stochastic:
            parts["lfsr"] = LaneLfsr(self.seeds)
        return parts

    def _members(self):
        """The signature."""
        config, unit, above, depth = self.config, self.unit, self.above, self.depth
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
            "bus":            In(node_signature(self.regions)),
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
                "counts":     Out(data.ArrayLayout(config.time.steps.bit_length(), unit.lanes)),
            }
        return members

    def elaborate(self, platform):
        m = Module()
        ports = Ports(m, platform, self.config, self.unit)
        for name, part in self.parts.items():
            m.submodules[name] = part
        runs = self._passes(m, platform, ports)
        self._forward(m, ports, runs)
        if self.unit.rule.learns:
            self._backward(m, ports)
        if self.unit.weights.stored:
            self._update(m, ports, runs)
        if self.unit.rule.serves:
            self._serve(m, ports)
        self._multiply(m, runs)
        self._registers(m, platform, ports.bank(self.counter_clear))
        return m

    def _passes(self, m, platform, ports):
        """Which pass runs, by its phase: whose addresses the shared ports take, and which cycles are counted."""
        unit, starts, runs = self.unit, {}, {}
        for phase in ("forward", *["backward"] * unit.rule.learns, *["update"] * unit.weights.stored):
            start, done = (getattr(self, f"{edge}_{phase}") for edge in ("start", "done"))
            starts[phase], runs[phase] = start, running(m, start, done, name=f"in_{phase}")
            ports.count(f"cycles.{phase}", start | runs[phase])
        promise(m, platform, at_most_one([*starts.values(), *runs.values()]), "one pass of a unit runs at a time")
        if simulated(platform):
            # It may still change with the first cycle of a pass.
            running_on = Cat(runs.values()).any()
            was, before = (register(m, value, name=f"promised_{name}") for name, value in (
                ("runs", running_on), ("place", self._place())))
            promise(m, platform, ~(running_on & was) | (self._place() == before),
                    "the place of an interval stands while a pass runs")
        return runs

    def _place(self):
        """What the interval is."""
        return Cat(self.sample, self.train, self.first_interval, self.last_interval,
                   () if self.above else self.label)

    def _active(self, enable, full):
        """Lanes that compute something in this cycle."""
        return Mux(enable, Mux(full, self.unit.lanes, self.unit.last_lanes), 0)

    def _forward(self, m, ports, runs):
        """The forward pass, its potentials, its dropout, and the spike counts of a classifier."""
        unit, forward, potentials = self.unit, self.parts["forward"], self.parts["potential_memory"]
        self._inputs(m, ports, runs)
        m.d.comb += [
            forward.start.eq(self.start_forward), self.done_forward.eq(forward.done),
            self.spikes_valid.eq(forward.out_valid), self.spikes_word.eq(forward.out_word),
            self.spikes_step.eq(forward.out_step), forward.stored.eq(potentials.stored),
        ]
        feed(m, forward, self, "base", "first_interval", "last_interval", *["train"] * (unit.input.dropout > 0))
        feed(m, potentials, self, "first_interval", "sample")
        feed(m, potentials, forward, "stored_en", "stored_address", "keep_en", "keep_address", "out_potentials")
        ports.store("potential", potentials.memory, potentials.layout)
        ports.take(potentials.counted)
        ports.count("adds.forward", self._active(forward.event, forward.full))
        if unit.dropout:
            dropout = self.parts["dropout"]
            m.d.comb += [dropout.train.eq(self.train), dropout.valid.eq(forward.out_valid)]
        m.d.comb += self.spikes.eq(forward.out_spikes & ~dropout.dropped if unit.dropout else forward.out_spikes)
        if self.above is None:
            counts = self.parts["spike_counts"]
            feed(m, counts, self, "first_interval", "sample", "label", "count_en", "count_word")
            feed(m, counts, forward, "stored_en", "stored_address", "out_valid", "out_word", "out_step",
                 "out_word_last", "out_spikes")
            m.d.comb += self.counts.eq(counts.counts)
            ports.store("count", counts.memory, counts.layout)
            ports.take(counts.counted)

    def _inputs(self, m, ports, runs):
        """Who reads the memories of the input: the forward pass, and the update."""
        unit, forward, updates, values = self.unit, self.parts["forward"], [], []
        if unit.weights.stored:
            reader, value_en = self._reader()
            updates = [Use("update", reader.fetch, reader.address, runs["update"])]
            values = [Use("update", self._of_value(reader, value_en), reader.position, runs["update"])]
            m.d.comb += reader.bits.eq(self.input_bits)
        en, address = ports.choose("input", *updates, Use("forward", forward.fetch, forward.address))
        m.d.comb += [self.input_en.eq(en), self.input_address.eq(address), forward.bits.eq(self.input_bits)]
        ports.count("input.write.forward", self.input_written)
        if unit.input.static:
            taken = self._of_value(forward, forward.event)
            en, address = ports.choose("value", *values, Use("forward", taken, forward.position))
            m.d.comb += [self.value_en.eq(en), self.value_address.eq(address)]
            ports.count("value.write.forward", self.value_written)

    def _of_value(self, reader, enable):
        """Operations of a frame whose input is a value in memory: not that of a bias."""
        return enable & ~reader.of_bias if self.unit.weights.bias else enable

    def _value(self, m, runs):
        """The value of a frame that an operation takes; of a bias, 1.0."""
        unit, of_bias = self.unit, self.parts["forward"].of_bias if self.unit.weights.bias else None
        if of_bias is None:
            return self.value
        if unit.weights.stored:
            of_bias = Mux(runs["update"], self._reader()[0].of_bias, of_bias)
        return Mux(register(m, of_bias, name="value_is_one"), 1 << unit.input.fraction, self.value)

    def _reader(self):
        """The part that reads inputs and errors for the update, and when it reads a frame value."""
        if self.unit.rule.accumulates:
            return self.parts["accumulate"], self.parts["accumulate"].error_en
        return self.parts["update"], self.parts["update"].row_en

    def _backward(self, m, ports):
        """The backward pass, with the windows that it reads and the errors that it writes."""
        unit, forward, backward = self.unit, self.parts["forward"], self.parts["backward"]
        windows, errors = self.parts["window_memory"], self.parts["error_memory"]
        m.d.comb += [
            backward.start.eq(self.start_backward), self.done_backward.eq(backward.done),
            backward.window.eq(windows.window), windows.start.eq(self.start_forward), windows.train.eq(self.train),
        ]
        feed(m, backward, self, "offset", "slice_first")
        feed(m, windows, forward, "out_valid", *(name for name in windows.parts.values() if name != "dropped"))
        if unit.dropout:
            feed(m, windows, self.parts["dropout"], "dropped")
        feed(m, windows, backward, "fetch", "address")
        ports.store("window", windows.memory, windows.layout)
        ports.take(windows.counted)

        feed(m, errors, self, "offset")
        feed(m, errors, backward, "error_valid", "error_address", "errors")
        if unit.input.static:
            feed(m, errors, backward, "error_word_first", "error_word_last", "sum_en", "sum_word")
        elif unit.slices > 1:
            feed(m, errors, self, "resume")
            feed(m, errors, backward, "stored_en", "stored_word")
            m.d.comb += backward.stored.eq(errors.stored)
        ports.store("error", errors.memory, errors.layout)
        ports.take(errors.counted)
        if self.above is None:
            counts = self.parts["spike_counts"]
            feed(m, counts, backward, "own_en", "own_word")
            m.d.comb += backward.own.eq(counts.own)
        else:
            m.d.comb += [self.ask.eq(backward.request), backward.delta.eq(self.answer)]

    def _update(self, m, ports, runs):
        """The update, the gradient memory where there is one, and the weights that it moves."""
        unit, update = self.unit, self.parts["update"]
        weights, errors = self.parts["weight_memory"], self.parts["error_memory"]
        reader, _ = self._reader()
        m.d.comb += [
            update.decays.eq(self.decays), weights.in_forward.eq(runs["forward"]),
            weights.in_update.eq(runs["update"]), errors.updating.eq(runs["update"]),
            errors.update_en.eq(reader.error_en), errors.update_address.eq(reader.error_address),
        ]
        if unit.rule.accumulates:
            # The store is its own: no other part uses it.
            ports.check("gradient", gradient_layout(unit))
            m.d.sync += update.start.eq(reader.done & self.apply)
            m.d.comb += [
                reader.start.eq(self.start_update), reader.base.eq(self.update_base),
                self.done_update.eq(Mux(self.apply, update.done, reader.done)), self.ready.eq(reader.ready),
                reader.apply_en.eq(update.gradient_en), reader.apply_address.eq(update.gradient_address),
                update.gradient.eq(reader.apply),
            ]
            ports.count("adds.update", self._active(reader.error_en, reader.full))
            ports.count("gradient.read.update", reader.reads)
            ports.count("gradient.write.update", reader.writes)
        else:
            m.d.comb += [
                update.start.eq(self.start_update), self.done_update.eq(update.done), update.base.eq(self.update_base),
                self.ready.eq(1),
            ]
            ports.count("adds.update", self._active(update.slot, update.full))
        ports.count("skips.update", update.skip)
        feed(m, weights, update, "weight_en", "weight_address", "write_en", "write_address", "write")
        if unit.optimiser.velocity_width:
            feed(m, weights, update, "velocity_en", "velocity_address", "velocity_write_en", "velocity_write_address",
                 "velocity_write")
            m.d.comb += update.velocities.eq(weights.velocities)
            ports.store("velocity", weights.velocity_memory, weights.velocity_layout, initial=True)
        ports.store("weight", weights.memory, weights.layout, initial=True)
        ports.take(weights.counted)

    def _serve(self, m, ports):
        """What the unit below asks for."""
        unit, service, errors = self.unit, self.parts["service"], self.parts["error_memory"]
        feed(m, service, self, "request", "offset")
        m.d.comb += [
            errors.serve_en.eq(service.read_en), errors.serve_address.eq(service.error_address),
            self.delta.eq(service.delta),
        ]
        if not unit.window.pools:
            weights = self.parts["weight_memory"]
            m.d.comb += [weights.serve_en.eq(service.read_en), weights.serve_address.eq(service.weight_address)]
        ports.count("adds.backward", service.adds)

    def _multiply(self, m, runs):
        """What was read, or its products, to those that add it up."""
        unit, forward, weights = self.unit, self.parts["forward"], self.parts.get("weight_memory")
        errors, multipliers = self.parts.get("error_memory"), self.parts.get("multipliers")
        read = [Const(unit.pool_weight, signed(unit.weights.width))] * unit.lanes
        if weights is not None:
            read = weights.weights
            m.d.comb += [weights.forward_en.eq(forward.event), weights.forward_address.eq(forward.weight_address)]
        if multipliers is not None:
            if not unit.window.pools:
                feed(m, multipliers, weights, "weights")
            if unit.rule.serves or unit.weights.stored:
                m.d.comb += multipliers.errors.eq(errors.read)
            if unit.input.static:
                m.d.comb += multipliers.value.eq(self._value(m, runs))
                if unit.weights.stored:
                    m.d.comb += multipliers.updating.eq(runs["update"])
            elif unit.window.pools:
                feed(m, multipliers, self.parts["service"], "lane")
        for lane in range(unit.lanes):
            product = multipliers.products[lane] if unit.input.static else None
            m.d.comb += forward.terms[lane].eq(product if unit.input.static else read[lane])
            if unit.weights.stored:
                m.d.comb += [
                    self._reader()[0].terms[lane].eq(product if unit.input.static else errors.read[lane]),
                    self.parts["update"].weights[lane].eq(read[lane]),
                ]
            if unit.rule.serves:
                m.d.comb += self.parts["service"].products[lane].eq(multipliers.products[lane])

    def _registers(self, m, platform, bank):
        """What the register bus hears: of weights, LFSRs and counters, whichever there are."""
        access, nodes = Access.of(self.bus, self.regions), []
        if self.unit.weights.stored:
            bus = self.parts["weight_memory"].bus
            feed(m, bus, self.bus, "valid", "write", "address", "data")
            m.d.comb += bus.select.eq(Cat(access.select[kind] for kind in KINDS if kind in access.select))
            nodes.append((bus.ack, bus.answer))
        if self.stochastic:
            lfsr, update = self.parts["lfsr"], self.parts["update"]
            m.d.comb += [lfsr.advance.eq(update.advance), update.random.eq(lfsr.random)]
            nodes.append(lfsr_node(m, access, "lfsr", lfsr, lfsr.random.as_value()))
        if self.unit.dropout:
            dropout = self.parts["dropout"]
            nodes.append(lfsr_node(m, access, "dropout", dropout, dropout.states.as_value()))
        if bank is not None:
            nodes.append(counter_node(m, access, bank))
        m.d.comb += [
            self.bus.ack.eq(any_of([ack for ack, _ in nodes])),
            self.bus.answer.eq(joined([answer for _, answer in nodes])),
        ]
        promise(m, platform, at_most_one(ack for ack, _ in nodes), "one register of a unit answers at a time")
