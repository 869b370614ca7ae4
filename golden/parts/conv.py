"""The convolution: its table and its rules."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ..geometry import WHOLE, Window, window_counts
from ..section import Lanes, Later, Section, reject
from . import NeuronTable, SurrogateTable
from .dropout import DropoutShare
from .windows import check_windows

__all__ = ["Conv"]


class Conv(Section):
    """Convolution with a square kernel.

    No neuron below is left out: the stride is at most the kernel, and the last window ends at or beyond the border.
    Gradients of shared weights are always summed in a memory. Where one window without padding is all of the input, no
    weight is shared, and the layer is built as a dense one.

    Attributes
    ----------
    kind : str
        Kind of layer.
    channels : int
        Output channels.
    kernel : int
        Height and width of a window; at most those of the input with its padding.
    stride : int
        Pixels from one window to the next, at most `kernel`.
    padding : int
        Rows and columns of zeros on each side of the input, fewer than `kernel`.
    lanes : int
        Output channels that are computed in every cycle, at most `channels`.
    dropout : int
        As in `Dense`.
    bias : bool
        As in `Dense`; all pixels of a channel share it, and padding does not hide it.
    neuron : Lif
        As in `Dense`.
    surrogate : Rectangle | Triangle | Table
        As in `Dense`.
    """

    kind: Literal["conv"]
    channels: Annotated[int, Field(ge=1, le=4096)]
    kernel: Annotated[int, Field(ge=1, le=31)]
    stride: Annotated[int, Field(ge=1, le=31)] = 1
    padding: Annotated[int, Field(ge=0, le=30)] = 0
    lanes: Lanes
    dropout: DropoutShare = 0
    bias: Annotated[bool, Later] = False
    neuron: Annotated[NeuronTable | None, Later] = None
    surrogate: Annotated[SurrogateTable | None, Later] = None

    @model_validator(mode="after")
    def _rules(self):
        if self.lanes > self.channels:
            reject("lanes", f"must be at most the {self.channels} channels it serves", self.lanes)
        if self.stride > self.kernel:
            reject("stride", f"must be at most the kernel, {self.kernel}", self.stride)
        if self.padding >= self.kernel:
            reject("padding", f"must be below the kernel, {self.kernel}", self.padding)
        return self

    weighted: ClassVar[bool] = True
    gradient: ClassVar[str] = "auto"

    def shape_out(self, shape):
        """Height, width and channels of its neurons, over inputs of `shape`."""
        return *window_counts(shape, self.kernel, self.stride, self.padding), self.channels

    def window(self, shape):
        """How its neurons see inputs of `shape`: where one window without padding is all of them, as a dense layer."""
        if not self.padding and shape[:2] == (self.kernel, self.kernel):
            return WHOLE
        return Window("conv", self.kernel, self.stride, self.padding)

    def check(self, shape, path):
        """Refuse inputs of `shape` that do not fit."""
        check_windows(shape, "kernel", self.kernel, self.stride, self.padding, path)
