"""What a configuration's errors say: the first rule that does not hold, and of unknown fields which one was meant."""

import difflib
import reprlib
from typing import Literal, get_args, get_origin

from .parts import sections_in

__all__ = ["first_error", "huge_number", "shown", "unknown_field"]


class _Short(reprlib.Repr):
    """Values as Python writes them, unless they are long."""

    def __init__(self):
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = 16
        self.maxstring = self.maxother = 80

    def repr_dict(self, value, level):  # in its order
        inner = [f"{self.repr1(key, level - 1)}: {self.repr1(own, level - 1)}"
                 for key, own in list(value.items())[:self.maxdict]] if level > 0 else []
        return f"{{{', '.join(inner + ['...'] * (len(value) > len(inner)))}}}"

    def repr_int(self, value, _):
        return repr(value) if value.bit_length() <= 256 else f"an integer of {value.bit_length()} bits"


shown = _Short().repr


def _suits(section, table):
    """Whether the fields of `table` that have a single value in `section` have it: they say which of several it is."""
    for name, field in section.model_fields.items():
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            value = table.get(name, field.default)
            if not isinstance(value, str) or value not in get_args(field.annotation):
                return False
    return True


def unknown_field(data, section, path=()):
    """What to say of the first key of nested tables that no section knows, or None."""
    return _unknown(data, [section], path)


def _unknown(data, sections, path):
    if isinstance(data, list | tuple):
        found = (_unknown(item, sections, (*path, str(place))) for place, item in enumerate(data))
        return next(filter(None, found), None)
    if not isinstance(data, dict) or not sections:
        return None
    own = next((section for section in sections if _suits(section, data)), None)
    if own is None:  # which of several it is comes first
        return None
    for key, value in data.items():
        if key not in own.model_fields:
            close = difflib.get_close_matches(str(key)[:80], own.model_fields, 1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            return f"{'.'.join((*path, str(key)))} is not a known field{meant}, its value was {shown(value)}"
    found = (_unknown(value, sections_in(own.model_fields[key]), (*path, key)) for key, value in data.items())
    return next(filter(None, found), None)


def huge_number(data, path=()):
    """What to say of the first integer of nested tables and lists that no field could hold, or None."""
    if isinstance(data, int) and data.bit_length() > 64:
        return f"{'.'.join(path)} must be an integer of at most 64 bits, not {shown(data)}"
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list | tuple) else ()
    return next(filter(None, (huge_number(value, (*path, str(key))) for key, value in inside)), None)


def _tag(sections):
    """Name of the field that tells several sections apart, and its values."""
    name, = (name for name, field in sections[0].model_fields.items()
             if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1)
    values = [repr(value) for own in sections for value in get_args(own.model_fields[name].annotation)]
    return name, f"{', '.join(values[:-1])} or {values[-1]}"


def _table(parts, section):
    """What the table at a path must hold, in words."""
    sections = [section]
    for part in parts:
        found = [own.model_fields[part] for own in sections if part in own.model_fields]
        sections = sections_in(found[0]) if found else sections  # a number is the place in a list
    if len(sections) > 1:
        return " with {} {}".format(*_tag(sections))
    needed = [name for name, field in sections[0].model_fields.items() if field.is_required()]
    return f" with {', '.join(needed)}" if needed else ""


def first_error(error, section):
    """The first error of a `ValidationError` of a section: field, rule and value."""
    first = error.errors(include_url=False)[0]
    parts = [str(part) for part in first["loc"]]
    field = ".".join(parts) or "configuration"
    if first["type"] == "rule":
        context = first["ctx"]
        own = context["field"]
        if "." not in own and parts and own != parts[-1]:
            own = ".".join([*parts, own])
        return f"{own} {context['rule']}, not {shown(context['value'])}"
    if first["type"] in ("model_type", "model_attributes_type"):
        return f"{field} must be a table{_table(parts, section)}, not {shown(first['input'])}"
    if first["type"] == "list_type":
        return f"{field} must be a list, not {shown(first['input'])}"
    if first["type"] == "missing":
        return f"{field} is required and missing"
    rule = first["msg"][0].lower() + first["msg"][1:]
    return f"{field}: {rule}, not {shown(first['input'])}"
