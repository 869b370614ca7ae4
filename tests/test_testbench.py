"""The generated bench: it passes in more than one simulator, and it fails when anything is wrong."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spikeloom.gen import presets
from spikeloom.gen.generate import generate
from spikeloom.gen.testbench import make_stimulus, write_testbench
from spikeloom.golden.config import ConfigError
from spikeloom.golden.data import load_dataset
from spikeloom.sim import build
from strategies import small
from test_cosim import EVENTS, IMAGES

DENSE = small(update={"rounding": "stochastic"})


def write(config, folder, samples=4):
    _, contract = generate(config, folder)
    write_testbench(config, contract, make_stimulus(config, samples=samples))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A folder with the bench of a small core, compiled by Verilator; what it reads can be changed."""
    folder = tmp_path_factory.mktemp("bench")
    write(DENSE, folder)
    verilate(folder, DENSE)
    return folder


def verilate(folder, config):
    subprocess.run(
        ["verilator", "--binary", "--timing", "--output-split", "0", "-CFLAGS", "-std=c++20 -O0", "-f",
         f"{config.name}.f", "--top-module", f"{config.name}_bench", "--Mdir", "obj"],
        cwd=folder, check=True, env=build.environment(), capture_output=True)


def run(folder, config):
    done = subprocess.run([folder / "obj" / f"V{config.name}_bench"], cwd=folder, check=True, capture_output=True,
                          text=True, timeout=300)
    *differences, last = [line for line in done.stdout.splitlines() if not line.startswith("- ")]
    return differences, last


def test_passes(compiled):
    differences, last = run(compiled, DENSE)
    assert differences == []
    assert re.fullmatch(r"PASS: 4 results and \d+ registers are as predicted, \d+ cycles", last)


@pytest.mark.long
@pytest.mark.parametrize("config", [IMAGES, EVENTS], ids=lambda config: config.name)
def test_images_and_events_pass(config, tmp_path):
    write(config, tmp_path, samples=8)
    verilate(tmp_path, config)
    differences, last = run(tmp_path, config)
    assert differences == []
    assert last.startswith("PASS: 8 results")


@pytest.mark.parametrize("file, first", [
    ("load", r"(register|result) \S+ in cycle \d+: .*|cycle \d+: the response to a register access is .*, not ok"),
    ("results", r"result \d+ in cycle \d+: [0-9a-f]+, predicted [0-9a-f]+"),
    ("checks", r"register [0-9a-f]+ in cycle \d+: [0-9a-f]+, predicted [0-9a-f]+"),
])
@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_fails_for_one_wrong_bit(file, first, place, compiled):
    """In the first or last word of any file; the last thing loaded is out of range then."""
    path = compiled / f"{DENSE.name}_{file}.hex"
    text = path.read_text()
    lines = text.splitlines()
    words = [number for number, line in enumerate(lines) if not line.startswith("//")]
    lines[words[place]] = f"{int(lines[words[place]], 16) ^ 1:0{len(lines[words[place]])}x}"
    try:
        path.write_text("\n".join(lines) + "\n")
        differences, last = run(compiled, DENSE)
    finally:
        path.write_text(text)
    assert re.fullmatch(first, differences[0])
    assert re.fullmatch(r"FAIL: [1-9]\d* differences, after 4 of 4 results, in cycle \d+", last)


def test_fails_for_samples_that_are_lost(compiled):
    """A frame that never ends gives no result: the watchdog ends the run."""
    path = compiled / f"{DENSE.name}_samples.hex"
    text = path.read_text()
    lines = text.splitlines()
    size = DENSE.input.size
    try:
        path.write_text("\n".join([*lines[:size - 1], lines[0], *lines[size:]]) + "\n")
        differences, last = run(compiled, DENSE)
    finally:
        path.write_text(text)
    assert any("nothing happened for" in line for line in differences)
    assert re.fullmatch(r"FAIL: [1-9]\d* differences, after [0-3] of 4 results, in cycle \d+", last)


@pytest.mark.parametrize("config, options", [
    (DENSE, {}), (DENSE, {"pause": 0, "load": False}), (EVENTS, {"seed": 1})], ids=["pauses", "no pause", "events"])
def test_verilator_has_nothing_to_say(config, options, tmp_path):
    """With all warnings, of the bench and its core."""
    _, contract = generate(config, tmp_path)
    write_testbench(config, contract, make_stimulus(config, samples=2), **options)
    done = subprocess.run(["verilator", "--lint-only", "-Wall", "--timing", "-f", f"{config.name}.f", "--top-module",
                           f"{config.name}_bench"], cwd=tmp_path, check=False, env=build.environment(),
                          capture_output=True, text=True)
    assert (done.returncode, re.findall("^%.*", done.stderr, re.MULTILINE)) == (0, [])


