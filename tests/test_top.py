"""Reset and clock enable of a core: the same results, whatever the kind."""

import itertools
import json
import re
import shutil
import subprocess

import pytest
from test_text import icarus

from bench.sweep import stimulus
from spikeloom.gen.generate import generate, generate_text
from spikeloom.gen.platform import MemoryPlatform
from spikeloom.sim.cosim import Mismatch, cosimulate
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
  reg clk = 0, active = 1, en = 1, offers = 0;
  wire error;
  task steps; input integer count; begin repeat (count) begin #1 clk = 1; #1 clk = 0; end #1; end endtask
  little core (.clk(clk), {control}, .request_valid(1'b0), .samples_valid(offers), .samples_payload(0),
    .results_ready(1'b0), .error(error));
  initial begin
    #1 steps(1); active = 0;
    offers = {enable}; en = !{enable}; steps(8); $write("%b ", !error);  // where it is not enabled, nothing is taken
    offers = 1; en = 1; steps(1); offers = 0; steps(7); $write("%b ", !error);  // a value that no sample begins with
    en = !{enable};
    active = 1; #1 $write("%b ", !error);         // reset without a clock
    steps(1); #1 $write("%b\\n", !error);         // and with one, enabled or not
  end
endmodule
"""


@pytest.mark.parametrize("hardware", [
    pytest.param(own, marks=[] if place in (0, 3, 4, 7) else pytest.mark.long) for place, own in enumerate(KINDS)],
    ids=lambda own: "-".join(map(str, own.values())))
def test_when_reset_acts(hardware, tmp_path):
    """It takes back the pin `error`, which a value outside of any sample has set."""
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
    (tmp_path / "bench.v").write_text(BENCH.format(control=", ".join(control), enable=int(enable is not None)))
    subprocess.run(["iverilog", "-g2012", "-o", "core", "-s", "bench", verilog, "bench.v"], cwd=tmp_path, check=True)
    printed = subprocess.run(["vvp", "-n", "core"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["1", "0", str(int(reset["kind"] == "async")), "1"]
