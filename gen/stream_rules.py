"""The rules of the sample stream as fields of the sidecar; docs/samples.md says the same as text."""

__all__ = ["after_reset", "items", "malformed", "recovery"]


def items(config):
    """What one sample consists of, and which of its items must say what."""
    if config.input.kind == "frame":
        size = config.input.size
        return {
            "per_sample": size, "order": "(y, x, channel) of input.shape, the channel fastest",
            "first": "set on value 0 of a sample and on no other",
            "last": f"set on value {size - 1} of a sample and on no other",
            "label_and_train": f"those given with value {size - 1} count; with the others they may be anything"}
    batch = config.update.batch
    order = f"the first interval of each of the {batch} samples of a batch, then the second of each, and so on" \
        if batch > 1 else "interval by interval"
    return {
        "per_step": "any number of events in any order, then one item with end",
        "steps_per_interval": config.time.interval, "intervals_per_sample": config.intervals, "order": order,
        "first": "set on the first item of the first interval of a sample, event or end, and on no other",
        "end": "set on the item that closes a step; its y, x and channel may be anything",
        "label_and_train": "those given with the last item of an interval, which has end, count; with the others they "
                           "may be anything"}


#: Of which kind of input, case, flag, per what it is counted, what the core does; as in docs/samples.md.
_MALFORMED = (
    ("frame", "a frame ends too early: `first` comes before the last value, or `last` comes too early", "short",
     "sample", "drops the values; there is no result"),
    ("frame", "a frame goes on: its last value does not say `last`", "long", "sample",
     "drops the values; there is no result; what follows up to the next `first` is `stray`"),
    ("events", "ends of steps are missing: `first` comes before the sample (with batches: the batch) is complete",
     "short", "sample or batch", "takes the missing steps as empty, with the label given last; there is a result"),
    (None, "an item without `first` where a sample must begin", "stray", "item", "drops the item"),
    ("frame", "a frame that says `first` and `last` with one value, but has more", "stray", "item", "drops the item"),
    ("events", "an event beyond the image", "place", "event", "drops the event; its sample goes on without it"),
    (None, "a label beyond the classes", "label", "frame or interval",
     "computes the sample; it has no class, so its error is zero and it adds nothing to any gradient"),
)


def malformed(config):
    """What can be wrong, how it is flagged, and what the core does then."""
    return [{"case": case, "violation": violation, "counted_per": per, "core": core}
            for kind, case, violation, per, core in _MALFORMED if kind in (None, config.input.kind)]


def recovery(config):
    """Until when the core drops items, and how a host finds out and goes on."""
    frames = config.input.kind == "frame"
    return {
        "dropped_until": "the next item with first: it begins a sample whatever came before, and no reset is needed",
        "found_by": {"pin": "error", "flags": "violations", "counts": "violation_counts"},
        "cleared_by": "writing 1 to a flag, which clears its count, too",
        "results": "as many as samples begun less those counted as short or long" if frames else
                   "as many as samples begun, those counted as short among them",
        "weights": "no sample with a violation adds to a gradient" if frames else
                   "what was learned from a sample with short or place stands in them: a host that cannot accept that "
                   "writes weights that it trusts"}


def after_reset(config):
    """When the first item may come."""
    return {"first_item": "in any cycle after the reset; none is taken at an edge in reset",
            "wait": "for ready, and for nothing else: what the core clears after a reset, it clears before it computes",
            "weights": "must be there before the first sample that counts: held registers are written before it, or "
                       "the core has them at power-up"}
