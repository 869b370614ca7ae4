"""Training and inference of a network, one number at a time: the source that `golden.compiled` compiles.

The same sums as in `golden.model`, in the order in which a program finds them: an active input adds its row of weights.
Rounding and neurons are the functions of `golden.arithmetic` and `golden.steps`, which are compiled with this.
Everything is int64, or uint8 where it is 0 or 1; flat arrays hold all units, one after the other.
"""

import numpy as np
from numba.extending import register_jitable

from .arithmetic import saturate, shift_floor, shift_kept, shift_nearest, shift_stochastic
from .parts.dropout import DROPOUT_BITS

__all__ = ["UNIT", "backward_neurons", "forward_neurons", "run"]

#: What there is to know of a unit: sizes, flags, widths, and where its share of each flat array begins.
UNIT = np.dtype([(name, np.int64) for name in (
    # neurons: kind and place among the tables of numbers; inputs; channels of a pixel of either
    "kind", "place", "start", "n_in", "n_out", "channels_in", "channels", "fan_in", "bias", "lanes",
    "channel_words", "static", "pool", "stored", "learns", "classifier", "wanted", "source",
    "align", "input_dropout", "dropout", "pool_weight", "weight_width", "weight_fraction", "error_width",
    "input_fraction",
    # first neuron, first weight, first row, first pixel among `pointers`, first LFSR of either kind
    "neuron", "weight", "row", "pixel", "lfsr", "dropper")])

RANDOM_MASK = (1 << DROPOUT_BITS) - 1

#: What `golden.compiled` puts here: the functions of a golden step, and `forward_neurons` and `backward_neurons` of the
#: kind of a unit, which take ``(tables, kind, place, ...)`` for the numbers.
step = fired = code = error = forward_any = backward_any = None


