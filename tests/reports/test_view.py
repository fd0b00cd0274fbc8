"""``harness view``: what is paired and shown of items, the page on disk, and the server."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from socket import create_connection
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import suites
from harness.errors import UsageError
from harness.files.text import visible
from harness.records import ImagePart, Response, Sample, Score
from harness.runs.lookup import ShownAnswer
from harness.runs.store import SecondaryScore
from reports.read.flips import flips, target
from reports.view.contents import disagreements, entry, item, parts_of, shown_text, verdict
from reports.view.images import Prompts
from reports.view.items import open_view
from reports.view.serve import Server
from tests.commands import harness, modules_of, one_line
from tests.reports.viewed import ITEMS, SCRIPT, SIZES, images, name, opened, silent

STUDY = Path(__file__).parents[1] / "golden" / "stored" / "studies" / "trained"
GRPO = STUDY / "runs" / "grpo-seed-0" / "checkpoint-vqa12-102c17da"
CONTEXTRL = STUDY / "runs" / "contextrl-seed-0" / "checkpoint-vqa12-68356d1a"


def embedded(page: Path) -> tuple[dict[str, Any], list[Any]]:
    """Return the list and all items in full that a page holds."""
    blocks = re.findall(r'<script type="text/plain" id="([a-z]+)[^"]*">([^<]*)', page.read_text())
    values = [(kind, json.loads(gzip.decompress(base64.b64decode(text)))) for kind, text in blocks]
    full = [each for kind, value in values if kind == "chunk" for each in value]
    return values[0][1], full


def test_gains_losses_and_pairing_are_those_of_the_comparison() -> None:
    """The page of a comparison finds the same items gained and lost."""
    view = open_view([GRPO, CONTEXTRL])
    found = Counter(
        (place.benchmark, word)
        for place in view.places
        for word in entry(place, view.answers(place))["differs"]
    )
    before, after = (("A", view.runs[:1]), ("B", view.runs[1:]))
    known = flips(before, after, view.runs[0].rows, {})
    assert known.rows
    for benchmark, (gained, lost) in known.counts.items():
        assert (found[benchmark, "gained"], found[benchmark, "lost"]) == (gained, lost)


def test_an_item_holds_what_show_prints() -> None:
    view = open_view([GRPO], ["vstar"])
    for place in view.places[:5]:
        full = item(view, place, view.answers(place))
        shown = json.loads(harness("show", GRPO, f"vstar/{place.id}", "--json").stdout)
        (stored,), (answer,) = shown["samples"], full["sides"][0]["answers"]
        assert [part["text"] for each in full["prompt"] for part in each["parts"]] == stored[
            "prompt"
        ]
        assert json.loads(full["target_json"]) == stored["target"]
        assert answer["prediction"] == stored["score"]["prediction"]
        assert stored["score"]["why"] in answer["verdicts"][0]
        assert answer["verdicts"][1].startswith(f"native {stored['native']:g} ")
        assert "".join((answer["thought"] + answer["answer"]).split()) == "".join(
            stored["response"]["text"].split()
        )


VALUE = st.none() | st.sampled_from([0.0, 0.3, 0.5, 1.0])


def answers(side: list[tuple[float | None, float | None]]) -> list[ShownAnswer]:
    """Return a run's answers to an item with these strict and native scores."""
    made = []
    for n, (strict, native) in enumerate(side):
        score = Score(strict, "unscored" if strict is None else "scored", "A")
        sample = Sample("i", n, "c", (), ("?",), "A", Response("A"), score, "1")
        other = SecondaryScore("i", n, "", None, "rules", native)
        made.append(ShownAnswer("b", sample, other, judged=None, note="", source=None))
    return made


