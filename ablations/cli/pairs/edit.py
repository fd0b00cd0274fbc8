"""``harness pairs edit``: pairs of an image and its edited copy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ablations.cli.pairs import built
from harness.cli import options
from harness.cli.options import COUNT, option
from harness.errors import UsageError

if TYPE_CHECKING:
    from ablations.pairs.build import Build
    from harness.protocols import Judge

NUMBER = 64


@click.command()
@click.argument("source")
@built.out
@option("--proposer", str, "Server of a vision-language model that proposes edits.", metavar="URL")
@option("--proposer-model", str, "Its model name.", metavar="M")
@option("--editor", str,
        "Image editor: a server with /v1/images/edits, or a diffusers pipeline (folder or hub id).",
        metavar="E")  # fmt: skip
@option("--editor-model", str, "The model at an editing server.", metavar="M")
@option("--checker", str, "Server of a vision-language model that answers about both images.",
        metavar="URL")  # fmt: skip
@option("--checker-model", str, "Its model name.", metavar="M")
@option("--largest-change", options.Share(), "Largest region that may change.", default="35%")
@option("--domain", str, "Domain of the pairs.", default="edited")
@option("--limit", COUNT, "Use only the first N items (micro: make N, by default 64).", metavar="N")
@built.seed
@options.columns
@options.as_json
def edit(source: str, out: Path, as_json: bool, **given: Any) -> int:
    """Build pairs by editing the images of SOURCE: items as for 'harness train --rl-data'.

    A model proposes an edit that changes the answer, an editor makes it, and only edits of one
    region without artefacts are kept.  With SOURCE micro the embedded world edits its own scenes.
    """
    from ablations.pairs.build import BuildPlan, open_build
    from benchmarks.pair_sources import content_of

    names = ("proposer_model", "editor", "editor_model", "checker_model", "largest_change",
             "domain", "limit")  # fmt: skip
    settings = {name: given[name] for name in names} | {"columns": list(given["mapped"])}
    content = content_of(source, options.columns_of(given["mapped"])) or source
    plan = BuildPlan("edit", settings, {"items": content}, given["seed"])
    checker = _server(given, "checker")
    with open_build(out, plan) as build:
        manifest = build.finished or _fill(build, source, checker, given)
    return built.shown(manifest, out, as_json=as_json)


def _fill(
    build: Build, source: str, checker: Judge | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    from ablations.data.items import open_items
    from ablations.pairs.editing.changes import Limits
    from ablations.pairs.editing.editors import editor
    from ablations.pairs.editing.edits import (
        Asking,
        build_edited,
        finish_edited,
        micro_edits,
        sources_of,
    )
    from benchmarks.micro.data.pairs import is_micro

    asking = Asking(checker, Limits(most=given["largest_change"]), given["domain"])
    proposer = _server(given, "proposer")
    if is_micro(source) and given["editor"] is None:
        made = micro_edits(given["limit"] or NUMBER, given["seed"])
        build.funnel.step("scenes that the micro world edited", "images", len(made))
        return finish_edited(build, made, asking, note=built.note)
    if proposer is None or given["editor"] is None:
        raise UsageError(
            "give --proposer, a server that proposes edits, and --editor, which makes them"
        )
    items = open_items(source, given["limit"], options.columns_of(given["mapped"]))
    makers = proposer, editor(given["editor"], given["editor_model"], _key(given["editor"]))
    return build_edited(build, sources_of(items), makers, asking, built.note)


def _server(given: Mapping[str, Any], role: str) -> Judge | None:
    """Return the server of a role and its model; the key is in ROLE_API_KEY."""
    from harness.protocols import Judge

    url, model = given[role], given[f"{role}_model"]
    if (url is None) != (model is None):
        raise UsageError(f"--{role} URL and --{role}-model M are needed together")
    return None if url is None else Judge(url, model, _key(url, role))


def _key(url: str, role: str = "editor") -> Any:
    from harness.backends.http.urls import base_url, key_for

    if not url.startswith(("http://", "https://")):
        return None
    return key_for(base_url(url), None, f"{role.upper()}_API_KEY", over_http=False)
