"""What can be wrong with the items of the sample stream; docs/samples.md says what the core does then."""

from amaranth.lib import data

__all__ = ["fault_layout", "faults"]

_MEANINGS = {
    "short": {"frame": "a frame that ended too early: dropped",
              "events": "a sample or batch that lacked ends of steps: the missing steps were taken as empty"},
    "long": {"frame": "a frame that went on after its last value: dropped"},
    "stray": {"frame": "a value that belongs to no sample: dropped", "events": "an item that belongs to no sample: "
              "dropped"},
    "place": {"events": "an event beyond the image: dropped"},
    "label": {"frame": "a frame with a label beyond the classes: its error is zero",
              "events": "an interval with a label beyond the classes: its error is zero"},
}


def faults(config):
    """Name -> what is counted, of all kinds of faults that the input of `config` can have."""
    kind = config.input.kind
    return {name: meanings[kind] for name, meanings in _MEANINGS.items() if kind in meanings}


def fault_layout(config):
    """One bit per kind of `faults`, high for one cycle each time."""
    return data.StructLayout({name: 1 for name in faults(config)})
