"""Threads of PyTorch: one for a few samples, those that there are for many; the same bits."""

import subprocess
import sys

CODE = """
import torch
given = torch.get_num_threads()
from spikeloom.gen import presets
from spikeloom.golden.model import Golden
config = presets.find("tiny")
frames = torch.randint(0, 1 << config.input.bits, (300, config.input.size), generator=torch.Generator().manual_seed(1))
golden, found = Golden(config, compiled=False), []
for part in (frames[:1], frames):
    found.append((golden.infer(part), torch.get_num_threads()))
golden.train_batch(frames[:1], [3])
print([given] + [threads for _, threads in found] + [torch.get_num_threads()], bool(found[0][0].equal(found[1][0][:1])))
"""


def test_threads_by_size(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "[2, 1, 2, 1] True\n"
