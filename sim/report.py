"""The report of a demonstration run: ``report.json`` for programs, ``report.html`` for people.

The page is one file that loads nothing. The same report and pictures give the same bytes.
"""

import json
from dataclasses import dataclass

import jinja2

from ..golden.config import Config
from ..golden.files import write_atomically
from .figures import draw_figures
from .summary import WAITS
from .words import (
    PHASES,
    cycle_table,
    describe_sample,
    formats,
    number,
    percent,
    records,
    settings,
    traffic_table,
    utilisation_table,
    verdict,
)

__all__ = ["Pictures", "write_report"]

#: Keys of the report that have a place of their own on the page, whatever they hold.
KNOWN = ("name", "config_hash", "samples", "mismatches", "accuracy_before", "accuracy_after", "cycles",
         "cycles_per_sample", "cycles_per_sample_in", "latency_cycles", "counters", "traffic", "utilisation")


@dataclass(frozen=True)
class Pictures:
    """What the figures show and the numbers of the report do not hold.

    Attributes
    ----------
    config : Config
        The core.
    curve : list of (int, float, str)
        Samples trained, accuracy as a fraction, source: ``rtl test`` for the test set measured on the core,
        ``rtl running`` for the running accuracy while training, ``golden`` for those of the golden model. Other
        sources get a line of their own. It may be empty.
    trace : SampleTrace
        One sample through the core.
    label : int
        Class of that sample.
    before, after : list of numpy.ndarray
        Weights (fan_in, channels) of each unit, int64.
    """

    config: Config
    curve: list
    trace: object
    label: int
    before: list
    after: list


def write_report(folder, report, pictures):
    """Write ``report.json`` and ``report.html``.

    Parameters
    ----------
    folder : Path
        Where to; created if missing.
    report : dict
        Numbers, as they go into the JSON file. Keys that this module does not know are listed at the end of the page.
    pictures : Pictures

    Returns
    -------
    json_path, html_path : Path
    """
    texts = {"report.json": json.dumps(report, indent=2, sort_keys=False) + "\n",
             "report.html": _page(report, pictures)}
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return folder / "report.json", folder / "report.html"


def _page(report, pictures):
    config, counters = pictures.config, report.get("counters") or {}
    traffic = report.get("traffic") or {}
    env = jinja2.Environment(loader=jinja2.PackageLoader("spikeloom.sim", "."), undefined=jinja2.StrictUndefined,
                             autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    env.filters |= {"number": number, "percent": percent}
    figures, weights = draw_figures(pictures, counters, traffic)
    memories = records(report.get("memories"))
    plain = {key: report[key] for key in ("seconds", "versions") if isinstance(report.get(key), dict)}
    shown = {*KNOWN, *plain} | ({"memories"} if memories else set())
    return env.get_template("report.html.jinja").render(
        report=report, config=config, verdict=verdict(report.get("mismatches")), figures=figures, weights=weights,
        cycles=cycle_table(config, counters), traffic=traffic_table(traffic), phases=PHASES,
        waits=WAITS,
        utilisation=utilisation_table(config, report.get("utilisation") or {}), sample=describe_sample(pictures),
        settings=settings(config), formats=formats(config), counters=counters,
        memories=memories, plain=plain,
        extras={key: json.dumps(value, indent=2) for key, value in report.items() if key not in shown})
