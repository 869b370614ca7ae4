"""Before a core that takes long, `generate` says so."""

import pytest
from typer.testing import CliRunner

from spikeloom.cli.commands import app
from spikeloom.gen import generate, presets
from spikeloom.gen.estimate import generation_seconds, slow
from strategies import small


@pytest.mark.parametrize("name, warns", [
    ("tiny", False), ("digits", False), ("lenet1", False), ("alexnet", True), ("alexnet_dvs", True)])
def test_only_slow_cores_are_worth_a_line(name, warns):
    line = slow(presets.find(name))
    assert (line is not None) == warns
    assert not warns or (line.startswith(f"{name}: 848 lanes in 18 units") and "\n" not in line)


def test_units_and_lanes_cost():
    one, deep = small(), small(layers=[{"neurons": 5, "lanes": 2}] * 20)
    wide = small(layers=[{"neurons": 128, "lanes": 128}] * 2)
    assert generation_seconds(one) < generation_seconds(deep)
    assert generation_seconds(one) < generation_seconds(wide)


def test_the_line_comes_before_the_work(monkeypatch, tmp_path):
    """What is to be done is not done here: it would take its time."""
    def stop(*_):
        raise RuntimeError("the work begins")

    monkeypatch.setattr(generate, "generate", stop)
    done = CliRunner().invoke(app, ["generate", "alexnet", "-o", str(tmp_path)])
    assert str(done.exception) == "the work begins"
    assert "alexnet: 848 lanes in 18 units may take" in done.stderr
    assert "may take" not in CliRunner().invoke(app, ["generate", "tiny", "-o", str(tmp_path)]).stderr
