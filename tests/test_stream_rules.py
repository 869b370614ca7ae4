"""What the sidecar says of the sample stream: as docs/samples.md says it, as samples are sent, and as the core does."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spikeloom.gen import stream_rules
from spikeloom.gen.contents import contents
from spikeloom.gen.generate import generate, sidecar
from spikeloom.gen.samples import items
from spikeloom.gen.testbench import make_stimulus, write_testbench
from spikeloom.golden.model import initial_state
from spikeloom.rtl.core import Core
from spikeloom.rtl.events import input_layout
from spikeloom.rtl.violations import violations
from strategies import small

FRAMES = small(name="framed", update={"batch": 2})
EVENTS = small(name="evented", time={"steps": 4, "interval": 2}, update={"batch": 2},
               input={"kind": "events", "shape": [3, 3, 1], "size": None, "bits": 1, "fraction": 0})
BOTH = pytest.mark.parametrize("config", [FRAMES, EVENTS], ids=lambda config: config.name)


@BOTH
def test_sidecar_has_them(config):
    found = sidecar(Core(config))["streams"]["samples"]
    for name, rule in (("items", stream_rules.items), ("malformed", stream_rules.malformed),
                       ("recovery", stream_rules.recovery), ("after_reset", stream_rules.after_reset)):
        assert found[name] == rule(config)


@BOTH
def test_every_violation_has_its_cases(config):
    """The table of the documentation has the same rows; both kinds of input together have all of them."""
    rows = re.findall(r"^\| (.*) \| `(\w+)`, per (.*) \| (.*) \|$", Path("docs/samples.md").read_text(), re.MULTILINE)
    found = [tuple(row.values()) for row in stream_rules.malformed(config)]
    assert {violation for _, violation, *_ in found} == set(violations(config))
    assert set(found) <= set(rows)
    both = {tuple(row.values()) for own in (FRAMES, EVENTS) for row in stream_rules.malformed(own)}
    assert both == set(rows)


def sent(config):
    """Fields of the items of a batch, by name."""
    stimulus = make_stimulus(config, samples=2, mode="train")
    words = items(config, *stimulus)[0]
    return {name: words >> np.uint64(field.offset) & np.uint64((1 << field.width) - 1)
            for name, field in input_layout(config)}


def test_frames_are_sent_so():
    rule, found = stream_rules.items(FRAMES), sent(FRAMES)
    place = np.arange(len(found["first"])) % rule["per_sample"]
    assert np.array_equal(found["first"], place == 0) and rule["first"].startswith("set on value 0 ")
    last = int(re.match(r"set on value (\d+) ", rule["last"])[1])
    assert np.array_equal(found["last"], place == last) and f"value {last} " in rule["label_and_train"]


def test_events_are_sent_so():
    rule, found = stream_rules.items(EVENTS), sent(EVENTS)
    ends = np.cumsum(found["end"]) - found["end"]  # before each item
    steps = rule["steps_per_interval"]
    assert found["end"].sum() == 2 * steps * rule["intervals_per_sample"]
    interval = ends // steps
    begins = np.flatnonzero(np.diff(interval.astype(int), prepend=-1))
    assert np.flatnonzero(found["first"]).tolist() == begins[:2].tolist()  # of two samples, in their first intervals
    assert rule["order"].startswith("the first interval of each of the 2 samples")


@BOTH
def test_the_first_item_may_come_at_once(config, tmp_path):
    """In the first cycle after a reset, while memories are being cleared: every result is as predicted."""
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    state = initial_state(config)
    assert contents(config, state).files
    _, contract, *_ = generate(config, tmp_path, state)
    write_testbench(config, contract, make_stimulus(config, samples=4, mode="train"), state=state, load=False)
    bench = tmp_path / f"{config.name}_bench.v"
    text, count = re.subn(r"localparam FIRST = \d+;", "localparam FIRST = 0;", bench.read_text())
    text, phases = re.subn("initial phase = HOLD;", "initial phase = RUN;", text)
    assert (count, phases) == (1, 1)
    bench.write_text(text.replace("initial {loaded, second} = 0;", "initial {loaded, second} = 2'b10;"))
    subprocess.run(["iverilog", "-g2005", "-o", "core", "-c", f"{config.name}.f"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "core"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=600)
    *differences, last = done.stdout.splitlines()
    assert " after 4 of 4 results, " in last or last.startswith("PASS: 4 results")
    assert all(re.match(r"register [0-9a-f]+ in cycle", line) for line in differences), differences
