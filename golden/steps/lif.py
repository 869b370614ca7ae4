"""The leaky integrate-and-fire neuron in integers: one forward step, and the error of one step.

Guo et al. 2023, equations (1), (2) and (4) to (6); potentials and weights in units of the last potential bit::

    u[t] = saturate(decayed(u[t-1]) + current[t])
    s[t] = u[t] >= u_th                            (or >)
    c[t] = codes[|u[t] - u_th| >> bin_shift]       (0 beyond the last bin)

    e[t] = delta[t] - floor(rho * g[t+1])          (the error through the reset)
    g[t] = saturate(c[t] * e[t] / 2**gain_shift + carried(g[t+1]))

The spike of the previous step is not stored: it follows from the potential, which is kept before its reset. In every
function `n` is a `LifNumbers`, and all else integers, or tensors of integers of one type and shape. RTL twins:
`rtl.lif.Lif` and `rtl.error.ErrorUnit`.
"""

from ..arithmetic import entry, less, saturate, shift_floor, where
from ..parts.lif import Reset

__all__ = ["code", "decayed", "error", "fired", "leak", "step"]


def leak(x, rule):
    """The leak of a potential or an error, with a `Leak`."""
    if rule.subtracts:
        return x - shift_floor(x, rule.shift)
    return shift_floor(x * rule.multiplier, rule.shift)


def fired(u, n):
    """Equation (2), as bool, from the potential of a step."""
    return u > n.threshold if n.strict else u >= n.threshold


def code(u, n):
    """Surrogate code of the potential of a step: the derivative of the spike times ``2**gain_shift``."""
    return entry(n.codes, shift_floor(abs(u - n.threshold), n.bin_shift))


def decayed(u, n):
    """What is left of a potential after leak and reset, before the current of the next step is added."""
    if n.reset == Reset.NONE:
        return leak(u, n.leak)
    spike = fired(u, n)
    if n.reset == Reset.SUBTRACT_BEFORE_LEAK:
        return leak(less(u, spike, n.reset_amount), n.leak)
    left = leak(u, n.leak)
    return where(spike, 0, left) if n.reset == Reset.ZERO else less(left, spike, n.reset_amount)


def step(u, current, n):
    """The potential after a step, from the one before and the current of the step."""
    return saturate(decayed(u, n) + current, n.width)


def error(later, delta, code, spike, n):
    """Potential error of a step.

    From the error of the step `later` (0 after the last one), the error of the spike from above (`delta`), and
    surrogate code and spike of the step.
    """
    passed = delta - shift_floor(later * n.reset_gain, n.fraction) if n.reset_gain else delta
    carried = leak(later, n.leak)
    if n.reset == Reset.ZERO:
        carried = where(spike, 0, carried)
    return saturate(shift_floor(code * passed, n.gain_shift) + carried, n.error_width)
