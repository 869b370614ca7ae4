"""The surrogate window: which error passes a neuron."""

from amaranth.hdl import Module, Mux, Signal, signed

__all__ = ["surrogate_code"]


def surrogate_code(m: Module, u, config):
    """Surrogate code of potential `u`; combinational twin of `golden.neuron.surrogate`.

    One subtraction; with the rectangle, one comparison of its upper bits and a code of one bit.
    """
    width = config.numbers.potential.width
    codes = config.surrogate_codes
    distance = Signal(signed(width + 1), name="distance")
    magnitude = Signal(width + 1, name="magnitude")
    code = Signal(config.code_bits, name="window")
    m.d.comb += [
        distance.eq(u - config.threshold),
        magnitude.eq(Mux(distance < 0, -distance, distance)),
    ]
    bins = magnitude[config.bin_shift:]
    with m.Switch(bins):
        for place, value in enumerate(codes[:1 << len(bins)]):  # wide bins may reach beyond every potential
            with m.Case(place):
                m.d.comb += code.eq(value)
        with m.Default():
            m.d.comb += code.eq(0)
    return code
