"""Generated files: repeatable, complete, and accepted by other tools than Verilator."""

import gc
import itertools
import json
import re
import shutil
import subprocess
import warnings
from functools import partial
from pathlib import Path

import pytest
from amaranth.back.rtlil import convert
from amaranth.hdl import Fragment, Module
from amaranth.lib import stream, wiring

from bench.draw import draw
from spikeloom.gen import presets
from spikeloom.gen.generate import generate, generate_text
from spikeloom.gen.platform import MemoryPlatform
from spikeloom.gen.text import instances
from spikeloom.gen.top import Top
from spikeloom.golden import files
from spikeloom.golden.config import ConfigError
from spikeloom.golden.counters import unit_counters
from spikeloom.golden.keywords import KEYWORDS, TAKEN
from spikeloom.golden.memories import memories
from spikeloom.golden.sections import Hardware
from spikeloom.rtl.core import Core
from spikeloom.rtl.counters import CounterBank
from spikeloom.rtl.host import HostedCore
from spikeloom.rtl.store import Store
from strategies import small


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return generate(presets.find("tiny"), tmp_path_factory.mktemp("tiny"))


def test_same_bytes_again(tiny, tmp_path):
    again = generate(presets.find("tiny"), tmp_path)
    assert [path.read_bytes() for path in tiny] == [path.read_bytes() for path in again]


def test_no_path_of_this_machine(tiny):
    for path in tiny:
        assert str(Path.cwd()) not in path.read_text()
        assert "site-packages" not in path.read_text()


def bodies(text):
    """Text of every module, by name."""
    return dict(re.findall(r"^module \\?(\S+?) ?\((.*?)^endmodule", text, re.MULTILINE | re.DOTALL))


def test_one_module_per_block_and_unit(tiny):
    modules = instances(tiny[0].read_text(), "tiny")
    for path in ("tiny", "tiny.block0", "tiny.block1", "tiny.block0.layer0", "tiny.block1.classifier"):
        assert modules[path] == path


def test_no_name_looks_like_a_bit(tiny):
    """``\\x[3]`` beside `x`: Yosys takes one for bit 3 of the other. Names stay different from each other."""
    names = re.findall(r"^  (?:wire|reg) [^;]*?\\(\S+) ;", tiny[0].read_text(), re.MULTILINE)
    assert any(re.fullmatch(r"\S+\.counts\.0", name) for name in names)
    assert not [name for name in names if "[" in name or "]" in name]
    modules = re.split(r"^module ", tiny[0].read_text(), flags=re.MULTILINE)
    for module in modules:
        own = re.findall(r"^  (?:wire|reg)(?: signed)?(?: \[\d+:0\])? (\S+)", module, re.MULTILINE)
        assert len(own) == len(set(own))


def test_elaborates_twice():
    core = Core(presets.find("tiny"))
    for _ in range(2):
        Fragment.get(core, None)


