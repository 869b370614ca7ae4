"""A bench for people without Python: stimuli and golden predictions as files, and Verilog that compares.

Torch is imported only when a bench is written.
"""

import json
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from ..golden.checkpoint import state_arrays
from ..golden.files import write_atomically
from ..rtl.events import input_layout
from ..rtl.registers import RegisterMap, request_layout
from ..rtl.result import result_layout
from .samples import items
from .state import state_writes
from .top import control

__all__ = ["PAUSE", "Stimulus", "make_stimulus", "write_testbench"]

#: Of 256 cycles, how many either side pauses in the second part of a bench.
PAUSE = 80
#: Kinds of checks, as in the bench.
WORD, COUNTER, WAIT = range(3)


class Stimulus(NamedTuple):
    """Whole batches of samples: integers (samples, size), with events bits (samples, T, size); labels; modes."""

    frames: np.ndarray
    labels: np.ndarray
    trains: np.ndarray


def make_stimulus(config, data=None, samples=8, mode="mixed", seed=0):
    """Samples for a bench, in random order.

    Parameters
    ----------
    config : Config
    data : Dataset, optional
        Its training samples are taken; by default random frames or events of any density, with random labels.
    samples : int
        How many, rounded up to whole batches.
    mode : str
        ``train``, ``infer``, or ``mixed``: at random for each batch.
    seed : int
    """
    random, batches = np.random.default_rng(seed), -(-samples // config.update.batch)
    samples = batches * config.update.batch
    trains = random.random(batches) < {"train": 1, "infer": 0, "mixed": 0.5}[mode]
    if data is None:
        shape = (samples, config.input.size) if config.input.kind == "frame" else \
            (samples, config.time.steps, config.input.size)
        density = random.random((samples, *[1] * (len(shape) - 1)))
        frames = random.integers(1, 1 << config.input.bits, shape) * (random.random(shape) < density)
        labels = random.integers(0, config.network.classes, samples)
    else:
        order = random.permutation(max(samples, len(data.train_labels)))[:samples] % len(data.train_labels)
        frames, labels = data.train_frames[order], data.train_labels[order]
    return Stimulus(frames, labels, trains.repeat(config.update.batch))


class _Bench:
    """Contents of the files of a bench, as integers; `comments` name what begins at a place of a file."""

    def __init__(self, config, stimulus, state, pause, load):
        from ..golden.model import initial_state
        from ..golden.prediction import Prediction

        self.config, self.registers, self.pause = config, RegisterMap(config), pause
        batch, events = config.update.batch, config.input.kind == "events"
        count = len(stimulus.labels)
        straight = -(-count // batch // 2) * batch if pause else count
        # No memory is being cleared any more when the first item comes.
        self.first = 2 + max(unit.weight_depth * unit.rule.accumulates for unit in config.units)
        if events:
            self.first += config.units[0].frames * config.units[0].bitmap.words
        state = state or initial_state(config)
        self.load, self.load_comments = self._writes(state_arrays(state)) if load else ([], {})
        prediction, self.checks, self.check_comments, counts = Prediction(config, state), [], {}, []
        for number, (frame, label, train) in enumerate(zip(*stimulus)):
            arrival = None if number else self._arrival(frame)
            prediction.sample(frame, label, train, arrival=arrival)
            if number == straight - 1:
                self._check_counters(prediction, waits=True)
                counts.append(len(self.checks))
        self._check_state(prediction)
        self._check_counters(prediction, waits=False)
        parts = [items(config, *(part[own] for part in stimulus))[0]
                 for own in (slice(straight), slice(straight, None))]
        self.samples = [int(word) for part in parts for word in part]
        self.results = [self._result(want) for want in prediction.results]
        # Of the first part, and of both.
        self.lengths = {"items": (len(parts[0]), len(self.samples)), "results": (straight, count),
                        "checks": (*counts, len(self.checks))}
        ends = [want["cycle of the result"] for want in prediction.results]
        gaps = [end - begin for begin, end in zip([0, *ends], ends)]
        self.limit = 2 * (max(gaps) + self.first) + 10_000

    def _arrival(self, frame):
        """When the first sample arrives, if it is offered as early as the bench may."""
        if self.config.input.kind == "frame":
            return self.first + self.config.input.size - 1
        from torch import as_tensor

        from ..golden.activity import interval_items

        first, *others = interval_items(self.config, as_tensor(frame))
        return [self.first + first - 1, *(None for _ in others)]

    def _writes(self, arrays):
        found, comments = [], {}
        for base, values in state_writes(self.registers, arrays):
            comments[len(found)] = self._name(base)
            found += [(base + place) << 32 | value & 0xFFFFFFFF for place, value in enumerate(values)]
        return found, comments

    def _name(self, address):
        return next(region.name for region in self.registers.regions.values()
                    if region.base <= address < region.base + region.size)

    def _check(self, kind, address, value):
        self.checks.append(kind << 96 | address << 64 | value)

    def _check_state(self, prediction):
        """What was loaded is read back, but for the places in a region that hold nothing."""
        arrays = state_arrays(prediction.model.state)
        held = {name: np.ones_like(values) if name.startswith(("weight", "velocity")) else values
                for name, values in arrays.items()}
        for (base, values), (_, used) in zip(*(state_writes(self.registers, own) for own in (arrays, held))):
            name = self._name(base)
            self.check_comments[len(self.checks)] = name
            padded = name.endswith((".weight", ".velocity"))
            for place, value in enumerate(values):
                if used[place] or not padded:
                    self._check(WORD, base + place, value & 0xFFFFFFFF)

    def _check_counters(self, prediction, waits):
        """Counters; `waits` are known as long as nobody pauses, those for the input but for when the samples begin."""
        predicted = prediction.counters
        for name, address in self.registers.counters().items():
            if ".wait." in name and not waits:
                continue
            self.check_comments[len(self.checks)] = name
            self._check(WAIT if name.endswith("wait.input") else COUNTER, address, predicted[name])

    def _result(self, want):
        layout = result_layout(self.config)
        values = {"prediction": want["prediction"], "label": want["label"], "train": want["train"],
                  "cycles": want["cycle count"]}
        word = sum(values[name] << layout[name].offset for name in values)
        counts = layout["counts"]
        bits = counts.width // self.config.network.classes
        return word | sum(own << counts.offset + bits * place for place, own in enumerate(want["spike counts"]))


def _hexadecimal(words, bits, comments=()):
    digits, lines = -(-bits // 4), []
    for place, word in enumerate(words):
        if place in comments:
            lines.append(f"// {comments[place]}")
        lines.append(f"{word:0{digits}x}")
    return "\n".join([*lines, ""])


def _read(bench, contract):
    """Files that must be there -> array and number of its words; None for what the core reads by itself."""
    lengths = {"load": ("loads", "LOADS"), "samples": ("items", "ITEMS"), "results": ("results", "RESULTS"),
               "checks": ("checks", "CHECKS")}
    own = {f"{bench.config.name}_{file}.hex": words for file, words in lengths.items() if file != "load" or bench.load}
    return own | {memory["contents"]: None for memory in contract["memories"] if memory["contents"]}


def _verilog(bench, contract, seed):
    config, registers = bench.config, bench.registers
    result, request = result_layout(config), request_layout(registers.address_bits)
    timeless = (1 << result.size) - 1 - (((1 << result["cycles"].width) - 1) << result["cycles"].offset)
    ports = {port["name"]: port["name"] for port in contract["ports"]} | control(
        config.hardware, clk="clk", rst="resetting", rst_n="!resetting", clk_en="1'b1")
    # Unknown where it does not count.
    parts = {"address": "increment ? {ADDRESS{1'bx}} : address[ADDRESS-1:0]"}
    fields = sorted(request, key=lambda item: -item[1].offset)
    env = jinja2.Environment(loader=jinja2.PackageLoader("spikeloom.gen", "."), undefined=jinja2.StrictUndefined,
                             keep_trailing_newline=True)
    return env.get_template("testbench.v.jinja").render(
        name=config.name, ports=ports, files=_read(bench, contract), loads=len(bench.load), first=bench.first,
        pause=bench.pause, limit=bench.limit,
        widths={"sample": input_layout(config).size, "result": result.size, "request": request.size,
                "address": registers.address_bits},
        timeless=f"{timeless:x}", top=f"{(1 << config.hardware.counter_bits) - 1:x}",
        seed=f"{(seed * 0x9E3779B1 + 0x2545F491) & 0xFFFFFFFF | 1:08x}",
        request="{" + ", ".join(parts.get(name, name) for name, _ in fields) + "}",
        control=registers.mask("control", "hold"), held=registers.mask("status", "held"),
        idle=registers.mask("status", "idle"), **bench.lengths)


def write_testbench(config, sidecar, stimulus, *, state=None, load=True, pause=PAUSE, seed=0):
    """Write a bench beside the Verilog of the core: it loads a state, drives samples and compares everything.

    Half of the samples come without a pause, and cycles and waits are compared as well; without them the others, where
    both sides pause at random.

    Parameters
    ----------
    config : Config
    sidecar : Path
        ``<name>.json``, which is beside ``<name>.v``; the bench is written beside them.
    stimulus : Stimulus
    state : State, optional
        What the core begins with; the seeded initial state by default.
    load : bool
        Whether it is loaded through the register port; if not, the core has it at power-up.
    pause : int
        Of 256 cycles, how many either side pauses in the second half; 0 for no pause at all.
    seed : int
        Of the pauses.

    Returns
    -------
    list of Path
        The Verilog, the file list, and four files of hexadecimal words.
    """
    bench, name = _Bench(config, stimulus, state, pause, load), config.name
    contract = json.loads(Path(sidecar).read_text())
    files = {
        f"{name}_bench.v": _verilog(bench, contract, seed),
        f"{name}.f": f"+define+SPIKELOOM_CHECK\n{name}_bench.v\n{name}.v\n",
        f"{name}_load.hex": _hexadecimal(bench.load, 64, bench.load_comments),
        f"{name}_samples.hex": _hexadecimal(bench.samples, input_layout(config).size),
        f"{name}_results.hex": _hexadecimal(bench.results, result_layout(config).size),
        f"{name}_checks.hex": _hexadecimal(bench.checks, 100, bench.check_comments),
    }
    paths = [Path(sidecar).with_name(file) for file in files]
    for path, text in zip(paths, files.values()):
        write_atomically(path, text)
    return paths