@given(st.lists(st.lists(st.tuples(VALUE, VALUE), max_size=3), min_size=2, max_size=2))
def test_verdicts_and_disagreements(sides: list[list[tuple[float | None, float | None]]]) -> None:
    shown = [answers(side) for side in sides]
    differs, words = list(disagreements(shown)), [verdict(side) for side in shown]
    assert [word == "not asked" for word in words] == [not side for side in sides]
    strict = [[one for one, _ in side if one is not None] for side in sides]
    native = [[two for _, two in side if two is not None] for side in sides]
    for word, of, other in zip(words, strict, native, strict=True):
        assert ("(native)" in word) == (not of and bool(other))
        assert word.startswith("right") == bool(set(of or other) == {1.0})
        assert word.startswith("wrong") == bool(set(of or other) == {0.0})
    compared = strict if all(strict) else native if not any(strict) and all(native) else None
    right = compared and [sum(of) / len(of) >= 0.5 for of in compared]
    assert ("gained" in differs) == (right == [False, True])
    assert ("lost" in differs) == (right == [True, False])
    assert ("in one run alone" in differs) == ((any(sides) and not all(sides)) or not any(sides))
    pairs = [(one, two) for side in sides for one, two in side if None not in (one, two)]
    apart = any((one >= 0.5) != (two >= 0.5) for one, two in pairs)
    assert ("strict and native disagree" in differs) == apart


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "b ", "\n", "`"])).map("".join))
def test_nothing_of_a_response_is_lost(text: str) -> None:
    thought, answer, whole = parts_of(Response(text))
    assert answer == Response(text).answer
    shown = thought if whole else thought + answer
    assert "".join(shown.split()) == "".join(text.split())


VALUES = st.recursive(
    st.text(st.characters(codec=None)) | st.none() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.just("k"), inner),
)


@given(VALUES)
def test_every_text_of_a_value_is_visible(value: Any) -> None:
    shown = shown_text(value)
    text = json.dumps(shown, ensure_ascii=False)
    assert visible(text) == text