@register_jitable
def gather(unit, inputs, weights, links, sums):
    """Sum over the inputs of every neuron, equation (1), into `sums` (n_out,)."""
    channels, inside, (pointers, reached, taps) = unit.channels, unit.channels_in, links
    sums[:unit.n_out] = 0
    for pixel in range(unit.n_in // inside):
        first, last = pointers[unit.pixel + pixel], pointers[unit.pixel + pixel + 1]
        for channel in range(inside):
            value = np.int64(inputs[pixel * inside + channel])
            if value == 0:
                continue
            for tap in range(first, last):
                place = reached[tap] * channels
                if unit.pool:
                    sums[place + channel] += value * unit.pool_weight
                    continue
                row = unit.weight + (taps[tap] * inside + channel) * channels
                total, weight = sums[place:place + channels], weights[row:row + channels]
                if value == 1:
                    for own in range(channels):
                        total[own] += weight[own]
                else:
                    for own in range(channels):
                        total[own] += value * weight[own]


@register_jitable
def take_biases(unit, weights, biases):
    """What a bias adds to the sum of every neuron, into `biases` (n_out,); zeros where there is none."""
    channels = unit.channels
    first = unit.weight + (unit.fan_in - 1) * channels
    for i in range(unit.n_out):
        biases[i] = weights[first + i % channels] << unit.input_fraction if unit.bias else 0


@register_jitable
def spike_errors(above, unit, errors, codes, dropped, weights, links, deltas):
    """Errors of the spikes of `unit` in a step, equation (4), from those of the neurons `above`, all (neurons,).

    Only neurons with a surrogate code whose spike was not dropped have one.
    """
    channels, inside, (pointers, reached, taps) = above.channels, above.channels_in, links
    for pixel in range(above.n_in // inside):
        first, last = pointers[above.pixel + pixel], pointers[above.pixel + pixel + 1]
        for channel in range(inside):
            own, total = unit.neuron + pixel * inside + channel, np.int64(0)
            if codes[own] == 0 or dropped[own]:
                deltas[own] = 0
                continue
            for tap in range(first, last):
                place = above.neuron + reached[tap] * channels
                if above.pool:
                    total += errors[place + channel] * above.pool_weight
                    continue
                row = above.weight + (taps[tap] * inside + channel) * channels
                error, weight = errors[place:place + channels], weights[row:row + channels]
                for output in range(channels):
                    total += error[output] * weight[output]
            deltas[own] = saturate(shift_nearest(total, above.weight_fraction), above.error_width)


@register_jitable
def add_gradient(unit, inputs, errors, gradients, touched, links):
    """Add what equation (7) has of one step, or of a frame, with errors (n_out,)."""
    channels, inside, (pointers, reached, taps) = unit.channels, unit.channels_in, links
    for pixel in range(unit.n_in // inside):
        first, last = pointers[unit.pixel + pixel], pointers[unit.pixel + pixel + 1]
        for channel in range(inside):
            value = np.int64(inputs[pixel * inside + channel])
            if value == 0:
                continue
            for tap in range(first, last):
                place, row = reached[tap] * channels, taps[tap] * inside + channel
                touched[unit.row + row] = 1
                row = unit.weight + row * channels
                total, error = gradients[row:row + channels], errors[place:place + channels]
                if value == 1:
                    for own in range(channels):
                        total[own] += error[own]
                else:
                    for own in range(channels):
                        total[own] += value * error[own]
    if unit.bias:
        row = unit.fan_in - 1
        touched[unit.row + row] = 1
        for i in range(unit.n_out):
            gradients[unit.weight + row * channels + i % channels] += errors[i] << unit.input_fraction


@register_jitable
def move(unit, update, shift, weights, velocities, gradients, touched, lfsrs, leap):
    """Equation (7) after an update period: every row that was touched moves, with momentum every row.

    `update` is multiplier, whether it rounds stochastically, and multiplier, shift and width of the momentum (0 for
    none).
    """
    multiplier, stochastic, kept_multiplier, kept_shift, width = update
    channels = unit.channels
    shift += unit.input_fraction
    for row in range(unit.fan_in):
        if not touched[unit.row + row] and width == 0:
            continue
        touched[unit.row + row] = 0
        first = unit.weight + row * channels
        step, weight = gradients[first:first + channels], weights[first:first + channels]
        if width > 0:
            velocity = velocities[first:first + channels]
            for own in range(channels):
                kept = shift_nearest(velocity[own] * kept_multiplier, kept_shift)
                step[own] = velocity[own] = saturate(kept + step[own], width)
        if stochastic:
            for word in range(unit.channel_words):
                for lane in range(unit.lanes):
                    own, state = word * unit.lanes + lane, lfsrs[unit.lfsr + lane]
                    lfsrs[unit.lfsr + lane] = leap[state]
                    if own < channels:
                        step[own] = shift_stochastic(step[own] * multiplier, shift, state)
        else:
            for own in range(channels):
                step[own] = shift_nearest(step[own] * multiplier, shift)
        for own in range(channels):
            weight[own] = saturate(weight[own] - step[own], unit.weight_width)
            step[own] = 0


@register_jitable
def drop(unit, steps, droppers, leap, dropped):
    """Neurons that are dropped in an interval, into `dropped` (steps, n_out)."""
    channels, lanes = unit.channels, unit.lanes
    for pixel in range(unit.n_out // channels):
        for word in range(unit.channel_words):
            for t in range(steps):
                for lane in range(lanes):
                    state = droppers[unit.dropper + lane]
                    droppers[unit.dropper + lane] = leap[state]
                    if word * lanes + lane < channels:
                        place = pixel * channels + word * lanes + lane
                        dropped[t, unit.neuron + place] = (state & RANDOM_MASK) < unit.dropout


def forward_neurons(n, unit, train, t, sums, biases, potentials, spikes, codes):
    """One step of all neurons of a unit; `n` are its numbers."""
    for i in range(unit.n_out):
        if unit.input_dropout > 0 and not train:
            current = shift_kept(sums[i], -unit.align, unit.input_dropout, biases[i])
        else:
            current = shift_floor(sums[i] + biases[i], -unit.align)
        place = unit.neuron + i
        u = step(potentials[place], current, n)
        potentials[place] = u
        spikes[t, place] = fired(u, n)
        if train:
            codes[t, place] = code(u, n)


def backward_neurons(n, unit, steps, deltas, codes, spikes, errors):
    """Errors of all steps of all neurons of a unit; `n` are its numbers."""
    for i in range(unit.neuron, unit.neuron + unit.n_out):
        later = np.int64(0)
        for t in range(steps - 1, -1, -1):
            later = error(later, deltas[t, i], codes[t, i], spikes[t, i] != 0, n)
            errors[t, i] = later


@register_jitable
def spikes_of(neuron, steps, spikes):
    """Spikes of a neuron in an interval."""
    count = np.int64(0)
    for t in range(steps):
        count += spikes[t, neuron]
    return count


@register_jitable
def teach(unit, steps, fraction, label, spikes, deltas):
    """Equation (3): the same error in every step, in units of one spike; none of a sample of no class."""
    for i in range(unit.n_out):
        count = spikes_of(unit.neuron + i, steps, spikes)
        if i == label:
            count -= steps
        if label < 0:
            count = np.int64(0)
        for t in range(steps):
            deltas[t, unit.neuron + i] = count << fraction


def forward_pass(tables, units, place, steps, train, frame, own, weights, links, droppers, leap, sums, biases,
                 potentials, spikes, sent, dropped, codes):
    """One interval of a unit: `frame` (n_in,) or spikes `own` (steps, n_in) where it is the first one."""
    unit = units[place]
    if train and unit.dropout > 0:
        drop(unit, steps, droppers, leap, dropped)
    take_biases(unit, weights, biases)
    for t in range(steps):
        if not unit.static:
            inputs = own[t] if unit.source < 0 else sent[t, units[unit.source].neuron:]
            gather(unit, inputs, weights, links, sums)
        elif t == 0:
            gather(unit, frame, weights, links, sums)
        forward_any(tables, unit.kind, unit.place, unit, train, t, sums, biases, potentials, spikes, codes)
        for i in range(unit.neuron, unit.neuron + unit.n_out):
            sent[t, i] = spikes[t, i] & (1 - dropped[t, i])


def backward_pass(tables, units, place, steps, fraction, label, weights, links, spikes, dropped, codes, deltas, errors):
    """Errors of one interval of a unit; those of the unit above are there."""
    unit = units[place]
    if unit.classifier:
        teach(unit, steps, fraction, label, spikes, deltas)
    else:
        for t in range(steps):
            spike_errors(units[place + 1], unit, errors[t], codes[t], dropped[t], weights, links, deltas[t])
    backward_any(tables, unit.kind, unit.place, unit, steps, deltas, codes, spikes, errors)


@register_jitable
def gradient_pass(units, place, steps, frame, own, links, sums, sent, errors, gradients, touched):
    """What one interval adds to the gradients of a unit."""
    unit = units[place]
    if unit.static:
        for i in range(unit.n_out):
            total = np.int64(0)
            for t in range(steps):
                total += errors[t, unit.neuron + i]
            sums[i] = total
        add_gradient(unit, frame, sums, gradients, touched, links)
        return
    for t in range(steps):
        inputs = own[t] if unit.source < 0 else sent[t, units[unit.source].neuron:]
        add_gradient(unit, inputs, errors[t, unit.neuron:], gradients, touched, links)


def run(tables, units, sizes, update, shift, train, frames, events, labels, links, weights, velocities, gradients,
        touched, lfsrs, droppers, leap):
    """One batch, forward and in training backward: spike counts of the last classifier, (samples, classes).

    Parameters
    ----------
    tables : tuple of ndarray
        Per kind of neuron, the numbers of each unit.
    units : ndarray of `UNIT`
    sizes : tuple of int
        Intervals, steps of each, intervals of an update period, neurons in all, most neurons of a unit, fraction bits
        of an error.
    update : tuple of int
        As `move` has it.
    shift : int
        Of the learning rate.
    train : bool
    frames, events : ndarray
        Values, int64 (samples, n_in), or spikes, uint8 (samples, T, n_in); of the other, ``T`` or ``n_in`` is 0.
    labels : ndarray
        int64 (samples,); -1 for no class.
    links : tuple of ndarray
        Of every input pixel of every unit, where its outputs begin; the pixel of each; and the tap through which it
        sees the input.
    weights, velocities, gradients, touched, lfsrs, droppers : ndarray
        State; changed in training. `gradients` and `touched` are zero between two periods.
    leap : ndarray
        State of an LFSR after its leap.
    """
    intervals, steps, period, neurons, most, fraction = sizes
    samples, last = len(labels), len(units) - 1
    potentials = np.zeros((samples, neurons), np.int64)
    sums, biases = np.zeros(most, np.int64), np.zeros(most, np.int64)
    counts = np.zeros((samples, units[last].n_out), np.int64)
    spikes, sent, dropped = (np.zeros((steps, neurons), np.uint8), np.zeros((steps, neurons), np.uint8),
                             np.zeros((steps, neurons), np.uint8))
    codes, deltas, errors = (np.zeros((steps, neurons), np.int64), np.zeros((steps, neurons), np.int64),
                             np.zeros((steps, neurons), np.int64))
    for place in range(len(units)):
        unit = units[place]
        potentials[:, unit.neuron:unit.neuron + unit.n_out] = unit.start
    for interval in range(intervals):
        for sample in range(samples):
            frame, own = frames[sample], events[sample, interval * steps:(interval + 1) * steps]
            for place in range(len(units)):
                if train or units[place].wanted:
                    forward_pass(tables, units, place, steps, train, frame, own, weights, links, droppers, leap, sums,
                                 biases, potentials[sample], spikes, sent, dropped, codes)
            for i in range(units[last].n_out):
                counts[sample, i] += spikes_of(units[last].neuron + i, steps, spikes)
            for number in range(len(units) if train else 0):
                place = last - number
                if units[place].learns:
                    backward_pass(tables, units, place, steps, fraction, labels[sample], weights, links, spikes,
                                  dropped, codes, deltas, errors)
            for place in range(len(units) if train else 0):
                if units[place].stored:
                    gradient_pass(units, place, steps, frame, own, links, sums, sent, errors, gradients, touched)
        for place in range(len(units) if train and (interval + 1) % period == 0 else 0):
            if units[place].stored:
                move(units[place], update, shift, weights, velocities, gradients, touched, lfsrs, leap)
    return counts
