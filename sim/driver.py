"""Carries out scripts in a core that was compiled without a bench (`driver.cpp`): fast, for long runs.

What a `Simulation` reads and writes as NumPy archives, the driver reads and writes as plain little-endian arrays beside
them. Its plan is ``plan.txt``, a line per action:

``access IN COUNT OUT``        COUNT requests, as fast as the core takes them -> the data of each response
``ask REQUEST``                one request, whatever the answer
``until REQUEST MASK``         the same request again until a bit of the mask is set in the answer
``run IN COUNT OUT RESULTS``   COUNT items, one in every cycle that takes one -> so many results, taken at once

An item or a request is its payload in 64 bits; of an item, the top bit asks for the cycle in which it was taken. An
answer has 32 bits; a response that is not ok ends the simulation. The words of a run's output have 32 bits, too: per
result two of its cycle and the words of its payload, and after them two for the cycle of each such item. Files are
complete when they bear their name.
"""

from pathlib import Path

import numpy as np

from ..gen.samples import items
from ..gen.state import state_from_words, state_reads, state_writes
from ..golden.files import write_atomically
from ..rtl.registers import RegisterMap, request_layout
from ..rtl.result import result_layout
from .build import SimulationError, random_memories
from .ports import arrivals, result_row
from .run import Simulation

__all__ = ["Driver"]

_ARRIVES = np.uint64(1 << 63)


class Driver(Simulation):
    """A running simulation of a core compiled by `build_driver`; in everything else like a `Simulation`.

    It knows the steps ``load``, ``run`` without pauses, and ``read``.

    Raises
    ------
    ValueError
        For any other step.
    """

    def _prepare(self, model, steps, seed):
        registers, lines = RegisterMap(self.config), []
        self._registers, self._results, self._samples = registers, result_layout(self.config), {}
        self._reads = state_reads(registers)
        for number, step in enumerate(steps):
            match step:
                case {"do": "load", "state": name}:
                    with np.load(self.folder / name) as arrays:
                        requests = [self._requests(base, values, write=True)
                                    for base, values in state_writes(registers, arrays)]
                    lines += self._paused(self._access(number, requests, f"loaded_{number}.bin"))
                case {"do": "read", "state": name}:
                    requests = [self._requests(base, np.zeros(count)) for base, count in self._reads.values()]
                    lines += [self._until("idle"), *self._paused(
                        self._access(number, requests, self._file(name).name))]
                case {"do": "run", "samples": name, "results": out, **pauses} if not any(pauses.values()):
                    with np.load(self.folder / name) as arrays:
                        payloads, arrive = items(self.config, arrays["frames"], arrays["labels"], arrays["trains"])
                        self._samples[out] = len(arrays["labels"])
                    self._save(f"items_{number}.bin", payloads | arrive * _ARRIVES)
                    lines.append(f"run items_{number}.bin {len(payloads)} {self._file(out).name} "
                                 f"{self._samples[out]}")
                case _:
                    raise ValueError(f"step must be one that the compiled driver knows, not {step!r}")
        (self.folder / "plan.txt").write_text("\n".join(lines) + "\n")
        return [str(Path(model) / "driver"), str(self.folder), *random_memories(seed)]

    def _until(self, field):
        address, mask = self._registers.mask("status", field)
        return f"until {self._requests(address, [0])[0]} {mask}"

    def _paused(self, line):
        """A line of the plan while the blocks pause."""
        address, mask = self._registers.mask("control", "hold")
        hold, go = (self._requests(address, [value], write=True)[0] for value in (mask, 0))
        return [f"ask {hold}", self._until("held"), line, f"ask {go}"]

    def _requests(self, base, values, write=False):
        """Payloads of accesses to consecutive registers."""
        layout = request_layout(self._registers.address_bits)
        place = {name: np.uint64(field.offset) for name, field in layout}
        data = (np.asarray(values, dtype=np.int64) & 0xFFFFFFFF).astype(np.uint64)
        address = np.arange(base, base + len(data), dtype=np.uint64)
        return address << place["address"] | np.uint64(write) << place["write"] | data << place["data"]

    def _access(self, number, requests, out):
        requests = np.concatenate(requests)
        self._save(f"requests_{number}.bin", requests)
        return f"access requests_{number}.bin {len(requests)} {out}"

    def _save(self, name, array):
        write_atomically(self.folder / name, array.astype("<u8").tobytes())

    def _file(self, name):
        return (self.folder / name).with_suffix(".bin")

    def _arrays(self, name):
        words = np.fromfile(self._file(name), dtype="<u4")
        samples = self._samples.get(name)
        if samples is None:
            return self._state(name, words)
        return self._run(name, words, samples)

    def _state(self, name, words):
        counts = [count for _, count in self._reads.values()]
        self._check(name, words, sum(counts))
        parts = np.split(words, np.cumsum(counts)[:-1])
        return state_from_words(self._registers, {place: part.tolist() for place, part in zip(self._reads, parts)})

    def _run(self, name, words, samples):
        width = 2 + max(2, -(-self._results.size // 32))
        intervals = self.config.intervals if self.config.input.kind == "events" else 1
        self._check(name, words, samples * (width + 2 * intervals))
        arrived = arrivals(self.config, words[samples * width:].view("<u8").astype(np.int64))
        rows = []
        for row, last in zip(words[:samples * width].reshape(samples, width), arrived[:, -1]):
            taken = int.from_bytes(row[:2].tobytes(), "little")
            rows.append(result_row(self._results, int.from_bytes(row[2:].tobytes(), "little"), int(last), taken))
        return {"rows": np.array(rows, dtype=np.int64), "arrivals": arrived}

    def _check(self, name, words, count):
        if len(words) != count:
            raise SimulationError(f"{self._file(name)} must hold {count} words, not {len(words)}")
