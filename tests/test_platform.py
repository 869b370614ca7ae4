"""Memories of generated Verilog: RAM in every family, without any macro."""

import json
import re

import pytest
from amaranth.back.rtlil import convert
from installed import needs

from spikeloom.gen.platform import MemoryPlatform
from spikeloom.rtl.store import Store
from spikeloom.synth.tools import run_once

#: Depth, width, bits per write enable: a weight memory, a deep one, one as shallow as a distributed RAM; and a width
#: that no RAM has.
SHAPES = [(256, 16, 8), (2048, 24, 12), (16, 12, 12), (500, 37, 37)]
#: Command of Yosys -> beginnings of the cells that are RAM there: block, distributed.
FAMILIES = {
    "synth_ice40": (("SB_RAM40",), ()),
    "synth_ecp5": (("DP16KD", "PDPW16KD"), ("TRELLIS_DPR",)),
    "synth_xilinx -family xc7 -noiopad": (("RAMB",), ("RAM32", "RAM64")),
    "synth_gowin -noiopads": (("DP", "SDP"), ("RAM16S",)),
    "synth_intel_alm -noiopad -family cyclonev": (("MISTRAL_M10K",), ("MISTRAL_MLAB",)),
}


def memory_text(style):
    """The memory module as `generate` writes it."""
    platform = MemoryPlatform("core")
    convert(Store(width=8, depth=4, granule=4, style=style), platform=platform)
    return platform.text()


def cells(family, style, root):
    """Of every shape: how many cells of each type, when `family` takes the module as it is."""
    name = "core_memory" + ("" if style == "auto" else f"_{style}")
    script = ["read_verilog -nosynthesis memory.v"]
    for depth, width, granule in SHAPES:
        script += [f"design -push-copy\nchparam -set DEPTH {depth} -set WIDTH {width} -set GRANULE {granule} "
                   f"-set ADDRESS {(depth - 1).bit_length()} {name}\n{family} -top {name}",
                   f"tee -q -o {depth}.json stat -json\ndesign -pop"]
    folder, _ = run_once(root, "yosys", arguments=["-Q", "-T", "-s", "run.ys"], files={
        "memory.v": memory_text(style), "run.ys": "\n".join(script) + "\n"})
    found = [json.loads((folder / f"{depth}.json").read_text())["design"] for depth, _, _ in SHAPES]
    return [design["num_cells_by_type"] for design in found]


def test_nothing_hangs_on_a_macro_but_the_check():
    """Neither SYNTHESIS, which not every tool defines, nor the name of a tool."""
    assert re.findall(r"`\w+.*", memory_text("auto")) == ["`ifdef SPIKELOOM_CHECK", "`endif"]


@needs("yosys")
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_it_for_ram(family, tmp_path):
    """No word in flip-flops, whatever the tool defines or not."""
    block, distributed = FAMILIES[family]
    for shape, found in zip(SHAPES, cells(family, "auto", tmp_path)):
        depth, width, _ = shape
        rams = {kind: count for kind, count in found.items() if kind.startswith(block + distributed)}
        flops = sum(count for kind, count in found.items() if "DFF" in kind or "FD" in kind or kind.endswith("_FF"))
        assert rams, (shape, found)
        assert flops <= 2 * width, (shape, found)  # of a distributed one, what was read
        if depth > 64:
            assert all(kind.startswith(block) for kind in rams), (shape, found)


@needs("yosys")
@pytest.mark.parametrize("style, kinds", [("block", {"DP16KD", "PDPW16KD"}), ("distributed", {"TRELLIS_DPR16X4"})])
def test_a_style_is_obeyed(style, kinds, tmp_path):
    """Beside the attributes for other tools, of which Yosys knows some."""
    for found in cells("synth_ecp5", style, tmp_path):
        rams = {kind for kind in found if "DP" in kind}
        assert rams and rams <= kinds, found
