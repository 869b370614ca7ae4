"""How long a core takes to generate, said before it is begun: a fit to what `python -m bench.generation` measured."""

__all__ = ["generation_seconds", "slow"]

#: CPU seconds of the 2-core machine of docs/performance.md: for each unit, and for each lane.
PER_UNIT, PER_LANE = 0.45, 0.05
#: Seconds that nobody minds.
SHORT = 30


def generation_seconds(config):
    """Seconds that Verilog of `config` may take; within a factor of two on the machine that it was measured on."""
    return PER_UNIT * len(config.units) + PER_LANE * sum(unit.lanes for unit in config.units)


def slow(config):
    """A line that warns of a core that takes long to generate; None for others."""
    seconds = generation_seconds(config)
    if seconds < SHORT:
        return None
    lanes = sum(unit.lanes for unit in config.units)
    return f"{config.name}: {lanes} lanes in {len(config.units)} units may take {seconds:.0f} s to generate"
