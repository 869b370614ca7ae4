"""What cores of several sizes take and do on real parts: one table, each row by ``spikeloom synth``.

``python -m bench.silicon`` runs every row, which takes hours the first time; what is done is kept under the build
folder, so that it can be interrupted, and ``--only`` picks rows by a part of their name. Rows whose data set is on disk
need its folder (``--mnist``), or say nothing per second.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from spikeloom.gen import presets
from spikeloom.golden.config import Config
from spikeloom.golden.data import load_dataset
from spikeloom.sim.words import NOTHING
from spikeloom.synth.flow import implement
from spikeloom.synth.rates import cycles_per_sample, rates
from spikeloom.synth.report import write_report
from spikeloom.synth.targets import find_target
from spikeloom.synth.tools import SynthesisError


class Row(NamedTuple):
    """One core on some parts; `data` is ``digits``, ``mnist`` or empty; MHz asked for, as with ``--frequency``."""

    config: Callable[[], Config]
    targets: tuple
    data: str = ""
    frequency: float | None = None


def lanes(count):
    """The preset `digits` with `count` lanes in its layers, and as many in its classifiers as there are classes for."""
    config = presets.find("digits")
    layers = [{**layer.model_dump(), "lanes": count} for layer in config.layers]
    return config.replace(name=f"digits_{count}_lanes", layers=layers, classifier={"lanes": min(count, 10)})


def dense(*sizes, count=16):
    """The numbers and steps of `digits` with other sizes: inputs, layers, classes."""
    inputs, *layers, classes = sizes
    return presets.find("digits").replace(
        name="dense_" + "_".join(map(str, sizes)), input={"size": inputs},
        layers=[{"kind": "dense", "neurons": size, "lanes": count} for size in layers],
        network={"classes": classes}, classifier={"lanes": min(count, classes)})


def lenet1_balanced():
    """The preset `lenet1` with the lanes that ``spikeloom cycles lenet1 --data idx:FOLDER --lanes 64`` suggests."""
    config = presets.find("lenet1")
    layers = [layer.model_dump() for layer in config.layers]
    for place, count in ((0, 6), (2, 16), (4, 2), (5, 1)):
        layers[place]["lanes"] = count
    return config.replace(name="lenet1_64_lanes", layers=layers, classifier={"lanes": 4})


ROWS = [
    *(Row(lambda count=count: lanes(count), ("ecp5-85", "xc7"), "digits", 110) for count in (4, 8, 16, 32)),
    Row(lambda: presets.find("mini"), ("ice40-up5k",), "digits"),
    Row(lambda: presets.find("mini").replace(name="mini_two_blocks", network={"block_length": 1}), ("ice40-up5k",),
        "digits"),
    Row(lambda: presets.find("tiny"), ("ice40-up5k", "ecp5-25"), "digits"),
    Row(lambda: dense(256, 256, 16), ("xc7", "ecp5-85")),
    Row(lambda: dense(784, 200, 200, 10, count=20), ("xc7", "ecp5-85"), "mnist"),
    Row(lambda: dense(784, 128, 10), ("xc7", "ecp5-85"), "mnist"),
    Row(lambda: presets.find("lenet1"), ("xc7", "ecp5-85"), "mnist"),
    Row(lenet1_balanced, ("ecp5-85",), "mnist", 70),
]
COLUMNS = ("core", "target", "lanes", "LUT", "LUT per lane", "FF", "block RAM", "DSP", "MHz (seeds)",
           "cycles per sample: training, inference", "samples/s: training, inference", "10⁶ additions/s", "memories")


def cells(report):
    """One row of the table."""
    total, seeds = report["total"], report.get("seeds", [])
    mhz = NOTHING
    if "frequency_mhz" in report:
        every = [f"{run['frequency_mhz']:.1f}" if "frequency_mhz" in run else NOTHING for run in seeds]
        mhz = f"{report['frequency_mhz']:.1f} ({', '.join(every)}), for {report['goal_mhz']:g}"
    elif report.get("overuse"):
        mhz = "does not fit: " + ", ".join(f"{own['needed']:,} {own['resource']} of {own['available']:,}"
                                           for own in report["overuse"])
    elif seeds:
        mhz = "not routed"

    def both(key, scale=1.0):
        found = [own[key] / scale for own in report.get("rates", {}).values() if key in own]
        return ", ".join(f"{value:,.0f}" for value in found) or NOTHING

    return (report["name"], report["target"], str(report["lanes"]), f"{total['lut']:,}",
            f"{total['lut'] / report['lanes']:,.0f}", f"{total['ff']:,}", str(total["bram"]), str(total["dsp"]), mhz,
            both("cycles"), both("samples_per_second"), both("additions_per_second", 1e6),
            "as mapped" if all(check["holds"] for check in report["checks"]) else "NOT as mapped")


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows in whose name or target this is")
    parser.add_argument("--mnist", help="folder of MNIST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--build-dir", type=Path, default=Path("build/synth"))
    args = parser.parse_args()
    sources = {"digits": "digits", "mnist": args.mnist and f"idx:{args.mnist}"}
    table = Table(*COLUMNS, box=box.MARKDOWN)
    log, tools = Console(stderr=True), {}
    for row in ROWS:
        config = row.config()
        targets = [name for name in row.targets if args.only in f"{config.name} {name}"]
        data = sources.get(row.data)
        cycles = cycles_per_sample(config, load_dataset(data, config)) if targets and data else {}
        for name in targets:
            target = find_target(name)
            try:
                report = implement(config, target, root=args.build_dir / "cache", seeds=args.seeds,
                                   frequency=row.frequency, step=log.print)
            except SynthesisError as error:  # the other rows are worth their time
                log.print(f"{config.name} on {name}: {error}")
                table.add_row(config.name, name, *[NOTHING] * (len(COLUMNS) - 3), "failed")
                continue
            if cycles:
                report |= {"data": row.data, "rates": rates(cycles, report.get("frequency_mhz"))}
            write_report(args.build_dir / f"{config.name}-{name}", report)
            tools |= report["tools"]
            table.add_row(*cells(report))
    Console(width=1000).print(table)  # no cell may wrap
    print(", ".join(f"{tool} {own}" for tool, own in tools.items()) + f"; {args.seeds} seeds, the median first. Lanes "
          "are those of all units together; additions are useful ones, in training and inference.")


if __name__ == "__main__":
    main()
