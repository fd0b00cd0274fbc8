"""Figures, drawn as SVG in two widths.

Inline SVG takes its colours from the page's style (light and dark); files get the light ones.
Drawing twice gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from ablations.statistics.estimates import Verdict
from ablations.statistics.lines import BenchmarkLine, Line, Term
from reports.tables import interval, points, signed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# What a colour means -> its value in light; each is a variable of that name in the page's style.
COLOURS = {
    "page": "#fefefe",
    "ink": "#1a2230",
    "muted": "#5b6575",
    "rule": "#d6dbe3",
    "band": "#e9edf3",
    "gain": "#0b6e99",
    "loss": "#b3471d",
    "flat": "#6b7688",
    "paper": "#a9b1be",
    **dict(zip((f"arm{n}" for n in range(10)), (
        "#1f77b5", "#c8641b", "#2a8a4a", "#a23b72", "#7a5cc4", "#8a6d1d", "#11888a", "#5c5c66",
        "#c4395a", "#3b4a9e",
    ), strict=True)),
}  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
MARKED = 5  # markers on a curve
WIDE, NARROW = 10.0, 4.0  # inches; the page shows either, by its own width
SHOWN_POINTS = 150  # of a curve


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: what it is called, what it shows in words, where its numbers are from.

    ``draw`` makes it, narrow for a phone or wide.
    """

    id: str
    title: str
    description: str
    source: str
    draw: Callable[[bool], Canvas]

    def svg(self, narrow: bool) -> str:
        """Return the figure for the page: no ids but its own, colours by the page's style."""
        name = f"{self.id}-{'narrow' if narrow else 'wide'}"
        text = _saved(self.draw(narrow))
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        text = re.sub(r'(\bid="|"#|\(#)', rf"\g<1>{name}-", text)
        for colour, value in COLOURS.items():
            text = text.replace(value, f"var(--{colour})")
        head = (
            f'<title id="{name}-title">{escape(self.title)}</title>'
            f'<desc id="{name}-desc">{escape(self.description)}</desc>'
        )
        opened = f'<svg role="img" aria-labelledby="{name}-title {name}-desc"'
        text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
        return re.sub(r"<svg([^>]*)>", lambda m: f"{opened}{m[1]}>{head}", text, count=1)

    def file(self) -> str:
        """Return the figure as an SVG file."""
        return _saved(self.draw(False))


def _saved(canvas: Canvas) -> str:
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "harness"}):
        canvas.savefig(
            out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True
        )
    return out.getvalue()


