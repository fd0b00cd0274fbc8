"""Writes a `Page` as one self-contained HTML file.  All text of models is escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from reports.figures import Figure
from reports.pages import Page

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reports"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"coded": _coded, "breakable": _breakable}
    environment.globals["kind_of"] = lambda value: type(value).__name__
    return environment


def render(page: Page) -> str:
    """Return the page as HTML, with its style, script, figures and images in it."""
    script = _template("report.js")
    digest = hashlib.sha256(script.encode()).digest()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            style=_template("report.css"),
            script=script,
            # No other script runs, whatever a model wrote.
            script_hash=f"sha256-{base64.b64encode(digest).decode()}",
            version=version("contextrl-harness"),
            percent=lambda share: f"{100 * share:.0f} %",
        )
    )


def svg(figure: Figure) -> str:
    """Return the figure as an SVG file, in the light colours of the page's style."""
    light = dict(re.findall(r"--(\w+):(#\w+)", _template("report.css").partition("@media")[0]))
    macros = _environment().get_template("figures.svg.j2").module
    return re.sub(r"var\(--(\w+)\)", lambda m: light[m[1]], str(macros.file(figure)))  # type: ignore[attr-defined]


def _coded(text: str) -> Any:
    """Return our own text escaped, with code between backticks."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


def _breakable(text: str) -> Any:
    """Return a heading that may wrap after underscores: ids of benchmarks are long."""
    from markupsafe import Markup, escape

    return escape(text).replace("_", Markup("_<wbr>"))


def _template(name: str) -> str:
    return (files("reports") / "templates" / name).read_text(encoding="utf-8")
