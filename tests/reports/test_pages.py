"""What a page is made of: studies, comparisons and runs on disk in; files, warnings, errors out."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from ablations import compare
from ablations.arms import ARMS
from ablations.statistics import scores
from ablations.statistics.contrasts import ONE_SEED
from ablations.statistics.text.notes import joined
from benchmarks.micro.prepare import LABEL
from harness.errors import UsageError
from harness.runs.store import read_samples
from reports import comparison_page, draw, figures
from reports import output as reports
from reports.pages import Pictured
from reports.read import thumbnails
from reports.read.flips import SHOWN, flips
from reports.read.runs import open_run
from reports.read.study import read
from reports.study_page import asks_both_orders
from tests.commands import harness, modules_of
from tests.reports.studies import EFFECTS, Planted, frame, write

SMALL = {"vstar": 0.5, "mmstar": 0.4}


def test_a_report_is_one_command_without_torch(study: Path, tmp_path: Path) -> None:
    args = ("report", study, "--out", tmp_path / "r.html", "--csv", tmp_path / "r.csv")
    more = ("--latex", tmp_path / "r.tex", "--figures", tmp_path / "figures")
    modules = modules_of(*args, *more)
    assert {"matplotlib", "jinja2", "pandas"} <= modules
    assert not {"torch", "transformers", "lmms_eval"} & modules
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"waterfall", "forest", "seeds-figure", "training-figure", "niah-figure"} <= names


def test_the_same_study_gives_the_same_bytes(study: Path, page: Path, tmp_path: Path) -> None:
    made, _ = reports.page_of([study], None)
    reports.html(made, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_the_verdict_is_that_of_the_analysis_and_comes_first(study: Path, page: Path) -> None:
    made, _ = reports.page_of([study], None)
    stored = json.loads((study / "analysis.json").read_text())
    assert made.sentence == stored["verdict"]
    assert stored["verdict"].startswith(made.headline)
    verdicts = [
        line["verdict"] for line in stored["analysis"]["contrasts"] if line["kind"] == "total"
    ]
    assert made.steps[0].verdict == f"▲ {verdicts[0]}" == "▲ better"
    # Every arm against the base, and every control against grpo.
    checks = frame(made, "checks").set_index("name")
    assert {f"{arm} - base" for arm in EFFECTS if arm != "base"} <= set(checks.index)
    assert {f"{arm} - grpo" for arm in ("da-rl", "da-sft", "da-qa")} <= set(checks.index)
    order = [section.id for section in made.sections]
    assert order == [
        "source",
        "contrasts-section",
        "benchmarks",
        "selection",
        "seeds",
        "training",
        "flips",
        "niah",
        "validity",
        "provenance",
    ]
    text = page.read_text()
    assert text.index("<h1>") < text.index("<svg")


def test_flips_are_counted_over_all_items(study: Path) -> None:
    stored_study = read(study)
    sides = [[model.run for model in stored_study.of(arm)] for arm in ("grpo", "contextrl")]
    got = flips(("grpo", sides[0]), ("contextrl", sides[1]), ["vstar"], {})
    right = []
    for runs in sides:
        several = [read_samples(run.path, "vstar") for run in runs]
        votes = {
            key: sum(answers[key].score.value or 0 for answers in several) for key in several[0]
        }
        right.append({key for key, n in votes.items() if n / len(several) >= 0.5})
    assert got.counts["vstar"] == (len(right[1] - right[0]), len(right[0] - right[1]))
    for flip in got.shown:
        assert (flip.after > flip.before) == flip.gained == ((flip.id, 0) in right[1])
        stored = read_samples(flip.plus.run.path, "vstar")[flip.id, 0]
        assert stored.response is not None
        assert flip.plus.text == stored.response.text
        assert flip.plus.answer.value == stored.score.value
    assert len(got.shown) <= 2 * SHOWN


def test_one_seed_gives_no_verdict(tmp_path: Path) -> None:
    effects = {"grpo": 0.0, "contextrl": 0.1}
    folder = write(tmp_path / "one", Planted(effects, seeds=1, items=60, benchmarks=SMALL))
    page, _ = reports.page_of([folder], None)
    assert page.headline == f"No verdict: {ONE_SEED}"
    assert ONE_SEED in page.sentence
    assert {step.verdict for step in page.steps} == {"not tested", "no arms for it"}
    text = reports.render(page)
    assert "<svg" in text
    assert "hierarchical bootstrap;" not in text  # one seed has no such interval


def test_errors_and_stale_summaries_are_said_first(study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(study, tmp_path / "copy")
    run = read(copy).models[0].run.path
    summary = json.loads((run / "summary.json").read_text())
    summary["benchmarks"][0]["errors"] = 3
    (run / "summary.json").write_text(json.dumps(summary))
    with (run / "samples" / "vstar.jsonl").open("a") as file:
        file.write((run / "samples" / "vstar.jsonl").read_text().splitlines()[0] + "\n")
    page, _ = reports.page_of([copy], None)
    assert "3 items without a score because of errors: base seed 0 (3)" in " ".join(page.warnings)
    assert "base seed 0 holds answers to vstar that its summary" in " ".join(page.warnings)


def test_a_study_of_the_micro_world_is_labelled(study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(study, tmp_path / "copy")
    assert "micro world" not in " ".join(reports.page_of([copy], None)[0].warnings)
    plan = json.loads((copy / "plan.json").read_text())
    plan["paths"] = {"pairs": "micro:image", "rl_data": None}
    (copy / "plan.json").write_text(json.dumps(plan))
    assert reports.page_of([copy], None)[0].warnings[0].startswith("micro world: ")
    analysis = json.loads((copy / "analysis.json").read_text())
    analysis["notes"] = ["micro world: as the demo says"]
    (copy / "analysis.json").write_text(json.dumps(analysis))
    warnings = reports.page_of([copy], None)[0].warnings
    of_world = [warning for warning in warnings if warning.startswith("micro world")]
    assert of_world == analysis["notes"]
    of_data = f"vstar: {LABEL}"
    _note(copy, "vstar", LABEL)
    (copy / "analysis.json").write_text(json.dumps({**analysis, "notes": [of_data]}))
    page, _ = reports.page_of([copy], None)
    assert [warning for warning in page.warnings if "micro world" in warning] == [of_data]
    assert "micro world" not in " ".join(page.notes)


def _note(study: Path, benchmark: str, note: str) -> None:
    """Write a note on a benchmark's data into the summary of every run, as `harness run` does."""
    for model in read(study).models:
        summary = json.loads((model.run.path / "summary.json").read_text())
        for row in summary["benchmarks"]:
            if row["benchmark"] == benchmark:
                row["note"] = note
        (model.run.path / "summary.json").write_text(json.dumps(summary))


