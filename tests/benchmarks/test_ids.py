"""``--ids``: parts of one run by name, outside its key, and what is left out is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Finished, harness, one_line
from tests.servers import Reply, ScriptedServer


class Runs:
    """Runs on two tables of questions, each with the ids a to e, all answered with A."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        for name in ("one", "two"):
            rows = [{"id": i, "question": "Q", "A": "x", "B": "y", "answer": "A"} for i in "abcde"]
            (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def __call__(self, *words: str) -> Finished:
        suite = f"{self.folder / 'one.jsonl'},{self.folder / 'two.jsonl'}"
        command = ("run", "--model", "scripted", "--endpoint", self.url, "--suite", suite)
        return harness(*command, "--out", self.folder / "runs", *words)

    def rows(self, *words: str) -> dict[str, Any]:
        done = self(*words, "--json", "--items")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        return {row["benchmark"]: row for row in document["benchmarks"]} | {"run": document["run"]}


def ids(row: Any) -> list[str]:
    return sorted(item["id"] for item in row["items"])


def test_ids_fill_parts_of_one_run(tmp_path: Path) -> None:
    with ScriptedServer(lambda request: Reply("A")) as server:
        run = Runs(tmp_path, server.url)
        first = run.rows("--ids", "b,two/d")
        assert (ids(first["one"]), ids(first["two"])) == (["b"], ["b", "d"])
        assert (first["one"]["n_data"], len(server.requests)) == (5, 3)
        again = run.rows("--ids", "b,two/d")
        assert (again, len(server.requests)) == (first, 3)
        (tmp_path / "ids.txt").write_text("two/e\n\ntwo/d\n")
        more = run.rows("--ids", f"@{tmp_path / 'ids.txt'}", "--limit", "1")
        assert ("one" in more, ids(more["two"]), len(server.requests)) == (False, ["b", "d"], 3)
        both = run.rows("--limit", "2")
        assert (ids(both["one"]), ids(both["two"])) == (["a", "b"], ["a", "b", "d"])
        whole = run("--limit", "4").stdout
        assert "one: 4 of 5 items" in whole
        assert "two: 4 of 5 items" in whole
        full = run.rows()
        assert (full["run"], full["one"]["n"], len(server.requests)) == (first["run"], 5, 10)
        assert "of 5 items" not in run().stdout
        assert len(list((tmp_path / "runs").iterdir())) == 1
        dry = run("--ids", "one/a", "--dry-run").stdout
        assert "1 of 5 items, 4 left out" in dry
        assert "--- one/a" in dry


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("aa", "did you mean a?"),
        ("one/zzz", "(5 items)"),
        (" , ", "no id is there"),
        ("@gone.txt", "No such file"),
    ],
)
def test_an_id_that_is_no_item_is_one_line(tmp_path: Path, words: str, message: str) -> None:
    run = Runs(tmp_path, "http://127.0.0.1:9/v1")
    assert message in one_line(run("--ids", words))
