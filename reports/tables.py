"""Tables: frames of numbers with the meaning of their columns.

HTML, LaTeX and CSV are written from the same frames; every row names the source of its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ablations.statistics import formatting
from ablations.statistics.contrasts import Rules
from ablations.statistics.estimates import Verdict
from ablations.statistics.lines import ArmLine, BenchmarkLine, Line

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal[
    "text", "count", "score", "delta", "interval", "width", "sd", "p", "verdict", "share", "shares",
    "number", "seconds",
]  # fmt: skip

AVERAGE = "average"
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key in the frame, its heading, how its cells are written, what it means.

    ``pick``: rows can be filtered by its values.
    """

    key: str
    head: str
    kind: Kind = "text"
    hint: str = ""
    pick: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A frame and how to read it.

    ``frame`` holds scores and differences in units of the score; cells are None where there is no
    number; an interval (of shares too) is a pair (low, high).  ``sources`` says of each row, and
    ``cell_sources`` of a (row, column key), where it is from; ``links`` maps a (row, column key) to
    an anchor.  The rows from ``foot`` on are below a line.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    frame: pd.DataFrame
    sources: tuple[str, ...] = ()
    cell_sources: Mapping[tuple[int, str], str] = field(default_factory=dict)
    links: Mapping[tuple[int, str], str] = field(default_factory=dict)
    foot: int | None = None
    search: bool = False

    def text(self, row: int, column: Column) -> str:
        """Return a cell as it is read."""
        return cell(self.frame.iloc[row][column.key], column.kind)

    def source(self, row: int, column: Column) -> str:
        """Return where a cell's number is from."""
        by_row = self.sources[row] if self.sources else ""
        return self.cell_sources.get((row, column.key), by_row)


def cell(value: Any, kind: Kind) -> str:
    """Return a value as it is read: scores and differences in points, a dash for none."""
    if value is None or value != value:
        return NOTHING
    write: dict[Kind, Callable[[Any], str]] = {
        "count": lambda v: f"{int(v):,}",
        "score": lambda v: f"{100 * v:.1f}",
        "delta": points,
        "interval": lambda v: interval(*v),
        "width": lambda v: f"{100 * v:.1f}",
        "sd": lambda v: f"{100 * v:.2f}",
        "p": formatting.p_value,
        "verdict": signed,
        "share": lambda v: f"{100 * v:.0f} %",
        "shares": lambda v: shares(*v),
        "number": lambda v: f"{v:.3g}" if abs(v) < 0.1 else f"{v:.3f}",
        "seconds": seconds,
    }
    return write.get(kind, str)(value)


def points(value: float) -> str:
    """Return a difference in points, with a sign that is as wide as a plus."""
    return _typeset(formatting.points(value))


def interval(low: float | None, high: float | None) -> str:
    """Return an interval in points."""
    return _typeset(formatting.interval(low, high))


def _typeset(text: str) -> str:
    return NOTHING if text == formatting.MISSING else text.replace("-", "−")


def shares(low: float | None, high: float | None) -> str:
    """Return an interval of shares in percent."""
    if low is None or high is None:
        return NOTHING
    return f"[{cell(low, 'share')}, {cell(high, 'share')}]".replace("-", "−")


def seconds(value: float) -> str:
    """Return a duration in the unit that fits it."""
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def signed(verdict: Verdict) -> str:
    """Return a verdict with its sign, so that it is not shown by colour alone."""
    return f"{verdict.sign} {verdict}".strip()


def frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    """Return a frame of rows; what is missing is None, whole numbers stay whole."""
    import pandas as pd

    keys = [column.key for column in columns]
    data = {key: [row.get(key) for row in rows] for key in keys}
    return pd.DataFrame(data, columns=keys, dtype=object)


def as_row(record: Any, columns: Sequence[Column]) -> dict[str, Any]:
    """Return the cells that a record has as attributes of the columns' keys."""
    keys = [column.key for column in columns]
    return {key: getattr(record, key) for key in keys if hasattr(record, key)}


