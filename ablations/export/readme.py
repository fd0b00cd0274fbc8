"""The README of a folder for SkyRL: its files, how to run it, what differs, what was not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablations.arms import Arm

REQUIREMENTS = "mpmath msgspec orjson"
"""What the scorers import, to be installed where SkyRL runs."""


def readme(arm: Arm, summary: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the text, in Markdown.

    Args:
        arm: what was exported.
        summary: what `ablations.export.skyrl.Export.write` returns.
        options: SkyRL's options with the recipe's numbers.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ablations.export", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("README.md.j2")
    return template.render(arm=arm, summary=summary, options=options, requirements=REQUIREMENTS)
