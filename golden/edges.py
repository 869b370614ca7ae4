"""Who feeds whom: blocks are the nodes of a graph, and every edge is a stream with a buffer at its end.

`edges` gives the cascade of a configuration, the simplest graph. The schedule takes any list of edges whose blocks are
numbered in the order of computation: several edges that leave a block are readers of its spikes, several that enter it
are its inputs. Importing this module does not import torch.
"""

from dataclasses import dataclass

from .stages import HAND_OVER

__all__ = ["Edge", "check_edges", "edges", "spike_edge"]


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A stream between two blocks, or from outside, and the ring of slots that takes what comes.

    Attributes
    ----------
    source, target : int or None, int
        Numbers of the blocks; no source for the samples from outside.
    whole : bool
        Whether it hands over a whole sample at once, a frame, which stays until the end of its batch. Otherwise it
        hands over an interval.
    slots : int
        Of the ring.
    fills : int
        How many of what it hands over fill a slot: the intervals of an update period, where the reader keeps a history.
    granule : int
        Channels of an item.
    items : int or None
        Items of what it hands over, one per cycle; None where they depend on the data.
    latency : int
        Cycles from the writing of an item to when it can be taken.
    clear : int
        Cycles in which a free slot is cleared before it takes an item.
    """

    source: int | None
    target: int
    whole: bool = False
    slots: int
    fills: int
    granule: int
    items: int | None
    latency: int
    clear: int = 0


def spike_edge(config, source, target):
    """The edge by which the block `target` reads the spikes of the block `source`."""
    top, reader = config.blocks[source].layers[-1], config.blocks[target].units[0]
    return Edge(source=source, target=target, slots=config.hardware.spike_slots,
                fills=reader.frames // config.time.interval, granule=top.lanes, items=top.words * top.steps,
                latency=HAND_OVER.depth)


def _sample_edge(config):
    """From outside to the first block."""
    hardware, reader = config.hardware, config.units[0]
    if reader.input.static:
        return Edge(source=None, target=0, whole=True, slots=hardware.sample_slots, fills=1, granule=reader.granule,
                    items=config.input.size, latency=0)
    return Edge(source=None, target=0, slots=hardware.spike_slots, fills=reader.frames // config.time.interval,
                granule=reader.granule, items=None, latency=0, clear=reader.frames * reader.bitmap.words)


def edges(config):
    """The edges of a configuration, as a tuple: samples to the first block, spikes from each block to the next."""
    return (_sample_edge(config), *(spike_edge(config, block.index, block.index + 1) for block in config.blocks[:-1]))


def check_edges(graph, blocks):
    """Whether `graph`, a sequence of edges, can be computed by so many `blocks`, each after those that feed it.

    Raises
    ------
    ValueError
        If it cannot.
    """
    outside = [edge for edge in graph if edge.source is None]
    if [edge.target for edge in outside] != [0]:
        raise ValueError(f"samples must come to block 0 by one edge, not {outside}")
    for edge in graph:
        if edge.source is not None and not 0 <= edge.source < edge.target < blocks:
            raise ValueError(f"an edge must lead to a later one of {blocks} blocks, not {edge}")
    if lonely := set(range(blocks)) - {edge.target for edge in graph}:
        raise ValueError(f"every block must have an input, not {sorted(lonely)}")
