"""Control that travels beside data: named fields delayed cycle by cycle."""

from amaranth.hdl import Elaboratable, Module, Signal

__all__ = ["Pipeline"]


class _Stage:
    """One stage; a field that nobody asks for has no registers."""

    def __init__(self, number, before, delays):
        self._number, self._before, self._delays = number, before, delays

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        source = getattr(self._before, name)
        field = Signal(source.shape(), name=f"s{self._number}_{name}")
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
    fields : values
        What is true now, by name.

    Examples
    --------
    ``pipe[3].name`` is the field ``name`` three cycles later.
    """

    def __init__(self, **fields):
        self._delays = []
        self._stages = [_Fields(fields)]

    def __getitem__(self, stage):
        while len(self._stages) <= stage:
            self._stages.append(_Stage(len(self._stages), self._stages[-1], self._delays))
        return self._stages[stage]

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [field.eq(source) for field, source in self._delays]
        return m
