"""What every kind of neuron keeps between two intervals: one word."""

from ..states import Memory, State

__all__ = ["potential"]


def potential(neuron, config, unit):
    """The state ``potential``: of every neuron of a batch, a word of ``neuron.width`` bits."""
    def kept(work):
        return unit.words * (work.intervals - work.samples)

    yield State(name="potential", accesses={"read.forward": kept, "write.forward": kept}, memory=Memory(
        f"{unit.path}.potential_store", f"{'classifier ' * unit.classifier}potential", unit.batch * unit.words,
        unit.lanes * neuron.width,
        "(sample * pixels + pixel) * words + word: potential of channel word * lanes + i after the interval, "
        "before its reset", style=config.hardware.memory.potential))
