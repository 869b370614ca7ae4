"""What a core does per second at a clock: cycles and useful additions of a sample from the golden model."""

from itertools import islice

import torch

from ..golden.data import load_dataset
from ..golden.training import Progress, plan
from ..sim.predict import Prediction

__all__ = ["cycles_per_sample", "rates"]


def cycles_per_sample(config, data, *, before=500, samples=100, tick=lambda count=1: None):
    """Cycles between two results, and useful lane additions of a sample, when nobody ever waits outside of the core.

    Parameters
    ----------
    config : Config
    data : str
        As `golden.data.load_dataset` takes it.
    before : int
        Samples trained before any is counted, so that spikes are as frequent as in most of a training.
    samples : int
        Samples that are counted, after a tenth as many, one batch at least, that fill the cascade; the same for
        training and for inference.
    tick : callable
        Hears of every sample.

    Returns
    -------
    dict of str to dict
        ``training`` and ``inference`` -> ``cycles`` and ``additions`` per sample.

    Raises
    ------
    DataError
        If there is no such data set, or it does not fit.
    """
    chosen, batch = load_dataset(data, config), config.update.batch
    config = config.replace(hardware={"counter_bits": 64})  # so that no sum saturates; no cycle depends on it
    filling = max(batch, -(-samples // 10 // batch) * batch, len(config.blocks) * batch)
    before, samples = before // batch * batch, -(-samples // batch) * batch
    total = before + filling + samples
    epochs = -(-total // (len(chosen.train_labels) // batch * batch))
    order = iter([int(i) for chunk in plan(len(chosen.train_labels), epochs, 0, Progress(), batch)
                  for i in chunk.order])
    found, training = {}, Prediction(config)
    for _ in range(before // batch):
        picks = list(islice(order, batch))
        training.model.run_batch(torch.from_numpy(chosen.train_frames[picks]), chosen.train_labels[picks].tolist(),
                                 train=True)
        tick(batch)
    picks = islice(order, filling + samples)
    found["training"] = _count(training, chosen.train_frames, chosen.train_labels, picks, True, filling, tick)
    inference = Prediction(config, training.model.state)
    picks = (place % len(chosen.test_labels) for place in range(filling + samples))
    found["inference"] = _count(inference, chosen.test_frames, chosen.test_labels, picks, False, filling, tick)
    return found


def _count(prediction, frames, labels, picks, train, filling, tick):
    added, seen = 0, 0
    for seen, pick in enumerate(picks, 1):
        prediction.sample(torch.from_numpy(frames[pick]), labels[pick], train)
        tick()
        if seen == filling:
            added = _additions(prediction)
    results, counted = prediction.results, seen - filling
    cycles = results[-1]["cycle of the result"] - results[filling - 1]["cycle of the result"]
    return {"cycles": cycles / counted, "additions": (_additions(prediction) - added) / counted}


def _additions(prediction):
    return sum(value for name, value in prediction.counters.items() if ".adds." in name)


def rates(cycles, frequency):
    """Samples and useful additions per second at `frequency` MHz; without one, what was counted."""
    if frequency is None:
        return cycles
    return {mode: {**own, "samples_per_second": frequency * 1e6 / own["cycles"],
                   "additions_per_second": frequency * 1e6 * own["additions"] / own["cycles"]}
            for mode, own in cycles.items()}
