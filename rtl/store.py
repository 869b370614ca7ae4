"""Memories: one read port and one write port, both synchronous."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .promise import promise

__all__ = ["Store", "memory_port"]


def memory_port(*, width, depth, granule=None):
    """Read port and write port of a `Store`, as its user sees them.

    Members
    -------
    read_en, read_address : Out
    read : In(width)
        The word one cycle later; it stands until the next read.
    write_en : Out
        One bit per granule of the word.
    write_address, write : Out
    """
    return wiring.Signature({
        "read_en":       Out(1),
        "read_address":  Out(range(max(2, depth))),
        "read":          In(width),
        "write_en":      Out(width // (granule or width)),
        "write_address": Out(range(max(2, depth))),
        "write":         Out(width),
    })


class Store(wiring.Component):
    """Simple dual-port memory; read data stand one cycle after `read_en` and stay until the next read.

    No user needs what it reads of a word in the cycle in which that is written, so that any RAM will do: such a read is
    an error in a simulation with Amaranth, and gives wrong bits in one of the generated Verilog. Contents survive
    reset. At power-up they may be anything; no user depends on them but for the weights and velocities that the host
    writes.

    Parameters
    ----------
    width, depth : int
        Bits of a word, and words.
    granule : int
        Bits per write enable; divides `width`.
    style : str
        ``auto``, ``block`` or ``distributed``: the ``ram_style`` attribute.
    bypassed : bool
        Whether there are such reads, and the user has what is written from elsewhere.
    contents : str, optional
        What this memory holds, for a platform that knows with what it begins (`gen.platform`).

    Members
    -------
    read_en, read_address, read, write_en, write_address, write
        The other end of a `memory_port`.

    Raises
    ------
    ValueError
        If a size is not positive or `granule` does not divide `width`.
    """

    def __init__(self, *, width, depth, granule=None, style="auto", bypassed=False, contents=None):
        granule = granule or width
        if width < 1 or depth < 1:
            raise ValueError(f"memory must have positive width and depth, not {width!r} and {depth!r}")
        if width % granule:
            raise ValueError(f"granule must divide the width {width}, not {granule!r}")
        self.width, self.depth, self.granule, self.style = width, depth, granule, style
        self.bypassed, self.contents = bypassed, contents
        super().__init__(memory_port(width=width, depth=depth, granule=granule).flip())

    def elaborate(self, platform):
        m = Module()
        attrs = {} if self.style == "auto" else {"ram_style": self.style}
        if self.contents in getattr(platform, "contents", {}):
            attrs["contents"] = self.contents
        m.submodules.ram = ram = memory.Memory(
            shape=unsigned(self.width), depth=max(2, self.depth), init=[], attrs=attrs)
        read = ram.read_port()
        write = ram.write_port(granularity=self.granule)
        m.d.comb += [
            read.en.eq(self.read_en), read.addr.eq(self.read_address), self.read.eq(read.data),
            write.en.eq(self.write_en), write.addr.eq(self.write_address), write.data.eq(self.write),
        ]
        if not self.bypassed:
            promise(m, platform, ~(self.read_en & self.write_en.any() & (self.read_address == self.write_address)),
                    "no word of a memory is read in the cycle in which it is written")
        return m
