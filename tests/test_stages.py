"""Stages by name, and the table of them in docs/schedule.md."""

import re
from pathlib import Path

import pytest

from spikeloom.golden import stages
from spikeloom.golden.stages import Stages
from strategies import small

SCHEDULE = (Path(__file__).parent.parent / "docs" / "schedule.md").read_text()
#: Wide enough to be multiplied in parts.
WIDE = {"error": {"width": 19, "fraction": 4}}
DENSE = small(layers=[{"neurons": 9, "lanes": 9, "gradient": "history"}])
IMAGE = small(input={"shape": (4, 4, 1)}, layers=[
    {"kind": "conv", "channels": 2, "kernel": 2, "lanes": 2}, {"kind": "avg_pool", "size": 2, "stride": 1},
    {"kind": "conv", "channels": 2, "kernel": 1, "lanes": 2}], network={"block_length": None, "block_ends": [3]})
EVENTS = small(input={"size": 6, "kind": "events", "bits": 1, "fraction": 0},
               layers=[{"neurons": 5, "lanes": 2, "gradient": "memory"}])


def variants():
    """Every pass with all stages that it can have, and with as few as possible: name -> list of `Stages`."""
    configs = [config.replace(numbers=numbers) for config in (DENSE, IMAGE, EVENTS) for numbers in ({}, WIDE)]
    found = {"scan": [stages.SCAN], "apply": [stages.APPLY], "hand over": [stages.HAND_OVER],
             "report": [stages.REPORT], "port, weight": [stages.PORT_WEIGHT],
             "port, velocity": [stages.PORT_VELOCITY], "group": [stages.UPDATE_GROUP], "row": [stages.UPDATE_ROW]}
    for config in configs:
        for unit, above in zip(config.units, [*config.units[1:], None]):
            found.setdefault("forward", []).append(stages.forward(unit))
            if unit.rule.serves:
                found.setdefault("serve", []).append(stages.serve(unit))
            if unit.classifier:
                found.setdefault("backward, classifier", []).append(stages.backward(unit, None))
            elif unit.rule.learns:
                found.setdefault("backward", []).append(stages.backward(unit, above))
            if unit.rule.accumulates:
                found.setdefault("accumulate", []).append(stages.accumulate(unit))
            elif unit.weights.stored:
                found.setdefault("update", []).append(stages.update(unit))
    return found


def described(pass_stages):
    """As a row of the table: stages that are not always there in brackets, levels of a tree as one."""
    def plain(names):
        return list(dict.fromkeys(re.sub(r"^tree\d+$", "tree", name) for name in names))

    longest = max((plain(own.names) for own in pass_stages), key=len)
    assert all(set(plain(own.names)) <= set(longest) for own in pass_stages)
    return ", ".join(name if all(name in plain(own.names) for own in pass_stages) else f"({name})" for name in longest)


def table(heading):
    """Rows of the table below the line that begins with `heading`."""
    after = SCHEDULE.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in after.splitlines()[2:]]


def test_table_of_the_document():
    assert {name: (names, int(fewest)) for name, names, fewest in table("pass")} == {
        name: (described(own), min(map(len, own))) for name, own in variants().items()}


def test_every_name_is_explained():
    explained = [name.strip() for names, _ in table("stage") for name in names.split(",")]
    every = {re.sub(r"^tree\d+$", "tree", name) for own in variants().values() for one in own
             for name in (*one.names, *one.marks)}
    assert sorted(explained) == sorted(every)


def test_optional_stages_are_where_they_are_needed():
    layer, classifier = DENSE.units[:2]
    conv, pool = IMAGE.units[:2]
    wide = DENSE.replace(numbers=WIDE).units[0]
    assert "factor" in stages.forward(layer) and "factor" not in stages.forward(classifier)
    assert "parts" in stages.forward(wide) and "parts" not in stages.forward(layer)
    assert "tables" in stages.accumulate(conv) and "tables" in stages.backward(conv, pool)
    assert "tables" not in stages.backward(layer, classifier)
    # Nine lanes: two levels of the tree in each of two cycles.
    assert [name for name in stages.serve(layer).names if name.startswith("tree")] == ["tree1", "tree2"]


def test_what_must_meet():
    """What comes on two ways from one stage stands in the same cycle."""
    for config in (DENSE, IMAGE, EVENTS):
        for unit, above in zip(config.units, [*config.units[1:], None]):
            forward = stages.forward(unit)
            assert forward.index("sum") == forward.index("term") + 1
            if unit.input.static:
                # The value of a frame comes with as many registers in every pass that multiplies it.
                update = stages.accumulate(unit) if unit.rule.accumulates else stages.update(unit)
                assert forward.between("address", "factor") == update.between("address", "factor")
            if unit.weights.stored:
                # Whatever the gradient comes from, the step meets the weight that was read for it.
                moves = stages.APPLY if unit.rule.accumulates else stages.update(unit)
                assert moves.between("weight", "step") == forward.between("address", "word")
            if above is not None and unit.rule.learns:
                backward, serve = stages.backward(unit, above), stages.serve(above)
                assert backward.between("walked", "delta") == len(serve)
                assert backward.between("request", "product") == serve.index("product")


def test_places_of_stages():
    some = Stages(("a", "b", "c", "d")).mark("d", late=1, early=3)
    assert (len(some), some.depth, some.index("c"), some.index("late"), some.between("early", "d")) == (4, 3, 2, 2, 3)
    rest = some.since("b")
    assert (rest.names, rest.marks) == (("b", "c", "d"), {"late": 1})
    assert "a" not in rest and "early" not in rest and "late" in rest
    with pytest.raises(KeyError, match="no stage 'a' among b, c, d, late"):
        rest.index("a")


def test_names_differ():
    with pytest.raises(ValueError, match="names of stages must differ"):
        Stages(("a", "b", "a"))
    with pytest.raises(ValueError, match="names of stages must differ"):
        Stages(("a", "b")).mark("b", a=1)


def test_no_mark_outside():
    with pytest.raises(ValueError, match="early must be a stage"):
        Stages(("a", "b")).mark("b", early=2)
