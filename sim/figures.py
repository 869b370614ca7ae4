"""Figures of a report: inline SVG that follows the reader's light or dark theme.

They are drawn in marker colours which become CSS variables of the page. The same pictures give the same bytes.
"""

import io
import math
import re

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter, StrMethodFormatter

from .words import cycle_table, ordered, percent, plural

__all__ = ["draw_bars", "draw_figures"]

#: Width of every figure; one unit of its drawing is one CSS pixel at full width.
WIDTH = 1000
#: Pixels of all weight images together, and of all spike images together: what bounds the size of the page.
IMAGE_PIXELS = 480_000
#: Colours that stand for CSS variables of the same name. None of them is drawn as such.
PAINT = {name: f"#0101{place:02x}" for place, name in enumerate(
    ["ink", "muted", "line", "accent", "warm", "on", "forward", "backward", "update", "report", "waiting"], 1)}
#: Images cannot follow the theme; these two are legible on both, and transparency stands for zero.
POSITIVE, NEGATIVE = (64, 128, 222), (226, 116, 36)
#: Levels of transparency in a weight image: as many as an eye tells apart, and few enough to compress.
LEVELS = 32
CURVES = {"rtl test": "test set, measured on the core", "rtl running": "training samples, running accuracy on the core",
          "golden test": "test set, golden model", "golden running": "training samples, running accuracy, golden model"}
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "spikeloom", "image.composite_image": False, "text.parse_math": False,
    "font.size": 12, "axes.titlesize": 12, "axes.titlelocation": "left", "axes.titlepad": 7,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": PAINT["line"], "axes.axisbelow": True,
    "axes.facecolor": "none", "axes.labelcolor": PAINT["muted"], "axes.titlecolor": PAINT["ink"],
    "text.color": PAINT["ink"], "grid.color": PAINT["line"], "grid.linewidth": 0.8,
    "xtick.color": PAINT["line"], "ytick.color": PAINT["line"],
    "xtick.labelcolor": PAINT["muted"], "ytick.labelcolor": PAINT["muted"],
    "xtick.labelsize": 11, "ytick.labelsize": 11, "legend.frameon": False, "legend.fontsize": 12,
}


def draw_figures(pictures, counters, traffic):
    """All figures of a page.

    Parameters
    ----------
    pictures : Pictures
    counters, traffic : dict
        As in the report; without cycles or traffic their figures are left out.

    Returns
    -------
    figures : dict of str to Markup
        Inline SVG by name: ``curve``, ``raster``, ``cycles``, ``traffic``.
    weights : list of dict
        For each unit its name, a figure, and what a line of text says about it.
    """
    config = pictures.config
    with matplotlib.rc_context():
        # A reader's own matplotlibrc must not change the page.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figures = {
            "raster": _svg(_raster(pictures), "raster", "Spikes of every unit over the time steps of one sample")}
        if pictures.curve:
            figures["curve"] = _svg(_curve(pictures), "curve", "Accuracy over the number of trained samples")
        if any(".cycles." in name for name in counters):
            figures["cycles"] = _svg(_cycles(config, counters), "cycles", "Cycles of each block by phase")
        if traffic:
            figures["traffic"] = _svg(_traffic(traffic), "traffic", "Memory words by category, operation and phase")
        return figures, [_unit_weights(config, place, pictures) for place, unit in enumerate(config.units)
                         if unit.weights.stored]


