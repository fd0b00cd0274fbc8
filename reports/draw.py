"""Draw figures as SVG with matplotlib, for phones, desktops and files.

On a page, colours come from the page's style (light and dark); files use the light ones. Drawing is
byte-for-byte reproducible.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from harness.files.text import visible
from reports.figures import Chart, ChartRow, Figure, Heat, Plot, RowChart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

WIDTH, FONT = 5.2, 10.5  # inches and points: 331 pixels and 9.3 on a phone's screen
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


@cache
def colours() -> dict[str, str]:
    """Return the light colours of the page's style, by name."""
    style = (files("reports") / "templates" / "report.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--(\w+):(#\w+)", style.partition("@media")[0]))


def inline(figure: Figure) -> list[str]:
    """Return SVG elements for a page: one per chart, and the legend; ids are unique."""
    drawings = [_svg([chart], ()) for chart in figure.panels]
    if figure.legend:
        drawings.append(_svg([], figure.legend))
    return [_element(figure, f"{figure.id}-{n}", text) for n, text in enumerate(drawings)]


def file(figure: Figure) -> str:
    """Return the figure as an SVG file: its charts stacked, and the legend."""
    return _svg(figure.panels, figure.legend)


def _element(figure: Figure, name: str, text: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|"#|\(#)', rf"\g<1>{name}-", text)
    for colour, value in colours().items():
        text = text.replace(value, f"var(--{colour})")
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    head = (
        f'<title id="{name}-title">{escape(figure.title)}</title>'
        f'<desc id="{name}-desc">{escape(figure.description)}</desc>'
    )
    opened = f'<svg role="img" aria-labelledby="{name}-title {name}-desc"'
    return re.sub(r"<svg([^>]*)>", lambda m: f"{opened}{m[1]}>{head}", text, count=1)


def _svg(charts: Sequence[Chart], legend: Sequence[tuple[str, str, int]]) -> str:
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # a matplotlibrc in the current folder could make LaTeX run its text
        mpl.rcParams.update(_style())
        canvas = _canvas(charts, legend)
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas.savefig(out, format="svg", metadata=metadata, transparent=True)
    return out.getvalue()


def _style() -> dict[str, Any]:
    ink, muted, rule = (colours()[name] for name in ("ink", "muted", "rule"))
    return {
        "svg.fonttype": "none",
        "text.parse_math": False,  # a dollar sign in a name is not a formula
        "svg.hashsalt": "harness",
        "font.size": FONT,
        "text.color": ink,
        "axes.labelcolor": muted,
        "axes.labelsize": FONT,
        "axes.titlesize": FONT,
        "axes.titlelocation": "left",
        "axes.edgecolor": rule,
        "axes.axisbelow": True,
        "axes.xmargin": 0.06,
        **{f"axes.spines.{side}": False for side in ("top", "right", "left")},
        **{f"{axis}tick.labelcolor": muted for axis in "xy"},
        **{f"{axis}tick.major.size": 0 for axis in "xy"},
        "grid.color": rule,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": FONT,
    }


def _canvas(charts: Sequence[Chart], legend: Sequence[tuple[str, str, int]]) -> Canvas:
    """Return the drawing; avoids pyplot, which changes global state."""
    from matplotlib.figure import Figure as New
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

    heights = [_height(chart) for chart in charts]
    lines = -(-len(legend) // 2)
    canvas = New(figsize=(WIDTH, sum(heights) + 0.24 * lines + 0.1), layout="constrained")
    if charts:
        panels = canvas.subplots(len(charts), 1, squeeze=False, height_ratios=heights)
        draw: Mapping[type, Any] = {RowChart: _rows, Plot: _plot, Heat: _heat}
        for axes, chart in zip(panels.flat, charts, strict=True):
            draw[type(chart)](axes, chart)
    if legend:
        place = "outside lower center" if charts else "center"
        handles = [
            Line2D([], [], label=label, **_look(colour, marker)) for label, colour, marker in legend
        ]
        canvas.legend(handles=handles, ncols=2, loc=place)
    for text in canvas.findobj(Text):
        text.set_text(visible(text.get_text()))
    return canvas


def _height(chart: Chart) -> float:
    match chart:
        case RowChart():
            return 0.44 * len(chart.rows) + 0.6
        case Plot():
            return 4.2 if chart.chance is not None else 2.3
        case Heat():
            return 0.28 * len({depth for _, depth in chart.cells}) + 0.9


def _rows(axes: Axes, chart: RowChart) -> None:
    """Draw rows from the top, with label and text above each."""
    axes.grid(axis="x")
    if chart.margin is not None:
        axes.axvspan(-chart.margin, chart.margin, color=colours()["band"], zorder=0, linewidth=0)
    if chart.zero:
        axes.axvline(0, color=colours()["muted"], linewidth=1)
    for number, row in enumerate(chart.rows):
        _row(axes, row, -number)
        style: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "bottom"}
        style["fontweight"] = "bold" if row.strong else "normal"
        axes.text(0, 0.16 - number, row.label, ha="left", **style)
        axes.text(1, 0.16 - number, row.text, ha="right", **style)
    axes.set_ylim(0.6 - len(chart.rows), 0.75)
    axes.set_yticks([])
    axes.set_xlabel(chart.label)


def _row(axes: Axes, row: ChartRow, y: float) -> None:
    colour = colours()[row.colour]
    if row.bar is not None:
        start, end = row.bar
        axes.barh(y, end - start, left=start, height=0.28, color=colour, alpha=0.6)
    if row.whiskers is not None:
        line = colour if row.bar is None else colours()["ink"]
        axes.plot(row.whiskers, [y, y], color=line, linewidth=1.6)
    if row.mark is not None:
        axes.plot([row.mark], [y], "s", color=colour, markersize=6)
    if row.dots:
        mean = sum(row.dots) / len(row.dots)
        axes.plot(row.dots, [y] * len(row.dots), "o", color=colour, markersize=6, alpha=0.75)
        axes.plot([mean, mean], [y - 0.17, y + 0.17], color=colour, linewidth=2.5)


def _plot(axes: Axes, chart: Plot) -> None:
    axes.grid()
    for series in chart.series:
        for curve in series.curves:
            axes.plot(*zip(*curve, strict=True), color=colours()[series.colour], linewidth=1.1,
                      alpha=0.5)  # fmt: skip
        axes.plot(*zip(*series.dots, strict=True), **_look(series.colour, series.marker))
    if chart.chance is not None:
        axes.axvline(chart.chance, color=colours()["muted"], linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set(xlim=(0, 100), ylim=(-3, 100))
    axes.set(title=chart.title, xlabel=chart.label)


def _look(colour: str, marker: int) -> dict[str, Any]:
    hollow = colour == "paper"
    return {
        "color": colours()[colour],
        "marker": MARKERS[marker],
        "fillstyle": "none" if hollow else "full",
        "markersize": 5 if hollow else 7,
        "linestyle": "none",
        "zorder": 2 if hollow else 3,
    }


def _heat(axes: Axes, chart: Heat) -> None:
    from matplotlib.patches import Rectangle

    lengths = sorted({length for length, _ in chart.cells})
    depths = sorted({depth for _, depth in chart.cells})
    for (length, depth), score in chart.cells.items():
        if score is None:
            continue
        x, y = lengths.index(length), depths.index(depth)
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colours()["gain"],
                                 alpha=0.08 + 0.5 * score, linewidth=0))  # fmt: skip
        axes.text(x, y, f"{100 * score:.0f}", ha="center", va="center")
    axes.set_xlim(-0.5, len(lengths) - 0.5)
    axes.set_ylim(len(depths) - 0.5, -0.5)
    tokens = [f"{length // 1024}k" if length >= 1024 else str(length) for length in lengths]
    axes.set_xticks(range(len(lengths)), tokens)
    axes.set_yticks(range(len(depths)), [str(depth) for depth in depths])
    axes.set(title=chart.title, xlabel="length, tokens", ylabel="depth, percent")
