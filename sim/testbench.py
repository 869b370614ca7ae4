"""The part of a co-simulation that runs inside the simulator: carries out a script, writes what it saw.

`SPIKELOOM_SCRIPT` names a JSON file, a list of steps. Each step is a dict with the key ``do``:

``load``    state file -> weights, LFSRs, learning-rate state, through the register port
``run``     samples file -> results file
``read``    -> state file and counters, through the register port
``reset``   reset, and start again with cycle 0
``trace``   switch the trace on or off

Files are NumPy archives, renamed into place when complete.
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, Timer

from ..golden.checkpoint import save_arrays
from ..golden.config import parse
from ..golden.units import clog2
from ..rtl.registers import MAGIC, RegisterMap
from .build import BOX, QUEUE, result_bits


def to_memory(unit, matrix):
    """Words of a weight memory, a list with a power of two of lanes in each, from a matrix (fan_in, channels)."""
    padded = np.zeros((unit.fan_rows, unit.channel_words * unit.lanes), dtype=np.int64)
    padded[unit.fan_address(np.arange(unit.fan_in)), :unit.channels] = matrix
    memory = np.zeros((unit.channel_words, unit.fan_rows, 1 << clog2(unit.lanes)), dtype=np.int64)
    memory[:, :, :unit.lanes] = padded.reshape(unit.fan_rows, -1, unit.lanes).transpose(1, 0, 2)
    return memory.ravel().tolist()


def from_memory(unit, words):
    """The matrix (fan_in, channels) of an array of such words."""
    memory = words.reshape(unit.channel_words, unit.fan_rows, -1)[:, :, :unit.lanes]
    flat = memory.transpose(1, 0, 2).reshape(unit.fan_rows, -1)
    return flat[unit.fan_address(np.arange(unit.fan_in)), :unit.channels]


class Testbench:
    """Drives `bench.sv`; every method returns when the core has answered."""

    def __init__(self, dut, config):
        self.dut, self.config, self.map = dut, config, RegisterMap(config)
        self.offered = self.results = 0
        self.progress = Path(os.environ["SPIKELOOM_SCRIPT"]).with_name("progress")

    async def reset(self):
        """Hold reset for some cycles; cycle 0 is the first one after it."""
        self.dut.rst.value = 1
        self.dut.offered.value = self.offered = 0
        for _ in range(4):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def _box(self, address, count, write):
        dut = self.dut
        dut.box_address.value, dut.box_count.value, dut.box_write.value = address, count, int(write)
        dut.box_start.value = 1
        await dut.box_done.value_change

    async def write(self, address, values):
        """Write consecutive registers."""
        for start in range(0, len(values), BOX):
            part = values[start:start + BOX]
            for place, value in enumerate(part):
                self.dut.box[place].value = int(value) & 0xFFFFFFFF
            await self._box(address + start, len(part), True)

    async def read(self, address, count):
        """Read consecutive registers, as a list of unsigned integers."""
        values = []
        for start in range(0, count, BOX):
            part = min(BOX, count - start)
            await self._box(address + start, part, False)
            values += [self.dut.box[place].value.to_unsigned() for place in range(part)]
        return values

    async def settle(self):
        """Wait until no block computes; all results must have been taken."""
        status = self.map.regions["status"].base
        while not (await self.read(status, 1))[0] & 1:
            pass

    async def run(self, frames, labels, trains):
        """Offer samples and collect results: rows of prediction, label, train, cycles, arrived, taken, counts."""
        dut, config = self.dut, self.config
        bits, label_bits = config.input.bits, clog2(config.network.classes)
        count_bits, total = config.time.steps.bit_length(), len(frames)
        first, rows, sent = self.offered, [], 0
        while len(rows) < total:
            while sent < total and sent - len(rows) < QUEUE:
                word = sum(int(value) << (bits * place) for place, value in enumerate(frames[sent]))
                word |= (int(trains[sent]) << label_bits | int(labels[sent])) << (bits * len(frames[sent]))
                dut.queue[(first + sent) % QUEUE].value = word
                sent += 1
            self.offered = first + sent
            dut.offered.value = self.offered
            # Woken long before the queue is empty, so that the core never waits for Python.
            target = min(total, len(rows) + QUEUE // 4)
            dut.wake_at.value = first + target
            dut.wake_armed.value = 1
            await dut.wake.value_change
            while len(rows) < target:
                place = (first + len(rows)) % QUEUE
                word = dut.outcome[place].value.to_unsigned()
                fields = []
                for width in (label_bits, *[count_bits] * config.network.classes, label_bits, 1, 32, 64):
                    fields.append(word & ((1 << width) - 1))
                    word >>= width
                prediction, *counts, label, train, cycles, taken = fields
                arrived = dut.arrived[place].value.to_unsigned()
                rows.append([prediction, label, train, cycles, arrived, taken, *counts])
            self.progress.write_text(str(self.results + len(rows)))
        self.results += total
        return np.array(rows, dtype=np.int64)

    def _kinds(self, unit):
        return [kind for kind in ("weight", "velocity") if f"{unit.path}.{kind}" in self.map.regions]

    async def load(self, arrays):
        """Write a whole state (`golden.checkpoint.state_arrays`)."""
        for place, unit in enumerate(self.config.units):
            for kind in self._kinds(unit):
                words = to_memory(unit, arrays[f"{kind}_{place}"])
                await self.write(self.map.regions[f"{unit.path}.{kind}"].base, words)
            if f"{unit.path}.lfsr" in self.map.regions:
                await self.write(self.map.regions[f"{unit.path}.lfsr"].base, arrays[f"lfsr_{place}"].tolist())
        for block in self.config.blocks:
            await self.write(self.map.regions[f"{block.name}.decays"].base,
                             [int(arrays["shift"]) - self.config.update.shift])
            await self.write(self.map.regions[f"{block.name}.since_decay"].base, [int(arrays["since_decay"])])

    async def state(self):
        """Read the whole state, with the counters as ``counter:<name>``."""
        arrays = {}
        await self.settle()
        sign = 1 << 31
        for place, unit in enumerate(self.config.units):
            for kind in ("weight", "velocity"):
                arrays[f"{kind}_{place}"] = np.zeros((0, unit.channels), dtype=np.int64)
            for kind in self._kinds(unit):
                raw = await self.read(self.map.regions[f"{unit.path}.{kind}"].base,
                                      unit.weight_depth << clog2(unit.lanes))
                arrays[f"{kind}_{place}"] = from_memory(unit, (np.array(raw, dtype=np.int64) ^ sign) - sign)
            lfsr = self.map.regions.get(f"{unit.path}.lfsr")
            states = await self.read(lfsr.base, unit.lanes) if lfsr else []
            arrays[f"lfsr_{place}"] = np.array(states, dtype=np.int64)
        rates = []
        for block in self.config.blocks:
            decays = await self.read(self.map.regions[f"{block.name}.decays"].base, 1)
            since = await self.read(self.map.regions[f"{block.name}.since_decay"].base, 1)
            rates.append((decays[0] + self.config.update.shift, since[0]))
        # All blocks have seen the same samples; where they disagree, none of them is reported.
        arrays["shift"], arrays["since_decay"] = rates[0] if len(set(rates)) == 1 else (-1, -1)
        for name, address in self.map.counters().items():
            low, high = await self.read(address, 2)
            arrays[f"counter:{name}"] = low | high << 32
        return {name: np.asarray(value) for name, value in arrays.items()}


@cocotb.test()
async def script(dut):
    """Carry out the script."""
    plan = json.loads(Path(os.environ["SPIKELOOM_SCRIPT"]).read_text())
    config = parse(plan["config"])
    bench = Testbench(dut, config)
    await Timer(1, unit="ns")
    assert len(dut.outcome[0].value) == result_bits(config) + 64, "bench and configuration differ"
    await bench.reset()
    identification = await bench.read(bench.map.regions["identification"].base, 1)
    assert identification == [MAGIC], identification
    for step in plan["steps"]:
        match step["do"]:
            case "load":
                with np.load(step["state"]) as arrays:
                    await bench.load(arrays)
            case "run":
                with np.load(step["samples"]) as arrays:
                    dut.sample_pause.value = step.get("sample_pause", 0)
                    dut.result_pause.value = step.get("result_pause", 0)
                    rows = await bench.run(arrays["frames"], arrays["labels"], arrays["trains"])
                save_arrays(step["results"], {"rows": rows})
            case "read":
                save_arrays(step["state"], await bench.state())
            case "reset":
                if step.get("abort"):
                    await _abort(bench, step)
                await bench.reset()
            case "trace":
                dut.tracing.value = int(step["on"])
                await RisingEdge(dut.clk)
            case other:
                raise ValueError(f"script step must be a known one, not {other!r}")


async def _abort(bench, step):
    """Offer samples and walk away after some cycles, so that reset comes in the middle of everything."""
    dut = bench.dut
    with np.load(step["abort"]) as arrays:
        task = cocotb.start_soon(bench.run(arrays["frames"], arrays["labels"], arrays["trains"]))
        await Timer(10 * step["cycles"], unit="ns")
        task.cancel()
    dut.wake_armed.value = 0
