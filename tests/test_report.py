"""The report: one page that loads nothing, the same bytes for the same run, and the numbers of the report in it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from spikeloom.gen import presets
from spikeloom.golden.config import load
from spikeloom.golden.counters import block_counters, category, unit_counters
from spikeloom.golden.model import Golden
from spikeloom.sim.report import Pictures, write_report
from spikeloom.sim.summary import WAITS

VOID = {"meta", "link", "br", "hr", "img", "input"}
LOADS = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}


class Page(HTMLParser):
    """Collects the visible text, and checks that elements close and nothing is loaded."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.tags, self.ids = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in LOADS:
                assert value.startswith(("#", "data:image/png;base64,")), value[:80]
            if name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def picture(config, *, train=True, label=3):
    golden = Golden(config)
    before = [w.numpy().copy() for w in golden.state["weight"]]
    random = torch.Generator().manual_seed(5)
    frame = torch.randint(0, 1 << config.input.bits, (config.input.size,), generator=random)
    trace = golden.run(frame, label, train=train)
    curve = [(0, 0.105, "rtl test"), (100, 0.41, "rtl running"), (200, 0.62, "rtl running"), (200, 0.734, "rtl test")]
    return Pictures(config, curve, trace, label, before, [w.numpy().copy() for w in golden.state["weight"]])


def numbers(config, **changes):
    """A report in which every counter has its own value."""
    names = [name for block in config.blocks
             for name in [n for u in block.units for n in unit_counters(config, u)] + block_counters(block)]
    counters = {name: 10_007 + 31 * place for place, name in enumerate(names)}
    traffic = {}
    for name, value in counters.items():
        if kind := category(config, name):
            *_, operation, phase = name.split(".")
            words = traffic.setdefault(kind, {}).setdefault(phase, {"read": 0, "write": 0})
            words[operation] += value
    utilisation = {u.path: {"forward": 0.4321, "update": 0.8771} for u in config.units}
    utilisation[config.units[1].path]["backward"] = 0.2468
    return {
        "name": "tiny-run", "config_hash": config.hash, "samples": 1234, "mismatches": 0, "accuracy_before": 0.1051,
        "accuracy_after": 0.7342, "cycles": 7_654_321, "cycles_per_sample": 6202.9, "cycles_per_sample_in": "inference",
        "counters": counters,
        "traffic": traffic, "utilisation": utilisation, "seconds": {"simulate": 12.5, "build": 71.25},
        "versions": {"verilator": "5.48", "torch": "2.13"},
        "memories": [{"name": "weights", "words": 4321, "bits": 48}, {"name": "errors", "words": 77, "style": "block"}],
    } | changes


@pytest.fixture(scope="module")
def config():
    return load(Path(presets.__file__).parent / "tiny.toml")


@pytest.fixture(scope="module")
def pictures(config):
    return picture(config)


@pytest.fixture(scope="module")
def written(tmp_path_factory, config, pictures):
    """A report without mismatches, in a folder that did not exist."""
    return write_report(tmp_path_factory.mktemp("report") / "new", numbers(config), pictures)


def page(folder, report, pictures):
    _, path = write_report(folder, report, pictures)
    return path.read_text(encoding="utf-8")


def test_page_is_whole_and_loads_nothing(written, config):
    text = written[1].read_text(encoding="utf-8")
    parsed = Page(text)
    assert not re.search(r"https?://|@import|<script|<link", text)
    assert parsed.tags.count("svg") == 4 + len(config.units)
    assert len(parsed.ids) == len(set(parsed.ids))
    referenced = re.findall(r'url\(#([^)]*)\)|xlink:href="#([^"]*)"', text)
    assert {a or b for a, b in referenced} <= set(parsed.ids)
    # Every marker colour has become a variable, and every variable is defined.
    assert "#0101" not in text
    assert set(re.findall(r"var\(--([a-z-]+)\)", text)) <= set(re.findall(r"--([a-z-]+):", text)) | {"phase"}


def test_page_says_what_a_throughput_is_of(written):
    assert "cycles per sample of inference" in Page(written[1].read_text(encoding="utf-8")).text


def test_page_names_every_unit(written, config):
    text = Page(written[1].read_text(encoding="utf-8")).text
    for block in config.blocks:
        assert block.name in text.split()
        for unit in block.units:
            assert text.count(unit.path) >= 4


def test_json_is_the_report(written, config):
    assert written[0].read_text() == json.dumps(numbers(config), indent=2, sort_keys=False) + "\n"


def test_numbers_come_from_the_report(written, config):
    report = numbers(config)
    text = Page(written[1].read_text(encoding="utf-8")).text
    for expected in ("tiny-run", config.hash, "1,234", "10.5% → 73.4%", "7,654,321", "6,202.9", "43.2%", "87.7%",
                     "24.7%", "12.5", "5.48", "4,321", WAITS):
        assert expected in text
    for name, value in report["counters"].items():
        assert f"{name} {value:,}" in text
    for kind, phases in report["traffic"].items():
        for phase, words in phases.items():
            assert f"{kind} {phase} {words['read']:,} {words['write']:,}" in text
    # Sums, as the bars say them.
    for block in config.blocks:
        assert f"{sum(report['counters'][name] for name in block_counters(block) if '.queue.' not in name):,}" in text
    for phases in report["traffic"].values():
        assert f"{sum(words['read'] for words in phases.values()):,}" in text


def test_same_run_same_bytes(tmp_path, written, config, pictures):
    for one, other in zip(written, write_report(tmp_path, numbers(config), pictures)):
        assert one.read_bytes() == other.read_bytes()


def test_no_mismatches_in_words(written):
    text = Page(written[1].read_text(encoding="utf-8")).text
    assert "RTL and golden model agree: no mismatches" in text
    assert "differ" not in text


def test_mismatches_in_words_and_unknown_entries(tmp_path, config, pictures):
    extra = {"mismatches": 3, "lint": {"<b>": [1, None]}, "memories": "none & nowhere"}
    text = page(tmp_path, numbers(config, **extra), pictures)
    assert "&lt;b&gt;" in text
    text = Page(text).text
    assert "RTL and golden model differ: 3 mismatches" in text
    assert "agree" not in text
    assert "none & nowhere" in text


def test_little_to_report(tmp_path, config):
    """A core without counters, a frame that is no square, a sample that did not train, a report of few entries."""
    config = config.replace(input={"size": 60}, hardware={"counters": False})
    text = Page(page(tmp_path, {"name": "bare"}, picture(config, train=False))).text
    assert text.count("Not recorded in this run.") == 3
    assert "RTL and golden model were not compared" in text
    assert "there are no updates" in text
    assert "60 values" in text


def test_large_matrices_stay_small(tmp_path, config):
    config = config.replace(input={"size": 1024}, layers=[{"kind": "dense", "neurons": 1500, "lanes": 4}] * 2)
    pictures = picture(config)
    random = np.random.default_rng(1)
    after = [random.integers(-2048, 2048, w.shape) for w in pictures.before]
    text = page(tmp_path, numbers(config), Pictures(config, pictures.curve, pictures.trace, 3, pictures.before, after))
    assert len(text) < 1_500_000