def test_a_note_stands_once_and_what_moves_the_average_above_the_answer(
    study: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(study, tmp_path / "copy")
    data = "testmini (304 items) stands in for test (3040)"
    _note(copy, "mathvision", data)
    # What is left out where one run lacks a benchmark, and a score.
    first, other = (model.run.path for model in read(copy).models[:2])
    samples = shutil.copytree(other, tmp_path / "other") / "samples"
    (samples / "blink.jsonl").unlink()
    row, *rows = (samples / "mmstar.jsonl").read_text().splitlines(keepends=True)
    unscored = json.loads(row)
    unscored["score"] |= {"value": None, "status": "unscored"}
    (samples / "mmstar.jsonl").write_text("".join([json.dumps(unscored) + "\n", *rows]))
    notes = scores.read({"a": [first], "b": [samples.parent]}).notes
    moving = tuple(note for note in notes if "left out" in note)
    assert [note.partition(":")[0] for note in moving] == ["blink", "mmstar"]
    below = ("vstar: only 20 clusters (fewer than 30)", "niah: left out, it is not in the plan")
    analysis = json.loads((copy / "analysis.json").read_text())
    assert below[1] in analysis["notes"]
    analysis["notes"] = [*below, f"mathvision: {data}", *moving]
    (copy / "analysis.json").write_text(json.dumps(analysis))
    page, _ = reports.page_of([copy], None)
    assert page.warnings == (*moving, f"mathvision: {data}")
    assert page.notes == below


def test_two_runs_and_a_saved_comparison_say_the_same(study: Path, tmp_path: Path) -> None:
    a, b = (read(study).of(arm)[0].run.path for arm in ("grpo", "contextrl"))
    done = harness("compare", a, b, "--json")
    assert done.returncode == 0, done.stderr
    (tmp_path / "saved.json").write_text(done.stdout)
    stored = json.loads(done.stdout)
    direct, _ = reports.page_of([a, b], None)
    saved, home = reports.page_of([tmp_path / "saved.json"], None)
    assert home == tmp_path
    for page in (direct, saved):
        shown = frame(page, "delta-0")
        assert list(shown["delta"]) == [line["delta"] for line in stored["benchmarks"]]
        assert list(shown["p_holm"]) == [line["p_holm"] for line in stored["benchmarks"]]
    assert [section.id for section in direct.sections] == [
        "benchmarks",
        "flips",
        "niah",
        "validity",
        "provenance",
    ]
    # A saved comparison holds all that its page shows but the texts of answers.
    assert (saved.sentence, saved.warnings) == (direct.sentence, direct.warnings)
    assert [table.rows for table in saved.tables] == [table.rows for table in direct.tables]
    moved = tmp_path / "moved"
    shutil.move(shutil.copytree(a, tmp_path / "copy" / a.name), moved / a.name)
    stored["runs"][0][0]["folder"] = str(tmp_path / "copy" / a.name)
    (tmp_path / "saved.json").write_text(json.dumps(stored))
    alone, _ = reports.page_of([tmp_path / "saved.json"], None)
    assert [section.id for section in alone.sections] == [s.id for s in direct.sections]
    tables = {table.id: table.rows for table in direct.tables if not table.id.startswith("flips")}
    assert {table.id: table.rows for table in alone.tables} == tables
    summary = json.loads((b / "summary.json").read_text())["benchmarks"]
    shown = frame(direct, "delta-0")
    means = dict(zip(shown["benchmark"], shown["plus"], strict=True))
    assert means == pytest.approx({row["benchmark"]: row["strict"] for row in summary})
    # Both scores have the intervals of the comparison.
    intervals = {(row["side"], row["benchmark"]): row for row in stored["scores"]}
    for side, column in (("A", "minus"), ("B", "plus")):
        bounds = zip(shown[f"{column}_interval_low"], shown[f"{column}_interval_high"], strict=True)
        rows = [intervals[side, name] for name in shown["benchmark"]]
        assert list(bounds) == [(row["low"], row["high"]) for row in rows]


def test_the_page_says_over_how_many_benchmarks_the_mean_is(study: Path) -> None:
    """One without a standard error is in the table, and not in the mean."""
    a, b = (read(study).of(arm)[0].run.path for arm in ("grpo", "contextrl"))
    found = compare(a, b)
    assert found.macro.averaged is not None
    for averaged in (found.macro.averaged, found.macro.averaged - 1):
        macro = dataclasses.replace(found.macro, averaged=averaged)
        page = comparison_page.page(dataclasses.replace(found, macro=macro), lambda _: {}, "two")
        (step,) = page.steps
        assert step.numbers[0][0].startswith(f"mean of {averaged}: ")


def test_scores_intervals_and_differences_are_of_one_set_of_items(
    study: Path, tmp_path: Path
) -> None:
    """Some items have no score in one run: the page leaves them out of both sides' scores."""
    sides = [[model.run.path for model in read(study).of(arm)] for arm in ("grpo", "contextrl")]
    broken = shutil.copytree(sides[1][0], tmp_path / "broken")
    path = broken / "samples" / "vstar.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[:7]:
        row["score"] |= {"value": None, "status": "unscored"}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    two = harness("compare", sides[0][0], broken, "--json")
    arms = harness("compare", "--a", *sides[0], "--b", broken, *sides[1][1:], "--json")
    for name, done in (("two", two), ("arms", arms)):
        assert done.returncode == 0, done.stderr
        (tmp_path / f"{name}.json").write_text(done.stdout)
        page, _ = reports.page_of([tmp_path / f"{name}.json"], None)
        shown = frame(page, "delta-0")
        assert list(shown["plus"] - shown["minus"]) == pytest.approx(list(shown["delta"]))
        for column in ("plus", "minus"):
            ends = shown[[f"{column}_interval_{end}" for end in ("low", "high")]].astype(float)
            inside = shown[column].between(*ends.to_numpy().T)
            assert (inside | ends.isna().any(axis=1)).all()


def test_arms_compared_show_spread_and_both_intervals(study: Path, tmp_path: Path) -> None:
    stored = read(study)
    a, b = ([model.run.path for model in stored.of(arm)] for arm in ("grpo", "contextrl"))
    done = harness("compare", "--a", *a, "--b", *b, "--json")
    (tmp_path / "arms.json").write_text(done.stdout)
    page, _ = reports.page_of([tmp_path / "arms.json"], None)
    rules = frame(page, "rules").set_index("what")["value"]
    assert {"side A", "side B", "mean, one variance for both sides"} <= set(rules.index)
    assert rules["side A"].startswith("3 seeds; sd of a seed's mean")


def test_a_run_shows_its_scores_and_its_wrong_answers_first(study: Path) -> None:
    run = read(study).models[0].run
    page, home = reports.page_of([run.path], None)
    assert home == run.path
    shown = frame(page, "scores").set_index("benchmark")
    for row in run.rows.values():
        assert shown.loc[row.benchmark, "strict"] == row.strict
        low, high = (shown.loc[row.benchmark, f"strict_interval_{end}"] for end in ("low", "high"))
        assert 0 <= low < row.strict < high <= 1
    text = reports.render(page)
    assert "95 % interval" in text
    assert "[" in text
    values = [v for name, v in zip(frame(page, "items")["benchmark"],
                                   frame(page, "items")["value"], strict=True)
              if name == "vstar"]  # fmt: skip
    assert values == sorted(values)
    assert values[0] == 0.0


def test_a_run_of_a_part_of_its_suite_says_so_and_an_empty_one_is_refused(
    study: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(read(study).models[0].run.path, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "suite": "vqa12"}))
    summary = json.loads((run / "summary.json").read_text())
    rows = [row for row in summary["benchmarks"] if row["benchmark"] in ("vstar", "blink")]
    (run / "summary.json").write_text(json.dumps({**summary, "benchmarks": rows}))
    page, _ = reports.page_of([run], None)
    assert page.headline.endswith(" on 2 of the 12 benchmarks of vqa12")
    (run / "summary.json").unlink()
    with pytest.raises(UsageError, match="has no scores yet"):
        reports.page_of([run], None)


