"""Texts of models, servers and data are shown, never obeyed: terminal, page, CSV and LaTeX."""

from __future__ import annotations

import ast
import csv
import io
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.files.text import visible
from reports.tables import Column, Table, to_csv
from tests.commands import harness as command
from tests.servers import ScriptedServer

ROOT = Path(harness.__file__).parents[1]
CLIPBOARD, TITLE, REVERSED = "\x1b]52;c;aGk=\x07", "\x1b]0;owned\x07", "\u202egnp.exe"
HOSTILE = (CLIPBOARD, TITLE, REVERSED, "\x9b31m", "\r0 errors", "\x08\x08", "\x7f", "\u2066x")


@given(st.text(st.characters(codec=None)))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = visible(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs") or c in "\n\t" for c in shown)
    assert all(unicodedata.bidirectional(c) not in BIDI for c in shown)
    assert visible(shown) == shown
    shown.encode()


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text(st.characters(codec=None, exclude_categories=("Cs",))))
def test_a_json_document_says_the_same(text: str) -> None:
    assert json.loads(visible(json.dumps([text], ensure_ascii=False))) == [text]


@pytest.mark.parametrize("text", ["Größe 5 µm", "مرحبا", "答案是 B", "👩‍👩‍👧", "a\n\tb", "x²"])
def test_ordinary_text_stays(text: str) -> None:
    assert visible(text) == text


def test_every_line_of_every_command_goes_through_it() -> None:
    """No call of click.echo, click.secho, print or a stream's write but in the few places."""
    allowed = {"harness/cli/output.py", "harness/cli/progress.py", "ablations/study/children.py"}
    separate = ("micro/model/build.py", "install/", "container_worker.py")  # programs of our own
    wrong = []
    for path in (
        p
        for d in ("harness", "benchmarks", "ablations", "reports")
        for p in (ROOT / d).rglob("*.py")
    ):
        name = path.relative_to(ROOT).as_posix()
        if name in allowed or any(part in name for part in separate):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in {"print", "click.echo", "click.secho"} or called.startswith(
                    ("sys.stdout.write", "sys.stderr.write")
                ):
                    wrong.append(f"{name}:{node.lineno}: {called}")
    assert wrong == []


def test_commands_show_what_a_server_sends(tmp_path: Path, micro_data: Path) -> None:
    """A run, its items, its page and an error line, with every hostile text in the answers."""
    name = f"model{CLIPBOARD}"
    with ScriptedServer(lambda _: "".join(HOSTILE) + "\nAnswer: A", models=(name,)) as server:
        run = ["run", "--model", name, "--endpoint", server.url, "--benchmarks", "vstar",
               "--suite", "vqa12", "--limit", "2", "--no-native", "--data-root", micro_data,
               "--out", tmp_path / "runs"]  # fmt: skip
        done = [command(*run), command(*run, "--json", "--items")]
    (folder,) = (tmp_path / "runs").iterdir()
    done += [command("show", folder, "vstar/0"), command("show", folder, f"vstar/{TITLE}")]
    done.append(command("report", folder, "--out", tmp_path / "page.html"))
    done.append(command("view", folder, "--no-images", "--out", tmp_path / "view.html"))
    texts = [text for d in done for text in (d.stdout, d.stderr)]
    texts.append((tmp_path / "view.html").read_text(encoding="utf-8"))
    texts.append((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert any("u001b]52" in text for text in texts)
    for text in texts:
        assert visible(text) == text


def test_a_cell_is_no_formula() -> None:
    columns = (Column("item", "item"), Column("=x", "=x"), Column("n", "n", "number"))
    texts = ("=1+1", "+1", "-1", "@x", "\t=1", "ok")
    rows = [{"item": text, "=x": "-", "n": -1.5} for text in texts]
    read = list(csv.DictReader(io.StringIO(to_csv([Table("t", "T", columns, rows)]))))
    assert [row["item"] for row in read] == [*(f"'{text}" for text in texts[:-1]), "ok"]
    assert [row["'=x"] for row in read] == ["'-"] * 6
    assert [row["n"] for row in read] == ["-1.5"] * 6
