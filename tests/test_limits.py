"""Stimuli at the limits: they are valid, they reach the limits, and the core agrees there with the golden model."""

from pathlib import Path

import pytest
import torch

from bench.limits import limit_runs
from bench.mutation import run as mutation
from spikeloom.golden.checkpoint import state_arrays
from spikeloom.golden.checks import check_state
from spikeloom.golden.config import load
from spikeloom.golden.errors import InputError
from spikeloom.golden.model import Golden
from spikeloom.sim.cosim import cosimulate
from strategies import small

MIXED = load(Path(mutation.__file__).with_name("mixed.toml"))


def test_states_are_valid_and_extreme():
    low, high = -(1 << MIXED.numbers.weight.width - 1), (1 << MIXED.numbers.weight.width - 1) - 1
    for run in limit_runs(MIXED):
        check_state(MIXED, state_arrays(run.state), InputError)
        if run.name.endswith("velocities"):
            own, ends = run.state["velocity"], [-(1 << unit.optimiser.velocity_width - 1) for unit in MIXED.units]
            ends = {*ends, *(-1 - end for end in ends)}
        else:
            own, ends = run.state["weight"], {low, high}
        values = torch.cat([matrix.flatten() for matrix in own])
        assert run.name.startswith(("near", "random")) or {int(values.min()), int(values.max())} & ends, run.name
    assert {run.state.shift for run in limit_runs(MIXED)} == {
        MIXED.update.shift, MIXED.update.shift + MIXED.update.decay_limit}


def test_potentials_and_errors_reach_both_ends():
    """With full frames and weights at one end, numbers saturate: that is what these runs are for."""
    widths = {"potentials": MIXED.numbers.potential.width, "errors": MIXED.numbers.error.width}
    ends = {name: set() for name in widths}
    for run in limit_runs(MIXED):
        golden, (batch, _) = Golden(MIXED, run.state.copy()), run.batches
        for frame, label in zip(batch.frames, batch.labels):
            own = int(label) if label < MIXED.network.classes else None
            trace = golden.run(torch.as_tensor(frame), own, train=True)
            for unit in trace.units:
                for name, found in ends.items():
                    values = getattr(unit, name)
                    found |= {int(values.min()), int(values.max())} if values is not None and values.numel() else set()
    for name, width in widths.items():
        assert {-(1 << width - 1), (1 << width - 1) - 1} <= ends[name], name


@pytest.mark.long
@pytest.mark.parametrize("config", [MIXED, small()], ids=["mixed", "little"])
def test_core_and_golden_model_agree_at_the_limits(config, models, tmp_path):
    for place, run in enumerate(limit_runs(config, samples=8)):
        for _ in cosimulate(config, run.batches, root=models, folder=tmp_path / str(place), state=run.state,
                            driver="compiled"):
            pass