@pytest.mark.parametrize("kind", [Core, partial(HostedCore, divisor=12)])
def test_every_part_is_used(kind):
    """A part that is made and then forgotten is not in the Verilog; Amaranth says so when it is collected."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in range(4):
            Fragment.get(kind(draw(seed)), None)
        gc.collect()
        assert not [str(warning.message) for warning in caught]
        kind(draw(0))
        gc.collect()
        assert caught  # it does complain


def test_sidecar_names_exist(tiny):
    text, contract = tiny[0].read_text(), json.loads(tiny[1].read_text())
    ports = re.search(r"^module tiny\((.*?)\);", text, re.MULTILINE | re.DOTALL)[1].split(", ")
    assert sorted(ports) == [port["name"] for port in contract["ports"]]
    modules, texts = instances(text, "tiny"), bodies(text)
    for counter in contract["counters"]:
        path, register = counter["verilog"].rsplit(".", 1)
        assert f" {register};" in texts[modules[path]]
    assert contract["configuration_hash"] == presets.find("tiny").hash


def test_ports_have_plain_names(tiny):
    """That VHDL has, too: letters, digits, single underscores; of every component that becomes a module."""
    names = {port["name"] for port in json.loads(tiny[1].read_text())["ports"]}
    streams = {"samples": "valid ready payload", "results": "valid ready payload", "request": "valid ready payload",
               "response": "valid payload"}
    assert names == {"clk", "rst", "error", *(f"{name}_{part}" for name, parts in streams.items()
                                              for part in parts.split())}


def test_every_port_is_a_name_that_no_core_may_have():
    """Whatever the kind of reset, its level and the clock enable, alone or on a serial line."""
    found = set()
    for reset, active, enable in itertools.product(("sync", "async"), ("high", "low"), (False, True)):
        config = presets.find("tiny").replace(hardware={
            "reset": reset, "reset_active": active, "clock_enable": enable})
        for component in (Core(config), HostedCore(config, divisor=12)):
            found |= Top(component, config.hardware).ports.keys()
    for name in found:
        assert re.fullmatch(r"[a-z](_?[a-z0-9])*", name) and name not in KEYWORDS
    assert found == TAKEN - {"std"}


def test_ports_differ_in_their_names():
    class Twice(wiring.Component):
        a: wiring.Out(stream.Signature(1))
        a_valid: wiring.Out(1)

        def elaborate(self, platform):
            return Module()

    twice = Twice()
    with pytest.raises(ValueError, match="ports must have different names, not two a_valid"):
        Top(twice, Hardware())
    Fragment.get(twice, None)


def test_sidecar_memories_are_those_of_the_verilog(tiny):
    """Every memory of the Verilog is in the memory map with its size, and no other; it also says how they are used."""
    text, contract = tiny[0].read_text(), json.loads(tiny[1].read_text())
    found, granules, texts = {}, {}, bodies(text)
    for path, module in instances(text, "tiny").items():
        body = texts.get(module, "")  # the module of the memories itself begins otherwise
        for high, top in re.findall(r"^  reg \[(\d+):0\] \w+ \[(\d+):0\];", body, re.MULTILINE):
            found[path] = (int(top) + 1, int(high) + 1)
        for depth, granule, width in re.findall(
                r"^  tiny_memory #\(.*?DEPTH\(32'd(\d+)\).*?GRANULE\(32'd(\d+)\).*?WIDTH\(32'd(\d+)\)", body,
                re.MULTILINE | re.DOTALL):
            found[path], granules[path] = (int(depth), int(width)), int(granule)
    listed = {m["verilog"]: (max(2, m["depth"]), m["width"]) for m in contract["memories"]}
    assert found == listed
    assert granules == {f"tiny.{m.path}": m.granule or m.width for m in memories(presets.find("tiny"))
                        if not m.combinational}


MOST = small(input={"kind": "events", "shape": [1, 2, 2], "bits": 1, "fraction": 0},
             update={"batch": 2, "momentum": {"multiplier": 14, "shift": 4, "width": 14}})


@pytest.mark.parametrize("config", [presets.find("tiny"), MOST], ids=["frames", "events, batch, momentum"])
def test_words_of_memories_can_be_written_by_their_names(config, tmp_path):
    """As ``$readmemh`` and debuggers do: the last word of each is there, and has its width."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    verilog, contract = generate(config, tmp_path)
    listed = json.loads(contract.read_text())["memories"]
    lines = [f"""    {own["words"]}[{own["depth"] - 1}] = {{{own["width"]}{{1'b1}}}};
    if ({own["words"]}[{own["depth"] - 1}] !== {{{own["width"]}{{1'b1}}}} || $bits({own["words"]}[0]) != {own["width"]})
      $display("{own["words"]}");""" for own in listed]
    bench = "\n".join(["module bench;", f"  {config.name} {config.name} ();", "  initial begin", *lines,
                       '    $display("all");', "  end", "endmodule", ""])
    (tmp_path / "bench.v").write_text(bench)
    subprocess.run(["iverilog", "-g2012", "-o", "bench", "-s", "bench", "bench.v", verilog], cwd=tmp_path,
                   check=True, capture_output=True)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "all\n"


def test_text_does_not_grow_with_memories():
    tiny = presets.find("tiny")
    large = tiny.replace(input={"shape": None, "size": 64 * tiny.input.size})
    lines = [len(generate_text(config).splitlines()) for config in (tiny, large)]
    assert lines[1] < 1.05 * lines[0]


def test_registers_do_not_overlap(tiny):
    regions = sorted((r["address"], r["count"], r["name"]) for r in json.loads(tiny[1].read_text())["registers"])
    for (base, count, _), (following, _, name) in zip(regions, regions[1:]):
        assert base + count <= following, name


