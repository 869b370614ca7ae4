"""The commands."""

import tomllib
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from ..gen import presets
from ..golden.checkpoint import EPOCHS, CheckpointError
from ..golden.config import ConfigError, parse
from ..golden.files import check_folder, locked, write_atomically
from .options import App, check_unused

__all__ = ["app"]

app = App(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
          help="Spiking neural network cores that train themselves on chip.")

#: Samples of a run, and values of a seed, at most.
MANY, SEEDS = 1 << 20, (1 << 31) - 1
ConfigArgument = Annotated[str, typer.Argument(metavar="CONFIG", help="A .toml file, a checkpoint, or the name of a "
                                                "preset.")]
DataOption = Annotated[str, typer.Option(help="digits, directions, or KIND:PATH for files, such as idx:FOLDER.")]
DriverOption = Annotated[str | None, typer.Option(help="Who runs the Verilated core. compiled: fast, without cycle "
                                                  "level, waveform and pauses; cocotb: with them.")]
BuildOption = Annotated[Path, typer.Option("--build-dir", help="Where models, logs and traces are kept.")]
WeightsOption = Annotated[Path | None, typer.Option(help="A checkpoint that the core holds at power-up.")]
ReportOption = Annotated[Path | None, typer.Option("--report", help="Folder of a report: report.html, report.json.")]


def check_outputs(*folders):
    """Say before any work if a folder, None left out, cannot be written."""
    for folder in folders:
        if folder is not None:
            check_folder(folder)


def load_data(name, config):
    """The data set `name`; what a person should know of it is said."""
    from ..golden.data import load_dataset

    data = load_dataset(name, config)
    for note in data.notes:
        typer.echo(f"{name.partition(':')[0]}: {note}", err=True)
    return data


def find_state(config, weights):
    """The configuration by its name, or that of the checkpoint `weights`, and the state in there; None without one."""
    chosen = None if config is None and weights else presets.find(presets.DEFAULT if config is None else config)
    if not weights:
        return chosen, None
    from ..golden.checkpoint import load_checkpoint

    return load_checkpoint(weights, chosen)[:2]


def check_epochs(epochs):
    if epochs > EPOCHS:
        raise ConfigError(f"--epochs must be at most {EPOCHS:,}, not {epochs:,}")


def check_driver(driver):
    if driver not in ("compiled", "cocotb"):
        raise ConfigError(f"--driver must be compiled or cocotb, not {driver!r}")


@app.command()
def new(path: Path):
    """Write a commented configuration to PATH."""
    if path.exists():
        raise ConfigError(f"{path}: must not exist yet")
    text = presets.text(presets.DEFAULT)
    named = text.replace(f'name = "{presets.DEFAULT}"', f'name = "{path.stem.lower().replace("-", "_")}"')
    with suppress(ConfigError):  # a file may be called what a module may not
        parse(tomllib.loads(named))
        text = named
    write_atomically(path, text)
    typer.echo(f"{path}: the preset {presets.DEFAULT!r}, to be changed")


