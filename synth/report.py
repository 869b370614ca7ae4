"""The report of a synthesis: ``report.json`` for programs, ``report.html`` for people.

The page is one file that loads nothing. The same report gives the same bytes.
"""

import json

import jinja2

from ..golden.files import write_atomically
from ..sim.figures import draw_bars
from ..sim.words import number
from .targets import RESOURCES

__all__ = ["headline", "write_report"]

#: Resources that are drawn; carry chains and distributed RAM are part of the LUTs.
DRAWN = ("lut", "ff", "bram", "dsp")


def headline(report):
    """How it went, as a style, a headline and a sentence."""
    broken = [check["rule"] for check in report["checks"] if not check["holds"]]
    memories = f"Not so: {'; '.join(broken)}." if broken else "Every memory is where the memory map puts it."
    if report.get("overuse"):
        needs = ", ".join(f"{own['needed']:,} {own['resource']} of {own['available']:,}" for own in report["overuse"])
        return "bad", f"does not fit {report['target']}: needs {needs}", memories
    if "seeds" in report and not report["fits"]:
        failures = [run for run in report["seeds"] if "failure" in run]
        text = f"not routed on {report['target']} with {len(failures)} of {len(report['seeds'])} seeds"
        return "bad", f"{text}: {failures[0]['failure']}", memories
    if "frequency_mhz" in report:
        text = (f"routed on {report['target']} at {report['frequency_mhz']:.1f} MHz, median of {len(report['seeds'])}, "
                f"for {report['goal_mhz']:g} MHz")
        return "bad" if broken else "good", text, memories
    return "bad" if broken else "good", f"synthesized for {report['target']}", memories


def _figures(report):
    """For each resource a bar per block, from its units."""
    parts = list(dict.fromkeys(row["part"] for row in report["units"]))
    figures = {}
    for resource in DRAWN:
        if report["total"][resource]:
            bars = [{part: sum(row[resource] for row in report["units"] if (row["block"], row["part"]) == (block, part))
                     for part in parts} for block in report["blocks"]]
            figures[resource] = draw_bars(resource, f"{RESOURCES[resource]} by block and unit", bars,
                                          list(report["blocks"]), RESOURCES[resource])
    return figures


def write_report(folder, report):
    """Write ``report.json`` and ``report.html``.

    Parameters
    ----------
    folder : Path
        Where to; created if missing.
    report : dict
        As `flow.implement` gives it, with ``rates`` and ``data`` if there are any.

    Returns
    -------
    json_path, html_path : Path
    """
    env = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(f"spikeloom.{package}", ".") for package in ("synth", "sim")]),
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True)
    env.filters["number"] = number
    page = env.get_template("synthesis.html.jinja").render(
        report=report, headline=headline(report), figures=_figures(report), resources=RESOURCES)
    texts = {"report.json": json.dumps(report, indent=1) + "\n", "report.html": page}
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return folder / "report.json", folder / "report.html"
