"""Logs that inspect, Every Eval Ever, NeMo Evaluator, EvalScope and Harbor wrote themselves.

`tests/foreign` says how.  What is expected stands in the tools' own summaries.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.imports import formats
from benchmarks.imports.common.archive import Archive
from benchmarks.imports.log import Log, LoggedSample
from harness.errors import UsageError
from tests.benchmarks.imports import own_scores
from tests.benchmarks.imports.test_lm_eval import imported
from tests.commands import harness, one_line
from tests.examples import examples

LOGS = Path(__file__).parent / "logs"
# Folder of logs, its format, and the benchmarks in them.
KINDS = {
    "inspect": ("inspect", ["arith"]),
    "inspect-json": ("inspect", ["arith_choice"]),
    "eee": ("eee", ["arith"]),
    "nemo-evaluator": ("nemo-evaluator", ["arith"]),
    "evalscope": ("evalscope", ["general_mcq", "general_qa"]),
    "harbor": ("harbor", ["tasks"]),
    "vlmevalkit": ("vlmevalkit", ["Arith"]),
}


def read(kind: str, folder: Path = LOGS) -> list[Log]:
    name, _ = KINDS[kind]
    return list(formats.get(name).read([folder / kind]))


OWN: Mapping[str, Callable[[Log], Mapping[str, float]]] = {
    "inspect": own_scores.inspect, "inspect-json": own_scores.inspect, "eee": own_scores.eee,
    "nemo-evaluator": own_scores.nemo, "evalscope": own_scores.evalscope,
    "harbor": own_scores.harbor, "vlmevalkit": own_scores.vlmevalkit,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_is_recognised_and_scores_as_its_tool_says(kind: str) -> None:
    assert formats.recognise([LOGS / kind]) == KINDS[kind][0]
    logs = read(kind)
    assert sorted({log.model for log in logs}) == ["base", "tuned"]
    for log in logs:
        assert own_scores.means(log) == pytest.approx(
            OWN[kind](log), abs=5e-5
        )  # evalscope rounds to 4 digits
        assert (log.version == "unknown") == (kind == "vlmevalkit")  # whose tables do not tell it


def values(log: Log) -> dict[tuple[str, int], float]:
    """Return the scores of a log of one task by item and repeat."""
    (task,) = log.tasks
    found: dict[tuple[str, int], float] = {}
    for sample in task.samples():
        repeat = sum(name == sample.id for name, _ in found)
        found[sample.id, repeat] = sample.scores[next(iter(task.metrics))]
    return found


def test_verdicts_of_inspect_are_those_of_its_own_reductions() -> None:
    for log in read("inspect-json"):
        (reduced,) = json.loads(log.files[0].read_text())["reductions"]
        own = {(str(each["sample_id"]), 0): each["value"] for each in reduced["samples"]}
        assert values(log) == own


def test_records_of_every_eval_ever_agree_with_the_logs_that_they_were_made_of() -> None:
    def by_run(kind: str) -> dict[tuple[str, int | None], Any]:
        return {(log.model, log.seed): values(log) for log in read(kind)}

    assert by_run("eee") == by_run("inspect")
    assert len(by_run("eee")) == 4


def test_trials_of_harbor_have_the_rewards_of_its_summary() -> None:
    for log in read("harbor"):
        stats = json.loads((log.files[0].parent / "result.json").read_text())["stats"]
        (evaluated,) = stats["evals"].values()
        own = sorted(
            (trial.partition("__")[0], float(reward))
            for reward, trials in evaluated["reward_stats"]["reward"].items()
            for trial in trials
        )
        samples = [sample for task in log.tasks for sample in task.samples()]
        assert sorted((s.id, s.scores["reward"]) for s in samples) == own
        assert all(s.response and s.response.trajectory is not None for s in samples)
    assert read("harbor")[0].notes == ["2 trials ended with RuntimeError, graded all the same"]


def test_what_a_log_of_inspect_holds_is_kept() -> None:
    first = read("inspect")[0]
    (task,) = first.tasks
    assert (first.seed, dict(task.settings), task.n_data) == (1, {"temperature": 0.7}, 8)
    sample = next(task.samples())
    assert sample.prompt == ("You add numbers.", "What is 3 + 4?")
    assert (sample.question, sample.target) == ("What is 3 + 4?", "7")
    assert sample.response is not None
    assert (sample.response.prompt_tokens, sample.response.completion_tokens) == (20, 6)
    shown = next(read("inspect-json")[0].tasks[0].samples())
    assert shown.question == "<image>What is 3 + 4?"
    assert len({s.image for s in read("inspect-json")[0].tasks[0].samples()}) == 1
    assert shown.image


def test_a_run_that_failed_has_errors_and_no_zeros(tmp_path: Path) -> None:
    (run,) = imported(tmp_path, LOGS / "inspect-stopped")
    (row,) = run["benchmarks"]
    assert (row["strict"], row["errors"]) == (None, 13)
    assert run["notes"] == ["arith: the run did not end (status error)"]


@pytest.mark.parametrize("kind", KINDS)
def test_two_imported_runs_compare(tmp_path: Path, kind: str) -> None:
    runs = [run for run in imported(tmp_path, LOGS / kind) if run["seed"] in (1, None)]
    base, tuned = sorted(runs, key=lambda run: str(run["model"]))
    done = harness("compare", base["run"], tuned["run"], "--json")
    assert done.returncode == 0, done.stderr
    logs = {log.model: log for log in read(kind) if log.seed in (1, None)}
    gain = {
        name: OWN[kind](logs["tuned"])[name] - mean
        for name, mean in OWN[kind](logs["base"]).items()
    }
    lines = {line["benchmark"]: line["delta"] for line in json.loads(done.stdout)["benchmarks"]}
    assert lines == pytest.approx(gain, abs=1e-4)


def test_runs_that_differ_in_seed_are_the_seeds_of_one_side(tmp_path: Path) -> None:
    runs = imported(tmp_path, LOGS / "inspect")
    sides = [[run["run"] for run in runs if run["model"] == name] for name in ("base", "tuned")]
    assert list(map(len, sides)) == [2, 2]
    done = harness("compare", "--a", *sides[0], "--b", *sides[1], "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "arms"


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(LOGS, tmp_path / "logs")
    (tmp_path / "logs/nemo-evaluator/base/arith/results.jsonl").unlink()
    for samples in (tmp_path / "logs/eee").rglob("*_samples.jsonl"):
        samples.unlink()
    for trial in (tmp_path / "logs/harbor/base").glob("*/result.json"):
        trial.unlink()
    log = next((tmp_path / "logs/inspect").iterdir())
    log.write_bytes(log.read_bytes()[:9000])
    for kind, words in {
        "nemo-evaluator": "has no results.jsonl beside it",
        "eee": "has no instances beside it",
        "harbor": "holds no trial with a result.json",
        "inspect": "is not a whole ZIP file",
    }.items():
        done = harness("import", tmp_path / "logs" / kind, "--out", tmp_path / "runs")
        one_line(done, words)
    assert not (tmp_path / "runs").exists()


def test_trials_without_a_result_and_cut_results_are_noted(tmp_path: Path) -> None:
    shutil.copytree(LOGS / "harbor" / "base", tmp_path / "harbor")
    next((tmp_path / "harbor").glob("*/result.json")).unlink()
    (log,) = read("harbor", tmp_path)
    assert "1 trial without result.json: not ended" in log.notes
    shutil.copytree(LOGS / "nemo-evaluator" / "base", tmp_path / "nemo-evaluator")
    results = tmp_path / "nemo-evaluator" / "arith" / "results.jsonl"
    results.write_text("".join(results.read_text().splitlines(keepends=True)[:10]))
    (log,) = read("nemo-evaluator", tmp_path)
    assert log.notes == ["arith: results.jsonl has 10 answers, of 16 that were scored"]


REPLACEMENTS = (None, 0, -1, 2.5, True, "", "x", [], {}, [1], ["x", None], {"x": 1}, [[]], [{}])


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value within a JSON value."""
    yield at
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    )
    for key, each in inner:
        yield from places(each, (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = value.copy()
    copy[at[0]] = changed(copy[at[0]], at[1:], new)
    return copy


@pytest.fixture(
    scope="module", params=[kind for kind in KINDS if kind not in ("inspect", "vlmevalkit")]
)
def copied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """Return a kind of log and a folder with a copy of some of its files."""
    folder = tmp_path_factory.mktemp("logs")
    kind: str = request.param
    within = {"harbor": "base", "evalscope": "base", "nemo-evaluator": "base"}.get(kind, "")
    shutil.copytree(LOGS / kind / within, folder / kind)
    for number, trial in enumerate(sorted((folder / "harbor").glob("*__*"))):
        if number > 1:
            shutil.rmtree(trial)
    return kind, folder


@examples(300)
@given(data=st.data())
def test_a_log_with_a_wrong_value_is_read_or_refused(
    copied: tuple[str, Path], data: st.DataObject
) -> None:
    """Whatever one value of a log is instead, reading ends in records or in one line."""
    kind, folder = copied
    files = sorted(path for path in (folder / kind).rglob("*.json*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    before = path.read_text()
    first, _, rest = before.partition("\n") if path.suffix == ".jsonl" else (before, "", "")
    document = json.loads(first)
    at = data.draw(st.sampled_from(list(places(document))))
    new = data.draw(st.sampled_from(REPLACEMENTS))
    path.write_text(json.dumps(changed(document, at, new)) + "\n" + rest)
    refusal = ""
    try:
        for log in read(kind, folder):
            assert isinstance(log.model, str)
            for task in log.tasks:
                for sample in task.samples():
                    check(sample)
    except UsageError as error:
        refusal = str(error)
    finally:
        path.write_text(before)
    assert "\n" not in refusal


def check(sample: LoggedSample) -> None:
    """Check the types that the rest relies on."""
    assert isinstance(sample.id, str)
    assert all(
        isinstance(text, str) for text in (*sample.prompt, *sample.official, sample.question)
    )
    assert isinstance(sample.prediction, str | None)
    assert isinstance(sample.scores, dict)
    if sample.response is not None:
        assert isinstance(sample.response.text, str)
        assert isinstance(sample.response.finish_reason, str | None)


def archived(path: Path, method: int) -> Archive:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("header.json", '{"a": 1}')
        archive.writestr("samples/a_epoch_1.json", json.dumps({"text": "x" * 5000}))
    return Archive(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_an_archive_are_read_as_zipfile_reads_them(tmp_path: Path, method: int) -> None:
    archive = archived(tmp_path / "log.eval", method)
    assert {name: archive.document(name) for name in archive} == {
        "header.json": {"a": 1},
        "samples/a_epoch_1.json": {"text": "x" * 5000},
    }


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    archived(path, zipfile.ZIP_DEFLATED)
    whole = path.read_bytes()
    for place in range(60, 110):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(UsageError):
            assert Archive(path).document("header.json") == {"a": 1}


def test_a_damaged_sample_of_a_log_of_inspect_is_named(tmp_path: Path) -> None:
    source = min((LOGS / "inspect").iterdir())
    with zipfile.ZipFile(source) as archive:
        sample = next(info for info in archive.infolist() if info.filename.startswith("samples/"))
    data = bytearray(source.read_bytes())
    data[sample.header_offset + sample.compress_size // 2] ^= 0xFF
    (tmp_path / "log.eval").write_bytes(data)
    (log,) = formats.get("inspect").read([tmp_path / "log.eval"])
    with pytest.raises(UsageError, match=re.escape(f"log.eval, {sample.filename} cannot be read")):
        list(log.tasks[0].samples())


def test_answers_without_a_verdict_do_not_hide_the_metric(tmp_path: Path) -> None:
    log = json.loads(min((LOGS / "inspect-json").iterdir()).read_text())
    log["samples"][0]["scores"]["choice"]["value"] = float("nan")  # as inspect logs "unscored"
    log["samples"][1].update(scores={}, error={"message": "TimeoutError('x')", "traceback": ""})
    (tmp_path / "log.json").write_text(json.dumps(log))
    (run,) = imported(tmp_path, tmp_path / "log.json")
    (row,) = run["benchmarks"]
    assert (row["answers"], row["unscored"], row["errors"]) == (8, 1, 1)