@app.command()
def generate(
    context: typer.Context,
    config: Annotated[str | None, typer.Argument(metavar="[CONFIG|PRESET]", help="By default that of the weights, or "
                                                 f"{presets.DEFAULT}.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the files.")] = Path("build/rtl"),
    weights: WeightsOption = None,
    testbench: Annotated[bool, typer.Option("--testbench", help="Also a bench that checks the core by itself, in any "
                                            "simulator.")] = False,
    data: Annotated[str | None, typer.Option(help="For the bench, as for train; random samples by default.")] = None,
    samples: Annotated[int, typer.Option(min=1, max=MANY, help="Of the bench, rounded up to whole batches.")] = 8,
    mode: Annotated[str, typer.Option(help="Of its samples: train, infer or mixed.")] = "mixed",
    pause: Annotated[int, typer.Option(min=0, max=255, help="Random back-pressure in the second half of its samples: "
                                       "pauses in 256 cycles.")] = 80,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS, help="Of samples, modes and pauses.")] = 0,
):
    """Write Verilog and its JSON sidecar, and a bench."""
    from ..gen.estimate import slow
    from ..gen.generate import generate as write  # only commands that need it load Amaranth
    from ..golden.memories import memories
    from .show import memory_table, waiting

    if mode not in ("train", "infer", "mixed"):
        raise ConfigError(f"--mode must be train, infer or mixed, not {mode!r}")
    if not testbench:
        check_unused(context, "--testbench", "data", "samples", "mode", "pause", "seed")
    chosen, state = find_state(config, weights)
    check_folder(output)
    if warning := slow(chosen):
        typer.echo(warning, err=True)
    stimulus = None
    if testbench:
        from ..gen.testbench import make_stimulus, write_testbench

        stimulus = make_stimulus(chosen, data and load_data(data, chosen), samples, mode, seed)
    memory_table(chosen, memories(chosen))
    with waiting(f"generating {chosen.name}"):
        paths = write(chosen, output, state)
    if testbench:
        with waiting(f"predicting {len(stimulus.labels)} samples"):
            paths += write_testbench(
                chosen, paths[1], stimulus, state=state, load=state is None, pause=pause, seed=seed)
    for path in paths:
        typer.echo(path)


@app.command()
def export(
    checkpoint: Path,
    to: Annotated[str, typer.Option(help="hex: an image of the registers; c: a header; npz: arrays.")] = "hex",
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the file.")] = Path("build/export"),
):
    """Write the weights of a checkpoint, and all else that persists, for programs without Spikeloom."""
    from ..gen.export import FORMATS, export_state
    from ..golden.checkpoint import load_checkpoint

    if to not in FORMATS:
        raise ConfigError(f"--to must be one of {', '.join(FORMATS)}, not {to!r}")
    found = load_checkpoint(checkpoint)
    name, content = export_state(found.config, found.state, to)
    write_atomically(check_folder(output) / name, content)
    typer.echo(output / name)


@app.command("memories")
def report_memories(config: ConfigArgument):
    """Say what a core will keep in memory, without generating it."""
    from ..golden.memories import memories
    from .show import memory_table

    chosen = presets.find(config)
    memory_table(chosen, memories(chosen))