@pytest.fixture(scope="module", params=["2005", "2012"])
def run_by_icarus(request, compiled):
    """The same bench, run by Icarus in a folder; returns the lines that it prints."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    core = compiled / f"icarus{request.param}"
    subprocess.run(["iverilog", f"-g{request.param}", "-o", core, "-c", f"{DENSE.name}.f"], cwd=compiled, check=True)
    return lambda folder: subprocess.run(["vvp", "-n", core], cwd=folder, check=True, capture_output=True, text=True,
                                         timeout=300).stdout.splitlines()


def test_no_file_is_there(run_by_icarus, tmp_path):
    """As in another folder: all of them are named, and the run ends before its first cycle."""
    *files, last = run_by_icarus(tmp_path)
    assert files == [f"{DENSE.name}_{file}.hex: must be in the folder where the simulator runs"
                     for file in ("load", "samples", "results", "checks")]
    assert last == "FAIL: 4 differences, after 0 of 4 results, in cycle 0"


@pytest.mark.parametrize("file", ["load", "samples", "results", "checks"])
def test_a_file_is_cut(file, compiled, run_by_icarus, tmp_path):
    for path in compiled.glob("*.hex"):
        shutil.copy(path, tmp_path)
    path = tmp_path / f"{DENSE.name}_{file}.hex"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    *files, last = [line for line in run_by_icarus(tmp_path) if "WARNING" not in line]
    words = sum(not line.startswith("//") for line in lines)
    assert files == [f"{path.name}: must have {words} words"]
    assert last.startswith("FAIL: 1 differences, after 0 of 4 results")


@pytest.mark.parametrize("port", ["samples_ready", "results_valid", "request_ready", "response_valid"])
def test_an_unknown_handshake_ends(port, compiled, tmp_path):
    """Nothing drives it: the watchdog sees no progress, although it can see no standstill either."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    for path in compiled.glob("little*.*"):
        shutil.copy(path, tmp_path)
    bench = tmp_path / f"{DENSE.name}_bench.v"
    bench.write_text(bench.read_text().replace(f".{port}({port})", f".{port}()"))
    subprocess.run(["iverilog", "-g2005", "-o", "core", "-c", f"{DENSE.name}.f"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "core"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1].startswith("FAIL: ")


@pytest.mark.parametrize("file", ["load", "samples", "results", "checks"])
def test_verilator_names_a_file_that_is_missing(file, compiled):
    """It knows no X."""
    path = compiled / f"{DENSE.name}_{file}.hex"
    hidden = path.rename(path.with_suffix(".away"))
    try:
        (first, *_), last = run(compiled, DENSE)
    finally:
        hidden.rename(path)
    assert first == f"{path.name}: must be in the folder where the simulator runs"
    assert last.startswith("FAIL: ")


@pytest.mark.parametrize("mode, trains", [("train", {True}), ("infer", {False}), ("mixed", {True, False})])
def test_modes(mode, trains):
    config = small(update={"batch": 4}, hardware={"sample_slots": 4})
    stimulus = make_stimulus(config, samples=30, mode=mode)
    assert len(stimulus.labels) == len(stimulus.frames) == 32
    assert set(stimulus.trains.tolist()) == trains
    assert (stimulus.trains.reshape(-1, 4) == stimulus.trains[::4, None]).all()


def test_chosen_data():
    config = presets.find("tiny")
    data = load_dataset("digits", config)
    stimulus = make_stimulus(config, data, samples=3, seed=1)
    again, other = (make_stimulus(config, data, samples=3, seed=seed) for seed in (1, 2))
    assert stimulus.frames.max() == 16 and stimulus.frames.shape == (3, 64)
    assert np.array_equal(stimulus.frames, again.frames) and not np.array_equal(stimulus.frames, other.frames)


@pytest.fixture
def beside(compiled, tmp_path):
    """Writes benches of the small core, beside its sidecar in a new folder; returns the texts by name."""
    contract = Path(shutil.copy(compiled / f"{DENSE.name}.json", tmp_path))

    def write(**options):
        paths = write_testbench(DENSE, contract, make_stimulus(DENSE, samples=4), **options)
        return {path.name.removeprefix(DENSE.name): path.read_text() for path in paths}

    return write


def test_same_bytes_again(beside):
    assert beside(seed=3) == beside(seed=3) != beside(seed=4)


def test_waits(beside):
    """Are all predicted without pauses; with pauses, those of the first half."""
    straight, paused = ([len(re.findall(r"// \S*\.wait\.", files["_checks.hex"])), files["_bench.v"]]
                        for files in (beside(pause=0), beside(pause=80)))
    assert straight[0] == paused[0] > 0
    assert "RESULTS_1 = 4," in straight[1] and "RESULTS_1 = 2," in paused[1]


def test_no_core_has_the_name_of_a_bench(beside):
    """Or its files would be overwritten, in either order."""
    modules = re.findall(r"^module (\w+)", beside()["_bench.v"], re.MULTILINE)
    assert modules == [f"{DENSE.name}_bench"]
    with pytest.raises(ConfigError, match="name must not end with _bench"):
        DENSE.replace(name=modules[0])


def test_file_list(beside):
    assert beside()[".f"].splitlines() == ["+define+SPIKELOOM_CHECK", f"{DENSE.name}_bench.v", f"{DENSE.name}.v"]
