"""Generated text in other tools: whole cores run in an event-driven simulator, in both of its languages."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spikeloom.gen import presets
from spikeloom.gen import text as finishing
from spikeloom.gen.generate import generate, generate_text
from spikeloom.gen.testbench import make_stimulus, write_testbench
from spikeloom.sim import build
from strategies import small
from test_cosim import EVENTS, IMAGES

DENSE = small(update={"rounding": "stochastic"})


@pytest.fixture(scope="module")
def text():
    return generate_text(presets.find("tiny"))


def icarus(config, folder, mode, edit=str, edit_bench=str, options=()):
    """A running simulation of the bench of `config`; `edit` changes the Verilog of the core, `edit_bench` its own."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    verilog, contract = generate(config, folder)
    verilog.write_text(edit(verilog.read_text()))
    bench, *_ = write_testbench(config, contract, make_stimulus(config, samples=4))
    bench.write_text(edit_bench(bench.read_text()))
    subprocess.run(["iverilog", f"-g{mode}", *options, "-o", "core", "-c", f"{config.name}.f"], cwd=folder, check=True)
    return subprocess.Popen(["vvp", "-n", "core"], cwd=folder, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("mode", ["2005", "2012"])
@pytest.mark.parametrize("config", [DENSE, *(pytest.param(config, marks=pytest.mark.long)
                                             for config in (IMAGES, EVENTS))], ids=lambda config: config.name)
def test_icarus_runs_a_core(config, mode, tmp_path):
    """Weights written, samples inferred and trained, everything read back: equal to the golden model."""
    printed, _ = icarus(config, tmp_path, mode, options=["-DSPIKELOOM_CHECK"]).communicate(timeout=600)
    assert re.fullmatch(r"PASS: .* are as predicted, .*\n", printed)


def declared(bench):
    """A bench as many write it: registers get their first value where they are declared."""
    def one(found):
        kind, names, first, value = found.groups()
        begins = re.findall(r"[a-z_]+", first)
        return f"reg {kind or ''}" + ", ".join(
            f"{name} = {value}" if name in begins else name for name in names.split(", ")) + ";"

    changed = re.sub(r"reg (\[\S+\] )?([a-z_, ]+); initial (\w+|{[a-z_, ]+}) = (\S+);", one, bench)
    assert "reg samples_valid = 0, results_ready = 0, request_valid = 0;" in changed and "reg clk = 0;" in changed
    return changed


def test_a_core_that_sleeps_is_seen(tmp_path):
    """SystemVerilog sets such registers before processes begin: without the change at time 0, nobody wakes."""
    with icarus(DENSE, tmp_path, "2012", lambda text: text.replace("; initial \\$wake  <= 0;", " = 0;"),
                declared) as run:
        assert re.search(r"unknown handshake|xxxx, predicted", run.stdout.readline())
        run.kill()


def test_every_process_wakes(text):
    processes = re.findall(r"^  always @\*(.*?\n.*?)\n", text, re.MULTILINE)
    assert len(processes) > 100
    assert set(processes) == {" begin\n    if (\\$wake ) begin end"}
    assert "$auto$" not in text


def test_no_declaration_sets_a_register(text):
    assert not re.findall(r"^ *reg [^;]*=", text, re.MULTILINE)
    assert len(re.findall(r"^  reg (?:signed )?(?:\[\d+:0\] )?(\S+) *; initial \1 *= \S+;$", text, re.MULTILINE)) > 500


@pytest.mark.parametrize("options", [[], ["-Wall"]], ids=["plain", "all"])
def test_verilator_has_nothing_to_say(text, options, tmp_path):
    (tmp_path / "tiny.v").write_text(text)
    done = subprocess.run(["verilator", "--lint-only", *options, "tiny.v"], cwd=tmp_path, check=False,
                          env=build.environment(), capture_output=True, text=True)
    assert (done.returncode, re.findall("^%.*", done.stderr, re.MULTILINE)) == (0, [])


@pytest.mark.parametrize("make", [build.build, build.build_driver])
def test_no_bench_without_the_check_of_memories(make, models, monkeypatch):
    monkeypatch.setattr(build, "OPTIONS", [])
    with pytest.raises(build.SimulationError, match="could not be built") as caught:
        make(DENSE, root=models)
    assert "SPIKELOOM_CHECK_must_be_defined" in Path(str(caught.value).rpartition("see ")[2]).read_text()


def module(name, *lines):
    return "\n".join([f"module {name}(a);", "  input a;", *lines, "endmodule", "", ""])


def below(kind, name):
    return f"  {kind} {name} (\n    .a(a)\n  );"


def test_equal_modules_are_one():
    """Where they are equal but for equal modules below, too; instances keep their names."""
    first, second, third = (module(f"\\t.{name} ", below(f"\\t.{name}.leaf ", "leaf")) for name in ("a", "b", "c"))
    leaves = [module(f"\\t.{name}.leaf ", f"  wire {wire};") for name, wire in zip("abc", "xxy")]
    top = module("t", *(below(f"\\t.{name} ", name) for name in "abc"))
    shared = finishing.share("".join([top, first, leaves[0], second, leaves[1], third, leaves[2]]))
    assert shared == "".join([top.replace("\\t.b  b", "\\t.a  b"), first, leaves[0], third, leaves[2]])
    assert finishing.share(shared) == shared
    assert finishing.instances(shared, "t") == {
        "t": "t", "t.a": "t.a", "t.a.leaf": "t.a.leaf", "t.b": "t.a", "t.b.leaf": "t.a.leaf", "t.c": "t.c",
        "t.c.leaf": "t.c.leaf"}


def test_parameters_are_part_of_a_module():
    top = module("t", *(below(f"\\t.{name} ", name) for name in "ab"))
    stores = [module(f"\\t.{name} ", f"  ram #(\n    .DEPTH(32'd{depth})\n  ) ram (\n    .a(a)\n  );")
              for name, depth in (("a", 4), ("b", 8))]
    whole = "".join([top, *stores, "module ram #(parameter DEPTH = 1) (\n  input a);\nendmodule\n"])
    assert finishing.share(whole) == whole
    assert list(finishing.instances(whole, "t").items())[-1] == ("t.b.ram", "ram")


def test_every_instance_stays(text, monkeypatch):
    monkeypatch.setattr(finishing, "share", str)
    whole = generate_text(presets.find("tiny"))
    kept, all_of_them = (finishing.instances(own, "tiny") for own in (text, whole))
    assert list(kept) == list(all_of_them)
    assert all(path in (module, module + ".ram") or "memory" in module for path, module in all_of_them.items())
    assert len(set(kept.values())) < 0.7 * len(set(all_of_them.values()))
    first = "tiny.block0.layer0.forward.neuron0"
    assert {kept[f"tiny.block0.layer0.forward.neuron{lane}"] for lane in range(4)} == {first}
