"""Lane numbers that balance the cascade for a given total of lanes.

A search over exact cycles: nothing is estimated, and the same workload gives the same lanes. It begins with one lane
in every layer, and with each width of the classifiers (they share one, so that a step of it is a large one), and widens
the slowest block where that saves the most cycles per lane, until the lanes are used up; the other blocks only wait for
it. From there, and from the present lanes if they fit, it exchanges lanes between units as long as that helps. The best
end wins. Where it could be compared with all lane numbers there are, it found the best or one within 1 %.
"""

from typing import NamedTuple

from .config import ConfigError

__all__ = ["Setting", "balance", "check_total", "present_lanes", "settings", "with_lanes"]

#: Lanes that a configuration allows in one unit.
LARGEST = 256
#: Samples that the search looks at; whether its end is better than the present lanes, all of them say.
SEARCHED = 8


class Setting(NamedTuple):
    """One `lanes` of a configuration.

    Members
    -------
    name : str
        Its section, as messages about the configuration name it.
    channels : int
        What it serves: channels, neurons or classes.
    copies : int
        Units that are built with so many lanes: a layer and the poolings behind it, or all classifiers.
    blocks : frozenset of int
        Blocks whose cycles depend on it.
    """

    name: str
    channels: int
    copies: int
    blocks: frozenset

    @property
    def choices(self):
        """The fewest lanes for each number of words, ascending: more of them at as many words save nothing."""
        fewest = {-(-self.channels // words) for words in range(1, self.channels + 1)}
        return sorted(lanes for lanes in fewest if lanes <= LARGEST)


def settings(config):
    """What can be chosen: a `Setting` for each layer that has lanes of its own, then that of the classifiers."""
    found, place = [], 0
    for block in config.blocks:
        for unit in block.layers:
            # Spikes arrive in words of the lanes below: the block above a top layer reads them so.
            reached = {block.index} if unit is not block.layers[-1] or block.last else {block.index, block.index + 1}
            if not unit.window.pools:
                found.append(Setting(f"layers.{place}", unit.channels, 1, frozenset(reached)))
            elif found:
                own = found[-1]
                found[-1] = own._replace(copies=own.copies + 1, blocks=own.blocks | reached)
            place += 1
    every = frozenset(block.index for block in config.blocks)
    return [*found, Setting("classifier", config.network.classes, len(every), every)]


def with_lanes(config, lanes):
    """`config` with other lanes, in the order of `settings`."""
    *own, classifier = lanes
    left = iter(own)
    layers = [layer.model_dump() | ({} if layer.kind == "avg_pool" else {"lanes": next(left)})
              for layer in config.layers]
    return config.replace(layers=layers, classifier={"lanes": classifier})


def present_lanes(config):
    """The lanes of `config`, in the order of `settings`."""
    return (*(layer.lanes for layer in config.layers if layer.kind != "avg_pool"), config.classifier.lanes)


def check_total(config, total):
    """Raise `ConfigError` if `total` lanes do not reach for one in every unit."""
    if total < len(config.units):
        raise ConfigError(f"lanes in total must be at least {len(config.units)}, one for each unit, not {total}")


def balance(config, workload, total):
    """The `Config` with at most `total` lanes whose cascade needs the fewest cycles, as far as the search finds it.

    Never one that needs more of them, or as many with more lanes, than `config` does on this workload, if that fits.

    Raises
    ------
    ConfigError
        If there are more units than lanes.
    """
    check_total(config, total)
    search = _Search(config, workload.first(SEARCHED), total)
    own = present_lanes(config)
    *layers, classifier = search.settings
    starts = [(1,) * len(layers) + (lanes,) for lanes in classifier.choices]
    ends = [search.exchanged(search.widened(start)) for start in starts if search.fits(start)]
    if search.fits(own):
        ends.append(search.exchanged(own))
    found = with_lanes(config, min(ends, key=search.cost))
    if search.fits(own) and workload.cycles(config).cost <= workload.cycles(found).cost:
        return config
    return found


class _Search:
    """Choices of lanes, tuples in the order of `settings`, and what they cost."""

    def __init__(self, config, workload, total):
        self.config, self.workload, self.total = config, workload, total
        self.settings, self._cycles = settings(config), {}
        # A pooling over the input has a lane of its own.
        self._fixed = len(config.units) - sum(setting.copies for setting in self.settings)

    def lanes(self, choice):
        """Lanes of all units."""
        return self._fixed + sum(setting.copies * lanes for setting, lanes in zip(self.settings, choice))

    def fits(self, choice):
        """Whether it has at most `total` lanes."""
        return self.lanes(choice) <= self.total

    def cycles(self, choice):
        """Its `Cycles`."""
        if choice not in self._cycles:
            self._cycles[choice] = self.workload.cycles(with_lanes(self.config, choice))
        return self._cycles[choice]

    def cost(self, choice):
        """What is to be as small as possible."""
        return self.cycles(choice).cost

    def _wider(self, choice):
        """Choices with one setting raised that matters for the slowest block: (place, choice)."""
        own = self.cycles(choice)
        slowest = own.blocks.index(own.slowest)
        for place, setting in enumerate(self.settings):
            for lanes in setting.choices if slowest in setting.blocks else ():
                if lanes > choice[place]:
                    yield place, _changed(choice, place, lanes)

    def widened(self, choice):
        """`choice` raised step by step until nothing fits that makes the slowest block faster."""
        while True:
            wider = [own for _, own in self._wider(choice) if self.fits(own)]
            best = max(wider, key=lambda own, choice=choice: self._saved(choice, own), default=choice)
            if best == choice or self._saved(choice, best) <= 0:
                return choice
            choice = best

    def _saved(self, choice, wider):
        """Cycles per additional lane that the slowest block of `choice` saves."""
        before, after = self.cycles(choice), self.cycles(wider)
        slowest = before.blocks.index(before.slowest)
        return (before.slowest.cycles - after.blocks[slowest].cycles) / (self.lanes(wider) - self.lanes(choice))

    def exchanged(self, choice):
        """`choice` after the best exchange that helps, then after the best of the next ones, until none does."""
        while True:
            best = min(self._exchanges(choice), key=self.cost, default=choice)
            if self.cost(best) >= self.cost(choice):
                return choice
            choice = best

    def _exchanges(self, choice):
        """One setting lowered; one raised, if need be with lanes that another gives up."""
        for place, setting in enumerate(self.settings):
            yield from (_changed(choice, place, lanes) for lanes in setting.choices if lanes < choice[place])
        for place, wider in self._wider(choice):
            if self.fits(wider):
                yield wider
                continue
            for other, setting in enumerate(self.settings):
                left = [lanes for lanes in setting.choices if self.fits(_changed(wider, other, lanes))]
                if other != place and left:
                    yield _changed(wider, other, left[-1])


def _changed(choice, place, lanes):
    return (*choice[:place], lanes, *choice[place + 1:])
