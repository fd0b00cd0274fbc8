"""Tables: rows of numbers, and what their columns mean.

HTML, LaTeX and CSV are written from the same rows; every number names its source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ablations.statistics.contrasts import Rules
from ablations.statistics.estimates import Verdict
from ablations.statistics.lines import ArmLine, BenchmarkLine, Line, Macro
from ablations.statistics.text import formatting
from harness.files.text import counted

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal[
    "text", "seeds", "count", "score", "bounds", "delta", "interval", "width", "sd", "p", "verdict",
    "share", "shares", "number", "seconds",
]  # fmt: skip
Row = Mapping[str, Any]

_ENDS = ("interval", "shares", "bounds")  # of a cell with two numbers
AVERAGE = "average"
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: key in the rows, heading, format, meaning, if to filter by, own source."""

    key: str
    head: str
    kind: Kind = "text"
    hint: str = ""
    pick: bool = False
    source: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its cell in a row; two for an interval."""
        if self.kind in _ENDS:
            return (f"{self.key}_low", f"{self.key}_high")
        return (self.key,)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and how to read them.

    ``rows`` hold scores and differences in units of the score by column key; None or missing if
    there is no number. ``source`` says where a row's numbers are from, with its values in braces. A
    row's ``anchor`` is the link target of its first cell. Rows from ``foot`` on are below a line.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    source: str = ""
    foot: int | None = None
    search: bool = False

    def text(self, row: Row, column: Column) -> str:
        """Return a cell's display text."""
        values = [row.get(key) for key in column.keys]
        return cell(values if len(values) > 1 else values[0], column.kind)

    def source_of(self, row: Row, column: Column) -> str:
        """Return the source of a cell's number."""
        return (column.source or self.source).format_map(row)

    def frame(self) -> pd.DataFrame:
        """Return the numbers in full precision, with their sources; an interval is two columns."""
        import pandas as pd

        rows = [
            {"table": self.id, "source": self.source.format_map(row), **row} for row in self.rows
        ]
        keys = [key for column in self.columns for key in column.keys]
        return pd.DataFrame(rows, columns=["table", "source", *keys], dtype=object)

    def number(self, row: Row, column: Column) -> str:
        """Return a cell's number (an interval's lower end) in full, for sorting; "" if none."""
        value = row.get(column.keys[0])
        return f"{value:.10g}" if isinstance(value, int | float) and value == value else ""


def points(value: float) -> str:
    """Return a difference in points, with a minus sign as wide as a plus."""
    return _typeset(formatting.points(value))


def interval(low: float | None, high: float | None) -> str:
    """Return an interval in points."""
    return _typeset(formatting.interval(low, high))


def difference(line: Line | Macro, alpha: float, unit: str = "") -> str:
    """Return a difference and the interval that decided its verdict, in points."""
    return f"{points(line.delta)}{unit} {_typeset(formatting.decisive(line, alpha))}"


def _typeset(text: str) -> str:
    return NOTHING if text == formatting.MISSING else text.replace("-", "−")


