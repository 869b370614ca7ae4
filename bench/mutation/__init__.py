"""How many faults the stimuli notice: mutants of a core's netlist, all in one simulation model."""
