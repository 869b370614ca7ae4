"""Runs the bench of a built model: steps on standard input (`sim.testbench`), its environment from `sim.run`."""

import argparse
import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from .unknown import random_power_up


def main():
    """Exit status 0 if all steps were carried out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path, help="logs and traces go there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--waves", action="store_true")
    args = parser.parse_args()
    results = get_runner("verilator").test(
        test_module="spikeloom.sim.testbench", hdl_toplevel="Bench", hdl_toplevel_lang="verilog",
        build_dir=args.model, test_dir=args.folder, results_xml=str(args.folder / "results.xml"), seed=args.seed,
        plusargs=[f"+trace={args.folder / 'trace.txt'}", *random_power_up(args.seed)],
        waves=args.waves)
    tests, failed = get_results(results)
    sys.exit(0 if tests and not failed else 1)


if __name__ == "__main__":
    main()
