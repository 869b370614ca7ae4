"""Synthesis: the rule of the memories, runs that happen once, and a small core on a real part."""

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from installed import needs

from spikeloom.gen import presets
from spikeloom.golden.config import ConfigError, parse
from spikeloom.golden.cycles import trace_samples
from spikeloom.golden.data import load_dataset
from spikeloom.golden.memories import memories
from spikeloom.synth import flow, tools
from spikeloom.synth.memory import place_memories, primitives
from spikeloom.synth.netlist import amounts, count_cells, memory_cells
from spikeloom.synth.pins import pins_text, port_bits
from spikeloom.synth.rates import cycles_per_sample, rates
from spikeloom.synth.report import headline, write_report
from spikeloom.synth.targets import ECP5, ICE40, RESOURCES, TARGETS, XC7, find_target

FAMILIES = {"ecp5": ECP5, "ice40": ICE40, "xc7": XC7}
#: Bits of one block RAM.
CAPACITY = {"ecp5": 18 * 1024, "ice40": 4 * 1024, "xc7": 18 * 1024}
SMALL = {
    "name": "mini", "time": {"steps": 2, "interval": 2}, "input": {"size": 8, "bits": 2, "fraction": 1},
    "layers": [{"neurons": 4, "lanes": 2}], "network": {"classes": 2, "block_length": 1}, "classifier": {"lanes": 2},
    "neuron": {"leak": {"form": "shift", "shift": 3}, "threshold": 0.5, "reset_amount": 0.5},
    "surrogate": {"shape": "rectangle", "width": 1.0},
    "numbers": {"weight": {"width": 6, "fraction": 4}, "potential": {"width": 8, "fraction": 4},
                "error": {"width": 8, "fraction": 3}},
    "update": {"shift": 4}, "hardware": {"counters": False},
}


# Memories

@given(family=st.sampled_from(sorted(FAMILIES)), depth=st.integers(1, 20000), granules=st.integers(1, 40),
       granule=st.integers(1, 40))
