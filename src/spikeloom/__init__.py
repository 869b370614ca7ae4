"""Spiking neural network cores that train themselves on chip: RTL, golden model, co-simulation.

The folders beside this file are links to those at the top of a checkout, so that editors and type checkers find them
under the names that they are imported by.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
