"""The command line: what it writes, and one clear line for everything that is wrong."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.main import get_command

from spikeloom.cli.commands import app
from spikeloom.gen import presets
from spikeloom.golden.checkpoint import Checkpoint, save_checkpoint
from spikeloom.golden.config import load
from spikeloom.golden.errors import InputError
from spikeloom.golden.model import initial_state


def spikeloom(*arguments, cwd):
    return subprocess.run([sys.executable, "-c", "from spikeloom.cli.main import run; run()", *arguments], cwd=cwd,
                          capture_output=True, text=True, check=False)


def test_new_writes_a_valid_configuration(tmp_path):
    assert spikeloom("new", "mine.toml", cwd=tmp_path).returncode == 0
    assert load(tmp_path / "mine.toml") == presets.find("digits").replace(name="mine")
    again = spikeloom("new", "mine.toml", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (2, "spikeloom: mine.toml: must not exist yet\n")


def test_generate(tmp_path):
    done = spikeloom("generate", "tiny", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tiny.v", "tiny.json"}


def test_a_checkpoint_goes_into_the_core_and_out_to_others(tmp_path):
    """Its own configuration is taken; another one, and another format, are refused before anything is written."""
    tiny = presets.find("tiny")
    (tmp_path / "mine.toml").write_text(presets.text("tiny"))
    save_checkpoint(tmp_path / "trained.npz", Checkpoint(tiny, initial_state(tiny)))
    done = spikeloom("generate", "--weights", "trained.npz", "-o", "out", "--testbench", "--samples", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    memories = {f"tiny_{unit.path.replace('.', '_')}_weight.hex" for unit in tiny.units}
    bench = {"tiny.f", "tiny_bench.v", *(f"tiny_{name}.hex" for name in ("load", "samples", "results", "checks"))}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tiny.v", "tiny.json"} | memories | bench
    assert (tmp_path / "out/tiny_load.hex").read_text() == ""
    for form, name in (("hex", "tiny_state.hex"), ("c", "tiny_state.h"), ("npz", "tiny_state.npz")):
        done = spikeloom("export", "trained.npz", "--to", form, "-o", "exported", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"exported/{name}\n"), done.stderr
    for arguments, message in (
            (["export", "trained.npz", "--to", "pdf"], "--to must be one of hex, c, npz, not 'pdf'"),
            (["export", "gone.npz"], "gone.npz: not a checkpoint: No such file or directory"),
            (["export", "mine.toml"], "mine.toml: not a checkpoint, which is an .npz file that train writes: "),
            (["generate", "--weights", "mine.toml"], "mine.toml: not a checkpoint, which is an .npz file that train"),
            (["generate", "digits", "--weights", "trained.npz"], "trained.npz: belongs to configuration 'tiny', "),
            *((["generate", "tiny", f"--{option}", value], f"--{option} must come with --testbench, without which it ")
              for option, value in (("data", "digits"), ("samples", "8"), ("mode", "train"), ("pause", "0"),
                                    ("seed", "0")))):
        done = spikeloom(*arguments, "-o", "none", cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.startswith(f"spikeloom: {message}"), done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_memories_without_generating(tmp_path):
    done = spikeloom("memories", "alexnet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"all .* 563,430,321 .* exceeds VU13P: 118%", done.stdout)
    assert re.search(r"block6.layer0 +. +139,264 . 285,876,224 . history: fewer bits", done.stdout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change, message", [
    (("steps = 10 ", "steps = 11 "), "time.interval must divide time.steps = 11, not 5"),
    (("lanes = 16 ", "lanes = 0 "), "layers.0.lanes: input should be greater than or equal to 1, not 0"),
    (("classes = 10", "klasses = 10"),
     "network.klasses is not a known field (did you mean classes?), its value was 10"),
    (("[time]", "[time"), "not a TOML file"),
])
def test_wrong_configuration(change, message, tmp_path):
    (tmp_path / "wrong.toml").write_text(presets.text("digits").replace(*change))
    done = spikeloom("generate", "wrong.toml", "-o", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("spikeloom: wrong.toml: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments, message", [
    (["simulate", "tiny", "--level", "all"], "--level must be cycle or sample, not 'all'"),
    (["simulate", "tiny", "--data", "letters"],
     "data must be one of cifar10:FOLDER, cifar10dvs:FOLDER, csv:FOLDER[:SPLIT], digits, directions, "
     "dvsgesture:FOLDER, idx:FOLDER[:SPLIT], nmnist:FOLDER, npz:FILE, not 'letters'"),
    (["train", "tiny", "--data", "idx:gone"], "gone: cannot be read: No such file or directory"),
    (["simulate", "gone.toml"], "gone.toml: No such file or directory; spikeloom new gone.toml writes one, or take one "
                                f"of the presets {', '.join(presets.names())}"),
    (["synth", "tiny", "--target", "ecp6"], "--target must be one of ecp5-25, ecp5-85, ice40-up5k, xc7, not 'ecp6'"),
    (["train", "tiny", "--on", "paper"], "--on must be golden or rtl, not 'paper'"),
    (["cycles", "tiny", "--lanes", "3"], "lanes in total must be at least 4, one for each unit, not 3"),
    (["cycles", "lenet2", "--data", "digits"], "input.kind must be 'frame' for data set 'digits', not 'events'"),
    (["board", "tiny", "--board", "table"], "--board must be one of icebreaker, ulx3s-85f, not 'table'"),
    (["train", "tiny", "--driver", "cocotb"],
     "--driver must come with --on rtl, without which it counts for nothing"),
    (["train", "tiny", "--driver", "paper"], "--driver must be compiled or cocotb, not 'paper'"),
    (["simulate", "tiny", "--driver", "compiled"],
     "--driver must be cocotb for cycle level, waveform or pauses, not 'compiled'"),
])
def test_wrong_arguments(arguments, message, tmp_path):
    done = spikeloom(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"spikeloom: {message}\n")


def refused(*arguments):
    """The message of a command that is refused before it does anything."""
    with pytest.raises(InputError) as error:
        app(arguments, standalone_mode=False)
    return str(error.value)


@pytest.mark.parametrize("arguments, name", [
    (["generate", ""], "[CONFIG|PRESET]"), (["generate", "tiny", "-o", ""], "--output"),
    (["generate", "--weights="], "--weights"), (["generate", "tiny", "--testbench", "--data", ""], "--data"),
    (["new", ""], "PATH"), (["export", ""], "CHECKPOINT"), (["simulate", ""], "CONFIG"),
    (["simulate", "tiny", "--checkpoint", ""], "--checkpoint"), (["train", "tiny", "--report", ""], "--report"),
    (["train", "tiny", "--seed", ""], "--seed"), (["synth", "tiny", "--build-dir="], "--build-dir"),
    (["board", ""], "[CONFIG]"), (["cycles", "tiny", "--json", ""], "--json"), (["demo", "-o", ""], "--output"),
])
def test_empty_arguments(arguments, name):
    """Are neither the default nor the present folder."""
    assert refused(*arguments).lower() == f"{name} must not be empty".lower()


def bounds():
    """Command with its arguments, option, rule and a value beyond it, for every option with a range."""
    for name, command in get_command(app).commands.items():
        words = [name, *("tiny" for param in command.params if param.param_type_name == "argument" and param.required)]
        for param in command.params:
            for bound, step, rule in ((param.min, -1, "greater"), (param.max, 1, "less")):
                if bound is not None:
                    yield words, param.opts[-1], f"{rule} than or equal to {bound}", bound + step


def test_every_range():
    found = list(bounds())
    assert len(found) > 20 and {name for (name, *_), *_ in found} >= {"generate", "synth", "cycles", "board", "demo"}
    for words, option, rule, value in found:
        assert refused(*words, f"{option}={value}") == f"{option}: input should be {rule}, not '{value}'"


def test_values_of_another_type():
    assert refused("synth", "tiny", "--frequency", "fast") == (
        "--frequency: input should be a valid number, unable to parse string as a number, not 'fast'")


def test_an_empty_argument_is_said_in_one_line(tmp_path):
    done = spikeloom("generate", "", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "spikeloom: [CONFIG|PRESET] must not be empty\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_cycles(mode, tmp_path):
    """The suggested lanes, pasted into the configuration, give the figures that were promised."""
    def figures(config):
        options = [] if mode == "training" else ["--infer"]
        done = spikeloom("cycles", config, "--samples", "8", "--before", "64", *options, "--json", "out/figures.json",
                         cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["figures.json"]
        return done.stdout, json.loads((tmp_path / "out/figures.json").read_text())

    text, found = figures("tiny")
    present, suggested = found["present"], found["suggested"]
    assert (found["mode"], found["samples"], found["trained before"]) == (mode, 8, 64)
    assert set(present["blocks"][0]["phases"]) == {"forward"} | (
        {"backward", "update"} if mode == "training" else set())
    assert suggested["lanes"] <= present["lanes"]
    assert suggested["cycles per sample"] < present["cycles per sample"]
    pasted, lines = presets.text("tiny"), re.findall("^lanes = .*", text, re.MULTILINE)
    lanes = iter(lines)
    (tmp_path / "better.toml").write_text(re.sub("^lanes = .*", lambda _: next(lanes), pasted, flags=re.MULTILINE))
    assert list(lanes) == []
    _, again = figures("better.toml")
    assert again["present"] == {name: suggested[name] for name in again["present"]}


def test_simulate_at_sample_level(models, tmp_path):
    done = spikeloom("simulate", "mini", "--level", "sample", "--samples", "3", "--build-dir", str(models.resolve()),
                     cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no difference in 3 samples (sample level, seed 0)" in done.stdout.replace("\n", " ")


def test_train_says_what_a_folder_holds(tmp_path):
    """Nothing left to do, another seed and other data are said; another configuration has another folder."""
    def train(*options, config="tiny", data="a"):
        done = spikeloom("train", config, "--epochs", "1", "--data", f"npz:{data}.npz", *options, cwd=tmp_path)
        return done.returncode, (done.stderr if done.returncode else done.stdout).splitlines()[-1]

    for name in "ab":
        frames, labels = np.full((4, 64), ord(name) % 8, np.uint8), np.arange(4)
        np.savez(tmp_path / f"{name}.npz", x_train=frames, y_train=labels, x_test=frames, y_test=labels)
    path = f"build/train/tiny-{presets.find('tiny').hash}-golden/checkpoint.npz"
    assert train() == (0, path)
    trained = (tmp_path / path).read_bytes()
    assert train() == (0, f"{path}: nothing left to do, 1 of 1 epochs are trained; --epochs 2 trains another, "
                          "--fresh starts over")
    hint = "; --fresh starts over, -o takes another folder"
    assert train("--seed", "1") == (2, f"spikeloom: {path}: was trained with seed 0, not with 1{hint}")
    status, message = train(data="b")
    assert status == 2 and re.fullmatch(
        f"spikeloom: {path}: was trained with data [0-9a-f]{{16}}, not with [0-9a-f]{{16}}{hint}", message)
    assert (tmp_path / path).read_bytes() == trained
    assert train("--fresh", data="b") == (0, path)
    assert (tmp_path / path).read_bytes() != trained
    (tmp_path / "changed.toml").write_text(presets.text("tiny").replace("\nshift = 6", "\nshift = 7"))
    status, other = train(config="changed.toml")
    assert (status, other != path) == (0, True)
    assert re.fullmatch(r"build/train/tiny-[0-9a-f]{16}-golden/checkpoint\.npz", other)
