"""The stages of every pass, by name: the one place where their number and order is said.

A stage is one cycle of a pipeline, and its name says what stands there. Whatever enters stage 0 leaves the last stage
``depth`` cycles later, and the next thing follows a cycle behind it. The RTL asks its pipelines by these names, the
schedule counts them, fault injection and docs/schedule.md take them from here. Importing this module imports neither
torch nor Amaranth.
"""

from dataclasses import dataclass, field
from functools import cache

from .units import clog2

__all__ = [
    "APPLY",
    "FACTOR_BITS",
    "HAND_OVER",
    "PORT_VELOCITY",
    "PORT_WEIGHT",
    "REPORT",
    "SCAN",
    "UPDATE_GROUP",
    "UPDATE_ROW",
    "Stages",
    "accumulate",
    "backward",
    "forward",
    "product_latency",
    "serve",
    "tap_latency",
    "tree_latency",
    "update",
]

#: Bits of a signed factor that a multiplier takes, on ECP5 and the 7 series.
FACTOR_BITS = 18


@dataclass(frozen=True)
class Stages:
    """Names of the stages of one pass, in order.

    Attributes
    ----------
    names : tuple of str
        One per cycle; all different.
    marks : dict of str to int
        Second names of stages, which say what happens there beside: the place of each. In passes with optional stages
        they count back from a stage that there always is.
    """

    names: tuple[str, ...]
    marks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        every = [*self.names, *self.marks]
        if len(set(every)) != len(every):
            raise ValueError(f"names of stages must differ, not {every}")
        for name, place in self.marks.items():
            if not 0 <= place < len(self.names):
                raise ValueError(f"{name} must be a stage of {self.names}, not number {place}")

    def __len__(self):
        return len(self.names)

    def __contains__(self, name):
        return name in self.names or name in self.marks

    @property
    def depth(self):
        """Cycles from the first stage to the last."""
        return len(self.names) - 1

    def index(self, name):
        """Cycles from the first stage to the one called `name`.

        Raises
        ------
        KeyError
            If there is none.
        """
        if name in self.marks:
            return self.marks[name]
        if name not in self.names:
            raise KeyError(f"no stage {name!r} among {', '.join((*self.names, *self.marks))}")
        return self.names.index(name)

    def between(self, first, last):
        """Cycles from the stage `first` to the stage `last`."""
        return self.index(last) - self.index(first)

    def since(self, name):
        """The stages from `name` on, for a pipeline that begins there."""
        first = self.index(name)
        return Stages(self.names[first:], {mark: place - first for mark, place in self.marks.items() if place >= first})

    def mark(self, stage, **before):
        """The same stages; each of `before` also names the stage so many cycles before `stage`."""
        return Stages(self.names, self.marks | {name: self.index(stage) - cycles for name, cycles in before.items()})


#: A scan of bitmaps before its first operation: it begins, a word is read, it arrives, a register behind the memory.
SCAN = Stages(("begin", "read", "memory", "register"))
#: A group of input rows in an update beside its reads: the last word arrives, its rows are known, none is left.
UPDATE_GROUP = Stages(("arrival", "rows", "end"))
#: Before the operations of the first active row of a group: it is chosen, then its steps are.
UPDATE_ROW = Stages(("choice",))
#: From the spikes of a word to their offer on the stream between two blocks, through the queue.
HAND_OVER = Stages(("result", "queued", "memory", "offer"))
#: Report of a sample beside the reading of counts and classes.
REPORT = Stages(("begin", "clear", "offer"))

#: What a memory takes: the address, which is registered on its way there, its output, and the register behind it.
_READ = ("address", "port", "memory", "word")

#: What the register port reads of the weights: a lane is chosen from the word. Velocities lie a cycle nearer.
PORT_WEIGHT = Stages((*_READ, "choice"))
PORT_VELOCITY = Stages(("address", "memory", "word", "choice"))


def tree_latency(lanes):
    """Cycles of an adder tree with a register behind every two levels, one at least."""
    return max(1, -(-clog2(lanes) // 2))


def _multiply(unit):
    """Cycles of a multiplier: a register before it, one behind it, one more where a factor is multiplied in parts.

    A pooling multiplies by a constant.
    """
    parts = unit.factor_width > FACTOR_BITS and not (unit.window.pools and not unit.input.static)
    return ("multiply", *(["parts"] if parts else []), "product")


def product_latency(unit):
    """Cycles from two factors to their product."""
    return len(_multiply(unit))


def _frame_product(unit):
    """Of a frame, what was read is multiplied by a frame value: the factor is chosen first."""
    return ("factor", *_multiply(unit)) if unit.input.static else ()


def _tables(unit):
    """The tables of a kernel, from an input to the weights that it meets; a dense layer has none."""
    return () if unit.window.kind == "dense" else ("tables",)


def tap_latency(unit):
    """Cycles from an input to the weights that it meets."""
    return len(_tables(unit))


@cache
def forward(unit):
    """From an operation to the spikes that follow from its sum.

    ``term`` is what a lane adds to its sum; ``recall`` reads the potential, ``prepare`` sets the registers of all
    lanes. The sum of a frame is moved aside, since the neurons need it for all steps.
    """
    current = ("current",) if unit.input.static else ()
    names = ("operation", "place", *_READ, *_frame_product(unit), "sum", *current, "result")
    return Stages(names).mark("sum", recall=3, prepare=2, term=1)


@cache
def serve(unit):
    """From a request of the unit below to its rounded error."""
    tree = [f"tree{level}" for level in range(1, tree_latency(unit.lanes) + 1)]
    return Stages(("request", *_READ, *_multiply(unit), *tree, "sum", "delta"))


@cache
def backward(unit, above):
    """From an operation to the errors of its word; `above` serves the unit, and is None for a classifier.

    ``recall`` reads the errors of the later slice, ``resume`` the sum that the errors of a frame are added to,
    ``prepare`` sets the registers of all lanes.
    """
    asks = ("position", "count") if above is None else (*_tables(above), *serve(above).names)
    stages = Stages(("operation", *asks, "lane", "error")).mark("lane", recall=3, resume=2, prepare=1)
    # The walk over the outputs ends where it asks.
    return stages if above is None else stages.mark("request", walked=1)


def _moves(before):
    """The end of an update: the gradient (of a frame, the product), what is added to it, the step, the write."""
    return Stages((*before, "gradient", "scaled", "step", "write")).mark("step", weight=3)


@cache
def update(unit):
    """From an operation of an update to the write of the weight word, gradients summed from a history.

    ``weight`` reads the weight word, which stands when the step is known.
    """
    return _moves(("operation", *_READ, *_frame_product(unit)[:-1]))


#: The same from the gradient memory, at the same time as the velocity from a memory that is a cycle further away.
APPLY = _moves(("operation", "velocity", "address", "memory", "word"))


@cache
def accumulate(unit):
    """From an operation to the write of a sum to the gradient memory.

    ``walked`` is the end of the walk over the outputs, ``term`` what a lane adds; ``recall`` reads the sum before.
    """
    names = ("operation", *_tables(unit), "place", *_READ, *_frame_product(unit), "sum")
    return Stages(names).mark("place", walked=1).mark("sum", recall=3, term=1)
