"""What every section of a configuration is: frozen, strict, and without unknown fields."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer
from pydantic_core import PydanticCustomError

__all__ = ["Bits", "Count", "Gradient", "Lanes", "Later", "Section", "reject"]

Count = Annotated[int, Field(ge=1, le=65536)]
Bits = Annotated[int, Field(ge=2, le=32)]
Lanes = Annotated[int, Field(ge=1, le=256)]
#: Where the sums of equation (7) come from; both give the same bits, `auto` takes the smaller.
Gradient = Literal["auto", "history", "memory"]


class Later:
    """Marks a field that came after the first configurations: while it has its default, nothing is said of it.

    So the text of a configuration, its hash, and all that hangs on it stay what they were.
    """


def reject(field, rule, value):
    """Raise what pydantic collects: a rule that a field breaks."""
    raise PydanticCustomError("rule", "{rule}", {"field": field, "rule": rule, "value": value})


class Section(BaseModel):
    """A table of a configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_serializer(mode="wrap")
    def _said(self, handler):
        fields = type(self).model_fields
        return {name: value for name, value in handler(self).items()
                if Later not in fields[name].metadata or getattr(self, name) != fields[name].default}
