"""Chips that a core can be built for: names of their cells, shapes of their memories, tools that build them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..golden.config import ConfigError
from .multipliers import absorb_registers

__all__ = ["RESOURCES", "TARGETS", "BlockShape", "Family", "LutRam", "Target", "find_target"]

#: Resource -> what is counted. LUTs include those that carry chains and distributed RAM take.
RESOURCES = {"lut": "LUT", "ff": "FF", "carry": "carry", "lutram": "LUT RAM", "bram": "block RAM", "dsp": "DSP"}


class BlockShape(NamedTuple):
    """One way to use a block RAM: `lanes` groups of `bits` bits with a write enable each, `depth` words deep."""

    depth: int
    bits: int
    lanes: int


class LutRam(NamedTuple):
    """A primitive of distributed RAM: `depth` words of `bits` bits with one write enable, in `luts` LUTs."""

    cell: str
    depth: int
    bits: int
    luts: int


@dataclass(frozen=True, kw_only=True)
class Family:
    """What all chips of a family share.

    Attributes
    ----------
    synthesis : str
        Command of Yosys.
    map_memory : str
        Label of that command at which memories are mapped; their attributes are set before it.
    block : str
        What one block RAM is, for people.
    shapes : tuple of BlockShape
    block_weight : int
        How much logic a block RAM is worth to the synthesis when it chooses a shape, in LUTs.
    lutrams : tuple of LutRam
        From shallow to deep; empty where LUTs cannot be RAM.
    cells : dict of str to dict of str to int
        Type of a cell -> how much of each of `RESOURCES` it takes.
    free : frozenset of str
        Types of cells that take nothing that is counted: multiplexers beside the LUTs, buffers of pins and clocks.
    finish : callable or None
        What is still to be done to the netlist, in place; its name is in the script of Yosys.
    """

    synthesis: str
    map_memory: str
    block: str
    shapes: tuple
    block_weight: int
    lutrams: tuple
    cells: dict
    free: frozenset
    finish: Callable | None = None

    @property
    def distributed_depth(self):
        """Deepest memory in distributed RAM: as deep as one primitive, so that no multiplexer is behind it."""
        return max((one.depth for one in self.lutrams), default=0)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One chip.

    Attributes
    ----------
    name : str
    device : str
        Part, package and speed, for people.
    family : Family
    router : str
        Program that places and routes, as its package is called; empty where there is none.
    arguments : tuple of str
        Its options for this chip.
    insistent : tuple of str
        Its options where a frequency is asked for: it goes on until no path is too long, so that it may never end.
    frequency : int
        MHz that it shall aim for otherwise.
    pins : int
        Pins of the package that a design can use; more ports than that are put behind a shift register.
    """

    name: str
    device: str
    family: Family
    router: str = ""
    arguments: tuple = ()
    insistent: tuple = ()
    frequency: int = 0
    pins: int = 1 << 30


def _each(names, **amounts):
    return {name: amounts for name in names.split()}


#: 18 kbit: 512x36 to 16Kx1, and a write enable for every 9 bits.
_SHAPES_18K = (BlockShape(512, 9, 4), BlockShape(1024, 9, 2), BlockShape(2048, 9, 1), BlockShape(4096, 4, 1),
               BlockShape(8192, 2, 1), BlockShape(16384, 1, 1))

ECP5 = Family(
    synthesis="synth_ecp5", map_memory="map_ram", block="DP16KD, 18 kbit", shapes=_SHAPES_18K,
    block_weight=128,
    lutrams=(LutRam("TRELLIS_DPR16X4", 16, 4, 4),),
    cells={**_each("LUT4", lut=1), **_each("CCU2C", lut=2, carry=1), **_each("TRELLIS_FF", ff=1),
           **_each("TRELLIS_DPR16X4", lut=4, lutram=4), **_each("DP16KD PDPW16KD", bram=1),
           **_each("MULT18X18D ALU54B", dsp=1)},
    free=frozenset(["PFUMX", "L6MUX21", "TRELLIS_IO", "IB", "OB", "GSR", "VLO", "VHI"]), finish=absorb_registers)

