"""Average pooling: its table and its rules."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ..geometry import Window, window_counts
from ..section import Later, Section, reject
from . import NeuronTable, SurrogateTable
from .windows import check_windows

__all__ = ["AvgPool"]


class AvgPool(Section):
    """Average over windows of `size` by `size`, with LIF neurons behind it; on the lanes of the layer below.

    Attributes
    ----------
    kind : str
        Kind of layer.
    size : int
        Height and width of a window, at most those of the input.
    stride : int
        Pixels from one window to the next, at most `size`, which is the default. The last window ends at the border.
    neuron : Lif
        As in `Dense`.
    surrogate : Rectangle | Triangle | Table
        As in `Dense`.
    """

    kind: Literal["avg_pool"]
    size: Annotated[int, Field(ge=2, le=16)]
    stride: Annotated[int, Field(ge=1, le=16)] | None = None  # None: the size
    neuron: Annotated[NeuronTable | None, Later] = None
    surrogate: Annotated[SurrogateTable | None, Later] = None

    @model_validator(mode="after")
    def _rules(self):
        if self.stride is not None and self.stride > self.size:
            reject("stride", f"must be at most the size, {self.size}", self.stride)
        return self

    weighted: ClassVar[bool] = False
    gradient: ClassVar[str] = "auto"
    dropout: ClassVar[int] = 0

    def shape_out(self, shape):
        """Height, width and channels of its neurons, over inputs of `shape`."""
        return *window_counts(shape, self.size, self.stride or self.size, 0), shape[2]

    def window(self, shape):
        """How its neurons see inputs of `shape`."""
        return Window("avg_pool", self.size, self.stride or self.size, 0)

    def check(self, shape, path):
        """Refuse inputs of `shape` that do not fit."""
        check_windows(shape, "size", self.size, self.stride or self.size, 0, path)
