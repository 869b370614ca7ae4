"""What a core does per second at a clock: cycles and useful additions of a sample from the golden model."""

from ..golden.cycles import trace_samples

__all__ = ["cycles_per_sample", "rates"]


def cycles_per_sample(config, data, *, before=500, samples=100, tick=lambda count=1: None):
    """Cycles between two results, and useful lane additions of a sample, when nobody ever waits outside of the core.

    Parameters
    ----------
    config : Config
    data : Dataset
    before : int
        Samples trained before any is counted, so that spikes are as frequent as in most of a training.
    samples : int
        Samples that are counted, of the training set while they are trained, and of the test set in inference.
    tick : callable
        Hears of every batch of samples.

    Returns
    -------
    dict of str to dict
        ``training`` and ``inference`` -> ``cycles`` and ``additions`` per sample.
    """
    found = {}
    for mode in ("training", "inference"):
        cycles = trace_samples(config, data, samples=samples, before=before, train=mode == "training", seed=0,
                               tick=tick).cycles(config)
        found[mode] = {"cycles": float(cycles.cascade),
                       "additions": float(sum(own.adds for block in cycles.blocks for own in block.passes))}
    return found


def rates(cycles, frequency):
    """Samples and useful additions per second at `frequency` MHz; without one, what was counted."""
    if frequency is None:
        return cycles
    return {mode: {**own, "samples_per_second": frequency * 1e6 / own["cycles"],
                   "additions_per_second": frequency * 1e6 * own["additions"] / own["cycles"]}
            for mode, own in cycles.items()}
