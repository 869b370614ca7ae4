"""The configuration: one error per broken rule."""

import math
import re
import subprocess
import sys

import pytest
from pydantic import ValidationError

from spikeloom.golden.config import ConfigError, load, parse
from strategies import document, small

POTENTIAL = "must be a multiple of 2**-6 in 2**-6 .. 31.984375 (numbers.potential)"
WIDTH = "must be a power of two in 0.03125 .. 4096"
ENDS = "must rise and end with the last layer, 2"
VANISHES = "in height and width, or nothing is left of the layer"
ONE = {"neurons": 4, "lanes": 2}
IDENTIFIER = "name must consist of small letters, digits and single underscores between them, and begin with a letter"


def cut(length, window, left):
    return f"must reach all {length} inputs: with {window} the last {left} would be cut off"


def leak(**rule):
    return {"neuron": {"leak": rule}}


def ends(*layers):
    return {"network": {"block_length": None, "block_ends": list(layers)}}


def table(**changes):
    return {"surrogate": {"shape": "table", "bin": 0.5, "values": [1], **changes}}


def rectangle(width):
    return {"surrogate": {"shape": "rectangle", "width": width}}


def stochastic(**changes):
    return {"update": {"rounding": "stochastic", **changes}}


def spatial(*layers, shape=(5, 6, 2), **changes):
    """Layers over an image, in one block."""
    return {"input": {"shape": list(shape)}, "layers": list(layers), "network": {"block_length": 1}, **changes}


def conv(**changes):
    return {"kind": "conv", "channels": 3, "kernel": 3, "lanes": 2, **changes}


def pool(**changes):
    return {"kind": "avg_pool", "size": 2, **changes}


