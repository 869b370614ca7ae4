"""Shared set-up: one thread, and the same examples in every run."""

import gc
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from spikeloom.gen.generate import RARELY

# A shell lets what it starts in the background ignore these, and so would every process of a test.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

# The tensors are tiny: a second thread costs more than it brings, and pytest-xdist already uses the cores.
torch.set_num_threads(1)

# A simulation takes longer than Hypothesis' deadline, and a failure must come back in the next run.
settings.register_profile("spikeloom", deadline=None, derandomize=True, database=None, max_examples=40,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("spikeloom")


def pytest_collection_finish():
    """What was imported stays; netlists and simulations are many objects, most of which stay as long as their test."""
    gc.freeze()
    gc.set_threshold(*RARELY)


def pytest_itemcollected(item):
    """What uses the library of recordings needs an extra; what shares a fixture of its module runs in one process."""
    if "tonic" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.extras)
    if any(own[-1].scope == "module" for own in item._fixtureinfo.name2fixturedefs.values()):
        item.add_marker(pytest.mark.xdist_group(item.module.__name__))


@pytest.fixture(scope="session")
def models():
    """Folder of Verilated models: kept between runs, since they are named by their content."""
    return Path("build/sim")
