"""Asynchronous serial line, 8N1: a start bit (0), eight data bits, the lowest first, a stop bit (1)."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["LEAST_DIVISOR", "UartReceiver", "UartTransmitter"]

#: Cycles of a bit below which the middle of a bit is too coarse.
LEAST_DIVISOR = 4

# Bits of a byte are counted so that the place of a data bit is its number.
STOP, START = 8, 9


def _checked(divisor):
    if not isinstance(divisor, int) or divisor < LEAST_DIVISOR:
        raise ValueError(f"divisor must be an integer of at least {LEAST_DIVISOR}, not {divisor!r}")
    return divisor


class UartReceiver(wiring.Component):
    """Gives the bits of each byte as they come, so that whoever wants whole bytes or packets shifts them in.

    Bits are sampled in their middle, `divisor` cycles apart; a start bit that is gone by its middle is none. A zero
    byte without a stop bit is a *break*: the line is held low.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, at least 4.

    Members
    -------
    rx : In(1)
        The line; need not belong to the clock.
    shift, bit : Out(1)
        One data bit, in the cycles in which `shift` is 1.
    done : Out(1)
        In one cycle, behind the last bit: the byte had its stop bit.
    fault : Out(1)
        In one cycle instead of `done`: it had none, and was not zero.
    broken : Out(1)
        From the end of a break's stop bit until the line is high again.

    Raises
    ------
    ValueError
        If `divisor` is no integer, or too small.
    """

    def __init__(self, divisor):
        self.divisor = _checked(divisor)
        super().__init__({
            "rx": In(1, init=1), "shift": Out(1), "bit": Out(1), "done": Out(1), "fault": Out(1), "broken": Out(1)})

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        timer = Signal(range(self.divisor))
        place = Signal(range(START + 1))
        zero = Signal()  # all data bits were 0
        middle = Signal()
        m.d.comb += [middle.eq(timer == 0), self.bit.eq(line)]
        m.d.sync += timer.eq(Mux(middle, self.divisor - 1, timer - 1))

        with m.FSM():
            # Idle -- until the line falls; the middle of the start bit is half a bit later.
            with m.State("Idle"):
                m.d.sync += [place.eq(START), zero.eq(1), timer.eq(self.divisor // 2 - 1)]
                with m.If(~line):
                    m.next = "Byte"

            # Byte -- start bit, data bits, stop bit.
            with m.State("Byte"), m.If(middle):
                m.d.sync += place.eq(Mux(place == START, 0, place + 1))
                with m.If(place == START), m.If(line):
                    m.next = "Idle"
                with m.Elif(place == STOP):
                    m.d.comb += [self.done.eq(line), self.fault.eq(~line & ~zero)]
                    m.next = "High"
                with m.Else():
                    m.d.comb += self.shift.eq(1)
                    with m.If(line):
                        m.d.sync += zero.eq(0)

            # High -- a start bit is a falling line, so the line must be high before.
            with m.State("High"):
                m.d.comb += self.broken.eq(zero & ~line)
                with m.If(line):
                    m.next = "Idle"
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes while `valid`, asking for each data bit when it needs it.

    A byte takes ``10 * divisor`` cycles, and up to `divisor` pass before the first one: the clock of the bits runs on.
    Parameter and error as of `UartReceiver`.

    Members
    -------
    valid : In(1)
        There is a byte; stays until `done`.
    index, bit : Out(3), In(1)
        Which bit of the byte is wanted, and the bit in the same cycle.
    taken, done : Out(1)
        In one cycle: the data bit was taken; the last one was, and the stop bit begins.
    tx : Out(1)
        The line.
    """

    def __init__(self, divisor):
        self.divisor = _checked(divisor)
        super().__init__({"valid": In(1), "index": Out(3), "bit": In(1), "taken": Out(1), "done": Out(1),
                          "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self.divisor))
        place = Signal(range(START + 1), init=START)
        m.d.comb += self.index.eq(place)
        m.d.sync += timer.eq(timer - 1)
        with m.If(timer == 0):
            m.d.sync += timer.eq(self.divisor - 1)
            with m.If(place == START), m.If(self.valid):
                m.d.sync += [self.tx.eq(0), place.eq(0)]
            with m.Else():
                m.d.comb += [self.taken.eq(place < STOP), self.done.eq(place == STOP)]
                m.d.sync += [self.tx.eq(self.bit | (place == STOP)), place.eq(place + 1)]
        return m
