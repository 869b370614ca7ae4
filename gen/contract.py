"""What the sidecar says of registers and streams: fields for programs that write drivers, not prose."""

from ..rtl.bus import IN_FLIGHT, latency
from ..rtl.registers import Status, response_layout

__all__ = ["SCHEMA", "addressing", "batches", "counting", "handshake", "register", "requests", "responses", "results"]

#: Changes whenever a field of the sidecar changes its name or its meaning.
SCHEMA = 1


def handshake(hardware, ready=()):
    """Rules of a stream with valid, ready and payload; an output of the core is that of a register, but for `ready`.

    Parameters
    ----------
    hardware : Hardware
    ready : sequence of str
        Inputs of the stream that change `ready` in the same cycle.
    """
    return {
        "transfer": f"each rising edge of the clock with valid{_enabled(hardware, ', ')} and ready",
        "valid_may_wait_for_ready": False,
        "ready_may_wait_for_valid": True,
        "ready_depends_in_the_same_cycle_on": list(ready),
        "valid_falls_without_transfer": False,
        "payload_changes_without_transfer": False,
    }


def _enabled(hardware, between):
    return f"{between}clk_en" if hardware.clock_enable else ""


def addressing(registers):
    """How a `RegisterMap` is addressed."""
    return {"unit": "word", "bits": registers.address_bits, "bytes_per_address": 4, "register_bits": 32,
            "values_of_several_words": {
                "order": "lowest bits first", "latched_by_reading": "the first word",
                "latch": "one for each region: other words are those of the value whose first word was read last, "
                         "whichever is addressed"},
            "arrays": {
                "channels": "output channels from this one on, and rows that no tap and input channel and no bias "
                            "have, need not be written: they count for nothing",
                "rows": "rows of a word: one for each tap and input channel, for a bias, and those that fill up",
                "tap_pitch": "rows from a tap to the next",
                "bias_row": "row of a weight whose input is always 1.0; null where there is none",
                "lane_shift": "a row has 2**lane_shift addresses, of which the first ones, `lanes`, hold something"},
            "without_register": {"between_regions": {"status": "refused", "read": 0},
                                 "not_backed": {"status": "ok", "read": 0}},
            "bits_without_field": {"status": "ok", "read": 0, "write": "ignored"},
            "out_of_range": {"status": "refused"}}


def array(own):
    """An `Array`: its lengths, by how many addresses each index counts, and where a weight is."""
    row = 1 << own.lane_shift
    strides = {"word": own.rows * row, "tap": own.tap_pitch * row, "input_channel": row, "lane": 1}
    terms = " + ".join(f"{name} * strides.{name}" for name in strides)
    return own._asdict() | {"strides": strides, "formula": {
        "address": f"address of the region + {terms}", "output_channel": "word * lanes + lane",
        "address_of_bias": "address of the region + word * strides.word + bias_row * strides.input_channel + "
                           "lane * strides.lane"}}


def _whole(region, hardware):
    """Of a value of several words: how wide it is, and what comes after its highest value; None of a single word."""
    if region.words == 1:
        return None
    time = region.name == "time"
    return {"width": hardware.time_bits if time else hardware.counter_bits,
            "after_maximum": "begins anew at 0" if time else "stays"}


def register(region, hardware):
    """One `Region`."""
    values = region.values
    return {
        "name": region.name, "kind": region.kind, "address": region.base, "count": region.size,
        "backed": region.backed, "access": region.access, "held": region.held, "burst": region.streams,
        "width": 32, "words": region.words, "whole_value": _whole(region, hardware),
        "values": {"width": values.width, "signed": values.signed, "fraction": values.fraction,
                   "minimum": values.minimum, "maximum": values.maximum},
        "reset": None if region.reset is None else list(region.reset),
        "fields": [field._asdict() for field in region.fields],
        "array": region.array and array(region.array),
        "meaning": region.meaning,
    }


def counting():
    """What the fields of a counter mean, and how all of them are cleared."""
    return {"address": "of the low word", "after_maximum": "stays",
            "verilog": "the input of the counter bank that says by how much this counter grows in a cycle; its value "
                       "is a word of a memory",
            "cleared_by": {"register": "control", "field": "clear", "clears": "all counters, and nothing else: not the "
                           "time, not violation_counts"}}


def requests(registers, hardware):
    """Of the stream `request` of a `RegisterMap`."""
    return {"handshake": handshake(hardware), "responses_per_request": 1, "in_flight": IN_FLIGHT,
            "in_flight_counts": "requests that were taken and not answered, at most; ready keeps to it, nobody has to "
                                "count",
            "latency": latency(registers),
            "latency_counts": {"unit": "cycles", "from": "that in which a request is taken", "to": "that of its "
                               "response, at most", "before": "ready is 0 until a request can be taken"},
            "cycles_per_access_in_a_burst": 2,
            "burst": "in one region with burst, reads that follow reads and writes that follow writes are taken "
                     "without waiting for responses; ready holds up any other request until those before are answered",
            "increment": "1: the register after that of the request before; address is ignored",
            "pause": {action: {"register": name, "field": field, "value": value} for action, name, field, value in (
                ("write", "control", "hold", 1), ("wait", "status", "held", 1), ("end", "control", "hold", 0))}}


def responses(hardware):
    """Of the port `response`: without ready."""
    layout = response_layout()
    return {"handshake": {"transfer": f"each rising edge of the clock with valid{_enabled(hardware, ' and ')}",
                          "ready": None},
            "fields": {name: {"offset": field.offset, "width": field.width} for name, field in layout},
            "order": "that of the requests",
            "status": {status.name.lower(): status.value for status in Status}}


def batches(config):
    """Samples that are computed together."""
    batch = config.update.batch
    return {"samples": batch, "mode": "that of the first sample of a batch, for all of them",
            "results": "of a batch one after the other, each when its last interval is computed",
            "incomplete": "waits: no result comes before the batch is whole"}


def results(config):
    """Of the stream `results`."""
    return {"handshake": handshake(config.hardware), "per_sample": 1, "order": "that of the samples",
            "prediction": "the class with the highest count; of several, the lowest",
            "counts": {"elements": config.network.classes, "width": config.time.steps.bit_length(),
                       "order": "class 0 lowest"},
            "cycles": {"from": "the first cycle in which the first block computes the sample",
                       "to": "the cycle in which the result is complete, modulo 2**32",
                       "contains": "waits between blocks, and for a result that was not taken",
                       "without": "waits for input before the first interval"}}
