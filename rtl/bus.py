"""The register bus: the port that takes accesses in, and what it passes on to the nodes that have the registers."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..golden.units import clog2
from .arithmetic import register
from .counters import CounterBank
from .promise import at_most_one, promise
from .registers import Status, request_layout, response_layout

__all__ = ["IN_FLIGHT", "JUDGED", "WEIGHT", "RegisterPort", "any_of", "joined", "latency", "node_signature",
           "response_signature"]

#: Cycles from a request until a node hears of it; from then on until the response to an access to weights: border of
#: the block, unit, address, memory, output register, choice of a lane in two cycles, border of the block, response.
JUDGED, WEIGHT = 3, 9
#: The same for counters, but for the turn of the counter: border of the block, strobe, border of the block, response.
COUNTER = 4
#: Requests that were taken and not answered at most: in a burst, one every two cycles.
IN_FLIGHT = (JUDGED + WEIGHT) // 2 + 1


def node_signature(regions):
    """The way of an access to a node that has `regions`, and of its answer back.

    An access is given in the cycle of `valid`. `select`, `write`, `address` and `data` stand until `ack`; in a region
    that `streams`, until the next `valid`, which may come before.

    Members
    -------
    valid : Out(1)
    select : Out
        One bit for each of the regions, of which one is set.
    write, data : Out(1), Out(32)
    address : Out
        Its lower bits are the place in the region.
    ack : In(1)
        The oldest access is carried out.
    answer : In(32)
        Zero without `ack`. What is said to a write goes nowhere.
    """
    return wiring.Signature({
        "valid":   Out(1),
        "select":  Out(max(1, len(regions))),
        "write":   Out(1),
        "address": Out(max([1, *(clog2(region.size) for region in regions)])),
        "data":    Out(32),
        "ack":     In(1),
        "answer":  In(32),
    })


def response_signature():
    """Responses: `payload` in each cycle with `valid`, without a way to hold it up."""
    return wiring.Signature({"valid": Out(1), "payload": Out(response_layout())})


def latency(registers):
    """Cycles from the one in which a request is taken to that of its response at most, for a `RegisterMap`.

    The access before it may have to be answered first.
    """
    sizes = [region.backed // 2 for region in registers.regions.values() if region.kind == "counters"]
    node = max([WEIGHT, *(COUNTER + CounterBank.latency(range(size)) for size in sizes)])
    return JUDGED + 2 * node


def joined(values):
    """The one of some values that is not zero."""
    return reduce(or_, values, Const(0, 1))


def any_of(flags):
    """Whether any of some flags is set, of none too."""
    return Cat(flags).any() if flags else Const(0)


class RegisterPort(wiring.Component):
    """Takes an access in every two cycles at most, and answers each, in order.

    It looks at an access for a cycle, and judges it in the next: it is refused, or the answer is busy, or it goes to
    the node that has the register. An access waits until all before it were answered, but within a region that
    `streams`.

    Parameters
    ----------
    registers : RegisterMap
    nodes : dict of str to list of Region
        The nodes, and what each has.

    Members
    -------
    request : In(stream.Signature(request_layout))
    response : Out(response_signature())
    held : In(1)
        Whether what belongs to the computation may be touched.
    refused : Out(1)
        An access was refused in the cycle before.
    <node> : Out(node_signature(...))
    """

    def __init__(self, registers, nodes):
        self.map, self.nodes = registers, nodes
        super().__init__({
            "request":  In(stream.Signature(request_layout(registers.address_bits))),
            "response": Out(response_signature()),
            "held":     In(1),
            "refused":  Out(1),
            **{name: Out(node_signature(regions)) for name, regions in nodes.items()},
        })

    def elaborate(self, platform):
        m = Module()
        payload = self.request.payload
        address, write, value = Signal(self.map.address_bits), Signal(), Signal(32)
        goes, judging = Signal(), Signal()

        with m.FSM():
            # Idle -- whatever is offered is taken in.
            with m.State("Idle"):
                m.d.comb += self.request.ready.eq(1)
                with m.If(self.request.valid):
                    m.next = "Look"

            # Look -- which register is it? The answer is in registers in the next cycle.
            with m.State("Look"):
                m.next = "Judge"

            # Judge -- may it, and do those before it let it?
            with m.State("Judge"):
                m.d.comb += [judging.eq(1), self.request.ready.eq(goes)]
                with m.If(goes):
                    m.next = "Idle"
                    with m.If(self.request.valid):
                        m.next = "Look"
        # What stands there without `valid` may be unknown.
        with m.If(self.request.valid & self.request.ready):
            m.d.sync += [
                address.eq(Mux(payload.increment, address + 1, payload.address)), write.eq(payload.write),
                value.eq(payload.data),
            ]

        # What is meant, and what there is: in registers, from the second cycle on.
        meant, backed, fits = {}, {}, {}
        for name, region in self.map.regions.items():
            label, bits = name.replace(".", "_"), clog2(region.size)
            meant[name] = register(m, address[bits:] == region.base >> bits, name=f"meant_{label}")
            inside = _backed(region, address[:bits])
            backed[name] = meant[name] if inside is None else \
                meant[name] & register(m, inside, name=f"backed_{label}")
            if "w" in region.access and region.values not in fits:
                fits[region.values] = register(m, _fits(value, region.values), name=f"fits_{len(fits)}")
        regions = self.map.regions.values()
        wrong = any_of([meant[region.name] for region in regions if "w" not in region.access])
        for values, fit in fits.items():
            wrong |= ~fit & any_of([
                meant[region.name] for region in regions if "w" in region.access and region.values == values])
        refused, busy, served = Signal(), Signal(), Signal()
        m.d.comb += [
            refused.eq(~any_of(list(meant.values())) | (write & wrong)),
            busy.eq(~self.held & any_of([meant[region.name] for region in regions if region.held])),
            served.eq(~refused & ~busy),
        ]

        # Those before it were answered, or it is one more of the same kind in a region where they follow each other.
        waiting, before, before_writes = Signal(range(16)), Signal(len(regions)), Signal()
        same = any_of([before[place] & backed[region.name] & (~write | fits[region.values])
                       for place, region in enumerate(regions) if region.streams])
        m.d.comb += goes.eq(judging & ((waiting == 0) | (same & (write == before_writes))))
        m.d.sync += waiting.eq(waiting + goes - self.response.valid)
        with m.If(goes):
            m.d.sync += [before.eq(Cat(meant.values())), before_writes.eq(write)]

        # What is not for a node is answered here.
        own, own_status = Signal(), Signal(Status)
        dispatched, present = (Signal.like(own_signal, name=name, reset_less=True) for name, own_signal in (
            ("bus_address", address), ("bus_data", value)))
        chosen = any_of(list(backed.values()))
        m.d.sync += [
            own.eq(goes & ~(served & chosen)),
            own_status.eq(Mux(refused, Status.REFUSED, Mux(busy, Status.BUSY, Status.OK))),
            self.refused.eq(goes & refused),
        ]
        with m.If(goes):
            m.d.sync += [dispatched.eq(address), present.eq(value)]
        acks, answers = [own], []
        for name, mine in self.nodes.items():
            node, found = getattr(self, name), Cat(backed[region.name] for region in mine)
            m.d.sync += node.valid.eq(goes & served & found.any())
            with m.If(goes):
                m.d.sync += node.select.eq(found)
            m.d.comb += [
                node.write.eq(before_writes), node.address.eq(dispatched), node.data.eq(present),
            ]
            acks.append(node.ack)
            answers.append(node.answer)

        promise(m, platform, at_most_one(acks) & (~any_of(acks) | (waiting != 0)),
                "nodes answer one access at a time, and none that was not made")
        # All that are on the way read, or all write.
        m.d.sync += [
            self.response.valid.eq(any_of(acks)),
            self.response.payload.data.eq(Mux(before_writes, 0, joined(answers))),
            self.response.payload.status.eq(Mux(own, own_status, Status.OK)),
        ]
        return m


def _backed(region, place):
    """Whether there is a register at a place in a region, or a word with lanes; None if there is everywhere."""
    if region.backed == region.size:
        return None
    if region.array is None:
        return place < region.backed
    # A lane that does not exist is the node's affair: bursts run over it.
    words = region.backed // region.array.lanes
    return None if words << region.array.lane_shift == region.size else place[region.array.lane_shift:] < words


def _fits(value, values):
    """Whether a word of 32 bits is one of some `Values`."""
    low = value[:values.width]
    if values.signed:
        sign = value[values.width - 1:]
        return ~sign.any() | sign.all()
    fits = ~value[values.width:].any() if values.width < 32 else Const(1)
    if values.maximum != (1 << values.width) - 1:
        fits &= low <= values.maximum
    return fits & (low >= values.minimum) if values.minimum else fits
