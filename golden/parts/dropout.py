"""Dropout of a layer: how much of its spikes may be dropped."""

from typing import Annotated

from pydantic import Field

__all__ = ["DROPOUT_BITS", "Dropout"]

#: Bits of the share of dropped spikes: it is given in sixteenths.
DROPOUT_BITS = 4
#: Spikes that do not leave a layer while it trains, in sixteenths.
Dropout = Annotated[int, Field(ge=0, lt=1 << DROPOUT_BITS)]
