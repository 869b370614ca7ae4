"""A serial line into the simulator: a port as `spikeloom.board.host.Host` wants it, bit by bit on both wires."""

from collections import deque

from amaranth.sim import Simulator

__all__ = ["Line", "send_byte"]

#: What stands for a break among the bytes to send.
BREAK = None


async def send_byte(ctx, wire, value, divisor, *, stop=1):
    """Put one byte on a wire; a wrong `stop` bit is a framing error, and the line is high again after it."""
    for bit in (0, *((value >> place & 1) for place in range(8)), stop):
        ctx.set(wire, bit)
        await ctx.tick().repeat(divisor)
    ctx.set(wire, 1)


class Line:
    """Runs the simulation of a component with `rx` and `tx` for as long as somebody reads.

    Parameters
    ----------
    dut : Component
    divisor : int
        Cycles of a bit.
    *others : async function
        Testbenches that play what is behind `dut`, for as long as anybody reads.
    patience : int
        Cycles after which `read` gives up.
    """

    def __init__(self, dut, divisor, *others, patience=1500):
        self.dut, self.divisor, self.patience, self.timeout = dut, divisor, patience, 1
        self.out, self.heard, self.cycle = deque(), bytearray(), 0
        self.simulator = Simulator(dut)
        self.simulator.add_clock(1)
        for bench in (self._sender, self._listener, *others):
            self.simulator.add_testbench(bench, background=True)

    async def _sender(self, ctx):
        while True:
            if not self.out:
                await ctx.tick()
                continue
            value, stop = self.out.popleft()
            if value is BREAK:
                ctx.set(self.dut.rx, 0)
                await ctx.tick().repeat(30 * self.divisor)
                ctx.set(self.dut.rx, 1)
                await ctx.tick().repeat(self.divisor)
            else:
                await send_byte(ctx, self.dut.rx, value, self.divisor, stop=stop)

    async def _listener(self, ctx):
        while True:
            while ctx.get(self.dut.tx):
                await ctx.tick()
            await ctx.tick().repeat(self.divisor // 2)
            bits = []
            for _ in range(9):
                await ctx.tick().repeat(self.divisor)
                bits.append(ctx.get(self.dut.tx))
            *byte, stop = bits
            assert stop, "byte without a stop bit"  # one that a reset cut off has it too, since the line is high then
            self.heard.append(sum(bit << place for place, bit in enumerate(byte)))

    def write(self, data, *, stop=1):
        """Queue bytes."""
        self.out.extend((value, stop) for value in data)

    def flush(self):
        """Until everything was sent; the last byte may still be on the wire."""
        while self.out:
            self.wait(self.divisor)

    def send_break(self):
        """Queue a break."""
        self.out.append((BREAK, 0))

    def wait(self, cycles):
        """Let time pass."""
        self.cycle += cycles
        self.simulator.run_until(self.cycle)

    def read(self, count):
        """`count` bytes; fewer if nothing came for a while and nothing is left to send."""
        quiet, before = 0, len(self.heard)
        while len(self.heard) < count and quiet < self.patience:
            self.wait(self.divisor)
            quiet = 0 if len(self.heard) != before or self.out else quiet + self.divisor
            before = len(self.heard)
        data, self.heard = bytes(self.heard[:count]), self.heard[count:]
        return data
