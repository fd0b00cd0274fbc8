"""``harness pairs images``: pairs of similar images whose answers differ."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from ablations.cli.pairs import built
from harness.cli import options
from harness.cli.options import COUNT, option


@click.command()
@click.argument("source")
@built.out
@option("--embedding", str,
        "pixels or hog (no weights), a vision or vision-language checkpoint, or the URL of a "
        "server with /v1/embeddings.", default="hog", metavar="E")  # fmt: skip
@option("--embedding-model", str, "Model name at the embedding server.", metavar="M")
@option("--cosine", options.Finite(min=-1, max=1), "Smallest cosine of two images.", default=0.85)
@option("--top-k", COUNT, "Nearest neighbours per image.", default=10)
@option("--question", ["same", "equivalent", "any"],
        "Questions of a pair: the same words, the same but for articles and the like, or any (for "
        "a judge).", default="equivalent")  # fmt: skip
@option("--search", ["exact", "approximate"],
        "Nearest-neighbour search  [default: exact below 20,000 images]")  # fmt: skip
@option("--domain", str, "Domain of the pairs.", default="image")
@option("--limit", COUNT, "Use only the first N items.", metavar="N")
@built.seed
@options.judge
@options.columns
@options.as_json
def images(source: str, out: Path, as_json: bool, **given: Any) -> int:
    """Build pairs from SOURCE: question-image-answer items, as 'harness train --rl-data'.

    Two items make a pair if their images are alike and the answers to the question differ.
    docs/pairs.md describes the steps and the output.
    """
    from ablations.data.items import open_items
    from ablations.pairs.build import BuildPlan, open_build
    from ablations.pairs.similarity.embedding import embedding
    from ablations.pairs.similarity.images import Similar, build_similar
    from benchmarks.pair_sources import content_of

    judge = options.judge_given(SimpleNamespace(**given))
    items = open_items(source, given["limit"], options.columns_of(given["mapped"]))
    chosen = Similar(
        cosine=given["cosine"], k=given["top_k"], question=given["question"],
        search=given["search"], domain=given["domain"],
    )  # fmt: skip
    settings = {
        name: given[name]
        for name in "embedding embedding_model cosine top_k question search domain limit".split()
    }
    settings |= {"columns": list(given["mapped"]), "judge": judge and judge.model}
    content = content_of(source, options.columns_of(given["mapped"])) or source
    plan = BuildPlan("images", settings, {"items": content}, given["seed"])
    with open_build(out, plan) as build:
        manifest = build.finished
        if manifest is None:
            embed = embedding(given["embedding"], given["embedding_model"])
            manifest = build_similar(build, items, embed, chosen, judge, built.note)
    return built.shown(manifest, out, as_json=as_json)
