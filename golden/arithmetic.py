"""Every rounding and saturation rule of the core, once. Twins of `rtl.arithmetic`, function by function.

Tensors are int64, or int32 where all that is computed of them fits; shift amounts are Python integers. Nothing here
depends on a configuration.
"""

from functools import cache

import torch

from .parts.dropout import DROPOUT_BITS

__all__ = ["constant", "entry", "exact_matmul", "float_type", "less", "saturate", "shift_floor", "shift_kept",
           "shift_nearest", "shift_stochastic", "where"]


@cache
def constant(value, dtype=torch.int64):
    """`value` as a tensor of the type that it meets: to wrap or convert it at every use costs as much as the use."""
    return torch.tensor(value, dtype=dtype)


def saturate(x, width, out=None):
    """Clamp to `width`-bit two's complement, into `out` if given."""
    top = (1 << (width - 1)) - 1
    return torch.clamp(x, -top - 1, top, out=out)


def less(x, condition, amount):
    """`x`, less `amount` where the condition holds."""
    return torch.add(x, condition, alpha=-amount)


def where(condition, x, y):
    """`x` where the condition holds, else `y`; of the type of that which is a tensor."""
    return torch.where(condition, x, y)


def entry(values, index):
    """The entry of a tuple at each `index` from 0 on, of its type; 0 beyond the last."""
    if values == (1,):
        return (index == 0).to(index.dtype)
    return torch.tensor([*values, 0], dtype=index.dtype)[index.clamp(max=len(values))]


def shift_floor(x, shift):
    """``floor(x / 2**shift)``; a negative `shift` multiplies, exactly."""
    if shift == 0:
        return x
    return torch.bitwise_right_shift(x, constant(shift, x.dtype)) if shift > 0 else x << -shift


def shift_kept(x, shift, dropout, whole=0):
    """``floor((x * (1 - dropout / 16) + whole) / 2**shift)``, rounded once: what dropout leaves of a sum on average.

    `whole` is what it leaves alone.
    """
    return shift_floor(x * ((1 << DROPOUT_BITS) - dropout) + (whole << DROPOUT_BITS), shift + DROPOUT_BITS)


def shift_nearest(x, shift):
    """``x / 2**shift`` to the nearest integer, halves upwards; a negative `shift` multiplies, exactly."""
    if shift <= 0:
        return shift_floor(x, shift)
    return shift_floor(x + (1 << shift >> 1), shift)


def shift_stochastic(x, shift, random):
    """``floor(x / 2**shift + r)`` with ``r`` the low `shift` bits of `random` as a fraction below one."""
    return (x + (random & ((1 << shift) - 1))) >> shift


def float_type(bound):
    """The floating-point type that holds every integer up to `bound`, so that no sum of integers is rounded.

    Raises
    ------
    OverflowError
        If `bound` exceeds ``2**53``.
    """
    if bound > 1 << 53:
        raise OverflowError(f"bound of an exact sum must be at most 2**53, not {bound}")
    return torch.float32 if bound <= 1 << 24 else torch.float64


def exact_matmul(a, b, bound, dtype=torch.int64):
    """Matrix product of integers by way of floating point, every sum exact.

    Parameters
    ----------
    a, b : torch.Tensor
        Integer-valued, any dtype.
    bound : int
        No partial sum exceeds it in magnitude. Up to ``2**24`` the product runs in float32, up to ``2**53`` in
        float64; each holds every integer of its range, so no rounding takes place.
    dtype : torch.dtype
        Of the result, wide enough for `bound`.

    Raises
    ------
    OverflowError
        If `bound` exceeds ``2**53``.
    """
    number = float_type(bound)
    return (a.to(number) @ b.to(number)).to(dtype)
