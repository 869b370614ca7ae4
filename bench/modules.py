"""What it brings that modules which are equal are written once: the same core with and without.

``python -m bench.modules tiny digits`` builds and runs each preset both ways; ``--lines`` only counts lines, for cores
of any size; ``--synth`` adds synthesis for ECP5. Seconds are those of the CPU, of all processes together, so that the
comparison holds on a machine that is not idle; nothing is taken from a cache.
"""

import argparse
import resource
import tempfile
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
from rich.console import Console
from rich.table import Table

from spikeloom.gen import presets, text
from spikeloom.gen.generate import generate_text
from spikeloom.golden.checkpoint import state_arrays
from spikeloom.golden.data import load_dataset
from spikeloom.golden.model import initial_state
from spikeloom.sim.build import build_driver
from spikeloom.sim.driver import Driver
from spikeloom.synth import flow, tools
from spikeloom.synth.memory import place_memories
from spikeloom.synth.targets import find_target


def _cpu(work):
    """CPU seconds of the child processes of `work`, and its result."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, result


def simulated(config, model, folder, samples=300):
    """Cycles per CPU second of the compiled model in training, loading included."""
    data = load_dataset("digits", config)

    def run():
        with Driver(config, model, folder) as simulation:
            simulation.load(state_arrays(initial_state(config)))
            results = simulation.wait_for(simulation.run(
                data.train_frames[:samples], data.train_labels[:samples], np.ones(samples)))["results"]
            simulation.finish()
        return int(results["taken"][-1])

    seconds, cycles = min(_cpu(run) for _ in range(3))
    return cycles / seconds


def synthesized(config, verilog, folder):
    """CPU seconds of the synthesis for ECP5."""
    target = find_target("ecp5-85")
    commands = flow.script(config, target, config.name, place_memories(config, target),
                           flow.instances(verilog, config.name))
    seconds, _ = _cpu(lambda: tools.run_once(
        folder, "yosys", arguments=["-Q", "-T", "-q", "-s", "run.ys"], files={"core.v": verilog, "run.ys": commands}))
    return seconds


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--lines", action="store_true", help="neither build nor run")
    parser.add_argument("--synth", action="store_true")
    options = parser.parse_args()
    table = Table("core", "lines", "modules", "Verilator and compiler, CPU s", "cycles per CPU s", "Yosys, CPU s")
    for name in options.presets:
        config = presets.find(name)
        for title, sharing in ((f"{name}, one per instance", mock.patch.object(text, "share", str)),
                               (name, nullcontext())):
            with sharing:
                verilog = generate_text(config)
            row = [title, f"{verilog.count(chr(10)):,}", f"{len(set(text.instances(verilog, config.name).values())):,}"]
            with tempfile.TemporaryDirectory() as folder:
                if not options.lines:
                    seconds, model = _cpu(lambda: build_driver(  # the values of this round
                        config, root=folder, fast=True, text=verilog, CCACHE_DISABLE="1"))  # noqa: B023
                    rate = simulated(config, model, Path(folder) / "run")
                    row += [f"{seconds:.0f}", f"{rate:,.0f}"]
                if options.synth:
                    row.append(f"{synthesized(config, verilog, Path(folder)):.0f}")
            table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
