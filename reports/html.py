"""Writes a `Page` as one self-contained HTML file.  All text of models is escaped."""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from reports.pages import Page
from reports.read.runs import slug
from reports.tables import Column, Table, cell

# Columns of text that hold numbers: counts of seeds.
_NUMERIC = ("seeds",)


def render(page: Page) -> str:
    """Return the page as HTML, with its style, script, figures and images in it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reports"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["coded"] = _coded
    environment.filters["breakable"] = _breakable
    script = _template("report.js")
    return environment.get_template("report.html.j2").render(
        page=page,
        style=_template("report.css"),
        script=script,
        # No other script runs, whatever a model wrote.
        script_hash=_hash(script),
        version=version("contextrl-harness"),
        numeric=_NUMERIC,
        anchor=lambda text: f"run-{slug(text)}",
        kind_of=lambda block: type(block).__name__,
        percent=lambda share: f"{100 * share:.0f} %",
        raw=_raw,
    )


def _coded(text: str) -> Any:
    """Return a paragraph of ours with what stands between backticks as code, all escaped."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


def _breakable(text: str) -> Any:
    """Return a heading that may be broken after its underscores: a benchmark's id is long."""
    from markupsafe import Markup, escape

    return escape(text).replace("_", Markup("_<wbr>"))


def _template(name: str) -> str:
    return (files("reports") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _raw(table: Table, row: int, column: Column) -> str:
    """Return a cell's number (of an interval the lower end) in full, for sorting."""
    value: Any = table.frame.iloc[row][column.key]
    if column.kind in ("interval", "shares"):
        value = value[0]
    return "" if cell(value, "text") == cell(None, "text") else f"{value:.10g}"
