"""Memories in generated Verilog: instances of one module, so that their size costs no text.

Amaranth itself writes a line of Verilog for every word of a memory. Its hook for platforms puts an instance in the
place of every memory with one synchronous read port and one write port, which is all of them but a short queue.
"""

from amaranth.hdl import ClockSignal, Const, Instance, Mux, Shape

__all__ = ["MemoryPlatform"]

#: `hardware.memory` -> attributes of the array for Yosys and Vivado, for Quartus, for the tools of Lattice and Gowin.
#: Yosys goes by the first one that it finds, and takes a list such as ``MLAB, no_rw_check`` for the name of a RAM.
STYLES = {
    "": 'ramstyle = "no_rw_check", syn_ramstyle = "no_rw_check"',
    "block": 'ram_style = "block", ramstyle = "no_rw_check", syn_ramstyle = "block_ram, no_rw_check"',
    "distributed": 'ram_style = "distributed", ramstyle = "MLAB, no_rw_check", '
                   'syn_ramstyle = "distributed, no_rw_check"',
}

TEMPLATE = """
// One read port and one write port; data stand until the next read. One write enable per GRANULE bits. Contents at
// power-up do not matter, but for weights and velocities. Where a word is read in the cycle in which it is written,
// nobody takes what was read, so that any RAM will do: a bench that defines SPIKELOOM_CHECK reads wrong bits then.
module {name} #(parameter WIDTH = 1, parameter DEPTH = 2, parameter GRANULE = 1, parameter ADDRESS = 1{parameter}) (
  input clk,
  input read_en, input [ADDRESS-1:0] read_address, output reg [WIDTH-1:0] read,
  input [WIDTH/GRANULE-1:0] write_en, input [ADDRESS-1:0] write_address, input [WIDTH-1:0] write);
  (* no_rw_check, {style} *)
  reg [WIDTH-1:0] words [0:DEPTH-1];
{initial}  integer part;
  always @(posedge clk)
`ifdef SPIKELOOM_CHECK
    if (read_en && |write_en && read_address == write_address) read <= ~words[read_address]; else
`endif
    if (read_en) read <= words[read_address];
  always @(posedge clk)
    for (part = 0; part < WIDTH/GRANULE; part = part + 1)
      if (write_en[part]) words[write_address][part*GRANULE +: GRANULE] <= write[part*GRANULE +: GRANULE];
endmodule
"""

#: What is in the template where a memory begins with contents, and where it does not. Yosys reads a module with its
#: default parameters first, when there is no file.
FILLED = {"parameter": ', parameter FILE = ""',
          "initial": '  generate if (FILE != "") initial $readmemh(FILE, words); endgenerate\n'}
EMPTY = {"parameter": "", "initial": ""}


class MemoryPlatform:
    """Given to `elaborate` in the place of a platform.

    Parameters
    ----------
    core : str
        Name of the core; the module of its memories is ``<core>_memory``, one more for each ``ram_style``, and
        ``_filled`` where contents are given.
    contents : dict of str to str
        `Store.contents` -> file of what is in that memory at power-up, for ``$readmemh``.

    Attributes
    ----------
    enable : Value
        Where it is 0, no memory reads or writes. Amaranth's `EnableInserter` does not reach into instances.
    """

    def __init__(self, core, contents=()):
        self.core, self.contents, self.enable, self._kinds = core, dict(contents), Const(1), set()

    def get_memory(self, memory):
        """Amaranth's hook: what stands for a `amaranth.lib.memory.Memory`."""
        (read,), (write,) = memory.read_ports, memory.write_ports
        if read.domain != "sync" or read.transparent_for:
            return memory.elaborate(None)
        style, width = memory.attrs.get("ram_style", ""), Shape.cast(memory.shape).width
        file = self.contents.get(memory.attrs.get("contents"))
        kind = style, file is not None
        self._kinds.add(kind)
        return Instance(
            self._name(*kind), **({} if file is None else {"p_FILE": file}),
            p_WIDTH=width, p_DEPTH=memory.depth, p_GRANULE=width // len(write.en), p_ADDRESS=len(read.addr),
            i_clk=ClockSignal(), i_read_en=self._enabled(read.en), i_read_address=read.addr, o_read=read.data,
            i_write_en=self._enabled(write.en), i_write_address=write.addr, i_write=write.data)

    def _enabled(self, en):
        return en if isinstance(self.enable, Const) else Mux(self.enable, en, 0)

    def _name(self, style, filled):
        return "_".join([self.core, "memory", *([style] if style else []), *(["filled"] if filled else [])])

    def text(self):
        """Verilog of the modules that were used."""
        return "".join(
            TEMPLATE.format(name=self._name(style, filled), style=STYLES[style], **(FILLED if filled else EMPTY))
            for style, filled in sorted(self._kinds))
