"""Power-up with unknown registers: a core must need no value that it does not get by reset or is told to write."""

import re

__all__ = ["random_power_up", "unknown"]

#: A register, and its value at power-up; what wakes processes is none of them, it is set with ``<=``.
_REGISTER = re.compile(r"^(  reg [^;\n]*;) initial \S+ *= [^;\n]+;$", re.MULTILINE)
_MEMORY = re.compile(r"^  initial begin\n(?:    [^\n]*;\n)*  end\n", re.MULTILINE)


def unknown(text):
    """The Verilog `text` of a core without values at power-up.

    Four-state simulators begin with X, Verilator with random bits (`random_power_up`).
    """
    return _MEMORY.sub("", _REGISTER.sub(r"\1", text))


def random_power_up(seed):
    """Arguments of a model: memories, and registers without a value, begin with random bits that must not matter."""
    return [f"+verilator+seed+{seed % 2147483647 + 1}", "+verilator+rand+reset+2"]
