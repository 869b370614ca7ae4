"""Golden step of a neuron that rests: what is kept of it is its potential times four, plus the steps of rest."""

from spikeloom.golden.arithmetic import less, saturate, where
from spikeloom.golden.steps import lif
from spikeloom.golden.steps.lif import leak


def fired(word, n):
    return lif.fired(word >> 2, n.lif) & ((word & 3) == 0)


def code(word, n):
    return where((word & 3) == 0, lif.code(word >> 2, n.lif), word & 0)


def step(word, current, n):
    spike, u = fired(word, n), word >> 2
    rest = where(spike, (word & 0) + n.rest, less(word & 3, (word & 3) > 0, 1))
    heard = where(rest > 0, current & 0, current)
    return (saturate(less(leak(u, n.lif.leak), spike, n.lif.reset_amount) + heard, n.lif.width) << 2) + rest


def error(later, delta, code, spike, n):
    return lif.error(later, delta, code, spike, n.lif)
