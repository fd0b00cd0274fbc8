"""What ``harness pairs check`` says of a set: shortcuts, repeats and contamination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ablations.cli.pairs import built
from harness.cli import options
from harness.cli.options import FILE, option
from harness.cli.output import echo
from harness.cli.tables import aligned, percent
from harness.errors import UsageError
from harness.files.text import counted

if TYPE_CHECKING:
    from benchmarks.pairs.selection import AnyPair

soundness_options = options.several(
    option("--rl-data", str, "--suite: also look for its items in these.", metavar="D"),
    option("--suite", str, "Look for the items of this suite or benchmark in the data.",
           metavar="S"),
    options.data_root,
    option("--tainted", FILE,
           "--suite: write the items that were found, for --exclude of compare and ablate.",
           metavar="FILE"),
    option("--ask", click.IntRange(0),
           "--model: ask it about the first N pairs, also with parts of the prompt blanked.",
           default=200, metavar="N"),
    option("--no-shortcuts", bool, "Only check the pairs' form, not whether they teach."),
)  # fmt: skip


def soundness(pairs: Sequence[AnyPair], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of all that makes the set unsound; ``given`` are `soundness_options`.

    ``given["written"]`` is the number of written prompts, whose parts cannot be blanked.
    `UsageError` if an option is wrong, or RL items cannot be read.
    """
    if given["suite"] is None and (given["rl_data"] or given["tainted"]):
        raise UsageError("--rl-data and --tainted need --suite: whose items to look for")
    document: dict[str, Any] = {}
    if not given["no_shortcuts"]:
        document |= _shortcuts(pairs, given)
    if given["suite"] is not None:
        document["contamination"] = _contamination(pairs, given)
    return document


def _shortcuts(pairs: Sequence[AnyPair], given: Mapping[str, Any]) -> dict[str, Any]:
    from ablations.pairs.soundness.contamination import of_pair, repeats
    from ablations.pairs.soundness.shortcuts import separated, shortcuts, written_keys
    from benchmarks.pairs.selection import WrittenPair
    from benchmarks.pairs.template import PairTemplate

    template = given["pair_template"] and PairTemplate.load(given["pair_template"])
    tied = [pair for pair in pairs if isinstance(pair, WrittenPair)] if given["written"] else []
    written = [separated(pair, template) for pair in tied]
    untested = written.count(None)
    apart = filter(None, (separated(pair, template) for pair in pairs))
    found = shortcuts(apart) if untested < len(pairs) else []
    found += written_keys(tied, written) if tied else []
    missed: list[str] = []
    if given["model"] and given["ask"]:
        from ablations.pairs.soundness.blanked import asked
        from harness.backends import open_model

        spec = built.spec(given, None)[1]
        some, opened = pairs[: given["ask"]], lambda: open_model(spec, built.note)
        answers, missed = asked(some, opened, template, note=built.note)
        found += answers
    return {
        "untested": untested,
        "not_asked": missed,
        "shortcuts": [asdict(test) for test in found],
        "alarms": [test.test for test in found if test.alarm],
        "notices": [test.test for test in found if test.notice],
        "repeats": repeats(pairs, [of_pair(pair) for pair in pairs]),
    }


def _contamination(pairs: Sequence[AnyPair], given: Mapping[str, Any]) -> dict[str, Any]:
    from ablations.data.items import open_items
    from ablations.pairs.soundness import contamination
    from benchmarks import suites

    sources = {"pairs": [contamination.of_pair(pair) for pair in pairs]}
    if given["rl_data"]:
        columns = options.columns_of(given["mapped"])
        opened = open_items(given["rl_data"], columns=columns, image_root=given["image_root"])
        sources["rl"] = [contamination.of_item(item) for item in opened]
    checked: dict[str, int] = {}
    unchecked: dict[str, str] = {}
    taints: list[contamination.Taint] = []
    for name in suites.resolve(given["suite"]):
        try:
            benchmark = suites.benchmark(name, given["data_root"])
            items = contamination.of_benchmark(benchmark)
        except UsageError as error:
            unchecked[name] = str(error)
            continue
        checked[name] = len(items)
        taints += contamination.tainted(name, items, sources)
    if not checked:
        raise UsageError(f"nothing to compare with: {next(iter(unchecked.values()))}")
    if given["tainted"]:
        contamination.write_taints(given["tainted"], taints)
    rows = [asdict(taint) for taint in taints]
    return {"checked": checked, "unchecked": unchecked, "tainted": rows}


def show(document: Mapping[str, Any]) -> None:
    """Print a document of `soundness`."""
    if "shortcuts" in document:
        _show_shortcuts(document)
    if "contamination" in document:
        _show_contamination(document["contamination"])


def _show_shortcuts(document: Mapping[str, Any]) -> None:
    if document["untested"]:
        echo(f"{counted(document['untested'], 'written prompt')} tested for letters only")
        if not document["shortcuts"]:
            return
    rows: list[tuple[str, ...]] = [("a reader that sees", "pairs", "right (%)", "low", "high", "")]
    for test in (test for test in document["shortcuts"] if test["pairs"]):
        cells = [
            "-" if test[name] is None else percent(test[name])
            for name in ("accuracy", "low", "high")
        ]
        mark = "SHORTCUT" if test["alarm"] else "notice" if test["notice"] else ""
        rows.append((f"{test['test']}: {test['sees']}", str(test["pairs"]), *cells, mark))
    echo("\n".join(["", *aligned(rows, left=(0, 5))]))
    if document["alarms"]:
        echo(
            f"shortcuts: {', '.join(document['alarms'])}. A model can learn these instead of "
            "reading the contexts"
        )
    else:
        echo("no shortcut found (chance is 50 %; intervals hold for all tests together)")
    if document["notices"]:
        echo(f"notice: above chance, which sound pairs may be: {', '.join(document['notices'])}")
    if missed := document["not_asked"]:
        echo(f"{counted(len(missed), 'question')} could not be asked; the first: {missed[0]}")
    if document["repeats"]:
        first = ", ".join(document["repeats"][0])
        echo(
            f"pairs that repeat each other: {counted(len(document['repeats']), 'group')}; the "
            f"first: {first}"
        )


def _show_contamination(found: Mapping[str, Any]) -> None:
    counts: dict[str, set[str]] = {name: set() for name in found["checked"]}
    for taint in found["tainted"]:
        counts[taint["benchmark"]].add(taint["item"])
    rows = [("benchmark", "items", "in the training data")]
    rows += [(name, str(n), str(len(counts[name]))) for name, n in found["checked"].items()]
    echo("\n".join(["", *aligned(rows)]))
    for name, reason in found["unchecked"].items():
        echo(f"not checked: {name} ({reason})")
