"""Has a core that was compiled without a bench (`driver.cpp`) carry out steps: fast, for long runs.

What a `Simulation` reads and writes as NumPy archives, the driver reads and writes as plain little-endian arrays. Its
plan comes on standard input, a line per action:

``access IN COUNT OUT``        COUNT requests, as fast as the core takes them -> the data of each response
``ask REQUEST``                one request, whatever the answer
``until REQUEST MASK``         the same request again until a bit of the mask is set in the answer
``run IN COUNT OUT RESULTS``   COUNT items, one in every cycle that takes one -> so many results, taken at once

An item or a request is its payload in 64 bits; of an item, the top bit asks for the cycle in which it was taken. An
answer has 32 bits; a response that is not ok ends the simulation. The words of a run's output have 32 bits, too: per
result two of its cycle and the words of its payload, and after them two for the cycle of each such item. Files are
complete when they bear their name.
"""

import numpy as np

from ..gen.samples import items
from ..gen.state import state_from_words, state_reads, state_writes
from ..golden.files import write_atomically
from ..rtl.registers import RegisterMap, request_layout
from ..rtl.result import result_layout
from .build import SimulationError
from .ports import arrivals, patience, result, result_type
from .run import Simulation
from .unknown import random_power_up

__all__ = ["Driver"]

_ARRIVES = np.uint64(1 << 63)


class Driver(Simulation):
    """A running simulation of a core compiled by `build_driver`; in everything else like a `Simulation`.

    It knows neither `reset` nor `trace`, and no pauses.

    Raises
    ------
    ValueError
        From these.
    """

    def _start(self, model, seed):
        registers = RegisterMap(self.config)
        self._registers, self._results, self._samples = registers, result_layout(self.config), {}
        self._reads = state_reads(registers)
        # A result may wait for the rest of its batch, and that for the batch before.
        return [model / "driver", str(2 * self.config.update.batch * patience(self.config)), *random_power_up(seed)]

    def load(self, arrays):
        self._paused([self._requests(base, values, write=True)
                      for base, values in state_writes(self._registers, arrays)])

    def run(self, frames, labels, trains, **pauses):
        if any(pauses.values()):
            raise ValueError("driver must be cocotb for pauses, not 'compiled'")
        payloads, arrive = items(self.config, frames, labels, trains)
        inside, out = self._save("items", payloads | arrive * _ARRIVES)
        self._samples[out] = len(labels)
        self._tell(f"run {inside} {len(payloads)} {out} {len(labels)}")
        return out

    def read(self):
        self._until("idle")
        return self._paused([self._requests(base, np.zeros(count)) for base, count in self._reads.values()])

    def reset(self, **_):
        raise ValueError("driver must be cocotb for a reset, not 'compiled'")

    def trace(self, on=True):
        raise ValueError("driver must be cocotb for a trace, not 'compiled'")

    def _until(self, field):
        """Wait until a field of the status is set."""
        address, mask = self._registers.mask("status", field)
        self._tell(f"until {self._requests(address, [0])[0]} {mask}")

    def _paused(self, requests):
        """Register accesses while the blocks pause; gives the name of their answers."""
        address, mask = self._registers.mask("control", "hold")
        hold, go = (self._requests(address, [value], write=True)[0] for value in (mask, 0))
        requests = np.concatenate(requests)
        self._tell(f"ask {hold}")
        self._until("held")
        inside, out = self._save("requests", requests)
        self._tell(f"access {inside} {len(requests)} {out}")
        self._tell(f"ask {go}")
        return out

    def _requests(self, base, values, write=False):
        """Payloads of accesses to consecutive registers."""
        layout = request_layout(self._registers.address_bits)
        place = {name: np.uint64(field.offset) for name, field in layout}
        data = (np.asarray(values, dtype=np.int64) & 0xFFFFFFFF).astype(np.uint64)
        address = np.arange(base, base + len(data), dtype=np.uint64)
        return address << place["address"] | np.uint64(write) << place["write"] | data << place["data"]

    def _save(self, kind, array):
        """Names of a step's file with this content, and of the one that it will write."""
        self._number += 1
        inside, out = f"{kind}_{self._number}.bin", f"{kind}_{self._number}_out.bin"
        write_atomically(self.folder / inside, array.astype("<u8").tobytes())
        self._files[out] = [self.folder / inside, self.folder / out]
        return inside, out

    def _arrays(self, path):
        words, samples = np.fromfile(path, dtype="<u4"), self._samples.pop(path.name, None)
        return self._state(path, words) if samples is None else self._run(path, words, samples)

    def _state(self, path, words):
        counts = [count for _, count in self._reads.values()]
        self._check(path, words, sum(counts))
        parts = np.split(words, np.cumsum(counts)[:-1])
        return state_from_words(self._registers, {place: part.tolist() for place, part in zip(self._reads, parts)})

    def _run(self, path, words, samples):
        width = 2 + max(2, -(-self._results.size // 32))
        intervals = self.config.intervals if self.config.input.kind == "events" else 1
        self._check(path, words, samples * (width + 2 * intervals))
        arrived = arrivals(self.config, words[samples * width:].view("<u8").astype(np.int64))
        results = []
        for row, last in zip(words[:samples * width].reshape(samples, width), arrived[:, -1]):
            taken = int.from_bytes(row[:2].tobytes(), "little")
            results.append(result(self._results, int.from_bytes(row[2:].tobytes(), "little"), int(last), taken))
        return {"results": np.array(results, dtype=result_type(self.config)), "arrivals": arrived}

    def _check(self, path, words, count):
        if len(words) != count:
            raise SimulationError(f"{path} must hold {count} words, not {len(words)}")
