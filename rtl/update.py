"""Deferred weight update of one unit, row by row."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden import stages
from .arithmetic import copies, fraction, half, register, saturate, scale, shift_floor, shift_nearest, times
from .gradient import ApplyScan, gradient_layout
from .pick import few, first_set
from .pipeline import Pipeline
from .taps import lookup

__all__ = ["UpdatePath", "UpdateScan"]


class UpdateScan(wiring.Component):
    """Visits every weight row with an active input in the update period: row, word, active step.

    For each bitmap word of the input, the `frames` words of the update period are read; then each row with a set bit
    in any of them gives one operation per output word and active step, one per cycle. The input of a bias is a group of
    its own at the end, which is not in memory, and is set in all steps. Beside the operations, a group
    takes ``frames`` cycles and those of `UPDATE_GROUP`, and of `UPDATE_ROW` if a row is active.

    Parameters
    ----------
    unit : Unit
    depth : int
        Words of the bitmap memory.

    Members
    -------
    start, base : In
        Begin with the bitmap word `base`.
    fetch, address, bits
        Port of the input bitmaps.
    valid : Out(1)
        An operation.
    row, step : Out
        Fan-in index and step of the update period.
    weight_base, error_base : Out
        ``word * fan_rows`` and ``word * frames``.
    first, last : Out(1)
        First and last active step of a word.
    full : Out(1)
        Whether all lanes of the word hold a neuron.
    finish : Out(1)
        High for one cycle after the last operation.
    """

    def __init__(self, unit, *, depth):
        self.unit = unit
        super().__init__({
            "start":       In(1),
            "base":        In(range(max(2, depth))),
            "fetch":       Out(1),
            "address":     Out(range(max(2, depth))),
            "bits":        In(unit.bitmap.scan_width),
            "valid":       Out(1),
            "row":         Out(range(max(2, unit.fan_rows))),
            "step":        Out(range(max(2, unit.frames))),
            "weight_base": Out(range(max(2, unit.weight_depth))),
            "error_base":  Out(range(max(2, unit.words * unit.frames))),
            "first":       Out(1),
            "last":        Out(1),
            "full":        Out(1),
            "finish":      Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        unit, frames = self.unit, self.unit.frames
        groups = unit.bitmap.words + unit.weights.bias

        # What is loaded, and from when its rows are visited, the row that it begins with.
        group, last_group = Signal(range(max(2, groups))), Signal()
        group_base, base_ahead = Signal.like(self.row), Signal.like(self.row)
        pointer, origin = Signal.like(self.address), Signal.like(self.address)
        reads = Signal(range(frames + 1))
        history = [Signal(unit.bitmap.scan_width, name=f"history_{t}", reset_less=True) for t in range(frames)]
        arrived = Signal()
        loads = Signal()
        m.d.sync += arrived.eq(loads)
        m.d.comb += self.address.eq(pointer)
        masked = Signal(unit.bitmap.scan_width)
        valid = (1 << unit.bitmap.partial) - 1
        read, fetch, begins_at = Mux(group == unit.bitmap.words - 1, self.bits & valid, self.bits), loads, base_ahead
        if unit.weights.bias:
            of_bias = group == unit.bitmap.words
            read, fetch = Mux(of_bias, 1, read), loads & ~of_bias
            begins_at = Mux(of_bias, unit.fan_rows - 1, base_ahead)
        m.d.comb += [masked.eq(read), self.fetch.eq(fetch)]

        # Rows not yet begun; the next one as a single bit; what it takes; and the row whose operations are emitted.
        pending, pick = Signal(unit.bitmap.scan_width), Signal(unit.bitmap.scan_width)
        picked, known, pass_on, take = Signal(), Signal(), Signal(), Signal()
        # Whether no row is pending is known a cycle late: two pass anyhow until the last one has begun.
        settled, none = Signal(), Signal()
        m.d.sync += none.eq(pending == 0)
        next_steps, next_row = Signal(frames), Signal.like(self.row)
        lowest, _ = first_set(m, pending, name="lowest")
        row_bit, row = first_set(m, pick, name="row", one_hot=True)
        # Steps of the row, and those left of the word; whether there is just one is known with them, and so is the
        # last word.
        steps, left, alone = Signal(frames), Signal(frames), Signal()
        step_bit, step = first_set(m, left, name="next_step")
        several = few(m, next_steps, name="several")[1]
        word, word_last = Signal(range(max(2, unit.words))), Signal()
        row_ends, rows, rows_end = Signal(), Signal(), Signal()
        m.d.comb += [
            self.step.eq(step),
            self.full.eq(~word_last),
            row_ends.eq(self.valid & self.last & word_last),
            take.eq(known & (~self.valid | row_ends)),
            pass_on.eq(picked & (~known | take)),
            rows_end.eq(settled & none & ~picked & ~known & (~self.valid | row_ends)),
        ]

        with m.If(rows & (~picked | pass_on)):
            m.d.sync += [pick.eq(lowest), picked.eq(pending != 0), pending.eq(pending & ~lowest)]
        with m.If(pass_on):
            m.d.sync += [
                known.eq(1), next_row.eq(group_base + row),
                next_steps.eq(Cat((own & row_bit).any() for own in history)),
            ]
        with m.Elif(take):
            m.d.sync += known.eq(0)
        with m.If(self.valid):
            m.d.sync += [
                left.eq(left & ~step_bit), self.first.eq(self.last), self.last.eq(~few(m, left, name="few_left").all())]
            with m.If(self.last):
                m.d.sync += [
                    left.eq(steps), self.last.eq(alone), word.eq(word + 1), word_last.eq(word == unit.words - 2),
                    self.weight_base.eq(self.weight_base + unit.fan_rows),
                    self.error_base.eq(self.error_base + frames),
                ]
        with m.If(take):
            m.d.sync += [
                self.valid.eq(1), self.row.eq(next_row), steps.eq(next_steps), left.eq(next_steps),
                alone.eq(~several), self.last.eq(~several), self.first.eq(1), word.eq(0), word_last.eq(unit.words == 1),
                self.weight_base.eq(0), self.error_base.eq(0),
            ]
        with m.Elif(row_ends):
            m.d.sync += self.valid.eq(0)

        with m.FSM():
            # Idle -- the last update has left the pipeline, or none has begun.
            with m.State("Idle"), m.If(self.start):
                m.d.sync += [
                    pointer.eq(self.base), origin.eq(self.base), group.eq(0), base_ahead.eq(0), reads.eq(0),
                ]
                m.next = "Load"

            # Load -- one bitmap word per step of the period; the last one arrives in the cycle after its read.
            with m.State("Load"):
                m.d.comb += loads.eq(reads != frames)
                m.d.sync += pointer.eq(pointer + unit.bitmap.words)
                with m.If(arrived):
                    m.d.sync += [history[-1].eq(masked), pending.eq(pending | masked)]
                    m.d.sync += [history[t].eq(history[t + 1]) for t in range(frames - 1)]
                with m.If(reads == frames):
                    m.d.sync += [
                        reads.eq(0), origin.eq(origin + 1), pointer.eq(origin + 1), group.eq(group + 1),
                        last_group.eq(group == groups - 1),
                        group_base.eq(begins_at), base_ahead.eq(base_ahead + unit.bitmap.scan_width),
                    ]
                    m.next = "Rows"
                with m.Else():
                    m.d.sync += reads.eq(reads + 1)

            # Rows -- one operation per cycle; the next two rows are chosen before the one before ends.
            with m.State("Rows"):
                m.d.comb += rows.eq(1)
                m.d.sync += settled.eq(1)
                with m.If(rows_end):
                    m.d.sync += settled.eq(0)
                    m.next = "Load"
                    with m.If(last_group):
                        m.next = "Finish"

            # Finish -- tell the pipeline that nothing follows.
            with m.State("Finish"):
                m.d.comb += self.finish.eq(1)
                m.next = "Idle"
        return m


def _choose(index, values):
    """The entry of `values` at `index`, least significant bit first: a tree of choices between two."""
    if len(values) == 1:
        return values[0]
    *rest, top = index
    half = 1 << len(rest)
    if len(values) <= half:
        return _choose(rest, values)
    return Mux(top, _choose(rest, values[half:]), _choose(rest, values[:half]))


class UpdatePath(wiring.Component):
    """Gradient and new value of every weight of every active row: equation (7), once per update period.

    The gradient is summed here over the history of errors, or comes from the gradient memory. From `start` to `done`
    (both included) `golden.schedule.update_cycles` or `apply_cycles`; a weight word is written in
    the stage ``write`` of the last operation that adds to it.

    Parameters
    ----------
    config : Config
    unit : Unit
    depth : int
        Words of the bitmap memory.

    Members
    -------
    start, base, fetch, address, bits : as `UpdateScan`
    decays : In
        How often the learning rate has been halved.
    error_en, error_address : Out
        Read of one error word, in stage ``address``; its data return as `terms`.
    row_en, position : Out
        The same operation, and the bit of its input in the bitmap memory: the address of its frame value.
    of_bias : Out(1)
        Only with a bias and a history: as of `ForwardPath`, with `row_en`.
    terms : In(ArrayLayout)
        Errors in stage ``word``, or their products with the frame value in stage ``gradient``.
    gradient_en, gradient_address, gradient : Out, Out, In(gradient_layout)
        Read port of the gradient memory, instead of all the above; its data stand one cycle later.
    velocity_en, velocity_address, velocities, velocity_write_en, velocity_write_address, velocity_write
        With momentum: read port of the velocities, whose data stand two cycles later, and their write port.
    weight_en, weight_address, weights : weight read port; address and data are registered once.
    write_en, write_address, write : weight write port.
    skip : Out(1)
        Instead of a write: every step in the word has been rounded to zero.
    random : In(ArrayLayout(16, lanes))
        Random words; `advance` tells that they are used up.
    slot, full : Out(1)
        An operation in stage ``address``; whether all its lanes hold a neuron.
    done : Out(1)
        The last word is on its way: it is in memory two cycles later.
    """

    def __init__(self, config, unit, *, depth, term_width):
        self.config, self.unit = config, unit
        source = {
            "base":           In(range(max(2, depth))),
            "fetch":          Out(1),
            "address":        Out(range(max(2, depth))),
            "bits":           In(unit.bitmap.scan_width),
            "error_en":       Out(1),
            "error_address":  Out(range(max(2, unit.words * unit.frames))),
            "row_en":         Out(1),
            "position":       Out(range(max(2, depth * unit.bitmap.scan_width))),
            "terms":          In(data.ArrayLayout(signed(term_width), unit.lanes)),
            "slot":           Out(1),
            "full":           Out(1),
        }
        if unit.rule.accumulates:
            self.scan = ApplyScan(unit)
            source = {
                "gradient_en":      Out(1),
                "gradient_address": Out(range(max(2, unit.weight_depth))),
                "gradient":         In(gradient_layout(unit)),
            }
            if unit.optimiser.velocity_width:
                source |= {
                    "velocity_en":            Out(1),
                    "velocity_address":       Out(range(max(2, unit.weight_depth))),
                    "velocity_write_en":      Out(1),
                    "velocity_write_address": Out(range(max(2, unit.weight_depth))),
                    "velocity_write":         Out(data.ArrayLayout(signed(unit.optimiser.velocity_width), unit.lanes)),
                    "velocities":             In(data.ArrayLayout(signed(unit.optimiser.velocity_width), unit.lanes)),
                }
        else:
            self.scan = UpdateScan(unit, depth=depth)
            source |= {"of_bias": Out(1)} if unit.weights.bias else {}
        super().__init__({
            **source,
            "start":          In(1),
            "decays":         In(range(max(2, config.update.decay_limit + 1))),
            "weight_en":      Out(1),
            "weight_address": Out(range(max(2, unit.weight_depth))),
            "weights":        In(data.ArrayLayout(signed(unit.weights.width), unit.lanes)),
            "write_en":       Out(1),
            "write_address":  Out(range(max(2, unit.weight_depth))),
            "write":          Out(data.ArrayLayout(signed(unit.weights.width), unit.lanes)),
            "skip":           Out(1),
            "random":         In(data.ArrayLayout(16, unit.lanes)),
            "advance":        Out(1),
            "done":           Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, unit = self.config, self.unit
        m.submodules.scan = scan = self.scan
        m.d.comb += scan.start.eq(self.start)
        momentum = config.update.momentum
        address = (scan.weight_base + scan.row)[:len(scan.weight_base)]
        s, last = (self._from_memory if unit.rule.accumulates else self._from_history)(m, scan, address)
        moves = [Signal(name=f"moves_{lane}") for lane in range(unit.lanes)]
        some_move = Cat(moves).any()
        m.d.comb += [
            self.weight_en.eq(last["weight"]), self.weight_address.eq(s["weight"].address),
            self.advance.eq(last["gradient"]),
            self.write_en.eq(last["write"] & some_move), self.skip.eq(last["write"] & ~some_move),
            self.write_address.eq(s["write"].address),
            self.done.eq(s["write"].finish),
        ]
        if momentum:
            m.d.comb += [
                self.velocity_en.eq(s["velocity"].valid), self.velocity_address.eq(s["velocity"].address),
                self.velocity_write_en.eq(s["gradient"].valid & s["gradient"].used),
                self.velocity_write_address.eq(s["gradient"].address),
            ]

        # What is added before the shift is the same for all lanes, but for random bits.
        width, shifts = self._shifts()
        stochastic = config.update.rounding == "stochastic"
        decays = [copies(m, bit, unit.lanes, name=f"decays_{place}") for place, bit in enumerate(self.decays)]
        halves = register(m, lookup(m, self.decays, [half(shift) for shift in shifts], name="half"), name="halves")
        drawn = register(m, lookup(m, self.decays, [fraction(shift) for shift in shifts], name="mask"), name="drawn")
        begins = None
        if not unit.rule.accumulates and not unit.input.static:
            begins = copies(m, s["memory"].first, unit.lanes, name="begins")
        for lane in range(unit.lanes):
            gradient = self._gradient(m, lane, begins)
            scaled = Signal(signed(width), name=f"scaled_{lane}", reset_less=True)
            m.d.sync += scaled.eq(scale(m, gradient, config.update.multiplier, name=f"product_{lane}")
                                  + (self.random[lane] & drawn if stochastic else halves))
            step = Signal(signed(width - min(shifts)), name=f"step_{lane}", reset_less=True)
            m.d.sync += step.eq(_choose(
                [bit[lane] for bit in decays], [shift_floor(scaled, shift) for shift in shifts]))
            # A velocity of a lane without a neuron may be anything.
            moves_now = step.any() & s["step"].full if momentum and lane >= unit.last_lanes else step.any()
            m.d.sync += moves[lane].eq(moves_now)
            m.d.comb += self.write[lane].eq(register(
                m, saturate(m, self.weights[lane] - step, unit.weights.width, name=f"moved_{lane}"),
                name=f"write_{lane}", reset=False))
        return m

    def _from_memory(self, m, scan, address):
        """One operation per word of the gradient memory. Stages, and by stage whether the word moves."""
        names = stages.APPLY
        m.submodules.pipe = s = Pipeline(
            names, valid=scan.valid, used=scan.used, address=address, full=scan.full, finish=scan.finish)
        # Only rows that were active move, and use up random bits; with momentum all do.
        moves = s["memory"].used if self.unit.optimiser.velocity_width else self.gradient.touched
        m.submodules.live = live = Pipeline(names.since("memory"), last=s["memory"].valid & moves)
        last = {stage: live[stage].last for stage in ("weight", "gradient", "write")}
        m.d.comb += [self.gradient_en.eq(s["address"].valid), self.gradient_address.eq(s["address"].address)]
        return s, last

    def _from_history(self, m, scan, address):
        """One operation per active step of a word. Stages, and by stage whether it is the last one."""
        unit = self.unit
        m.submodules.pipe = s = Pipeline(
            stages.update(unit), valid=scan.valid, address=address,
            position=(times(self.base, unit.bitmap.scan_width) + scan.row)[:len(self.position)],
            error_address=(scan.error_base + scan.step)[:len(scan.error_base)], first=scan.first,
            last=scan.valid & scan.last, full=scan.full, finish=scan.finish,
            **({"of_bias": scan.row == unit.fan_rows - 1} if unit.weights.bias else {}))
        if unit.weights.bias:
            m.d.comb += self.of_bias.eq(s["address"].of_bias)
        last = {stage: s[stage].last for stage in ("weight", "gradient", "write")}
        m.d.comb += [
            scan.base.eq(self.base), scan.bits.eq(self.bits),
            self.fetch.eq(scan.fetch), self.address.eq(scan.address),
            self.error_en.eq(s["address"].valid), self.error_address.eq(s["address"].error_address),
            self.row_en.eq(s["address"].valid), self.position.eq(s["address"].position),
            self.slot.eq(s["address"].valid), self.full.eq(s["address"].full),
        ]
        return s, last

    def _shifts(self):
        """Bits of a scaled gradient, and by how much it is shifted, by the number of halvings."""
        config, width = self.config, self.unit.scaled_width
        base = config.update.shift + (config.input.fraction if self.unit.input.static else 0)
        shifts = range(base, base + config.update.decay_limit + 1)
        if config.update.rounding == "stochastic":  # there may be more random bits than the product has
            return max(width, shifts[-1] + 2), shifts
        # The nearest integer is 0 for all shifts from the bits of the product on: their halves would not fit.
        return width, [min(shift, width - 2) for shift in shifts]

    def _gradient(self, m, lane, begins):
        """What moves the weight of a lane, in the stage ``gradient``: the sum of equation (7), or the velocity."""
        unit, momentum = self.unit, self.config.update.momentum
        gradient = Signal(signed(unit.optimiser.velocity_width or unit.gradient_width), name=f"gradient_{lane}",
                          reset_less=True)
        if momentum:
            fresh = Signal(signed(unit.gradient_width), name=f"fresh_{lane}", reset_less=True)
            kept = Signal(signed(unit.optimiser.velocity_width + momentum.shift), name=f"kept_{lane}",
                          reset_less=True)
            m.d.sync += [
                fresh.eq(Mux(self.gradient.touched, self.gradient.sums[lane], 0)),
                kept.eq(scale(m, self.velocities[lane], momentum.multiplier, name=f"retained_{lane}")),
                gradient.eq(saturate(m, shift_nearest(kept, momentum.shift) + fresh, unit.optimiser.velocity_width,
                                     name=f"velocity_{lane}")),
            ]
            m.d.comb += self.velocity_write[lane].eq(gradient)
        elif unit.rule.accumulates:
            # The memory has a register behind it.
            m.d.sync += gradient.eq(register(m, self.gradient.sums[lane], name=f"summed_{lane}", reset=False))
        elif unit.input.static:
            m.d.comb += gradient.eq(self.terms[lane])
        else:
            m.d.sync += gradient.eq(Mux(begins[lane], 0, gradient) + self.terms[lane])
        return gradient
