"""A person's decisions: the page shows what waits, and what it saves moves the pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ablations.pairs.build import BuildPlan, open_build
from tests.commands import harness, one_line

PLAN = BuildPlan("trajectories", {}, {})


def row(name: str, context: object = "<b>log</b> [MASKED]") -> dict[str, object]:
    return {
        "id": name, "domain": "d", "query": f"<script>alert('{name}')</script>", "answer": "fix",
        "context_positive": context, "context_negative": f"other log of {name}",
        "judge": {"opinion": "UNCERTAIN", "reasons": ["both"], "explanation": "Both fit."},
    }  # fmt: skip


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    with open_build(folder, PLAN) as opened:
        (folder / "images").mkdir()
        Image.new("RGB", (2, 2), "red").save(folder / "images" / "a.png")
        waiting = [row("a"), row("b"), row("c", [{"text": "see"}, {"image": "images/a.png"}])]
        opened.funnel.step("judged VALID", "pairs", 1)
        opened.finish([row("z")], waiting, [row("y")])
    return folder


def ids(build: Path, name: str) -> list[str]:
    return [json.loads(line)["id"] for line in (build / name).read_text().splitlines()]


def test_the_page_shows_every_uncertain_pair_and_runs_no_script_of_it(build: Path) -> None:
    done = harness("pairs", "review", build)
    assert done.returncode == 0, done.stderr
    page = (build / "review.html").read_text()
    assert str(build / "review.html") in done.stdout
    for name in "abc":
        assert f'data-id="{name}"' in page
    assert 'data-id="z"' not in page
    assert "<script>alert" not in page
    assert "&lt;b&gt;log&lt;/b&gt; [MASKED]" in page
    assert "Both fit." in page
    assert page.count("data:image/png;base64,") == 1
    assert "script-src 'sha256-" in page


def test_decisions_move_pairs_once_and_the_build_stays_finished(build: Path) -> None:
    decisions = build.parent / "decisions.json"
    decisions.write_text(json.dumps({"decisions": {"a": "accept", "c": "reject"}}))
    done = harness("pairs", "review", build, "--decisions", decisions, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["counts"] == {"pairs": 2, "uncertain": 1, "rejected": 2}
    assert document["funnel"][-1]["dropped"] == {"rejected": 1}
    again = harness("pairs", "review", build, "--decisions", decisions, "--json")
    assert json.loads(again.stdout) == document
    assert ids(build, "pairs.jsonl") == ["z", "a"]
    assert ids(build, "rejected.jsonl") == ["y", "c"]
    assert ids(build, "uncertain.jsonl") == ["b"]
    with open_build(build, PLAN) as opened:
        assert opened.finished == document


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("{", "not JSON"),
        ("[]", "no decisions"),
        ('{"decisions": {"q": "accept"}}', "no pair 'q'"),
        ('{"decisions": {"a": "maybe"}}', "not accept or reject"),
    ],
)
def test_wrong_decisions_are_one_line_and_change_nothing(
    build: Path, text: str, piece: str
) -> None:
    decisions = build.parent / "decisions.json"
    decisions.write_text(text)
    one_line(harness("pairs", "review", build, "--decisions", decisions), piece)
    assert ids(build, "uncertain.jsonl") == ["a", "b", "c"]


def test_a_folder_that_is_no_build_is_one_line(tmp_path: Path) -> None:
    one_line(harness("pairs", "review", tmp_path), "not a build of pairs")


def test_a_build_without_uncertain_pairs_says_so(tmp_path: Path) -> None:
    with open_build(tmp_path / "b", PLAN) as opened:
        opened.finish([row("z")])
    done = harness("pairs", "review", tmp_path / "b", "--json")
    assert json.loads(done.stdout) == {"uncertain": 0, "page": None}
