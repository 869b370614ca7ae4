"""The last touch to the Verilog that Yosys writes, so that every simulator and synthesiser takes it as it is meant."""

import re

__all__ = ["finish", "instances", "share"]

#: An escaped identifier. Amaranth calls element 3 of an array `x` ``x[3]``, which has nothing to do with bit 3 of `x`.
#: But Yosys 0.70 takes one for the other behind ABC9: it gives up, or joins the two.
NAME = re.compile(r"\\\S+ ")
#: What Yosys has every combinational process read, so that it runs once.
WAKE = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ")
#: A register and its value at power-up.
REGISTER = re.compile(r"^(  reg (?:signed )?(?:\[\d+:0\] )?(\S+ ?)) = (\S+);$", re.MULTILINE)

#: A module: attributes, name with the blank that ends an escaped one, all from its ports on.
MODULE = re.compile(r"^((?:\(\* [^\n]* \*\)\n)*)module (\\\S+ |\w+)( ?[#(].*?^endmodule\n)", re.MULTILINE | re.DOTALL)
#: The first line of an instance in a module: name of the module, parameters, name of the instance.
INSTANCE = re.compile(r"^  (\\\S+ |\w+)( (?:#\([^;]*?\n  \) )?)(\\\S+ |\w+)( \()$", re.MULTILINE)

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
    Nothing depends on its value, so that synthesis removes it. Modules that are equal are written once (`share`).
    """
    text = NAME.sub(lambda name: name[0].replace("[", ".").replace("]", ""), text)
    text = WAKE.sub(lambda _: "\\$wake ", text)
    # A declaration that sets a register which a process sets too is taken for a mistake by some linters.
    text = REGISTER.sub(lambda own: f"{own[1]}; initial {own[2]} {'<=' if 'wake' in own[2] else '='} {own[3]};", text)
    return f"{BEFORE}{share(text)}{AFTER}"



def share(text: str) -> str:
    """Every module once: of those that are equal but for their names, the first one stands for all.

    Modules are equal whose texts are, where equal modules below count as one. Instances keep their names and places.
    """
    modules, kinds, found, first = {name: body for _, name, body in MODULE.findall(text)}, {}, {}, {}

    def with_names(body, names):
        return INSTANCE.sub(lambda one: f"  {names(one[1])}{one[2]}{one[3]}{one[4]}" if one[1] in modules else one[0],
                            body)

    def kind(name):
        if name not in found:
            body = with_names(modules[name], lambda below: str(kind(below)))
            found[name] = kinds.setdefault(body, len(kinds))
        return found[name]

    for name in modules:
        first.setdefault(kind(name), name)

    def once(match):
        before, name, body = match.groups()
        if first[kind(name)] != name:
            return ""
        return f"{before}module {name}{with_names(body, lambda below: first[kind(below)])}"

    return re.sub(r"\n{3,}", "\n\n", MODULE.sub(once, text))


def instances(text: str, top: str) -> dict[str, str]:
    """Path of every instance in `text`, `top` included and first -> name of its module."""
    below = {name.strip("\\ "): INSTANCE.findall(body) for _, name, body in MODULE.findall(text)}
    found = {}

    def visit(path, module):
        found[path] = module
        for kind, _, name, _ in below[module]:
            visit(".".join([path, name.strip("\\ ")]), kind.strip("\\ "))

    visit(top, top)
    return found
