"""Progress and tables."""

from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..golden.balance import present_lanes, settings
from ..golden.memories import verdict
from ..golden.parts.rule import HISTORY_LIMIT
from ..sim.summary import WAITS, cycles, throughput, traffic, utilisation

__all__ = [
    "board_table",
    "cycle_tables",
    "lane_table",
    "memory_table",
    "progress",
    "simulation_tables",
    "synthesis_tables",
    "waiting",
]


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
    results, total = checked.results, len(batch.labels)
    table = Table(title=f"{config.name}: {total} samples, {'training' if batch.train else 'inference'}",
                  show_header=False)
    table.add_column()
    table.add_column(justify="right")
    right = checked.correct(batch.labels)
    table.add_row("right predictions", f"{right} ({right / total:.2%})")
    table.add_row("output spikes", f"{int(results['counts'].sum())}")
    table.add_row("latency of a sample, mean, cycles", f"{checked.latency:.1f}")
    between = throughput(config, results)
    if between:
        table.add_row("cycles per sample, from one result to the next", f"{between:.1f}")
    if config.input.kind == "frame":
        first = int(results["arrived"][0]) - config.input.size + 1  # without pauses, the cycle of the first value
        table.add_row("cycles, first value to last result", f"{int(results['taken'][-1]) - first + 1}")
    console.print(table)
    if not counters:
        return

    phases = cycles(config, counters)
    names = sorted({name for own in phases.values() for name in own})
    table = Table("block", *names, title="cycles since reset", caption=f"{WAITS}.")
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


def board_table(report):
    """What a bitstream takes of its device, and how fast it may run."""
    console = Console()
    table = Table(title=f"{report['name']} on {report['board']} ({report['device']})")
    table.add_column("")
    for column in ("used", "available", "share"):
        table.add_column(column, justify="right")
    for cell, own in report["utilisation"].items():
        if own["used"]:
            table.add_row(cell, f"{own['used']:,}", f"{own['available']:,}", f"{own['used'] / own['available']:.0%}")
    console.print(table)
    console.print(f"clock {report['clock_mhz']:g} MHz; routed for up to {report['achieved_mhz']:.1f} MHz (seed "
                  f"{report['seed']}); serial line {report['baud']:,} bit/s", highlight=False, soft_wrap=True)


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
        if unit.weights.stored:
            bits = unit.gradient_bits
            table.add_row(unit.path, f"{bits['history']:,}", f"{bits['memory']:,}",
                          f"{unit.rule.gradient}: {_reason(unit, bits)}")
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
    rules = {f"more than {HISTORY_LIMIT} steps": unit.rule.gradient == "memory" and unit.update_steps > HISTORY_LIMIT,
             "shared weights": unit.window.kind == "conv", "momentum": unit.optimiser.velocity_width > 0,
             "batch": unit.batch > 1,
             "fewer bits": bits[unit.rule.gradient] == min(bits.values())}
    return next((rule for rule, holds in rules.items() if holds), "as configured")


def _table(title, columns, left):
    """An empty table; the columns in `left` hold text, the others numbers."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=column in left)
    return table


def cycle_tables(title, found):
    """`Cycles` by block and phase, then pass by pass what fills the cycles beyond the floor."""
    console = Console()
    console.width = max(console.width, 150)  # a pass has many causes, and its row is one line
    amounts = [own.phases | {"all": own.cycles} | {f"{wait} wait": amount for wait, amount in own.waits.items()}
               for own in found.blocks]
    names = list(dict.fromkeys(name for own in amounts for name in own))
    names.sort(key=lambda name: (name.endswith("wait"), name == "all"))  # the report is in the last block only
    table = _table(f"{title}: cycles per sample by block",
                   ("block", "lanes", *names, "floor", "ratio", "all lanes at work", "classifier alone"), ("block",))
    for own, amount in zip(found.blocks, amounts):
        table.add_row(own.name, str(own.lanes), *(_whole(amount[name]) if name in amount else "" for name in names),
                      _whole(own.floor), f"{float(own.ratio):.3f}", f"{float(own.share):.1%}", _whole(own.alone))
    console.print(table)

    causes = list(dict.fromkeys(cause for block in found.blocks for own in (*block.passes, block)
                                for cause, amount in own.causes.items() if amount))
    table = _table("what fills the cycles beyond the floor",
                   ("unit", "pass", "lanes", "cycles", "floor", "useful", *causes), ("unit", "pass"))
    for block in found.blocks:
        for own in block.passes:
            _add_pass(table, own, own.unit, own.phase, causes)
        _add_pass(table, block, block.name, "all", causes)
        table.add_section()
    console.print(table)
    slowest = found.slowest
    console.print(f"cascade, source and sink never wait: {float(found.cascade):,.1f} cycles per sample, "
                  f"{float(found.cascade / slowest.cycles):.3f} times its slowest block, {slowest.name}, "
                  f"which takes {float(slowest.ratio):.3f} times its floor", highlight=False, soft_wrap=True)


def _whole(amount):
    return f"{float(amount):,.0f}"


def _add_pass(table, own, name, phase, causes):
    table.add_row(name, phase, str(own.lanes), _whole(own.cycles), _whole(own.floor),
                  f"{float(own.floor / own.cycles):.1%}",
                  *(_whole(own.causes[cause]) if own.causes.get(cause) else "" for cause in causes))


def lane_table(total, present, suggested):
    """Lane numbers side by side, each a (`Config`, `Cycles`), and the suggested ones as lines of TOML."""
    table = _table(f"lanes that balance the cascade, at most {total}", ("", "present", "suggested"), ("",))
    both = present, suggested
    for setting, *lanes in zip(settings(present[0]), *(present_lanes(config) for config, _ in both)):
        table.add_row(f"{setting.name}.lanes" + (f", in {setting.copies} units" if setting.copies > 1 else ""),
                      *map(str, lanes))
    table.add_section()
    for name, figure in (("lanes of all units", lambda own: str(own.lanes)),
                         ("cycles per sample", lambda own: f"{float(own.cascade):,.1f}"),
                         ("slowest block", lambda own: own.slowest.name),
                         ("its cycles", lambda own: f"{float(own.slowest.cycles):,.1f}"),
                         ("its floor", lambda own: f"{float(own.slowest.floor):,.1f}"),
                         ("ratio", lambda own: f"{float(own.slowest.ratio):.3f}")):
        table.add_row(name, *(figure(own) for _, own in both))
    Console().print(table)
    if suggested[0] == present[0]:
        print("nothing better than the present lanes was found")
        return
    for setting, lanes in zip(settings(suggested[0]), present_lanes(suggested[0])):
        print(f"lanes = {lanes:<4} # {setting.name}")
