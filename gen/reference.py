"""Every section and key of a configuration as one page of Markdown, from the models that check a file.

`python -m spikeloom.gen.reference > docs/configuration.md` writes the page anew. Sections and keys are found in the
models, values and defaults in their fields, and what a key means in the docstring of its section, so that the page
cannot say anything else than the code. What it has no words for is an `AssertionError` that names the key.
"""

import inspect
import json
import re
import sys
import textwrap
from types import NoneType, UnionType
from typing import Annotated, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import AfterValidator, Strict
from pydantic.fields import FieldInfo

from ..golden.config import Config
from ..golden.parts import PartOf, sections_in
from ..golden.section import Later, Section

__all__ = ["configuration_reference"]

WIDTH = 120
#: Bounds of a field that are written down.
BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length")
#: What else may be said of a field: it chooses between sections, or is a rule that is told where the key is explained.
SILENT = (AfterValidator, PartOf, Strict)

BEGINNING = (
    "Every section and key of a configuration, which is a TOML file. This page is generated from the code: `python -m "
    "spikeloom.gen.reference > docs/configuration.md` writes it anew. A key that is not here is refused.",
    "Values are those that a key may have by itself. What keys demand of each other is checked, too, and the message "
    "names field, rule and value. A key with the default *none* has no value where it is left out. `spikeloom new` "
    "writes a file with comments; equations and symbols are those of [arithmetic.md](arithmetic.md).")


class Part(NamedTuple):
    """What stands below one heading."""

    level: int
    title: str
    #: Paragraphs, as a docstring has them.
    text: str
    #: The section whose keys follow; None where alternatives do.
    section: type | None
    #: Of its keys that hold sections: where those are.
    links: dict


def configuration_reference(config=Config) -> str:
    """The page for a whole configuration, as its model `config` has it."""
    parts = list(_parts(config, "Configuration", ("",), 1))
    links = {part.section.__name__: f"[{part.title}](#{_anchor(part.title)})"
             for part in reversed(parts) if part.section}  # to the first of several places
    blocks = []
    for part in parts:
        blocks.append(f"{'#' * part.level} {part.title}")
        text = [*(BEGINNING if part is parts[0] else ()), *_prose(part.text, links).split("\n\n")]
        blocks += [_wrapped(paragraph) for paragraph in text]
        if part.section:
            blocks.append("\n".join(_table(part, links)))
    return "\n\n".join(blocks) + "\n"


def _parts(section, title, paths, level, explained=None):
    """The part of a section that lies at `paths`, and those of the sections in it.

    What a whole configuration holds, too, is `explained` there: heads of sections.
    """
    text, meanings = _documented(section)
    found = {}
    for name, field in section.model_fields.items():
        inside, many = _sections(field)
        if inside:
            found.setdefault((inside, many), []).append(name)
    links, below = {}, []
    for (inside, many), names in found.items():
        if explained and inside in explained:
            links |= {name: f"like {explained[inside]}" for name in names}
            continue
        places = {name: [f"{path}.{name}".lstrip(".") for path in paths] for name in names}
        heads = {name: [f"`[[{place}]]`" if many else f"`[{place}]`" for place in places[name]] for name in names}
        own = ", ".join(head for name in names for head in heads[name])
        links |= {name: f"[{', '.join(heads[name])}](#{_anchor(own)})" for name in names}
        own_paths = [place for name in names for place in places[name]]
        within = explained or {other: f"[`[{heads[0]}]`](#{heads[0]})" for (other, _), heads in found.items()}
        if len(inside) == 1:
            below += _parts(inside[0], own, own_paths, level + 1, within)
            continue
        key, values = _choice(inside)
        titles = {value: f"{own} with `{key} = {_literal(value)}`" for value in values}
        choices = ", ".join(f"[`{_literal(value)}`](#{_anchor(other)})" for value, other in titles.items())
        said = dict.fromkeys(meanings[name] for name in names)
        below.append(Part(level + 1, own, "\n\n".join([*said, f"`{key}` says which it is: {choices}."]), None, {}))
        for one, value in zip(inside, values):
            below += _parts(one, titles[value], own_paths, level + 2, within)
    return [Part(level, title, text, section, links), *below]


def _documented(section):
    """What the docstring of a section says: its paragraphs before the lists, and the meaning of every key."""
    text, *lists = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.cleandoc(section.__doc__ or ""), flags=re.MULTILINE)
    meanings = {}
    for title, body in zip(lists[::2], lists[1::2]):
        if title in ("Attributes", "Parameters"):
            for names, meaning in re.findall(r"^(\w[\w, ]*?) *:.*\n((?: +.*(?:\n|$))+)", body, re.MULTILINE):
                meanings |= {name: " ".join(meaning.split()) for name in names.split(", ")}
    keys = section.model_fields.keys()
    name = section.__name__
    _demand(text.strip(), f"{name} has no docstring")
    _demand(keys <= meanings.keys(), f"the docstring of {name} does not say what these keys mean: "
            f"{', '.join(key for key in keys if key not in meanings)}")
    _demand(meanings.keys() <= keys, f"the docstring of {name} explains keys that are not there: "
            f"{', '.join(key for key in meanings if key not in keys)}")
    return text.strip(), meanings


def _demand(condition, message):
    """An `assert` that stays where Python drops them."""
    if not condition:
        raise AssertionError(message)