@pytest.fixture(scope="module")
def page(viewed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of both runs."""
    path = tmp_path_factory.mktemp("view") / "items.html"
    words = ("view", viewed / "runs" / "one", viewed / "runs" / "two", "--out", path)
    done = harness(*words, "--suite", viewed / "own.jsonl")
    assert (done.returncode, done.stdout) == (0, f"{ITEMS} items\n{path}\n"), done.stderr
    return path


def test_a_page_holds_all_images_of_every_item_beside_it(page: Path) -> None:
    _, full = embedded(page)
    assert len(full) == ITEMS
    for number, each in enumerate(full):
        parts = [part for message in each["prompt"] for part in message["parts"]]
        shown = [part for part in parts if "image" in part]
        assert [(p["width"], p["height"]) for p in shown] == list(SIZES[: len(images(number))])
        for part in shown:
            path = page.parent / unquote(part["image"])
            assert path.resolve().is_relative_to(page.parent / "items_files")
            assert Image.open(path).size == (part["width"], part["height"])


def test_nothing_of_a_model_is_in_the_page_as_it_is(page: Path) -> None:
    text = page.read_text()
    assert 'title="owned"' not in text
    assert text.count("<script") == 2 + (ITEMS + 99) // 100  # the list, the chunks, our own
    index, full = embedded(page)
    assert SCRIPT in index["items"][4]["id"]
    assert "\\u202e" in index["items"][1]["id"]
    assert full[0]["show"] == "'own/it'\"'\"'s $(touch owned)'"
    long = full[7]["sides"][0]["answers"][0]["answer"]
    assert len(long) < 21_000
    assert "80000 characters are left out here" in long


def test_the_list_says_what_differs(page: Path) -> None:
    index, full = embedded(page)
    rows = index["items"]
    assert [row["differs"] for row in rows[-5:]] == [["in one run alone"]] * 5
    assert [row["verdicts"][1] for row in rows[-5:]] == ["not asked"] * 5
    for number, row in enumerate(rows[: ITEMS - 5]):
        before, after = number % 3 == 0, number % 2 == 0
        if number == 7:
            assert row["statuses"] == ["unparsable"]
            continue
        assert row["verdicts"] == ["right" if side else "wrong" for side in (before, after)]
        expected = [] if before == after else ["gained" if after else "lost"]
        assert row["differs"] == expected
        assert full[number]["sides"][0]["answers"][0]["thought"].startswith("<think>Item")


def test_images_are_found_where_a_manifest_does_not_tell_of_them(
    viewed: Path, tmp_path: Path
) -> None:
    """Older versions and imported logs recorded neither images in the prompt nor a conversion."""
    run = tmp_path / "run"
    shutil.copytree(viewed / "runs" / "one", run)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["benchmarks"]["own"]["image_conversion"] = None
    (run / "manifest.json").write_text(json.dumps(manifest))
    suites.suite(str(viewed / "own.jsonl"))
    view = open_view([run])
    prompts, place = Prompts(view, None), view.places[3]
    messages = prompts.messages(place, view.answers(place)[0][0].sample.prompt)
    assert [part.image.size for part in messages[0].content if isinstance(part, ImagePart)] == [
        *SIZES
    ]
    assert prompts.notes == {}


def test_without_its_data_a_run_is_shown_and_says_why(tmp_path: Path) -> None:
    done = harness("view", GRPO, "--out", tmp_path / "v.html", "--benchmarks", "vstar",
                   "--data-root", tmp_path)  # fmt: skip
    assert done.returncode == 0
    assert "vstar is shown without its images: no data for vstar" in done.stderr
    assert "vstar is shown without its images" in (tmp_path / "v.html").read_text()
    assert not (tmp_path / "v_files").exists()


def test_other_data_than_the_runs_is_not_shown(viewed: Path, tmp_path: Path) -> None:
    shutil.copytree(viewed, tmp_path / "copy")
    world = tmp_path / "copy"
    Image.new("RGB", (64, 64), "white").save(world / "0.png")
    done = harness("view", world / "runs" / "one", "--out", tmp_path / "v.html",
                   "--suite", world / "own.jsonl")  # fmt: skip
    assert "the data at hand is not that of the run" in done.stderr
    assert not (tmp_path / "v_files").exists()


@pytest.mark.parametrize("link", ["v_files", "v_files/own"])
def test_images_are_not_written_through_links(viewed: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(outside)
    done = harness("view", viewed / "runs" / "one", "--out", tmp_path / "v.html",
                   "--suite", viewed / "own.jsonl")  # fmt: skip
    assert done.returncode == 2
    assert "is a link" in done.stderr.splitlines()[-1]
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (["nowhere"], ["nowhere is not a folder"]),
        ([STUDY], ["is a study", "runs"]),
        ([GRPO, GRPO, GRPO], ["3 paths", "side by side"]),
        ([GRPO, "--benchmarks", "vstr"], ["vstr", "did you mean vstar?"]),
        ([GRPO, "--serve", "--out", "x.html"], ["--serve writes no page"]),
        ([GRPO, "--out", "/proc/no/x.html", "--no-images"], ["cannot write"]),
        ([Path(__file__)], ["is not what `harness compare --json` prints"]),
    ],
)
def test_a_wrong_word_is_one_line(words: list[object], pieces: list[str]) -> None:
    done = harness("view", *words)
    assert done.returncode == 2
    for piece in pieces:
        assert piece in done.stderr.splitlines()[-1]


def test_a_taken_port_is_one_line() -> None:
    with Server(open_view([GRPO], ["vstar"]), None) as server:
        done = harness("view", GRPO, "--serve", "--port", server.server_port)
    one_line(done, f"--port {server.server_port} cannot be opened")


def test_a_saved_comparison_names_its_runs(tmp_path: Path) -> None:
    saved = tmp_path / "c.json"
    saved.write_text(harness("compare", GRPO, CONTEXTRL, "--json").stdout)
    assert [run.path for run in open_view([saved]).runs] == [GRPO, CONTEXTRL]


def test_it_imports_nothing_heavy(tmp_path: Path) -> None:
    words = ("view", str(GRPO), "--out", str(tmp_path / "v.html"), "--data-root", str(tmp_path))
    assert not modules_of(*words) & {"torch", "lmms_eval", "transformers", "datasets"}


@pytest.fixture(scope="module")
def server(viewed: Path) -> Iterator[Server]:
    """Return a server of both runs that answers."""
    with Server(*opened(viewed)) as made:
        made.prepare(silent)
        thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def asked(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Return status and content of an answer; a path is below the token's unless it is whole."""
    whole = path if path.startswith("/") else urlsplit(server.url).path + path
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, whole, headers=headers)
    answer = connection.getresponse()
    assert answer.getheader("X-Content-Type-Options") == "nosniff" or answer.status == 501
    content = answer.read()
    connection.close()
    return answer.status, content


