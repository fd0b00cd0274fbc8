"""The command line as a user meets it: as a process, against a real server, on embedded data."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.micro.prepare import LABEL, label
from benchmarks.suites import SUITES
from harness.cli.main import SILENT
from harness.install.doctor import checkpoint
from tests.commands import PROGRAM, ROOT, harness, modules_of, one_line
from tests.servers import Reply, Request, ScriptedServer

HEAVY = ("torch", "transformers", "datasets", "lmms_eval", "vllm", "PIL", "numpy", "pandas")


def letter(request: Request) -> Reply:
    """Answer with a letter or a number that hangs on the question alone."""
    dice = random.Random(hashlib.sha256(request.text.encode()).digest())
    text = dice.choice(["A", "B", "(C)", "The answer is D.", "\\boxed{2}", "no idea at all"])
    return Reply(text, delay=0.02)


def run_words(server: ScriptedServer, data: Path, out: Path) -> list[object]:
    return ["run", "--model", "scripted", "--endpoint", server.url, "--data-root", data,
            "--out", out, "--suite", "vqa12", "--max-tokens", 16]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, micro_data: Path):  # type: ignore[no-untyped-def]
    """A whole run of vqa12: its words, its standard output, and the requests that it took."""
    out = tmp_path_factory.mktemp("runs")
    with ScriptedServer(letter) as server:
        words = run_words(server, micro_data, out)
        done = harness(*words, "--json", "--items")
        assert done.returncode == 0, done.stderr
        yield words, json.loads(done.stdout), len(server.requests), done.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["list"], ["list", "--json"]])
def test_what_needs_nothing_imports_nothing_heavy(words: list[str]) -> None:
    assert modules_of(*words).isdisjoint(HEAVY)


def test_run_json_has_the_documented_shape(finished) -> None:  # type: ignore[no-untyped-def]
    _, document, requests, _ = finished
    rows = document["benchmarks"]
    assert [row["benchmark"] for row in rows] == list(SUITES["vqa12"])
    assert requests == sum(row["n"] for row in rows)
    for row in rows:
        values = [item["value"] for item in row["items"]]
        assert row["n"] == len(values) >= 24
        assert all(0 <= value <= 1 for value in values)
        assert row["strict"] == pytest.approx(sum(values) / len(values))
        statuses = [item["status"] for item in row["items"]]
        assert row["unparsable"] == statuses.count("unparsable")
        assert row["errors"] == row["unscored"] == 0
        assert {"id", "repeat", "value", "status", "prediction"} <= set(row["items"][0])
    pro = next(row for row in rows if row["benchmark"] == "mmmu_pro")
    assert set(pro["parts"]) == {"standard", "vision"}
    assert pro["strict"] == pytest.approx(sum(pro["parts"].values()) / 2)


def test_native_stands_apart_and_is_missing_where_a_judge_is_needed(finished) -> None:  # type: ignore[no-untyped-def]
    rows = {row["benchmark"]: row for row in finished[1]["benchmarks"]}
    for name in ("mathvision", "mmmu", "vstar", "mmstar", "blink", "scienceqa"):
        assert rows[name]["native"] is not None
    for name in ("mathvista", "mathverse", "phyx", "olympiadbench_physics"):
        assert (rows[name]["native"], rows[name]["native_n"]) == (None, 0)


def test_progress_goes_to_standard_error(finished) -> None:  # type: ignore[no-untyped-def]
    assert "mathvision: " in finished[3]


def test_a_second_run_is_finished_and_imports_no_torch(finished) -> None:  # type: ignore[no-untyped-def]
    # The server is not asked (its port may be dead), nothing heavy is loaded.
    words = finished[0]
    assert modules_of(*words, "--json").isdisjoint(set(HEAVY) - {"numpy"})
    table = harness(*words)
    assert table.returncode == 0
    first = table.stdout.splitlines()[0].split()
    assert first[:4] == ["benchmark", "strict", "native", "items"]
    assert "mean of 12" in table.stdout


@pytest.mark.slow
def test_a_judge_gives_native_scores_and_is_asked_first(finished) -> None:  # type: ignore[no-untyped-def]
    # The run of the fixture is complete: only the judge's verdicts are missing.
    words = finished[0]
    down = ["--judge", "http://127.0.0.1:9", "--judge-model", "scripted"]
    one_line(harness(*words, *down), "http://127.0.0.1:9")
    with ScriptedServer(lambda request: "0") as judge:
        asked = ["--judge", judge.url, "--judge-model", "scripted", "--benchmarks", "mathverse"]
        done = harness(*words, *asked, "--json")
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)["benchmarks"]
        assert (row["native"], row["native_n"]) == (0.0, row["n"])
        assert (row["judged"], row["judged_n"], row["unscored"]) == (0.0, row["n"], 0)
        before = len(judge.requests)
        assert before >= row["n"]
        assert harness(*words, *asked, "--json").stdout == done.stdout
        assert len(judge.requests) == before


def test_show_prints_one_item_in_full(finished) -> None:  # type: ignore[no-untyped-def]
    run = finished[1]["run"]
    item = next(r for r in finished[1]["benchmarks"] if r["benchmark"] == "vstar")["items"][0]
    shown = harness("show", run, f"vstar/{item['id']}")
    assert shown.returncode == 0
    for piece in ("<image ", "--- response", "prediction:", "target:", "why:"):
        assert piece in shown.stdout
    document = json.loads(harness("show", run, f"vstar/{item['id']}", "--json").stdout)
    (sample,) = document["samples"]
    assert sample["score"]["value"] == item["value"]
    assert (sample["native"], sample["judged"]) == (item["native"], None)
    assert "'prediction': " in sample["native_why"]
    assert sample["native_by"].startswith("lmms-eval 0.7.3")


def test_score_gives_what_run_gave(finished, micro_data: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run = Path(finished[1]["run"])
    rows = [json.loads(line) for line in (run / "samples" / "mathvision.jsonl").open()]
    responses = tmp_path / "responses.jsonl"
    responses.write_text(
        "".join(
            json.dumps({"id": row["id"], "response": row["response"]["text"]}) + "\n"
            for row in rows
        )
    )
    words = ["score", "mathvision", responses, "--data-root", micro_data, "--out", tmp_path]
    done = harness(*words, "--json")
    assert done.returncode == 0, done.stderr
    (scored,) = json.loads(done.stdout)["benchmarks"]
    (ran,) = [r for r in finished[1]["benchmarks"] if r["benchmark"] == "mathvision"]
    key = lambda item: item["id"]  # noqa: E731
    assert sorted(scored["items"], key=key) == sorted(ran["items"], key=key)
    assert scored["native"] == ran["native"]


@pytest.mark.slow
def test_results_on_the_micro_world_are_labelled_everywhere(
    micro_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(micro_data / "vstar", data / "vstar")
    label(data)
    runs = []
    for letter in "AB":
        rows = [{"id": str(number), "response": letter} for number in range(24)]
        responses = tmp_path / f"{letter}.jsonl"
        responses.write_text("\n".join(map(json.dumps, rows)))
        words = ("score", "vstar", responses, "--data-root", data, "--out", tmp_path / "runs")
        document = json.loads(harness(*words, "--json").stdout)
        assert [row["note"] for row in document["benchmarks"]] == [LABEL]
        runs.append(document["run"])
    assert f"note: {LABEL}" in harness("show", runs[0], "3").stdout
    assert f"note: vstar: {LABEL}" in harness("compare", *runs).stdout
    assert harness("report", *runs, "--out", tmp_path / "report.html").returncode == 0
    assert (tmp_path / "report.html").read_text().count(f"vstar: {LABEL}") == 1


def test_dry_run_asks_nothing_and_shows_prompts(micro_data: Path, tmp_path: Path) -> None:
    with ScriptedServer(letter) as server:
        done = harness(*run_words(server, micro_data, tmp_path), "--dry-run", "--limit", 5)
        assert done.returncode == 0, done.stderr
        assert server.requests == []
    assert done.stdout.count("--- ") == 3
    assert "5 pending" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_image_that_does_not_decode_is_one_error(micro_data: Path, tmp_path: Path) -> None:
    import datasets

    data = tmp_path / "data"
    tables = datasets.load_from_disk(str(micro_data / "vstar"))
    split = tables["test"].cast_column("image", datasets.Image(decode=False))
    broken = split.map(
        lambda row, number: {"image": {"bytes": b"no image", "path": None}} if number == 3 else {},
        with_indices=True,
    ).cast_column("image", datasets.Image())
    datasets.DatasetDict({"test": broken}).save_to_disk(str(data / "vstar"))
    with ScriptedServer(letter) as server:
        words = run_words(server, data, tmp_path / "runs")
        done = harness(*words, "--benchmarks", "vstar", "--json", "--items")
        table = harness(*words, "--benchmarks", "vstar")
        again = harness(*words, "--benchmarks", "vstar", "--max-errors", "5%")
        one_line(harness(*words, "--max-errors", "105%"), "'105%' is not a share")
    # 1 of 24 is more than 1 %, and everything is stored and printed all the same.
    assert done.returncode == 2
    too_many = "harness: more errors than --max-errors 0.01 allows: vstar 1 of 24 (4.2%); all "
    assert done.stderr.splitlines()[-1].startswith(too_many)
    assert again.returncode == 0, again.stderr
    (row,) = json.loads(done.stdout)["benchmarks"]
    assert (row["errors"], row["n"]) == (1, 24)
    assert [item["status"] for item in row["items"]].count("error") == 1
    assert table.stdout.startswith("1 response failed")


def test_bad_input_is_one_line(micro_data: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    run = ["run", "--suite", "vqa12", "--data-root", micro_data, "--out", tmp_path / "runs"]
    one_line(harness(*run, "--model", empty), "config.json")
    one_line(harness(*run, "--model", tmp_path / "nothing"), "no checkpoint folder")
    served = ["--model", "m", "--endpoint", "http://127.0.0.1:9"]
    one_line(harness(*run, *served, "--benchmarks", "mathvison"), "mathvision")
    one_line(harness("run", "--suite", "vqa21", *served), "vqa12")
    one_line(harness("run", "--suite", "vqa12", "--data-root", empty, *served), "harness data pull")
    one_line(harness(*run, *served, "--judge", "http://127.0.0.1:9"), "--judge-model")
    one_line(harness(*run, *served, "--max-tokens", "many"), "native")
    one_line(harness(*run, *served, "--max-tokens", "²"), "native")
    one_line(harness(*run, *served, "--temperature", "nan"), "--temperature")
    judge = ["--judge", "http://127.0.0.1:9", "--judge-model", "j"]
    one_line(harness(*run, *served, "--benchmarks", "vstar", *judge), "none of the selected")
    one_line(harness(*run, "--model", empty, "--revision", "main"), "--revision")
    one_line(harness("list", "--options", "--json"), "--options")
    secret = ["--model", "m", "--endpoint", "http://me:hidden@localhost:9"]
    one_line(harness(*run, *secret, "--benchmarks", "vstar"), "--api-key-env")
    unset = ["--api-key-env", "HARNESS_TEST_UNSET"]
    one_line(harness(*run, *served, *unset), "HARNESS_TEST_UNSET is not set")
    one_line(harness(*run, "--model", empty, *unset), "--api-key-env has no effect")
    one_line(harness(*run, *served, "--judge-key-env", "X"), "--judge-key-env has no effect")
    assert not (tmp_path / "runs").exists()
    one_line(harness(*run, *served, "--backend", "vllm"), "--backend")
    one_line(harness(*run, *served, "--replicas", 2), "--replicas", "endpoint")
    one_line(harness(*run, *served, "--items"), "--json")
    one_line(harness(*run, "--model", empty, "--same-model"), "--same-model requires --endpoint")
    one_line(harness(*run, *served, "--benchmarks", ""), "no benchmark in this suite")
    one_line(harness("score", "vqa12", empty / "x.jsonl"), "is a suite")
    one_line(harness("nonsense"), "nonsense")
    one_line(harness("show", empty, "1"), "not a run")
    one_line(harness("score", "mathvision", empty / "x.jsonl"), "cannot be read: No such file")


def test_an_endpoint_that_is_down_or_talks_nonsense_is_one_line(
    micro_data: Path, tmp_path: Path
) -> None:
    run = ["run", "--suite", "vqa12", "--data-root", micro_data, "--out", tmp_path, "--model", "m"]
    refused = "no server answers at http://127.0.0.1:9/v1 (connection refused)"
    one_line(harness(*run, "--endpoint", "http://127.0.0.1:9"), refused, after_progress=True)
    with ScriptedServer(letter, models_body=Reply(raw=b"<html>hello</html>")) as server:
        one_line(harness(*run, "--endpoint", server.url), server.url, after_progress=True)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            Reply(raw=b"<html>hello</html>"),
            "every response is an error (3 in all); the first: "
            "the server returned no chat completion: "
            "<html>hello</html> (stored as errors: rerun the command to retry them)",
        ),
        (Reply("forbidden", status=403), "the server answered 403: forbidden"),
    ],
)
def test_an_endpoint_that_answers_nothing_but_nonsense_is_one_line(
    reply: Reply, said: str, micro_data: Path, tmp_path: Path
) -> None:
    with ScriptedServer(lambda _: reply) as server:
        words = [*run_words(server, micro_data, tmp_path), "--benchmarks", "vstar", "--limit", 3]
        one_line(harness(*words), said, after_progress=True)


def test_another_server_is_one_line_and_fresh_or_same_model_go_on(
    micro_data: Path, tmp_path: Path
) -> None:
    words = ["--benchmarks", "vstar", "--limit", 2, "--no-native"]
    with ScriptedServer(letter) as server, ScriptedServer(letter) as other:
        first = [*run_words(server, micro_data, tmp_path), *words]
        second = [*run_words(other, micro_data, tmp_path), *words]
        assert f"2 responses from {server.url}/v1" in harness(*first).stdout
        line = one_line(harness(*second), f"URL {server.url}/v1, now {other.url}/v1")
        assert "--same-model" in line
        assert "--fresh" in line
        assert f"2 responses from {server.url}/v1" in harness(*second, "--same-model").stdout
        assert other.requests == []
        fresh = json.loads(harness(*second, "--fresh", "--json").stdout)
        assert (fresh["run"].endswith("-2"), len(other.requests)) == (True, 2)
        assert json.loads(harness(*second, "--json").stdout) == fresh


def test_a_corrupt_store_is_one_line_and_kept(micro_data: Path, tmp_path: Path) -> None:
    with ScriptedServer(letter) as server:
        words = [*run_words(server, micro_data, tmp_path), "--benchmarks", "vstar"]
        assert harness(*words, "--limit", 4).returncode == 0
        (samples,) = tmp_path.glob("*/samples/vstar.jsonl")
        text = "nonsense\n" + samples.read_text()
        samples.write_text(text)
        one_line(harness(*words), "vstar.jsonl is corrupt at line 1", after_progress=True)
        assert samples.read_text() == text


@pytest.mark.slow
def test_an_interrupted_run_says_so_and_goes_on_to_the_same_scores(
    finished,  # type: ignore[no-untyped-def]
    micro_data: Path,
    tmp_path: Path,
) -> None:
    """Sudden death at any moment is in test_kill.py; here is what the command line adds."""
    names = "vstar,mmstar,scienceqa,mmmu"
    with ScriptedServer(letter) as server:
        words = [*run_words(server, micro_data, tmp_path), "--benchmarks", names,
                 "--concurrency", 4, "--json", "--items"]  # fmt: skip
        run = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, words)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(server.requests) < 20:
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        stderr = run.communicate(timeout=60)[1]
        assert run.returncode == 130
        assert stderr.rstrip().splitlines()[-1] == (
            "interrupted; all responses so far are stored: rerun the command to resume"
        )
        done = harness(*words)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["benchmarks"]
        assert len(server.requests) <= sum(row["n"] for row in rows) + 4
    before = {row["benchmark"]: row for row in finished[1]["benchmarks"]}
    key = lambda item: item["id"]  # noqa: E731
    for row in rows:
        assert row["strict"] == before[row["benchmark"]]["strict"]
        assert sorted(row.pop("items"), key=key) == sorted(
            before[row["benchmark"]]["items"], key=key
        )


@pytest.mark.slow
def test_responses_are_scored_where_the_images_are_not_at_hand(
    shared: Path, tmp_path: Path
) -> None:
    # The release has all 3040 rows and 304 of the images: scoring needs none of them.
    lines = (shared / "data" / "conformance" / "mathvision.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines[:60]]
    responses = tmp_path / "responses.jsonl"
    text = [json.dumps({"id": row["id"], "response": row["response"]}) for row in rows]
    responses.write_text("\n".join(text))
    words = ["score", "mathvision", responses, "--data-root", shared / "data", "--out", tmp_path]
    done = harness(*words, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["benchmarks"]
    values = {item["id"]: item["value"] for item in row["items"]}
    official = {row["id"]: float(row["official_correct"]) for row in rows}
    assert set(values) == set(official)
    agreement = sum(values[name] == official[name] for name in official) / len(official)
    assert agreement >= 0.98
    unknown = tmp_path / "unknown.jsonl"
    unknown.write_text('{"id": "nothing", "response": "A"}\n')
    done = harness("score", "mathvision", unknown, *words[3:])
    one_line(done, "1 response matches no item of mathvision", "nothing", after_progress=True)


@pytest.mark.parametrize(
    ("name", "content", "finding"),
    [
        ("config.json", b'{"architectures": [1]}', "missing  model: "),
        ("config.json", b"[]", "missing  model: "),
        ("tokenizer_config.json", b"\xff\xfe", "missing  chat template: "),
    ],
)
def test_doctor_says_what_is_wrong_with_a_checkpoint(
    name: str, content: bytes, finding: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / name).write_bytes(content)
    found = [f"{one.status:<8} {one.name}: {one.text}" for one in checkpoint(tmp_path)]
    assert any(line.startswith(finding) for line in found)


# Prints whether libraries would report their use after a command of ours, as children see it too.
REPORTS = """
import subprocess, sys
from harness.cli.main import main
try:
    main()
except SystemExit:
    pass
"""
REPORTED = {
    "huggingface_hub": """
words = "from huggingface_hub.constants import HF_HUB_DISABLE_TELEMETRY as off; print(not off)"
subprocess.run([sys.executable, "-c", words], check=True)
""",
    "ray": """
from ray._common.usage.usage_lib import usage_stats_enabled
print(usage_stats_enabled())
""",
}


@pytest.mark.parametrize("library", REPORTED)
def test_libraries_do_not_report_their_use_unless_the_user_says_so(library: str) -> None:
    pytest.importorskip(library)
    known = {n: v for n, v in os.environ.items() if n not in (*SILENT, "DO_NOT_TRACK")}
    asked = {"HF_HUB_DISABLE_TELEMETRY": "0", "RAY_USAGE_STATS_ENABLED": "1"}
    for own, reported in (({}, "False"), (asked, "True")):
        done = subprocess.run(
            [sys.executable, "-c", REPORTS + REPORTED[library], "--version"],
            env={**known, "PYTHONPATH": str(ROOT), **own},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == reported