def _plain(annotation, notes=()):
    """The types of which a value may be one, without None, which TOML has not, and all that is noted of them."""
    if get_origin(annotation) is Annotated:
        base, *more = get_args(annotation)
        more = [note for own in more for note in (own.metadata if isinstance(own, FieldInfo) else [own])]
        return _plain(base, [*notes, *more])
    if get_origin(annotation) in (Union, UnionType):
        types, notes = [], [*notes]
        for own in get_args(annotation):
            inner, more = _plain(own)
            types, notes = types + inner, notes + more
        return [own for own in types if own is not NoneType], notes
    return [annotation], [*notes]


def _sections(field):
    """The sections of which a field may hold one, and whether it holds a list of them."""
    types, _ = _plain(field.annotation)
    many = get_origin(types[0]) is list
    if many:
        types, _ = _plain(*get_args(types[0]))
    inside = all(isinstance(own, type) and issubclass(own, Section) for own in types)
    return (tuple(sections_in(field, own=True)), many) if inside else ((), False)


def _choice(sections):
    """The key that tells several sections apart, and its value in each: those have one value there, all different."""
    for key in sections[0].model_fields:
        values = [get_args(own.model_fields[key].annotation) if key in own.model_fields
                  and get_origin(own.model_fields[key].annotation) is Literal else () for own in sections]
        if all(len(own) == 1 for own in values) and len(set(values)) == len(values):
            return key, [own[0] for own in values]
    raise AssertionError(f"no key tells {', '.join(own.__name__ for own in sections)} apart")


def _table(part, links):
    """Lines of the table of all keys of a section."""
    _, meanings = _documented(part.section)
    rows = []
    for key, field in part.section.model_fields.items():
        where = f"{part.section.__name__}.{key}"
        if key in part.links:
            _, many = _sections(field)
            _, notes = _plain(field.annotation, field.metadata)
            values = f"{_length(_bounds(notes, where))} tables".lstrip() if many else "table"
            values = f"{values} {part.links[key]}"
        else:
            values = _values(field.annotation, field.metadata, where)
        rows.append((f"`{key}`", values, _default(field, where), _prose(meanings[key], links)))
    # A bar ends a cell even in code.
    rows = [" | ".join(cell.replace("|", r"\|") for cell in row) for row in rows]
    return ["| key | values | default | meaning |", "|---|---|---|---|", *(f"| {row} |" for row in rows)]


def _values(annotation, notes, where):
    """Which values a field takes by itself, in words."""
    types, notes = _plain(annotation, notes)
    bounds = _bounds(notes, where)
    own, origin = types[0], get_origin(types[0])
    if len(types) == 1:
        if origin is Literal:
            return ", ".join(f"`{_literal(value)}`" for value in get_args(own))
        if own is bool:
            return "`true`, `false`"
        if own is str:
            return " ".join(filter(None, ["text", "of", _length(bounds), "characters"])) if bounds else "text"
        if own in (int, float):
            return _range(own, bounds)
        if origin is list:
            count, item = _length(bounds), get_args(own)[0]
            return f"list of {count + ' ' * bool(count)}values, each: {_values(item, (), where)}"
        if origin is tuple and len(set(get_args(own))) == 1:
            return f"list of {len(get_args(own))} values, each: {_values(get_args(own)[0], (), where)}"
    raise AssertionError(f"no words for the values of {where}: {annotation}")


def _bounds(notes, where):
    """The bounds among what is noted of a field, by name."""
    bounds = {}
    for note in notes:
        own = {name: getattr(note, name) for name in BOUNDS if getattr(note, name, None) is not None}
        _demand(own or note is Later or isinstance(note, SILENT), f"no words for a rule of {where}: {note}")
        bounds |= own
    return bounds


def _length(bounds):
    """How many, in words; nothing if any number will do."""
    low, high = bounds.get("min_length", 0), bounds.get("max_length")
    if high is None:
        return f"at least {low}" if low else ""
    return f"{low} to {high}" if low else f"at most {high}"


def _range(kind, bounds):
    """Numbers between bounds, in words."""
    if kind is int:  # below 16 is at most 15
        bounds = {"ge": bounds["gt"] + 1} | bounds if "gt" in bounds else bounds
        bounds = {"le": bounds["lt"] - 1} | bounds if "lt" in bounds else bounds
    low, high = bounds.get("ge"), bounds.get("le")
    word = "integer" if kind is int else "number"
    if low is not None and high is not None:
        return f"{word}, {low} .. {high}"
    words = [(low, f"at least {low}"), (high, f"at most {high}")]
    if kind is float:
        above, below = bounds.get("gt"), bounds.get("lt")
        words = [(above, f"above {above}"), words[0], (below, f"below {below}"), words[1]]
    return ", ".join([word, *(own for bound, own in words if bound is not None)])


def _default(field, where):
    """What a key that is left out has."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "*none*"
    if isinstance(value, Section):
        _demand(not value.model_fields_set, f"the defaults of {where} are not those of its section")
        return "its defaults"
    return f"`{_literal(value)}`"


def _literal(value):
    """A value as TOML writes it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    _demand(isinstance(value, bool | int | float | str), f"no words for the value {value!r}")
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _anchor(title):
    """What GitHub calls a heading in links."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _prose(text, links):
    """Text of a docstring as Markdown; what names the class of a section becomes a link to it."""
    text = re.sub(r"``(.*?)``", r"`\1`", text, flags=re.DOTALL)
    return re.sub(r"`(\w+)`", lambda own: links.get(own[1], own[0]), text)


def _wrapped(paragraph):
    """Lines of one paragraph. Code stays in one piece: a line that begins with its minus sign would be a list."""
    code = re.compile(r"`[^`]*`")
    kept = code.sub(lambda own: " ".join(own[0].split()).replace(" ", "\0"), paragraph)
    return textwrap.fill(kept, WIDTH, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


if __name__ == "__main__":
    sys.stdout.write(configuration_reference())
