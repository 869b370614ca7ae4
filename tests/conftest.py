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
    """What uses the library of recordings needs an extra."""
    if "tonic" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.extras)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests go to whichever process is free; those of a file that has a fixture in common, to the same one."""
    from xdist.scheduler import LoadScopeScheduling

    shared = {path.name for path in Path(__file__).parent.glob("test_*.py") if 'scope="module"' in path.read_text()}

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return file if Path(file).name in shared else nodeid

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def models():
    """Folder of Verilated models: kept between runs, since they are named by their content."""
    return Path("build/sim")
