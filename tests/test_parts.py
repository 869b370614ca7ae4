"""Parts: found by kind, a neuron for each layer, and a neuron of another package through all of Spikeloom."""

import re
import sys
from pathlib import Path

import pytest
import torch
from test_compiled import compare
from test_shortcuts import extreme

from bench.draw import stimulus
from spikeloom.gen import presets
from spikeloom.golden import parts
from spikeloom.golden.compiled import cache_folder
from spikeloom.golden.config import ConfigError, parse
from spikeloom.golden.data import DataError, load_dataset
from spikeloom.golden.model import Golden, initial_state
from spikeloom.golden.neuron import codes, fired, potential_steps
from spikeloom.golden.offers import OfferError, offers
from spikeloom.golden.section import Section
from spikeloom.sim.cosim import cosimulate
from strategies import document, simulate, small

PACKAGES = Path(__file__).parent / "packages"
#: What remembers the offers of other packages.
OFFERED = (offers, parts._others, parts.find)
OTHER = {"leak": {"form": "shift", "shift": 3}, "threshold": 0.25, "reset": "zero", "reset_error": False}


@pytest.fixture
def refractory(monkeypatch):
    """The table of a neuron that another package offers."""
    monkeypatch.syspath_prepend(str(PACKAGES))
    monkeypatch.setenv("PYTHONPATH", str(PACKAGES))  # of the simulation, too
    for memory in OFFERED:
        memory.cache_clear()
    yield {"kind": "refractory", "leak": {"form": "multiply", "multiplier": 230, "shift": 8}, "threshold": 0.5,
           "reset_amount": 0.5, "rest": 2}
    for name in [name for name in sys.modules if name.partition(".")[0] == "refractory"]:
        del sys.modules[name]
    for memory in OFFERED:
        memory.cache_clear()


def resting(refractory, **changes):
    """A core whose first layer rests, and whose others do not."""
    layers = [{"neurons": 5, "lanes": 2, "neuron": refractory}, {"neurons": 4, "lanes": 4}]
    return small(layers=layers, initial={"gain": 4.0}, **changes)