def draw_bars(name, title, rows, labels, unit):
    """A figure of stacked horizontal bars, for other reports.

    Parameters
    ----------
    name, title : str
        What makes its identifiers unique on the page, and what it shows in words.
    rows : list of dict of str to int
        Bar by bar, parts in the order of the stack; all have the same keys.
    labels : list of str
        Of the bars.
    unit : str
        What is counted.

    Returns
    -------
    Markup
        Inline SVG.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        paints = [PAINT[own] for own in ("forward", "backward", "update", "report", "waiting", "muted")]
        colours = {key: paints[place % len(paints)] for place, key in enumerate(rows[0])}
        figure = _figure(40 + 30 * len(rows) + 40)
        _legend(figure, 150, 6, rows[0], colours)
        axes = _bars(figure, (150, 38, WIDTH - 260), rows, labels, colours, pitch=30)
        axes.tick_params(axis="y", labelsize=13, labelcolor=PAINT["ink"])
        axes.set_xlabel(unit)
        return _svg(figure, name, title)


def _figure(height):
    return Figure(figsize=(WIDTH / 72, height / 72), dpi=72)


def _axes(figure, left, top, width, height, **options):
    """Axes at a place in pixels from the upper left: fixed places measure no text, so no installed font counts."""
    full = figure.get_figheight() * 72
    return figure.add_axes((left / WIDTH, 1 - (top + height) / full, width / WIDTH, height / full), **options)


def _svg(figure, name, title):
    """Inline SVG: without header and metadata, identifiers unique in the page, colours and font those of the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, count=1, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', text).group()
    label = Markup.escape(title)
    text = re.sub(r"<svg[^>]*>", f'<svg {view} role="img" aria-label="{label}">', text, count=1)
    text = re.sub(r' id="', f' id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'xlink:href="#{name}-')
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    for variable, colour in PAINT.items():
        text = text.replace(colour, f"var(--{variable})")
    return Markup(text.rstrip())


def _curve(pictures):
    figure = _figure(318)
    axes = _axes(figure, 58, 14, WIDTH - 150, 262)
    others = iter(["update", "report", "backward", "muted"] * (1 + len(pictures.curve)))
    for source in dict.fromkeys(point[2] for point in pictures.curve):
        points = sorted((samples, accuracy) for samples, accuracy, own in pictures.curve if own == source)
        x, y = zip(*points)
        label = CURVES.get(source, source)
        if source.endswith(" test"):
            axes.plot(x, y, color=PAINT["accent"], linewidth=2.4, marker="o", markersize=6, zorder=3, label=label)
            axes.annotate(percent(y[-1]), (x[-1], y[-1]), (9, 0), textcoords="offset points", va="center",
                          color=PAINT["accent"], fontsize=15, fontweight="bold", annotation_clip=False)
        else:
            colour = PAINT["warm" if source.endswith(" running") else next(others)]
            axes.plot(x, y, color=colour, linewidth=1.4, marker="o" if len(x) < 3 else None, markersize=4, label=label)
    axes.axhline(1 / pictures.config.network.classes, color=PAINT["muted"], linewidth=1, linestyle=(0, (3, 3)),
                 label="guessing")
    axes.set_ylim(0, 1.02)
    axes.margins(x=0.02)
    axes.grid(axis="y")
    axes.tick_params(length=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol="%"))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("samples trained")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.12))
    return figure


