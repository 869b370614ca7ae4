"""What `spikeloom doctor` lists: each tool and package, there or not, and how it is installed."""

import re
import shutil
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from spikeloom.cli import doctor

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())["project"]


@pytest.fixture
def lines(capsys):
    """Exit status, and name -> whether it is found, and what is said of it."""
    def examine():
        status = doctor.examine()
        return status, {name: (found, text) for found, name, text in re.findall(
            r"^(found|absent|MISSING) +(\S+) +(.*)$", capsys.readouterr().out, re.MULTILINE)}

    return examine


@pytest.fixture
def project(monkeypatch):
    """The package as pyproject.toml says, whatever was there when it was installed."""
    extras = [f'{package}; extra == "{extra}"' for extra, packages in PROJECT["optional-dependencies"].items()
              for package in packages]
    monkeypatch.setattr(doctor, "requires", lambda _: PROJECT["dependencies"] + extras)


def test_everything_is_found(lines):
    status, found = lines()
    assert status == 0
    for name in ("g++", "make", "perl", "verilator", "torch"):
        assert found[name][0] == "found"
    assert re.match(r"\d+\.", found["torch"][1])


def test_every_extra_is_listed(project, lines, monkeypatch):
    def version(_):
        raise PackageNotFoundError

    monkeypatch.setattr(doctor, "version", version)
    status, found = lines()
    assert status == 1 and found["numpy"] == ("MISSING", "pip install numpy")
    assert set(doctor.EXTRAS) == set(PROJECT["optional-dependencies"])
    for extra, packages in PROJECT["optional-dependencies"].items():
        for name in (re.match(r"[\w-]+", package)[0] for package in packages if "[" not in package):
            assert found[name][0] == "absent" and found[name][1].endswith(f": pip install 'spikeloom[{extra}]'")


def test_what_only_some_commands_need_is_no_failure(project, lines, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: tool in ("g++", "make", "perl") and f"/bin/{tool}")
    monkeypatch.setattr(doctor, "version", lambda _: "1.0")
    status, found = lines()
    assert status == 0
    assert found["iverilog"][0] == "absent" and found["iverilog"][1].endswith("apt install iverilog")
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    status, found = lines()
    assert status == 1 and found["g++"] == ("MISSING", "compiles the Verilated model: apt install g++")