def scores(by_benchmark: Mapping[str, Mapping[str, float]], arms: Mapping[str, ArmLine]) -> Table:
    """Return the table benchmark x arm with the macro average of the analysis below."""
    columns = [Column("benchmark", "Benchmark")]
    columns += [Column(arm, arm, "score", f"Mean of {arm} over its training seeds") for arm in arms]
    rows: list[dict[str, Any]] = [
        {"benchmark": name, **means} for name, means in by_benchmark.items()
    ]
    rows.append({"benchmark": AVERAGE} | {arm: line.mean for arm, line in arms.items()})
    cell_sources = {
        (number, arm): f"{arm} on {row['benchmark']}, mean over {line.seeds} seeds; see Per seed"
        for number, row in enumerate(rows)
        for arm, line in arms.items()
    }
    return Table(
        "scores",
        "Mean score of each arm, in percent",
        tuple(columns),
        frame(rows, columns),
        cell_sources=cell_sources,
        foot=len(rows) - 1,
    )


def level_of(share: float) -> str:
    """Return a level or a power as it is read."""
    return f"{100 * share:g} %"


def _difference(rules: Rules) -> tuple[tuple[Column, Column], Column]:
    """Return the columns of a difference and its interval, and of the smallest detectable one."""
    delta = Column("delta", "Δ", "delta", "Difference in points")
    hint = "Confidence interval of the difference, points"
    interval_ = Column("interval", f"{level_of(rules.level)} interval", "interval", hint)
    smallest = f"Smallest difference detectable with {level_of(rules.power)} power"
    return (delta, interval_), Column("mde", "MDE", "width", smallest)


