"""Parts of a core by their names in a configuration: what may stand in a table that says its kind.

A part is a section (`golden.section.Section`) and what it stands for. The section holds the keys of its table and the
rules about them. Everything else is reached from there by name, and imported when it is needed: golden step, RTL.
Another package adds a kind with an entry point of the group ``spikeloom.parts``, whose name is ``role.kind`` and whose
object is the section. Importing this module imports neither torch nor amaranth.
"""

from functools import cache
from pkgutil import resolve_name
from typing import Annotated, get_args

from pydantic_core import PydanticCustomError, core_schema

from ..offers import load_offer, offers, refuse_offer
from ..section import Section, reject

__all__ = ["GROUP", "LayerTable", "LeakTable", "NeuronTable", "PartOf", "SurrogateTable", "find", "kinds",
           "sections_in"]

#: Group of entry points in which other packages offer parts.
GROUP = "spikeloom.parts"

#: Role -> kind -> its section. The first kind of a role is the default where a table need not say which it is.
_OWN = {
    "layer": {"dense": "dense:Dense", "conv": "conv:Conv", "avg_pool": "avg_pool:AvgPool"},
    "leak": {"multiply": "leak:Multiply", "shift": "leak:ShiftLeak"},
    "neuron": {"lif": "lif:Lif"},
    "surrogate": {"rectangle": "surrogate:Rectangle", "triangle": "surrogate:Triangle", "table": "surrogate:Table"},
}


@cache
def _others():
    """Entry points of other packages: role -> kind -> entry point."""
    found = {role: {} for role in _OWN}
    for entry in offers(GROUP).values():
        role, _, kind = entry.name.partition(".")
        if role not in _OWN or not kind:
            refuse_offer(entry, f"must be named role.kind, with a role of {', '.join(_OWN)}")
        if kind in _OWN[role]:
            refuse_offer(entry, f"there is such a {role} already")
        found[role][kind] = entry
    return found


def kinds(role, *, own=False):
    """Names of all kinds of a role; those of Spikeloom alone if `own`."""
    return (*_OWN[role], *(() if own else _others()[role]))


@cache
def find(role, kind):
    """The section of a kind.

    Raises
    ------
    KeyError
        If there is no such kind.
    OfferError
        If another package offers what is no section, or cannot be imported.
    """
    if kind in _OWN[role]:
        return resolve_name(f"{__name__}.{_OWN[role][kind]}")
    return load_offer(_others()[role][kind], "a subclass of golden.section.Section",
                      lambda own: isinstance(own, type) and issubclass(own, Section))


class PartOf:
    """The type of a field that holds a part: ``Annotated[Section, PartOf("neuron")]``.

    Parameters
    ----------
    role : str
    key : str
        The field that says the kind.
    default : str, optional
        The kind of a table that does not say it.
    """

    def __init__(self, role, key="kind", default=None):
        self.role, self.key, self.default = role, key, default

    def sections(self, *, own=False):
        """All sections that the field may hold; those of Spikeloom alone if `own`."""
        return [find(self.role, kind) for kind in kinds(self.role, own=own)]

    def of(self, data):
        """The section that a table asks for; None if there is no such, or it does not say which."""
        kind = data.get(self.key, self.default)
        return find(self.role, kind) if isinstance(kind, str) and kind in kinds(self.role) else None

    def _validate(self, data):
        if isinstance(data, Section):
            data = data.model_dump()
        if not isinstance(data, dict) or (self.default is None and self.key not in data):
            raise PydanticCustomError("model_type", "must be a table")
        section = self.of(data)
        if section is None:
            reject(self.key, f"must be one of {', '.join(map(repr, kinds(self.role)))}", data[self.key])
        return section.model_validate(data)

    def __get_pydantic_core_schema__(self, source, handler):
        return core_schema.no_info_plain_validator_function(
            self._validate, serialization=core_schema.plain_serializer_function_ser_schema(Section.model_dump))


def sections_in(field, *, own=False):
    """The sections that a field of a section may hold, in a list too; of parts, those of Spikeloom alone if `own`."""
    return _sections_in(field.annotation, field.metadata, own)


def _sections_in(annotation, notes, own):
    for note in (*notes, *get_args(annotation)):
        if isinstance(note, PartOf):
            return note.sections(own=own)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for inside in get_args(annotation) for section in _sections_in(inside, (), own)]


LayerTable = Annotated[Section, PartOf("layer", default="dense")]
LeakTable = Annotated[Section, PartOf("leak", "form")]
NeuronTable = Annotated[Section, PartOf("neuron", default="lif")]
SurrogateTable = Annotated[Section, PartOf("surrogate", "shape")]
