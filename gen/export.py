"""What a checkpoint holds, for programs without Spikeloom: registers as hexadecimal words or C, or arrays."""

import io

import numpy as np

from ..golden.checkpoint import state_arrays
from ..rtl.registers import RegisterMap
from .state import state_writes

__all__ = ["FORMATS", "export_state"]


def _regions(config, state):
    """Name, address and values, signed, of all consecutive registers that a host writes to load `state`."""
    registers = RegisterMap(config)
    names = {region.base: region.name for region in registers.regions.values()}
    return [(names[base], base, [int(value) for value in values])
            for base, values in state_writes(registers, state_arrays(state))]


def _hexadecimal(config, state):
    """For ``$readmemh``: an image of the registers, with ``@address`` before every region."""
    lines = [f"// Registers of {config.name}, configuration {config.hash}: 32 bits each, in two's complement."]
    for name, base, values in _regions(config, state):
        lines += [f"// {name}", f"@{base:x}", *(f"{value & 0xFFFFFFFF:08x}" for value in values)]
    return "\n".join([*lines, ""])


def _c(config, state):
    """A header: an array for each region, and a list of them in the order in which they may be written."""
    core, regions = config.name, _regions(config, state)
    lines = [
        f"/* State of the core {core}, configuration {config.hash}. Pause the blocks, write the values to consecutive",
        "   registers from each address on (word addresses), go on. */",
        f"#ifndef {core.upper()}_STATE_H", f"#define {core.upper()}_STATE_H", "", "#include <stdint.h>", "",
        f"#define {core.upper()}_CONFIGURATION 0x{config.hash[:8]}u /* what the register `configuration` reads */", ""]
    for name, _, values in regions:
        lines.append(f"static const int32_t {_identifier(core, name)}[{len(values)}] = {{")
        lines += [f"  {', '.join(map(str, values[place:place + 16]))}," for place in range(0, len(values), 16)]
        lines.append("};")
    lines += ["", f"static const struct {{ uint32_t address, count; const int32_t *values; }} {core}_state[] = {{",
              *(f"  {{ {base:#x}, {len(values)}, {_identifier(core, name)} }},"
                for name, base, values in regions), "};", "", "#endif"]
    return "\n".join([*lines, ""])


def _identifier(core, name):
    return f"{core}_{name.replace('.', '_')}"


def _arrays(config, state):
    """A NumPy archive: ``block0.layer0.weight`` and so on, (fan_in, channels); LFSRs by lane; the configuration."""
    arrays = {"configuration": np.asarray(config.text), "decays": np.int64(state.shift - config.update.shift),
              "since_decay": np.int64(state.since_decay)}
    values = state_arrays(state)
    for kind in state.kept:
        arrays |= {f"{unit.path}.{kind}": own for place, unit in enumerate(config.units)
                   if (own := values[f"{kind}_{place}"]).size}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


#: Name -> ending of the file, and what is in it: from configuration and state to text or bytes.
FORMATS = {"hex": (".hex", _hexadecimal), "c": (".h", _c), "npz": (".npz", _arrays)}


def export_state(config, state, form):
    """Name and contents of a file that holds `state` in one of `FORMATS`."""
    ending, write = FORMATS[form]
    return f"{config.name}_state{ending}", write(config, state)
