"""A second model of the core, written from docs/arithmetic.md alone: lists and loops over plain integers.

It shares nothing with the golden model: no import, no tensor, no class. It takes a configuration as the plain dict that
TOML or the sidecar holds, computes everything in the order in which the page says it, and is as slow as that is.
"""

from functools import cache
from math import log2, sqrt

__all__ = ["Independent"]


# Rules of rounding

def saturate(x, width):
    return max(-(1 << width - 1), min((1 << width - 1) - 1, x))


def floor_shift(x, shift):
    return x >> shift if shift >= 0 else x << -shift


def nearest(x, shift):
    return (x + (1 << shift - 1)) >> shift if shift > 0 else floor_shift(x, shift)


# LFSRs

def _leap(x):
    for _ in range(16):
        x = (x >> 1) ^ (0xD008 if x & 1 else 0)
    return x


@cache
def leaps():
    """What follows each state."""
    return [_leap(x) for x in range(65536)]


@cache
def lane_states(seed, salt, lanes):
    spacing, states, x = 65535 // lanes, [], seed
    for place in range(7919 * salt % spacing + spacing * (lanes - 1) + 1):
        if (place - 7919 * salt % spacing) % spacing == 0:
            states.append(x)
        x = leaps()[x]
    return states[-lanes:]


# Initial weights

