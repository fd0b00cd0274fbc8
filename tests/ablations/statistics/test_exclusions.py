"""--exclude: a comparison without some items is that of runs that never held them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ablations.statistics.comparison import sides as compare
from ablations.statistics.contrasts import Rules
from ablations.statistics.exclusions import read_exclusions
from harness.errors import UsageError
from reports import comparison_page
from reports.pages import Pictured
from tests.ablations.statistics.test_compare import EASY, HARD, Alone, made
from tests.commands import harness
from tests.sums import Sums

RULES = Rules(resamples=200)


def runs(out: Path, first: int) -> tuple[Path, Path]:
    """Two runs: B is right on the items 0 to 9, of which A is wrong, and on 30 it is not."""
    members = [Alone(60, id=EASY), Sums(80, id=HARD)]
    a = made(out, f"a{first}", frozenset({*range(0, 10), 70}), *members)
    return a, made(out, f"b{first}", frozenset({30}), *members)


def listed(path: Path, **items: list[str]) -> Path:
    rows = [{"benchmark": name, "item": item} for name in items for item in items[name]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_items_are_left_out_of_both_sides_and_the_mean_with_them_is_told(tmp_path: Path) -> None:
    a, b = runs(tmp_path, 0)
    every = compare.checkpoints(a, b, RULES)
    ids = [f"s{n}" for n in range(10)]
    exclude = read_exclusions(listed(tmp_path / "t.jsonl", easy=ids, other=["1"]))

    found = compare.excluding(lambda items: compare.checkpoints(a, b, RULES, items), exclude)
    easy, hard = found.benchmarks
    # 50 items are left, on one of which B is worse.
    assert (easy.items, easy.delta) == (50, pytest.approx(-1 / 50))
    assert (hard.items, hard.delta) == (80, every.benchmarks[1].delta)
    assert found.excluded == {"easy": 10}
    (told,) = found.with_all
    assert (told.delta, told.low, told.high) == (
        every.macro.delta,
        every.macro.low,
        every.macro.high,
    )
    assert (every.excluded, every.with_all) == ({}, ())


def test_items_that_were_not_compared_are_neither_gained_nor_lost(tmp_path: Path) -> None:
    """Of the items 0 to 9, which B gains, 5 are excluded; one that B lost has no score in A."""
    a, b = runs(tmp_path, 3)
    path = a / "samples" / f"{EASY}.jsonl"
    lines = path.read_text().splitlines()
    row = json.loads(lines[30])
    assert row["id"] == "s30"
    lines[30] = json.dumps({**row, "score": {**row["score"], "value": None, "status": "error"}})
    path.write_text("\n".join(lines) + "\n")
    (a / "summary.json").unlink()
    exclude = read_exclusions(listed(tmp_path / "t.jsonl", easy=[f"s{n}" for n in range(5)]))
    found = compare.checkpoints(a, b, RULES, exclude)
    assert found.left_out == {EASY: ("s0", "s1", "s2", "s3", "s30", "s4")}
    assert found.excluded == {EASY: 5}

    page = comparison_page.page(found, lambda _: {}, "a and b")
    (pictured,) = (b for s in page.sections for b in s.blocks if isinstance(b, Pictured))
    flipped = {flip.id for flip in pictured.flips.rows if flip.benchmark == EASY}
    assert flipped == {f"s{n}" for n in range(5, 10)}
    # An older document does not name them, and so shows none.
    older = comparison_page.page(replace(found, left_out={}), lambda _: {}, "a and b")
    assert not any(isinstance(b, Pictured) for s in older.sections for b in s.blocks)


def test_the_commands_say_what_was_left_out(tmp_path: Path) -> None:
    a, b = runs(tmp_path, 1)
    path = listed(tmp_path / "t.jsonl", easy=["s0", "s1"])
    text = harness("compare", a, b, "--exclude", path).stdout
    assert "items left out (--exclude): easy 2" in text
    assert "with them: B - A" in text
    document = json.loads(harness("compare", a, b, "--exclude", path, "--json").stdout)
    assert document["excluded"] == {"easy": 2}
    page = tmp_path / "page.html"
    harness("report", a, b, "--exclude", path, "--out", page)
    assert "Left out, because the training data hold them (--exclude): easy 2" in page.read_text()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"benchmark": "none", "item": "1"}', "the runs hold none of its items"),
        ('{"item": "1"}', "line 1: benchmark and item must be given"),
        ('{"benchmark": "easy", "item": 1}', "line 1: benchmark and item must be given as text"),
        ("[1]", "line 1 is not a JSON object"),
    ],
)
def test_a_wrong_list_is_one_line(content: str, says: str, tmp_path: Path) -> None:
    a, b = runs(tmp_path, 2)
    (tmp_path / "t.jsonl").write_text(content + "\n")
    with pytest.raises(UsageError, match=says) as caught:
        compare.excluding(
            lambda items: compare.checkpoints(a, b, RULES, items),
            read_exclusions(tmp_path / "t.jsonl"),
        )
    assert "\n" not in str(caught.value)
