"""The part of a co-simulation that runs inside the simulator: carries out steps, writes what it saw.

`SPIKELOOM_RUN` names its folder, in which ``config.json`` is. Steps come on standard input while it runs, each a line
of JSON with the key ``do``:

``load``    state file -> weights, LFSRs, learning-rate state, through the register port
``run``     samples file -> results file
``read``    -> state file and counters, through the register port
``reset``   reset, and start again with cycle 0; with a samples file, in the midst of these
``trace``   switch the trace on or off

Files are NumPy archives, renamed into place when complete.
"""

import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge, SimTimeoutError, Timer, with_timeout

from ..gen.samples import items
from ..gen.state import state_from_words, state_reads, state_writes
from ..golden.checkpoint import save_arrays
from ..golden.config import parse
from ..golden.units import clog2
from ..rtl.registers import MAGIC, RegisterMap
from ..rtl.result import result_layout
from .ports import ARRIVALS, BOX, ITEMS, patience, queue_length, result, result_type


class _Frames:
    """Samples as whole words of the bench's queue."""

    def __init__(self, bench, frames, labels, trains):
        self.bench, self.samples = bench, list(zip(frames, labels, trains))
        self.first, self.sent = bench.offered, 0

    def offer(self, finished):
        """Fill the queue, as far as there is room behind `finished` samples."""
        bits, label_bits = self.bench.config.input.bits, clog2(self.bench.config.network.classes)
        while self.sent < len(self.samples) and self.sent - finished < self.bench.queue:
            frame, label, train = self.samples[self.sent]
            word = sum(int(value) << (bits * place) for place, value in enumerate(frame))
            word |= (int(train) << label_bits | int(label)) << (bits * len(frame))
            self.bench.dut.queue[(self.first + self.sent) % self.bench.queue].value = word
            self.sent += 1
        self.bench.offered = self.first + self.sent

    def target(self, finished):
        """Results after which there is room again."""
        return min(len(self.samples), finished + self.bench.queue // 4)

    def arrivals(self, sample):
        return [self.bench.dut.arrived[(self.first + sample) % self.bench.queue].value.to_unsigned()]


class _Events:
    """Samples as items of the event stream: interval by interval, and in each the samples of a batch."""

    def __init__(self, bench, frames, labels, trains):
        config = self.config = bench.config
        self.bench, self.batch, self.samples = bench, config.update.batch, (frames, labels, trains)
        self.first, self.sent, self.ends = bench.intervals_since_reset, 0, [0]
        bench.intervals_since_reset += len(frames) * config.intervals

    def offer(self, finished):
        """Fill the queue, batch by batch, as far as there is room behind `finished` samples."""
        while self.sent * self.batch < len(self.samples[0]):
            own = slice(self.sent * self.batch, (self.sent + 1) * self.batch)
            batch, _ = items(self.config, *(part[own] for part in self.samples))
            if len(batch) > ITEMS:
                raise ValueError(f"events of a batch must be at most {ITEMS}, not {len(batch)}")
            used = self.ends[-1] - self.ends[finished // self.batch]
            inside = (self.sent + 1) * self.batch - finished
            if used and (used + len(batch) > ITEMS or inside > self.bench.queue
                         or inside * self.config.intervals > ARRIVALS):
                return
            for item in batch.tolist():
                self.bench.dut.queue[self.bench.offered % ITEMS].value = item
                self.bench.offered += 1
            self.ends.append(self.ends[-1] + len(batch))
            self.sent += 1

    def target(self, finished):
        """Results after which there is room again: half of what is in the queue, in whole batches."""
        inside = self.sent - finished // self.batch
        return finished + max(1, inside // 2) * self.batch if self.sent * self.batch < len(self.samples[0]) else \
            self.sent * self.batch

    def arrivals(self, sample):
        batch, place = divmod(sample, self.batch)
        first = self.first + batch * self.batch * self.config.intervals + place
        return [self.bench.dut.arrived[(first + interval * self.batch) % ARRIVALS].value.to_unsigned()
                for interval in range(self.config.intervals)]


class Testbench:
    """Drives `bench.sv`; every method returns when the core has answered."""

    def __init__(self, dut, config):
        self.dut, self.config, self.map, self.queue = dut, config, RegisterMap(config), queue_length(config)
        self.layout = result_layout(config)
        self.offered = self.results = self.results_since_reset = self.intervals_since_reset = 0
        self.progress = Path(os.environ["SPIKELOOM_RUN"]) / "progress"

    async def reset(self):
        """Reset for one cycle; cycle 0 is the first one after it."""
        await FallingEdge(self.dut.clk)  # written at a rising edge, it might begin and end before the bench looks
        self.dut.rst.value = 1
        self.dut.offered.value = self.offered = self.results_since_reset = self.intervals_since_reset = 0
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        for _ in range(2):  # the bench resets the core a cycle later
            await RisingEdge(self.dut.clk)

    async def _box(self, address, count, write):
        dut = self.dut
        dut.box_address.value, dut.box_count.value, dut.box_write.value = address, count, int(write)
        dut.box_start.value = 1
        await dut.box_done.value_change
        if dut.box_failed.value:
            raise RuntimeError(f"an access to {count} registers from {address:#x} on was not answered with ok")

    async def write(self, address, values):
        """Write consecutive registers; in fields only bits that they have."""
        self.map.check_bits(address, values)
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

    async def until(self, field):
        """Wait until a field of the status is set."""
        address, mask = self.map.mask("status", field)
        for _ in range(self.config.update.batch * patience(self.config)):  # an access takes a cycle at least
            if (await self.read(address, 1))[0] & mask:
                return
        raise RuntimeError(f"the core never says {field}")

    @asynccontextmanager
    async def paused(self):
        """While the blocks pause."""
        address, hold = self.map.mask("control", "hold")
        await self.write(address, [hold])
        await self.until("held")
        yield
        await self.write(address, [0])

    async def run(self, frames, labels, trains):
        """Offer samples and collect results.

        Returns
        -------
        results : numpy.ndarray
            Per sample, of `result_type`.
        arrivals : numpy.ndarray
            Per sample, the cycle in which its last value was taken; with events, the last item of each interval.
        """
        kind = _Events if self.config.input.kind == "events" else _Frames
        dut, source = self.dut, kind(self, frames, labels, trains)
        results, arrivals, total, first = [], [], len(frames), self.results_since_reset
        while len(results) < total:
            source.offer(len(results))
            dut.offered.value = self.offered
            # Woken long before the queue is empty, so that the core never waits for Python.
            target = source.target(len(results))
            dut.wake_at.value = first + target
            dut.wake_armed.value = 1
            pause = max(port.value.to_unsigned() for port in (dut.sample_pause, dut.result_pause))
            limit = (target - len(results) + self.config.update.batch) * patience(self.config, pause)
            try:
                await with_timeout(dut.wake.value_change, 10 * limit, "ns")
            except SimTimeoutError:
                raise RuntimeError(f"the core stands still: {dut.finished.value.to_unsigned()} results, and no other "
                                   f"within {limit} cycles") from None
            while len(results) < target:
                arrivals.append(source.arrivals(len(results)))
                results.append(self._result((first + len(results)) % self.queue, arrivals[-1][-1]))
            self.progress.write_text(str(self.results + len(results)))
        self.results += total
        self.results_since_reset += total
        return np.array(results, dtype=result_type(self.config)), np.array(arrivals, dtype=np.int64)

    def _result(self, place, arrived):
        word, bits = self.dut.outcome[place].value.to_unsigned(), self.layout.size
        return result(self.layout, word & ((1 << bits) - 1), arrived, word >> bits)

    async def load(self, arrays):
        """Write a whole state (`golden.checkpoint.state_arrays`)."""
        async with self.paused():
            for address, values in state_writes(self.map, arrays):
                await self.write(address, values)

    async def state(self):
        """Read the whole state, with the counters as ``counter:<name>``; all results must have been taken."""
        await self.until("idle")
        async with self.paused():
            return state_from_words(self.map, {
                name: await self.read(*place) for name, place in state_reads(self.map).items()})


@cocotb.test()
async def script(dut):
    """Carry out the steps; the simulation stands still while the next one is not known."""
    config = parse(json.loads((Path(os.environ["SPIKELOOM_RUN"]) / "config.json").read_text()))
    bench = Testbench(dut, config)
    await Timer(1, unit="ns")
    assert len(dut.outcome[0].value) == bench.layout.size + 64, "bench and configuration differ"
    await bench.reset()
    identification = await bench.read(bench.map.regions["identification"].base, 1)
    assert identification == [MAGIC], identification
    for step in map(json.loads, sys.stdin):
        match step["do"]:
            case "load":
                with np.load(step["in"]) as arrays:
                    await bench.load(arrays)
            case "run":
                with np.load(step["in"]) as arrays:
                    dut.sample_pause.value, dut.result_pause.value = step["sample_pause"], step["result_pause"]
                    results, arrivals = await bench.run(arrays["frames"], arrays["labels"], arrays["trains"])
                save_arrays(step["out"], {"results": results, "arrivals": arrivals})
            case "read":
                save_arrays(step["out"], await bench.state())
            case "reset":
                if step["in"]:
                    await _abort(bench, step)
                await bench.reset()
            case "trace":
                dut.tracing.value = int(step["on"])
                await RisingEdge(dut.clk)
            case other:
                raise ValueError(f"step must be a known one, not {other!r}")


async def _abort(bench, step):
    """Offer samples and walk away after some cycles, so that reset comes in the middle of everything."""
    dut = bench.dut
    with np.load(step["in"]) as arrays:
        task = cocotb.start_soon(bench.run(arrays["frames"], arrays["labels"], arrays["trains"]))
        await Timer(10 * step["cycles"], unit="ns")
        task.cancel()
    dut.wake_armed.value = 0
