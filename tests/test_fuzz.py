"""A small part of the fuzzing command; all of it: ``python -m bench.fuzz``."""

import pytest

from bench import fuzz


@pytest.mark.parametrize("kind, count", [("configuration", 300), ("data", 200), ("checkpoint", 100)])
def test_damaged_input(kind, count):
    said = []
    found = fuzz.fuzz(kind, 1, count, said.append)
    assert not found["findings"], said
    assert found["accepted"] > count // 50 and found["refused"] > count // 2


def test_a_finding_is_found(monkeypatch):
    monkeypatch.setattr(fuzz, "data", lambda random, folder: 1 / 0)
    with pytest.raises(fuzz.Finding, match="ZeroDivisionError"):
        fuzz.case("data", 0, 0)


def test_a_hang_and_a_changed_value_are_found(monkeypatch):
    def hang(random, folder):
        while True:
            pass

    monkeypatch.setattr(fuzz, "SECONDS", 0.1)
    monkeypatch.setattr(fuzz, "data", hang)
    with pytest.raises(fuzz.Finding, match="more than"):
        fuzz.case("data", 0, 0)
    monkeypatch.undo()
    with pytest.raises(fuzz.Finding, match=r"\('time', 'steps'\): 4 became 5"):
        fuzz._same_table({"time": {"steps": 4}}, {"time": {"steps": 5}}, ())