@pytest.mark.parametrize("seed, mode", [(1, 2005), (6, 2012)])
def test_icarus_accepts(seed, mode, tmp_path):
    """More kinds of cores than `test_text` runs."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    verilog, _ = generate(draw(seed), tmp_path)
    done = subprocess.run(["iverilog", f"-g{mode}", "-o", tmp_path / "out", verilog], capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_yosys_accepts(tiny):
    """Reads the text back and checks it: no net with two drivers or none, no missing module."""
    if not shutil.which("yosys"):
        pytest.skip("yosys is not installed")
    script = f"read_verilog -sv {tiny[0]}; hierarchy -check -top tiny; proc; check -assert"
    done = subprocess.run(["yosys", "-q", "-p", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
    def broken(source, target):
        raise OSError("no space left")

    monkeypatch.setattr(files.os, "replace", broken)
    with pytest.raises(OSError, match="no space left"):
        generate(presets.find("tiny"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_preset():
    form = r"must be a \.toml file, a checkpoint \(\.npz\) or one of alexnet, .*, tiny, not 'huge'"
    with pytest.raises(ConfigError, match=form):
        presets.find("huge")


@pytest.mark.parametrize("kind", ["weight", "potential", "history", "error", "input"])
def test_memory_style(kind):
    """Each choice reaches the memories that the map says, and no others; with momentum, and with events."""
    for changes in ({}, {"input": {"kind": "events", "size": None, "shape": [8, 8, 1], "bits": 1, "fraction": 0},
                         "update": {"momentum": {"multiplier": 230, "shift": 8, "width": 24}}}):
        config = presets.find("tiny").replace(layers=[{"neurons": 5, "lanes": 2}], classifier={"lanes": 2},
                                              hardware={"memory": {kind: "block"}}, **changes)
        text = generate_text(config)
        assert re.search(r'\(\* no_rw_check, ram_style = "block", [^;]* \*\)\n  reg \[WIDTH-1:0\] words', text)
        users = [path.removesuffix(".ram") for path, module in instances(text, "tiny").items()
                 if module == "tiny_memory_block"]
        chosen = [f"tiny.{memory.path}" for memory in memories(config) if memory.style == "block"]
        assert sorted(users) == sorted(chosen) != []


def test_reading_what_is_written_gives_wrong_bits(tmp_path):
    """Where benches ask for it, so that no co-simulation passes that depends on what a RAM does then."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    platform = MemoryPlatform("core")
    convert(Store(width=8, depth=4, granule=4), platform=platform)
    bench = """
module bench;
  reg clk = 0; reg [1:0] en = 0, at = 0, to = 0; reg [7:0] data = 0; wire [7:0] read;
  core_memory #(.WIDTH(8), .DEPTH(4), .GRANULE(4), .ADDRESS(2)) dut
    (.clk(clk), .read_en(1'b1), .read_address(at), .read(read), .write_en(en), .write_address(to), .write(data));
  task step; begin #1 clk = 1; #1 clk = 0; $write("%h ", read); end endtask
  initial begin
    en = 3; to = 1; data = 8'h5a; at = 0; step;  // whatever was there
    en = 0; at = 1; step;                        // 5a
    en = 1; to = 1; data = 8'h33; at = 1; step;  // the old word, although only a part is written; checked, inverted
    en = 0; at = 1; step;                        // 53
    en = 3; to = 2; at = 1; step;                // another word is written: 53
  end
endmodule
"""
    (tmp_path / "bench.v").write_text(platform.text() + bench)
    for options, collision in (["-DSPIKELOOM_CHECK"], "a5"), ([], "5a"):
        subprocess.run(["iverilog", *options, "-o", tmp_path / "out", tmp_path / "bench.v"], check=True)
        found = subprocess.run([tmp_path / "out"], check=True, capture_output=True, text=True).stdout
        assert found.split()[1:] == ["5a", collision, "53", "53"]


def test_no_counters(tmp_path):
    """Without counters nothing of them is left in the core."""
    config = presets.find("tiny")
    ports = [CounterBank.port(name) for unit in config.units for name in unit_counters(config, unit)]
    text = generate_text(config)
    assert all(f" {port};" in text for port in ports) and ".counters " in text
    verilog, contract = generate(config.replace(hardware={"counters": False}), tmp_path)
    text = verilog.read_text()
    assert not any(port in text for port in ports) and ".counters " not in text
    assert json.loads(contract.read_text())["counters"] == []
