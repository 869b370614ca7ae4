"""What the sidecar says of registers and streams: fields for programs that write drivers, not prose."""

from ..rtl.bus import IN_FLIGHT, latency
from ..rtl.registers import Status, response_layout

__all__ = ["SCHEMA", "addressing", "batches", "handshake", "register", "requests", "responses", "results"]

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
            "values_of_several_words": {"order": "lowest bits first", "latched_by_reading": "the first word"},
            "without_register": {"between_regions": {"status": "refused", "read": 0},
                                 "not_backed": {"status": "ok", "read": 0}},
            "bits_without_field": {"status": "ok", "read": 0, "write": "ignored"},
            "out_of_range": {"status": "refused"}}


def array(own):
    """An `Array`: its lengths, and by how many addresses each index counts.

    A weight is at ``address`` plus each index times its stride; output channel ``word * lanes + lane``.
    """
    row = 1 << own.lane_shift
    return own._asdict() | {"strides": {"word": own.rows * row, "tap": own.tap_pitch * row, "input_channel": row,
                                        "lane": 1}}


def register(region):
    """One `Region`."""
    values = region.values
    return {
        "name": region.name, "kind": region.kind, "address": region.base, "count": region.size,
        "backed": region.backed, "access": region.access, "held": region.held, "burst": region.streams,
        "width": 32, "words": region.words,
        "values": {"width": values.width, "signed": values.signed, "fraction": values.fraction,
                   "minimum": values.minimum, "maximum": values.maximum},
        "reset": None if region.reset is None else list(region.reset),
        "fields": [field._asdict() for field in region.fields],
        "array": region.array and array(region.array),
        "meaning": region.meaning,
    }


def requests(registers, hardware):
    """Of the stream `request` of a `RegisterMap`."""
    return {"handshake": handshake(hardware), "responses_per_request": 1, "in_flight": IN_FLIGHT,
            "latency": latency(registers), "cycles_per_access_in_a_burst": 2,
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
            "counts": {"elements": config.network.classes, "width": config.time.steps.bit_length(),
                       "order": "class 0 lowest"},
            "cycles": {"from": "the first cycle in which the first block computes the sample",
                       "to": "the cycle in which the result is complete, modulo 2**32",
                       "contains": "waits between blocks, and for a result that was not taken",
                       "without": "waits for input before the first interval"}}
