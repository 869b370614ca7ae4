"""The surrogate window: which error passes a neuron."""

from amaranth.hdl import Module, Mux, Signal, signed

__all__ = ["fires", "surrogate_code"]


def fires(distance, config):
    """Whether a potential fires, from its `distance` to the threshold; twin of `golden.neuron.spikes`."""
    return distance > 0 if config.neuron.compare == ">" else distance >= 0


def surrogate_code(m: Module, u, config):
    """Spike and surrogate code of potential `u`; combinational twin of `golden.neuron.spikes` and `surrogate`.

    Both come from one subtraction. A window of one bin needs no absolute value: below the threshold, the distance is
    above the window's negative width.
    """
    width, codes = config.numbers.potential.width, config.surrogate_codes
    distance = Signal(signed(width + 1), name="distance")
    code = Signal(config.code_bits, name="window")
    m.d.comb += distance.eq(u - config.threshold)
    spike, below = fires(distance, config), distance[-1]
    low, bins = distance[:config.bin_shift], distance[config.bin_shift:]
    if not len(bins):  # every potential is in the first bin
        m.d.comb += code.eq(codes[0])
        return spike, code
    if len(codes) == 1:
        m.d.comb += code.eq(Mux(Mux(below, bins.all() & low.any(), ~bins.any()), codes[0], 0))
        return spike, code
    magnitude = Signal(width + 1, name="magnitude")
    m.d.comb += magnitude.eq(Mux(below, -distance, distance))
    bins = magnitude[config.bin_shift:]
    with m.Switch(bins):
        for place, value in enumerate(codes[:1 << len(bins)]):  # wide bins may reach beyond every potential
            with m.Case(place):
                m.d.comb += code.eq(value)
        with m.Default():
            m.d.comb += code.eq(0)
    return spike, code
