"""Random bits of stochastic rounding and of dropout: one 16-bit LFSR per lane, twin of `rtl.lfsr`.

Galois form of ``x^16 + x^15 + x^13 + x^4 + 1`` (period 65,535, a primitive polynomial in the usual tables). Between
two words every lane advances by 16 steps, so that no random bit is used twice. All lanes walk the same
cycle from different places; the state of a lane is architectural.
"""

from functools import cache

import numpy as np

__all__ = ["LEAP", "MASK", "PERIOD", "Lfsr", "lane_seeds", "leap", "step"]

MASK = 0xD008
PERIOD = 65535
#: Steps between two uses.
LEAP = 16


def step(state):
    """One shift of the register."""
    return (state >> 1) ^ (MASK if state & 1 else 0)


def leap(state):
    """`LEAP` shifts: the state that the next word of weights sees."""
    for _ in range(LEAP):
        state = step(state)
    return state


@cache
def _cycle():
    """(states in order of leaps from 1, place of every state)."""
    states, state = [], 1
    for _ in range(PERIOD):
        states.append(state)
        state = leap(state)
    places = [0] * (PERIOD + 1)
    for place, state in enumerate(states):
        places[state] = place
    return np.array(states, dtype=np.int64), np.array(places, dtype=np.int64)


def lane_seeds(seed, lanes, salt):
    """Start states of the lanes of one unit: spread over the cycle; units of as many lanes share none.

    That holds for up to 255 values of `salt`. Units of different numbers of lanes may share the state of a lane.

    Parameters
    ----------
    seed : int
        1 .. 65535, from the configuration.
    lanes, salt : int
        Number of lanes, and the place of the unit in the network (for dropout, behind all of them).
    """
    states, places = _cycle()
    spacing = PERIOD // lanes  # never a multiple of the prime below
    start = places[seed] + 7919 * salt % spacing
    return [int(states[(start + lane * spacing) % PERIOD]) for lane in range(lanes)]


class Lfsr:
    """The lanes of one unit. `state` is a list of ints, as the registers hold them."""

    def __init__(self, state):
        self.state = list(state)

    def draw(self, count):
        """Random words for the next `count` weight words, int64 array of shape (count, lanes); advances the state."""
        states, places = _cycle()
        index = (places[self.state] + np.arange(count + 1)[:, None]) % PERIOD
        drawn = states[index]
        self.state = drawn[count].tolist()
        return drawn[:count]
