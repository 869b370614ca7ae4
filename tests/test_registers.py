"""The registers of a whole core: each answers and keeps what is its own; what is not allowed is refused."""

import random

import pytest

from spikeloom.golden.errors import InputError
from spikeloom.golden.lfsr import lane_seeds
from spikeloom.rtl.bus import IN_FLIGHT, JUDGED, WEIGHT, latency
from spikeloom.rtl.core import Core
from spikeloom.rtl.registers import MAGIC, RegisterMap, Status
from strategies import simulate, small

#: Two units with weights and velocities in each of two blocks, one of whose words has a lane to spare.
CONFIG = small(
    update={"rounding": "stochastic", "momentum": {"multiplier": 3, "shift": 2, "width": 15},
            "decay_samples": 4, "decay_limit": 3}, input={"shape": [2, 3, 2]},
    layers=[{"kind": "conv", "channels": 5, "kernel": 2, "lanes": 3}, {"neurons": 4, "lanes": 4}])
REGISTERS = RegisterMap(CONFIG)
HOLD = 2
#: Of accesses that were refused.
COUNT = REGISTERS.regions["violation_counts"].base + [
    field.name for field in REGISTERS.regions["violations"].fields].index("refused")


def base(name):
    return REGISTERS.regions[name].base


async def access(ctx, dut, requests, *, gap=0, taken=None):
    """Ask as fast as the port allows, or with a pause before each; data, status and cycle of each response.

    The cycles in which requests are taken are appended to `taken`.
    """
    found, requests, cycle, wait = [], list(requests), 0, gap
    answered = len(requests)
    while len(found) < answered:
        if requests and not wait:
            address, value = requests[0]
            ctx.set(dut.request.payload, {
                "address": address or 0, "write": value is not None, "increment": address is None,
                "data": (value or 0) % 2**32})
        ctx.set(dut.request.valid, bool(requests) and not wait)
        if requests and not wait and ctx.get(dut.request.ready):
            requests.pop(0)
            wait = gap
            if taken is not None:
                taken.append(cycle)
        elif wait:
            wait -= 1
        if ctx.get(dut.response.valid):
            payload = ctx.get(dut.response.payload)
            found.append((payload.data, Status(payload.status), cycle))
        await ctx.tick()
        cycle += 1
        assert cycle < 60 * answered + 60, "no answer"
    ctx.set(dut.request.valid, 0)
    return found


def accesses(requests, *, config=CONFIG, hold=True, **options):
    """`access` on a core at rest, which is told to pause before."""
    dut, found = Core(config), []

    async def bench(ctx):
        # Memories of gradients are cleared after reset; until then, no block pauses.
        await ctx.tick().repeat(max(unit.weight_depth for unit in config.units) + 2)
        control = RegisterMap(config).regions["control"].base
        if hold:
            assert await access(ctx, dut, [(control, HOLD)]) == [(0, Status.OK, 5)]
            await ctx.tick().repeat(2)
        found.extend(await access(ctx, dut, requests, **options))
        await ctx.tick().repeat(40)
        assert not ctx.get(dut.response.valid), "an answer too many"

    simulate(dut, bench)
    return found


def read(addresses, **options):
    found = accesses([(address, None) for address in addresses], **options)
    assert {status for _, status, _ in found} == {Status.OK}
    return [data for data, _, _ in found]


def test_registers_that_never_change():
    """An answer comes five cycles after the request was taken, and four after the one before."""
    found = accesses([(base("identification"), None), (base("configuration"), None)])
    assert found == [(MAGIC, Status.OK, 5), (int(CONFIG.hash[:8], 16), Status.OK, 9)]


@pytest.mark.parametrize("name", ["control", "violations"])
def test_bits_without_a_field_are_ignored(name):
    """Whatever is written: they read 0, and nothing else changes."""
    region = REGISTERS.regions[name]
    known = sum(1 << field.lsb for field in region.fields)
    kept = HOLD if name == "control" else 0
    found = accesses([(region.base, ~known & 0xFFFFFFFF | kept), (region.base, None), (COUNT, None)])
    assert [(data, status) for data, status, _ in found][1:] == [(kept, Status.OK), (0, Status.OK)]
    assert found[0][1] == Status.OK


@pytest.mark.parametrize("name, values, message", [
    ("control", [2], None), ("control", [4], "register control must be written with bits of 0x3, those of its fields, "
                                             "not with 0x4"),
    ("control", [-1], "register control must be written with bits of 0x3, those of its fields, not with -0x1"),
    ("status", [0, 3], None), ("status", [0, 8], "register control must be written with bits of 0x3, "),
    ("status", [1 << 31], None),  # which the core refuses
    ("violations", [1 << 20], "register violations must be written with bits of "), ("time", [-1, -1], None),
    ("block0.classifier.weight", [-1], None),
])
def test_writes_of_bits_without_a_field(name, values, message):
    if message is None:
        REGISTERS.check_bits(base(name), values)
        return
    with pytest.raises(InputError) as error:
        REGISTERS.check_bits(base(name), values)
    assert str(error.value).startswith(message)


