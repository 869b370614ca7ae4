"""Weights in the memories of a core at power-up: as files, in a simulator, and in block RAM."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from amaranth.back.rtlil import convert
from installed import needs

from spikeloom.gen.contents import contents
from spikeloom.gen.generate import generate
from spikeloom.gen.platform import MemoryPlatform
from spikeloom.gen.state import to_memory
from spikeloom.gen.testbench import make_stimulus, write_testbench
from spikeloom.golden.model import Golden, initial_state
from spikeloom.rtl.registers import EMPTY, FILLED, RegisterMap
from spikeloom.rtl.store import Store
from spikeloom.sim.unknown import unknown
from spikeloom.synth.tools import run_once
from strategies import small
from test_cosim import IMAGES

#: All that persists: weights, velocities, LFSRs of updates and of dropout, learning rate; memories of one word, too.
CONFIG_CHANGES = {
    "name": "filled", "time": {"steps": 4, "interval": 2}, "input": {"size": 5},
    "layers": [{"neurons": 5, "lanes": 3, "dropout": 4}, {"neurons": 1, "lanes": 1}],
    "update": {"rounding": "stochastic", "momentum": {"multiplier": 14, "shift": 4, "width": 14}, "decay_samples": 3,
               "decay_limit": 2}}
CONFIG = small(**CONFIG_CHANGES)


def trained(config, samples=4):
    """A state in which nothing is as after reset."""
    model = Golden(config, initial_state(config))
    stimulus = make_stimulus(config, samples=samples, mode="train", seed=5)
    for frame, label in zip(stimulus.frames, stimulus.labels):
        model.run(torch.as_tensor(frame), int(label), train=True)
    return model.state


@pytest.fixture(scope="module")
def state():
    found, first = trained(CONFIG), initial_state(CONFIG)
    assert found.shift != first.shift and found.since_decay and found["lfsr"] != first["lfsr"]
    assert found["dropout"] != first["dropout"] and any(velocities.any() for velocities in found["velocity"])
    return found


@pytest.fixture(scope="module")
def written(state, tmp_path_factory):
    """The files of a core with that state."""
    return generate(CONFIG, tmp_path_factory.mktemp("filled"), state)


def test_words_of_memories(state):
    found = contents(CONFIG, state)
    for place, unit in enumerate(CONFIG.units):
        for kind, matrix, width in (("weight", state["weight"][place], unit.weights.width),
                                    ("velocity", state["velocity"][place], unit.optimiser.velocity_width)):
            pitch, values = 1 << (unit.lanes - 1).bit_length(), to_memory(unit, matrix.numpy())
            words = [int(word, 16) for word in found.texts[found.files[f"{unit.path}.{kind}"]].split()]
            lanes = [(word >> width * lane & (1 << width) - 1) for word in words for lane in range(unit.lanes)]
            want = [value & (1 << width) - 1 for first in range(0, len(values), pitch)
                    for value in values[first:first + unit.lanes]]
            assert lanes == want + [0] * (len(lanes) - len(want))
            assert len(words) == max(2, unit.weight_depth)


@pytest.mark.parametrize("edit", [str, unknown], ids=["reset", "unknown"])
def test_a_core_answers_and_learns_at_power_up(edit, state, written, tmp_path):
    """No register is written; weights, velocities, random numbers and learning rate go on where they were."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    verilog, contract, *files = (Path(shutil.copy(path, tmp_path)) for path in written)
    assert len(files) == 2 * len(CONFIG.units)
    assert [path.read_text() for path in files] == list(contents(CONFIG, state).texts.values())
    verilog.write_text(edit(verilog.read_text()))
    write_testbench(CONFIG, contract, make_stimulus(CONFIG, samples=4, mode="train"), state=state, load=False)
    assert (tmp_path / "filled_load.hex").read_text() == ""
    subprocess.run(["iverilog", "-g2005", "-o", "core", "-c", "filled.f"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "core"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=600)
    assert re.fullmatch(r"PASS: 4 results .* are as predicted, .*\n", done.stdout)


def test_the_bench_names_a_memory_without_its_file(state, written, tmp_path):
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    _, contract, *files = (Path(shutil.copy(path, tmp_path)) for path in written)
    write_testbench(CONFIG, contract, make_stimulus(CONFIG, samples=4, mode="train"), state=state, load=False)
    subprocess.run(["iverilog", "-g2005", "-o", "core", "-c", "filled.f"], cwd=tmp_path, check=True)
    files[0].unlink()
    done = subprocess.run(["vvp", "-n", "core"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=600)
    assert f"\n{files[0].name}: must be in the folder where the simulator runs\nFAIL: " in done.stdout


def test_lanes_without_a_neuron_count_for_nothing(tmp_path):
    """Their weights and velocities are unknown for ever: no result, counter or other weight hears of it."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    wide = {"numbers": {"weight": {"width": 12, "fraction": 6}}}
    config = small(**CONFIG_CHANGES | wide | {"update": {**CONFIG_CHANGES["update"], "momentum": {
        "multiplier": 14, "shift": 4, "width": 16}}})
    start = trained(config)
    _, contract, *_ = generate(config, tmp_path, start)
    for kind, digits in (("velocity", 4), ("weight", 3)):
        path = tmp_path / f"filled_block0_layer0_{kind}.hex"
        lines = path.read_text().split()  # five neurons on three lanes: the second word of every row has two
        half = len(lines) // 2
        path.write_text("\n".join(lines[:half] + ["x" * digits + line[digits:] for line in lines[half:]]) + "\n")
    write_testbench(config, contract, make_stimulus(config, samples=4, mode="train"), state=start, load=False)
    subprocess.run(["iverilog", "-g2005", "-o", "core", "-c", "filled.f"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "core"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=600)
    assert re.fullmatch(r"PASS: 4 results .* are as predicted, .*\n", done.stdout), done.stdout


def test_rows_without_an_input_count_for_nothing(tmp_path):
    """Rows of an image that fill up a pixel to whole words: nobody needs to write them."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    state = initial_state(IMAGES)
    _, contract, *_ = generate(IMAGES, tmp_path, state)
    found, unused = json.loads(contract.read_text()), 0
    for region in (region for region in found["registers"] if region["array"]):
        array = region["array"]
        used = {tap * array["tap_pitch"] + channel for tap in range(array["taps"])
                for channel in range(array["input_channels"])}
        path = tmp_path / f"{IMAGES.name}_{region['name'].replace('.', '_')}.hex"
        lines = path.read_text().split()
        blank = [place for place in range(array["channel_words"] * array["rows"]) if place % array["rows"] not in used]
        for place in blank:
            lines[place] = "x" * len(lines[place])
        path.write_text("\n".join(lines) + "\n")
        unused += len(blank)
    assert unused
    write_testbench(IMAGES, contract, make_stimulus(IMAGES, samples=4, mode="train"), state=state, load=False)
    subprocess.run(["iverilog", "-g2005", "-o", "core", "-c", f"{IMAGES.name}.f"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "core"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=600)
    assert re.fullmatch(r"PASS: 4 results .* are as predicted, .*\n", done.stdout), done.stdout


def test_sidecar(state, written):
    _, contract, *files = written
    found = json.loads(contract.read_text())
    assert sorted(memory["contents"] for memory in found["memories"] if memory["contents"]) == sorted(
        path.name for path in files)
    registers = {region["name"]: region["reset"] for region in found["registers"]}
    assert registers["block0.decays"] == [state.shift - CONFIG.update.shift]
    meanings = {region["name"]: region["meaning"] for region in found["registers"] if region["array"]}
    assert len(meanings) == len(files)
    assert all(meaning == f"each {name.rpartition('.')[2]}; {FILLED}" for name, meaning in meanings.items())
    for kind in ("lfsr", "dropout"):
        assert registers[f"block0.layer0.{kind}"] == state[kind][0]


def test_without_contents_weights_are_to_be_written():
    regions = RegisterMap(CONFIG).regions.values()
    assert {region.meaning for region in regions if region.array} == {f"each {kind}; {EMPTY}" for kind in (
        "weight", "velocity")}


@needs("yosys")
@pytest.mark.parametrize("family, kind, parameter", [
    ("synth_ice40", "SB_RAM40_4K", "INIT"), ("synth_ecp5", "(DP16KD|PDPW16KD)", "INITVAL"),
    ("synth_xilinx -family xc7 -noiopad", r"RAMB\d+E1", "INIT"), ("synth_gowin -noiopads", r"S?DP\w*", "INIT_RAM"),
    ("synth_intel_alm -noiopad -family cyclonev", "MISTRAL_M10K", "INIT"),
])
def test_block_ram_begins_with_them(family, kind, parameter, tmp_path):
    """Every bit that is set in the file is set in the initial contents, which a bitstream carries."""
    platform = MemoryPlatform("core", {"weights": "weights.hex"})
    convert(Store(width=16, depth=256, granule=8, contents="weights"), platform=platform)
    words = [(place * 40503 ^ place << 3) & 0xFFFF for place in range(256)]
    folder, _ = run_once(tmp_path, "yosys", arguments=["-Q", "-T", "-s", "run.ys"], files={
        "memory.v": platform.text(), "weights.hex": "".join(f"{word:04x}\n" for word in words),
        "run.ys": "read_verilog -nosynthesis memory.v\nchparam -set DEPTH 256 -set WIDTH 16 -set GRANULE 8 "
                  f'-set ADDRESS 8 -set FILE "weights.hex" core_memory_filled\n{family} -top core_memory_filled\n'
                  "write_json netlist.json\n"})
    cells = json.loads((folder / "netlist.json").read_text())["modules"]["core_memory_filled"]["cells"].values()
    found = [value for cell in cells if re.fullmatch(kind, cell["type"])
             for name, value in cell["parameters"].items() if name.startswith(parameter)]
    assert sum(value.count("1") for value in found if set(value) <= set("01x")) == sum(map(int.bit_count, words))
