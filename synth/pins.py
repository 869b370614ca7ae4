"""What stands between a core and a package with fewer pins than the core has ports.

Two shift registers: one gives the inputs, the other takes the outputs. It is no host, and makes a core neither slower
nor smaller: every input comes from a register and may change, and every output is seen. What it takes is counted apart.
"""

__all__ = ["pins_text", "port_bits"]

TEMPLATE = """
module {name}(input clk, input {reset}, input serial_in, input take, output serial_out);
  reg [{last_in}:0] shifted_in;
  reg [{last_out}:0] shifted_out;
  wire [{last_out}:0] outputs;
  always @(posedge clk) shifted_in <= {{shifted_in, serial_in}};
  always @(posedge clk) shifted_out <= take ? outputs : {{1'b0, shifted_out}} >> 1;
  assign serial_out = shifted_out[0];
  {core} core (.clk(clk), .{reset}({reset}){connections});
endmodule
"""


def port_bits(ports):
    """Bits of all ports of a core, clock and reset included; `ports` as in the sidecar."""
    return sum(port["width"] for port in ports)


def pins_text(core, ports):
    """Name and Verilog of the module around the core of that name."""
    reset, = {port["name"] for port in ports} & {"rst", "rst_n"}
    places, ends = [], {"in": 0, "out": 0}
    for port in ports:
        if port["name"] == "clk" or port["name"] == reset:
            continue
        side, width = port["direction"], port["width"]
        places.append(f", .{port['name']}({'shifted_in' if side == 'in' else 'outputs'}[{ends[side]} +: {width}])")
        ends[side] += width
    name = f"{core}_pins"
    return name, TEMPLATE.format(name=name, core=core, reset=reset, connections="".join(places), last_in=ends["in"] - 1,
                                 last_out=ends["out"] - 1)