def _shares(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return NOTHING
    return f"[{100 * low:.0f} %, {100 * high:.0f} %]".replace("-", "−")


def seconds(value: float) -> str:
    """Return a duration in a suitable unit."""
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def signed(verdict: Verdict) -> str:
    """Return a verdict with its sign, so that it is not shown by colour alone."""
    return f"{verdict.sign} {verdict}".strip()


_WRITERS: dict[Kind, Callable[[Any], str]] = {
    "count": lambda v: v if isinstance(v, str) else f"{int(v):,}",  # may be "unknown"
    "score": lambda v: f"{100 * v:.1f}",
    "bounds": lambda ends: _typeset(formatting.score_interval(*ends)),
    "delta": points,
    "interval": lambda ends: interval(*ends),
    "width": formatting.width,
    "sd": lambda v: f"{100 * v:.2f}",
    "p": formatting.p_value,
    "verdict": signed,
    "share": lambda v: f"{100 * v:.0f} %",
    "shares": lambda ends: _shares(*ends),
    "number": lambda v: f"{v:.3g}" if abs(v) < 0.1 else f"{v:.3f}",
    "seconds": seconds,
}


def cell(value: Any, kind: Kind) -> str:
    """Return a value's display text: scores and differences in points, a dash for none."""
    return NOTHING if value is None or value != value else _WRITERS.get(kind, str)(value)


def level_of(share: float) -> str:
    """Return the display text of a level or a power."""
    return f"{100 * share:g} %"


def facts(
    id_: str, caption: str, head: str, values: Mapping[str, object], source: str = ""
) -> Table:
    """Return a table of two columns: names under ``head``, and their values."""
    rows = [{"what": what, "value": str(value)} for what, value in values.items()]
    columns = (Column("what", head), Column("value", "Value"))
    return Table(id_, caption, columns, rows, source)


def rules(values: Mapping[str, object]) -> Table:
    """Return the table of the rules that a result was judged by."""
    return facts("rules", "How it was judged", "Rule", values)


def scores(by_benchmark: Mapping[str, Mapping[str, float]], arms: Mapping[str, ArmLine]) -> Table:
    """Return the table benchmark x arm, with the analysis' macro averages at the bottom."""
    columns = [
        Column(arm, arm, "score", f"Mean of {arm} over its training seeds",
               source=f"{arm} on {{benchmark}}, mean over {counted(line.seeds, 'seed')}; "
               "see Per seed")
        for arm, line in arms.items()
    ]  # fmt: skip
    rows: list[Row] = [{"benchmark": name, **means} for name, means in by_benchmark.items()]
    rows.append({"benchmark": AVERAGE, **{arm: line.mean for arm, line in arms.items()}})
    columns.insert(0, Column("benchmark", "Benchmark"))
    caption = "Mean score of each arm, in percent"
    return Table("scores", caption, tuple(columns), rows, foot=len(rows) - 1)


def _difference(rules: Rules) -> tuple[tuple[Column, Column], Column]:
    """Return the columns of a difference and its interval, and of the minimal detectable effect."""
    delta = Column("delta", "Δ", "delta", "Difference in points")
    hint = "Confidence interval of the difference, points"
    interval_ = Column("interval", f"{level_of(rules.level)} interval", "interval", hint)
    smallest = f"Smallest difference detectable with {level_of(rules.power)} power"
    return (delta, interval_), Column("mde", "MDE", "width", smallest)


def _tost(rules: Rules) -> Column:
    hint = "Interval that TOST goes by: equivalent where it lies within the margin"
    return Column("tost", f"{level_of(rules.tost_level)} interval", "interval", hint)


def _difference_row(line: Line | BenchmarkLine) -> dict[str, Any]:
    return {
        **asdict(line),
        "interval_low": line.low,
        "interval_high": line.high,
        "verdict": line.verdict or Verdict.NOT_TESTED,
    }


def contrasts(id_: str, caption: str, lines: Sequence[Line], rules: Rules) -> Table:
    """Return the table of contrasts, in the order in which they are tested, or of checks."""
    delta, mde = _difference(rules)
    columns = (
        Column("kind", "Question", pick=True),
        Column("name", "Contrast"),
        *delta,
        Column("test", "Test", hint="What made the interval and p"),
        Column("p", "p", "p", "Two-sided p of the difference; empty if an earlier gate failed"),
        Column("p_holm", "p (Holm)", "p", "Holm-adjusted over the data arms; decides the verdict"),
        Column("p_equivalence", "p (TOST)", "p", "p of the difference lying within the margin"),
        _tost(rules),
        mde,
        Column("alt_variance", "Other variance", "interval",
               "By the variance that was not planned"),
        Column("boot", "Items resampled", "interval", "Hierarchical bootstrap: seeds and items"),
        Column("verdict", "Verdict", "verdict", pick=True),
    )  # fmt: skip
    rows = [_difference_row(line) for line in lines]
    return Table(id_, caption, columns, rows, "analysis.json, contrast {name}", search=True)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a difference by benchmark; ``over`` says what its means are taken over.

    Seeds and invalid answers are None or missing if unknown. ``bounds`` are the intervals of its
    scores, if known.
    """

    name: str
    seeds: int | None
    means: Mapping[str, float | None]
    invalid: Mapping[str, int]
    over: str = "seeds"
    bounds: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)

    def columns(self, key: str) -> tuple[Column, ...]:
        """Return the columns of its scores."""
        mean = Column(key, self.name, "score", f"Mean over {self.over}, percent")
        hint = f"Interval of {self.name}'s score on the items that are compared"
        interval_ = Column(f"{key}_interval", "Interval", "bounds", hint)
        return (mean, interval_) if self.bounds else (mean,)

    def cells(self, key: str, benchmark: str) -> dict[str, float | None]:
        """Return the cells of these columns."""
        low, high = self.bounds.get(benchmark, (None, None))
        cells = {key: self.means.get(benchmark)}
        ends = {f"{key}_interval_low": low, f"{key}_interval_high": high}
        return cells | (ends if self.bounds else {})


def benchmarks(
    id_: str, name: str, lines: Sequence[BenchmarkLine], plus: Side, minus: Side, rules: Rules
) -> Table:
    """Return the table of one difference, ``plus`` - ``minus``, by benchmark."""
    delta, mde = _difference(rules)
    columns = (
        Column("benchmark", "Benchmark", pick=True),
        Column("items", "Items", "count", "Items with a score in every run"),
        Column("clusters", "Clusters", "count", "Groups of items that are not independent"),
        Column("seeds", "Seeds", "seeds", f"Training seeds of {plus.name} and {minus.name}"),
        *plus.columns("plus"),
        *minus.columns("minus"),
        *delta,
        Column("p", "p", "p", "Two-sided, of this benchmark alone"),
        Column("p_holm", "p (Holm)", "p", "Adjusted over the benchmarks; decides the verdict"),
        _tost(rules),
        mde,
        Column("test", "Test", hint="What made the interval and p", pick=True),
        Column("invalid", "Invalid", "count", "Answers without a usable prediction or score"),
        Column("verdict", "Verdict", "verdict", pick=True),
    )
    rows = [_benchmark_row(line, plus, minus) | {"contrast": name} for line in lines]
    caption = f"{name} by benchmark: scores in percent, differences in points"
    source = "contrast {contrast}, benchmark {benchmark}, {test}"
    return Table(id_, caption, columns, rows, source, search=True)


def _benchmark_row(line: BenchmarkLine, plus: Side, minus: Side) -> dict[str, Any]:
    name = line.benchmark
    return _difference_row(line) | {
        "seeds": f"{plus.seeds or NOTHING} / {minus.seeds or NOTHING}",
        **plus.cells("plus", name),
        **minus.cells("minus", name),
        "invalid": plus.invalid[name] + minus.invalid[name] if name in plus.invalid else None,
    }


def to_csv(tables: Sequence[Table]) -> str:
    """Return tables as one CSV in full precision; intervals are two columns, texts `quoted`."""
    import pandas as pd

    frame = pd.concat([table.frame() for table in tables], ignore_index=True)
    # As objects: next to an empty cell, pandas would turn an integer 9 into 9.0.
    cells = [[quoted(cell) for cell in row] for row in frame.itertuples(index=False, name=None)]
    frame = pd.DataFrame(cells, columns=list(map(quoted, frame.columns)), dtype=object)
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text


def quoted(value: Any) -> Any:
    """Prefix text that a spreadsheet would run with a quote; other values are unchanged."""
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula else value


_LATEX = {
    **{"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_"},
    **{"{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"−": "$-$", "–": "--", "Δ": r"$\Delta$", "▲": r"$\uparrow$", "▼": r"$\downarrow$"},
    **{"<": "$<$", ">": "$>$", "±": r"$\pm$", "λ": r"$\lambda$"},
}


def latex(text: str) -> str:
    """Escape a text for LaTeX; characters unknown to plain LaTeX become ``?``."""
    return "".join(_LATEX.get(c, c if c.isascii() else "?") for c in text)


def to_latex(tables: Sequence[Table]) -> str:
    r"""Return tables for ``\input``: plain LaTeX without packages."""
    return "\n\n".join(_latex_table(table) for table in tables) + "\n"


def _latex_table(table: Table) -> str:
    left = ("text", "seeds", "verdict", *_ENDS)
    form = "".join("l" if c.kind in left else "r" for c in table.columns)
    # A cell starting with [ would be read as the length after \\.
    rows = [
        " & ".join("{}" + latex(table.text(row, column)) for column in table.columns) + r" \\"
        for row in table.rows
    ]
    if table.foot is not None:
        rows.insert(table.foot, r"\hline")
    return "\n".join([
        r"\begin{table}",
        rf"\caption{{{latex(table.caption)}}}",
        rf"\label{{tab:{table.id}}}",
        rf"\begin{{tabular}}{{{form}}}",
        r"\hline",
        " & ".join(latex(column.head) for column in table.columns) + r" \\",
        r"\hline",
        *rows,
        r"\hline",
        r"\end{tabular}",
        r"\end{table}",
    ])  # fmt: skip
