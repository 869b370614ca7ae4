"""Dropout: which spikes of a layer do not leave it while the core trains. Twin of `rtl.dropout`.

A neuron is dropped in a step where the low `DROPOUT_BITS` bits of its lane's LFSR are below the layer's dropout. All
lanes leap once for every output word and step, in the order of the forward pass; the states are architectural.
"""

from .lfsr import Lfsr
from .parts.dropout import DROPOUT_BITS

__all__ = ["draw_dropped"]


def draw_dropped(unit, state, samples):
    """Neurons dropped in one interval of a batch, bool array (steps, samples, n_out), and the states behind it.

    Parameters
    ----------
    unit : Unit
    state : list of int
        Of the LFSR of each lane.
    samples : int
        Computed one after the other, each word by word, each of those step by step.
    """
    lfsr = Lfsr(state)
    dropped = lfsr.draw(samples * unit.words * unit.steps) % (1 << DROPOUT_BITS) < unit.dropout
    dropped = dropped.reshape(samples, unit.pixels, unit.channel_words, unit.steps, unit.lanes).transpose(3, 0, 1, 2, 4)
    dropped = dropped.reshape(unit.steps, samples, unit.pixels, -1)[..., :unit.channels]
    return dropped.reshape(unit.steps, samples, unit.n_out), lfsr.state