@app.command()
def simulate(
    config: ConfigArgument,
    data: DataOption = "digits",
    samples: Annotated[int, typer.Option(min=1, max=MANY, help="Samples to run.")] = 10,
    train: Annotated[bool, typer.Option("--train/--infer", help="Whether the core learns from them. They are of the "
                                        "training set, or of the test set.")] = True,
    level: Annotated[str, typer.Option(help="cycle: compare everything in every cycle; sample: at the end.")] = "cycle",
    waves: Annotated[bool, typer.Option("--waves", help="Write a waveform (dump.vcd).")] = False,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS, help="Order of the samples, and pauses.")] = 0,
    pause: Annotated[int, typer.Option(min=0, max=255, help="Random back-pressure: pauses in 256 cycles.")] = 0,
    checkpoint: Annotated[Path | None, typer.Option(help="Start from this checkpoint.")] = None,
    report: ReportOption = None,
    driver: DriverOption = None,
    build_dir: BuildOption = Path("build/sim"),
):
    """Run the generated core under Verilator and compare it with the golden model."""
    if level not in ("cycle", "sample"):
        raise ConfigError(f"--level must be cycle or sample, not {level!r}")
    plain = level == "sample" and not waves and not pause
    driver = driver or ("compiled" if plain else "cocotb")
    check_driver(driver)
    if driver == "compiled" and not plain:
        raise ConfigError("--driver must be cocotb for cycle level, waveform or pauses, not 'compiled'")
    from ..golden.checkpoint import load_checkpoint
    from ..golden.training import Progress as Trained
    from ..golden.training import plan
    from ..sim.build import LONG
    from ..sim.cosim import Batch, cosimulate
    from .show import progress, simulation_tables

    chosen = presets.find(config)
    check_outputs(build_dir, report)
    if samples % chosen.update.batch:
        raise ConfigError(f"--samples must be a multiple of update.batch = {chosen.update.batch}, not {samples}")
    chosen_data = load_data(data, chosen)
    frames, labels = (chosen_data.train_frames, chosen_data.train_labels) if train else \
        (chosen_data.test_frames, chosen_data.test_labels)
    epochs = -(-samples // len(labels))
    order = list(islice((int(i) for chunk in plan(len(labels), epochs, seed, Trained()) for i in chunk.order), samples))
    state = load_checkpoint(checkpoint, chosen).state if checkpoint else None
    batch = Batch(frames[order], labels[order], train)
    with progress(f"{chosen.name}: build, simulate, compare", samples) as bar, closing(cosimulate(
            chosen, [batch], root=build_dir, state=state, cycle_level=level == "cycle", seed=seed,
            waves=waves, sample_pause=pause, result_pause=pause, fast=samples >= LONG, tick=bar,
            driver=driver)) as checks:
        checked, = checks
    simulation_tables(chosen, checked, batch)
    typer.echo(f"no difference in {samples} samples ({level} level, seed {seed})")
    if waves:
        typer.echo(checked.folder / "dump.vcd")
    if report:
        from ..sim.record import simulated
        from ..sim.report import write_report

        for path in write_report(report, *simulated(chosen, batch, checked, state, seed)):
            typer.echo(path)


@app.command()
def train(
    context: typer.Context,
    config: ConfigArgument,
    data: DataOption = "digits",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs in total.")] = 5,
    on: Annotated[str, typer.Option(help="golden: the golden model; rtl: the Verilated core, checked on the way.")]
    = "golden",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of checkpoint.npz; by default named "
                                             "after the configuration, with its hash.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=SEEDS, help="Order of the samples; 0, or that of the "
                                             "checkpoint.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, whatever the folder holds.")] = False,
    report: ReportOption = None,
    driver: DriverOption = "compiled",
    build_dir: BuildOption = Path("build/sim"),
):
    """Train, or go on where an interrupted training stopped: the bits are the same."""
    if on not in ("golden", "rtl"):
        raise ConfigError(f"--on must be golden or rtl, not {on!r}")
    check_driver(driver)
    if on == "golden":
        check_unused(context, "--on rtl", "driver")
    check_epochs(epochs)
    from .show import progress

    chosen = presets.find(config)
    output = output or Path("build/train") / f"{chosen.name}-{chosen.hash}-{on}"
    check_outputs(output, report, *([build_dir] if on == "rtl" else []))
    path, batch = output / "checkpoint.npz", chosen.update.batch
    chosen_data = load_data(data, chosen)
    checked = None
    with locked(output, wait=False):
        if fresh:
            path.unlink(missing_ok=True)
        left = _epochs_left(path, chosen, chosen_data, epochs, seed)
        total = len(chosen_data.train_labels) // batch * batch * left.epochs - left.trained
        if on == "rtl":
            total += -(-len(chosen_data.test_labels) // batch) * batch * left.epochs
        if left.epochs:
            with progress(f"{chosen.name}: {epochs} epochs on {on}", total) as bar, closing(
                    _training(on, chosen, chosen_data, epochs, path, build_dir, seed, bar, driver)) as steps:
                for done, found in steps:
                    checked = found
                    if done.position == 0 and done.history:
                        epoch, running, test = done.history[-1]
                        bar.say(f"epoch {int(epoch)}: {running:.2%} while training, {test:.2%} of the test set")
            typer.echo(path)
    if report:
        from ..sim.record import trained
        from ..sim.report import write_report

        for written in write_report(report, *trained(chosen, chosen_data, path, on, checked)):
            typer.echo(written)


class _Left(NamedTuple):
    """What is left of a training: epochs, and samples of the first of these that are trained."""

    epochs: int
    trained: int


def _epochs_left(path, config, data, epochs, seed):
    """A `_Left`; says what a checkpoint that is there means for it."""
    from ..golden.training import resume

    try:
        start = resume(path, config, data, seed).progress
    except CheckpointError as error:
        raise CheckpointError(f"{error}; --fresh starts over, -o takes another folder") from None
    if start.epoch >= epochs:
        typer.echo(f"{path}: nothing left to do, {start.epoch} of {epochs} epochs are trained; "
                   f"--epochs {start.epoch + 1} trains another, --fresh starts over")
    elif start.epoch or start.position:
        typer.echo(f"{path}: goes on after {start.epoch} epochs and {start.position} samples")
    return _Left(max(epochs - start.epoch, 0), start.position if start.epoch < epochs else 0)


def _training(on, config, data, epochs, path, build_dir, seed, bar, driver):
    """Progress after every chunk, and what was checked of it on the core."""
    if on == "golden":
        from ..golden.training import train as run_golden

        with closing(run_golden(config, data, epochs, path, seed=seed, tick=bar.step)) as steps:
            for done in steps:
                yield done, None
    else:
        from ..sim.training import train_rtl

        with closing(train_rtl(config, data, epochs, path, root=build_dir, seed=seed, tick=bar,
                               driver=driver)) as steps:
            for step in steps:
                yield step.progress, step.checked


@app.command("synth")
def synthesize(
    config: ConfigArgument,
    target: Annotated[str, typer.Option(help="ecp5-25, ecp5-85, ice40-up5k or xc7.")] = "ecp5-85",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of placement; the median counts.")] = 3,
    frequency: Annotated[float | None, typer.Option(min=1, max=10_000, help="MHz to be reached, if the tools can.")]
    = None,
    data: Annotated[str | None, typer.Option(help="As for train: what the core does per second on it.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the report.")] = None,
    build_dir: Annotated[Path, typer.Option("--build-dir", help="Where netlists and logs are kept.")]
    = Path("build/synth"),
):
    """Synthesize, place and route a core with open tools, and report what it takes."""
    from ..synth.flow import implement
    from ..synth.targets import find_target
    from .show import progress, synthesis_tables

    chosen, chip = presets.find(config), find_target(target)
    check_outputs(build_dir, output)
    found = {}
    if data:
        from ..synth.rates import cycles_per_sample

        chosen_data = load_data(data, chosen)
        with progress(f"{chosen.name}: cycles of {data.split(':')[0]}", None) as bar:
            found = cycles_per_sample(chosen, chosen_data, tick=bar.step)
    with progress(f"{chosen.name} on {chip.name}", 2 + seeds * bool(chip.router)) as bar:
        def step(text):
            bar.say(text)
            bar.step()

        report = implement(chosen, chip, root=build_dir / "cache", seeds=seeds, frequency=frequency, step=step)
    if found:
        from ..synth.rates import rates

        report |= {"data": data.split(":")[0], "rates": rates(found, report.get("frequency_mhz"))}
    from ..synth.report import write_report

    synthesis_tables(report)
    for path in write_report(output or build_dir / f"{chosen.name}-{chip.name}", report):
        typer.echo(path)


@app.command("board")
def build_board(
    config: Annotated[str | None, typer.Argument(metavar="[CONFIG]", help="A .toml file, a checkpoint, or the name of "
                                                 "a preset; by default that of the weights.")] = None,
    board: Annotated[str, typer.Option(help="icebreaker or ulx3s-85f.")] = "ulx3s-85f",
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of bitstream and report.")]
    = Path("build/board"),
    baud: Annotated[int, typer.Option(min=1, help="Bits per second of the serial line.")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS, help="Of placement.")] = 1,
    crc: Annotated[bool, typer.Option("--crc", help="Every packet on the line ends with a checksum.")] = False,
    weights: WeightsOption = None,
):
    """Build a bitstream: the core on the serial line of a board."""
    from ..board.build import build, prepare
    from .show import board_table, progress, waiting

    chosen, state = find_state(config, weights)
    check_outputs(output)
    with waiting(f"generating {chosen.name}"):
        job = prepare(chosen, board, baud=baud, seed=seed, crc=crc, state=state)
    with progress(f"{chosen.name} for {board}: synthesis, routing, bitstream", 3) as bar:
        built = build(job, output, tick=bar)
    board_table(built.report)
    for path in (built.bitstream, built.path):
        typer.echo(path)


