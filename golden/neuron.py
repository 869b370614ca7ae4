"""Leaky integrate-and-fire neurons in integers: one forward step, and the error of one step.

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

__all__ = ["decayed", "error_steps", "leak", "lif_steps", "spikes", "surrogate"]


def leak(x, config):
    """The leak of a potential or an error: ``floor(x * multiplier / 2**shift)`` or ``x - floor(x / 2**shift)``."""
    rule = config.neuron.leak
    if rule.form == "shift":
        return x - shift_floor(x, rule.shift)
    return (x * constant(rule.multiplier)).bitwise_right_shift_(constant(rule.shift))


def spikes(u, config):
    """Equation (2), as bool."""
    threshold = constant(config.threshold)
    return u > threshold if config.neuron.compare == ">" else u >= threshold


def surrogate(u, config):
    """Surrogate codes of potentials, int64: the derivative of the spike times ``2**gain_shift``."""
    codes = config.surrogate_codes
    bins = (u - constant(config.threshold)).abs_().bitwise_right_shift_(constant(config.bin_shift))
    if len(codes) == 1:
        return (bins == 0).to(torch.int64) * codes[0]
    return torch.tensor([*codes, 0])[bins.clamp(max=len(codes))]


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
        Potential before the first step, int64, shape (..., neurons).
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
        Spike errors from above, int64, shape (steps, neurons) or (1, neurons) if the same in every step.
    codes, fired : torch.Tensor
        Surrogate codes (int64) and spikes (bool) of the same steps, shape (steps, neurons).

    Returns
    -------
    torch.Tensor
        Shape (steps, neurons).
    """
    width, shift = config.numbers.error.width, config.gain_shift
    rho, fraction = constant(config.reset_gain), constant(config.numbers.potential.fraction)
    own = codes * delta  # without the reset: what the errors from above contribute to each step
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
