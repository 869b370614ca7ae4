"""Bitstreams for boards: built by the tools, or one clear reason why not, and nothing half-written."""

import json
import stat

import pytest

from spikeloom.board import build as module
from spikeloom.board.build import BoardError, build, divide, prepare
from spikeloom.gen import presets
from spikeloom.gen.contents import contents
from spikeloom.golden.config import ConfigError
from spikeloom.golden.model import initial_state
from spikeloom.rtl.host import Packets
from strategies import small

pytestmark = pytest.mark.extras

#: Small enough that a bitstream takes seconds.
CONFIG = small(layers=[{"neurons": 3, "lanes": 1}], network={"classes": 2, "block_length": 1}, input={"size": 3},
               classifier={"lanes": 1}, hardware={"counters": False}, neuron={"leak": {"form": "shift", "shift": 3}})


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Stand-ins for the tools, as shell scripts by the name of Amaranth's variable."""
    def write(**scripts):
        for variable, text in scripts.items():
            path = tmp_path / variable.lower()
            path.write_text("#!/bin/sh\n" + text)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
            monkeypatch.setenv(variable, str(path))
    return write


#: A router that succeeds, at the frequency that is put in.
ROUTED = """echo '{"fmax": {"clk": {"achieved": %s, "constraint": 12}},
  "utilization": {"ICESTORM_LC": {"used": 4, "available": 5280}}}' > report.json
: > little_icebreaker.asc
"""
#: A synthesis of nothing.
SYNTHESIZED = """echo '{"modules": {}}' > little_icebreaker.json
echo %s > little_icebreaker.rpt
"""


def test_report_and_bitstream(tools, tmp_path):
    tools(YOSYS=SYNTHESIZED % "", NEXTPNR_ICE40=ROUTED % 40, ICEPACK="echo bits > little_icebreaker.bin")
    done = []
    built = build(prepare(CONFIG, "icebreaker", baud=500_000, seed=3), tmp_path / "out", tick=done.append)
    assert built.bitstream.read_bytes() == b"bits\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "little-icebreaker.bin", "little-icebreaker.json"}
    report = json.loads(built.path.read_text())
    assert report == built.report
    chosen = ("device", "clock_mhz", "achieved_mhz", "baud", "divisor", "seed", "configuration_hash")
    assert [report[name] for name in chosen] == ["iCE40UP5K", 12, 40, 500_000, 24, 3, CONFIG.hash]
    packets = Packets(CONFIG)
    assert report["packets"]["request"]["bytes"] == packets.request_bytes
    assert report["packets"]["result"]["fields"]["prediction"] == {"offset": 8, "width": 1}
    assert done[-1] == 3 and done == sorted(done)
    verilog = prepare(CONFIG, "icebreaker").plan.files["little.v"]
    assert "module little(" in verilog and "module little_memory" in verilog


def test_weights_are_in_the_bitstream(tools):
    """A file per memory, which the Verilog names, and registers that begin as in the checkpoint."""
    tools(YOSYS="", NEXTPNR_ICE40="", ICEPACK="")
    config = CONFIG.replace(update={"decay_samples": 3, "decay_limit": 2})
    state = initial_state(config)._replace(shift=config.update.shift + 1, since_decay=2)
    plain, filled = (prepare(config, "icebreaker", state=own) for own in (None, state))
    assert (plain.report["weights"], filled.report["weights"]) == (False, True)
    texts = contents(config, state).texts
    assert {name: filled.plan.files[name] for name in texts} == texts
    assert not [name for name in plain.plan.files if name.endswith(".hex")]
    verilog = filled.plan.files["little.v"]
    assert all(f'"{name}"' in verilog for name in texts)
    assert "little_memory_filled" in verilog and "little_memory_filled" not in plain.plan.files["little.v"]