@app.command()
def cycles(
    config: ConfigArgument,
    data: DataOption = "digits",
    samples: Annotated[int, typer.Option(min=1, max=MANY, help="Samples to count, rounded up to whole batches.")] = 50,
    before: Annotated[int, typer.Option(min=0, max=MANY, help="Samples to train first, rounded down to whole "
                                           "batches.")] = 500,
    train: Annotated[bool, typer.Option("--train/--infer", help="Whether the core learns from those counted. They are "
                                        "of the training set, or of the test set.")] = True,
    lanes: Annotated[int | None, typer.Option(min=1, help="Lanes of all units to balance; the present ones.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS, help="Order of the samples.")] = 0,
    json: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
):
    """Say from the golden model where the cycles go, and suggest lanes that balance the blocks."""
    from json import dumps

    from ..golden.balance import balance, check_total
    from ..golden.cycles import lanes_matter, trace_samples
    from .show import cycle_tables, lane_table, progress, waiting

    chosen = presets.find(config)
    check_outputs(json and json.parent)
    total = lanes or sum(unit.lanes for unit in chosen.units)
    check_total(chosen, total)
    chosen_data = load_data(data, chosen)
    with progress(f"{chosen.name}: golden model", before + samples) as bar:
        workload = trace_samples(chosen, chosen_data, samples=samples, before=before, train=train, seed=seed,
                                 tick=bar.step)
    present, mode = workload.cycles(chosen), "training" if train else "inference"
    cycle_tables(f"{chosen.name}, {workload.samples} samples of {data.partition(':')[0]}, {mode}", present)
    with waiting(f"{chosen.name}: balancing {total} lanes"):
        better = balance(chosen, workload, total)
    suggested = workload.cycles(better)
    lane_table(total, (chosen, present), (better, suggested))
    if lanes_matter(chosen):
        typer.echo("random numbers are drawn by lane: with other lanes spikes differ a little, and cycles with them")
    if json:
        write_atomically(json, dumps({
            "name": chosen.name, "config": chosen.hash, "mode": mode, "data": data.partition(":")[0], "seed": seed,
            "trained before": before, "samples": workload.samples, "present": present.document(),
            "suggested": suggested.document() | {
                "layers": [unit.lanes for unit in better.units if not unit.classifier],
                "classifier": better.classifier.lanes}}, indent=1) + "\n")
        typer.echo(json)


@app.command()
def doctor():
    """Print what is installed of tools and packages, and how the rest is; 1 if something is missing that all need."""
    from .doctor import examine

    raise typer.Exit(examine())


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the report.")] = Path("build/demo"),
    config: Annotated[str, typer.Option(help="A .toml file, a checkpoint, or the name of a preset.")] = presets.DEFAULT,
    data: DataOption = "digits",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs to train in the RTL.")] = 5,
    build_dir: BuildOption = Path("build/sim"),
):
    """Generate a core, train it in the RTL, check every bit, and write a report."""
    check_epochs(epochs)
    from ..sim.demo import run_demo
    from .show import progress

    chosen = presets.find(config)
    check_outputs(output, build_dir)
    chosen_data = load_data(data, chosen)
    with locked(output, wait=False):
        paths = run_demo(chosen, output, data=chosen_data, epochs=epochs, root=build_dir, progress=progress)
    for path in paths:
        typer.echo(path)
