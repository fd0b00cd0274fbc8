"""``harness pairs check`` and ``harness pairs template``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ablations.cli.pairs import built
from ablations.cli.pairs.soundness import show, soundness, soundness_options
from harness.cli import options
from harness.cli.options import FILE, option
from harness.cli.output import echo, print_result
from harness.files.atomic import write_text
from harness.files.text import counted

if TYPE_CHECKING:
    from benchmarks.pairs.selection import AnyPair


@click.command()
@click.argument("source")
@option("--model", str,
        "Checkpoint, or name at --endpoint, to ask about pairs; a checkpoint is also checked for A "
        "and B as single tokens and for special tokens in texts.")  # fmt: skip
@built.backend
@soundness_options
@built.rows
@options.as_json
def check(source: str, mapped: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Check every pair of SOURCE: a file, a data set's folder or hub id, or micro."""
    from ablations.data.check import survey
    from ablations.data.items import count_lines, row_counts
    from benchmarks.pair_sources import open_pairs

    template = given["pair_template"]
    columns, root = options.columns_of(mapped), given["image_root"]
    opened = open_pairs(source, columns=columns, image_root=root, template=template)
    counts: dict[str, Any] = survey(opened)
    counts["rows"] = row_counts(opened)
    if given["model"] and not given["endpoint"]:
        _check_model(opened, Path(given["model"]))
    document = soundness(opened, {**given, "mapped": mapped, "written": counts["written"]})
    if as_json:
        print_result(json.dumps(counts | document))
        return
    for line in [*count_lines(source, counts["rows"], "leave-out"), *_lines(counts, template)]:
        echo(line)
    show(document)


def _check_model(pairs: Sequence[AnyPair], folder: Path) -> None:
    from ablations.data.check import check_texts
    from ablations.settings import Settings
    from ablations.training.prompting import Prompter, check_letters

    check_letters(pairs[0], folder, Settings())
    check_texts(pairs, Prompter.load(folder, Settings()).special_tokens)


def _lines(counts: dict[str, Any], template: Path | None) -> Iterator[str]:
    """Yield the result of a check for people."""
    from ablations.data.check import tied_line

    yield f"{counted(counts['pairs'], 'pair')}, all complete, each with two different contexts"
    for name, number in counts["domains"].items():
        yield f"  {name:<22} {number}"
    written, lone = counts["written"], counts["one_order"]
    if separate := counts["pairs"] - written:
        known = counts["answers_negative"]
        yield f"  the other context's answer is known for {known} of {separate} with two contexts"
    if written:
        yield f"  written prompts: {written}, {written - lone} in both orders, {lone} in one"
    if template is not None:
        yield f"  {template} fits {counts['split']} of {counts['text_prompts']} prompts of text"
    if counts["tied"]:
        yield f"  {tied_line(counts['tied'])}"


@click.command()
@click.argument("source")
@options.columns
@option("--out", FILE, "File to write the template to  [default: it is printed]")
def template(source: str, mapped: tuple[str, ...], out: Path | None) -> None:
    """Propose a --pair-template for the written prompts of text in SOURCE.

    It is a regular expression with the groups query, answer, context_a and context_b, made of the
    lines that the prompts share: read it, correct it, and see with 'harness pairs check' how many
    prompts it fits.
    """
    from ablations.data.check import text_prompts
    from benchmarks.pair_sources import open_pairs
    from benchmarks.pairs.template import PairTemplate, propose

    prompts = text_prompts(open_pairs(source, columns=options.columns_of(mapped)))
    made = propose(prompts)
    fits = PairTemplate.of(made.text)
    number = sum(fits.exchanged(text) is not None for text in prompts)
    echo(f"it fits {number} of {len(prompts)} prompts of text in {source}", err=True)
    echo(f"its contexts were told from the rest by {made.contexts_by}: read it", err=True)
    if out is None:
        echo(made.text)
    else:
        write_text(out, f"{made.text}\n")
        echo(f"$ harness pairs check {source} --pair-template {out}")