def test_block_ram_suffices(family, depth, granules, granule):
    """All bits find room, whatever shape is taken; where nothing but blocks count, with few blocks."""
    capacity, family = CAPACITY[family], FAMILIES[family]
    dear = replace(family, block_weight=10**9)
    count, fewest = (primitives(own, "block", depth, granules * granule, granule) for own in (family, dear))
    assert count >= fewest and fewest * capacity >= depth * granules * granule
    widest = max(shape.bits * shape.lanes for shape in family.shapes)
    assert fewest <= -(-depth // family.shapes[0].depth) * granules * -(-granule // widest) * 2
    assert primitives(dear, "block", depth, granules * granule) <= fewest  # more write enables never save a block


@given(family=st.sampled_from(["ecp5", "xc7"]), depth=st.integers(1, 64), granules=st.integers(1, 40),
       granule=st.integers(1, 40))
def test_distributed_ram_suffices(family, depth, granules, granule):
    count = primitives(FAMILIES[family], "distributed", depth, granules * granule, granule)
    assert count * max(one.depth * one.bits for one in FAMILIES[family].lutrams) >= depth * granules * granule


@pytest.mark.parametrize("family, depth, width, granule, count", [
    ("ecp5", 512, 256, 16, 8), ("ecp5", 1024, 256, 16, 16), ("ecp5", 128, 5, None, 1), ("ecp5", 16384, 1, None, 1),
    ("ice40", 256, 48, 12, 3), ("ice40", 512, 8, None, 1), ("ice40", 257, 16, None, 2), ("xc7", 1024, 256, 16, 16)])
def test_known_numbers_of_blocks(family, depth, width, granule, count):
    """By the tables of the makers: two bytes of nine bits for each weight of 16 bits."""
    assert primitives(FAMILIES[family], "block", depth, width, granule) == count


#: (kind, granule, granules, depth) of the memories that Yosys is asked for.
SIZES = [("block", 16, 16, 1024), ("block", 12, 4, 256), ("block", 14, 3, 1500), ("block", 5, 4, 600),
         ("block", 1, 1, 5000), ("block", 18, 2, 5000), ("block", 16, 2, 24000), ("block", 10, 8, 65),
         ("distributed", 20, 16, 8), ("distributed", 4, 8, 40), ("distributed", 5, 1, 16), ("distributed", 6, 3, 33)]


@pytest.mark.parametrize("name", [
    pytest.param("ecp5", marks=needs("yosys")), pytest.param("ice40", marks=needs("yosys")),
    pytest.param("xc7", marks=[needs("yosys"), pytest.mark.long])])
def test_yosys_takes_as_many_primitives(name, tmp_path):
    """What the rule says is what memory mapping does with the module that all memories are."""
    family = FAMILIES[name]
    sizes = [size for size in SIZES if family.lutrams or size[0] == "block"]
    text = flow.generate_text(presets.find("tiny"))
    ports, body = [], []
    for place, (_, granule, granules, depth) in enumerate(sizes):
        width, address = granule * granules, (depth - 1).bit_length()
        ports.append(f"input e{place}, input [{address - 1}:0] r{place}, output [{width - 1}:0] q{place}, "
                     f"input [{granules - 1}:0] w{place}, input [{address - 1}:0] a{place}, "
                     f"input [{width - 1}:0] d{place}")
        body.append(f"tiny_memory #(.WIDTH({width}), .DEPTH({depth}), .GRANULE({granule}), .ADDRESS({address})) "
                    f"m{place} (clk, e{place}, r{place}, q{place}, w{place}, a{place}, d{place});")
    memory = text[text.index("module tiny_memory"):]
    run = "\n".join([
        "read_verilog in.v", f"{family.synthesis} -top top -run :{family.map_memory}",
        *(f'setattr -set ram_style "{size[0]}" top/m{place}.* top/t:$mem_v2 %i' for place, size in enumerate(sizes)),
        f"{family.synthesis} -top top -run {family.map_memory}:map_ffram", "blackbox =A:whitebox",
        "write_json netlist.json"])
    folder, _ = tools.run_once(tmp_path, "yosys", arguments=["-Q", "-T", "-s", "run.ys"], files={
        "in.v": f"{memory}\nmodule top(input clk, {', '.join(ports)});\n" + "\n".join(body) + "\nendmodule\n",
        "run.ys": run})
    _, rams = count_cells(json.loads((folder / "netlist.json").read_text()), family)
    cells = memory_cells(rams, [f"m{place}" for place in range(len(sizes))])
    for place, (kind, granule, granules, depth) in enumerate(sizes):
        own = cells[f"m{place}"]
        count = amounts(own, family)[0]["bram"] if kind == "block" else sum(own.values())
        assert count == primitives(family, kind, depth, granule * granules, granule), (kind, granule, granules, depth)


def test_rule_of_the_memories():
    config = presets.find("digits")
    kinds = {own.memory.path: own.kind for own in place_memories(config, TARGETS["ecp5-85"])}
    assert set(kinds) == {memory.path for memory in memories(config)}
    assert kinds["block0.layer0.weight_store"] == kinds["block0.layer0.window_store"] == "block"
    assert kinds["block0.layer0.potential_store"] == kinds["begun"] == "distributed"
    assert {own.memory.path for own in place_memories(config, TARGETS["ice40-up5k"]) if own.kind == "registers"} == {
        memory.path for memory in memories(config) if memory.combinational}
    asked = config.replace(hardware={"memory": {"potential": "block", "weight": "distributed"}})
    kinds = {own.memory.path: own.kind for own in place_memories(asked, TARGETS["xc7"])}
    assert kinds["block0.layer0.potential_store"] == "block"
    assert kinds["block1.classifier.weight_store"] == "distributed"


def test_distributed_memory_needs_luts_that_can_be_ram():
    config = presets.find("tiny").replace(hardware={"memory": {"error": "distributed"}})
    with pytest.raises(ConfigError, match=r"^hardware\.memory must be auto or block for ice40-up5k, .*, not "
                                          r"'distributed' \(block0\.layer0\.error_store\)$"):
        place_memories(config, TARGETS["ice40-up5k"])


def test_unknown_target():
    with pytest.raises(ConfigError, match=r"^--target must be one of ecp5-25, ecp5-85, ice40-up5k, xc7, not 'ecp6'$"):
        find_target("ecp6")


# Tools

@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A tool that keeps count of its runs and does what is in the file `behaviour`."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\n. {tmp_path}/behaviour\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "behaviour").write_text("cat in > out\n")
    monkeypatch.setattr(tools, "find_tool", lambda name: (str(program), "1"))

    def run(text="a", **options):
        return tools.run_once(tmp_path / "cache", "tool", arguments=[], files={"in": text}, **options)

    run.count = lambda: len((tmp_path / "runs").read_text().splitlines())
    run.behave = (tmp_path / "behaviour").write_text
    return run


def test_what_ran_runs_no_more(tool):
    folder, good = tool()
    assert good and (folder / "out").read_text() == "a"
    assert tool() == (folder, True) and tool.count() == 1
    assert tool("b")[0] != folder and tool.count() == 2


def test_an_interrupted_run_is_made_again(tool):
    def interrupt(folder):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tool(finish=interrupt)
    assert tool()[1] and tool.count() == 2


def test_a_failure_names_its_log_and_is_not_kept(tool):
    tool.behave("echo Info: one; echo ERROR: no such cell; exit 1\n")
    told = r"^tool failed: no such cell \(status 1\); see .*/tool\.log$"
    with pytest.raises(tools.SynthesisError, match=told) as error:
        tool()
    assert "no such cell" in Path(str(error.value).split("see ")[1]).read_text()
    tool.behave("cat in > out\n")
    assert tool()[1]


def test_an_accepted_failure_is_a_result(tool):
    tool.behave("echo ERROR: full; exit 1\n")
    assert [tool(accepts=lambda log: "full" in log)[1] for _ in range(2)] == [False, False]
    assert tool.count() == 1


def test_a_hopeless_run_is_stopped(tool, monkeypatch):
    monkeypatch.setattr(tools, "PATIENCE", 0.05)
    tool.behave("while true; do echo round; sleep 0.01; done\n")
    assert [tool(hopeless=lambda log: log.count("round") > 3)[1] for _ in range(2)] == [False, False]
    assert tool.count() == 1
    tool.behave("cat in > out\n")
    assert tool(hopeless=lambda log: False, limit=5)[1]


def test_a_missing_tool_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(tools.SynthesisError, match=r"^yowasp-none is missing; install it with: pip install "):
        tools.find_tool("none")


# A core on a part

@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("synth") / "cache"


@pytest.fixture(scope="module")
def routed(root):
    steps = []
    report = flow.implement(parse(SMALL), TARGETS["ecp5-25"], root=root, seeds=1, step=steps.append)
    assert len(steps) == 3
    return report


@needs("yosys", "nextpnr-ecp5")
def test_a_small_core_is_routed(routed):
    assert routed["fits"] and not routed["overuse"] and not routed["other_cells"]
    assert routed["frequency_mhz"] == routed["seeds"][0]["frequency_mhz"] > 20
    path = routed["critical_path"]
    # The router counts in whole picoseconds.
    assert round(1000 * path["logic_ns"]) + round(1000 * path["routing_ns"]) == round(1e6 / routed["frequency_mhz"])
    assert routed["utilization"]["TRELLIS_FF"]["used"] == routed["total"]["ff"]
    assert 0.8 < routed["total"]["lut"] / routed["utilization"]["TRELLIS_COMB"]["used"] <= 1  # and carry feeds


@needs("yosys", "nextpnr-ecp5")
def test_every_unit_has_its_row(routed):
    assert [(row["block"], row["part"]) for row in routed["units"]] == [
        ("block0", "sequencer"), ("block0", "buffer"), ("block0", "classifier"), ("block0", "layer0"),
        ("core", "top"), ("core", "registers")]
    for resource in RESOURCES:
        assert routed["total"][resource] == sum(row[resource] for row in routed["units"])
    assert all(row["lut"] > 0 for row in routed["units"])
    assert all(check["holds"] for check in routed["checks"])
    assert [row["name"] for row in routed["memories"]] == [memory.path for memory in memories(parse(SMALL))]


@needs("yosys", "nextpnr-ecp5")
def test_the_same_core_again_runs_nothing(routed, root, monkeypatch):
    monkeypatch.setattr(tools, "_run", lambda *words: pytest.fail(f"runs {words}"))
    assert flow.implement(parse(SMALL), TARGETS["ecp5-25"], root=root, seeds=1) == routed


@needs("yosys", "nextpnr-ecp5")
def test_a_frequency_is_asked_for(routed, root, monkeypatch):
    """What can be reached is; what cannot is given up, and the core is as fast as it gets. xc7 is not routed."""
    reached = flow.implement(parse(SMALL), TARGETS["ecp5-25"], root=root, seeds=1, frequency=50)
    assert reached["goal_mhz"] == 50 <= reached["frequency_mhz"]
    monkeypatch.setattr(flow, "TRIAL", 2)
    missed = flow.implement(parse(SMALL), TARGETS["ecp5-25"], root=root, seeds=1, frequency=999)
    assert missed["goal_mhz"] == 999 and missed["fits"] and 20 < missed["frequency_mhz"] < 999
    with pytest.raises(ConfigError, match=r"^--frequency must not be given for xc7, which is not routed, not 50$"):
        flow.implement(parse(SMALL), TARGETS["xc7"], root=root, frequency=50)


@needs("yosys", "nextpnr-ecp5")
def test_too_much_for_the_electrostatic_placer(tmp_path):
    """It would not end: more multipliers than there are. The packer says so."""
    folder, _ = tools.run_once(tmp_path, "yosys", arguments=["-Q", "-T", "-s", "run.ys"], files={
        "in.v": "module top(input clk, input [17:0] a, b, output reg y);\nwire [35:0] p[0:199];\nwire [199:0] x;\n"
                "genvar i; generate for (i = 0; i < 200; i = i + 1) begin\n  reg [17:0] q;\n"
                "  always @(posedge clk) q <= i ? a ^ p[i - (i > 0)][17:0] : a;\n"
                "  assign p[i] = q * b; assign x[i] = p[i][35];\nend endgenerate\n"
                "always @(posedge clk) y <= ^x;\nendmodule\n",
        "run.ys": "read_verilog in.v\nsynth_ecp5 -top top -json netlist.json\n"})
    used = flow._pack(folder / "netlist.json", TARGETS["ecp5-85"], tmp_path)
    assert used["MULT18X18D"] == {"used": 200, "available": 156}
    steps = []
    found = flow._routes(parse(SMALL), TARGETS["ecp5-85"], folder / "netlist.json", 3, None, tmp_path, steps.append)
    assert found["overuse"] == [{"resource": "MULT18X18D", "needed": 200, "available": 156}]
    assert not (found["fits"] or found["seeds"] or steps)


@needs("yosys", "nextpnr-ecp5")
def test_the_command_line(routed, root, tmp_path):
    """With what the library left in the same folder; without a data set, nothing is said per second."""
    lines = ["name = 'mini'", *(f"{key} = {_toml(value)}" for key, value in SMALL.items() if key != "name")]
    (tmp_path / "mini.toml").write_text("\n".join(lines))
    words = ["synth", "mini.toml", "--target", "ecp5-25", "--seeds", "1", "--build-dir", root.parent, "-o", "out"]
    done = subprocess.run([sys.executable, "-c", "from spikeloom.cli.main import run; run()", *words], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "holds: no memory is in flip-flops" in done.stdout and "DOES NOT" not in done.stdout
    assert f"{routed['frequency_mhz']:.2f}" in done.stdout
    assert json.loads((tmp_path / "out/report.json").read_text()) == routed
    assert (tmp_path / "out/report.html").exists()


def _toml(value):
    """A value as an inline table, array, string, number or truth value."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(own)}" for key, own in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


@needs("yosys", "nextpnr-ecp5")
def test_a_core_that_does_not_fit(routed, root, tmp_path, monkeypatch):
    """The router says so; resources of the netlist are reported all the same."""
    program = tmp_path / "router"
    program.write_text("#!/bin/sh\necho 'Info: \t  TRELLIS_COMB:  30000/  24288   123%'\n"
                       "echo 'Info: \t  DP16KD:  3/  56   5%'\n"
                       "echo \"ERROR: Unable to place cell 'a', no Bels remaining of type TRELLIS_COMB\"; exit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    found = tools.find_tool
    monkeypatch.setattr(tools, "find_tool",
                        lambda name: (str(program), "0") if name.startswith("nextpnr") else found(name))
    report = flow.implement(parse(SMALL), TARGETS["ecp5-25"], root=root, seeds=3)
    assert not report["fits"] and report["total"] == routed["total"]
    assert report["overuse"] == [{"resource": "TRELLIS_COMB", "needed": 30000, "available": 24288}]
    assert report["seeds"] == [] and "frequency_mhz" not in report
    assert headline(report)[1] == "does not fit ecp5-25: needs 30,000 TRELLIS_COMB of 24,288"
    write_report(tmp_path, report)


def test_a_memory_elsewhere_than_in_the_map_is_found():
    rows = [{"name": "a", "kind": "block", "predicted": 2, "kind_found": "registers", "found": 0},
            {"name": "b", "kind": "distributed", "predicted": 4, "kind_found": "distributed", "found": 3}]
    blocks, kinds, registers = flow.check_memories(rows, {"bram": 1}, {"DP16KD": 1})
    assert (blocks["holds"], blocks["expected"], blocks["found"]) == (False, 2, 1)
    assert (kinds["holds"], kinds["found"]) == (False, ["a", "1 DP16KD of no memory"])
    assert (registers["holds"], registers["found"]) == (False, ["a"])
    assert all(check["holds"] for check in flow.check_memories(rows[1:], {"bram": 0}, {}))


@needs("yosys", "nextpnr-ecp5")
def test_the_report_is_one_page(routed, tmp_path):
    report = {**routed, "data": "digits", "rates": rates(
        {"training": {"cycles": 200.0, "additions": 50.0}, "inference": {"cycles": 100.0, "additions": 40.0}},
        routed["frequency_mhz"])}
    paths = write_report(tmp_path / "out", report)
    assert json.loads(paths[0].read_text()) == report
    page = paths[1].read_text()
    assert f"{routed['total']['lut']:,}" in page and routed["critical_path"]["end"] in page
    assert all(row["name"] in page for row in routed["memories"])
    assert page.count("<svg") == 3  # LUT, FF, DSP; no block RAM in it
    assert " src=" not in page and " href=" not in page
    assert write_report(tmp_path / "again", report)[1].read_text() == page


def test_few_pins_are_enough_for_a_core():
    """Every port is connected once, in its direction and width, and the shift registers are no longer than needed."""
    ports = [{"name": "clk", "direction": "in", "width": 1}, {"name": "rst", "direction": "in", "width": 1},
             {"name": "a", "direction": "in", "width": 5}, {"name": "b", "direction": "out", "width": 7},
             {"name": "c", "direction": "in", "width": 2}]
    name, text = pins_text("core", ports)
    assert name == "core_pins" and port_bits(ports) == 16
    assert ".a(shifted_in[0 +: 5]), .b(outputs[0 +: 7]), .c(shifted_in[5 +: 2])" in text
    assert "reg [6:0] shifted_in" in text and "reg [6:0] shifted_out" in text


# Rates

def test_cycles_per_sample():
    config = presets.find("tiny")
    data = load_dataset("digits", config)
    found = cycles_per_sample(config, data, before=20, samples=40)
    for mode, own in found.items():
        cycles = trace_samples(config, data, samples=40, before=20, seed=0,
                               train=mode == "training", tick=lambda count: None).cycles(config)
        assert own["cycles"] == float(cycles.cascade) >= float(cycles.slowest.cycles)
    assert set(found) == {"training", "inference"}
    assert found["inference"]["cycles"] < found["training"]["cycles"]
    assert 0 < found["inference"]["additions"] < found["training"]["additions"]
    lanes = sum(unit.lanes for unit in config.units)
    assert all(own["additions"] / own["cycles"] < lanes for own in found.values())
    assert cycles_per_sample(config, data, before=20, samples=40) == found


def test_rates():
    found = rates({"training": {"cycles": 200.0, "additions": 50.0}}, 100.0)
    assert found == {"training": {"cycles": 200.0, "additions": 50.0, "samples_per_second": 500_000.0,
                                  "additions_per_second": 25_000_000.0}}
    assert rates({"training": {"cycles": 200.0, "additions": 50.0}}, None)["training"] == {
        "cycles": 200.0, "additions": 50.0}
