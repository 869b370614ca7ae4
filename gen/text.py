"""The last touch to the Verilog that Yosys writes, so that every simulator and synthesiser takes it as it is meant."""

import re

__all__ = ["finish"]

#: An escaped identifier. Amaranth calls element 3 of an array `x` ``x[3]``, which has nothing to do with bit 3 of `x`.
#: But Yosys 0.70 takes one for the other behind ABC9: it gives up, or joins the two.
NAME = re.compile(r"\\\S+ ")
#: What Yosys has every combinational process read, so that it runs once.
WAKE = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ")
#: A register and its value at power-up.
REGISTER = re.compile(r"^(  reg (?:signed )?(?:\[\d+:0\] )?(\S+ ?)) = (\S+);$", re.MULTILINE)

#: Verilator says nothing of what is meant: operands that are wider or narrower than a result, cases that leave a value
#: as it is, signals that only people read, several modules in a file, a signal with the name of an instance, and the
#: `initial` below. Only names that old versions know, too: they end with an error at others.
BEFORE = "/* verilator lint_save */\n" + "".join(f"/* verilator lint_off {rule} */\n" for rule in (
    "WIDTH", "CASEINCOMPLETE", "UNUSED", "DECLFILENAME", "VARHIDDEN", "INITIALDLY"))
AFTER = "/* verilator lint_restore */\n"


def finish(text: str) -> str:
    """Verilog of Yosys as Verilog-2005 and as SystemVerilog, for any tool.

    A process ``always @*`` waits for a change of what it reads. In SystemVerilog, registers have their initial values
    before any process runs, so that one whose inputs stand would sleep for ever. All of them read ``$wake``, which
    changes from unknown to 0 at time 0, but after every process has begun to wait: an assignment that is not blocking.
    Nothing depends on its value, so that synthesis removes it.
    """
    text = NAME.sub(lambda name: name[0].replace("[", ".").replace("]", ""), text)
    text = WAKE.sub(lambda _: "\\$wake ", text)
    # A declaration that sets a register which a process sets too is taken for a mistake by some linters.
    text = REGISTER.sub(lambda own: f"{own[1]}; initial {own[2]} {'<=' if 'wake' in own[2] else '='} {own[3]};", text)
    return f"{BEFORE}{text}{AFTER}"