#: A tile of eight cells has one clock enable. Flip-flops of an enable that has fewer of them get a multiplexer instead,
#: in the table before them, which is often free; else tiles stay half empty.
ICE40_OPTIONS = "-device u -dsp -dffe_min_ce_use 8"

ICE40 = Family(
    synthesis=f"synth_ice40 {ICE40_OPTIONS}", map_memory="map_ram", block="SB_RAM40_4K, 4 kbit",
    shapes=(BlockShape(256, 1, 16), BlockShape(512, 8, 1), BlockShape(1024, 4, 1), BlockShape(2048, 2, 1)),
    block_weight=64, lutrams=(),
    cells={**_each("SB_LUT4", lut=1), **_each("SB_CARRY", carry=1),
           **{f"SB_DFF{edge}{kind}": {"ff": 1} for edge in ("", "N")
              for kind in ("", "E", "SR", "R", "SS", "S", "ESR", "ER", "ESS", "ES")},
           **_each("SB_RAM40_4K SB_RAM40_4KNR SB_RAM40_4KNW SB_RAM40_4KNRNW", bram=1), **_each("SB_MAC16", dsp=1)},
    free=frozenset(["SB_IO", "SB_GB", "SB_GB_IO"]))

XC7 = Family(
    synthesis="synth_xilinx -family xc7 -flatten", map_memory="map_memory",
    block="RAMB18E1, 18 kbit; a RAMB36E1 is two", shapes=_SHAPES_18K, block_weight=128,
    lutrams=(LutRam("RAM32M", 32, 6, 4), LutRam("RAM64M", 64, 3, 4)),
    cells={**_each("LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 SRL16E SRLC32E INV", lut=1), **_each("CARRY4", carry=1),
           **_each("FDRE FDSE FDCE FDPE FDRE_1 FDSE_1 FDCE_1 FDPE_1", ff=1),
           **_each("RAM32M RAM64M RAM128X1D", lut=4, lutram=4), **_each("RAM32X1D RAM64X1D", lut=2, lutram=2),
           **_each("RAM32X1S RAM64X1S", lut=1, lutram=1),
           **_each("RAMB18E1", bram=1), **_each("RAMB36E1", bram=2), **_each("DSP48E1", dsp=1)},
    free=frozenset(["MUXF7", "MUXF8", "IBUF", "OBUF", "BUFG"]))

#: The negotiating router; the other one took twenty minutes and more for what this one does in one.
ROUTER = "--router", "router2"
#: It then routes paths that are too long again.
INSISTENT = ("--tmg-ripup",)
#: The electrostatic placer: of `digits`, it needs three quarters of the wire that the default one needs. On the smaller
#: chip it has put the clock at a pin without a way to the clock network.
PLACER = "--placer", "static"

#: Name -> chip. Resources and pins of the packages are those that the router prints.
TARGETS = {target.name: target for target in (
    Target(name="ecp5-25", device="LFE5U-25F, CABGA381, speed grade 6", family=ECP5, router="nextpnr-ecp5", pins=197,
           arguments=("--25k", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained", *ROUTER),
           insistent=INSISTENT, frequency=125),
    Target(name="ecp5-85", device="LFE5U-85F, CABGA756, speed grade 6", family=ECP5, router="nextpnr-ecp5", pins=365,
           arguments=("--85k", "--package", "CABGA756", "--speed", "6", "--lpf-allow-unconstrained", *PLACER, *ROUTER),
           insistent=INSISTENT, frequency=125),
    Target(name="ice40-up5k", device="iCE40UP5K, SG48", family=ICE40, router="nextpnr-ice40", pins=39,
           arguments=("--up5k", "--package", "sg48", "--pcf-allow-unconstrained"), frequency=25),
    Target(name="xc7", device="7 series, synthesis only", family=XC7),
)}


def find_target(name: str) -> Target:
    """The chip `name`.

    Raises
    ------
    ConfigError
        If there is no such chip.
    """
    if name not in TARGETS:
        raise ConfigError(f"--target must be one of {', '.join(TARGETS)}, not {name!r}")
    return TARGETS[name]
