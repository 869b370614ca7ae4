"""Step decay of the learning rate."""

from amaranth.hdl import Const, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import register
from .promise import promise

__all__ = ["LearningRate"]


class LearningRate(wiring.Component):
    """How often the learning rate is halved: once more after every `decay_samples` trained samples.

    Parameters
    ----------
    config : Config
    reset : dict of str to int
        What `decays` and `since_decay` are after reset.

    Members
    -------
    ended : In(1)
        A batch that trained has ended; two cycles later it is counted.
    load, value : In
        Set `decays` or `since_decay`, by a flag each, in the next cycle; not while the end of a batch is counted.
    decays, since_decay : Out
        Halvings, `decay_limit` of them at most; samples trained since the last one.
    """

    def __init__(self, config, reset):
        self.config = config
        update = config.update
        super().__init__({
            "ended":       In(1),
            "load":        In(data.StructLayout({"decays": 1, "since_decay": 1})),
            "value":       In(32),
            "decays":      Out(range(max(2, update.decay_limit + 1)), init=reset["decays"]),
            "since_decay": Out(range(max(2, update.decay_samples)), init=reset["since_decay"]),
        })

    def elaborate(self, platform):
        m = Module()
        update = self.config.update
        for kind in ("decays", "since_decay"):
            with m.If(self.load[kind]):
                m.d.sync += getattr(self, kind).eq(self.value)
        if not update.decay_samples:
            return m
        # One thing per cycle: it is known that this is the last sample long before the sample ends, and the end has a
        # register. No sample ends while the port loads.
        last = update.decay_samples - update.batch
        due = register(m, self.since_decay >= last if last else Const(1), name="due")
        ended = register(m, self.ended, name="counted")
        promise(m, platform, ~(ended & self.load.as_value().any()), "no sample ends while the learning rate is loaded")
        with m.If(ended):
            m.d.sync += self.since_decay.eq(self.since_decay + update.batch)
            with m.If(due):
                m.d.sync += self.since_decay.eq(self.since_decay - last)
                if update.decay_limit:
                    with m.If(self.decays < update.decay_limit):
                        m.d.sync += self.decays.eq(self.decays + 1)
        return m
