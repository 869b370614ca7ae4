"""The compiled driver: the same bits and cycles as under cocotb, and as in the golden model; its errors."""

import os
import re
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bench.draw import stimulus
from bench.faults import FAULTS, dense, find
from spikeloom.gen import presets, process
from spikeloom.golden.checkpoint import state_arrays, state_from
from spikeloom.golden.data import Dataset, load_dataset
from spikeloom.golden.model import initial_state
from spikeloom.golden.training import train
from spikeloom.rtl.registers import RegisterMap, request_layout
from spikeloom.sim.build import SimulationError, build_driver
from spikeloom.sim.cosim import Batch, cosimulate
from spikeloom.sim.driver import Driver
from spikeloom.sim.training import train_rtl
from test_cosim import EVENTS, IMAGES


@pytest.mark.parametrize("config", [dense().replace(name="dense", hardware={"counters": True}), IMAGES, EVENTS],
                         ids=lambda config: config.name)
def test_equals_cocotb(config, models, tmp_path):
    """Dense layers, stochastic rounding; convolutions in batches with momentum and dropout; events: golden on the way.

    The two begin a run in different cycles; from then on, all of them are the same.
    """
    state = initial_state(config)
    state = state.replace(dropout=[lanes[::-1] for lanes in state["dropout"]])  # other ones than after reset
    run = {"root": models, "state": state, "seed": 1}
    fast = cosimulate(config, stimulus(config, 2), folder=tmp_path / "fast", driver="compiled", **run)
    slow = cosimulate(config, stimulus(config, 2), folder=tmp_path / "slow", cycle_level=True, **run)
    for ours, reference in zip(fast, slow, strict=True):
        for results in (ours.results, reference.results):
            begin = int(results["arrived"][0])
            for field in ("arrived", "taken"):
                results[field] -= begin
        assert np.array_equal(ours.results, reference.results)
        assert ours.arrays.keys() == reference.arrays.keys()
        for name, value in reference.arrays.items():
            if ".wait." not in name:  # how long before a run; each lane's own were compared with the golden model
                assert np.array_equal(ours.arrays[name], value), name


def test_state_continues_in_another_process(models, tmp_path):
    """Velocities, LFSRs and the halvings of the rate as well: loaded into a fresh core as if it had never stopped."""
    parts = [stimulus(IMAGES, seed, samples=samples)[0] for seed, samples in ((2, 2), (3, 6))]
    whole = Batch(*(np.concatenate([part[field] for part in parts]) for field in (0, 1)), True)
    run = {"root": models, "driver": "compiled"}
    first, = cosimulate(IMAGES, parts[:1], folder=tmp_path / "a", **run)
    resumed, = cosimulate(IMAGES, parts[1:], folder=tmp_path / "b", state=state_from(first.arrays, IMAGES), **run)
    through, = cosimulate(IMAGES, [whole], folder=tmp_path / "c", **run)
    assert first.arrays["shift"] < through.arrays["shift"]
    for key in state_arrays(initial_state(IMAGES)):
        assert np.array_equal(resumed.arrays[key], through.arrays[key]), key
    assert np.array_equal(resumed.results["counts"], through.results["counts"][2:])


def test_interrupted_training(models, tmp_path, monkeypatch):
    """Stopped between two checkpoints and taken up again, on either lane: the checkpoint of the golden model."""
    monkeypatch.setattr("spikeloom.golden.training.CHUNK", 10)
    config = presets.find("tiny").replace(layers=[{"neurons": 9, "lanes": 3}], classifier={"lanes": 2})
    data = load_dataset("digits", config)
    data = Dataset(data.train_frames[:20], data.train_labels[:20], data.test_frames[:7], data.test_labels[:7])
    path, counts = tmp_path / "rtl.npz", []
    for driver in ("compiled", "cocotb", "compiled"):
        steps = train_rtl(config, data, 2, path, root=models, folder=tmp_path, driver=driver, tick=counts.append)
        next(steps)
        steps.close()
    for _ in train_rtl(config, data, 2, path, root=models, folder=tmp_path, tick=counts.append):
        pass
    assert counts[-1] == 10 + 7
    for _ in train(config, data, 2, tmp_path / "golden.npz"):
        pass
    with np.load(path) as rtl, np.load(tmp_path / "golden.npz") as golden:
        for name in golden.files:
            assert np.array_equal(rtl[name], golden[name]), name


def test_a_core_that_stands_still(models, tmp_path, monkeypatch):
    """Whatever is awaited and never comes ends the simulation, instead of waiting for ever."""
    monkeypatch.setattr("spikeloom.sim.driver.patience", lambda config: 1)
    config = dense().replace(name="dense", hardware={"counters": True})
    with pytest.raises(SimulationError, match="the core stands still: 0 results, and no other within"):
        list(cosimulate(config, stimulus(config, 2), root=models, folder=tmp_path, driver="compiled"))


@pytest.mark.parametrize("name, caught", [
    ("floored spike error", "weight"), ("stuck counter", "counter block0.layer0.weight.write.update"),
    ("one cycle of extra latency", "cycle")])
def test_fault_is_caught(name, caught, models, tmp_path):
    fault, = (fault for fault in FAULTS if fault.name == name)
    difference = find(fault, root=models, folder=tmp_path, driver="compiled")
    assert difference is not None and difference.what.startswith(caught)


@pytest.fixture
def driver(models, tmp_path):
    """A function that makes a `Driver` of the dense victim, and gives the name of what it will read."""
    config = dense().replace(name="dense", hardware={"counters": True})
    batch = stimulus(config, 2)[0]

    def make(run=True, **options):
        driver = Driver(config, build_driver(config, root=models), tmp_path / "run", **options)
        if run:
            driver.load(state_arrays(initial_state(config)))
            name = driver.run(batch.frames, batch.labels, np.ones(len(batch.labels)), sample_pause=0)
        return driver, name if run else driver.read()
    return make