def doubles(seed):
    """Endless uniform doubles of NumPy's PCG64 with this seed."""
    low, wide, half = (1 << 32) - 1, (1 << 128) - 1, (1 << 64) - 1
    words = [seed >> 32 * i & low for i in range(max(1, -(-seed.bit_length() // 32)))]
    h = 0x43B0D7E5

    def s(x):
        return x ^ x >> 16

    def hashed(x):
        nonlocal h
        x ^= h
        h = h * 0x931E8875 & low
        return s(x * h & low)

    def mix(x, y):
        return s((x * 0xCA01F9DD - y * 0x4973F715) & low)

    pool = [hashed(words[i] if i < len(words) else 0) for i in range(4)]
    for i in range(4):
        for j in range(4):
            if i != j:
                pool[j] = mix(pool[j], hashed(pool[i]))
    for word in words[4:]:
        for j in range(4):
            pool[j] = mix(pool[j], hashed(word))
    out, g = [], 0x8B51F9DD
    for i in range(8):
        x = pool[i % 4] ^ g
        g = g * 0x58F38DED & low
        out.append(s(x * g & low))
    q = [out[2 * i] | out[2 * i + 1] << 32 for i in range(4)]
    inc = (2 * (q[2] << 64 | q[3]) + 1) & wide
    state = (inc + (q[0] << 64 | q[1])) & wide
    state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + inc) & wide
    while True:
        state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + inc) & wide
        x, turn = state >> 64 ^ state & half, state >> 122
        word = (x >> turn | x << 64 - turn) & half
        yield (word >> 11) / (1 << 53)


# Random classifiers

def hash32(x):
    for left, right in ((10, 6), (13, 7), (3, 17), (5, 11), (15, 32)):
        x = x + (x << left) & 0xFFFFFFFF
        x ^= x >> right
    return x


def value_bits(gain, fan_in, width, fraction):
    top, bottom = gain.as_integer_ratio()
    e = 0  # 2^(2e-1) <= (top / bottom)^2 / fan_in < 2^(2e+1), multiplied out
    while 2 * top**2 << max(0, -2 * e) < bottom**2 * fan_in << max(0, 2 * e):
        e -= 1
    while top**2 << max(0, -2 * e - 1) >= bottom**2 * fan_in << max(0, 2 * e + 1):
        e += 1
    return min(max(e + fraction + 1, 2), width)


class Unit:
    """A layer or a classifier; `taps` has for each pixel of the output (tap of the window, pixel of the input)."""

    def __init__(self, layer, place, below, shape, classifier):
        self.place, self.classifier, self.shape_in = place, classifier, shape
        self.pool = layer["kind"] == "avg_pool"
        self.bias = not self.pool and bool(layer.get("bias"))
        self.random = classifier and layer["random"]
        self.stored = not self.pool and not self.random
        self.static = below is None and layer["frame"]
        self.dropout = layer.get("dropout") or 0
        self.dropout_below = below.dropout if below else 0
        self.lanes_below = below.lanes if below else 1
        self.lanes = self.lanes_below if self.pool else layer["lanes"]
        height, width, channels_below = shape
        if layer["kind"] == "dense":
            rows = columns = 1
            self.channels, self.fan_in = layer["neurons"], height * width * channels_below
            self.taps = [[(p, p) for p in range(height * width)]]
        else:
            kernel = layer["size" if self.pool else "kernel"]
            stride = layer.get("stride") or (kernel if self.pool else 1)
            padding = 0 if self.pool else layer.get("padding") or 0
            rows, columns = ((length + 2 * padding - kernel) // stride + 1 for length in (height, width))
            self.channels = channels_below if self.pool else layer["channels"]
            self.fan_in = kernel**2 * (1 if self.pool else channels_below)
            self.taps = [[((ky * kernel + kx), y * width + x)
                          for ky in range(kernel) for kx in range(kernel)
                          for y, x in [(oy * stride - padding + ky, ox * stride - padding + kx)]
                          if 0 <= y < height and 0 <= x < width] for oy in range(rows) for ox in range(columns)]
        self.fan_in += self.bias  # the last row of the weights
        self.shape_out = rows, columns, self.channels
        self.pixels, self.words = rows * columns, -(-self.channels // self.lanes)
        self.neurons = self.pixels * self.channels

    def joined(self, weights, pool_weight):
        """(input, output, row, column, weight) of everything that the unit multiplies; no row where it pools."""
        below, own = self.shape_in[2], self.channels
        for pixel, taps in enumerate(self.taps):
            for tap, place in taps:
                for c in range(below):
                    if self.pool:
                        yield place * below + c, pixel * own + c, None, None, pool_weight
                    else:
                        row = weights[tap * below + c]
                        for j in range(own):
                            yield place * below + c, pixel * own + j, tap * below + c, j, row[j]


class Neuron:
    """The neurons of a unit, from the tables `own` and `surrogate`, with potentials of so many fraction bits."""

    def __init__(self, own, surrogate, fraction):
        self.leak_rule, unit = own["leak"], 2**fraction
        self.threshold, self.start = int(own["threshold"] * unit), int((own.get("start") or 0) * unit)
        self.reset, self.above = own.get("reset") or "subtract", own.get("compare") == ">"
        self.theta = int((own.get("reset_amount") or 0) * unit) if self.reset.startswith("subtract") else 0
        self.rho = {"subtract": self.theta, "subtract-before-leak": self.leak(self.theta)}.get(self.reset, 0)
        if own.get("reset_error") is False:
            self.rho = 0
        if surrogate["shape"] == "rectangle":
            wide, self.codes, self.gain_shift = surrogate["width"] / 2, [1], int(log2(surrogate["width"]))
        elif surrogate["shape"] == "triangle":
            bins = surrogate.get("bins") or 4
            wide, self.codes = surrogate["width"] / bins, list(range(2 * bins - 1, 0, -2))
            self.gain_shift = int(log2(2 * bins * surrogate["width"]))
        else:
            wide, self.codes, self.gain_shift = surrogate["bin"], surrogate["values"], surrogate.get("shift") or 0
        self.bin_shift = int(log2(wide)) + fraction

    def leak(self, x):
        rule = self.leak_rule
        if rule["form"] == "shift":
            return x - (x >> rule["shift"])
        return x * rule["multiplier"] >> rule["shift"]

    def fires(self, u):
        return u > self.threshold if self.above else u >= self.threshold

    def decayed(self, u):
        fired = self.fires(u)
        if self.reset == "zero":
            return 0 if fired else self.leak(u)
        if self.reset == "subtract-before-leak":
            return self.leak(u - self.theta * fired)
        return self.leak(u) - self.theta * fired

    def code(self, u):
        place = abs(u - self.threshold) >> self.bin_shift
        return self.codes[place] if place < len(self.codes) else 0


class Independent:
    """The core. `weights` and `velocities` are matrices by place (empty where there are none), `lfsr` and `dropout`
    lists of lane states by place; with `shift` and `since_decay` they are all the state."""

    def __init__(self, document):
        def given(section, name, default):
            value = document.get(section, {}).get(name)
            return default if value is None else value

        self.steps, self.k = document["time"]["steps"], document["time"]["interval"]
        self.period, self.classes = given("time", "update_period", 1), document["network"]["classes"]
        self.frame = given("input", "kind", "frame") == "frame"
        self.input_fraction = given("input", "fraction", 0) if self.frame else 0
        self.weight, self.potential, self.error = (document["numbers"][name] for name in
                                                   ("weight", "potential", "error"))
        self.multiplier, self.first_shift = given("update", "multiplier", 1), document["update"]["shift"]
        self.decay_samples, self.decay_limit = given("update", "decay_samples", 0), given("update", "decay_limit", 0)
        self.batch, self.momentum = given("update", "batch", 1), given("update", "momentum", None)
        self.stochastic = given("update", "rounding", "nearest") == "stochastic"
        self.units, self.blocks = [], []
        self._build(document)
        self._start(given("initial", "gain", 1.0), given("initial", "seed", 0), given("update", "seed", 1),
                    given("classifier", "seed", 0))

    def _build(self, document):
        layers = [{"kind": "dense", **layer, "frame": self.frame} for layer in document["layers"]]
        ends, n = document["network"].get("block_ends"), document["network"].get("block_length")
        if not ends:
            ends, weighted = [], 0
            for place, layer in enumerate(layers, 1):
                weighted += layer["kind"] != "avg_pool"
                if weighted == n and not (place < len(layers) and layers[place]["kind"] == "avg_pool"):
                    ends.append(place)
                    weighted = 0
            if ends[-1:] != [len(layers)]:
                ends.append(len(layers))
        own = document["classifier"]
        ending = {"kind": "dense", "neurons": self.classes, "lanes": own["lanes"], "frame": self.frame,
                  "random": own.get("kind") == "random",
                  **{name: own.get(name) for name in ("bias", "neuron", "surrogate")}}
        shape, below, first = document["input"].get("shape") or [1, 1, document["input"].get("size")], None, 0
        for end in ends:
            block = []
            for layer in layers[first:end]:
                below = Unit(layer, len(self.units), below, shape, False)
                shape = below.shape_out
                self.units.append(below)
                block.append(below)
            self.units.append(Unit(ending, len(self.units), below, shape, True))
            self.blocks.append([*block, self.units[-1]])
            for unit, layer in zip(self.blocks[-1], [*layers[first:end], ending]):
                unit.neuron = Neuron(layer.get("neuron") or document["neuron"],
                                     layer.get("surrogate") or document["surrogate"], self.potential["fraction"])
            first = end

    def _start(self, gain, seed, lfsr_seed, classifier_seed):
        source, fraction = doubles(seed), self.weight["fraction"]
        self.weights, self.velocities, self.lfsr, self.dropout = [], [], [], []
        for unit in self.units:
            limit, rows = gain / sqrt(unit.fan_in), unit.fan_in if unit.stored else 0
            self.weights.append([[saturate(round((-limit + (limit - -limit) * next(source)) * 2.0**fraction),
                                           self.weight["width"]) for _ in range(unit.channels)] for _ in range(rows)])
            self.velocities.append([[0] * unit.channels for _ in range(rows if self.momentum else 0)])
            self.lfsr.append(list(lane_states(lfsr_seed, unit.place, unit.lanes))
                             if unit.stored and self.stochastic else [])
            self.dropout.append(list(lane_states(lfsr_seed, len(self.units) + unit.place, unit.lanes))
                                if unit.dropout else [])
        self.shift, self.since_decay = self.first_shift, 0
        self.fixed = {unit.place: self._random(unit, gain, classifier_seed) for unit in self.units if unit.random}
        n = {unit.place: unit.fan_in for unit in self.units if unit.pool}
        self.pool_weight = {place: ((2 << fraction) + own) // (2 * own) for place, own in n.items()}

    def _random(self, unit, gain, seed):
        keys = [hash32(hash32(((65536 * seed + unit.place) * 0x9E3779B1 + lane * 0x85EBCA77) & 0xFFFFFFFF))
                for lane in range(unit.lanes)]
        bits = value_bits(float(gain), unit.fan_in, self.weight["width"], self.weight["fraction"])
        height, width, channels = unit.shape_in
        pitch = -(-channels // unit.lanes_below) * unit.lanes_below
        places = [pixel * pitch + c for pixel in range(height * width) for c in range(channels)]
        if unit.bias:
            places.append(height * width * pitch)
        matrix = []
        for place in places:
            matrix.append([])
            for j in range(unit.channels):
                address = j // unit.lanes * (places[-1] + 1) + place
                v = hash32(keys[j % unit.lanes] + address & 0xFFFFFFFF) >> 32 - bits
                matrix[-1].append((v - (1 << bits) if v >> bits - 1 else v) | 1)
        return matrix

    # Neurons

    def _forward(self, unit, u, inputs, train):
        """Potentials of the k steps of an interval from those before it, for the inputs of each step."""
        history, currents = [], {}
        shift = self.weight["fraction"] + (self.input_fraction if unit.static else 0) - self.potential["fraction"]
        weights = self.fixed.get(unit.place, self.weights[unit.place])
        one = 2**self.input_fraction if unit.static else 1
        bias = [one * w for w in weights[-1]] if unit.bias else [0] * unit.channels
        for step in inputs:
            key = tuple(step)
            if key not in currents:
                sums = [0] * unit.neurons
                for i, o, _, _, w in unit.joined(weights, self.pool_weight.get(unit.place)):
                    sums[o] += w * step[i]
                kept = 16 if train else 16 - unit.dropout_below
                currents[key] = [floor_shift(x * kept + 16 * bias[o % unit.channels], shift + 4)
                                 for o, x in enumerate(sums)]
            u = [saturate(unit.neuron.decayed(old) + new, self.potential["width"])
                 for old, new in zip(u, currents[key])]
            history.append(u)
        return history

    def _sent(self, unit, fired, train):
        """Spikes of an interval that leave a layer, [step][neuron], and which neurons are dropped."""
        dropped = [[False] * unit.neurons for _ in fired]
        if train and unit.dropout:
            states = self.dropout[unit.place]
            for pixel in range(unit.pixels):
                for word in range(unit.words):
                    for t in range(self.k):
                        for lane in range(unit.lanes):
                            channel = word * unit.lanes + lane
                            if channel < unit.channels:
                                dropped[t][pixel * unit.channels + channel] = states[lane] % 16 < unit.dropout
                            states[lane] = leaps()[states[lane]]
        return [[int(s and not gone) for s, gone in zip(*step)] for step in zip(fired, dropped)], dropped

    def _errors(self, neuron, delta, history):
        """Errors of the k steps of an interval, from those of the spikes and the potentials."""
        width, fraction, found = self.error["width"], self.potential["fraction"], [None] * self.k
        later = [0] * len(history[0])
        for t in reversed(range(self.k)):
            now = []
            for u, d, g in zip(history[t], delta[t], later):
                carried = 0 if neuron.reset == "zero" and neuron.fires(u) else neuron.leak(g)
                own = floor_shift(neuron.code(u) * (d - (neuron.rho * g >> fraction)), neuron.gain_shift)
                now.append(saturate(own + carried, width))
            found[t] = later = now
        return found

    def _backward(self, block, histories, dropped, label, found):
        """Fill `found` with the errors of the units of a block that learn, by place: one interval of one sample."""
        delta = None
        weighted = [place for place, unit in enumerate(block) if not unit.pool]
        for unit in reversed(block[weighted[0]:]):
            if unit.classifier:
                fired = [[unit.neuron.fires(u) for u in step] for step in histories[unit.place]]
                known = label is not None and label < self.classes
                own = [sum(column) - self.k * (c == label) if known else 0 for c, column in enumerate(zip(*fired))]
                delta = [[e << self.error["fraction"] for e in own]] * self.k
            delta = [[0 if gone else d for d, gone in zip(*step)] for step in zip(delta, dropped[unit.place])]
            errors = found[unit.place] = self._errors(unit.neuron, delta, histories[unit.place])
            if unit is block[weighted[0]]:
                break
            delta, weights = [], self.fixed.get(unit.place, self.weights[unit.place])
            for step in errors:
                sums = [0] * (unit.shape_in[0] * unit.shape_in[1] * unit.shape_in[2])
                for i, o, _, _, w in unit.joined(weights, self.pool_weight.get(unit.place)):
                    sums[i] += step[o] * w
                delta.append([saturate(nearest(x, self.weight["fraction"]), self.error["width"]) for x in sums])

    def _update(self, unit, inputs, errors):
        """Move the weights of a unit: its inputs and errors of all steps of the period and all samples."""
        gradient = [[0] * unit.channels for _ in range(unit.fan_in)]
        active = [bool(self.momentum)] * unit.fan_in
        for x, error in zip(inputs, errors):
            for i, o, row, column, _ in unit.joined(gradient, None):
                gradient[row][column] += x[i] * error[o]
                active[row] |= x[i] != 0
            for o, own in enumerate(error if unit.bias else []):
                gradient[-1][o % unit.channels] += own * (2**self.input_fraction if unit.static else 1)
                active[-1] = True
        shift = self.shift + (self.input_fraction if unit.static else 0)
        weights, states = self.weights[unit.place], self.lfsr[unit.place]
        for row in range(unit.fan_in):
            if not active[row]:
                continue
            for word in range(unit.words):
                for lane in range(unit.lanes):
                    column = word * unit.lanes + lane
                    if column < unit.channels:
                        step = gradient[row][column]
                        if self.momentum:
                            old = self.velocities[unit.place][row][column]
                            step += nearest(old * self.momentum["multiplier"], self.momentum["shift"])
                            step = self.velocities[unit.place][row][column] = saturate(step, self.momentum["width"])
                        step *= self.multiplier
                        if states:
                            step = (step + states[lane] % (1 << shift)) >> shift
                        else:
                            step = nearest(step, shift)
                        weights[row][column] = saturate(weights[row][column] - step, self.weight["width"])
                    if states:
                        states[lane] = leaps()[states[lane]]

    def run(self, frames, labels, train):
        """A batch: each frame a list of values, or with events a list of T lists of bits; a label beyond the classes,
        or None, is of no class.

        Returns a list of (prediction, spike counts), one for each sample.
        """
        samples, kept = range(len(frames)), {unit.place: ([], []) for unit in self.units}
        u = [[[unit.neuron.start] * unit.neurons for unit in self.units] for _ in samples]
        counts = [[0] * self.classes for _ in samples]
        for interval in range(self.steps // self.k):
            for sample in samples:
                histories, dropped, errors, seen, fired = {}, {}, {}, {}, None
                below = [frames[sample]] * self.k if self.frame else \
                    [[int(bit != 0) for bit in step] for step in frames[sample][interval * self.k:][:self.k]]
                for unit in self.units:
                    place = unit.place
                    seen[place] = below
                    histories[place] = self._forward(unit, u[sample][place], below, train)
                    u[sample][place] = histories[place][-1]
                    fired = [[unit.neuron.fires(value) for value in step] for step in histories[place]]
                    out, dropped[place] = self._sent(unit, fired, train)
                    if not unit.classifier:
                        below = out
                counts[sample] = [old + sum(new) for old, new in zip(counts[sample], zip(*fired))]
                if train:
                    for block in self.blocks:
                        self._backward(block, histories, dropped, labels[sample], errors)
                    for unit in self.units:
                        if unit.stored:
                            kept[unit.place][0].extend(seen[unit.place])
                            kept[unit.place][1].extend(errors[unit.place])
            if train and (interval + 1) % self.period == 0:
                for unit in self.units:
                    if unit.stored:
                        self._update(unit, *kept[unit.place])
                        kept[unit.place] = [], []
        if train:
            self._halve(len(frames))
        return [(own.index(max(own)), own) for own in counts]

    def _halve(self, samples):
        self.since_decay += samples
        if self.decay_samples and self.since_decay >= self.decay_samples:
            self.since_decay -= self.decay_samples
            self.shift = min(self.shift + 1, self.first_shift + self.decay_limit)
        if not self.decay_samples:
            self.since_decay = 0
