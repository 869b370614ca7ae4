"""What the mutants are tried with: a training run, the limits, and everything a host may do at the ports."""

import numpy as np

from bench.draw import stimulus
from bench.limits import limit_runs
from spikeloom.gen.samples import items
from spikeloom.gen.state import state_reads, state_writes
from spikeloom.golden.checkpoint import state_arrays
from spikeloom.golden.model import initial_state
from spikeloom.rtl.events import input_layout
from spikeloom.rtl.registers import RegisterMap, request_layout

__all__ = ["Plan", "write_plan"]


class Plan:
    """Lines for `mutants.cpp`, and the files that they name.

    Parameters
    ----------
    config : Config

    Attributes
    ----------
    files : dict of str to bytes
        What the lines name.
    """

    def __init__(self, config):
        self.config, self.registers, self.files = config, RegisterMap(config), {}
        self.layout = {name: field.offset for name, field in request_layout(self.registers.address_bits)}
        self.lines = []
        reads = state_reads(self.registers)
        self.state = [place for name, place in reads.items() if not name.startswith("counter:")]
        self.counters = [place for name, place in reads.items() if name.startswith("counter:")]

    def request(self, address, value=0, *, write=False, increment=False):
        """One access as the stream takes it."""
        return (address << self.layout["address"] | write << self.layout["write"]
                | increment << self.layout["increment"] | (int(value) & 0xFFFFFFFF) << self.layout["data"])

    def field(self, register, name):
        return self.registers.mask(register, name)

    def do(self, payloads=(), requests=(), results=0, *, pauses=(0, 0, 0), gap=False):
        """Samples and accesses at the same time; of 256 cycles, how many `pauses` take samples, results, accesses."""
        names = [self._file(payloads), self._file(requests)]
        self.lines.append(" ".join(map(str, ("do", *names, results, *pauses, int(gap)))))

    def _file(self, words):
        if not len(words):
            return "-"
        name = f"words_{len(self.files)}.bin"
        self.files[name] = np.array(words, dtype=np.uint64).astype("<u8").tobytes()
        return name

    def until(self, register, field):
        address, mask = self.field(register, field)
        self.lines.append(f"until {self.request(address)} {mask}")

    def mark(self, name):
        """What follows is `name`, until the next mark."""
        self.lines.append(f"mark {name}")

    def hold(self, on):
        address, mask = self.field("control", "hold")
        self.do(requests=[self.request(address, mask if on else 0, write=True)])
        if on:
            self.until("status", "held")

    def write(self, places):
        """Consecutive registers, in bursts."""
        self.do(requests=[self.request(base + place * (place == 0), value, write=True, increment=place > 0)
                          for base, values in places for place, value in enumerate(values)])

    def load(self, state):
        self.hold(True)
        self.write(state_writes(self.registers, state_arrays(state)))
        self.write(self.unused())
        self.hold(False)

    def unused(self):
        """Anything for the weights and velocities of lanes without a neuron, which count for nothing."""
        random, places = np.random.default_rng(37), []
        for region in self.registers.regions.values():
            own = region.array
            for lane in range(own.channels % own.lanes or own.lanes, own.lanes) if own else ():
                places += [(region.base + ((own.channel_words - 1) * own.rows + row << own.lane_shift) + lane,
                            [int(random.integers(region.values.minimum, region.values.maximum + 1))])
                           for row in range(own.rows)]
        return places

    def reads(self, places):
        return [self.request(base + place) for base, count in places for place in range(count)]

    def clear(self):
        address, mask = self.field("control", "clear")
        self.do(requests=[self.request(address, mask, write=True)])

    def compare(self):
        """All of the state and all counters; those begin anew, or they would stay at their end."""
        self.until("status", "idle")
        self.hold(True)
        self.do(requests=self.reads(self.state))
        self.hold(False)
        self.do(requests=self.reads(self.counters))
        self.clear()

    def settled(self):
        """Places of all registers that reset sets but counters."""
        return [(region.base, region.backed) for region in self.registers.regions.values()
                if region.reset is not None or region.fields]

    def batches(self, batches, **pauses):
        for batch in batches:
            trains = np.broadcast_to(batch.train, batch.labels.shape)
            payloads, _ = items(self.config, batch.frames, batch.labels, trains)
            self.do(payloads, results=len(batch.labels), **pauses)


