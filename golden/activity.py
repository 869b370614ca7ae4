"""What the spikes of a sample cost: operations of every pass, and every counter that is not a cycle.

Closed forms over bit counts; the RTL's walks (`rtl.scan`, `rtl.update`) are their twins.
"""

import torch

from .schedule import Passes

__all__ = ["passes_and_counters"]


def _group_counts(bits, width, groups):
    """Set bits of each scanned word; `bits` (steps, n), result (steps, groups)."""
    padded = torch.nn.functional.pad(bits, (0, groups * width - bits.shape[1]))
    return padded.reshape(len(bits), groups, width).sum(2)


def _operations(counts, minimum):
    """Operations of each step of a scan: ``max(minimum, sum of max(1, set bits))``; `counts` (steps, groups)."""
    return counts.clamp(min=1).sum(1).clamp(min=minimum)


def passes_and_counters(config, trace):
    """Operations of every pass, and the counters that one sample adds.

    Parameters
    ----------
    config : Config
    trace : SampleTrace

    Returns
    -------
    passes : list of list of Passes
        As `Schedule.sample` wants them.
    counters : dict of str to int
        All but the cycle and wait counters.
    """
    passes, counters = [], {}
    for place, (unit, seen) in enumerate(zip(config.units, trace.units)):
        above = None if unit.classifier else config.units[place + 1]
        own = _unit(config, unit, above, seen, trace.train)
        passes.append(own[0])
        counters |= {f"{unit.path}.{name}": value for name, value in own[1].items()}
    last = config.units[-1]
    counters[f"{last.path}.count.read.report"] = last.words
    for block in config.blocks[:-1]:
        words = block.layers[-1].words * config.time.steps
        counters |= {f"{block.name}.output.queue.{operation}.forward": words for operation in ("write", "read")}
    # The unit above reads its weights and errors for the backward pass of the one below.
    for unit, above in zip(config.units, config.units[1:]):
        if not unit.classifier:
            requests, adds = counters.pop(f"{unit.path}.requests"), counters.pop(f"{unit.path}.dots") * above.n_out
            counters[f"{above.path}.weight.read.backward"] = requests
            counters[f"{above.path}.error.read.backward"] = requests
            counters[f"{above.path}.adds.backward"] = adds
    return passes, counters


def _unit(config, unit, above, seen, train):
    intervals, k, words = config.intervals, config.time.interval, unit.words
    periods, period = intervals // config.time.update_period, config.time.update_period
    inputs = (seen.inputs != 0).to(torch.int64)
    if unit.static:
        counts = _group_counts(inputs.unsqueeze(0), unit.scan_width, unit.groups)
        forward = (words * _operations(counts, unit.step_minimum)).expand(intervals)
        events = counts.sum().expand(intervals)
        rows, visits = events[:periods], events[:periods]
    else:
        counts = _group_counts(inputs, unit.scan_width, unit.groups)
        forward = words * _operations(counts, unit.step_minimum).reshape(intervals, k).sum(1)
        events = counts.sum(1).reshape(intervals, k).sum(1)
        rows = inputs.reshape(periods, -1, unit.n_in).any(1).sum(1)
        visits = events.reshape(periods, period).sum(1)

    windows = (seen.codes != 0).to(torch.int64)
    if above is None:
        backward = torch.full((intervals,), 2 * words * k)
        dots = 0
    else:
        inside = _group_counts(windows, unit.lanes, words)
        backward = (inside * above.words).clamp(min=2).sum(1).reshape(intervals, k).sum(1)
        dots = int(inside.sum())

    forward, events, visits, rows = forward.tolist(), int(events.sum()), visits.tolist(), int(rows.sum())
    backward = backward.tolist()
    passes = [Passes(forward[i], backward[i] if train else 0,
                     words * visits[i // period] if train and (i + 1) % period == 0 else 0)
              for i in range(intervals)]

    granules = unit.groups if unit.static else -(-unit.n_in // unit.granule) * config.time.steps
    reads = words * unit.groups * intervals * (1 if unit.static else k)
    trained = int(train)
    visits = sum(visits) * trained
    rows *= trained
    counters = {
        "adds.forward": events * unit.n_out,
        "adds.update": visits * unit.n_out,
        "weight.read.forward": events * words,
        "weight.read.update": rows * words,
        "weight.write.update": rows * words,
        "potential.read.forward": words * (intervals - 1),
        "potential.write.forward": words * (intervals - 1),
        "window.write.forward": words * config.time.steps * trained,
        "window.read.backward": words * config.time.steps * trained,
        "error.write.backward": words * (intervals if unit.static else config.time.steps) * trained,
        "error.read.update": visits * words,
        "input.write.forward": granules,
        "input.read.forward": reads,
        "input.read.update": unit.groups * unit.frames * periods * trained,
    }
    if unit.static:
        counters |= {
            "error.read.backward": words * (intervals - periods) * trained,
            "value.write.forward": unit.n_in,
            "value.read.forward": events * words,
            "value.read.update": visits * words,
        }
    if unit.classifier:
        counters |= {
            "count.read.forward": words * (intervals - 1),
            "count.write.forward": words * intervals,
            "count.read.backward": words * intervals * trained,
        }
    else:
        counters |= {"requests": dots * above.words * trained, "dots": dots * trained}
    return passes, counters