def _shrink(values, pixels):
    """At most about `pixels` values of a matrix: of each tile the one that is farthest from zero."""
    factor = math.ceil(math.sqrt(values.size / pixels))
    if factor <= 1:
        return values
    padded = np.pad(values, [(0, -length % factor) for length in values.shape])
    rows, columns = (length // factor for length in padded.shape)
    tiles = padded.reshape(rows, factor, columns, factor).swapaxes(1, 2).reshape(rows, columns, factor * factor)
    return np.take_along_axis(tiles, abs(tiles).argmax(2)[..., None], 2)[..., 0]


def _shade(values, limit):
    """RGBA image of a matrix; zero is transparent, `limit` and beyond opaque, the sign is the colour."""
    image = np.empty((*values.shape, 4), np.uint8)
    image[..., :3] = np.where((values < 0)[..., None], NEGATIVE, POSITIVE)
    alpha = np.clip(abs(values) / max(limit, 1e-300), 0, 1)
    image[..., 3] = np.rint(alpha * (LEVELS - 1)) * (255 / (LEVELS - 1))
    # One colour for all that is invisible, whatever its sign was, compresses better.
    image[image[..., 3] == 0] = 0
    return image


def _image(axes, image, shape):
    """An image that stands for a matrix of `shape`, whatever its own size: the axes count the matrix."""
    rows, columns = shape
    axes.imshow(image, aspect="auto", interpolation="none", extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    for spine in axes.spines.values():
        spine.set_visible(True)


def _raster(pictures):
    config, trace = pictures.config, pictures.trace
    heights = [int(min(max(unit.n_out * 9 if unit.classifier else unit.n_out * 1.2, 54), 160)) for unit in config.units]
    gap, top = 38, 34
    figure = _figure(max(sum(heights) + gap * len(heights) + top + 6, 260))
    inputs = np.asarray(trace.units[0].inputs)
    # Of events, all steps together.
    _frame(figure, top, inputs if inputs.ndim == 1 else inputs.sum(0, dtype=np.int64), config.input.shape)
    for place, (unit, seen, height) in enumerate(zip(config.units, trace.units, heights)):
        spikes = np.asarray(seen.spikes).astype(np.int64)
        axes = _axes(figure, 310, top, 480, height)
        _image(axes, _shade(_shrink(spikes.T, IMAGE_PIXELS // len(heights)), 1), spikes.T.shape)
        total = int(spikes.sum())
        axes.set_title(unit.path, fontweight="bold", fontfamily="monospace")
        share = f"({percent(total / spikes.size)} of steps)"
        axes.set_title(f"{plural(unit.n_out, 'neuron')}, {plural(total, 'spike')} {share}", loc="right",
                       color=PAINT["muted"], fontsize=11)
        _borders(axes, config, trace.train)
        axes.tick_params(length=0, labelbottom=place == len(heights) - 1)
        axes.set_ylabel("class" if unit.classifier else "neuron", fontsize=11)
        if place == len(heights) - 1:
            axes.set_xlabel("time step")
        if unit.classifier:
            _spike_counts(_axes(figure, 812, top, 90, height), spikes.sum(0), pictures.label)
        top += height + gap
    return figure


def _frame(figure, top, frame, shape):
    height, width, channels = shape
    side = math.isqrt(frame.size)
    if height == width == 1 and side * side == frame.size:
        height, width, channels = side, side, 1  # values without a shape; very often they are an image
    limit = max(int(frame.max()), 1)
    if height > 1 or width > 1:
        # Channels lie above each other.
        image = frame.reshape(height, width, channels).transpose(2, 0, 1).reshape(channels * height, width)
        axes = _axes(figure, 24, top, 190, min(190 * len(image) // width, 230))
        _image(axes, _shade(_shrink(image, IMAGE_PIXELS), limit), image.shape)
        axes.set_title(f"input frame, {height} by {width}" + (f", {plural(channels, 'channel')}" * (channels > 1)))
    else:
        axes = _axes(figure, 24, top, 190, 110)
        axes.stairs(frame, np.arange(frame.size + 1) - 0.5, color=PAINT["accent"], fill=True)
        axes.set_title(f"input frame, {plural(frame.size, 'value')}")
        axes.margins(x=0)
    axes.tick_params(length=0, labelbottom=False, labelleft=False)


def _borders(axes, config, train):
    """Borders between truncation intervals, and a mark where an update changes the weights."""
    k = config.time.interval
    for interval in range(1, config.intervals):
        axes.axvline(interval * k - 0.5, color=PAINT["muted"], linewidth=1, linestyle=(0, (4, 3)))
    if train:
        ends = np.arange(config.update_steps, config.time.steps + 1, config.update_steps) - 0.5
        axes.plot(ends, np.ones(len(ends)), transform=axes.get_xaxis_transform(), linestyle="none", marker="v",
                  markersize=8, color=PAINT["update"], markeredgewidth=0, clip_on=False, zorder=5)


def _spike_counts(axes, counts, label):
    colours = [PAINT["accent"] if place == label else PAINT["waiting"] for place in range(len(counts))]
    axes.barh(np.arange(len(counts)), counts, height=0.72, color=colours)
    axes.set_ylim(len(counts) - 0.5, -0.5)
    axes.set_xlim(0, max(1, int(counts.max())) * 1.02)
    axes.set_title("spikes", loc="left", color=PAINT["muted"], fontsize=11)
    axes.annotate(f"{counts[label]} for class {label}", (counts[label], label), (5, 0), textcoords="offset points",
                  va="center", fontsize=11, color=PAINT["accent"], annotation_clip=False)
    axes.set_axis_off()


def _bars(figure, place, rows, labels, colours, *, pitch):
    """Stacked horizontal bars, the first on top; `rows` are dicts of equal keys, in the order of the stack."""
    left, top, width = place
    axes = _axes(figure, left, top, width, pitch * len(rows))
    most = max(1, *(sum(row.values()) for row in rows))
    for y, row in enumerate(rows):
        start = 0
        for key, value in row.items():
            axes.barh(y, value, left=start, height=0.72, color=colours.get(key, PAINT["waiting"]))
            share = value / max(1, sum(row.values()))
            if value / most * width > 46 and share < 1:
                axes.text(start + value / 2, y, f"{100 * share:.0f}%", ha="center", va="center_baseline", fontsize=11,
                          color=PAINT["on"])
            start += value
        axes.annotate(f"{start:,}", (start, y), (7, 0), textcoords="offset points", va="center_baseline", fontsize=12)
    axes.set_xlim(0, most)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), labels)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.grid(axis="x")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def _legend(figure, left, top, keys, colours):
    """One line of coloured squares with words, from `left` on."""
    axes = _axes(figure, left, top, WIDTH - left, 20)
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH - left)
    axes.set_ylim(-10, 10)
    x = 0
    for key in keys:
        axes.plot([x + 6], [0], marker="s", markersize=11, markeredgewidth=0, color=colours.get(key, PAINT["waiting"]))
        axes.text(x + 18, 0, key, va="center_baseline")
        x += 18 + 8 * len(key) + 24


def _cycles(config, counters):
    rows = [{**row["phases"], "waiting": sum(row["waits"].values())} for row in cycle_table(config, counters)]
    figure = _figure(40 + 38 * len(rows) + 40)
    colours = {key: PAINT[key] for key in rows[0]}
    _legend(figure, 90, 6, rows[0], colours)
    axes = _bars(figure, (90, 38, WIDTH - 200), rows, [block.name for block in config.blocks], colours, pitch=38)
    axes.tick_params(axis="y", labelsize=13, labelcolor=PAINT["ink"])
    axes.set_xlabel("cycles")
    return figure


def _traffic(traffic):
    phases = ordered({phase for row in traffic.values() for phase in row})
    rows, labels = [], []
    for row in traffic.values():
        for operation in ("read", "write"):
            rows.append({phase: row.get(phase, {}).get(operation, 0) for phase in phases})
            labels.append(operation)
    figure = _figure(40 + 22 * len(rows) + 40)
    colours = {phase: PAINT[phase] for phase in phases if phase in PAINT}
    _legend(figure, 200, 6, phases, colours)
    axes = _bars(figure, (200, 38, WIDTH - 310), rows, labels, colours, pitch=22)
    for place, name in enumerate(traffic):
        axes.annotate(name, (0, 2 * place + 0.5), (-198, 0), textcoords="offset points", va="center", fontsize=13,
                      annotation_clip=False)
        if place:
            axes.annotate("", (0, 2 * place - 0.5), (-198, 0), textcoords="offset points", annotation_clip=False,
                          arrowprops={"arrowstyle": "-", "color": PAINT["line"], "linewidth": 0.8})
    axes.set_xlabel("memory words")
    return figure


def _unit_weights(config, place, pictures):
    """Name, figure and a line of numbers for the weights of one unit, before and after."""
    unit, number = config.units[place], config.numbers.weight
    raw = [np.asarray(weights[place]) for weights in (pictures.before, pictures.after)]
    values = [matrix * 2.0**-number.fraction for matrix in raw]
    top = (1 << (number.width - 1)) - 1
    ends = int(np.count_nonzero((raw[1] == top) | (raw[1] == -top - 1)))
    figure = _svg(_weight_figure(unit, values, IMAGE_PIXELS // (2 * len(config.units))), f"weights{place}",
                  f"Weights of {unit.path} before and after training")
    return {
        "name": unit.path, "figure": figure, "count": raw[0].size, "changed": float(np.mean(raw[0] != raw[1])),
        "spread": [f"{matrix.std():.3g}" for matrix in values], "ends": f"{ends:,}" if ends else "None",
    }


def _weight_figure(unit, values, pixels):
    figure = _figure(206)
    # The largest weights are few; without them the others would all be pale.
    limit = float(max(np.quantile(abs(matrix), 0.995) for matrix in values)) or 1.0
    for left, matrix, title in zip((52, 342), values, ("before", "after")):
        axes = _axes(figure, left, 26, 268, 138)
        _image(axes, _shade(_shrink(matrix.T, pixels), limit), (unit.channels, unit.fan_in))
        axes.set_title(title)
        axes.set_xlabel("input", fontsize=11)
        axes.tick_params(length=0, labelleft=left == 52)
        if left == 52:
            axes.set_ylabel("class" if unit.classifier else "neuron", fontsize=11)
    scale = _axes(figure, 624, 26, 10, 138)
    scale.imshow(_shade(np.linspace(limit, -limit, 2 * LEVELS - 1)[:, None], limit), aspect="auto",
                 interpolation="none", extent=(0, 1, -limit, limit))
    scale.set_yticks([-limit, 0, limit], [f"\N{MINUS SIGN}{limit:.2g}", "0", f"{limit:.2g}"])
    scale.yaxis.tick_right()
    scale.tick_params(length=0, labelbottom=False, bottom=False)
    scale.set_xticks([])
    scale.spines[:].set_visible(True)
    _histogram(_axes(figure, 716, 26, 264, 138), values)
    return figure


def _histogram(axes, values):
    reach = float(max(abs(matrix).max() for matrix in values)) or 1.0
    edges = np.linspace(-reach, reach, 62)
    before, after = (np.histogram(matrix, edges)[0] for matrix in values)
    axes.stairs(before, edges, fill=True, color=PAINT["waiting"], alpha=0.55)
    axes.stairs(after, edges, color=PAINT["accent"], linewidth=1.8)
    axes.text(0.02, 0.98, "before", transform=axes.transAxes, va="top", color=PAINT["muted"])
    axes.text(0.02, 0.84, "after", transform=axes.transAxes, va="top", color=PAINT["accent"])
    axes.set_title("distribution")
    axes.set_xlabel("weight", fontsize=11)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(0, None if max(before.max(), after.max()) else 1)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
