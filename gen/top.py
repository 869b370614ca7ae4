"""A component as the module that everybody sees: names of its ports, and its clock and reset."""

from typing import NamedTuple

from amaranth.hdl import ClockDomain, Fragment, Signal, Value
from amaranth.lib.wiring import In

__all__ = ["Port", "Top"]


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

    Attributes
    ----------
    ports : dict of str to Port
        All ports by name, in the order of their names.
    """

    def __init__(self, component):
        self.component, self.domain = component, ClockDomain("sync")
        ports = {"clk": Port("in", self.domain.clk), "rst": Port("in", self.domain.rst)}
        for path, member, value in component.signature.flatten(component):
            name = "_".join(map(str, path))
            if name in ports:
                raise ValueError(f"ports must have different names, not two {name}")
            ports[name] = Port("in" if member.flow is In else "out", Value.cast(value))
        self.ports = dict(sorted(ports.items()))

    def fragment(self, platform):
        """The component elaborated for `platform`, with its clock domain."""
        fragment = Fragment.get(self.component, platform)
        fragment.add_domains(self.domain)
        return fragment

    def named(self):
        """The ports as Amaranth's back ends take them; they find the directions themselves."""
        return {name: (port.signal, None) for name, port in self.ports.items()}
