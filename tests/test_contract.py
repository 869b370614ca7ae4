"""The sidecar's registers, as somebody uses them who has nothing but the JSON."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from installed import needs
from test_registers import access

from spikeloom.gen.contract import register
from spikeloom.gen.generate import generate_text, sidecar
from spikeloom.gen.state import to_memory
from spikeloom.golden.lfsr import lane_seeds
from spikeloom.rtl.core import Core
from spikeloom.rtl.registers import RegisterMap
from spikeloom.synth.tools import run_once
from strategies import biased, configs, simulate, small, spatial_configs


def regions(config):
    """Registers of the sidecar by name."""
    return {region["name"]: region for region in json.loads(json.dumps(
        [register(region, config.hardware) for region in RegisterMap(config).regions.values()]))}


@given(biased(st.one_of(configs(), spatial_configs())))
def test_weights_are_where_the_fields_say(config):
    """Every weight at the address that the array gives; what lies elsewhere in it is no weight."""
    registers, found = RegisterMap(config), regions(config)
    for unit in filter(lambda unit: unit.weights.stored, config.units):
        region = found[f"{unit.path}.weight"]
        array = region["array"]
        assert array["taps"] * array["input_channels"] == unit.fan_in - unit.weights.bias
        used = set()
        assert (array["bias_row"] is None) == (not unit.weights.bias)
        if unit.weights.bias:
            place = region["address"] + (array["bias_row"] << array["lane_shift"])
            assert place == registers.weight(unit, unit.fan_in - 1, 0)
            used.add(place)
        for tap in range(array["taps"]):
            for channel in range(array["input_channels"]):
                for output in (0, array["channels"] - 1):
                    word, lane = divmod(output, array["lanes"])
                    row = tap * array["tap_pitch"] + channel
                    place = region["address"] + (((word * array["rows"] + row) << array["lane_shift"]) | lane)
                    formula = array["formula"]["address"].replace("address of the region", str(region["address"]))
                    assert place == eval(formula, {"strides": SimpleNamespace(**array["strides"]), "word": word,
                                                   "tap": tap, "input_channel": channel, "lane": lane})
                    assert place == registers.weight(unit, tap * array["input_channels"] + channel, output)
                    assert place == region["address"] + sum(array["strides"][name] * index for name, index in (
                        ("word", word), ("tap", tap), ("input_channel", channel), ("lane", lane)))
                    used.add(place)
        assert all(region["address"] <= place < region["address"] + region["count"] for place in used)
        words = to_memory(unit, np.ones((unit.fan_in, unit.channels), dtype=int))
        assert len(words) == array["channel_words"] * array["rows"] << array["lane_shift"]
        assert region["backed"] == array["channel_words"] * array["rows"] * array["lanes"] <= len(words)
        assert sum(words) == unit.fan_in * unit.channels


@pytest.mark.parametrize("name, values", [
    ("block0.layer0.weight", {"width": 10, "signed": True, "fraction": 6, "minimum": -512, "maximum": 511}),
    # A gradient is a sum of errors times values of the frame, or times spikes.
    ("block0.layer0.velocity", {"width": 15, "signed": True, "fraction": 4 + 1, "minimum": -16384, "maximum": 16383}),
    ("block1.layer0.velocity", {"width": 15, "signed": True, "fraction": 4, "minimum": -16384, "maximum": 16383}),
    ("block0.layer0.lfsr", {"width": 16, "signed": False, "fraction": 0, "minimum": 1, "maximum": 65535}),
    ("block1.decays", {"width": 2, "signed": False, "fraction": 0, "minimum": 0, "maximum": 3}),
    ("block1.since_decay", {"width": 2, "signed": False, "fraction": 0, "minimum": 0, "maximum": 3}),
])
def test_values(name, values):
    config = small(update={"rounding": "stochastic", "momentum": {"multiplier": 3, "shift": 2, "width": 15},
                           "decay_samples": 4, "decay_limit": 3})
    assert regions(config)[name]["values"] == values


def test_what_reset_leaves():
    config = small(update={"rounding": "stochastic"})
    found = regions(config)
    assert found["identification"]["reset"] == [0x53504C31]
    assert found["configuration"]["reset"] == [int(config.hash[:8], 16)]
    assert found["block1.classifier.lfsr"]["reset"] == lane_seeds(config.update.seed, 2, 3)
    assert found["block1.classifier.weight"]["reset"] is None


@pytest.mark.parametrize("bits", [16, 40])
def test_values_of_several_words(bits):
    """As wide as the registers of the core that hold them; the meaning says what comes after the highest value."""
    config = small(hardware={"counter_bits": bits})
    found = sidecar(Core(config))
    registers = {region["name"]: region for region in found["registers"]}
    time = registers["time"]["whole_value"]
    assert time == {"width": max(32, bits), "after_maximum": "begins anew at 0"}
    assert registers["time"]["meaning"].endswith(f"modulo 2**{time['width']}")
    counters = [region["whole_value"] for name, region in registers.items() if name.endswith(".counters")]
    assert counters and all(own == {"width": bits, "after_maximum": "stays"} for own in counters)
    assert all((region["whole_value"] is None) == (region["words"] == 1) for region in registers.values())
    assert {counter["width"] for counter in found["counters"]} == {bits}


def test_what_is_said_of_numbers():
    """Each has a unit and both ends; fields that are named are there."""
    found = sidecar(Core(small()))
    request, registers = found["streams"]["request"], {region["name"]: region for region in found["registers"]}
    assert request["latency_counts"]["unit"] == "cycles" and {"from", "to"} <= request["latency_counts"].keys()
    assert "ready keeps to it" in request["in_flight_counts"]
    assert {region["burst"] for region in registers.values()} == {True, False} and "burst" in request["burst"]
    arrays = [region["array"] for region in registers.values() if region["array"]]
    assert set(found["addresses"]["arrays"]) <= set(arrays[0])
    clear = found["counting"]["cleared_by"]
    assert clear["clears"] in next(field["meaning"] for field in registers[clear["register"]]["fields"]
                                   if field["name"] == clear["field"]).replace("clears ", "")
    assert found["streams"]["results"]["prediction"].endswith("the lowest")


@given(configs())
def test_fields_do_not_overlap(config):
    for region in regions(config).values():
        bits = [bit for field in region["fields"] for bit in range(field["lsb"], field["lsb"] + field["width"])]
        assert len(bits) == len(set(bits)) and all(bit < region["width"] for bit in bits)
        assert 0 < region["backed"] <= region["count"]


def test_a_driver_of_fields_alone():
    """Pauses, writes and reads a weight, a velocity and a counter, and is refused, by nothing but the JSON."""
    config = small(update={"momentum": {"multiplier": 3, "shift": 2, "width": 15}})
    dut = Core(config)
    contract = json.loads(json.dumps(sidecar(dut)))
    found = {region["name"]: region for region in contract["registers"]}
    request, status = contract["streams"]["request"], contract["streams"]["response"]["status"]

    def field(step):
        register = found[step["register"]]
        own, = (own for own in register["fields"] if own["name"] == step["field"])
        return register["address"], step["value"] << own["lsb"]

    def place(region, row, channel):
        array = region["array"]
        word, lane = divmod(channel, array["lanes"])
        return region["address"] + ((word * array["rows"] + row) << array["lane_shift"]) + lane

    weight, velocity = (found[f"block1.layer0.{kind}"] for kind in ("weight", "velocity"))
    places = [place(region, 4, 3) for region in (weight, velocity)]
    lowest = [region["values"]["minimum"] for region in (weight, velocity)]
    answers = []

    async def bench(ctx):
        await ctx.tick().repeat(contract["memories"][0]["depth"] + 200)  # gradient memories are cleared
        answers.append(await access(ctx, dut, [(places[0], None)]))
        await access(ctx, dut, [field(request["pause"]["write"])])
        address, value = field(request["pause"]["wait"])
        while not (await access(ctx, dut, [(address, None)]))[0][0] & value:
            pass
        answers.append(await access(ctx, dut, [*zip(places, lowest), *((place, None) for place in places),
                                               (places[0], lowest[0] - 1), (places[0], None)]))
        answers.append(await access(ctx, dut, [(contract["counters"][0]["address"] + word, None) for word in (0, 1)]))

    simulate(dut, bench)
    (busy,), written, counter = [[answer[:2] for answer in part] for part in answers]
    assert busy == (0, status["busy"])
    assert written == [(0, status["ok"])] * 2 + [(low % 2**32, status["ok"]) for low in lowest] + [
        (0, status["refused"]), (lowest[0] % 2**32, status["ok"])]
    assert counter == [(0, status["ok"])] * 2


@needs("yosys")
@pytest.mark.parametrize("events", [False, True])
def test_outputs_that_depend_on_inputs_in_the_same_cycle(events, models):
    """Yosys walks back from each output to registers and memories: the inputs on its way are those of the sidecar."""
    config = small(input={"kind": "events", "shape": [2, 2, 1], "bits": 1, "fraction": 0} if events else {"size": 4})
    contract = sidecar(Core(config))
    ready, wanted = contract["streams"]["samples"]["handshake"]["ready_depends_in_the_same_cycle_on"], {}
    for port in contract["ports"]:
        if port["direction"] == "out":
            wanted[port["name"]] = {"samples_valid", "samples_payload"} if port["name"] == "samples_ready" and ready \
                else set()
    assert ready == (["valid", "first"] if events else []) and len(wanted) == 7
    walks = "".join(f"tee -o {name}.txt select -list o:{name} %cie*:-$dff,$mem_v2,$sdff,$dffe,$sdffe i:* %i\n"
                    for name in wanted)
    script = f"read_verilog core.v\nhierarchy -top {config.name}\nproc\nflatten\nmemory -nomap\nopt_clean\n{walks}"
    folder, _ = run_once(models, "yosys", arguments=["-q", "-s", "run.ys"],
                         files={"core.v": generate_text(config), "run.ys": script})
    found = {name: {line.partition("/")[2] for line in (folder / f"{name}.txt").read_text().split()} for name in wanted}
    assert found == wanted


def test_a_transfer_needs_the_clock_enable():
    streams = sidecar(Core(small(hardware={"clock_enable": True})))["streams"]
    assert [stream["handshake"]["transfer"].partition("with ")[2] for stream in streams.values()] == [
        *3 * ["valid, clk_en and ready"], "valid and clk_en"]
