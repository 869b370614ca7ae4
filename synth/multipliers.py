"""Registers that belong inside the multipliers of an ECP5, where Yosys leaves them outside."""

from collections import Counter

__all__ = ["absorb_registers"]

MULTIPLIER, REGISTER = "MULT18X18D", "TRELLIS_FF"
#: What a register must be to live in a multiplier without its enable and reset. Yosys writes a blank behind strings of
#: digits.
PLAIN = {"CEMUX": "1 ", "CLKMUX": "CLK", "REGSET": "RESET"}


def absorb_registers(netlist):
    """Move registers before and behind multipliers into them, with whatever else reads the former left as it is.

    A factor is taken over if every bit of it that is not zero comes from a register, a product if nothing but registers
    reads it, one for each bit; all without enable and reset, and of one clock. The multiplier has a register at each
    factor and at the product: none of the ways there and back shares a cycle with the multiplication any more. Factors
    are taken over together or not at all: nextpnr times a multiplier with registers at one of them only as if it had
    none. What is in a multiplier already stays there.

    Parameters
    ----------
    netlist : dict
        As ``write_json`` of Yosys writes it, for ECP5; changed in place.

    Returns
    -------
    int
        Registers that are gone.
    """
    return sum(_absorb(module) for module in netlist["modules"].values())


def _absorb(module):
    cells = module.get("cells", {})
    multipliers = [cell for cell in cells.values() if cell["type"] == MULTIPLIER]
    if not multipliers:
        return 0
    readers = Counter(bit for port in module["ports"].values() if port["direction"] != "input" for bit in port["bits"])
    registers, behind = {}, {}  # by output, and by input
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                readers.update(bit for bit in bits if isinstance(bit, int))
        if cell["type"] == REGISTER and _plain(cell):
            registers[cell["connections"]["Q"][0]] = name
            behind[cell["connections"]["DI"][0]] = name

    def take(own, names, side, rewired):
        own["connections"] |= rewired | {"CLK0": cells[names[0]]["connections"]["CLK"], "CE0": ["1"], "RST0": ["0"]}
        own["port_directions"] |= dict.fromkeys(("CLK0", "CE0", "RST0"), "input")
        own["parameters"] |= {f"REG_{side}_CLK": "CLK0", f"REG_{side}_CE": "CE0", f"REG_{side}_RST": "RST0"}

    def fits(own, names, *sides):
        if not names or None in names or any(
                own["parameters"].get(f"REG_{side}_CLK", "NONE") != "NONE" for side in sides):
            return False
        clocks = {cells[name]["connections"]["CLK"][0] for name in names}
        return len(clocks | set(own["connections"].get("CLK0", ()))) == 1

    gone = set()
    for own in multipliers:
        bits = {port: own["connections"][port][0] for port in own["connections"]}
        product = {port: bit for port, bit in bits.items() if _digits(port, "P") and readers[bit]}
        sinks = [behind.get(bit) for bit in product.values()]
        if fits(own, sinks, "OUTPUT") and all(readers[bit] == 1 for bit in product.values()):
            take(own, sinks, "OUTPUT", {port: cells[sink]["connections"]["Q"] for port, sink in zip(product, sinks)})
            gone.update(sinks)
            for sink in sinks:
                del registers[cells[sink]["connections"]["Q"][0]]  # it cannot be in the next multiplier too
        inputs = {port: bit for port, bit in bits.items() if (_digits(port, "A") or _digits(port, "B")) and bit != "0"}
        sources = [registers.get(bit) for bit in inputs.values()]
        if fits(own, sources, "INPUTA", "INPUTB") and {port[0] for port in inputs} == {"A", "B"}:
            before = {port: cells[source]["connections"]["DI"] for port, source in zip(inputs, sources)}
            for factor in "AB":
                take(own, sources, f"INPUT{factor}", {
                    port: source for port, source in before.items() if port[0] == factor})
            readers.subtract(inputs.values())
            readers.update(bit for bit, in before.values())
    gone.update(name for bit, name in registers.items() if not readers[bit])
    for name in gone:
        del cells[name]
    return len(gone)


def _digits(port, letter):
    return port[0] == letter and port[1:].isdigit()


def _plain(cell):
    return (cell["parameters"].items() >= PLAIN.items() and cell["connections"].get("LSR", ["0"]) == ["0"]
            and cell["connections"]["DI"][0] not in ("0", "1", "x"))