@pytest.mark.parametrize("scripts, message", [
    ({"NEXTPNR_ICE40": ROUTED % 11.5},
     r"little misses the clock of the board: 12 MHz is asked, 11.50 MHz reached with seed 3; see .*run"),
    ({"NEXTPNR_ICE40": "echo 'Info:         ICESTORM_LC:  6000/  5280   113%'; exit 1"},
     r"little does not fit iCE40UP5K: 6,000 ICESTORM_LC, there are 5,280; see .*run"),
    ({"YOSYS": "echo 'ERROR: no such cell.'; exit 1"}, r"little cannot be built: no such cell\.; see .*run"),
    ({"ICEPACK": "exit 7"}, "little cannot be built: no output; see"),
    ({"YOSYS": SYNTHESIZED % "Warning: Driver-driver conflict for x"},
     "little cannot be built: the netlist of yosys is wrong, two drivers: x; see .*run"),
])
def test_failures_leave_what_was_there(scripts, message, tools, tmp_path):
    tools(**{"YOSYS": SYNTHESIZED % "", "NEXTPNR_ICE40": ROUTED % 40,
             "ICEPACK": "echo new > little_icebreaker.bin"} | scripts)
    (tmp_path / "out").mkdir()
    before = tmp_path / "out" / "little-icebreaker.bin"
    before.write_text("before")
    with pytest.raises(BoardError, match=message):
        build(prepare(CONFIG, "icebreaker", seed=3), tmp_path / "out")
    assert before.read_text() == "before"
    assert not (tmp_path / "out" / "little-icebreaker.json").exists()


def test_wrong_arguments(monkeypatch):
    with pytest.raises(ConfigError, match="--board must be one of icebreaker, ulx3s-85f, not 'breadboard'"):
        prepare(CONFIG, "breadboard")
    monkeypatch.delenv("YOSYS", raising=False)
    monkeypatch.setattr(module.shutil, "which", lambda *_, **__: None)
    with pytest.raises(ConfigError, match=r"yosys is not installed: pip install 'spikeloom\[boards\]', or let YOSYS"):
        prepare(CONFIG, "icebreaker")


@pytest.mark.parametrize("clock, baud, divisor", [
    (12e6, 1_000_000, 12), (25e6, 1_000_000, 25), (12e6, 115_200, 104), (12e6, 3_000_000, 4), (25e6, 2_000_000, None),
    (12e6, 4_000_000, None)])
def test_bit_rate(clock, baud, divisor):
    if divisor:
        assert divide(clock, baud) == divisor
    else:
        with pytest.raises(ConfigError, match=f"--baud must be within 2% of {clock:.0f} / n, n at least 4, not {baud}"):
            divide(clock, baud)


@pytest.mark.long
@pytest.mark.parametrize("board, magic", [
    ("icebreaker", b"\x7e\xaa\x99\x7e"), ("ulx3s-85f", b"\xff\x00Part: LFE5U-85F")])
@pytest.mark.parametrize("weights", [False, True])
def test_bitstream(board, magic, weights, tmp_path):
    """All tools: a bitstream for the device, faster than the clock of the board, memories in RAM."""
    built = build(prepare(CONFIG, board, state=initial_state(CONFIG) if weights else None), tmp_path)
    assert magic in built.bitstream.read_bytes()[:200]
    assert built.report["achieved_mhz"] >= built.report["clock_mhz"]
    used = {cell: own["used"] for cell, own in built.report["utilisation"].items()}
    assert used.get("ICESTORM_RAM", 0) + used.get("TRELLIS_RAMW", 0) + used.get("DP16KD", 0) > 0


@pytest.mark.long
def test_mini_fits_the_smallest_part(tmp_path):
    """Two layers that train themselves, with host and serial line; without room to spare for half-empty tiles."""
    report = build(prepare(presets.find("mini"), "icebreaker"), tmp_path).report
    assert report["achieved_mhz"] >= 20
    assert report["utilisation"]["ICESTORM_LC"]["used"] <= report["utilisation"]["ICESTORM_LC"]["available"] == 5280


def test_packets_with_a_checksum():
    plain, checked = (module._packets(CONFIG, crc) for crc in (False, True))
    assert checked.pop("checksum") == "CRC-16/MCRF4XX, two bytes at the end"
    assert checked.keys() - plain.keys() == {"damaged"}
    for name, packet in plain.items():
        assert checked[name] == packet | {"bytes": packet["bytes"] + 2}
