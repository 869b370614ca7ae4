"""The dense layer: its table and its rules."""

from typing import Annotated, ClassVar, Literal

from pydantic import model_validator

from ..geometry import WHOLE
from ..section import Count, Gradient, Lanes, Later, Section, reject
from . import NeuronTable, SurrogateTable
from .dropout import DropoutShare

__all__ = ["Dense"]


class Dense(Section):
    """Every neuron sees every neuron below.

    Attributes
    ----------
    kind : str
        Kind of layer; a dense one need not say so.
    neurons : int
        Neurons of the layer.
    lanes : int
        Neurons that are computed in every cycle, at most `neurons`.
    gradient : str
        Where weight gradients come from: a ``history`` of errors and spikes over the update period, or a ``memory`` of
        sums, to which every interval adds; ``auto`` takes what needs fewer bits. With momentum or batches it is always
        a memory.
    dropout : int
        Sixteenths of the spikes that do not leave the layer in training, drawn anew for every neuron and step. In
        inference all of them do, and count so many sixteenths less in the layers that they reach.
    bias : bool
        Whether each neuron has one more weight, its bias, whose input is 1.0 in every step. It is the last row of the
        weight matrix, and learns like the others.
    neuron : Lif
        What takes the place of the table ``neuron`` here, as a whole.
    surrogate : Rectangle | Triangle | Table
        What takes the place of the table ``surrogate`` here, as a whole.
    """

    kind: Literal["dense"] = "dense"
    neurons: Count
    lanes: Lanes
    gradient: Gradient = "auto"
    dropout: DropoutShare = 0
    bias: Annotated[bool, Later] = False
    neuron: Annotated[NeuronTable | None, Later] = None
    surrogate: Annotated[SurrogateTable | None, Later] = None

    @model_validator(mode="after")
    def _lanes(self):
        if self.lanes > self.neurons:
            reject("lanes", f"must be at most the {self.neurons} neurons it serves", self.lanes)
        return self

    weighted: ClassVar[bool] = True

    def shape_out(self, shape):
        """Height, width and channels of its neurons, over inputs of `shape`."""
        return 1, 1, self.neurons

    def window(self, shape):
        """How its neurons see inputs of `shape`."""
        return WHOLE

    def check(self, shape, path):
        """Refuse inputs of `shape` that do not fit."""
