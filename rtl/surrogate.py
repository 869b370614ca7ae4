"""The surrogate window: which error passes a neuron."""

from amaranth.hdl import Module, Mux, Signal, signed

__all__ = ["fires", "surrogate_code"]


def fires(distance, neuron):
    """Whether a potential fires, from its `distance` to the threshold; twin of `golden.steps.lif.fired`."""
    return distance > 0 if neuron.strict else distance >= 0


def surrogate_code(m: Module, u, neuron):
    """Spike and surrogate code of potential `u`; combinational twin of `golden.steps.lif.fired` and `code`.

    `neuron` is a `LifNumbers`.

    Both come from one subtraction. A window of one bin needs no absolute value: below the threshold, the distance is
    above the window's negative width.
    """
    width, codes = neuron.width, neuron.codes
    distance = Signal(signed(width + 1), name="distance")
    code = Signal(neuron.code_bits, name="window")
    m.d.comb += distance.eq(u - neuron.threshold)
    spike, below = fires(distance, neuron), distance[-1]
    low, bins = distance[:neuron.bin_shift], distance[neuron.bin_shift:]
    if not len(bins):  # every potential is in the first bin
        m.d.comb += code.eq(codes[0])
        return spike, code
    if len(codes) == 1:
        m.d.comb += code.eq(Mux(Mux(below, bins.all() & low.any(), ~bins.any()), codes[0], 0))
        return spike, code
    magnitude = Signal(width + 1, name="magnitude")
    m.d.comb += magnitude.eq(Mux(below, -distance, distance))
    bins = magnitude[neuron.bin_shift:]
    with m.Switch(bins):
        for place, value in enumerate(codes[:1 << len(bins)]):  # wide bins may reach beyond every potential
            with m.Case(place):
                m.d.comb += code.eq(value)
        with m.Default():
            m.d.comb += code.eq(0)
    return spike, code
