"""Exported checkpoints, read back by what they are for: a simulator's `$readmemh`, a C compiler, NumPy."""

import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from test_contents import CONFIG, trained

from spikeloom.gen.export import FORMATS, export_state
from spikeloom.gen.state import state_from_words, state_reads, state_writes
from spikeloom.golden.checkpoint import state_arrays
from spikeloom.rtl.registers import RegisterMap


@pytest.fixture(scope="module")
def state():
    return trained(CONFIG)


def same(found, state):
    wanted = state_arrays(state)
    return all(np.array_equal(found[name], wanted[name]) for name in wanted)


def read_back(image, state):
    """Whether a driver that writes `image`, a dict from address to word, loads the state."""
    registers = RegisterMap(CONFIG)
    words = {name: [image[base + place] for place in range(count)] for name, (base, count) in
             state_reads(registers).items() if not name.startswith("counter:")}
    return same(state_from_words(registers, words), state)


def test_hex(state):
    name, text = export_state(CONFIG, state, "hex")
    image, address = {}, 0
    for line in text.splitlines():
        if line.startswith("@"):
            address = int(line[1:], 16)
        elif not line.startswith("//"):
            assert re.fullmatch("[0-9a-f]{8}", line)
            image[address], address = int(line, 16), address + 1
    assert name == "filled_state.hex"
    assert read_back(image, state)


def test_icarus_reads_it(state, tmp_path):
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    name, text = export_state(CONFIG, state, "hex")
    size = 1 << RegisterMap(CONFIG).address_bits
    (tmp_path / name).write_text(text)
    (tmp_path / "read.v").write_text(f"""
module read;
  reg [31:0] image [0:{size - 1}];
  integer i;
  initial begin
    $readmemh("{name}", image);
    for (i = 0; i < {size}; i = i + 1) if (^image[i] !== 1'bx) $display("%0d %0d", i, image[i]);
  end
endmodule
""")
    subprocess.run(["iverilog", "-o", "read", "read.v"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "read"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert read_back(dict(tuple(map(int, line.split())) for line in done.stdout.splitlines()), state)


@pytest.mark.parametrize("compiler", ["gcc -std=c99", "g++ -std=c++17"])
def test_c(compiler, state, tmp_path):
    """Compiled without a warning, also twice included; written by a loop, it is the state."""
    name, text = export_state(CONFIG, state, "c")
    (tmp_path / name).write_text(text)
    source = tmp_path / ("main.c" if compiler.startswith("gcc") else "main.cpp")
    source.write_text(f"""
#include <stdio.h>
#include "{name}"
#include "{name}"
int main(void) {{
  unsigned i, j;
  for (i = 0; i < sizeof filled_state / sizeof filled_state[0]; i++)
    for (j = 0; j < filled_state[i].count; j++)
      printf("%u %u\\n", (unsigned)(filled_state[i].address + j), (unsigned)filled_state[i].values[j]);
  return FILLED_CONFIGURATION == 0x{CONFIG.hash[:8]}u ? 0 : 1;
}}
""")
    subprocess.run([*compiler.split(), "-Wall", "-Wextra", "-Werror", "-pedantic", source.name, "-o", "main"],
                   cwd=tmp_path, check=True)
    done = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert read_back(dict(tuple(map(int, line.split())) for line in done.stdout.splitlines()), state)


def test_npz(state):
    name, content = export_state(CONFIG, state, "npz")
    with np.load(io.BytesIO(content)) as arrays:
        assert str(arrays["configuration"]) == CONFIG.text
        assert arrays["decays"] == state.shift - CONFIG.update.shift and arrays["since_decay"] == state.since_decay
        for place, unit in enumerate(CONFIG.units):
            assert np.array_equal(arrays[f"{unit.path}.weight"], state["weight"][place].numpy())
            assert np.array_equal(arrays[f"{unit.path}.velocity"], state["velocity"][place].numpy())
            assert arrays[f"{unit.path}.lfsr"].tolist() == state["lfsr"][place]
        assert arrays["block0.layer0.dropout"].tolist() == state["dropout"][0]
    assert name == "filled_state.npz"


def test_every_write_is_in_range(state):
    """What is exported is what a host may write: no value is refused."""
    regions = {region.base: region for region in RegisterMap(CONFIG).regions.values()}
    for base, values in state_writes(RegisterMap(CONFIG), state_arrays(state)):
        limits = regions[base].values
        assert all(limits.minimum <= value <= limits.maximum for value in values)


def test_same_bytes_again(state):
    assert all(export_state(CONFIG, state, form) == export_state(CONFIG, state, form) for form in FORMATS)