@pytest.mark.parametrize("changes, message", [
    # names
    ({"name": "Bad"}, f"{IDENTIFIER}, not 'Bad'"),
    ({"name": "a__b"}, f"{IDENTIFIER}, not 'a__b'"),
    ({"name": "a_"}, f"{IDENTIFIER}, not 'a_'"),
    ({"name": "my core"}, f"{IDENTIFIER}, not 'my core'"),
    ({"name": "1a"}, f"{IDENTIFIER}, not '1a'"),
    ({"name": ""}, f"{IDENTIFIER}, not ''"),
    ({"name": 33 * "a"}, f"name: string should have at most 32 characters, not {33 * 'a'!r}"),
    ({"name": "reg"}, "name must not be a keyword of Verilog, SystemVerilog or VHDL, not 'reg'"),
    ({"name": "logic"}, "name must not be a keyword of Verilog, SystemVerilog or VHDL, not 'logic'"),
    *(({"name": name}, f"name must not be a keyword of Verilog, SystemVerilog or VHDL, not '{name}'")
      for name in ("soft", "always_ff", "unique0", "view")),
    *(({"name": name}, f"name must not be that of a port of the core, or a package of SystemVerilog, not '{name}'")
      for name in ("clk", "error", "samples_valid", "std")),
    ({"name": "tiny_bench"}, "name must not end with _bench, as the bench of another core does, not 'tiny_bench'"),
    ({"name": "entity"}, "name must not be a keyword of Verilog, SystemVerilog or VHDL, not 'entity'"),
    ({"extra": 1}, "extra is not a known field, its value was 1"),
    ({"time": {"period": 1}}, "time.period is not a known field (did you mean update_period?), its value was 1"),
    ({"layers": [{**ONE, "stride": 2}]}, "layers.0.stride is not a known field, its value was 2"),
    (table(width=1.0), "surrogate.width is not a known field, its value was 1.0"),
    (leak(form="shift", shift=1, multiplier=1), "neuron.leak.multiplier is not a known field, its value was 1"),
    # kinds: nothing is converted silently
    ({"time": {"steps": 4.0}}, "time.steps: input should be a valid integer, not 4.0"),
    ({"time": {"steps": "4"}}, "time.steps: input should be a valid integer, not '4'"),
    ({"time": {"steps": True}}, "time.steps: input should be a valid integer, not True"),
    ({"hardware": {"counters": 1}}, "hardware.counters: input should be a valid boolean, not 1"),
    ({"neuron": {"compare": "<"}}, "neuron.compare: input should be '>=' or '>', not '<'"),
    ({"neuron": {"threshold": "a"}}, "neuron.threshold: input should be a valid number, not 'a'"),
    # time
    ({"time": {"steps": 0}}, "time.steps: input should be greater than or equal to 1, not 0"),
    ({"time": {"steps": 4097}}, "time.steps: input should be less than or equal to 4096, not 4097"),
    ({"time": {"interval": 3}}, "time.interval must divide time.steps = 4, not 3"),
    ({"time": {"interval": 8}}, "time.interval must divide time.steps = 4, not 8"),
    ({"time": {"update_period": 3}}, "time.update_period must divide the 2 intervals of a sample, not 3"),
    # structure
    ({"input": {"size": 0}}, "input.size: input should be greater than or equal to 1, not 0"),
    ({"input": {"bits": 17}}, "input.bits: input should be less than or equal to 16, not 17"),
    ({"layers": []}, "layers: list should have at least 1 item after validation, not 0, not []"),
    ({"layers": [{"neurons": 4, "lanes": 0}]}, "layers.0.lanes: input should be greater than or equal to 1, not 0"),
    ({"layers": [{"neurons": 4, "lanes": 5}, ONE]}, "layers.0.lanes must be at most the 4 neurons it serves, not 5"),
    ({"layers": [ONE, {"neurons": 4, "lanes": 5}]}, "layers.1.lanes must be at most the 4 neurons it serves, not 5"),
    ({"network": {"classes": 1}}, "network.classes: input should be greater than or equal to 2, not 1"),
    ({"classifier": {"lanes": 4}}, "classifier.lanes must be at most the 3 classes, not 4"),
    ({"network": {"block_ends": [2]}}, "network must have exactly one of block_length and block_ends, "
                                       "not {'block_length': 1, 'block_ends': [2]}"),
    ({"network": {"block_length": None}}, "network must have exactly one of block_length and block_ends, "
                                          "not {'block_length': None, 'block_ends': None}"),
    ({"network": {"block_length": 3}}, "network.block_length must be at most the 2 layers with weights, not 3"),
    (ends(), f"network.block_ends {ENDS}, not []"),
    (ends(1), f"network.block_ends {ENDS}, not [1]"),
    (ends(2, 1), f"network.block_ends {ENDS}, not [2, 1]"),
    (ends(1, 1, 2), f"network.block_ends {ENDS}, not [1, 1, 2]"),
    (ends(1, 3), f"network.block_ends {ENDS}, not [1, 3]"),
    # convolutions and pooling
    (spatial({**ONE, "kind": "max_pool"}), "layers.0.kind must be one of 'dense', 'conv', 'avg_pool', not 'max_pool'"),
    (spatial(conv(neurons=3)), "layers.0.neurons is not a known field (did you mean neuron?), its value was 3"),
    (spatial(conv(), pool(lanes=2)), "layers.1.lanes is not a known field, its value was 2"),
    (spatial(conv(lanes=4)), "layers.0.lanes must be at most the 3 channels it serves, not 4"),
    (spatial(conv(stride=4)), "layers.0.stride must be at most the kernel, 3, not 4"),
    (spatial(conv(padding=3)), "layers.0.padding must be below the kernel, 3, not 3"),
    (spatial(conv(kernel=32)), "layers.0.kernel: input should be less than or equal to 31, not 32"),
    (spatial(conv(), pool(size=2, stride=3)), "layers.1.stride must be at most the size, 2, not 3"),
    (spatial(conv(), pool(size=1)), "layers.1.size: input should be greater than or equal to 2, not 1"),
    (spatial(conv(kernel=6)), f"layers.0.kernel must be at most the 5 inputs {VANISHES}, not 6"),
    (spatial(conv(kernel=8, padding=1)), f"layers.0.kernel must be at most the 5 inputs and 2 of padding {VANISHES}, "
                                         "not 8"),
    (spatial(conv(), pool(size=4)), f"layers.1.size must be at most the 3 inputs {VANISHES}, not 4"),
    (spatial(conv(), ONE, conv()), f"layers.2.kernel must be at most the 1 inputs {VANISHES}, not 3"),
    (spatial(conv(stride=2)), f"layers.0.stride {cut(6, 'kernel 3 and padding 0', 1)}, not 2"),
    (spatial(conv(stride=3, padding=1), shape=(7, 6, 1)),
     f"layers.0.stride {cut(6, 'kernel 3 and padding 1', 1)}, not 3"),
    (spatial(conv(stride=3)), f"layers.0.stride {cut(5, 'kernel 3 and padding 0', 2)}, not 3"),
    (spatial(pool(), conv(kernel=2)), f"layers.0.stride {cut(5, 'size 2 and padding 0', 1)}, not 2"),
    (spatial(pool(), shape=(2, 4, 1)), "layers must hold a layer with weights, not ['avg_pool']"),
    (spatial(conv(), pool(size=3, stride=1), network={"block_length": 2}),
     "network.block_length must be at most the 1 layers with weights, not 2"),
    (spatial(conv(), pool(size=3, stride=1), network={"block_length": None, "block_ends": [1]}),
     f"network.block_ends {ENDS}, not [1]"),
    (spatial(conv(), pool(size=3, stride=1), numbers={"weight": {"width": 8, "fraction": 2}}),
     "numbers.weight.fraction must hold 1 / 9, the weight of an average, to a quarter of its value, not 2"),
    (spatial(pool(size=4, stride=1), conv(kernel=2), numbers={"weight": {"width": 8, "fraction": 2}}),
     "numbers.weight.fraction must hold 1 / 16, the weight of an average, to a quarter of its value, not 2"),
    (spatial(conv(), input={"shape": [5, 6, 2], "size": 61}),
     "input.size must be left out or be the 60 values of input.shape, not 61"),
    # dropout: sixteenths, of layers with weights
    ({"layers": [{**ONE, "dropout": 16}]}, "layers.0.dropout: input should be less than 16, not 16"),
    ({"layers": [ONE, {**ONE, "dropout": -1}]}, "layers.1.dropout: input should be greater than or equal to 0, not -1"),
    ({"layers": [{**ONE, "dropout": 0.5}]}, "layers.0.dropout: input should be a valid integer, not 0.5"),
    (spatial(conv(dropout=17)), "layers.0.dropout: input should be less than 16, not 17"),
    (spatial(conv(), pool(dropout=1)), "layers.1.dropout is not a known field, its value was 1"),
    ({"classifier": {"dropout": 1}}, "classifier.dropout is not a known field, its value was 1"),
    (spatial(conv(kernel=1, dropout=1), ONE, shape=(200, 300, 1),
             numbers={"weight": {"width": 32, "fraction": 6}, "error": {"width": 8, "fraction": 2}}),
     "numbers must keep every exact sum within 52 bits, not 54"),
    (spatial(conv(), shape=(5, 6)), "input.shape.2 is required and missing"),
    (spatial(conv(), shape=(5, 0, 2)), "input.shape.1: input should be greater than or equal to 1, not 0"),
    (spatial(conv(), shape=(5, 6, 2.0)), "input.shape.2: input should be a valid integer, not 2.0"),
    # neuron
    (leak(form="multiply", multiplier=257, shift=8), "neuron.leak.multiplier must be at most 2**shift = 256, not 257"),
    (leak(form="shift", shift=0), "neuron.leak.shift: input should be greater than or equal to 1, not 0"),
    ({"neuron": {"leak": 0.9}}, "neuron.leak must be a table with form 'multiply' or 'shift', not 0.9"),
    ({"neuron": {"leak": [1]}}, "neuron.leak must be a table with form 'multiply' or 'shift', not [1]"),
    (leak(shift=3), "neuron.leak must be a table with form 'multiply' or 'shift', not {'shift': 3}"),
    ({"surrogate": 1.0}, "surrogate must be a table with shape 'rectangle', 'triangle' or 'table', not 1.0"),
    ({"time": 3}, "time must be a table with steps, interval, not 3"),
    ({"hardware": {"memory": "block"}}, "hardware.memory must be a table, not 'block'"),
    ({"update": {"momentum": 0.9}}, "update.momentum must be a table with multiplier, shift, width, not 0.9"),
    ({"numbers": {"weight": 8}}, "numbers.weight must be a table with width, fraction, not 8"),
    ({"layers": [3]}, "layers.0 must be a table with kind 'dense', 'conv' or 'avg_pool', not 3"),
    ({"layers": 3}, "layers must be a list, not 3"),
    (leak(form="exp"), "neuron.leak.form must be one of 'multiply', 'shift', not 'exp'"),
    ({"neuron": {"reset": "zero"}}, "neuron.reset_error must be false when neuron.reset is 'zero', not True"),
    ({"neuron": {"reset": "none"}}, "neuron.reset_error must be false when neuron.reset is 'none', not True"),
    *(({"neuron": {field: value}}, f"neuron.{field} {POTENTIAL}, not {value!r}")
      for field in ("threshold", "reset_amount")
      for value in (0.0, -0.5, 0.3, 2.0**-7, 32.0, 1e308, math.inf, math.nan)),
    # surrogate
    *((rectangle(width), f"surrogate.width {WIDTH}, not {width!r}")
      for width in (0.3, 3.0, 0.0, -1.0, 2.0**-6, 8192.0, 1e308, math.inf, math.nan)),
    ({"surrogate": {"shape": "triangle", "width": 0.125, "bins": 16}},
     "surrogate.width must be a power of two in 0.25 .. 4096, not 0.125"),
    ({"surrogate": {"shape": "triangle", "width": 1.0, "bins": 3}},
     "surrogate.bins: input should be 2, 4, 8 or 16, not 3"),
    (table(bin=2.0**-7), "surrogate.bin must be a power of two in 0.015625 .. 4096, not 0.0078125"),
    (table(values=[0, 0]), "surrogate.values must hold at least one value above 0, not [0, 0]"),
    (table(values=[256]), "surrogate.values.0: input should be less than or equal to 255, not 256"),
    # numbers: widths that cannot hold what the rest of the configuration asks of them
    ({"numbers": {"weight": {"width": 33, "fraction": 6}}},
     "numbers.weight.width: input should be less than or equal to 32, not 33"),
    ({"numbers": {"weight": {"width": 4, "fraction": 4}}}, "numbers.weight.fraction must be below the width, 4, not 4"),
    ({"numbers": {"potential": {"width": 6, "fraction": 6}}, "neuron": {"threshold": 0.25, "reset_amount": 0.25}},
     "numbers.potential.fraction must be below the width, 6, not 6"),
    ({"numbers": {"potential": {"width": 6, "fraction": 6}}},
     "neuron.threshold must be a multiple of 2**-6 in 2**-6 .. 0.484375 (numbers.potential), not 0.5"),
    ({"numbers": {"error": {"width": 4, "fraction": 4}}}, "numbers.error.fraction must be below the width, 4, not 4"),
    ({"numbers": {"error": {"width": 6, "fraction": 4}}},
     "numbers.error.width must hold an error of k = 2 with 4 fraction bits, not 6"),
    ({"numbers": {"weight": {"width": 32, "fraction": 6}, "error": {"width": 32, "fraction": 4}}},
     "numbers must keep every exact sum within 52 bits, not 67"),
    # update: 16 random bits, of which decay and the frame's binary point take their part
    ({"update": {"multiplier": 0}}, "update.multiplier: input should be greater than or equal to 1, not 0"),
    ({"update": {"shift": 25}}, "update.shift: input should be less than or equal to 24, not 25"),
    ({"update": {"seed": 0}}, "update.seed: input should be greater than or equal to 1, not 0"),
    (stochastic(shift=16), "update.shift must be at most 15 with stochastic rounding (16 random bits, less decay_limit "
                           "and input.fraction), not 16"),
    (stochastic(shift=14, decay_limit=2), "update.shift must be at most 13 with stochastic rounding (16 random bits, "
                                          "less decay_limit and input.fraction), not 14"),
    # the rest
    ({"initial": {"gain": 0.0}}, "initial.gain: input should be greater than 0, not 0.0"),
    ({"hardware": {"sample_slots": 0}}, "hardware.sample_slots: input should be greater than or equal to 1, not 0"),
    ({"hardware": {"spike_slots": 17}}, "hardware.spike_slots: input should be less than or equal to 16, not 17"),
    ({"hardware": {"error_steps": 3}}, "hardware.error_steps must divide time.interval = 2, not 3"),
    ({"time": {"steps": 512, "interval": 512}, "numbers": {"error": {"width": 16, "fraction": 4}},
      "classifier": {"lanes": 2, "gradient": "history"}},
     "time.interval must be at most 256 steps, with time.update_period, where gradient is 'history' (block 0), "
     "not 512"),
    ({"hardware": {"counter_bits": 15}}, "hardware.counter_bits: input should be greater than or equal to 16, not 15"),
    ({"hardware": {"memory": {"weight": "ram"}}},
     "hardware.memory.weight: input should be 'auto', 'block' or 'distributed', not 'ram'"),
])
def test_one_error_per_rule(changes, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        parse(document(**changes))


@pytest.mark.parametrize("changes", [
    {"numbers": {"weight": {"width": 4, "fraction": 3}}},                     # one integer bit is the least
    {"numbers": {"error": {"width": 7, "fraction": 4}}},                      # holds 2.0 exactly
    {"neuron": {"threshold": 31.984375, "reset_amount": 2.0**-6}},            # both ends of the potential
    {"neuron": {"threshold": 1}},                                             # TOML writes a whole number without point
    {"neuron": {"reset": "none", "reset_error": False, "reset_amount": 0.3}},  # unused: not checked
    rectangle(2.0**-5), rectangle(4096.0), stochastic(shift=15),
    spatial(conv(kernel=5)),                                                  # one row of outputs is left
    spatial(conv(kernel=9, padding=2)),                                       # of a window that ends in the padding
    spatial(conv(stride=2, padding=1)),                                       # five inputs: the last window ends there
    spatial(conv(), pool(size=3, stride=1), numbers={"weight": {"width": 8, "fraction": 3}}),  # 8 / 9
    spatial(conv(), input={"shape": [5, 6, 2], "size": 60}),
    spatial(conv(kernel=1), ONE, shape=(200, 300, 1),                         # the four bits less without dropout
            numbers={"weight": {"width": 32, "fraction": 6}, "error": {"width": 8, "fraction": 2}}),
])
def test_edges_are_valid(changes):
    parse(document(**changes))


@pytest.mark.parametrize("path", ["time", "time.steps", "input.bits", "layers", "network.classes", "classifier",
                                  "neuron.leak", "neuron.threshold", "surrogate", "numbers.error", "update.shift"])
def test_missing_key(path):
    data = document()
    *sections, key = path.split(".")
    place = data
    for section in sections:
        place = place[section]
    del place[key]
    with pytest.raises(ConfigError, match=f"^{re.escape(path)} is required and missing$"):
        parse(data)


def test_input_has_shape_or_size():
    data = document()
    del data["input"]["size"]
    with pytest.raises(ConfigError, match=r"^input must have shape or size, not None$"):
        parse(data)


TOML = """
name = "filed"
layers = [{ neurons = 4, lanes = 2 }]
time = { steps = 4, interval = %d }
input = { size = 6, bits = 3 }
network = { classes = 3, block_length = 1 }
classifier = { lanes = 2 }
neuron = { leak = { form = "shift", shift = 3 }, threshold = 1, reset_amount = 0.5 }
surrogate = { shape = "rectangle", width = 2 }
update = { shift = 4 }
[numbers]
weight = { width = 10, fraction = 6 }
potential = { width = 12, fraction = 6 }
error = { width = 12, fraction = 4 }
"""


def test_load(tmp_path):
    path = tmp_path / "core.toml"
    path.write_text(TOML % 2)
    config = load(path)
    n = config.units[0].neuron
    assert (config.name, n.threshold, n.reset_amount, n.reset_gain) == ("filed", 64, 32, 32)
    assert config == load(str(path))


@pytest.mark.parametrize("content, reason", [
    (None, "No such file or directory"),
    (b"steps =", "not a TOML file: Invalid value (at end of document)"),
    (b"\xff\xfe", "not a TOML file: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ((TOML % 3).encode(), "time.interval must divide time.steps = 4, not 3"),
])
def test_load_names_the_file(tmp_path, content, reason):
    path = tmp_path / "core.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{path}: {reason}')}$"):
        load(path)


def test_load_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "core.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (TOML % 2).replace("\n", "\r\n").encode())
    assert load(path).time.steps == 4


def test_a_large_file(tmp_path):
    path = tmp_path / "core.toml"
    path.write_bytes((TOML % 2).encode() + b"#" * (10 << 20))
    size = f"{path.stat().st_size:,}"
    with pytest.raises(ConfigError, match=rf"core\.toml: must have at most 262,144 bytes, not {size}$"):
        load(path)


@pytest.mark.parametrize("changes, message", [
    ({"updat": {}, "time": {"steps": -1}}, "updat is not a known field (did you mean update?), its value was {}"),
    ({"time": {"steps": 5, "stepps": 4}}, "time.stepps is not a known field (did you mean steps?), its value was 4"),
    ({"layers": [ONE, {**ONE, "lane": 2, "lanes": 0}]},
     "layers.1.lane is not a known field (did you mean lanes?), its value was 2"),
    ({"numbers": {"error": {"with": 3}}},
     "numbers.error.with is not a known field (did you mean width?), its value was 3"),
    (leak(form="shift", shift=99, multiplyer=1), "neuron.leak.multiplyer is not a known field, its value was 1"),
    (table(bin=-1.0, value=[1]), "surrogate.value is not a known field (did you mean values?), its value was [1]"),
    ({"a\nb\x1b": "c" * 999}, "a\\nb\\x1b is not a known field, its value was 'ccc"),
    ({"neuron": {"reset": "none", "reset_error": False, "reset_amount": math.inf}},
     "neuron.reset_amount must be a number, not inf"),
    ({"update": {"shift": 10**25}},
     "update.shift must be an integer of at most 64 bits, not 10000000000000000000000000"),
    ({"initial": {"seed": 16**5000}},
     "initial.seed must be an integer of at most 64 bits, not an integer of 20001 bits"),
])
def test_unknown_fields_come_first(changes, message):
    """And then numbers that no field could hold."""
    with pytest.raises(ConfigError) as error:
        parse(document(**changes))
    assert str(error.value).startswith(message) and len(str(error.value)) < 300


WIDE = {"neurons": 65536, "lanes": 256}


@pytest.mark.parametrize("changes, message", [
    ({"layers": [WIDE, WIDE]}, "layers must have at most 268,435,456 weights in all, not 4295753728"),  # 32 GiB
    ({"layers": [WIDE], "network": {"block_length": 1}, "time": {"steps": 4096, "interval": 2},
      "update": {"batch": 2}, "numbers": {"error": {"width": 12, "fraction": 4}}},
     "layers must have at most 268,435,456 potentials (neurons, time.steps, update.batch) each, as block0.layer0 has "
     "not, not 536870912"),
    (spatial(conv(kernel=31, padding=30, channels=1, lanes=1), shape=(256, 256, 1), update={"batch": 8},
             hardware={"sample_slots": 8}),
     "layers must have at most 268,435,456 inputs of windows (positions, inputs of each, steps between two updates, "
     "update.batch) each, as block0.layer0 has not, not"),
])
def test_sizes_before_memory(changes, message):
    with pytest.raises(ConfigError) as error:
        parse(document(**changes))
    assert str(error.value).startswith(message)


def test_frozen():
    config = small()
    with pytest.raises(ValidationError, match="Instance is frozen"):
        config.name = "other"
    with pytest.raises(ValidationError, match="Instance is frozen"):
        config.time.steps = 8


def test_replace_changes_only_what_it_names():
    config = small()
    other = config.replace(time={"interval": 4}, name="other")
    assert (other.name, other.time.steps, other.time.interval) == ("other", 4, 4)
    assert other.replace(time={"interval": 2}, name="little") == config
    assert other.hash != config.hash
    with pytest.raises(ConfigError, match=r"^time\.interval must divide time\.steps = 4, not 3$"):
        config.replace(time={"interval": 3})


@pytest.mark.parametrize("changes, shape, size", [
    ({"size": 7}, (1, 1, 7), 7),
    ({"shape": [2, 3, 4]}, (2, 3, 4), 24),
    ({"bits": 5}, (1, 1, 6), 6),
])
def test_replace_of_the_input(changes, shape, size):
    # Size and shape follow from each other: the one that is not named goes with the old one.
    config = small().replace(input=changes)
    assert (config.input.shape, config.input.size, config.input.bits) == (shape, size, changes.get("bits", 3))


def test_replace_with_another_surrogate():
    # Fields of the shape that was there before have no meaning in the new one.
    assert small().replace(surrogate={"shape": "table", "bin": 0.5, "values": [3, 1]}).surrogate.codes == (3, 1)


@pytest.mark.parametrize("module", ["golden.config", "golden.schedule", "golden.counters", "rtl.core"])
def test_import_without_torch(module):
    code = f"import sys, spikeloom.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
