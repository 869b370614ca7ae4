"""A component as the module that everybody sees: names of its ports, and its clock and reset."""

from typing import NamedTuple

from amaranth.hdl import ClockDomain, EnableInserter, Fragment, Signal, Value
from amaranth.lib.wiring import In

__all__ = ["Port", "Top", "control"]


def control(hardware, *, clk, rst, rst_n, clk_en):
    """What is given for the ports of clock, reset and enable, by name: those that a core of `hardware` has.

    Parameters
    ----------
    hardware : golden.sections.Hardware
    clk, rst, rst_n, clk_en
        Anything; `rst` for a reset that is active high, `rst_n` for the same one, active low.
    """
    reset = {"rst": rst} if hardware.reset_active == "high" else {"rst_n": rst_n}
    return {"clk": clk} | reset | ({"clk_en": clk_en} if hardware.clock_enable else {})


class Port(NamedTuple):
    """One port: ``in`` or ``out``, and what it is inside."""

    direction: str
    signal: Signal

    @property
    def width(self):
        return len(self.signal)


class Top:
    """The outermost module of a component; its submodules keep their places.

    Members of an interface become flat ports: `samples` with `valid` gives ``samples_valid``. The name that Amaranth
    would give it, ``samples__valid``, is none in VHDL.

    Parameters
    ----------
    component : amaranth.lib.wiring.Component
    hardware : golden.sections.Hardware
        Says how reset works, and whether there is a clock enable.

    Attributes
    ----------
    ports : dict of str to Port
        All ports by name, in the order of their names.
    """

    def __init__(self, component, hardware):
        self.component, self.domain = component, ClockDomain("sync", async_reset=hardware.reset == "async")
        self._reset, self._enable = Signal(name="rst_n"), Signal(name="clk_en")
        ports = {name: Port("in", signal) for name, signal in control(
            hardware, clk=self.domain.clk, rst=self.domain.rst, rst_n=self._reset, clk_en=self._enable).items()}
        for path, member, value in component.signature.flatten(component):
            name = "_".join(map(str, path))
            if name in ports:
                raise ValueError(f"ports must have different names, not two {name}")
            ports[name] = Port("in" if member.flow is In else "out", Value.cast(value))
        self.ports = dict(sorted(ports.items()))

    def fragment(self, platform):
        """The component elaborated for a `MemoryPlatform`, with its clock domain."""
        if "clk_en" in self.ports:
            platform.enable = self._enable
        fragment = Fragment.get(self.component, platform)
        if "clk_en" in self.ports:
            fragment = EnableInserter(self._enable)(fragment)
        if "rst_n" in self.ports:
            fragment.add_statements("comb", self.domain.rst.eq(~self._reset))
        fragment.add_domains(self.domain)
        return fragment

    def named(self):
        """The ports as Amaranth's back ends take them; they find the directions themselves."""
        return {name: (port.signal, None) for name, port in self.ports.items()}
