"""Result of one sample: the class with the most spikes, and all counts."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .promise import promise, simulated

__all__ = ["CYCLE_BITS", "ResultUnit", "result_layout"]

#: Bits of the cycle count of one sample.
CYCLE_BITS = 32


def result_layout(config):
    """What is known of a sample at its end.

    Fields
    ------
    prediction : the class with the most spikes of the last classifier, the lowest on a tie
    counts : spikes of every class over the ``T`` steps
    label, train : as they came in
    cycles : from the first cycle of computation to this result
    """
    return data.StructLayout({
        "prediction": range(config.network.classes),
        "counts":     data.ArrayLayout(config.time.steps.bit_length(), config.network.classes),
        "label":      range(config.network.classes),
        "train":      1,
        "cycles":     CYCLE_BITS,
    })


class ResultUnit(wiring.Component):
    """Reads the counts of the last classifier, one class per cycle, and offers the result.

    From the cycle after the previous result is gone to `done`, ``words + classes + 1`` cycles; the result is valid in
    the cycle after `done`, whatever the core does meanwhile.

    Members
    -------
    start, done : In(1), Out(1)
    waiting : Out(1)
        The previous result is still on the stream.
    label, train, cycles : In
        Of the sample; `cycles` is read with `done`.
    count_en, count_word, counts : read port of the spike counts.
    o : Out(stream.Signature(result_layout(config)))
    """

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        bits = config.time.steps.bit_length()
        super().__init__({
            "start":      In(1),
            "done":       Out(1),
            "waiting":    Out(1),
            "label":      In(range(unit.n_out)),
            "train":      In(1),
            "cycles":     In(CYCLE_BITS),
            "count_en":   Out(1),
            "count_word": Out(range(max(2, unit.words))),
            "counts":     In(data.ArrayLayout(bits, unit.lanes)),
            "o":          Out(stream.Signature(result_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        unit, payload = self.unit, self.o.payload
        bits, classes = self.config.time.steps.bit_length(), unit.n_out
        lane = Signal(range(max(2, unit.lanes)))
        place = Signal(range(max(2, classes)))
        best = Signal(bits)
        count = Signal(bits)
        m.d.comb += count.eq(self.counts.as_value().word_select(lane, bits))
        # Compared a cycle after it is read.
        scanned, own, own_place = Signal(), Signal.like(count), Signal.like(place)
        m.d.sync += [scanned.eq(0), own.eq(count), own_place.eq(place)]
        with m.If(scanned & (own > best)):
            m.d.sync += [best.eq(own), payload.prediction.eq(own_place)]

        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.FSM() as fsm:
            # Idle -- until the last interval of a sample is over.
            with m.State("Idle"), m.If(self.start):
                m.next = "Wait"

            # Wait -- the registers of the result belong to the sample before until somebody took it.
            with m.State("Wait"):
                m.d.comb += self.waiting.eq(self.o.valid)
                m.d.sync += [place.eq(0), self.count_word.eq(0), best.eq(0)]
                with m.If(~self.o.valid):
                    m.d.sync += payload.prediction.eq(0)
                    m.next = "Read"

            # Read -- one word of counts.
            with m.State("Read"):
                m.d.comb += self.count_en.eq(1)
                m.d.sync += lane.eq(0)
                m.next = "Scan"

            # Scan -- one class per cycle; the counts move through the payload, the first class arrives lowest.
            with m.State("Scan"):
                flat = payload.counts.as_value()
                m.d.sync += [
                    flat.eq(count << (bits * (classes - 1)) | flat >> bits), lane.eq(lane + 1), place.eq(place + 1),
                    scanned.eq(1),
                ]
                with m.If(place == classes - 1):
                    m.next = "Offer"
                with m.Elif(lane == unit.lanes - 1):
                    m.d.sync += self.count_word.eq(self.count_word + 1)
                    m.next = "Read"

            # Offer -- it is complete.
            with m.State("Offer"):
                m.d.comb += self.done.eq(1)
                m.d.sync += [
                    self.o.valid.eq(1), payload.label.eq(self.label), payload.train.eq(self.train),
                    payload.cycles.eq(self.cycles),
                ]
                m.next = "Idle"
        if simulated(platform):
            promise(m, platform, ~self.start | fsm.ongoing("Idle"), "a result begins when the one before is offered")
        return m
