"""The reference of the configuration: up to date, complete, and true where it can be asked."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from spikeloom.gen.reference import configuration_reference
from spikeloom.golden.config import Config
from spikeloom.golden.parts import sections_in
from spikeloom.golden.parts.surrogate import Surrogate
from spikeloom.golden.section import Section

COMMAND = "python -m spikeloom.gen.reference > docs/configuration.md"
DOCUMENT = Path("docs/configuration.md")


def rows(text):
    """Cells of the rows of every table, in lists."""
    tables = re.findall(r"^\| key \| .*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[[cell.replace(r"\|", "|") for cell in row[2:-2].split(" | ")] for row in table.splitlines()]
            for table in tables]


def below(section):
    """All that inherit from a section."""
    return {own for one in section.__subclasses__() for own in (one, *below(one))}


def within(section):
    """A section and all below it."""
    return [section, *(one for field in section.model_fields.values() for own in sections_in(field, own=True)
                       for one in within(own))]


def default(cell, field):
    """What the cell of a default says, as the field has it."""
    if cell == "required":
        return field.get_default() if field.is_required() else cell
    if cell == "its defaults":
        return sections_in(field, own=True)[0]()
    return None if cell == "*none*" else tomllib.loads(f"value = {re.fullmatch('`(.*)`', cell)[1]}")["value"]


def test_document_is_up_to_date():
    assert DOCUMENT.read_text() == configuration_reference(), f"renew the document: {COMMAND}"
    assert COMMAND in DOCUMENT.read_text()


def test_command_prints_it():
    printed = subprocess.run([sys.executable, *COMMAND.split()[1:3]], check=True, capture_output=True, timeout=120)
    assert printed.stdout.decode() == configuration_reference()


def test_every_key_is_there_with_its_default():
    """Each section has a table of its keys, in their order, with defaults that TOML reads as what the section has."""
    found, sections = rows(configuration_reference()), set(within(Config))
    known = {own for own in below(Section) if own.__module__.startswith("spikeloom.")}
    assert sections == known - {Surrogate}
    for section in sections:
        fields = section.model_fields
        own = [table for table in found if [row[0] for row in table] == [f"`{key}`" for key in fields]]
        assert own, section
        assert [field.get_default() for field in fields.values()] in [
            [default(row[2], field) for row, field in zip(table, fields.values())] for table in own], section


def test_lines_and_links():
    text = configuration_reference()
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = [re.sub(r"[^a-z0-9_ -]", "", title.lower()).replace(" ", "-") for title in titles]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#(.*?)\)", text)) == set(anchors) - {"configuration"}
    assert {(DOCUMENT.parent / path).exists() for path in re.findall(r"\]\(([^#)]+)\)", text)} == {True}


class Left(Section):
    """Goes left.

    Attributes
    ----------
    way : str
        Which way.
    far : float
        How far.
    """

    way: Literal["left"]
    far: Annotated[float, Field(gt=0, lt=2.5)] = 0.5


class Right(Section):
    """Goes right, as `Left` does; ``a | b``, and no further.

    Nobody knows
    why.

    Attributes
    ----------
    way : str
        Which way.
    """

    way: Literal["right"] = "right"


class Whole(Section):
    """All.

    Attributes
    ----------
    first, second : int
        Two of a kind, ``|x|``, of `Whole`.
    flag : bool
        A flag.
    names : list of str
        Names.
    turn, turn_back : Left | Right
        The turn.
    rest : list of Right
        The rest,
        if any.
    """

    first: Annotated[int, Field(gt=2)]
    second: Annotated[int, Field(lt=9)] | None = None
    flag: bool = True
    names: Annotated[list[Annotated[str, Field(max_length=4)]], Field(min_length=1)] = ["a", "b|"]
    turn: Annotated[Left | Right, Field(discriminator="way")]
    turn_back: Annotated[Left | Right, Field(discriminator="way")] | None = None
    rest: Annotated[list[Right], Field(max_length=3)] = Field(default_factory=list)


EXPECTED = r"""
All.

| key | values | default | meaning |
|---|---|---|---|
| `first` | integer, at least 3 | required | Two of a kind, `\|x\|`, of [Configuration](#configuration). |
| `second` | integer, at most 8 | *none* | Two of a kind, `\|x\|`, of [Configuration](#configuration). |
| `flag` | `true`, `false` | `true` | A flag. |
| `names` | list of at least 1 values, each: text of at most 4 characters | `["a", "b\|"]` | Names. |
| `turn` | table [`[turn]`](#turn-turn_back) | required | The turn. |
| `turn_back` | table [`[turn_back]`](#turn-turn_back) | *none* | The turn. |
| `rest` | at most 3 tables [`[[rest]]`](#rest) | `[]` | The rest, if any. |

## `[turn]`, `[turn_back]`

The turn.

`way` says which it is: [`"left"`](#turn-turn_back-with-way--left), [`"right"`](#turn-turn_back-with-way--right).

### `[turn]`, `[turn_back]` with `way = "left"`

Goes left.

| key | values | default | meaning |
|---|---|---|---|
| `way` | `"left"` | required | Which way. |
| `far` | number, above 0, below 2.5 | `0.5` | How far. |

### `[turn]`, `[turn_back]` with `way = "right"`

Goes right, as [`[turn]`, `[turn_back]` with `way = "left"`](#turn-turn_back-with-way--left) does; `a | b`, and no
further.

Nobody knows why.

| key | values | default | meaning |
|---|---|---|---|
| `way` | `"right"` | `"right"` | Which way. |

## `[[rest]]`
"""


def test_any_sections_are_described():
    assert EXPECTED in configuration_reference(Whole)


def own(documented="key : int\n    A key.", field=(int, 1), name="Own"):
    """A section with one key."""
    text = f"Text.\n\nAttributes\n----------\n{documented}\n"
    return type(name, (Section,), {
        "__doc__": text, "__module__": __name__, "__annotations__": {"key": field[0]}, "key": field[1]})


class Unlike(Section):
    """Without a key that says so.

    Attributes
    ----------
    far : float
        How far.
    """

    far: float = 1.0


@pytest.mark.parametrize("section, message", [
    (own(documented=""), "the docstring of Own does not say what these keys mean: key"),
    (own(documented="other : int\n    Another key."), "the docstring of Own does not say what these keys mean: key"),
    (own("key : int\n    A key.\nold : int\n    A key."), "the docstring of Own explains keys that are not there: old"),
    (own(field=(own("", name="Inside"), None)), "the docstring of Inside does not say what these keys mean: key"),
    (own(field=(dict, {})), "no words for the values of Own.key: <class 'dict'>"),
    (own(field=(int | str, 1)), "no words for the values of Own.key: int | str"),
    (own(field=(int | Left, 1)), f"no words for the values of Own.key: int | {__name__}.Left"),
    (own(field=(Annotated[int, Field(multiple_of=2)], 2)), "no words for a rule of Own.key: MultipleOf(multiple_of=2)"),
    (own(field=(Left, Left(way="left"))), "the defaults of Own.key are not those of its section"),
    (own(field=(Left | Unlike, None)), "no key tells Left, Unlike apart"),
    (own(field=(tuple[int, str], (1, "a"))), "no words for the values of Own.key: tuple[int, str]"),
])
def test_what_has_no_words_is_an_error(section, message):
    with pytest.raises(AssertionError, match=f"^{re.escape(message)}$"):
        configuration_reference(section)


def test_a_section_needs_a_docstring():
    with pytest.raises(AssertionError, match=r"^Own has no docstring$"):
        configuration_reference(type("Own", (Section,), {"__module__": __name__}))