def test_state_after_reset():
    """Whatever the map says that reset leaves."""
    wanted = {region.base + place: value for region in REGISTERS.regions.values()
              for place, value in enumerate(region.reset or ())}
    assert len(wanted) > 3 + sum(unit.lanes for unit in CONFIG.units)
    assert read(wanted) == list(wanted.values())
    seeds = lane_seeds(CONFIG.update.seed, CONFIG.units[1].lanes, 1)
    assert [wanted[base("block0.classifier.lfsr") + lane] for lane in range(len(seeds))] == seeds


def values(source):
    """A value of its own for every weight, velocity, LFSR and rate register, by address."""
    found = {}
    for region in filter(lambda region: region.held, REGISTERS.regions.values()):
        low, high = region.values.minimum, region.values.maximum
        for place in range(region.size):
            lanes = region.array and region.array.lanes
            if region.array:
                word, lane = place >> region.array.lane_shift, place & (1 << region.array.lane_shift) - 1
                backed = lane < lanes and word < region.array.channel_words * region.array.rows
            else:
                backed = place < region.backed
            if backed:
                found[region.base + place] = source.randint(low, high)
    return found


@pytest.mark.parametrize("gap", [0, 3])
def test_everything_written_is_kept_apart(gap):
    """Written in random order, read back in order when all are written."""
    source = random.Random(gap)
    wanted = values(source)
    places = source.sample(sorted(wanted), len(wanted))
    found = accesses([*((address, wanted[address]) for address in places), *((address, None) for address in wanted)],
                     gap=gap)
    assert [answer[:2] for answer in found[:len(wanted)]] == [(0, Status.OK)] * len(wanted)
    # Sign extended.
    assert [answer[:2] for answer in found[len(wanted):]] == [(value % 2**32, Status.OK) for value in wanted.values()]


@pytest.mark.parametrize("kind", ["weight", "velocity"])
def test_bursts(kind):
    """Two cycles per register, for writing and for reading, over lanes that do not exist, too; those stay 0."""
    region, source = REGISTERS.regions[f"block0.layer0.{kind}"], random.Random(0)
    assert region.backed < region.size
    written = [source.randrange(1, region.values.maximum + 1) for _ in range(region.size)]
    found = accesses([(region.base, written[0]), *((None, value) for value in written[1:]),
                      (region.base, None), *((None, None) for _ in written[1:])], taken=(taken := []))
    assert {status for _, status, _ in found} == {Status.OK}
    data, cycles = [answer[0] for answer in found], [answer[2] for answer in found]
    assert not any(data[:region.size])
    shift, lanes = region.array.lane_shift, region.array.lanes
    there = [place & (1 << shift) - 1 < lanes and place >> shift < region.array.channel_words * region.array.rows
             for place in range(region.size)]
    assert sum(there) == region.backed
    assert data[region.size:] == [value if exists else 0 for value, exists in zip(written, there)]
    # Behind the last word there is nothing: the first of those waits for all before it.
    words = region.array.channel_words * region.array.rows << shift
    for first in (0, region.size):
        run = [cycles[first + place + 1] - cycles[first + place] for place in range(words - 1)]
        assert run == [2] * (words - 1)
    # Velocities are answered a cycle sooner.
    most = max(sum(begun <= cycle for begun in taken) - sum(answer < cycle for answer in cycles)
               for cycle in range(cycles[-1]))
    assert most == IN_FLIGHT - (kind == "velocity")


def test_reading_follows_writing():
    """The same weight, written and read in turns without a pause."""
    first, second = (base("block0.layer0.weight") + place for place in (0, 1))
    found = accesses([(first, 5), (first, None), (first, -6), (second, 7), (first, None), (second, None), (None, None),
                      (second, 1), (second, None)])
    assert [data for data, _, _ in found[:6]] == [0, 5, 0, 0, 2**32 - 6, 7]
    assert found[-1][0] == 1


def test_no_access_takes_longer_than_the_map_says():
    """Whatever comes before it; alone, an access to a weight takes as long as the bus says."""
    source, taken = random.Random(3), []
    places = [region.base + source.randrange(region.backed) for region in REGISTERS.regions.values()]
    # How long a counter takes depends on when its turn is.
    requests = [(source.choice(places), None) for _ in range(60)] + [(address, None) for address in places] * 2
    found = accesses(requests, taken=taken)
    assert len(found) == len(taken)
    times = [answer[2] - begun for answer, begun in zip(found, taken)]
    assert latency(REGISTERS) / 2 < max(times) <= latency(REGISTERS)
    alone = accesses([(base("block0.layer0.weight"), None)], taken=(taken := []))
    assert alone[0][2] - taken[0] == JUDGED + WEIGHT


def test_time_is_read_in_one_piece():
    """Reading the low word latches the high one; the difference of two readings is the time between."""
    low, high, later = read([base("time"), base("time") + 1, base("time")])
    assert (high, later - low) == (0, 2 * 4)


