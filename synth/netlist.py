"""Counts of cells in the netlist that Yosys writes, by instance of the modules that kept their place."""

import re
from collections import Counter

from .targets import RESOURCES

__all__ = ["amounts", "count_cells", "driven_twice", "memory_cells", "wrong_nets"]


def count_cells(netlist, family):
    """Cells of every instance below the top module.

    Parameters
    ----------
    netlist : dict
        As ``write_json`` writes it; modules that were flattened are gone.
    family : Family

    Returns
    -------
    modules : dict of str to dict of str to int
        Instance path below the top module, which is ``""`` -> type of cell -> how many, without those of instances
        below it.
    rams : dict of str to str
        Full path of every cell that is RAM -> its type.
    """
    modules = netlist["modules"]
    top = next(name for name, module in modules.items() if int(module.get("attributes", {}).get("top", "0"), 2))
    found, rams = {}, {}

    def visit(name, path):
        own = found[path] = Counter()
        for cell, content in modules[name]["cells"].items():
            kind, full = content["type"], f"{path}.{cell}" if path else cell
            if kind in modules and not _black(modules[kind]):
                visit(kind, full)
            elif kind != "$scopeinfo":  # names of what was flattened
                own[kind] += 1
                if family.cells.get(kind, {}).keys() & {"bram", "lutram"}:
                    rams[full] = kind

    visit(top, "")
    return {path: dict(sorted(own.items())) for path, own in found.items()}, rams


def _black(module):
    return any(name in module.get("attributes", {}) for name in ("blackbox", "whitebox"))


def driven_twice(netlist):
    """Names of the nets that more than one cell drives, which no sound netlist has."""
    found = []
    for name, module in netlist["modules"].items():
        drivers = Counter(bit for cell in module.get("cells", {}).values()
                          for port, direction in cell.get("port_directions", {}).items() if direction == "output"
                          for bit in cell["connections"][port] if isinstance(bit, int))
        twice = {bit for bit, count in drivers.items() if count > 1}
        found += [f"{name}.{net}" for net, own in module.get("netnames", {}).items() if twice & set(own["bits"])]
    return found


def wrong_nets(netlist, log):
    """Nets of a netlist that cannot be right: with two drivers, or of which the log of Yosys says so.

    Yosys 0.70 has been seen to join two registers of different inputs (`gen.generate.NAME`), and a register with a
    constant, which it calls a warning.
    """
    return driven_twice(netlist) + re.findall(r"Driver-driver conflict for (.*)", log)


def amounts(cells, family):
    """Resources that `cells` (type -> how many) take, and the types that `family` does not know."""
    total, unknown = dict.fromkeys(RESOURCES, 0), {}
    for kind, count in cells.items():
        if kind in family.cells:
            for resource, amount in family.cells[kind].items():
                total[resource] += amount * count
        elif kind not in family.free:
            unknown[kind] = count
    return total, unknown


def memory_cells(rams, paths):
    """RAM cells by the memory that they belong to.

    Parameters
    ----------
    rams : dict of str to str
        From `count_cells`, below the core.
    paths : list of str
        Instance paths of all memories.

    Returns
    -------
    dict of str to dict of str to int
        Memory -> type of cell -> how many; what belongs to none is under ``""``.
    """
    found = {path: Counter() for path in (*paths, "")}
    for cell, kind in rams.items():
        owner = cell
        while owner not in found:
            owner = owner.rpartition(".")[0]
        found[owner][kind] += 1
    return {path: dict(own) for path, own in found.items()}
