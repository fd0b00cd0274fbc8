"""Figures as data: the content of their charts. `reports.draw` draws them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ablations.statistics.estimates import Verdict
from ablations.statistics.lines import BenchmarkLine, Line, Term
from reports.tables import interval, points

ARMS = 10  # distinct colours and markers
MARKED = 5  # markers on a curve
SHOWN_POINTS = 150  # per curve
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A row of a chart: label and text above it on the left and right, values in percent."""

    label: str
    text: str
    colour: str
    bar: Point | None = None
    whiskers: Point | None = None
    mark: float | None = None
    dots: tuple[float, ...] = ()
    strong: bool = False


@dataclass(frozen=True, slots=True)
class RowChart:
    """A chart of rows over one axis; ``margin`` is shaded on either side of ``zero``."""

    rows: tuple[ChartRow, ...]
    label: str
    margin: float | None = None
    zero: bool = True


@dataclass(frozen=True, slots=True)
class Series:
    """Points and curves of one arm; those of others have the colour ``paper``."""

    colour: str
    marker: int
    dots: tuple[Point, ...]
    curves: tuple[tuple[Point, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """Series over two axes, in percent with a vertical dashed line at ``chance``, if given."""

    title: str
    series: tuple[Series, ...]
    label: str
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Heat:
    """Scores (or None) over context length in tokens and depth in percent."""

    title: str
    cells: Mapping[tuple[int, int], float | None]


Chart = RowChart | Plot | Heat


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: title, description, source of its numbers, charts, and each arm's legend."""

    id: str
    title: str
    description: str
    source: str
    panels: tuple[Chart, ...]
    legend: tuple[tuple[str, str, int], ...] = ()


def _whiskers(low: float | None, high: float | None, shift: float = 0.0) -> Point | None:
    return None if low is None or high is None else (100 * (low + shift), 100 * (high + shift))


def waterfall(terms: Sequence[Term], lines: Sequence[Line], level: float) -> Figure:
    """Show total = data + objective for every data arm, with the intervals of each part."""
    by_name = {(line.kind, line.plus, line.minus): line for line in lines}
    total = next(line for line in lines if line.kind == "total")
    rows = [_bar(total, 0.0, total.delta)]
    for term in terms:
        rows.append(_bar(by_name["data", term.arm, total.minus], 0.0, term.data))
        rows.append(_bar(by_name["objective", total.plus, term.arm], term.data, term.total))
    summary = "; ".join(
        f"through {term.arm}: data {points(term.data)}, objective {points(term.objective)}"
        for term in terms
    )
    return Figure(
        "waterfall",
        "Total = data + objective, through each data arm",
        f"Total {points(total.delta)} points. {summary}.",
        f"analysis.json, waterfall; whiskers are the {100 * level:g} % intervals of the contrasts",
        (RowChart(tuple(rows), "points of the macro average"),),
    )


def _bar(line: Line, start: float, end: float) -> ChartRow:
    strong = line.kind == "total"
    return ChartRow(
        f"{line.kind}: {line.name}",
        points(line.delta),
        "ink" if strong else "gain" if line.delta >= 0 else "loss",
        bar=(100 * start, 100 * end),
        # The interval belongs to the part, so it is drawn around the part's end.
        whiskers=_whiskers(line.low, line.high, end - line.delta),
        strong=strong,
    )


def forest(lines: Sequence[Line], margin: float) -> Figure:
    """Show every contrast with its interval, in the order of tests."""
    rows = [_difference(f"{line.kind}: {line.name}", line) for line in lines]
    title, source = "The contrasts in the order of tests", "analysis.json, contrasts"
    return _differences("forest", title, source, rows, margin)


def by_benchmark(id_: str, name: str, lines: Sequence[BenchmarkLine], margin: float) -> Figure:
    """Show one difference on every benchmark."""
    rows = [_difference(line.benchmark, line) for line in lines]
    source = f"contrast {name}, verdicts after Holm"
    return _differences(id_, f"{name} by benchmark", source, rows, margin)


def _differences(
    id_: str, title: str, source: str, rows: Sequence[ChartRow], margin: float
) -> Figure:
    return Figure(
        id_,
        title,
        ". ".join(f"{row.label} {row.text}" for row in rows) + ".",
        f"{source}; shaded: the margin, ±{100 * margin:g} points",
        (RowChart(tuple(rows), "points", 100 * margin),),
    )


def _difference(label: str, line: Line | BenchmarkLine) -> ChartRow:
    """Return the row of one difference; there is room only for its verdict's sign."""
    verdict = line.verdict or Verdict.NOT_TESTED
    return ChartRow(
        label,
        f"{points(line.delta)} {interval(line.low, line.high)} {verdict.sign}".strip(),
        verdict.tone,
        whiskers=_whiskers(line.low, line.high),
        mark=100 * line.delta,
    )


def seeds(macro: Mapping[str, Sequence[float]]) -> Figure:
    """Show the macro average per seed and arm."""
    rows = [
        ChartRow(arm, "", _look(number)[0], dots=tuple(100 * value for value in values))
        for number, (arm, values) in enumerate(macro.items())
    ]
    summary = ". ".join(
        f"{arm}: " + ", ".join(f"{100 * value:.1f}" for value in values)
        for arm, values in macro.items()
    )
    return Figure(
        "seeds-figure",
        "Macro average of every training seed",
        f"{summary}.",
        "one dot per run, a bar at the arm's mean; the table below has every benchmark",
        (RowChart(tuple(rows), "macro average, percent", zero=False),),
    )


def _look(number: int) -> tuple[str, int]:
    """Return an arm's colour and marker, by its index among the study's arms."""
    return f"arm{number % ARMS}", number % ARMS


def selection(
    ours: Mapping[str, Sequence[Point]],
    paper: Sequence[Mapping[str, str]],
    source: str,
    arms: Sequence[str],
) -> Figure:
    """Show selection accuracy against the end-task score: our seeds, the paper's points in grey.

    ``ours`` has (selection accuracy, macro average) per seed by arm, in units of the score, and
    ``paper`` its points in percent. An arm's position in ``arms`` fixes its style in all figures.
    """
    known = list(dict.fromkeys([*arms, *(row["arm"] for row in paper)]))
    shown = [
        Series("paper", _look(known.index(row["arm"]))[1],
               ((float(row["selection_accuracy"]), float(row["end_task"])),))
        for row in paper
    ]  # fmt: skip
    for arm, seeds_ in ours.items():
        dots = tuple((100 * x, 100 * y) for x, y in seeds_)
        shown.append(Series(*_look(known.index(arm)), dots))
    summary = ". ".join(
        f"{arm}: " + ", ".join(f"{100 * x:.0f} and {100 * y:.1f}" for x, y in seeds_)
        for arm, seeds_ in ours.items()
    )
    return Figure(
        "selection-figure",
        "Selection accuracy against end-task score",
        f"Selection accuracy and end-task score of every seed, percent. {summary}.",
        f"ours: analysis.json, models; grey, of other models and benchmarks: {source}",
        (
            Plot("end-task score, percent", tuple(shown),
                 "selection accuracy, percent (dashed: chance)", chance=50.0),
        ),
        (*_legend(ours, known), ("the paper's models", "paper", 0)),
    )  # fmt: skip


def _legend(shown: Iterable[str], arms: Sequence[str]) -> list[tuple[str, str, int]]:
    return [(arm, *_look(arms.index(arm))) for arm in shown]


def training(
    curves: Mapping[str, Mapping[str, Sequence[Sequence[Point]]]], arms: Sequence[str]
) -> Figure:
    """Show curves over optimizer steps, (step, value) per seed, by quantity and by arm."""
    summary = "; ".join(
        f"{name}: " + ", ".join(f"{arm} ends at {panel[arm][0][-1][1]:.3g}" for arm in panel)
        for name, panel in curves.items()
    )
    shown = dict.fromkeys(arm for panel in curves.values() for arm in panel)
    return Figure(
        "training-figure",
        "Loss terms and their gradient norms",
        f"First seed: {summary}.",
        f"training.jsonl of every seed, at most {SHOWN_POINTS} points per curve",
        tuple(_curves(name, by_arm, arms) for name, by_arm in curves.items()),
        tuple(_legend(shown, arms)),
    )


def _curves(
    name: str, by_arm: Mapping[str, Sequence[Sequence[Point]]], arms: Sequence[str]
) -> Plot:
    series = []
    for arm, several in by_arm.items():
        number = arms.index(arm)
        curves = tuple(tuple(thinned(curve)) for curve in several)
        # Stagger markers by arm, so that those of coinciding curves stay apart.
        marks = [(curve, max(1, len(curve) // MARKED)) for curve in curves]
        dots = [dot for curve, step in marks for dot in curve[number * step // len(arms) :: step]]
        series.append(Series(*_look(number), tuple(dots), curves))
    return Plot(name, tuple(series), "optimizer step")


def thinned(curve: Sequence[Point]) -> Sequence[Point]:
    """Return at most `SHOWN_POINTS` evenly spaced points of a curve, including its last."""
    if len(curve) <= SHOWN_POINTS:
        return curve
    step = (len(curve) - 1) / (SHOWN_POINTS - 1)
    return [curve[round(step * number)] for number in range(SHOWN_POINTS)]


def needles(grids: Mapping[str, Mapping[tuple[int, int], float | None]]) -> Figure:
    """Show needle-in-a-haystack scores by arm over (length in tokens, depth in percent)."""
    return Figure(
        "niah-figure",
        "Needles in a haystack by context length and depth",
        "; ".join(
            f"{arm}: lowest {100 * min(v for v in grid.values() if v is not None):.0f} percent"
            for arm, grid in grids.items()
        ),
        "parts of niah in each run's summary.json, mean over seeds, percent",
        tuple(Heat(arm, grid) for arm, grid in grids.items()),
    )
