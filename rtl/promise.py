"""What parts promise each other, checked in every simulation with Amaranth; nothing of it is in generated Verilog."""

from amaranth.hdl import Assert, Cat

__all__ = ["at_most_one", "promise", "simulated"]


def simulated(platform):
    """Whether a component is elaborated for `amaranth.sim`, which has no platform; generation and proofs have one."""
    return platform is None


def promise(m, platform, condition, meaning):
    """Have every clock edge of a simulation check `condition`; a failure ends it with `meaning`.

    Parameters
    ----------
    m : Module
    platform
        What `elaborate` was given.
    condition : Value
    meaning : str
        What was promised.
    """
    if simulated(platform):
        m.d.sync += Assert(condition, meaning)


def at_most_one(flags):
    """Whether no two of some flags are set."""
    flags = Cat(flags)
    return (flags & (flags - 1)[:len(flags)]) == 0