def test_a_run_filled_in_parts_is_whole_once_all_items_are_there(
    study: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(read(study).models[0].run.path, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    [entry] = manifest["invocations"]
    manifest["invocations"] = [{**entry, "limit": 20}, entry]
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert reports.page_of([run], None)[0].warnings == ()
    manifest["benchmarks"]["vstar"]["n"] = 1_191
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert reports.page_of([run], None)[0].warnings == (
        "Not the whole data set: vstar (90 of 1,191 items).",
    )


def test_notes_of_one_kind_are_one_line() -> None:
    notes = (
        "micro world: as the demo says",
        "vstar: only 20 clusters (fewer than 30), effectively 9.5",
        "blink: only 7 clusters (fewer than 30), effectively 7.0",
        "phyx: one cluster holds 38% of the items",
        "blink: left out, runs/b-3 holds no answers to it",
        "mmmu: left out, runs/b-4 holds no answers to it",
        "mmstar: only 20 clusters (fewer than 30), effectively 11.2",
    )
    assert joined(notes) == (
        notes[0],
        "vstar, blink, mmstar: only 7 to 20 clusters (fewer than 30), effectively 7.0 to 11.2",
        *notes[3:6],
    )


def test_no_note_of_a_benchmark_is_lost_beside_another_of_its_kind() -> None:
    notes = ("blink: seed 0 has 3 errors", "blink: seed 1 has 7 errors", "has 0 errors")
    assert joined(notes) == ("blink: seed 0 to 1 has 3 to 7 errors", "has 0 errors")


def test_the_bootstrap_stands_beside_its_measured_errors(study: Path, tmp_path: Path) -> None:
    # docs/calibration.md: three seeds without an effect, at three spreads of the seeds.
    rates = "in simulations with 3 seeds 0.3 to 10.0 % false positives"
    made, _ = reports.page_of([study], None)
    section = next(shown for shown in made.sections if shown.id == "contrasts-section")
    stored = json.loads((study / "analysis.json").read_text())["bootstrap"]
    assert rates in stored
    assert section.blocks[-1] == f"{stored}."
    a, b = ([model.run.path for model in read(study).of(arm)] for arm in ("grpo", "contextrl"))
    saved = tmp_path / "arms.json"
    saved.write_text(harness("compare", "--a", *a, "--b", *b, "--json").stdout)
    rules = frame(reports.page_of([saved], None)[0], "rules").set_index("what")["value"]
    assert rates in rules["mean, items resampled (hierarchical bootstrap)"]


def test_all_flips_lie_beside_the_page(study: Path, tmp_path: Path) -> None:
    made, _ = reports.page_of([study], None)
    reports.html(made, tmp_path / "page.html")
    with (tmp_path / "page.flips.csv").open() as file:
        rows = list(csv.DictReader(file))
    block = next(b for s in made.sections for b in s.blocks if isinstance(b, Pictured))
    assert len(rows) == sum(map(sum, block.flips.counts.values())) > len(block.flips.shown)
    gained = [row for row in rows if float(row["contextrl"]) > float(row["grpo"])]
    assert len(gained) == sum(up for up, _ in block.flips.counts.values())
    reports.html(made, tmp_path / "v1.2")
    beside = tmp_path / "v1.2.flips.csv"
    assert beside.read_bytes() == (tmp_path / "page.flips.csv").read_bytes()
    # A page without flips in the same place leaves none of another page's beside it.
    reports.html(reports.page_of([read(study).models[0].run.path], None)[0], tmp_path / "v1.2")
    assert not beside.exists()


def test_arms_differ_in_more_than_colour() -> None:
    arms = tuple(ARMS)
    assert len(arms) == 10
    curves = {
        "L": {arm: [[(step, number) for step in range(50)]] for number, arm in enumerate(arms)}
    }
    figure = figures.training(curves, arms)
    assert len({draw.MARKERS[marker] for _, _, marker in figure.legend}) == 10
    drawn = draw.file(figure)
    assert {colour for name, colour in draw.colours().items() if name.startswith("arm")} <= set(
        re.findall(r"#\w{6}", drawn)
    )
    assert drawn == draw.file(figure)
    assert "var(" not in drawn
    ElementTree.fromstring(drawn)
    assert all(f"var(--arm{number})" in draw.inline(figure)[0] for number in range(10))


def test_thumbnails_are_the_items_images_and_only_of_the_same_data(micro_data: Path) -> None:
    from benchmarks import suites
    from benchmarks.data import load

    fingerprint = suites.benchmark("vstar", micro_data).fingerprint()
    rows = load("vstar", micro_data)[""]["test"]
    wanted = [("vstar", str(rows[3]["question_id"])), ("vstar", "none such"), ("niah", "1")]
    pictures = thumbnails.thumbnails(wanted, {"vstar": fingerprint}, micro_data)
    assert list(pictures) == [wanted[0]]
    head, _, data = pictures[wanted[0]].partition(",")
    assert head == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    original = rows[3]["image"].convert("RGB")
    assert image.size == original.size  # small already
    pairs = zip(image.resize((8, 8)).tobytes(), original.resize((8, 8)).tobytes(), strict=True)
    assert sum(abs(a - b) for a, b in pairs) / (3 * 64) < 6  # JPEG
    assert thumbnails.thumbnails(wanted, {"vstar": "other data"}, micro_data) == {}


@pytest.mark.parametrize(
    "name", ["mathvista", "mmmu_pro", "phyx", "olympiadbench_physics", "mme_realworld_lite"]
)
def test_every_form_of_image_cell_gives_a_picture(micro_data: Path, name: str) -> None:
    from benchmarks import suites
    from benchmarks.vqa.base.benchmark import LmmsBenchmark

    benchmark = suites.benchmark(name, micro_data)
    assert isinstance(benchmark, LmmsBenchmark)
    images = benchmark.first_images(benchmark.ids())
    assert 0 < len(images) <= benchmark.count()
    assert all(min(image.size) > 1 for image in images.values())


def test_a_page_with_images_holds_them(study: Path, micro_data: Path) -> None:
    made, _ = reports.page_of([study], None)
    block = next(b for s in made.sections for b in s.blocks if isinstance(b, Pictured))
    flip = block.flips.shown[0]
    block.images[flip.benchmark, flip.id] = "data:image/jpeg;base64,AAAA"
    assert '<img src="data:image/jpeg;base64,AAAA" alt=' in reports.render(made)


def _corrupt(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: [p / "nothing"], "does not exist"),
        (lambda p: [p], "not an analysed study"),
        (lambda p: [p, p, p], "is given twice"),
        (lambda p: [_corrupt(p / "g", "analysis.json", "{")], "is corrupt"),
        (lambda p: [_corrupt(p, "x.json", "[1]") / "x.json"], "is not what `harness compare"),
        (lambda p: [p, p], "is not a run"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, make: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        reports.page_of(make(tmp_path), None)
    assert "\n" not in str(error.value)


def test_a_corrupt_analysis_is_one_line_and_exit_code_2(study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(study, tmp_path / "copy")
    stored = json.loads((copy / "analysis.json").read_text())
    del stored["analysis"]["contrasts"][0]["delta"]
    (copy / "analysis.json").write_text(json.dumps(stored))
    done = harness("report", copy)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "corrupt" in done.stderr
    assert (
        not (copy / "report.html").exists()
        or (copy / "report.html").stat().st_mtime < (copy / "analysis.json").stat().st_mtime
    )


LINE = {
    "benchmark": "vstar", "items": 90, "clusters": 30, "delta": 0.1, "low": 0.0, "high": 0.2,
    "p": 0.04, "p_holm": 0.04, "mde": 0.1, "verdict": "better", "test": "Welch t",
}  # fmt: skip
MACRO = {name: LINE[name] for name in ("delta", "low", "high", "p", "mde", "verdict")}
COMPARISON = {
    "kind": "arms", "heading": "two methods", "macro": MACRO, "benchmarks": [LINE],
    "margin": 0.009, "alpha": 0.05, "notes": [], "pooled": [0.0, 0.2], "bootstrap": [0.0, 0.2],
    "spread": [{"seeds": 3, "training_sd": 0.01, "decoding_sd": 0.01}] * 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "names", "value"),
    [
        ("analysis.json", ("analysis", "arms", 0, "mean"), "x"),
        ("analysis.json", ("analysis", "contrasts", 0, "delta"), None),
        ("analysis.json", ("analysis", "contrasts", 0, "benchmarks", 0, "items"), "many"),
        ("analysis.json", ("analysis", "contrasts", 0, "benchmarks", 0, "low"), "many"),
        ("analysis.json", ("analysis", "contrasts"), 5),
        ("analysis.json", ("benchmarks", 0, "scores"), {"grpo": ["x"]}),
        ("analysis.json", ("models", 0, "run"), 5),
        ("analysis.json", ("models", 0, "seed"), []),
        ("analysis.json", ("models", 0, "selection"), "many"),
        ("analysis.json", ("notes",), [1]),
        ("analysis.json", ("verdict",), None),
        ("plan.json", ("plan", "rules", "margin"), "many"),
        ("c.json", ("macro", "delta"), "many"),
        ("c.json", ("benchmarks", 0, "p_holm"), "many"),
        ("c.json", ("pooled", 0), "many"),
    ],
)
def test_a_value_of_another_type_is_one_line(
    file: str, names: tuple[Any, ...], value: object, study: Path, tmp_path: Path
) -> None:
    for name in ("analysis.json", "plan.json"):
        shutil.copy(study / name, tmp_path)
    (tmp_path / "c.json").write_text(json.dumps(COMPARISON))
    stored = json.loads((tmp_path / file).read_text())
    inner = stored
    for name in names[:-1]:
        inner = inner[name]
    inner[names[-1]] = value
    (tmp_path / file).write_text(json.dumps(stored))
    with pytest.raises(UsageError, match=re.escape(file)) as error:
        reports.page_of([tmp_path / file if file == "c.json" else tmp_path], None)
    assert "\n" not in str(error.value)


def test_a_corrupt_comparison_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    corrupt = {**COMPARISON, "macro": {**MACRO, "delta": "many"}}
    (tmp_path / "c.json").write_text(json.dumps(corrupt))
    done = harness("report", tmp_path / "c.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "Expected `float`, got `str` - at `$.macro.delta`" in done.stderr


def test_a_plan_that_was_changed_is_not_reported(study: Path, tmp_path: Path) -> None:
    shutil.copy(study / "analysis.json", tmp_path)
    text = (study / "plan.json").read_text()
    changed = json.loads(text)
    changed["plan"]["arms"] = 5
    for corrupt in ("[", "[]", "{}", json.dumps(changed)):
        (tmp_path / "plan.json").write_text(corrupt)
        with pytest.raises(UsageError, match=r"plan.json (is corrupt|was changed by hand)"):
            read(tmp_path)


def test_corrupt_training_lines_are_left_out_of_the_page(study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(study, tmp_path / "copy")
    training = next(model.training for model in read(copy).models if model.training)
    with (training / "training.jsonl").open("a") as lines:
        lines.write('{"stage": "rl", "step": "x", "reward": 1}\n{"reward": 1}\n')
        lines.write("[" * 100_000 + "\n")
    ledger = json.loads((training / "ledger.json").read_text())
    ledger |= {"gradient_norms": 5, "train_tokens": "many"}
    (training / "ledger.json").write_text(json.dumps(ledger))
    before, after = (reports.page_of([folder], None)[0] for folder in (study, copy))
    cells = [list(frame(page, "ledger")["train_tokens"]) for page in (before, after)]
    assert cells[0][1:] == cells[1][1:]
    reports.html(after, tmp_path / "page.html")


def test_half_a_character_in_an_answer_is_shown(study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(read(study).models[0].run.path, tmp_path / "run")
    path = copy / "samples" / "vstar.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    line = json.loads(lines[0])
    line["response"]["text"] = "half \ud800."
    line["score"]["value"] = 0.0
    path.write_text(json.dumps(line) + "\n" + "".join(lines[1:]))
    page, _ = reports.page_of([copy], None)
    reports.html(page, tmp_path / "page.html")
    assert "half \\ud800." in (tmp_path / "page.html").read_text(encoding="utf-8")
    reports.csv(page, tmp_path / "page.csv")
    assert "half \\ud800." in (tmp_path / "page.csv").read_text(encoding="utf-8")


def test_a_damaged_line_is_named(study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(study, tmp_path / "copy")
    run = read(copy).of("grpo")[0].run.path
    path = run / "samples" / "vstar.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    value = json.loads(lines[1])
    value["score"]["value"] = "x"
    for damaged in ("{broken}\n", json.dumps(value) + "\n", "[" * 100_000 + "\n"):
        path.write_text(lines[0] + damaged + "".join(lines[1:]))
        for corrupt in (copy, run):
            with pytest.raises(UsageError, match=r"vstar.jsonl is corrupt at line 2"):
                reports.page_of([corrupt], None)


def test_open_run_refuses_an_old_summary(study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(read(study).models[0].run.path, tmp_path / "run")
    text = (copy / "summary.json").read_text()
    row = json.loads(text)["benchmarks"][0]
    for corrupt in ({"benchmark": "vstar"}, {**row, "strict": "x"}, {**row, "parts": [1]}, 5):
        (copy / "summary.json").write_text(json.dumps({"benchmarks": [corrupt]}))
        with pytest.raises(UsageError, match=r"summary.json is corrupt"):
            open_run(copy, "run")


def test_a_dollar_sign_in_a_name_is_no_formula() -> None:
    name = r"$\frac{$"
    arm = next(iter(ARMS))
    figure = figures.training({name: {arm: [[(0, 0.0), (1, 1.0)]]}}, (arm,))
    assert name in draw.file(figure)


def test_a_probe_in_one_order_is_told_from_one_in_both(tmp_path: Path) -> None:
    stored = Path(__file__).parents[1] / "golden/stored/studies/trained/runs/grpo-seed-0"
    run = shutil.copytree(next(stored.glob("checkpoint-probe-*")), tmp_path / "run")
    assert asks_both_orders(open_run(run, "probe"))
    samples = run / "samples" / "probe.jsonl"
    kept = [line for line in samples.read_text().splitlines(True) if '/A","repeat"' in line]
    samples.write_text("".join(kept))
    assert kept
    assert not asks_both_orders(open_run(run, "probe"))
