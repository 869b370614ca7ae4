"""Control that travels beside data: named fields delayed cycle by cycle. Flags are reset, numbers are not."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal

__all__ = ["Pipeline", "count_steps", "running"]


class _Stage:
    """One stage; a field that nobody asks for has no registers."""

    def __init__(self, number, before, delays):
        self._number, self._before, self._delays = number, before, delays

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        source = getattr(self._before, name)
        field = Signal(source.shape(), name=f"s{self._number}_{name}", reset_less=len(source) > 1)
        self._delays.append((field, source))
        setattr(self, name, field)
        return field


class _Fields:
    def __init__(self, fields):
        self.__dict__.update(fields)


class Pipeline(Elaboratable):
    """Fields at any number of cycles after now; must become a submodule.

    The registers live in a module of their own, so that asking for a stage inside a condition does not put the
    register there too.

    Parameters
    ----------
    stages : Stages, optional
        Names of the stages, from the one that it is now.
    fields : values
        What is true now, by name.

    Examples
    --------
    ``pipe["write"].name`` is the field ``name`` in the stage ``write``; ``pipe[3].name`` the field three cycles later.
    """

    def __init__(self, stages=None, /, **fields):
        self.names, self._delays = stages, []
        self._stages = [_Fields(fields)]

    def __getitem__(self, stage):
        if isinstance(stage, str):
            stage = self.names.index(stage)
        while len(self._stages) <= stage:
            self._stages.append(_Stage(len(self._stages), self._stages[-1], self._delays))
        return self._stages[stage]

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [field.eq(source) for field, source in self._delays]
        return m


def count_steps(m, stages, last, *, words, steps, backward=False):
    """Where the operation in the first of `stages` belongs, counted there instead of carried to it; a submodule of `m`.

    `last` is high with the last operation of a step in that stage. A count ends where the next one begins.

    Returns
    -------
    Pipeline
        ``word``, ``step``, and ``word_first`` and ``word_last`` for the first and last step of a word in the order of
        the operations; descending if `backward`.
    """
    ends = words - 1, steps - 1
    word, step = (Signal(range(max(2, end + 1)), name=name, init=end if backward else 0)
                  for name, end in zip(("counted_word", "counted_step"), ends))
    (word_first, word_last), (step_first, step_last) = ((end, 0) if backward else (0, end) for end in ends)
    with m.If(last):
        m.d.sync += step.eq(Mux(step == step_last, step_first, step - 1 if backward else step + 1))
        with m.If(step == step_last):
            m.d.sync += word.eq(Mux(word == word_last, word_first, word - 1 if backward else word + 1))
    m.submodules.place = place = Pipeline(
        stages, word=word, step=step, word_first=step == step_first, word_last=step == step_last)
    return place


def running(m, start, done, *, name):
    """Whether something runs: from the cycle after `start` to that of `done`."""
    busy = Signal(name=name)
    with m.If(start):
        m.d.sync += busy.eq(1)
    with m.Elif(done):
        m.d.sync += busy.eq(0)
    return busy
