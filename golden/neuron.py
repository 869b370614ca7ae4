"""Leaky integrate-and-fire neurons in integers: one forward step, and the error of one step.

Tensors are of `integer`, the type that all of them, sums and products included, fit into.

Guo et al. 2023, equations (1), (2) and (4) to (6); potentials and weights in units of the last potential bit::

    u[t] = saturate(decayed(u[t-1]) + current[t])
    s[t] = u[t] >= u_th                            (or >)
    c[t] = codes[|u[t] - u_th| >> bin_shift]       (0 beyond the last bin)

    e[t] = delta[t] - floor(rho * g[t+1])          (the error through the reset)
    g[t] = saturate(c[t] * e[t] / 2**gain_shift + carried(g[t+1]))

The spike of the previous step is not stored: it follows from the potential, which is kept before its reset.
RTL twins: `rtl.lif.Lif` and `rtl.error.ErrorUnit`.
"""

import torch

from .arithmetic import constant, saturate, shift_floor

__all__ = ["decayed", "error_steps", "integer", "leak", "lif_steps", "spikes", "surrogate"]


def integer(config):
    """int32 where it holds everything that is computed of a neuron: a fraction of the time of int64."""
    return torch.int32 if config.neuron_width <= 32 else torch.int64


def leak(x, config):
    """The leak of a potential or an error: ``floor(x * multiplier / 2**shift)`` or ``x - floor(x / 2**shift)``."""
    rule = config.neuron.leak
    if rule.form == "shift":
        return x - shift_floor(x, rule.shift)
    return (x * constant(rule.multiplier, x.dtype)).bitwise_right_shift_(constant(rule.shift, x.dtype))


def spikes(u, config):
    """Equation (2), as bool."""
    threshold = constant(config.threshold, u.dtype)
    return u > threshold if config.neuron.compare == ">" else u >= threshold


def surrogate(u, config):
    """Surrogate codes of potentials: the derivative of the spike times ``2**gain_shift``."""
    codes = config.surrogate_codes
    distance = (u - constant(config.threshold, u.dtype)).abs_()
    if codes == (1,):
        return (distance.bitwise_right_shift_(constant(config.bin_shift, u.dtype)) == 0).to(u.dtype)
    bins = distance.bitwise_right_shift_(constant(config.bin_shift, u.dtype))
    return torch.tensor([*codes, 0], dtype=u.dtype)[bins.clamp_(max=len(codes))]


def decayed(u, config):
    """What is left of a potential after leak and reset, before the current of the next step is added."""
    reset = config.neuron.reset
    if reset == "none":
        return leak(u, config)
    fired = spikes(u, config)
    if reset == "zero":
        return leak(u, config).masked_fill_(fired, 0)
    if reset == "subtract":
        return leak(u, config).add_(fired, alpha=-config.reset_amount)
    return leak(u.add(fired, alpha=-config.reset_amount), config)


def lif_steps(u, current, config):
    """Potentials of consecutive steps.

    Parameters
    ----------
    u : torch.Tensor
        Potential before the first step, shape (..., neurons).
    current : torch.Tensor
        Input of each step, shape (steps, ..., neurons), or (1, ..., neurons) if it is the same in every step.

    Returns
    -------
    torch.Tensor
        Shape (steps, ..., neurons); `steps` is `config.time.interval`.
    """
    steps, width = config.time.interval, config.numbers.potential.width
    current = current.expand(steps, *current.shape[1:])
    history = torch.empty_like(current, memory_format=torch.contiguous_format)
    for t in range(steps):
        u = saturate(decayed(u, config).add_(current[t]), width, out=history[t])
    return history


def error_steps(delta, codes, fired, config):
    """Potential errors of the steps of one interval, backwards from zero.

    Parameters
    ----------
    delta : torch.Tensor
        Spike errors from above, shape (steps, neurons) or (1, neurons) if the same in every step.
    codes, fired : torch.Tensor
        Surrogate codes and spikes (bool) of the same steps, shape (steps, neurons).

    Returns
    -------
    torch.Tensor
        Shape (steps, neurons).
    """
    width, shift = config.numbers.error.width, config.gain_shift
    own = codes * delta  # without the reset: what the errors from above contribute to each step
    rho, fraction = (constant(x, own.dtype) for x in (config.reset_gain, config.numbers.potential.fraction))
    errors = torch.empty_like(own)
    g = saturate(shift_floor(own[-1], shift), width, out=errors[-1])
    for t in reversed(range(len(codes) - 1)):
        error = own[t]
        if config.reset_gain:
            through_reset = (g * rho).bitwise_right_shift_(fraction)
            error = error - through_reset.mul_(codes[t])
        carried = leak(g, config)
        if config.neuron.reset == "zero":
            carried.masked_fill_(fired[t], 0)
        g = saturate(carried.add_(shift_floor(error, shift)), width, out=errors[t])
    return errors
