"""``harness pairs filter``: keep the pairs of the right difficulty for a model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import click

from ablations.cli.pairs import built
from harness.cli import options
from harness.cli.options import COUNT, option

SHARE = click.FloatRange(0, 1)


@click.command(name="filter")
@click.argument("source")
@built.out
@option("--model", str, "Checkpoint folder, Hub id, or name served at --endpoint.", required=True)
@built.backend
@option("--by", ["letters", "logprobs"],
        "Read the choice from the letter generated, or from log-probabilities.",
        default="letters")  # fmt: skip
@option("--tries", COUNT, "letters: answers per pair, half of them in either order.", default=8)
@option("--keep", (SHARE, SHARE), "Lowest and highest share of right choices.",
        default=(0.25, 0.63), metavar="LOW HIGH")  # fmt: skip
@option("--temperature", options.Finite(min=0), "letters: sampling temperature.", default=1.0)
@option("--max-tokens", COUNT, "letters: token limit per answer.", default=2048)
@option("--limit", COUNT, "Look at the first N pairs only.")
@option("--concurrency", COUNT, "Concurrent requests.", default=64)
@built.seed
@built.rows
@options.as_json
def filter_(source: str, **given: Any) -> int:
    """Keep the pairs of SOURCE that the model to be trained finds neither easy nor hopeless.

    SOURCE is as for 'harness pairs check'.  The result suits this model only.
    """
    from ablations.pairs.build import open_build
    from ablations.pairs.filter import Asking, Settings, filter_pairs, plan_of
    from harness.backends import open_model

    values = SimpleNamespace(**given)
    asked = (values.by, values.tries, *values.keep, values.temperature, values.max_tokens)
    settings = Settings(*asked)
    pairs, content = _opened(source, values)
    identity, spec = built.spec(given, values.out)
    plan = plan_of(content, identity.fingerprint, settings, values.seed)
    with open_build(values.out, plan) as build:
        asking = Asking(lambda: open_model(spec, built.note), values.concurrency, built.note)
        manifest = build.finished or filter_pairs(build, pairs, settings, asking)
    return built.shown(manifest, values.out, as_json=values.as_json)


def _opened(source: str, values: SimpleNamespace) -> tuple[Any, str]:
    """Return the pairs of a source, and what identifies them."""
    from benchmarks.pair_sources import content_of, open_pairs
    from harness.files.hashing import file_hash, json_hash

    columns, root = options.columns_of(values.mapped), values.image_root
    template = values.pair_template
    pairs = open_pairs(source, columns=columns, image_root=root, template=template)
    if values.limit is not None:
        pairs = pairs[: values.limit]
    rules = [] if template is None else [file_hash(template)]
    content = content_of(source, columns, root)
    return pairs, json_hash([content, len(pairs), values.mapped, *rules])