def test_what_is_no_register_is_refused():
    used = {address for region in REGISTERS.regions.values() for address in range(region.base,
                                                                                  region.base + region.size)}
    free = [address for address in range(1 << REGISTERS.address_bits) if address not in used]
    free = [free[0], free[1], free[-1]]
    requests = [(address, value) for address in free for value in (0xFFFF, None)]
    found = accesses([*requests, (COUNT, None), (base("violations"), None), (base("status"), None)])
    assert [answer[:2] for answer in found[:6]] == [(0, Status.REFUSED)] * 6
    assert found[6][:2] == (6, Status.OK)
    assert found[7][0] == field("refused", "violations")
    assert found[8][0] & field("error")


def field(name, register="status"):
    """Mask of a field."""
    found, = (field for field in REGISTERS.regions[register].fields if field.name == name)
    return 1 << found.lsb


WRONG = {
    "block0.layer0.weight": [512, -513, 0x8000, 2**31 - 1, -2**31, 0xFDFF],
    "block1.classifier.velocity": [16384, -16385, 2**31 - 1],
    "block0.classifier.lfsr": [0, 65536, -1],
    "block1.decays": [4, 7, -1],
    "block0.since_decay": [4, 2**31 - 1, -1],
    "identification": [0, MAGIC], "time": [0], "status": [0], "block0.status": [0], "block1.layer0.counters": [0],
}


def test_values_that_are_refused():
    """Nothing is written, each is counted, the flag stays until it is cleared."""
    violations, refused, parts = base("violations"), field("refused", "violations"), {}
    for name, wrong in WRONG.items():
        place, good = base(name), 3 if REGISTERS.regions[name].held else None
        parts[name] = [
            (place, good), *((place, value) for value in wrong), (place, None), (COUNT, None), (violations, ~refused),
            (violations, None), (violations, refused), (violations, None), (COUNT, None)]
    found = iter(accesses([request for part in parts.values() for request in part]))
    for name, part in parts.items():
        answers, wrong = [next(found)[:2] for _ in part], WRONG[name]
        assert answers[1:1 + len(wrong)] == [(0, Status.REFUSED)] * len(wrong), name
        kept, *rest = answers[1 + len(wrong):]
        assert kept[1] == Status.OK and (not REGISTERS.regions[name].held or kept[0] == 3), name
        assert [data for data, _ in rest] == [len(wrong), 0, refused, 0, 0, 0], name
        assert {status for _, status in rest} == {Status.OK}, name


def test_without_a_pause_the_answer_is_busy():
    """At once, and nothing is touched; everything else answers."""
    held = [region for region in REGISTERS.regions.values() if region.held]
    requests = [(region.base, value) for region in held for value in (2, None)]
    found = accesses([*requests, (base("status"), None), (base("control"), None)], hold=False)
    assert [answer[:2] for answer in found[:len(requests)]] == [(0, Status.BUSY)] * len(requests)
    assert found[-2][0] & (field("held") | field("error")) == 0
    assert found[-2][0] & field("idle") and found[-2][0] & field("starved")
    assert found[-1][0] == 0
    wrong = [(base("block0.layer0.weight"), 512)]  # is never allowed, so it is not put off
    assert accesses(wrong, hold=False)[0][1] == Status.REFUSED


def test_control_says_what_it_was_told():
    assert read([base("control"), base("status")])[0] == HOLD
    found = accesses([(base("status"), None), (base("block1.status"), None)])
    assert found[0][0] & (field("held") | field("idle")) == field("held") | field("idle")
    assert [name for name, bit in (("idle", 1), ("starved", 2), ("blocked", 4)) if found[1][0] & bit] == [
        "idle", "starved"]


def test_counters_are_cleared():
    """Whatever they count (here nothing ran), every one is there and zero, low word and high."""
    addresses = list(REGISTERS.counters().values())
    found = accesses([(base("control"), 1), *((address + half, None) for address in addresses for half in (0, 1))])
    assert [answer[:2] for answer in found] == [(0, Status.OK)] * (1 + 2 * len(addresses))


def test_clear_leaves_time_and_violations():
    """As the meaning of the field says."""
    found = accesses([(base("time"), 0), (base("time"), None), (base("control"), 1), (base("time"), None),
                      (base("violations"), None), (COUNT, None)])
    assert found[0][1] == Status.REFUSED and found[3][0] > found[1][0] > 0
    assert found[4][0] == 1 << COUNT - base("violation_counts") and found[5][0] == 1


@pytest.mark.parametrize("changes, missing", [
    ({"update": {"momentum": None}}, ".velocity"), ({"update": {"rounding": "nearest"}}, ".lfsr"),
    ({"hardware": {"counters": False}}, ".counters")])
def test_what_is_not_there_has_no_registers(changes, missing):
    names = [{region.rpartition(".")[2] for region in RegisterMap(config).regions}
             for config in (CONFIG, CONFIG.replace(**changes))]
    assert names[0] - names[1] == {missing[1:]}
