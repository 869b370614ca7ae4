"""Spike and surrogate code of every potential there is."""

import pytest
import torch
from amaranth.hdl import Module, Signal, signed

from spikeloom.golden.steps.lif import code as golden_code
from spikeloom.golden.steps.lif import fired as golden_fired
from spikeloom.rtl.surrogate import fires, surrogate_code
from strategies import SURROGATES, simulate, small


def rtl_codes(config):
    """(spike, code) of all potentials, from the lowest."""
    n, m, found = config.units[0].neuron, Module(), []
    width = n.width
    u, spike, code, fired = Signal(signed(width)), Signal(), Signal(16), Signal()
    m.d.comb += [port.eq(value) for port, value in zip((spike, code), surrogate_code(m, u, n))]
    m.d.comb += fired.eq(fires(u - n.threshold, n))

    async def bench(ctx):
        for value in range(-1 << width - 1, 1 << width - 1):
            ctx.set(u, value)
            assert ctx.get(fired) == ctx.get(spike)
            found.append((ctx.get(spike), ctx.get(code)))

    simulate(m, bench, clocked=False)
    return found


@pytest.mark.parametrize("compare", [">=", ">"])
@pytest.mark.parametrize("name", SURROGATES)
def test_every_potential(name, compare):
    config = small(surrogate=SURROGATES[name], neuron={"compare": compare},
                   numbers={"potential": {"width": 9, "fraction": 6}})
    potentials = torch.arange(-256, 256)
    n = config.units[0].neuron
    wanted = list(zip(golden_fired(potentials, n).int().tolist(), golden_code(potentials, n).tolist()))
    assert rtl_codes(config) == wanted
    assert {code for _, code in wanted} == {0, *config.surrogate.codes}


def test_a_window_wider_than_all_potentials():
    config = small(surrogate={"shape": "rectangle", "width": 64.0}, numbers={"potential": {"width": 8, "fraction": 6}})
    assert {code for _, code in rtl_codes(config)} == {config.surrogate.codes[0]}


def test_by_hand():
    """Threshold 2 of 4 bits, three bins of two: distances 0 and 1, 2 and 3, 4 and 5."""
    config = small(neuron={"threshold": 0.5}, numbers={"potential": {"width": 4, "fraction": 2}},
                   surrogate={"shape": "table", "bin": 0.5, "values": [5, 0, 7], "shift": 0})
    assert rtl_codes(config) == [(0, 0)] * 5 + [(0, 7)] * 2 + [(0, 0)] * 2 + [(0, 5)] + [(1, 5)] * 2 + [(1, 0)] * 2 + [
        (1, 7)] * 2
