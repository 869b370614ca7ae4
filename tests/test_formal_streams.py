"""Streams keep their rule: what is offered stands, valid and payload, until it is taken. By induction, for ever.

Whatever the other side does: inputs are anything, memories hold anything, reset comes at any time.
"""

import pytest
from amaranth.hdl import Fragment, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out

from formal import Verdict, assert_stable, assume_stable, check, free
from spikeloom.rtl.block import BlockCore
from spikeloom.rtl.core import Core
from spikeloom.rtl.host import HostedCore, HostPort
from spikeloom.rtl.registers import RegisterMap
from spikeloom.rtl.result import ResultUnit
from strategies import small

CONFIG = small(layers=[{"neurons": 3, "lanes": 2}, {"neurons": 4, "lanes": 4}])
REGISTERS = RegisterMap(CONFIG)


#: Per stream: how to make its component, cycles before a failure in which there would be another, what is taken away.
PROOFS = {
    (HostPort, "samples"): (lambda: HostPort(CONFIG, 4), 8, ()),
    (HostPort, "request"): (lambda: HostPort(CONFIG, 4), 8, ()),
    (ResultUnit, "o"): (lambda: ResultUnit(CONFIG, CONFIG.units[-1]), 14, ()),
    # Whatever the units, buffers and counters of a block do, its spikes stand.
    (BlockCore, "o"): (lambda: BlockCore(CONFIG, CONFIG.blocks[0], REGISTERS, seeds=[[], []]), 2,
                       ("layer*", "classifier*", "buffer", "counters")),
    # A core passes on the results of its last block.
    (Core, "results"): (lambda: Core(CONFIG), 1, ("block*",)),
}


def outputs(component):
    """Name -> stream, of all that `component` offers."""
    return {name: getattr(component, name) for name, member in component.signature.members.items()
            if member.is_signature and isinstance(member.signature, stream.Signature) and member.flow is Out}


def parts(component):
    """Every `Component` of a design that offers streams."""
    def walk(fragment):
        for origin in fragment.origins or ():
            if isinstance(origin, wiring.Component) and outputs(origin):
                yield origin
        for inner, *_ in fragment.subfragments:
            yield from walk(inner)

    return list(walk(Fragment.get(component, None)))


def proof(kind, name, change=None):
    """Verdict on one stream of a component that is alone with inputs that may do anything."""
    make, induction, cut = PROOFS[kind, name]
    m, component = Module(), make()
    m.submodules.dut = component
    own = outputs(component)
    if kind is Core:
        assume_stable(m, component.blocks[-1].o)
    assert_stable(m, change(m, own[name]) if change else own[name],
                  cleared=component.reset if kind is HostPort else 0)
    inputs = [*free(component), *(other.ready for other in own.values())]
    return check(m, inputs, depth=16 if kind in (HostPort, ResultUnit) else 8, induction=induction,
                 cut=[" ".join(f"top.dut/{pattern}" for pattern in cut)] if cut else ())


@pytest.mark.parametrize("kind, name", PROOFS, ids=lambda own: getattr(own, "__name__", own))
def test_what_is_offered_stands(kind, name):
    assert proof(kind, name) is Verdict.PROVED


def test_no_stream_is_left_out():
    """Every component of a core with a serial line that offers a stream has a proof."""
    found = {(type(part), name) for part in parts(HostedCore(CONFIG, divisor=4)) for name in outputs(part)}
    assert found == set(PROOFS)


# A packet takes more cycles than are examined one by one, but the step of the induction fails.
@pytest.mark.parametrize("kind, name, verdict", [
    (ResultUnit, "o", Verdict.REFUTED), (BlockCore, "o", Verdict.REFUTED), (HostPort, "samples", Verdict.OPEN)])
def test_a_stream_that_lets_go_has_no_proof(kind, name, verdict):
    """Once with a payload that changes while it is offered, once with an offer that is taken back."""
    def changed(m, own):
        other = stream.Signature(own.payload.shape()).create()
        toggles = Signal()
        m.d.sync += toggles.eq(~toggles)
        m.d.comb += [other.valid.eq(own.valid), other.ready.eq(own.ready),
                     Value.cast(other.payload).eq(Value.cast(own.payload) ^ toggles)]
        return other

    def withdrawn(m, own):
        other = stream.Signature(own.payload.shape()).create()
        m.d.comb += [other.valid.eq(own.valid & own.ready), other.ready.eq(0), other.payload.eq(own.payload)]
        return other

    assert proof(kind, name, changed) is verdict
    assert proof(kind, name, withdrawn) is verdict
