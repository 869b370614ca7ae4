"""One golden step of each kind of neuron: pure functions of integers, without objects or loops.

A module holds ``step``, ``fired``, ``code`` and ``error``; `golden.steps.lif` says what each is given. They compute
with operators of Python and functions of `golden.arithmetic` alone. So the same source runs on tensors, as the
specification, and compiled, one number at a time (`golden.compiled`).
"""
