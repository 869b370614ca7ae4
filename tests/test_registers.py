# amaranth: UnusedElaboratable=no
"""The register port of a whole core at rest: each register answers, keeps what is its own, and nothing else."""

import random

import pytest

from spikeloom.golden.lfsr import lane_seeds
from spikeloom.rtl.core import Core
from spikeloom.rtl.registers import MAGIC, RegisterMap
from strategies import simulate, small

#: Two units with weights and velocities in each of two blocks, one of whose words has a lane to spare.
CONFIG = small(
    update={"rounding": "stochastic", "momentum": {"multiplier": 3, "shift": 2, "width": 15},
            "decay_samples": 4, "decay_limit": 3}, input={"shape": [2, 3, 2]},
    layers=[{"kind": "conv", "channels": 5, "kernel": 2, "lanes": 3}, {"neurons": 4, "lanes": 4}])


def accesses(config, requests, *, pause=0):
    """Answer of each of ``(address, value to write or None)``, and the cycles that it took."""
    dut, answers = Core(config), []

    async def bench(ctx):
        # Memories of gradients are cleared after reset; until then, nothing is served that belongs to the computation.
        await ctx.tick().repeat(max(unit.weight_depth for unit in config.units) + 2)
        for address, value in requests:
            ctx.set(dut.request.payload, {"address": address, "write": value is not None, "data": (value or 0) % 2**32})
            ctx.set(dut.request.valid, 1)
            assert ctx.get(dut.request.ready)
            await ctx.tick()
            ctx.set(dut.request.valid, 0)
            cycles = 1
            while not ctx.get(dut.response.valid):
                await ctx.tick()
                cycles += 1
                assert cycles < 100, "no answer"
            for _ in range(pause):  # it stands until it is taken
                await ctx.tick()
            answers.append((ctx.get(dut.response.payload), cycles + 1))
            ctx.set(dut.response.ready, 1)
            await ctx.tick()
            ctx.set(dut.response.ready, 0)

    simulate(dut, bench)
    return answers


def read(config, addresses, **options):
    return [answer for answer, _ in accesses(config, [(address, None) for address in addresses], **options)]


def test_registers_that_never_change():
    regions = RegisterMap(CONFIG).regions
    names = ["identification", "configuration", "status", "control"]
    found = accesses(CONFIG, [(regions[name].base, None) for name in names], pause=3)
    assert found == [(MAGIC, 16), (int(CONFIG.hash[:8], 16), 16), (1, 16), (0, 16)]


def test_state_after_reset():
    """The seeds of the LFSRs, and a learning rate that was never halved."""
    regions = RegisterMap(CONFIG).regions
    wanted = {regions[f"{unit.path}.lfsr"].base + lane: seed for place, unit in enumerate(CONFIG.units)
              for lane, seed in enumerate(lane_seeds(CONFIG.update.seed, unit.lanes, place))}
    wanted |= {regions[f"block{block}.{name}"].base: 0 for block in (0, 1) for name in ("decays", "since_decay")}
    assert read(CONFIG, wanted) == list(wanted.values())


def test_everything_written_is_kept_apart():
    """A value of its own in every weight, velocity, LFSR and rate register, all read back when all are written."""
    registers, source, values = RegisterMap(CONFIG), random.Random(1), {}
    for region in registers.regions.values():
        kind = region.name.split(".")[-1]
        unit = next((unit for unit in CONFIG.units if unit.path == region.name.rpartition(".")[0]), None)
        if kind in ("weight", "velocity"):
            width = unit.weight_width if kind == "weight" else unit.velocity_width
            offset = region.base - registers.regions[f"{unit.path}.weight"].base
            values |= {registers.weight(unit, row, channel) + offset: source.randrange(-1 << width - 1, 1 << width - 1)
                       for row in range(unit.fan_in) for channel in range(unit.channels)}
        elif kind == "lfsr":
            values |= {region.base + lane: source.randrange(1, 65536) for lane in range(unit.lanes)}
        elif kind in ("decays", "since_decay"):
            values[region.base] = source.randrange(1, 4)
    places = source.sample(sorted(values), len(values))
    found = accesses(CONFIG, [*((address, values[address]) for address in places),
                              *((address, None) for address in values)])
    assert found[:len(values)] == [(0, 16)] * len(values)
    assert found[len(values):] == [(value % 2**32, 16) for value in values.values()]  # sign extended


def test_time_is_read_in_one_piece():
    """Reading the low word latches the high one; the difference of two readings is the time between."""
    base = RegisterMap(CONFIG).regions["time"].base
    low, high, later = read(CONFIG, [base, base + 1, base])
    # An access takes fifteen cycles, and one until its answer is taken.
    assert (high, later - low) == (0, 2 * 16)


def test_what_is_no_register_reads_zero():
    registers = RegisterMap(CONFIG)
    used = {address for region in registers.regions.values() for address in range(region.base,
                                                                                  region.base + region.size)}
    free = [address for address in range(1 << registers.address_bits) if address not in used][:5]
    assert free
    assert accesses(CONFIG, [(address, value) for address in free for value in (0xFFFF, None)]) == [(0, 16)] * 2 * len(
        free)


def test_counters_are_cleared():
    """Whatever they count (here nothing ran), every one is there and zero."""
    registers = RegisterMap(CONFIG)
    addresses = list(registers.counters().values())
    control = registers.regions["control"].base
    found = accesses(CONFIG, [(control, 1), *((address, None) for address in addresses)])
    assert [answer for answer, _ in found] == [0] * (1 + len(addresses))


@pytest.mark.parametrize("changes, missing", [
    ({"update": {"momentum": None}}, ".velocity"), ({"update": {"rounding": "nearest"}}, ".lfsr"),
    ({"hardware": {"counters": False}}, ".counters")])
def test_what_is_not_there_has_no_registers(changes, missing):
    names = [{region.rpartition(".")[2] for region in RegisterMap(config).regions}
             for config in (CONFIG, CONFIG.replace(**changes))]
    assert names[0] - names[1] == {missing[1:]}
