"""A run from plan to summary: keys, resume, errors, repeats, a model that dies, a second writer."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import multiprocessing
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.http.endpoint import EndpointModel
from harness.backends.models.settings import ModelSettings
from harness.cli.options import Share
from harness.cli.tables import result_table
from harness.errors import UnfinishedError, UsageError
from harness.protocols import Benchmark, Judge
from harness.records import Response, Sample, Score
from harness.runs import run as runs
from harness.runs.engine import JUDGED_AT_ONCE
from harness.runs.identity import ModelIdentity
from harness.runs.plan import RunPlan, plan_run, preview
from harness.runs.store import RunStore, read_manifest, read_samples
from harness.runs.summary import BenchmarkSummary, check_errors, notes_of
from harness.runs.todo import Settings, what_is_left
from tests.sums import Adder, Quiet, Sums

# One value of each setting of the model that decides answers.
DECISIVE: Sequence[Mapping[str, Any]] = (
    {"temperature": 0.5}, {"top_p": 0.9}, {"top_k": 20}, {"min_p": 0.1}, {"presence_penalty": 1.5},
    {"repetition_penalty": 1.05}, {"max_tokens": 9}, {"max_tokens": "native"},
    {"system_prompt": ""}, {"prompt_suffix": "Think."}, {"min_pixels": 9}, {"max_pixels": 99},
    {"chat_template_kwargs": {"enable_thinking": False}}, {"extra_body": {"reasoning": "low"}},
    {"vllm_arg": {"quantization": "fp8"}},
)  # fmt: skip
IDENTITY = ModelIdentity("adder", "fingerprint", verified=True)


def planned(out: Path, *benchmarks: Benchmark, **settings: object) -> RunPlan:
    members = list(benchmarks) or [Sums()]
    return plan_run(IDENTITY, "arithmetic", members, members, Settings(**settings), out)  # type: ignore[arg-type]


def fill(plan: RunPlan, model: Adder | None = None) -> list[BenchmarkSummary]:
    return runs.execute(plan, (model or Adder()).open, {"kind": "test"}, Quiet())


def test_a_run_scores_every_item_and_says_so(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    (row,) = fill(plan, Adder(wrong=frozenset({0, 1, 2, 3, 4})))
    assert (row.n, row.strict, row.native) == (20, 15 / 20, 15 / 20)
    # Of the wrong five, 0 2 4 are even and 1 3 odd.
    assert row.parts == {"even": 7 / 10, "odd": 8 / 10}
    assert (row.unparsable, row.unscored, row.errors, row.truncated) == (0, 0, 0, 0)
    sample = read_samples(plan.path, "sums")["s3", 0]
    assert sample.prompt == ("3 + 21 = ?",)
    assert (sample.target, sample.cluster, sample.score.prediction) == ("24", "c1", "25")


def test_a_finished_run_asks_and_builds_nothing(tmp_path: Path) -> None:
    fill(planned(tmp_path))
    benchmark, model = Sums(), Adder()
    plan = planned(tmp_path, benchmark)
    rows = runs.finished(plan)
    assert rows is not None
    assert rows[0].strict == 1.0
    assert fill(plan, model)[0].strict == 1.0
    assert (model.opened, benchmark.seen) == (0, [])


def test_a_run_with_a_score_that_was_changed_in_place_is_not_finished(tmp_path: Path) -> None:
    """The file keeps its size; `run` then says what the stored responses say, and asks nothing."""
    plan, model = planned(tmp_path), Adder()
    fill(plan, Adder(wrong=frozenset({0, 1})))
    path = plan.path / "samples" / "sums.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"value":0.0', b'"value":1.0', 1))
    assert runs.finished(plan) is None
    assert fill(plan, model)[0].strict == 19 / 20
    assert model.asked == []
    assert runs.finished(plan) is not None


def test_a_note_on_the_data_stands_beside_scores_and_outside_the_key(tmp_path: Path) -> None:
    before = planned(tmp_path)
    fill(before)
    members: list[Benchmark] = [Sums()]
    noted = {"sums": "generated"}
    plan = plan_run(IDENTITY, "arithmetic", members, members, Settings(), tmp_path)
    plan = dataclasses.replace(plan, notes=noted)
    assert plan.path == before.path
    assert runs.finished(plan) is None  # its summary lacks the note
    model = Adder()
    (row,) = fill(plan, model)
    assert (row.note, model.opened) == ("generated", 0)
    assert runs.finished(plan) == [row]
    assert read_manifest(plan.path)["benchmarks"]["sums"]["note"] == "generated"
    assert "sums: generated" in result_table([row], plan.path)


def test_a_note_is_told_once_with_its_benchmarks() -> None:
    assert notes_of([("a", "x"), ("b", "x"), ("c", "")]) == ["a, b: x"]
    assert notes_of([("a", "x"), ("b", "x"), ("a", "x")]) == ["x"]
    assert notes_of([("a", "x"), ("a", "y"), ("b", "x")]) == ["x", "a: y"]
    assert notes_of([("a", "x")]) == ["a: x"]
    assert notes_of([("a", "")]) == []


def test_limit_and_choice_fill_the_same_run(tmp_path: Path) -> None:
    small, whole = planned(tmp_path, limit=5), planned(tmp_path)
    assert small.path == whole.path
    fill(small)
    assert runs.finished(small) is not None
    assert runs.finished(whole) is None
    model = Adder()
    assert fill(whole, model)[0].n == 20
    assert len(model.asked) == 15
    assert runs.finished(small) is not None


ITEMS = st.integers(0, 5).map("s{}".format)


@given(
    stored=st.sets(st.tuples(ITEMS, st.integers(0, 1))),
    only=st.sets(ITEMS),
    limit=st.none() | st.integers(1, 8),
    repeats=st.integers(1, 2),
)
def test_chosen_items_are_covered_where_nothing_is_left_to_ask(
    stored: set[tuple[str, int]], only: set[str], limit: int | None, repeats: int
) -> None:
    sums = Sums(n=6)
    settings = Settings(only={"sums": only}, limit=limit, repeats=repeats)
    done = Score(1.0, "scored")
    samples = {
        key: Sample(*key, "c", (), (), "8", Response("8"), done, sums.scoring) for key in stored
    }
    left = what_is_left(Path(), sums, samples, settings).unasked
    assert settings.is_covered(sums, (), samples) == (not left)
    assert settings.may_ask(sums, samples) == bool(left)


def test_what_decides_an_answer_is_in_the_key(tmp_path: Path) -> None:
    key = planned(tmp_path).key
    assert planned(tmp_path / "elsewhere").key == key
    assert planned(tmp_path, repeats=3, concurrency=2).key == key
    other = dataclasses.replace(IDENTITY, fingerprint="other weights")
    assert dataclasses.replace(planned(tmp_path), identity=other).key != key
    # What does not fit a context scores 0: another context is another run.
    assert len({dataclasses.replace(planned(tmp_path), context=n).key for n in (None, 8, 9)}) == 3
    # So does a backend of the user's own, whose code answers.
    assert len({dataclasses.replace(planned(tmp_path), code=n).key for n in (None, "a", "b")}) == 3
    changed = [
        planned(tmp_path, seed=1),
        *(planned(tmp_path, model=ModelSettings(**each)) for each in DECISIVE),
        planned(tmp_path, Sums(n=21)),
    ]
    assert len({plan.key for plan in changed} | {key}) == 3 + len(DECISIVE)
    assert {name for each in DECISIVE for name in each} | {"chat_template"} == set(
        ModelSettings.__struct_fields__
    )
    faster = ModelSettings(vllm_arg={"gpu-memory-utilization": "0.5"})
    assert planned(tmp_path, model=faster).key == key
    assert planned(tmp_path, Sums(scoring="2")).key == key


def test_errors_are_kept_apart_and_tried_again(tmp_path: Path) -> None:
    benchmark = Sums(broken=frozenset({7}))
    (row,) = fill(planned(tmp_path, benchmark), Adder(fails=frozenset({2, 4})))
    assert (row.errors, row.n, row.strict, row.native) == (3, 20, 1.0, 1.0)
    plan = planned(tmp_path)
    assert runs.finished(plan) is None
    samples = read_samples(plan.path, "sums")
    assert samples["s7", 0].score.why == "the picture does not decode"
    assert samples["s2", 0].score.why == "the request failed for good"
    model = Adder()
    (row,) = fill(plan, model)
    assert (row.errors, row.strict) == (0, 1.0)
    assert sorted(model.asked) == ["2 + 14 = ?", "4 + 28 = ?", "7 + 49 = ?"]


def test_a_call_of_nothing_but_errors_ends_in_one(tmp_path: Path) -> None:
    every = frozenset(range(20))
    said = (
        r"^every response is an error \(3 in all\); the first: "
        r"the request failed for good \(stored.* them\)$"
    )
    for _ in range(2):  # the same command says the same
        with pytest.raises(UsageError, match=said):
            fill(planned(tmp_path, limit=3, concurrency=1), Adder(fails=every))
    plan = planned(tmp_path, limit=3)
    assert len(read_samples(plan.path, "sums")) == 3
    (row,) = json.loads((plan.path / "summary.json").read_text())["benchmarks"]
    assert (row["errors"], row["n"]) == (3, 3)
    (row,) = fill(plan, Adder(fails=frozenset({1})))
    assert (row.errors, row.n) == (1, 3)
    # A server that breaks half way is told in the table's column of errors, also by a second call.
    (row,) = fill(planned(tmp_path), Adder(fails=every))
    assert (row.errors, row.n) == (18, 20)


def test_an_error_among_good_answers_is_tried_in_vain_without_a_word(tmp_path: Path) -> None:
    broken = Sums(broken=frozenset({7}))
    for _ in range(2):
        (row,) = fill(planned(tmp_path, broken))
        assert (row.errors, row.n, row.strict) == (1, 20, 1.0)


@pytest.mark.parametrize(
    ("errors", "answers", "limit", "refused"),
    [
        (1, 100, 0.01, False),
        (2, 100, 0.01, True),
        (1, 1, 1.0, False),
        (1, 9, 0.0, True),
        (0, 0, 0.0, False),
        (0, 5, 0.0, False),
    ],
)
def test_errors_above_the_limit_are_refused(
    errors: int, answers: int, limit: float, refused: bool
) -> None:
    counts = [("a", errors, answers), ("b", 0, 7)]
    with pytest.raises(UsageError, match="allows: a ") if refused else nullcontext():
        check_errors(counts, limit)


@pytest.mark.parametrize(("text", "share"), [("1%", 0.01), ("0.01", 0.01), ("0", 0), ("100 %", 1)])
def test_a_share_is_written_either_way(text: str, share: float) -> None:
    assert Share().convert(text, None, None) == pytest.approx(share)


@pytest.mark.parametrize("text", ["2", "-1%", "nan", "inf%", "much", "", "%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a share"):
        Share().convert(text, None, None)


@pytest.mark.parametrize("text", ["1", "1.0", " 1. ", "1e0", "+1"])
def test_a_plain_one_is_refused_as_ambiguous(text: str) -> None:
    with pytest.raises(click.BadParameter, match="can mean 1% or 100%"):
        Share().convert(text, None, None)


def test_old_errors_that_are_mended_are_good_answers_of_the_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"every response is an error \(2 in all\)"):
        fill(planned(tmp_path, limit=2), Adder(fails=frozenset({0, 1})))
    (row,) = fill(planned(tmp_path, limit=4), Adder(fails=frozenset({2, 3})))
    assert (row.errors, row.n) == (2, 4)


def test_failed_repeats_beyond_those_asked_for_are_left_alone(tmp_path: Path) -> None:
    fill(planned(tmp_path, limit=4, repeats=3), Adder(fails=frozenset({2})))
    model = Adder()
    fill(planned(tmp_path, limit=4, repeats=2), model)
    assert model.asked == ["2 + 14 = ?"] * 2
    model = Adder()
    fill(planned(tmp_path, limit=4, repeats=3), model)
    assert model.asked == ["2 + 14 = ?"]


@pytest.mark.parametrize("recorded", [None, "native"])
def test_responses_to_images_converted_otherwise_are_not_mixed(
    tmp_path: Path, recorded: str | None
) -> None:
    white = Sums(image_conversion="white")
    plan = planned(tmp_path, white, limit=5)
    fill(plan)
    assert read_manifest(plan.path)["benchmarks"]["sums"]["image_conversion"] == "white"
    fill(planned(tmp_path, white, limit=6))  # the same one goes on
    manifest = json.loads((plan.path / "manifest.json").read_text())
    del manifest["benchmarks"]["sums"]["image_conversion"]
    if recorded:
        manifest["benchmarks"]["sums"]["image_conversion"] = recorded
    (plan.path / "manifest.json").write_text(json.dumps(manifest))
    model = Adder()
    for _ in range(2):
        with pytest.raises(UsageError, match=r"responses of sums may be to images conv.* --fresh"):
            fill(planned(tmp_path, white), model)
    assert (model.opened, model.asked) == (0, [])
    # What is stored is shown, and scored by new rules.
    assert runs.finished(planned(tmp_path, white, limit=6)) is not None
    rescored = dataclasses.replace(white, scoring="2")
    assert fill(planned(tmp_path, rescored, limit=6), model)[0].scoring == "2"
    fresh = dataclasses.replace(planned(tmp_path, white), fresh=True)
    assert fill(fresh)[0].n == 20


@pytest.mark.parametrize(
    ("before", "fails", "after"),
    [
        ({"limit": 10}, 7, {"limit": 5, "repeats": 2}),  # beyond the limit none is asked again
        ({"limit": 3, "repeats": 3}, 2, {"limit": 6}),
        ({"limit": 3, "repeats": 3}, 2, {"limit": 6, "repeats": 4}),
        ({"limit": 8}, 2, {"limit": 8}),
        ({}, 2, {"repeats": 2}),
        ({}, 2, {"limit": 2}),
    ],
)
def test_the_preview_and_the_progress_count_what_is_asked(
    tmp_path: Path, before: dict[str, int], fails: int, after: dict[str, int]
) -> None:
    fill(planned(tmp_path, **before), Adder(fails=frozenset({fails})))
    plan = planned(tmp_path, **after)
    (row,) = preview(plan, "test")["benchmarks"]
    model, progress = Adder(), Quiet()
    runs.execute(plan, model.open, {"kind": "test"}, progress)
    assert row["to_ask"] == len(model.asked)
    total, done = progress.totals["sums"]
    assert total - done == len(progress.statuses) == len(model.asked)


def test_a_model_that_dies_keeps_what_was_answered(tmp_path: Path) -> None:
    plan = planned(tmp_path, concurrency=2)
    with pytest.raises(UsageError, match="stopped answering"):
        fill(plan, Adder(dies_after=9))
    stored = len(read_samples(plan.path, "sums"))
    assert 8 <= stored <= 9
    assert runs.finished(plan) is None
    assert json.loads((plan.path / "summary.json").read_text())["benchmarks"][0]["n"] == stored
    model = Adder()
    assert fill(plan, model)[0].strict == 1.0
    assert len(model.asked) == 20 - stored


def test_a_change_of_scoring_scores_stored_answers_again(tmp_path: Path) -> None:
    fill(planned(tmp_path))

    class Harsh(Sums):
        async def score(self, item, response, tools):  # type: ignore[no-untyped-def]
            return dataclasses.replace(await super().score(item, response, tools), value=0.0)

    plan, model = planned(tmp_path, Harsh(scoring="2")), Adder()
    assert runs.finished(plan) is None
    (row,) = fill(plan, model)
    assert (row.strict, row.n, model.opened) == (0.0, 20, 0)
    assert read_samples(plan.path, "sums")["s1", 0].scoring == "2"


def test_a_limited_rescore_leaves_no_score_of_the_old_scorer(tmp_path: Path) -> None:
    fill(planned(tmp_path))

    class Harsh(Sums):
        async def score(self, item, response, tools):  # type: ignore[no-untyped-def]
            return dataclasses.replace(await super().score(item, response, tools), value=0.0)

    model = Adder()
    (row,) = fill(planned(tmp_path, Harsh(scoring="2"), limit=5), model)
    assert (row.strict, row.n, row.scoring, model.asked) == (0.0, 20, "2", [])


def test_an_interrupted_rescore_is_not_taken_for_finished(tmp_path: Path) -> None:
    fill(planned(tmp_path))

    class Interrupted(Sums):
        async def score(self, item, response, tools):  # type: ignore[no-untyped-def]
            if item.id == "s9":
                raise KeyboardInterrupt
            return dataclasses.replace(await super().score(item, response, tools), value=0.0)

    with pytest.raises(KeyboardInterrupt):
        fill(planned(tmp_path, Interrupted(scoring="2"), concurrency=1))
    assert runs.finished(planned(tmp_path, Sums(scoring="2"))) is None
    (row,) = fill(planned(tmp_path, Sums(scoring="2")))
    assert row.scoring == "2"


def test_data_that_comes_later_continues_the_run_and_other_data_does_not(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Absent(Sums):
        def fingerprint(self) -> str:
            raise UsageError("no data")

    one, late = Sums(id="one"), Sums(id="late")
    absent = Absent(id="late")
    first = plan_run(IDENTITY, "two", [one, absent], [one], Settings(), tmp_path)
    fill(first)
    model = Adder()
    both = plan_run(IDENTITY, "two", [one, late], [one, late], Settings(), tmp_path)
    assert both.path == first.path
    fill(both, model)
    assert len(model.asked) == 20
    assert read_manifest(both.path)["benchmarks"]["late"]["n"] == 20
    changed = plan_run(IDENTITY, "two", [one, Sums(21, id="late")], [one], Settings(), tmp_path)
    assert changed.path != first.path
    gone = plan_run(IDENTITY, "two", [one, absent], [one], Settings(), tmp_path)
    assert runs.finished(gone) is not None


def test_more_repeats_of_few_items_weigh_no_more(tmp_path: Path) -> None:
    fill(planned(tmp_path))
    (row,) = fill(planned(tmp_path, limit=2, repeats=9), Adder(wrong=frozenset({0, 1})))
    # Items 0 and 1: one right answer of nine; the other eighteen items are right.
    assert row.strict == pytest.approx((18 + 2 / 9) / 20)
    assert runs.finished(planned(tmp_path)) is not None
    assert runs.finished(planned(tmp_path, limit=2, repeats=9)) is not None
    assert runs.finished(planned(tmp_path, limit=3, repeats=9)) is None


def test_a_headline_of_parts_needs_every_part(tmp_path: Path) -> None:
    odd = frozenset(range(1, 20, 2))
    (row,) = fill(planned(tmp_path, Sums(headline=("even", "odd"))), Adder(wrong=frozenset({0})))
    assert row.strict == pytest.approx((0.9 + 1.0) / 2)
    (row,) = fill(planned(tmp_path / "b", Sums(headline=("even", "odd"), broken=odd)))
    assert (row.strict, row.errors) == (None, 10)


@dataclasses.dataclass(frozen=True)
class Judged(Sums):
    """Sums whose native scoring asks a judge, who is silent on the items in ``silent``."""

    needs_judge: bool = True
    silent: frozenset[str] = frozenset()
    asked: list[str] = dataclasses.field(default_factory=list, compare=False)

    def native(self, answers, judge):  # type: ignore[no-untyped-def]
        self.asked.extend(answers)
        found = super().native(answers, judge)
        silent = dict.fromkeys(self.silent & answers.keys(), Score(None, "unscored"))
        return {**found, **silent}


def test_a_judge_is_asked_once_an_answer_and_again_where_it_was_silent(tmp_path: Path) -> None:
    judge = Judge("http://judge", "j")
    (row,) = fill(planned(tmp_path, Judged()))
    assert (row.native, row.strict) == (None, 1.0)
    quiet = Judged(silent=frozenset({"s3"}))
    (row,) = fill(planned(tmp_path, quiet, judge=judge))
    assert (row.native_n, len(quiet.asked)) == (19, 20)
    assert runs.finished(planned(tmp_path, Judged(), judge=judge)) is None
    talking = Judged()
    (row,) = fill(planned(tmp_path, talking, judge=judge))
    assert (row.native, row.native_n, talking.asked) == (1.0, 20, ["s3"])
    assert runs.finished(planned(tmp_path, Judged(), judge=judge)) is not None
    unjudged = runs.finished(planned(tmp_path, Judged()))
    assert unjudged is not None
    assert unjudged[0].native == 1.0  # the judge's verdicts stay
    assert runs.finished(planned(tmp_path, Judged(), judge=Judge("http://judge", "k"))) is None


def test_an_interrupted_judge_pass_keeps_its_verdicts(tmp_path: Path) -> None:
    judge = Judge("http://judge", "j")

    @dataclasses.dataclass(frozen=True)
    class Interrupted(Judged):
        def native(self, answers, judge):  # type: ignore[no-untyped-def]
            if self.asked:
                raise RuntimeError("stopped here")
            return super().native(answers, judge)

    with pytest.raises(RuntimeError, match="stopped here"):
        fill(planned(tmp_path, Interrupted(n=50), judge=judge))
    assert runs.finished(planned(tmp_path, Judged(n=50), judge=judge)) is None
    rest = Judged(n=50)
    (row,) = fill(planned(tmp_path, rest, judge=judge))
    assert (row.native, row.native_n) == (1.0, 50)
    assert len(rest.asked) == 50 - JUDGED_AT_ONCE


def test_native_scoring_that_cannot_start_costs_no_strict_score(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Broken(Sums):
        def native(self, answers, judge):  # type: ignore[no-untyped-def]
            raise UsageError("lmms-eval does not start")

    plan = planned(tmp_path, Broken(id="a"), Sums(id="b"))
    rows = fill(plan)
    assert [(row.strict, row.native) for row in rows] == [(1.0, None), (1.0, 1.0)]
    text = result_table(rows, plan.path)
    assert "native scoring is incomplete (rerun without --no-native to finish it): a\n" in text
    assert "judge" not in text
    model = Adder()
    rows = fill(planned(tmp_path, Sums(id="a"), Sums(id="b")), model)
    assert [(row.native, model.opened) for row in rows] == [(1.0, 0), (1.0, 0)]


def test_the_table_asks_for_a_judge_only_where_one_is_needed(tmp_path: Path) -> None:
    plan = planned(tmp_path, Sums(id="a"), Judged(id="b"), limit=3)
    table = result_table(fill(plan), plan.path)
    assert "no native score without a judge (--judge): b\n" in table
    every = Sums(id="all-errors", broken=frozenset(range(20)))
    plan = planned(tmp_path / "more", every, Sums(id="b"), limit=3)
    rows = fill(plan)
    assert [(row.native, row.errors) for row in rows] == [(None, 3), (1.0, 0)]
    assert "native sc" not in result_table(rows, plan.path)


def test_native_scores_that_were_left_out_are_added_without_the_model(tmp_path: Path) -> None:
    (row,) = fill(planned(tmp_path, native=False))
    assert (row.strict, row.native, row.native_missing) == (1.0, None, 20)
    assert runs.finished(planned(tmp_path, native=False)) is not None
    assert runs.finished(planned(tmp_path)) is None
    model = Adder()
    (row,) = fill(planned(tmp_path), model)
    assert (row.native, row.native_missing, model.opened) == (1.0, 0, 0)


def test_the_table_says_where_native_scoring_gave_no_value(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Silent(Sums):
        def native(self, answers, judge):  # type: ignore[no-untyped-def]
            return {name: Score(None, "error", why="it crashed") for name in answers}

    plan = planned(tmp_path, Silent())
    rows = fill(plan)
    assert "native scoring returned no value: sums\n" in result_table(rows, plan.path)


def test_other_native_rules_score_natively_again(tmp_path: Path) -> None:
    fill(planned(tmp_path))
    assert runs.finished(planned(tmp_path, Sums(native_rules="2"))) is None
    model = Adder()
    (row,) = fill(planned(tmp_path, Sums(native_rules="2")), model)
    assert (row.native, row.native_n, row.native_rules, model.opened) == (1.0, 20, "2", 0)


def test_corrupt_derived_files_are_made_again(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    fill(plan)
    summary, native = plan.path / "summary.json", plan.path / "native" / "sums.jsonl"
    text = summary.read_text()
    for corrupt in ("", "{}", '{"benchmarks": 1}', text.replace("20", '"x"')):
        summary.write_text(corrupt)
        assert runs.finished(plan) is None
        assert fill(plan)[0].strict == 1.0
    native.write_text("nonsense\n{}\n[]\n")
    (row,) = fill(plan)
    assert (row.native, row.native_n) == (1.0, 20)


def test_repeats_draw_with_their_own_seeds(tmp_path: Path) -> None:
    seeds: list[int] = []

    class Seeded(Sums):
        async def solve(self, item, model, sampling, tools):  # type: ignore[no-untyped-def]
            seeds.append(sampling.seed)
            return await super().solve(item, model, sampling, tools)

    (row,) = fill(planned(tmp_path, Seeded(n=4), repeats=3, seed=10))
    assert (row.n, row.answers, row.native_n) == (4, 12, 12)
    fill(planned(tmp_path, Seeded(n=4), repeats=3, seed=11))
    assert len(set(seeds)) == 24
    first = sorted(seeds[:12])
    seeds.clear()
    fill(planned(tmp_path / "again", Seeded(n=4), repeats=3, seed=10))
    assert sorted(seeds) == first


def test_requests_overlap_up_to_the_limit(tmp_path: Path) -> None:
    class Waiting(Adder):
        inside = 0  # none is answered before there are eight

        async def chat(self, messages, sampling):  # type: ignore[no-untyped-def]
            self.inside += 1
            self.peak = max(self.peak, self.inside)
            async with asyncio.timeout(60):
                while self.peak < 8:
                    await asyncio.sleep(0.001)
            self.inside -= 1
            return await super().chat(messages, sampling)

    model = Waiting()
    fill(planned(tmp_path, Sums(id="a"), Sums(id="b"), concurrency=8), model)
    assert model.peak == 8


def test_a_scorer_that_fails_costs_one_item_and_keeps_its_answer(tmp_path: Path) -> None:
    class Buggy(Sums):
        async def score(self, item, response, tools):  # type: ignore[no-untyped-def]
            return Score(1 / int(item.id != "s3"), "scored")

    plan = planned(tmp_path, Buggy())
    (row,) = fill(plan)
    assert (row.errors, row.strict) == (1, 1.0)
    assert read_samples(plan.path, "sums")["s3", 0].response is not None
    model = Adder()
    assert fill(planned(tmp_path), model)[0].errors == 0
    assert model.asked == []


def test_a_bug_on_one_question_costs_that_item(tmp_path: Path) -> None:
    class Buggy(Sums):
        async def solve(self, item, model, sampling, tools):  # type: ignore[no-untyped-def]
            return dataclasses.replace(
                await super().solve(item, model, sampling, tools), text=str(24 / int(item.target))
            )

    # The first item's target is 0.
    plan = planned(tmp_path, Buggy(n=3))
    (row,) = fill(plan)
    assert (row.errors, row.n) == (1, 3)
    why = read_samples(plan.path, "sums")["s0", 0].score.why
    assert why == "the question failed: ZeroDivisionError: division by zero"
    model = Adder()
    assert fill(planned(tmp_path, Sums(n=3)), model)[0].errors == 0
    assert model.asked == ["0 + 0 = ?"]


def _hold(path: Path, ready: object, release: object) -> None:
    with RunStore.open(path):
        ready.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    plan = planned(tmp_path)
    other = context.Process(target=_hold, args=(plan.path, ready, release))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(UsageError, match="another process is using"):
            fill(plan)
    finally:
        release.set()
        other.join()
    assert fill(plan)[0].strict == 1.0


def test_the_manifest_tells_what_was_run_and_each_time_it_was(tmp_path: Path) -> None:
    plan = dataclasses.replace(planned(tmp_path), revisions={"sums": "a" * 40})
    fill(planned(tmp_path, limit=3))
    # The commit that is declared is not recorded of data that nobody knows to be of it.
    assert read_manifest(plan.path)["benchmarks"]["sums"]["data_revision"] is None
    fill(plan)
    manifest = read_manifest(plan.path)
    assert manifest["benchmarks"]["sums"]["data_revision"] == "a" * 40
    assert manifest["base"] == plan.base
    assert [entry["limit"] for entry in manifest["invocations"]] == [3, None]
    assert all(entry["ended"] for entry in manifest["invocations"])
    entry = manifest["benchmarks"]["sums"]
    assert (entry["n"], entry["data_fingerprint"]) == (20, Sums().fingerprint())
    assert manifest["model"]["fingerprint"] == "fingerprint"
    assert {"lmms-eval", "torch"} <= set(manifest["invocations"][0]["packages"])


def test_a_foreign_or_corrupt_manifest_is_refused(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    fill(plan)
    manifest = plan.path / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace(plan.base, "0" * 64))
    with pytest.raises(UsageError, match="belongs to another run"):
        fill(plan)
    whole = json.loads(text)
    changed: list[dict[str, object]] = [
        {"benchmarks": {"sums": 5}},
        {"benchmarks": []},
        {"invocations": [1]},
        {"model": []},
        {"model": {"name": "adder"}},
        {"sampling": {"temperature": "hot", "top_p": 1.0}},
        {"suite": None},
    ]
    for corrupt in ("{]", "[]", '{"schema": 1}', "[" * 200_000, *changed):
        if isinstance(corrupt, dict):
            corrupt = json.dumps({**whole, **corrupt})
        manifest.write_text(corrupt)
        with pytest.raises(UsageError, match="corrupt"):
            runs.finished(plan)
    manifest.write_text(text.replace('"schema": 1', '"schema": 99'))
    with pytest.raises(UsageError, match="schema version 99"):
        runs.finished(plan)


@pytest.mark.parametrize("entry", [5, None, []])
def test_a_corrupt_run_beside_it_stops_no_fresh_run(tmp_path: Path, entry: object) -> None:
    plan = planned(tmp_path)
    fill(plan)
    beside = plan.path.with_name("adder-arithmetic-00000000")
    plan.path.rename(beside)
    manifest = json.loads((beside / "manifest.json").read_text())
    manifest["benchmarks"]["sums"] = entry
    (beside / "manifest.json").write_text(json.dumps(manifest))
    fresh = planned(tmp_path)
    assert fresh.path == plan.path
    assert fill(fresh)[0].strict == 1.0


def test_a_large_run_is_planned_while_answers_come_in(tmp_path: Path) -> None:
    # Jobs are made in a thread beside the loop that stores answers.
    (row,) = fill(planned(tmp_path, Sums(4000), repeats=2, concurrency=64))
    assert (row.n, row.answers, row.strict) == (4000, 8000, 1.0)


def test_native_scoring_that_failed_on_later_answers_is_made_up_for(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Broken(Sums):
        def native(self, answers, judge):  # type: ignore[no-untyped-def]
            raise UsageError("lmms-eval does not start")

    fill(planned(tmp_path, limit=5))
    (row,) = fill(planned(tmp_path, Broken()))
    assert (row.n, row.native_n, row.native_missing) == (20, 5, 15)
    plan = planned(tmp_path)
    assert runs.finished(plan) is None
    (row,) = fill(plan)
    assert (row.native, row.native_n, row.native_missing) == (1.0, 20, 0)
    assert runs.finished(plan) is not None


def test_native_scoring_comes_again_to_answers_that_it_did_not_reach(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Dying(Sums):
        def native(self, answers, judge):  # type: ignore[no-untyped-def]
            return dict(list(super().native(answers, judge).items())[:8])

    @dataclasses.dataclass(frozen=True)
    class Crashing(Sums):
        def native(self, answers, judge):  # type: ignore[no-untyped-def]
            return {**super().native(answers, judge), "s3": Score(None, "unscored", why="crash")}

    (row,) = fill(planned(tmp_path, Dying()))
    assert (row.native_n, row.native_missing) == (8, 12)
    assert runs.finished(planned(tmp_path)) is None
    (row,) = fill(planned(tmp_path, Crashing()))
    # A verdict that there is no value is one: it is not asked for again.
    assert (row.native_n, row.native_missing) == (19, 0)
    assert runs.finished(planned(tmp_path)) is not None


def test_native_scoring_that_ran_out_of_time_goes_on_with_the_rest(tmp_path: Path) -> None:
    """The reason is counted; what crashed is not tried again, what was not reached is."""
    asked: list[list[str]] = []

    @dataclasses.dataclass(frozen=True)
    class Late(Sums):
        def native(self, answers, judge):  # type: ignore[no-untyped-def]
            asked.append(list(answers))
            found = dict(list(super().native(answers, judge).items())[:8])
            crashed = {"s3": Score(None, "unscored", why="crash")} if "s3" in found else {}
            raise UnfinishedError("its time is up", {**found, **crashed})

    class Notes(Quiet):
        def note(self, text: str) -> None:
            notes.append(text)

    notes: list[str] = []
    plan = planned(tmp_path, Late())
    (row,) = runs.execute(plan, Adder().open, {"kind": "test"}, Notes())
    assert (row.native_n, row.native_missing) == (7, 12)
    assert any("its time is up before 12 answers" in note for note in notes)
    table = result_table([row], plan.path)
    assert "sums: 12 responses have no native score yet (rerun the command to score them)" in table
    assert runs.finished(planned(tmp_path)) is None
    assert fill(planned(tmp_path, Late()))[0].native_missing == 11  # eight, s3 not among them
    assert "s3" not in asked[-1]
    assert len(asked[-1]) == 19
    (row,) = fill(planned(tmp_path))
    assert (row.native_n, row.native_missing) == (19, 0)


def test_two_items_with_one_id_are_refused(tmp_path: Path) -> None:
    class Twice(Sums):
        def ids(self) -> Sequence[str]:
            return [*super().ids(), "s0"]

    with pytest.raises(UsageError, match="two items with the id s0"):
        fill(planned(tmp_path, Twice()))


@dataclasses.dataclass(frozen=True)
class Demanding(Sums):
    """Sums that look at the machine before anything is asked."""

    prepared: list[int] = dataclasses.field(default_factory=list, compare=False)

    def checks(self):  # type: ignore[no-untyped-def]
        yield from ()

    async def prepare(self, tools):  # type: ignore[no-untyped-def]
        self.prepared.append(1)


@pytest.mark.parametrize(
    ("before", "now", "times"),
    [
        ({"limit": 10}, {"limit": 5}, 0),
        # As many answers are stored as are wanted, but other ones.
        ({"limit": 10}, {"limit": 5, "repeats": 2}, 1),
        ({"limit": 3, "repeats": 2}, {"limit": 6}, 1),
    ],
)
def test_the_machine_is_looked_at_where_answers_are_missing(
    tmp_path: Path, before: dict[str, int], now: dict[str, int], times: int
) -> None:
    fill(planned(tmp_path, **before))
    benchmark = Demanding()
    fill(planned(tmp_path, benchmark, **now))
    assert len(benchmark.prepared) == times


def test_a_model_that_cannot_start_says_so_before_items_are_built(tmp_path: Path) -> None:
    # Ten answers are stored and ten are wanted: the second ones of five items.
    fill(planned(tmp_path, limit=10))

    class Gone(Adder):
        def open(self):  # type: ignore[no-untyped-def]
            raise UsageError("the model cannot start")

    benchmark = Sums()
    with pytest.raises(UsageError, match="cannot start"):
        fill(planned(tmp_path, benchmark, limit=5, repeats=2), Gone())
    assert benchmark.seen == []


class Unprepared(Sums):
    """Sums whose ids must not be asked for yet."""

    def ids(self) -> Sequence[str]:
        raise AssertionError("prepared before the model was open")


def test_a_dead_endpoint_is_reported_before_anything_is_prepared(tmp_path: Path) -> None:
    plan = planned(tmp_path, Unprepared())
    with pytest.raises(UsageError, match=r"no server answers at http://127.0.0.1:9"):
        runs.execute(
            plan, lambda: EndpointModel("http://127.0.0.1:9"), {"kind": "endpoint"}, Quiet()
        )
    # As many answers as are wanted are stored, but one has no second repeat.
    fill(planned(tmp_path, limit=2))
    plan = planned(tmp_path, Unprepared(), limit=1, repeats=2)
    with pytest.raises(UsageError, match="no server answers"):
        runs.execute(
            plan, lambda: EndpointModel("http://127.0.0.1:9"), {"kind": "endpoint"}, Quiet()
        )


def test_items_are_asked_while_the_next_benchmark_is_prepared(tmp_path: Path) -> None:
    answered = threading.Event()

    class Slow(Sums):
        def ids(self) -> Sequence[str]:
            assert answered.wait(30), "the first benchmark waits for this one"
            return super().ids()

    class First(Sums):
        async def score(self, item, response, tools):  # type: ignore[no-untyped-def]
            answered.set()
            return await super().score(item, response, tools)

    rows = fill(planned(tmp_path, First(id="first"), Slow(id="slow")))
    assert [(row.n, row.strict) for row in rows] == [(20, 1.0), (20, 1.0)]
