"""Write a `Page` as one self-contained HTML file. All text from models is escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from reports.draw import inline
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
    environment.globals |= {"kind_of": lambda value: type(value).__name__, "drawings": inline}
    return environment


def render(page: Page) -> str:
    """Return the page as HTML, with style, script, figures and images embedded."""
    return render_template(
        "report",
        page=page,
        version=version("contextrl-harness"),
        percent=lambda share: f"{100 * share:.0f} %",
    )


def render_template(name: str, **values: Any) -> str:
    """Return a filled-in template, with its style and script embedded."""
    script = _template(f"{name}.js")
    digest = hashlib.sha256(script.encode()).digest()
    return (
        _environment()
        .get_template(f"{name}.html.j2")
        .render(
            style=_template("report.css"),
            script=script,
            # Allow no other script, whatever a model wrote.
            script_hash=f"sha256-{base64.b64encode(digest).decode()}",
            **values,
        )
    )


def _coded(text: str) -> Any:
    """Escape our own text, marking up code between backticks."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


def _breakable(text: str) -> Any:
    """Return a heading that may wrap after underscores, as benchmark ids are long."""
    from markupsafe import Markup, escape

    return escape(text).replace("_", Markup("_<wbr>"))


def _template(name: str) -> str:
    return (files("reports") / "templates" / name).read_text(encoding="utf-8")