def test_memories_begin_with_random_contents(driver):
    def weights(seed):
        running, name = driver(run=False, seed=seed)
        with running:
            return running.wait_for(name)["weight_0"].tolist()

    assert weights(0) == weights(0) != weights(1)


def test_steps_while_it_runs(driver, tmp_path):
    """A step is known when it is told, not before; what it needed and gave is gone when it was read."""
    running, first = driver()
    with running:
        assert len(running.wait_for(first)["results"]) == 4
        second = running.read()
        assert running.wait_for(second).keys() >= {"weight_0", "shift"}
        assert {path.name for path in (tmp_path / "run").iterdir()} == {
            "progress", "simulation.log", "requests_1.bin", "requests_1_out.bin"}  # nobody asked what it loaded
        running.finish()


def test_truncated_samples(driver, tmp_path):
    running, name = driver()
    path = tmp_path / "run/items_2.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    message = f"items_2.bin must hold {len(whole)} bytes, not {len(whole) - 8}"
    with running, pytest.raises(SimulationError, match=rf"ended without items_2_out\.bin: {message}; see .*\.log"):
        running.wait_for(name)
    assert not (tmp_path / "run/items_2_out.bin").exists()


def test_refused_access(driver, tmp_path):
    """A weight that is too wide: nothing goes on as if it had been loaded."""
    running, name = driver()
    path = tmp_path / "run/requests_1.bin"
    requests = np.fromfile(path, dtype="<u8")
    shift = request_layout(RegisterMap(dense()).address_bits)["data"].offset
    requests[1] = int(requests[1]) % (1 << shift) | 0x7FFF << shift
    requests.tofile(path)
    message = f"register access 1 of {len(requests)} ended with status 2"
    with running, pytest.raises(SimulationError, match=f"ended without {name}: {message}; see"):
        running.wait_for(name)


def test_truncated_results(driver, tmp_path):
    running, name = driver()
    with running:
        running.finish()
    path = tmp_path / "run" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(SimulationError, match=f"must hold {len(whole) // 4} words, not {len(whole) // 4 - 1}"):
        running.wait_for(name)


def test_step_for_one_that_has_ended(driver):
    running, name = driver()
    with running:
        running.wait_for(name)
        running.finish()
        with pytest.raises(SimulationError, match=r"ended before its time: .*; see .*simulation\.log"):
            running.read()


def test_what_only_cocotb_can(models, tmp_path, driver):
    config = dense()
    for wish in ({"cycle_level": True}, {"waves": True}, {"sample_pause": 1}, {"result_pause": 1}):
        with pytest.raises(ValueError, match="driver must be cocotb for"):
            next(cosimulate(config, stimulus(config, 2), root=models, folder=tmp_path, driver="compiled", **wish))
    with pytest.raises(ValueError, match="driver must be cocotb or compiled, not 'verilog'"):
        next(cosimulate(config, [], root=models, folder=tmp_path, driver="verilog"))
    running, _ = driver()
    for wish in (running.reset, running.trace, partial(running.run, [], [], [], result_pause=3)):
        with pytest.raises(ValueError, match="driver must be cocotb for"):
            wish()


def test_missing_tool(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulationError, match=r"g\+\+ is missing; install it with: apt install g\+\+"):
        build_driver(dense(), root=tmp_path, text="module victim; endmodule")


def test_variables_for_the_tools(monkeypatch, tmp_path):
    """Are given to them, and not set here."""
    seen = []

    def run(command, *, env, **_):
        seen.append(env["CCACHE_DISABLE"])
        return 1, "", ""

    monkeypatch.delenv("CCACHE_DISABLE", raising=False)
    monkeypatch.setattr(process, "run", run)
    with pytest.raises(SimulationError, match="could not be built"):
        build_driver(dense(), root=tmp_path, text="module victim; endmodule", CCACHE_DISABLE="1")
    assert set(seen) == {"1"} and "CCACHE_DISABLE" not in os.environ


def test_wrong_verilog(models):
    message = r"not be built: %Error-PINNOTFOUND: .* \(verilator ended with 1\); see (.*build.log)$"
    with pytest.raises(SimulationError, match=message) as caught:
        build_driver(dense(), root=models, text="module victim; endmodule")
    log = Path(re.search(message, str(caught.value))[1])
    assert "Error" in log.read_text() and not (log.parent / "done").exists()


def test_runs_that_share_a_folder(models, tmp_path):
    """The same configuration twice and another one of its name, at the same time in the same folders."""
    config = dense().replace(name="dense", hardware={"counters": True})
    other = config.replace(neuron={"threshold": 0.75})
    before, found = dict(os.environ), {}

    def run(place, config):
        found[place] = [checked.latency for checked in cosimulate(
            config, stimulus(config, 2), root=models, folder=tmp_path, driver="compiled")]

    threads = [threading.Thread(target=run, args=(place, config)) for place, config in enumerate(
        (config, config, other, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] and found[2] == found[3] and found[0] != found[2]
    assert dict(os.environ) == before and list(tmp_path.iterdir()) == []


def test_a_run_that_fails_keeps_its_folder(models, tmp_path):
    fault, = (fault for fault in FAULTS if fault.name == "floored spike error")
    find(fault, root=models, folder=tmp_path, driver="compiled")
    kept, = tmp_path.iterdir()
    assert {"simulation.log", "progress"} <= {path.name for path in kept.iterdir()}
