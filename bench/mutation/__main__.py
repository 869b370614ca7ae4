"""The mutation score of a core: ``python -m bench.mutation CONFIG --count 400 --seed 1``.

Makes mutants of the netlist, tries each with the whole suite of stimuli, proves those equal that are, and compares the
rest with the survivors that have an explanation. Exit status 1 if one has none.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from spikeloom.gen import presets
from spikeloom.golden.config import load

from .equivalence import proven_equal
from .run import try_mutants
from .survivors import explanation


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", default=str(Path(__file__).with_name("mixed.toml")),
                        help="preset or file (default: a small core that uses most options)")
    parser.add_argument("--count", type=int, default=400, help="mutants (default: 400)")
    parser.add_argument("--seed", type=int, default=1, help="which mutants (default: 1)")
    parser.add_argument("--samples", type=int, default=100, help="samples of the training run (default: 100)")
    parser.add_argument("--root", type=Path, default=Path("build/mutation"), help="folder of netlists and models")
    args = parser.parse_args()
    config = load(args.config) if args.config.endswith(".toml") else presets.find(args.config)
    console = Console(highlight=False)

    trial = try_mutants(config, args.count, args.seed, root=args.root, samples=args.samples)
    equal, open_ones = proven_equal(trial)
    rest = [mutant for mutant in trial.survivors if mutant.number not in equal]
    mutants, noticed = len(trial.ends), sum(cycle is not None for cycle in trial.ends.values())

    table = Table(title=f"{config.name}: {mutants} mutants, seed {args.seed}, {trial.cycles:,} cycles")
    table.add_column("")
    table.add_column("mutants", justify="right")
    for name, count in trial.noticed().items():
        table.add_row(f"noticed in {name}", str(count))
    table.add_row("noticed", str(noticed))
    table.add_row("proven equal", str(len(equal)))
    table.add_row("survive (of these, no verdict in time)", f"{len(rest)} ({len(open_ones)})")
    table.add_row("score, of all", f"{noticed / mutants:.1%}")
    table.add_row("score, of those not proven equal", f"{noticed / (mutants - len(equal)):.1%}")
    console.print(table)

    groups = {}
    for mutant in rest:
        groups.setdefault(explanation(mutant), []).append(mutant)
    for why, own in sorted(groups.items(), key=lambda pair: (pair[0] is None, pair[0] or "")):
        console.print(f"{len(own)} survive: {why or 'without an explanation'}", soft_wrap=True)
        for mutant in own:
            console.print(f"   {mutant.number} {mutant.place}  {mutant.source}", soft_wrap=True, markup=False)
    sys.exit(1 if None in groups else 0)


if __name__ == "__main__":
    main()
