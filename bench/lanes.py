"""Where the lane slots of a network go: useful work in each pass of each layer, and what fills the rest, in cycles.

From the golden model alone, which predicts every cycle: ``python -m bench.lanes lenet1 --data idx:FOLDER``. Cycles are
per trained sample, after some training. A pass of ``cycles`` has as many slots per lane; the slots of a backward pass
are those of the unit above, which serves it.
"""

import argparse
from itertools import islice

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from spikeloom.gen import presets
from spikeloom.golden.data import load_dataset
from spikeloom.golden.schedule import apply_cycles
from spikeloom.golden.training import Progress, plan
from spikeloom.sim.predict import Prediction


def losses(config, prediction, place, phase):
    """Cycles of one pass over all samples, the useful ones, and (cause, cycles) of the others.

    Useful is what its additions would take with all lanes at work in every cycle.
    """
    unit, counters, samples = config.units[place], prediction.counters, len(prediction.results)
    server = config.units[place + 1] if phase == "backward" else unit
    cycles = counters[f"{unit.path}.cycles.{phase}"]
    adds = counters[f"{server.path}.adds.{phase}"]
    useful = adds / server.lanes
    # Additions of a word: in every cycle, all its channels once.
    events = adds / server.channels * server.channel_words
    if phase == "backward" and server.pool:
        useful, events = adds, adds  # one channel of a tap is one request
    found = {"lanes without a channel": events - useful}
    periods = samples * config.intervals // config.time.update_period
    if phase == "update" and not unit.accumulates:
        found["reading spikes from the history"] = unit.bitmap.words * (unit.frames + 2) * periods
    elif phase == "update":
        found["all weight words, to move the touched ones"] = apply_cycles(unit) * periods // config.update.batch
    operations = prediction.operations[place][phase]
    found[{"forward": "empty bitmap words, steps filled up", "backward": "steps filled up",
           "update": "empty bitmap words, steps filled up"}[phase]] = operations - events
    found["beginning and end of the passes"] = cycles - useful - sum(found.values())
    return cycles, useful, found


class Operations(Prediction):
    """A prediction that also adds up the operations of every pass."""

    def __init__(self, config, state):
        super().__init__(config, state)
        self.operations = [{"forward": 0, "backward": 0, "update": 0} for _ in config.units]
        batch = self.schedule.batch

        def recorded(passes, **options):
            for sample in passes:
                for total, own in zip(self.operations, sample):
                    for one in own:
                        total["forward"] += one.forward
                        total["backward"] += sum(one.backward)
                        total["update"] += sum(one.update)
            return batch(passes, **options)

        self.schedule.batch = recorded


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", default="lenet1", help="a .toml file, or the name of a preset")
    parser.add_argument("--data", required=True, help="as for `spikeloom train`")
    parser.add_argument("--before", type=int, default=500, help="samples trained before any is counted")
    parser.add_argument("--samples", type=int, default=50)
    args = parser.parse_args()
    config = presets.find(args.config)
    data = load_dataset(args.data, config)
    order = [int(i) for chunk in plan(len(data.train_labels), 1, 0, Progress()) for i in chunk.order]
    prediction, batch = Operations(config, None), config.update.batch
    console = Console(width=150)
    picks = iter(order)
    for _ in track(range(args.before // batch), "training", console=Console(stderr=True)):
        own = list(islice(picks, batch))
        frames, labels = torch.from_numpy(data.train_frames[own]), data.train_labels[own].tolist()
        prediction.model.run_batch(frames, labels, train=True)
    for _ in track(range(args.samples // batch * batch), "counting", console=Console(stderr=True)):
        pick = next(picks)
        prediction.sample(torch.from_numpy(data.train_frames[pick]), data.train_labels[pick], True)
    samples = len(prediction.results)

    table = Table(title=f"{config.name}: cycles per trained sample, {samples} samples of {args.data.split(':')[0]}")
    for column in ("unit", "lanes", "pass", "cycles", "useful", "share"):
        table.add_column(column, justify="left" if column in ("unit", "pass") else "right")
    table.add_column("the others")
    for place, unit in enumerate(config.units):
        for phase in ("forward", "backward", "update"):
            server = None if unit.classifier else config.units[place + 1]
            if f"{(server if phase == 'backward' and server else unit).path}.adds.{phase}" not in prediction.counters \
                    or (phase == "backward" and server is None):
                continue
            cycles, useful, others = losses(config, prediction, place, phase)
            table.add_row(unit.path, str((server if phase == "backward" else unit).lanes), phase,
                          f"{cycles / samples:,.0f}", f"{useful / samples:,.0f}", f"{useful / cycles:.1%}",
                          ", ".join(f"{cause} {count / samples:,.0f}" for cause, count in others.items() if count))
    console.print(table)
    console.print("cycles per sample by block: " + ", ".join(
        f"{block.name} " + " + ".join(f"{prediction.counters[f'{block.name}.cycles.{phase}'] / samples:,.0f} {phase}"
                                      for phase in ("forward", "backward", "update")) for block in config.blocks))


if __name__ == "__main__":
    main()