@pytest.mark.parametrize("start, compare, message", [
    (0.5, ">=", "neuron.start must not fire: the threshold is 0.5, compared with >=, not 0.5"),
    (0.75, ">", "neuron.start must not fire: the threshold is 0.5, compared with >, not 0.75"),
    (0.3, ">=", "neuron.start must be a multiple of 2**-6 from -32.0 on (numbers.potential), not 0.3"),
    (-33.0, ">=", "neuron.start must be a multiple of 2**-6 from -32.0 on (numbers.potential), not -33.0"),
    (float("inf"), ">=", "neuron.start must be a multiple of 2**-6 from -32.0 on (numbers.potential), not inf"),
])
def test_start_does_not_fire(start, compare, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        small(neuron={"start": start, "compare": compare})


def test_start_by_hand():
    """The first step decays the start; the next sample begins there again."""
    config = small(neuron={"start": 0.5, "compare": ">", "leak": {"form": "multiply", "multiplier": 3, "shift": 2}})
    golden, dark = Golden(config), torch.zeros(config.input.size, dtype=torch.int64)
    for _ in range(2):
        assert golden.run(dark).units[0].potentials.tolist() == [[32 * 3 // 4] * 5, [18] * 5, [13] * 5, [9] * 5]
    assert small().hash == small(neuron={"start": 0.0}).hash


def test_start_and_own_neurons_on_the_generated_core(models, tmp_path):
    layers = [{"neurons": 5, "lanes": 2, "neuron": {**OTHER, "start": 0.125}},
              {"neurons": 4, "lanes": 4, "surrogate": {"shape": "triangle", "width": 1.0}}]
    config = small(layers=layers, neuron={"start": -0.25}, initial={"gain": 4.0}, update={"batch": 2},
                   hardware={"sample_slots": 2})
    assert list(cosimulate(config, stimulus(config, 2), root=models, folder=tmp_path, cycle_level=True))


def test_bias_by_hand():
    """A frame of nothing: 1.0 times the bias in every step, to all pixels, and what the errors of all of them say."""
    config = small(input={"shape": [3, 3, 1], "bits": 3, "fraction": 2},
                   layers=[{"kind": "conv", "channels": 2, "kernel": 2, "padding": 1, "lanes": 1, "bias": True}],
                   neuron={"leak": {"form": "multiply", "multiplier": 0, "shift": 0}, "reset": "none",
                           "reset_error": False}, surrogate={"shape": "rectangle", "width": 4.0}, update={"shift": 0})
    unit, state = config.units[0], initial_state(config)
    assert [own.fan_in for own in config.units] == [5, 32] and state["weight"][0].shape == (5, 2)
    state["weight"][0][-1] = torch.tensor([40, 24])
    golden = Golden(config, state)
    trace = golden.run(torch.zeros(9, dtype=torch.int64), 1, train=True, record=True)
    errors = trace.units[0].errors.reshape(-1, 2, unit.pixels, 2)  # by update and step
    expected = state["weight"][0][-1] - errors[0].sum((0, 1))
    assert trace.units[0].weights[0][-1].tolist() == expected.tolist() != [40, 24]
    assert trace.units[0].potentials.tolist() == [[40, 24] * 16] * 2 + [expected.tolist() * 16] * 2
    assert torch.equal(trace.units[0].weights[-1][:-1], state["weight"][0][:-1])  # nothing else was active


@pytest.mark.parametrize("layer, text", [({"bias": True}, True), ({"bias": False}, False), ({}, False)])
def test_a_configuration_speaks_of_a_bias_only_where_there_is_one(layer, text):
    config = small(layers=[{"neurons": 5, "lanes": 2, **layer}, {"neurons": 4, "lanes": 4}])
    assert ("bias" in config.model_dump()["layers"][0]) == text == (config.hash != small().hash)


def test_the_input_of_a_bias_is_a_value_of_the_frame():
    layers = [{"neurons": 5, "lanes": 2, "bias": True}, {"neurons": 4, "lanes": 4}]
    message = "input.fraction must be below input.bits for layers.0.bias: its input is 1.0, a value of the frame " \
              "like others, not 3"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        small(layers=layers, input={"bits": 3, "fraction": 3})
    small(layers=layers, input={"bits": 3, "fraction": 2})


@pytest.mark.parametrize("changes", [
    {"layers": [{"neurons": 5, "lanes": 2, "bias": True, "gradient": "history", "dropout": 4},
                {"neurons": 4, "lanes": 3, "bias": True, "gradient": "history"}],
     "classifier": {"bias": True, "gradient": "memory"}, "update": {"rounding": "stochastic"}},
    {"input": {"shape": [3, 3, 2]}, "network": {"block_length": 2}, "hardware": {"sample_slots": 2},
     "layers": [{"kind": "conv", "channels": 5, "kernel": 2, "padding": 1, "lanes": 2, "bias": True},
                {"kind": "conv", "channels": 3, "kernel": 2, "stride": 2, "lanes": 3, "bias": True, "dropout": 5}],
     "classifier": {"kind": "random", "bias": True},
     "update": {"batch": 2, "momentum": {"multiplier": 3, "shift": 2, "width": 12}}}], ids=["dense", "images"])
def test_biases_on_the_generated_core(changes, models, tmp_path):
    """Of a frame and of spikes, from a history and from a memory, shared and not, random ones, behind dropout."""
    config = small(**changes, initial={"gain": 4.0})
    run = list(cosimulate(config, stimulus(config, 2), root=models, folder=tmp_path, cycle_level=True))
    before, after = initial_state(config)["weight"], run[-1].prediction.model.state["weight"]
    stored = [unit.weights.stored and unit.weights.bias for unit in config.units]
    assert [len(own) > 0 and not torch.equal(own[-1], start[-1]) for own, start in zip(after, before)] == stored


def test_each_unit_has_the_neuron_of_its_table():
    triangle, wide = {"shape": "triangle", "width": 1.0}, {"shape": "rectangle", "width": 2.0}
    config = small(layers=[{"neurons": 5, "lanes": 2}, {"neurons": 4, "lanes": 4, "neuron": OTHER,
                                                        "surrogate": triangle}],
                   classifier={"lanes": 2, "surrogate": wide})
    first, _, second, last = (unit.neuron for unit in config.units)
    assert (first.threshold, first.codes, second.threshold, second.codes) == (32, (1,), 16, (7, 5, 3, 1))
    assert (last.threshold, last.bin_shift, first.bin_shift) == (32, 6, 5)
    assert second.needs_spike
    assert not first.needs_spike
    assert config == parse(config.model_dump())


def test_what_is_not_said_is_not_in_the_text():
    """So a configuration from before keeps its hash; these are of the commit before there were parts."""
    assert {name: presets.find(name).hash for name in ("digits", "lenet1", "mini", "tiny")} == {
        "digits": "83e384ccdc585055", "lenet1": "fa9be14594618aa7", "mini": "bc09766f8cae2123",
        "tiny": "9ef8b67204781610"}
    assert small(layers=[{"neurons": 5, "lanes": 2, "neuron": OTHER}]).hash != small(
        layers=[{"neurons": 5, "lanes": 2}]).hash


@pytest.mark.parametrize("layer, message", [
    ({"neuron": {**OTHER, "threshold": 0.0}}, "layers.0.neuron.threshold must be a multiple of"),
    ({"neuron": {**OTHER, "reset_error": True}},
     "layers.0.neuron.reset_error must be false when layers.0.neuron.reset is 'zero', not True"),
    ({"neuron": {**OTHER, "kind": "spike"}}, "layers.0.neuron.kind must be one of 'lif', not 'spike'"),
    ({"neuron": {**OTHER, "treshold": 1.0}}, "layers.0.neuron.treshold is not a known field"),
    ({"neuron": {**OTHER, "leak": {"form": "exp"}}},
     "layers.0.neuron.leak.form must be one of 'multiply', 'shift', not 'exp'"),
    ({"neuron": {"leak": OTHER["leak"]}}, "layers.0.neuron.threshold is required and missing"),
    ({"neuron": 3}, "layers.0.neuron must be a table with leak, threshold, not 3"),
    ({"surrogate": {"shape": "table", "bin": 0.5, "values": [0]}},
     "layers.0.surrogate.values must hold at least one value above 0"),
    ({"surrogate": {"shape": "rectangle", "width": 3.0}}, "layers.0.surrogate.width must be a power of two"),
])
def test_one_error_per_rule(layer, message):
    with pytest.raises(ConfigError, match="^" + message.replace("*", r"\*").replace(".", r"\.")):
        small(layers=[{"neurons": 5, "lanes": 2, **layer}])


def test_a_neuron_of_another_package_has_its_rules(refractory):
    with pytest.raises(ConfigError, match=r"^neuron\.rest: input should be less than 4, not 4$"):
        parse(document(neuron={**refractory, "rest": 4}))
    with pytest.raises(ConfigError, match=r"^neuron\.kind must be one of 'lif', 'refractory', not 'other'$"):
        parse(document(neuron={**refractory, "kind": "other"}))
    assert parse(document(neuron=refractory)).neuron.rest == 2


def test_it_rests_for_two_steps(refractory):
    """Threshold 32, nothing leaks: a spike, two steps without a spike or an input, a spike."""
    n = small(neuron={**refractory, "leak": {"form": "multiply", "multiplier": 1, "shift": 0}}).units[0].neuron
    words = potential_steps(torch.tensor([n.start]), torch.tensor([[40], [40], [40], [40], [0]]), n, 5)
    assert (words[:, 0] >> 2).tolist() == [40, 8, 8, 48, 16]
    assert (words[:, 0] & 3).tolist() == [0, 2, 1, 0, 2]
    assert fired(words, n)[:, 0].tolist() == [True, False, False, True, False]
    assert codes(words, n)[:, 0].tolist() == [1, 0, 0, 1, 0]


@pytest.mark.parametrize("align", [-2, 0, 3])
def test_its_hardware_equals_its_step(refractory, align):
    from refractory.rtl import Resting

    n = small(neuron=refractory).units[0].neuron
    totals = torch.randint(-300, 400, (64, 1), generator=torch.Generator().manual_seed(align + 9))
    currents = totals << align if align > 0 else totals >> -align
    words = potential_steps(torch.tensor([17]), currents, n, 64)
    expected = list(zip(*(values[:, 0].long().tolist() for values in (words, fired(words, n), codes(words, n)))))
    dut, found = Resting(n, total_width=12, align=align), []

    async def bench(ctx):
        ctx.set(dut.stored, 17)
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        for total in totals[:, 0].tolist():
            ctx.set(dut.decay, 1)
            await ctx.tick()
            ctx.set(dut.decay, 0)
            ctx.set(dut.integrate, 1)
            ctx.set(dut.total, total)
            await ctx.tick()
            ctx.set(dut.integrate, 0)
            found.append((ctx.get(dut.potential), ctx.get(dut.spike), ctx.get(dut.code)))

    simulate(dut, bench)
    assert found == expected
    assert {word & 3 for word, _, _ in expected} == {0, 1, 2}


def test_machine_code_is_named_by_all_that_it_comes_from(refractory, monkeypatch, tmp_path):
    """The step is in one file, a constant that it needs may be in another."""
    before = cache_folder(("refractory.steps",))
    assert cache_folder(("refractory.steps",)) == before != cache_folder(("spikeloom.golden.steps.lif",))
    (tmp_path / "drowsy").mkdir()
    for name, text in (("__init__", ""), ("more", "STEPS = 2\n"), ("steps", "from .more import STEPS\n")):
        (tmp_path / "drowsy" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    first = cache_folder(("drowsy.steps",))
    (tmp_path / "drowsy" / "more.py").write_text("STEPS = 3\n")
    assert cache_folder(("drowsy.steps",)) != first


def test_two_kinds_in_one_network_compiled(refractory):
    config = resting(refractory)
    assert len({unit.neuron.golden for unit in config.units}) == 2
    for seed in range(4):
        compare(config, extreme(config, seed) if seed % 2 else initial_state(config), seed)


def test_it_is_another_network(refractory):
    config = resting(refractory)
    plain = config.replace(layers=[{"neurons": 5, "lanes": 2}, {"neurons": 4, "lanes": 4}])
    spikes = []
    for own in (config, plain):
        frame = torch.full((own.input.size,), (1 << own.input.bits) - 1)
        spikes.append(Golden(own).run(frame).units[0].spikes)
    assert not torch.equal(*spikes)


def test_it_trains_on_the_generated_core(refractory, models, tmp_path):
    """Cycle by cycle: potentials with their rest, spikes, codes, errors, weights and counters."""
    config = resting(refractory)
    assert list(cosimulate(config, stimulus(config, 1), root=models, folder=tmp_path, cycle_level=True))


def offer(folder, lines):
    (folder / "other-1.0.dist-info").mkdir()
    (folder / "other-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (folder / "other-1.0.dist-info" / "entry_points.txt").write_text(f"[spikeloom.parts]\n{lines}\n")


@pytest.mark.parametrize("line, message", [
    ("neuron = json:dumps", "must be named role.kind, with a role of layer, leak, neuron, surrogate"),
    ("soma.lif = json:dumps", "must be named role.kind"),
    ("neuron.lif = json:dumps", "there is such a neuron already"),
    ("neuron.broken = no_such_module:X", "ModuleNotFoundError: No module named 'no_such_module'"),
    ("neuron.broken = json:dumps", "must be a subclass of golden.section.Section"),
])
def test_an_offer_that_cannot_be_used(line, message, tmp_path, monkeypatch):
    offer(tmp_path, line)
    monkeypatch.syspath_prepend(str(tmp_path))
    for memory in OFFERED:
        memory.cache_clear()
    try:
        with pytest.raises(OfferError, match=message):
            parse(document(neuron={"kind": "broken"}))
    finally:
        for memory in OFFERED:
            memory.cache_clear()


@pytest.fixture
def bars(tmp_path, monkeypatch):
    """Another package that offers data: two bright pixels, side by side, of as many places as there are classes."""
    (tmp_path / "bars.py").write_text("""
import numpy as np
from spikeloom.golden.data import Dataset, Source

def load(request, config):
    labels = np.arange(config.network.classes + (request.first_label if request else 0))
    frames = np.zeros((len(labels), config.input.size), np.uint8)
    frames[labels, labels] = frames[labels, labels + 1] = 1
    return Dataset(frames, labels, frames[:1], labels[:1])

BARS = Source("bars", ("frame",), load)
FILES = Source("barfiles:FILE", ("frame",), load)

def with_labels(change):
    def own(request, config):
        data = load(request, config)
        return data._replace(train_labels=change(data.train_labels))
    return own

def fail(request, config):
    raise KeyError("gone")

NOTHING = Source("nothing", ("frame",), lambda request, config: None)
LISTS = Source("lists", ("frame",), with_labels(list))
COLUMNS = Source("columns", ("frame",), with_labels(lambda own: own.reshape(-1, 1)))
RAISES = Source("raises", ("frame",), fail)
KINDLESS = Source("kindless", (), load)
""")
    names = {"broken": "load", "barfiles": "FILES"} | {
        name: name.upper() for name in ("bars", "nothing", "lists", "columns", "raises", "kindless")}
    offer(tmp_path, "\n[spikeloom.data]\n" + "\n".join(f"{name} = bars:{own}" for name, own in names.items()))
    monkeypatch.syspath_prepend(str(tmp_path))
    offers.cache_clear()
    yield
    offers.cache_clear()
    sys.modules.pop("bars", None)


def test_data_of_another_package(bars):
    data = load_dataset("bars", small())
    assert data.train_frames.tolist() == [[1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 0]]
    assert load_dataset("barfiles:x", small()).digest == data.digest
    for name, error, message in (
            ("barfiles:x,first-label=1", DataError, "network.classes must be at least 4 for train_labels, not 3"),
            ("bars:x", DataError, "data must be written bars, not 'bars:x'"),
            ("nothing", OfferError, "nothing = bars:NOTHING: must load a golden.data.Dataset, not NoneType"),
            ("lists", OfferError, "entry point lists = bars:LISTS: train_labels must be a numpy.ndarray, not list"),
            ("columns", OfferError, "entry point columns = bars:COLUMNS: train_labels must be of shape (samples,)"),
            ("raises", OfferError, "entry point raises = bars:RAISES: KeyError: 'gone'"),
            ("kindless", OfferError, "entry point kindless = bars:KINDLESS: must be a golden.data.Source that says"),
            ("letters", OfferError, "entry point broken = bars:load: must be a golden.data.Source"),
            ("broken", OfferError, "entry point broken = bars:load: must be a golden.data.Source")):
        with pytest.raises(error, match=re.escape(message)):
            load_dataset(name, small())


def test_data_that_is_there_already(tmp_path, monkeypatch):
    offer(tmp_path, "\n[spikeloom.data]\ndigits = json:dumps")
    monkeypatch.syspath_prepend(str(tmp_path))
    offers.cache_clear()
    with pytest.raises(OfferError, match="entry point digits = json:dumps: there is such data already"):
        load_dataset("digits", presets.find("tiny"))
    offers.cache_clear()


def test_all_kinds_are_sections():
    assert parts.kinds("neuron", own=True) == ("lif",)
    assert all(issubclass(parts.find(role, kind), Section) for role in parts._OWN for kind in parts._OWN[role])