def contrasts(lines: Sequence[Line], rules: Rules) -> Table:
    """Return the table of the contrasts, in the order in which they are tested."""
    delta, mde = _difference(rules)
    columns = (
        Column("kind", "Question", pick=True),
        Column("name", "Contrast"),
        *delta,
        Column("p", "p", "p", "Two-sided p of the difference; empty if an earlier gate failed"),
        Column("p_holm", "p (Holm)", "p", "Holm-adjusted over the data arms; decides the verdict"),
        Column("p_equivalence", "p (TOST)", "p", "p of the difference lying within the margin"),
        mde,
        Column(
            "alt_variance", "Other variance", "interval", "By the variance that was not planned"
        ),
        Column("boot", "Items resampled", "interval", "Hierarchical bootstrap: seeds and items"),
        Column("verdict", "Verdict", "verdict", pick=True),
    )
    rows = [
        {
            **as_row(line, columns),
            "interval": (line.low, line.high),
            "alt_variance": (line.alt_variance_low, line.alt_variance_high),
            "boot": (line.boot_low, line.boot_high),
            "verdict": line.verdict or Verdict.NOT_TESTED,
        }
        for line in lines
    ]
    return Table(
        "contrasts",
        "The contrasts of the macro average, in points",
        columns,
        frame(rows, columns),
        tuple(f"analysis.json, contrast {line.name}" for line in lines),
        search=True,
    )


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a difference on a benchmark: its name, seeds, mean score and invalid answers.

    ``over`` says what the means are taken over.
    """

    name: str
    seeds: int
    means: Mapping[str, float | None]
    invalid: Mapping[str, int]
    over: str = "seeds"


def benchmarks(
    id_: str,
    name: str,
    lines: Sequence[BenchmarkLine],
    plus: Side,
    minus: Side,
    rules: Rules,
) -> Table:
    """Return the table of one difference by benchmark.

    Args:
        id_: the table's anchor.
        name: the contrast's name.
        lines: one per benchmark.
        plus: the side that counts positive.
        minus: the other.
        rules: of the comparison: level of the intervals, power of the smallest difference.
    """
    delta, mde = _difference(rules)
    columns = (
        Column("benchmark", "Benchmark", pick=True),
        Column("items", "Items", "count", "Items with a score in every run"),
        Column("clusters", "Clusters", "count", "Groups of items that are not independent"),
        Column("seeds", "Seeds", "text", f"Training seeds of {plus.name} and {minus.name}"),
        Column("plus", plus.name, "score", f"Mean over {plus.over}, percent"),
        Column("minus", minus.name, "score", f"Mean over {minus.over}, percent"),
        *delta,
        Column("p", "p", "p", "Two-sided, of this benchmark alone"),
        Column("p_holm", "p (Holm)", "p", "Adjusted over the benchmarks; decides the verdict"),
        mde,
        Column("invalid", "Invalid", "count", "Answers without a usable prediction or score"),
        Column("verdict", "Verdict", "verdict", pick=True),
    )
    rows = [
        {
            **as_row(line, columns),
            "seeds": f"{plus.seeds} / {minus.seeds}",
            "plus": plus.means.get(line.benchmark),
            "minus": minus.means.get(line.benchmark),
            "interval": (line.low, line.high),
            "invalid": plus.invalid.get(line.benchmark, 0) + minus.invalid.get(line.benchmark, 0),
            "verdict": line.verdict or Verdict.NOT_TESTED,
        }
        for line in lines
    ]
    return Table(
        id_,
        f"{name} by benchmark: scores in percent, differences in points",
        columns,
        frame(rows, columns),
        tuple(f"contrast {name}, benchmark {line.benchmark}, {line.test}" for line in lines),
        search=True,
    )


def to_csv(tables: Sequence[Table]) -> str:
    """Return tables as one CSV: a column that names the table, and full-precision numbers.

    An interval ``key`` becomes two columns, ``key_low`` and ``key_high``.
    """
    import pandas as pd

    frames = [_bounds(table).assign(table=table.id, source=_sources(table)) for table in tables]
    whole = pd.concat(frames, ignore_index=True)
    first = ["table", "source"]
    return str(whole[first + [c for c in whole.columns if c not in first]].to_csv(index=False))


def _bounds(table: Table) -> pd.DataFrame:
    """Return a table's frame with two columns for each of intervals."""
    made = table.frame.copy()
    for column in table.columns:
        if column.kind in ("interval", "shares"):
            place, pairs = made.columns.get_loc(column.key), made.pop(column.key)
            for number, bound in enumerate(("low", "high")):
                made.insert(place + number, f"{column.key}_{bound}", [p[number] for p in pairs])
    return made


def _sources(table: Table) -> list[str]:
    return list(table.sources) or [""] * len(table.frame)


_LATEX = {
    **{"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_"},
    **{"{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"−": "$-$", "–": "--", "Δ": r"$\Delta$", "▲": r"$\uparrow$", "▼": r"$\downarrow$"},
    **{"<": "$<$", ">": "$>$", "±": r"$\pm$", "λ": r"$\lambda$"},
}


def latex(text: str) -> str:
    """Return a text for LaTeX; a character that a plain LaTeX does not know becomes a ``?``."""
    return "".join(_LATEX.get(c, c if c.isascii() else "?") for c in text)


def to_latex(tables: Sequence[Table]) -> str:
    r"""Return tables for ``\input``: plain LaTeX, no package is needed."""
    return "\n\n".join(_latex_table(table) for table in tables) + "\n"


def _latex_table(table: Table) -> str:
    left = ("text", "verdict", "interval", "shares")
    form = "".join("l" if c.kind in left else "r" for c in table.columns)
    lines = [
        r"\begin{table}",
        rf"\caption{{{latex(table.caption)}}}",
        rf"\label{{tab:{table.id}}}",
        rf"\begin{{tabular}}{{{form}}}",
        r"\hline",
        " & ".join(latex(column.head) for column in table.columns) + r" \\",
        r"\hline",
    ]
    for row in range(len(table.frame)):
        if row == table.foot:
            lines.append(r"\hline")
        # A cell that begins with [ would be read as the length after \\.
        cells = ["{}" + latex(table.text(row, column)) for column in table.columns]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", r"\end{table}"])
