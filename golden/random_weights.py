"""Weights that are computed instead of stored: random local classifiers.

A weight is the top of a 32-bit hash of its place, so that it can be had in any order, forward by rows and backward by
columns, from nothing but a key per lane. Its last bit is always set: the values are symmetric about zero. Twin of
`rtl.random_weights`. The hash is a chain of shifted additions and exclusive ors, since multipliers are dear; the tests
hold it against independent random numbers.
"""

from fractions import Fraction

import numpy as np

__all__ = ["lane_keys", "random_weights", "value_bits"]

MASK = (1 << 32) - 1


def lane_keys(seed, place, lanes):
    """Key of every lane of the unit at `place` in the network, as a list of 32-bit integers."""
    return [_mix(_mix(((seed << 16 | place) * 0x9E3779B1 + lane * 0x85EBCA77) & MASK)) for lane in range(lanes)]


def _mix(x):
    """The hash of a 32-bit integer, or of an array of them with 64 bits."""
    x = x + (x << 10) & MASK
    x = x ^ x >> 6
    x = x + (x << 13) & MASK
    x = x ^ x >> 7
    x = x + (x << 3) & MASK
    x = x ^ x >> 17
    x = x + (x << 5) & MASK
    x = x ^ x >> 11
    return x + (x << 15) & MASK


def value_bits(unit, gain):
    """Bits of a random weight, two at least: it stays below the power of two next to ``gain / sqrt(fan_in)``."""
    # The power e has 2**(2 e - 1) <= gain**2 / fan_in < 2**(2 e + 1): no logarithm whose last bit is the machine's.
    doubled = 2 * Fraction(gain)**2 / unit.fan_in
    floor = doubled.numerator.bit_length() - doubled.denominator.bit_length()
    floor -= doubled < Fraction(2)**floor
    return min(max(floor // 2 + unit.weights.fraction + 1, 2), unit.weights.width)


def random_weights(unit, keys, gain):
    """Weights (fan_in, channels) of a unit, int64: the top bits of the hash of ``key + address``, signed and odd."""
    rows = unit.fan_address(np.arange(unit.fan_in))
    address = np.arange(unit.channel_words)[:, None] * unit.fan_rows + rows  # words, rows
    hashed = _mix(address[..., None] + np.array(keys) & MASK)
    bits = value_bits(unit, gain)
    values = hashed >> (32 - bits)
    values = values - (values >> (bits - 1) << bits) | 1
    return values.transpose(1, 0, 2).reshape(unit.fan_in, -1)[:, :unit.channels]