def _axes(
    narrow: bool, height: float, panels: int = 1, across: int = 1
) -> tuple[Canvas, list[Axes]]:
    """Return an empty figure with its axes; drawn without pyplot, so nothing global is touched."""
    from matplotlib.figure import Figure as New

    down = -(-panels // across)
    canvas = New(figsize=(NARROW if narrow else WIDE, height), layout="constrained")
    grid = canvas.subplots(down, across, squeeze=False)
    found = list(grid.flat)
    for axes in found[panels:]:
        axes.remove()
    for axes in found[:panels]:
        _style(axes)
    return canvas, found[:panels]


def _style(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(COLOURS["rule"])
    axes.tick_params(length=0, labelsize=9, labelcolor=COLOURS["muted"])
    axes.grid(axis="x", color=COLOURS["rule"], linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(COLOURS["muted"])
        label.set_fontsize(9)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a chart: its label, the text at its end, and what is drawn, in points."""

    label: str
    text: str
    colour: str
    at: float
    low: float | None = None
    high: float | None = None
    start: float | None = None  # a bar from here to ``at``, else a marker
    strong: bool = False
    short: tuple[str, str] | None = None  # label and text where there is little room


def _rows(rows: Sequence[_Row], narrow: bool, margin: float | None, label: str) -> Canvas:
    """Draw rows from above: labels on the left and texts on the right, above the row if narrow."""
    step = 0.62 if narrow else 0.34
    canvas, (axes,) = _axes(narrow, step * len(rows) + 0.75)
    if margin is not None:
        axes.axvspan(-margin, margin, color=COLOURS["band"], zorder=0, linewidth=0)
    axes.axvline(0, color=COLOURS["muted"], linewidth=1)
    for place, row in enumerate(rows):
        y, colour = -place, COLOURS[row.colour]
        if row.start is not None:
            left, width = min(row.start, row.at), abs(row.at - row.start)
            axes.barh(y, width, left=left, height=0.3 if narrow else 0.56, color=colour)
        if row.low is not None and row.high is not None:
            line = COLOURS["ink"] if row.start is not None else colour
            axes.plot([row.low, row.high], [y, y], color=line, linewidth=1.6)
        if row.start is None:
            axes.plot([row.at], [y], "s", color=colour, markersize=6)
        _labels(axes, row, y, narrow)
    axes.set_ylim(-len(rows) + (0.6 if narrow else 0.4), 0.9 if narrow else 0.6)
    axes.set_yticks([])
    axes.margins(x=0.06)
    axes.set_xlabel(label)
    return canvas


def _labels(axes: Axes, row: _Row, y: float, narrow: bool) -> None:
    style: dict[str, Any] = {"fontsize": 9, "color": COLOURS["ink"]}
    if row.strong:
        style["fontweight"] = "bold"
    across = axes.get_yaxis_transform()
    if narrow:  # on a ground of its own, where lines pass below
        style["bbox"] = {"facecolor": COLOURS["page"], "edgecolor": "none", "pad": 1}
        label, text = row.short or (row.label, row.text)
        axes.text(0, y + 0.27, label, transform=across, va="bottom", ha="left", **style)
        axes.text(1, y + 0.27, text, transform=across, va="bottom", ha="right", **style)
        return
    axes.text(-0.015, y, row.label, transform=across, va="center", ha="right", **style)
    axes.text(1.015, y, row.text, transform=across, va="center", ha="left", **style)


def waterfall(terms: Sequence[Term], lines: Sequence[Line], level: float) -> Figure:
    """Show total = data + objective through every data arm, with the intervals of each part."""
    by_name = {(line.kind, line.plus, line.minus): line for line in lines}
    total = next(line for line in lines if line.kind == "total")
    gain, start = total.plus, total.minus
    rows = [_bar(f"total: {total.name}", total, 0.0, total.delta, strong=True)]
    for term in terms:
        data = by_name["data", term.arm, start]
        objective = by_name["objective", gain, term.arm]
        rows.append(_bar(f"data: {data.name}", data, 0.0, term.data))
        rows.append(_bar(f"objective: {objective.name}", objective, term.data, term.total))
    summary = "; ".join(
        f"through {term.arm}: data {points(term.data)}, objective {points(term.objective)}"
        for term in terms
    )
    return Figure(
        "waterfall",
        "Total = data + objective, through each data arm",
        f"Total {points(total.delta)} points. {summary}.",
        f"analysis.json, waterfall; whiskers are the {100 * level:g} % intervals of the contrasts",
        lambda narrow: _rows(rows, narrow, None, "points of the macro average"),
    )


def _bar(label: str, line: Line, start: float, end: float, strong: bool = False) -> _Row:
    # The interval is of the part, so it stands at the part's end.
    shift = end - line.delta
    ends = (None, None) if line.low is None or line.high is None else (line.low, line.high)
    low, high = (None if one is None else 100 * (one + shift) for one in ends)
    colour = "gain" if line.delta >= 0 else "loss"
    return _Row(
        label,
        points(line.delta),
        "ink" if strong else colour,
        100 * end,
        low,
        high,
        start=100 * start,
        strong=strong,
    )


def forest(lines: Sequence[Line], margin: float) -> Figure:
    """Show every contrast with its interval, in the order of tests."""
    rows = [_difference(f"{line.kind}: {line.name}", line.name, line) for line in lines]
    return Figure(
        "forest",
        "The contrasts in the order of tests",
        ". ".join(f"{row.label} {row.text}" for row in rows) + ".",
        f"analysis.json, contrasts; shaded: the margin, ±{100 * margin:g} points",
        lambda narrow: _rows(rows, narrow, 100 * margin, "points"),
    )


def _difference(label: str, short: str, line: Line | BenchmarkLine) -> _Row:
    """Return the row of one difference; a phone has room for its sign alone."""
    verdict = line.verdict or Verdict.NOT_TESTED
    return _Row(
        label,
        f"{points(line.delta)} {interval(line.low, line.high)}  {signed(verdict)}",
        verdict.tone,
        100 * line.delta,
        _percent(line.low),
        _percent(line.high),
        short=(short, f"{points(line.delta)} {verdict.sign}".strip()),
    )


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def by_benchmark(id_: str, name: str, lines: Sequence[BenchmarkLine], margin: float) -> Figure:
    """Show one difference on every benchmark."""
    rows = [_difference(line.benchmark, line.benchmark, line) for line in lines]
    return Figure(
        id_,
        f"{name} by benchmark",
        ". ".join(f"{row.label} {row.text}" for row in rows) + ".",
        f"contrast {name}, verdicts after Holm; shaded: the margin, ±{100 * margin:g} points",
        lambda narrow: _rows(rows, narrow, 100 * margin, "points"),
    )


def _of_arm(place: int) -> dict[str, Any]:
    """Return the colour and the marker of an arm, by its place among the study's arms."""
    return {"color": COLOURS[f"arm{place % 10}"], "marker": MARKERS[place % len(MARKERS)]}


def seeds(macro: Mapping[str, Sequence[float]]) -> Figure:
    """Show the macro average of every seed of every arm."""

    def draw(narrow: bool) -> Canvas:
        canvas, (axes,) = _axes(narrow, (0.5 if narrow else 0.36) * len(macro) + 0.75)
        across = axes.get_yaxis_transform()
        for place, (arm, values) in enumerate(macro.items()):
            colour = _of_arm(place)["color"]
            shown = [100 * value for value in values]
            mean = sum(shown) / len(shown)
            axes.plot(shown, [-place] * len(shown), "o", color=colour, markersize=6, alpha=0.75)
            axes.plot([mean, mean], [-place - 0.28, -place + 0.28], color=colour, linewidth=2.5)
            at = (
                (0, -place + 0.3, "bottom", "left")
                if narrow
                else (-0.015, -place, "center", "right")
            )
            axes.text(at[0], at[1], arm, transform=across, va=at[2], ha=at[3],
                      fontsize=9, color=COLOURS["ink"])  # fmt: skip
        axes.set_ylim(-len(macro) + 0.4, 0.8 if narrow else 0.6)
        axes.set_yticks([])
        axes.margins(x=0.06)
        axes.set_xlabel("macro average, percent")
        return canvas

    summary = ". ".join(
        f"{arm}: " + ", ".join(f"{100 * value:.1f}" for value in values)
        for arm, values in macro.items()
    )
    return Figure(
        "seeds-figure",
        "Macro average of every training seed",
        f"{summary}.",
        "a dot a run, a bar the arm's mean; the table below has every benchmark",
        draw,
    )


def selection(
    ours: Mapping[str, Sequence[tuple[float, float]]],
    paper: pd.DataFrame,
    source: str,
    arms: Sequence[str],
) -> Figure:
    """Show selection accuracy against the end-task score: our seeds, the paper's points greyed.

    Args:
        ours: by arm, a (selection accuracy, macro average) a seed, in units of the score.
        paper: model, arm, selection_accuracy and end_task in percent.
        source: where the paper's points are from.
        arms: all arms, so that each has the colour and the marker that it has in other figures.
    """
    known = list(dict.fromkeys([*arms, *paper["arm"]]))

    def draw(narrow: bool) -> Canvas:
        canvas, (axes,) = _axes(narrow, 4.6 if narrow else 4.4)
        axes.grid(axis="y", color=COLOURS["rule"], linewidth=0.6)
        for arm, rows in paper.groupby("arm", sort=False):
            look = {**_of_arm(known.index(str(arm))), "color": COLOURS["paper"]}
            axes.plot(rows["selection_accuracy"], rows["end_task"], linestyle="none", markersize=5,
                      fillstyle="none", **look)  # fmt: skip
        for arm, found in ours.items():
            x, y = zip(*found, strict=True)
            axes.plot([100 * v for v in x], [100 * v for v in y], linestyle="none", label=arm,
                      markersize=8, **_of_arm(known.index(arm)))  # fmt: skip
        axes.plot([], [], "o", color=COLOURS["paper"], fillstyle="none", label="the paper's models")
        axes.axvline(50, color=COLOURS["muted"], linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlabel("selection accuracy, percent (dashed: chance)")
        axes.set_ylabel("end-task score, percent")
        axes.set_xlim(0, 100)
        axes.set_ylim(-3, 100)
        canvas.legend(loc="outside lower center", ncols=2 if narrow else 5, frameon=False,
                      fontsize=9, labelcolor=COLOURS["ink"])  # fmt: skip
        return canvas

    summary = ". ".join(
        f"{arm}: " + ", ".join(f"{100 * x:.0f} and {100 * y:.1f}" for x, y in found)
        for arm, found in ours.items()
    )
    return Figure(
        "selection-figure",
        "Selection accuracy against end-task score",
        f"Selection accuracy and end-task score of every seed, percent. {summary}.",
        f"ours: analysis.json, models; grey, of other models and benchmarks: {source}",
        draw,
    )


def training(
    curves: Mapping[str, Mapping[str, Sequence[Sequence[tuple[float, float]]]]],
    arms: Sequence[str],
) -> Figure:
    """Show curves over the optimizer step.

    Args:
        arms: all arms, so that each has the colour and the marker that it has in other figures.
        curves: by panel (what is measured) and arm, one list of (step, value) a seed.
    """

    def draw(narrow: bool) -> Canvas:
        across = 1 if narrow else 2
        down = -(-len(curves) // across)
        canvas, panels = _axes(narrow, 2.1 * down + 0.6, len(curves), across)
        for axes, (name, found) in zip(panels, curves.items(), strict=True):
            for arm, several in found.items():
                place = arms.index(arm)
                for number, curve in enumerate(several):
                    x, y = zip(*thinned(curve), strict=True)
                    # Markers of arms that lie upon each other stand beside each other.
                    step = max(1, len(x) // MARKED)
                    axes.plot(x, y, linewidth=1.1, alpha=0.5, color=_of_arm(place)["color"])
                    axes.plot(x, y, linestyle="none", markersize=5.5, zorder=3,
                              markevery=(place * step // len(arms), step),
                              label=None if number else arm, **_of_arm(place))  # fmt: skip
            axes.set_title(name, fontsize=9, color=COLOURS["ink"], loc="left")
            axes.grid(axis="y", color=COLOURS["rule"], linewidth=0.6)
            axes.set_xlabel("optimizer step")
        handles: dict[str, Any] = {}
        for axes in panels:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        canvas.legend(list(handles.values()), list(handles), loc="outside lower center",
                      ncols=2 if narrow else 6, frameon=False, fontsize=9,
                      labelcolor=COLOURS["ink"])  # fmt: skip
        return canvas

    summary = "; ".join(
        f"{name}: " + ", ".join(f"{arm} ends at {found[arm][0][-1][1]:.3g}" for arm in found)
        for name, found in curves.items()
    )
    return Figure(
        "training-figure",
        "Loss terms and their gradient norms",
        f"First seed: {summary}.",
        f"training.jsonl of every seed, at most {SHOWN_POINTS} points a curve",
        draw,
    )


def thinned(curve: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Return at most `SHOWN_POINTS` points of a curve, evenly taken, its last one among them."""
    if len(curve) <= SHOWN_POINTS:
        return curve
    step = (len(curve) - 1) / (SHOWN_POINTS - 1)
    return [curve[round(step * number)] for number in range(SHOWN_POINTS)]


def needles(grids: Mapping[str, Mapping[tuple[int, int], float | None]]) -> Figure:
    """Show needle-in-a-haystack scores over context length and depth.

    Args:
        grids: by arm, (length in tokens, depth in percent) -> score.
    """

    def draw(narrow: bool) -> Canvas:
        across = 1 if narrow else min(3, len(grids))
        down = -(-len(grids) // across)
        depths = {depth for grid in grids.values() for _, depth in grid}
        canvas, panels = _axes(narrow, (0.26 * len(depths) + 0.9) * down, len(grids), across)
        for axes, (arm, grid) in zip(panels, grids.items(), strict=True):
            _grid(axes, arm, grid)
        return canvas

    return Figure(
        "niah-figure",
        "Needles in a haystack by context length and depth",
        "; ".join(
            f"{arm}: lowest {100 * min(v for v in grid.values() if v is not None):.0f} percent"
            for arm, grid in grids.items()
        ),
        "parts of niah in each run's summary.json, mean over seeds, percent",
        draw,
    )


def _grid(axes: Axes, arm: str, grid: Mapping[tuple[int, int], float | None]) -> None:
    from matplotlib.patches import Rectangle

    lengths = sorted({length for length, _ in grid})
    depths = sorted({depth for _, depth in grid})
    axes.grid(visible=False)
    for (length, depth), value in grid.items():
        x, y = lengths.index(length), depths.index(depth)
        if value is None:
            continue
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=COLOURS["gain"],
                                 alpha=0.08 + 0.5 * value, linewidth=0))  # fmt: skip
        axes.text(x, y, f"{100 * value:.0f}", ha="center", va="center", fontsize=8,
                  color=COLOURS["ink"])  # fmt: skip
    axes.set_xlim(-0.5, len(lengths) - 0.5)
    axes.set_ylim(len(depths) - 0.5, -0.5)
    axes.set_xticks(range(len(lengths)), [_tokens(length) for length in lengths])
    axes.set_yticks(range(len(depths)), [f"{depth}" for depth in depths])
    axes.set_title(arm, fontsize=9, color=COLOURS["ink"], loc="left")
    axes.set_xlabel("length, tokens")
    axes.set_ylabel("depth, percent")


def _tokens(length: int) -> str:
    return f"{length // 1024}k" if length >= 1024 else str(length)
