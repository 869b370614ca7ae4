"""Progress and tables."""

from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..golden.memories import verdict
from ..golden.units import HISTORY_LIMIT
from ..sim.summary import cycles, traffic, utilisation

__all__ = ["progress", "simulation_tables", "synthesis_tables", "waiting"]


class _Bar:
    """Callable with the number of things done."""

    def __init__(self, bar, task):
        self._bar, self._task = bar, task

    def __call__(self, done):
        self._bar.update(self._task, completed=done)

    def step(self, count=1):
        """`count` more things done."""
        self._bar.advance(self._task, count)

    def say(self, text):
        """A line that stays."""
        self._bar.console.print(text)


@contextmanager
def progress(title, total):
    """A progress bar; gives a callable that takes the number of things done."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield _Bar(bar, bar.add_task(title, total=total))


@contextmanager
def waiting(title):
    """A spinner for something without steps."""
    with Console(stderr=True).status(title):
        yield


def simulation_tables(config, checked, batch):
    """What a co-simulation showed: spikes, accuracy, cycles, traffic, lane utilisation."""
    console = Console()
    counters = {key[8:]: int(value) for key, value in checked.arrays.items() if key.startswith("counter:")}
    rows, total = checked.rows, len(batch.labels)
    table = Table(title=f"{config.name}: {total} samples, {'training' if batch.train else 'inference'}")
    table.add_column("")
    table.add_column("", justify="right")
    right = checked.correct(batch.labels)
    table.add_row("right predictions", f"{right} ({right / total:.2%})")
    table.add_row("output spikes", f"{int(rows[:, 6:].sum())}")
    table.add_row("cycles per sample, mean", f"{rows[:, 3].mean():.1f}")
    if config.input.kind == "frame":
        first = int(rows[0, 4]) - config.input.size + 1  # without pauses, the cycle of the first value
        table.add_row("cycles, first value to last result", f"{int(rows[-1, 5]) - first + 1}")
    console.print(table)
    if not counters:
        return

    phases = cycles(config, counters)
    names = sorted({name for own in phases.values() for name in own})
    table = Table("block", *names, title="cycles")
    for block, own in phases.items():
        table.add_row(block, *(str(own.get(name, "")) for name in names))
    console.print(table)

    table = Table("memory", "phase", "words read", "words written", title="traffic, all on chip")
    for kind, own in traffic(config, counters).items():
        for phase, words in own.items():
            table.add_row(kind, phase, str(words["read"]), str(words["write"]))
    console.print(table)

    passes = ("forward", "backward", "update")
    table = Table("unit", *passes, title="lane utilisation")
    for unit, own in utilisation(config, counters).items():
        table.add_row(unit, *(f"{own[phase]:.1%}" if phase in own else "" for phase in passes))
    console.print(table)


def memory_table(config, memories):
    """What a core keeps in memory: bits by category, and what each unit's gradients need either way."""
    console = Console()
    table = Table(title=f"{config.name}: memory, bits")
    table.add_column("category")
    for column in ("bits", "largest one"):
        table.add_column(column, justify="right")
    table.add_column("memory blocks")
    kinds = {category: [memory.bits for memory in memories if memory.category == category]
             for category in dict.fromkeys(memory.category for memory in memories)}
    for category, own in {**kinds, "all": [memory.bits for memory in memories]}.items():
        table.add_row(category, f"{sum(own):,}", f"{max(own):,}", verdict(sum(own)))
    console.print(table)
    table = Table(title="errors, input spikes and gradients of each unit, bits")
    for column in ("unit", "history", "memory", "chosen"):
        table.add_column(column, justify="right" if column in ("history", "memory") else "left")
    for unit in config.units:
        if unit.stored:
            bits = unit.gradient_bits
            table.add_row(unit.path, f"{bits['history']:,}", f"{bits['memory']:,}",
                          f"{unit.gradient}: {_reason(unit, bits)}")
    console.print(table)


def synthesis_tables(report):
    """What a core takes in a chip, how fast it is there, and whether its memories are where they belong."""
    from ..synth.report import headline  # draws, too
    from ..synth.targets import RESOURCES

    console = Console()
    table = Table(title=f"{report['name']} on {report['target']}")
    for name in ("block", "part"):
        table.add_column(name, no_wrap=True)
    for name in RESOURCES.values():
        table.add_column(name, justify="right")
    for row in report["units"]:
        table.add_row(row["block"], row["part"], *(f"{row[key]:,}" for key in RESOURCES))
    table.add_section()
    table.add_row("whole core", "", *(f"{report['total'][key]:,}" for key in RESOURCES))
    if report["pins"]:
        table.add_row("pins", "beside it", *(f"{report['pins'][key]:,}" for key in RESOURCES))
    console.print(table)
    if report.get("frequency_mhz"):
        table = Table("seed", "MHz", "critical path", "logic", "routing", title="times in ns")
        for run in report["seeds"]:
            path = run.get("critical_path", {})
            table.add_row(str(run["seed"]), f"{run['frequency_mhz']:.2f}" if path else run["failure"],
                          f"{path['start']} -> {path['end']}" if path else "", str(path.get("logic_ns", "")),
                          str(path.get("routing_ns", "")))
        console.print(table)
    if report.get("rates"):
        names = {"cycles": "cycles per sample", "additions": "additions per sample", "samples_per_second": "samples/s",
                 "additions_per_second": "additions/s"}
        table = Table("", title=f"{report['data']}, at the median frequency")
        for mode in report["rates"]:
            table.add_column(mode, justify="right")
        for key, name in names.items():
            if all(key in own for own in report["rates"].values()):
                table.add_row(name, *(f"{own[key]:,.0f}" for own in report["rates"].values()))
        console.print(table)
    console.print(f"{report['name']} {headline(report)[1]}", highlight=False)
    for check in report["checks"]:
        console.print(f"{'holds' if check['holds'] else 'DOES NOT HOLD'}: {check['rule']}"
                      + ("" if check["holds"] else f": expected {check['expected']}, found {check['found']}"),
                      highlight=False)


def _reason(unit, bits):
    """Why the gradients of `unit` are summed where they are."""
    rules = {f"more than {HISTORY_LIMIT} steps": unit.gradient == "memory" and unit.update_steps > HISTORY_LIMIT,
             "shared weights": unit.kind == "conv", "momentum": unit.velocity_width > 0, "batch": unit.batch > 1,
             "fewer bits": bits[unit.gradient] == min(bits.values())}
    return next((rule for rule, holds in rules.items() if holds), "as configured")