def _training(plan, samples):
    config = plan.config
    plan.do(requests=plan.reads([(plan.registers.regions["time"].base, 2)]))  # while its high bits are near their end
    for _ in range(6):  # a register that is not there
        plan.do(requests=[plan.request((1 << plan.registers.address_bits) - 1, write=True)])
    plan.load(initial_state(config))
    plan.batches(stimulus(config, 1, samples))
    plan.compare()


def _limits(plan):
    for place, run in enumerate(limit_runs(plan.config, samples=40)):
        plan.mark(f"limits_{place}_{run.name}")
        plan.load(run.state)
        plan.batches(run.batches, pauses=[(0, 0, 0), (160, 0, 0), (0, 200, 0), (230, 230, 0)][place % 4])
        plan.compare()


def _ports(plan):
    """Accesses in every order while samples run: answers, refusals, busy ones, bursts that stop and go on."""
    config, registers, random = plan.config, plan.registers, np.random.default_rng(3)
    top, requests = (1 << registers.address_bits) - 1, []
    for region in registers.regions.values():
        places = {0, region.backed - 1, region.size - 1, region.size, *random.integers(0, region.size, 2)}
        for place in sorted(places):
            address = min(top, region.base + int(place))
            values = region.values
            low = -(1 << values.width - 1) if values.signed else values.minimum
            for value in (low, low - 1, values.maximum, values.maximum + 1, 1, -1):
                # Nothing that pauses or clears by chance.
                if region.name not in ("control", "status", "violations"):
                    requests.append(plan.request(address, value, write=True))
            requests += [plan.request(address), plan.request(0, increment=True)]
    requests += [plan.request(top), plan.request(top, 1, write=True)]
    payloads, results = _stream(config, stimulus(config, 5, 8))
    plan.do(payloads, requests, results, pauses=(100, 100, 60))
    plan.hold(True)
    plan.do(requests=requests)
    plan.do(requests=requests, pauses=(0, 0, 128), gap=True)
    plan.hold(False)
    for name in ("violations", "status"):
        plan.do(requests=[plan.request(registers.regions[name].base), plan.request(
            registers.regions[name].base, -1, write=True), plan.request(registers.regions[name].base)])
    plan.load(initial_state(config))


def _stream(config, batches):
    parts = [items(config, batch.frames, batch.labels, np.broadcast_to(batch.train, batch.labels.shape))[0]
             for batch in batches]
    return np.concatenate(parts), sum(len(batch.labels) for batch in batches)


