"""What is installed."""

import re
import shutil
from importlib.metadata import PackageNotFoundError, requires, version

import typer

__all__ = ["examine", "packages"]

#: Tool -> (needed, what for).
TOOLS = {
    "g++": (True, "compiles the Verilated model: apt install g++"),
    "make": (True, "builds the Verilated model: apt install make"),
    "perl": (True, "runs Verilator's driver: apt install perl"),
    "ccache": (False, "makes repeated builds quick: apt install ccache"),
    "iverilog": (False, "runs the bench of generate --testbench, and tests: apt install iverilog"),
    "yosys": (False, "another opinion on the generated Verilog in the tests: apt install yosys"),
    "iceprog": (False, "loads a bitstream into an iCEBreaker: apt install fpga-icestorm"),
    "openFPGALoader": (False, "loads a bitstream into a ULX3S: apt install openfpgaloader"),
}
#: What only some commands need: extra -> what for.
EXTRAS = {
    "synth": "spikeloom synth",
    "boards": "spikeloom board, and the serial line from Python",
    "events": "recordings of event cameras as --data",
    "test": "make test",
}


def packages():
    """Package -> extra that brings it, None for those that are always needed; as the installed Spikeloom says."""
    found = {}
    for text in requires("spikeloom") or ():
        name, extra = re.match(r"[\w.-]+", text)[0], re.search(r"extra == [\"'](\w+)", text)
        if name != "spikeloom":  # an extra that brings another one
            found.setdefault(name, extra and extra[1])
    return found


def examine():
    """Print a line per tool and package: where it is, or its version, or how it is installed.

    Returns
    -------
    int
        1 if something is missing that every use needs, else 0; what is only absent does not count.
    """
    missing = 0
    for tool, (needed, purpose) in TOOLS.items():
        missing += _say(tool, shutil.which(tool), needed, purpose)
    for package, extra in packages().items():
        purpose = f"{EXTRAS[extra]}: pip install 'spikeloom[{extra}]'" if extra else f"pip install {package}"
        missing += _say(package, _version(package), extra is None, purpose)
    return 1 if missing else 0


def _say(name, found, needed, purpose):
    """Print a line; whether something needed is missing."""
    typer.echo(f"{'found  ' if found else 'MISSING' if needed else 'absent '} {name:20} {found or purpose}")
    return needed and not found


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
