"""A package that adds a neuron to Spikeloom without a fork: after a spike it rests for some steps.

`part` is its table and its numbers, `steps` its golden step, `rtl` its hardware.
"""
