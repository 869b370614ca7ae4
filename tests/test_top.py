"""Reset and clock enable of a core: the same results, whatever the kind."""

import itertools
import json
import re
import shutil
import subprocess

import pytest
from test_text import icarus

from spikeloom.gen.generate import generate, generate_text
from spikeloom.gen.platform import MemoryPlatform
from spikeloom.sim.cosim import Mismatch, cosimulate
from spikeloom.sim.sweep import stimulus
from strategies import small

KINDS = [{"reset": reset, "reset_active": active, "clock_enable": enable} for reset, active, enable in
         itertools.product(("sync", "async"), ("high", "low"), (False, True))]
#: Everything that differs from the default at once; momentum and dropout, so that every kind of memory is there.
OTHER = KINDS[-1]


def core(hardware):
    return small(hardware=hardware, update={"rounding": "stochastic", "momentum": {
        "multiplier": 14, "shift": 4, "width": 14}})


@pytest.mark.parametrize("hardware", [OTHER, *(pytest.param(own, marks=pytest.mark.long) for own in KINDS[1:-1])],
                         ids=lambda own: "-".join(map(str, own.values())))
def test_the_same_in_every_enabled_cycle(hardware, models, tmp_path):
    """Every bit of every cycle, and all counters: cycles in which the core is not enabled, at random, do not exist."""
    config = core(hardware)
    assert len(list(cosimulate(config, stimulus(config, 3), root=models, folder=tmp_path, cycle_level=True, seed=4,
                               sample_pause=40, result_pause=40))) == 3


@pytest.mark.long
def test_memories_that_do_not_stand_still_are_seen(models, tmp_path, monkeypatch):
    monkeypatch.setattr(MemoryPlatform, "_enabled", lambda self, en: en)
    config = core(OTHER)
    with pytest.raises(Mismatch):
        list(cosimulate(config, stimulus(config, 3), root=models, folder=tmp_path, cycle_level=True, seed=4,
                        text=generate_text(config)))


@pytest.mark.parametrize("mode", ["2005", pytest.param("2012", marks=pytest.mark.long)])
def test_bench_without_python(mode, tmp_path):
    printed, _ = icarus(core(OTHER), tmp_path, mode).communicate(timeout=600)
    assert re.fullmatch(r"PASS: .* are as predicted, .*\n", printed)


BENCH = """
module bench;
  reg clk = 0, active = 1, en = 1, ask = 0;
  wire ready;
  task step; begin #1 clk = 1; #1 clk = 0; #1; end endtask
  little core (.clk(clk), {control}, .request_valid(ask), .request_ready(ready), .request_payload(0),
    .response_ready(1'b0), .samples_valid(1'b0), .results_ready(1'b0));
  initial begin
    #1 step; active = 0;
    ask = {disabled}; en = !ask; step; $write("%b ", ready);  // where it is not enabled, nothing is taken
    ask = 1; en = 1; step; ask = 0; $write("%b ", ready);     // the request was taken
    en = !{disabled};
    active = 1; #1 $write("%b ", ready);                      // reset without a clock
    step; $write("%b\\n", ready);                             // and with one, enabled or not
  end
endmodule
"""


@pytest.mark.parametrize("hardware", [
    pytest.param(own, marks=[] if place in (0, 3, 4, 7) else pytest.mark.long) for place, own in enumerate(KINDS)],
    ids=lambda own: "-".join(map(str, own.values())))
def test_when_reset_acts(hardware, tmp_path):
    """The register port is ready while it is idle, and not while it serves a request."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    verilog, contract = generate(small(hardware={"counters": False, **hardware}), tmp_path)
    said = json.loads(contract.read_text())
    assert said["clock"] == {"port": "clk", "edge": "rising"}
    reset, enable = said["reset"], said["clock_enable"]
    assert (reset["kind"], reset["active"]) == (hardware["reset"], hardware["reset_active"])
    control = [f".{reset['port']}({'active' if reset['active'] == 'high' else '!active'})"]
    control += [f".{enable['port']}(en)"] if enable else []
    assert (enable is None) != hardware["clock_enable"]
    assert {"clk", reset["port"]} | ({enable["port"]} if enable else set()) == {
        port["name"] for port in said["ports"]} & {"clk", "rst", "rst_n", "clk_en"}
    (tmp_path / "bench.v").write_text(BENCH.format(control=", ".join(control), disabled=int(enable is not None)))
    subprocess.run(["iverilog", "-g2012", "-o", "core", "-s", "bench", verilog, "bench.v"], cwd=tmp_path, check=True)
    printed = subprocess.run(["vvp", "-n", "core"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["1", "0", str(int(reset["kind"] == "async")), "1"]