def test_the_server_tells_what_the_page_on_disk_holds(server: Server, page: Path) -> None:
    _, full = embedded(page)
    status, content = asked(server, "")
    assert status == 200
    assert b'id="chunk-0"' not in content
    served = json.loads(asked(server, "chunk/0")[1])
    sides = [each["sides"][0]["answers"][0]["answer"] for each in served]
    assert sides == [each["sides"][0]["answers"][0]["answer"] for each in full]
    for number in (0, 2, 7):
        prompt = json.loads(asked(server, f"prompt/{number}")[1]).get("prompt", [])
        parts = [part for message in prompt for part in message["parts"] if "image" in part]
        assert len(parts) == len(images(number))
        for part in parts:
            status, content = asked(server, part["image"])
            assert status == 200
            assert content.startswith((b"\x89PNG", b"\xff\xd8"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 403),
        ("/chunk/0", 403),
        ("/wrong/chunk/0", 403),
        ("chunk/1", 404),
        ("chunk/-1", 404),
        ("chunk/0/0", 404),
        ("chunk/9999999999", 404),
        ("image/1/7", 404),
        ("../../etc/passwd", 404),
        ("manifest.json", 404),
    ],
)
def test_the_server_tells_nothing_else(server: Server, path: str, status: int) -> None:
    assert asked(server, path)[0] == status


@pytest.mark.parametrize("path", ["/\xe9\xff/", "TOKEN/chunk/\xb2", "TOKEN/chunk/1\x002", "*"])
def test_bytes_that_are_no_address_are_refused(server: Server, path: str) -> None:
    line = path.replace("TOKEN", f"/{server.token}")
    with create_connection(server.server_address, timeout=10) as connection:
        connection.sendall(f"GET {line} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode("latin-1"))
        answer = connection.makefile("rb").read()
    assert re.match(rb"HTTP/1.1 4\d\d |<!DOCTYPE HTML>", answer)
    assert SCRIPT.encode() not in answer


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "a@127.0.0.1"]
)
def test_a_name_of_another_site_is_refused(server: Server, host: str) -> None:
    assert asked(server, "", Host=host)[0] == 403


def test_tunnels_and_loopback_names_are_not(server: Server) -> None:
    assert asked(server, "", Host="localhost:9999")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_only_reads(server: Server, method: str) -> None:
    assert asked(server, "", method)[0] == 501


def test_it_listens_on_loopback_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 32


def test_a_run_written_anew_is_one_line(viewed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(viewed / "runs" / "one", run)
    with Server(open_view([run]), None) as server:
        samples = run / "samples" / "own.jsonl"
        lines = samples.read_text().splitlines(keepends=True)
        samples.write_text("".join(reversed(lines)))
        with pytest.raises(UsageError, match=r"written anew|corrupt"):
            server.answer("chunk", 0)
    assert name(0) in lines[0]


NUMBERS = st.integers(-(10**400), 10**400) | st.floats(allow_nan=False)


@given(st.recursive(NUMBERS | st.none(), lambda inner: st.dictionaries(st.just("x"), inner)))
def test_any_stored_target_has_a_text(value: Any) -> None:
    text = json.dumps(value)
    if len(text) <= 300:
        assert json.loads(target(value)) == json.loads(target({"answer": value})) == value
    else:
        assert "characters are left out" in target(value)