def _malformed(plan):
    """Every kind of damaged sample, often enough that its count ends, and good ones between them."""
    config = plan.config
    layout = {name: field.offset for name, field in input_layout(config)}
    good, results = _stream(config, [stimulus(config, 7, 4)[0]])
    per_sample = len(good) // results
    frame = config.input.kind == "frame"
    first = np.uint64(1 << layout["first"])
    for place in (1, 2, per_sample // 2, per_sample - 2, per_sample - 1):
        short, more = good[:place], good[:per_sample]
        plan.do(np.concatenate([short, good]) if frame else good, results=results)
        if frame:
            last = np.uint64(1 << layout["last"])
            ends = more.copy()
            ends[place] |= last
            never = more.copy()
            never[-1] &= ~last
            lone = more[:1] | last
            plan.do(np.concatenate([ends, never, never & ~first, lone, good]), results=results + (
                place == per_sample - 1))
        else:
            plan.do(np.concatenate([good[:per_sample] & ~first, good]), results=results)
    places = [(plan.registers.regions[name].base, plan.registers.regions[name].backed)
              for name in ("violations", "violation_counts")]
    plan.do(requests=plan.reads(places))
    for place in range(places[1][1]):  # clearing one leaves the others
        plan.do(requests=[plan.request(places[0][0], 1 << place, write=True), *plan.reads(places)])


def _statuses(plan):
    """Every status, again and again, while samples run and both ends stop and go."""
    names = [name for name in plan.registers.regions if name.endswith("status") or name == "violations"]
    requests = plan.reads([(plan.registers.regions[name].base, 1) for name in names]) * 40
    for place, pauses in enumerate(((0, 250, 0), (252, 0, 128), (200, 200, 200))):
        payloads, results = _stream(plan.config, stimulus(plan.config, 13 + place, 4))
        plan.do(payloads, requests, results, pauses=pauses, gap=place == 1)


def _clears(plan):
    """Counters that are cleared at any moment, and read at once or later, while samples run."""
    random = np.random.default_rng(29)
    for place in range(120):
        payloads, results = _stream(plan.config, [stimulus(plan.config, 31 + place, 1)[0]])
        plan.do(payloads[:random.integers(1, len(payloads))])
        plan.lines.append(f"idle {random.integers(0, 500)}")
        plan.clear()
        plan.lines.append(f"idle {random.integers(0, 60) * (place % 3)}")
        plan.do(requests=plan.reads(random.permutation(plan.counters)[:40 if place % 8 else None]))
        plan.do(payloads, results=results)


def _blocked(plan):
    """Results that nobody takes until everything stands, and then all at once."""
    for place in range(3):
        payloads, results = _stream(plan.config, [stimulus(plan.config, 71 + place, 4)[0]])
        plan.do(payloads, pauses=(0, 256, 0))
        plan.lines.append("idle 4000")
        plan.do(requests=plan.reads(plan.counters), pauses=(0, 256, 0))
        plan.do(results=results)


def _overlaps(plan):
    """Many samples that are only classified, one close upon the other: begins and ends fall into the same cycles."""
    for place, pauses in enumerate(((0, 0, 0), (120, 0, 0), (0, 240, 0), (200, 245, 0))):
        batch = stimulus(plan.config, 23 + place, 30)[0]
        payloads, results = _stream(plan.config, [batch._replace(train=False)])
        plan.do(payloads, results=results, pauses=pauses)


def _resets(plan):
    """Reset for one cycle at any moment of loading, computing and reading; then all is as after power-up."""
    random = np.random.default_rng(17)
    payloads, results = _stream(plan.config, [stimulus(plan.config, 19, 3)[0]])
    requests = plan.reads([*plan.state, *plan.counters])
    for place in range(160):
        plan.do(payloads[:random.integers(1, len(payloads))], requests[:random.integers(1, 60)])
        plan.lines += [f"idle {random.integers(0, 500)}", "reset 1"]
        if place % 4 == 1:
            plan.do(requests=plan.reads(random.permutation(plan.counters)[:40]))
        plan.hold(True)
        plan.do(requests=plan.reads(plan.settled()))
        if place % 8 == 7:
            plan.load(initial_state(plan.config))
            plan.do(payloads, requests[:40], results=results)
        plan.hold(False)
    plan.compare()


def _waits(plan):
    """Long waits at both ends, time at any distance from its high word, and a reset in the middle of a sample."""
    config = plan.config
    payloads, results = _stream(config, [stimulus(config, 9, 6)[0]])
    plan.lines.append("idle 5000")
    plan.do(payloads, results=results, pauses=(250, 253, 0))
    plan.do(requests=plan.reads([*plan.counters, (plan.registers.regions["time"].base, 2)]))
    low = plan.registers.regions["time"].base
    for gap in range(8):
        plan.do(requests=[plan.request(low)], gap=True)
        plan.lines.append(f"idle {gap}")
        plan.do(requests=[plan.request(low + 1)], gap=True)
    plan.do(payloads[:len(payloads) // 2 + 3])
    plan.lines += ["idle 40", "reset 1"]
    plan.load(initial_state(config))
    plan.batches(stimulus(config, 11, 4))
    plan.compare()
    plan.do(requests=plan.reads(plan.counters))


def write_plan(config, *, samples=40):
    """The whole suite, as files for `mutants.cpp` by name; its parts are marked."""
    plan = Plan(config)
    plan.mark("training")
    _training(plan, samples)
    _limits(plan)
    for part in (_malformed, _ports, _malformed, _statuses, _overlaps, _blocked, _waits, _clears, _resets):
        plan.mark(part.__name__[1:])
        part(plan)
        plan.compare()
    return {"plan.txt": ("\n".join(plan.lines) + "\n").encode(), **plan.files}
