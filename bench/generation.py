"""What it takes to generate a core, against the estimate of `gen.estimate`: ``python -m bench.generation``.

Cores of few and of many units and lanes, each generated once. Prints CPU seconds and lines of Verilog of each, and the
two factors of the estimate as least squares of the relative errors give them.
"""

import argparse
import os

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.extreme import draw_extreme
from spikeloom.gen import presets
from spikeloom.gen.estimate import PER_LANE, PER_UNIT, generation_seconds
from spikeloom.gen.generate import generate_text

#: Presets, and seeds of `bench.extreme` (12 and 8 have many units).
CORES = ["mini", "tiny", "digits", "gestures", "lenet1", "lenet2", "4", "12", "8"]


def _cpu():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cores", nargs="*", default=CORES, help="presets, or seeds of bench.extreme")
    args = parser.parse_args()
    table, rows = Table(title="CPU seconds to generate"), []
    for name in ("core", "units", "lanes", "lines of Verilog", "measured", "estimate"):
        table.add_column(name, justify="left" if name == "core" else "right")
    for name in args.cores:
        config = draw_extreme(int(name))[0] if name.isdigit() else presets.find(name)
        start = _cpu()
        lines = generate_text(config).count("\n")
        seconds, units, lanes = _cpu() - start, len(config.units), sum(unit.lanes for unit in config.units)
        rows.append((units / seconds, lanes / seconds))
        table.add_row(f"extreme {name}" if name.isdigit() else name, str(units), str(lanes), f"{lines:,}",
                      f"{seconds:.1f}", f"{generation_seconds(config):.1f}")
    fitted = np.linalg.lstsq(np.array(rows), np.ones(len(rows)), rcond=None)[0]
    console = Console()
    console.print(table)
    console.print(f"fitted: {fitted[0]:.2f} for each unit, {fitted[1]:.3f} for each lane; in gen/estimate.py: "
                  f"{PER_UNIT}, {PER_LANE}", highlight=False)


if __name__ == "__main__":
    main()
