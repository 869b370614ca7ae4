"""The boards: which pins the serial line, the lamps and the reset button are on, and how their device is built for."""

from dataclasses import dataclass
from importlib import import_module

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer

from ..gen.generate import generate_text
from ..gen.top import control
from ..golden.config import ConfigError
from ..rtl.host import HostedCore, led_layout
from ..synth.targets import ICE40_OPTIONS

__all__ = ["BOARDS", "Board", "BoardTop"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """One board of amaranth-boards.

    Attributes
    ----------
    module, platform : str
        Where amaranth-boards has it.
    more : str
        Resources that are on the board, but not in its platform by default.
    routed, suffix : str
        Of the files with the routed design and the bitstream.
    tools : dict of str to str
        Environment variable by which Amaranth finds a tool, and the tool.
    synthesis : str
        Options of the synthesis.
    """

    module: str
    platform: str
    more: str = ""
    routed: str
    suffix: str
    tools: dict
    synthesis: str = ""

    def create(self):
        """A fresh platform.

        Raises
        ------
        ConfigError
            If amaranth-boards is not installed.
        """
        try:
            platform = getattr(import_module(f"amaranth_boards.{self.module}"), self.platform)()
        except ModuleNotFoundError:
            raise ConfigError("boards need an extra that is not installed: pip install 'spikeloom[boards]'") from None
        if self.more:
            platform.add_resources(getattr(platform, self.more))
        return platform


BOARDS = {
    "icebreaker": Board(
        module="icebreaker", platform="ICEBreakerPlatform", more="break_off_pmod", routed="asc", suffix="bin",
        synthesis=ICE40_OPTIONS,
        tools={"YOSYS": "yosys", "NEXTPNR_ICE40": "nextpnr-ice40", "ICEPACK": "icepack"}),
    "ulx3s-85f": Board(
        module="ulx3s", platform="ULX3S_85F_Platform", routed="config", suffix="bit",
        tools={"YOSYS": "yosys", "NEXTPNR_ECP5": "nextpnr-ecp5", "ECPPACK": "ecppack"}),
}


class BoardTop(Elaboratable):
    """A `HostedCore` on the first serial line, button and four lamps of a platform, at the clock of the board.

    Parameters
    ----------
    config : Config
    divisor : int
        Cycles of a bit of the serial line.
    crc : bool
        As of `rtl.host.Packets`.
    begins : Contents, optional
        What the core holds at power-up; without it, weights are undefined.
    """

    def __init__(self, config, divisor, *, crc=False, begins=None):
        self.config, self.divisor, self.crc = config, divisor, crc
        self.registers, self.files, self.texts = begins or (None, {}, {})

    def elaborate(self, platform):
        m = Module()
        # The core comes as the Verilog that everybody gets; its memories are the modules that synthesis knows as RAM.
        core = HostedCore(self.config, divisor=self.divisor, crc=self.crc, registers=self.registers)
        platform.add_file(f"{self.config.name}.v", generate_text(self.config, core, self.files))
        for name, text in self.texts.items():
            platform.add_file(name, text)
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.submodules.button = button = io.Buffer("i", platform.request("button", 0, dir="-"))
        pressed, leds = Signal(), Signal(led_layout().size)
        m.submodules.pressed = FFSynchronizer(button.i, pressed)
        for place, led in enumerate(leds):
            m.submodules[f"led{place}"] = buffer = io.Buffer("o", platform.request("led", place, dir="-"))
            m.d.comb += buffer.o.eq(led)
        reset = ResetSignal(allow_reset_less=True) | pressed
        m.submodules.core = Instance(
            self.config.name, i_rx=rx.i, o_tx=tx.o, o_leds=leds, **{f"i_{name}": signal for name, signal in control(
                self.config.hardware, clk=ClockSignal(), rst=reset, rst_n=~reset, clk_en=1).items()})
        return m
