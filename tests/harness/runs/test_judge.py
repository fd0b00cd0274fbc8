"""The judged score: a real judge's server, its verdicts on disk, and what can go wrong there."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.vqa.judging import compare
from harness.cli.tables import result_json, result_table, sample_text
from harness.errors import ItemError, UsageError
from harness.protocols import Declaration, Judge
from harness.records import Message, Response, Sampling, Score
from harness.runs import run as runs
from harness.runs.judge import TRIES, JudgedScoring
from harness.runs.lookup import find
from harness.runs.plan import RunPlan
from harness.runs.store import RunStore, read_manifest, read_samples, secondary_rows
from harness.runs.summary import BenchmarkSummary
from tests.harness.runs.test_run import fill, planned
from tests.servers import Answer, Reply, Request, ScriptedServer
from tests.sums import Adder, Quiet, Sums

WRONG = frozenset({3, 5})


def test_without_a_judge_nothing_is_waited_for(tmp_path: Path) -> None:
    with RunStore.open(tmp_path / "run") as store:
        scoring = JudgedScoring(store, None, 2, Quiet())
        asyncio.run(asyncio.wait_for(scoring.run(), 10))


@dataclasses.dataclass(frozen=True)
class Graded(Sums):
    """Sums that a judge grades: it is asked ``prompt`` with the sum and the answer."""

    prompt: str = "Is this right? 1 or 0."
    rules: str = "1"

    @property
    def declaration(self) -> Declaration:
        rules = f"graded-{self.rules}-{self.prompt}"
        return dataclasses.replace(super().declaration, judged_rules=rules)

    async def judged(self, item_id, answer, ask):  # type: ignore[no-untyped-def]
        number = int(item_id[1:])
        return await compare(ask, f"{self.prompt} {number} + {number * 7} = {answer}", answer)


def arithmetic(request: Request) -> str:
    """Judge as arithmetic does."""
    first, second, total = map(int, re.findall(r"\d+", request.text)[-3:])
    return f"{int(first + second == total)}"


def judge_at(server: ScriptedServer, model: str = "scripted") -> Judge:
    return Judge(server.url, model)


def judged_run(
    out: Path, answer: Answer, benchmark: Sums | None = None, wrong: frozenset[int] = WRONG
) -> tuple[RunPlan, list[BenchmarkSummary], list[Request]]:
    with ScriptedServer(answer) as server:
        plan = planned(out, benchmark or Graded(), judge=judge_at(server))
        rows = fill(plan, Adder(wrong=wrong))
        return plan, rows, list(server.requests)


class Filtered(Adder):
    """A model behind a content filter that withholds everything."""

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        answer = await super().chat(messages, sampling)
        return dataclasses.replace(answer, finish_reason="content_filter")


def test_what_a_filter_withheld_is_not_judged(tmp_path: Path) -> None:
    with ScriptedServer(arithmetic) as server:
        plan = planned(tmp_path, Graded(), judge=judge_at(server))
        (row,) = fill(plan, Filtered())
        asked = len(server.requests)
    assert (row.judged, row.judged_n, row.judged_missing, row.unscored, asked) == (
        None,
        0,
        0,
        20,
        0,
    )


def test_verdicts_stand_beside_the_strict_score_and_are_asked_once(tmp_path: Path) -> None:
    # This judge is wrong about everything: nothing of it may reach the strict score.
    contrary = lambda request: "01"[arithmetic(request) == "0"]  # noqa: E731
    plan, (row,), requests = judged_run(tmp_path, contrary)
    assert (row.strict, row.native, row.judged) == (18 / 20, 18 / 20, 2 / 20)
    assert (row.judged_n, row.judged_missing, row.unscored) == (20, 0, 0)
    assert len(requests) == 20
    assert {request.body["temperature"] for request in requests} == {0}
    assert read_samples(plan.path, "sums")["s3", 0].score.value == 0.0
    assert read_manifest(plan.path)["benchmarks"]["sums"]["judge"] == "scripted"
    rules = Graded().declaration.judged_rules
    assert read_manifest(plan.path)["benchmarks"]["sums"]["judged_rules"] == rules
    stored = list(secondary_rows(plan.path, "judged", "sums"))
    assert {(verdict.judge, verdict.rules) for verdict in stored} == {("scripted", rules)}
    assert runs.finished(plan) is not None
    _, again, none = judged_run(tmp_path, contrary)
    assert (again, none) == ([row], [])


def test_the_table_the_json_and_show_tell_it(tmp_path: Path) -> None:
    plan, rows, _ = judged_run(tmp_path, arithmetic)
    table = result_table(rows, plan.path).splitlines()
    assert table[0].split()[:5] == ["benchmark", "strict", "native", "judged", "items"]
    assert table[1].split()[:5] == ["sums", "90.0", "90.0", "90.0", "20"]
    (document,) = json.loads(result_json(rows, plan.path, items=True))["benchmarks"]
    assert (document["judged"], document["judged_n"]) == (0.9, 20)
    assert {item["id"]: item["judged"] for item in document["items"]}["s3"] == 0.0
    (found,) = find(plan.path, "s3")
    text = sample_text(found)
    for why in ("why: first number", "why: arithmetic says", "why: the judge calls it wrong"):
        assert why in text
    assert "judge scripted" in text


def test_without_a_judge_nothing_is_said_of_it(tmp_path: Path) -> None:
    plan = planned(tmp_path, Graded())
    (row,) = fill(plan)
    assert (row.judged, row.judged_n, row.unscored, row.judge) == (None, 0, 0, None)
    assert "judged" not in result_table([row], plan.path)
    assert runs.finished(plan) is not None
    (found,) = find(plan.path, "s3")
    assert found.judged is None


def test_a_run_that_was_finished_without_a_judge_only_asks_the_judge(tmp_path: Path) -> None:
    fill(planned(tmp_path, Graded()))
    with ScriptedServer(arithmetic) as server:
        plan, model = planned(tmp_path, Graded(), judge=judge_at(server)), Adder()
        assert runs.finished(plan) is None
        (row,) = fill(plan, model)
    assert (row.judged, len(server.requests), model.opened) == (1.0, 20, 0)
    kept = runs.finished(planned(tmp_path, Graded()))
    assert kept is not None
    assert kept[0].judged == 1.0  # the verdicts stay


def test_a_reply_that_is_no_verdict_is_asked_for_again_then_unscored(tmp_path: Path) -> None:
    def mumbling(request: Request) -> str:
        if " 4 + 28" in request.text:
            return "Well, 1 or 0?"
        return arithmetic(request)

    plan, (row,), requests = judged_run(tmp_path, mumbling)
    assert (row.judged, row.judged_n, row.unscored) == (17 / 19, 19, 1)
    assert (row.strict, row.unparsable, row.errors) == (18 / 20, 0, 0)
    assert len(requests) == 19 + TRIES
    assert "17+" not in result_table([row], plan.path)
    assert f"{100 * 17 / 19:.1f}+" in result_table([row], plan.path)
    (found,) = find(plan.path, "s4")
    assert found.judged is not None
    assert (found.judged.value, "Well, 1 or 0?" in found.judged.why) == (None, True)
    # That is a result: it is stored, and nobody is asked again.
    assert runs.finished(plan) is not None


def test_a_judge_that_is_understood_at_the_second_try_has_given_a_verdict(tmp_path: Path) -> None:
    seen: set[str] = set()

    def stammering(request: Request) -> str:
        first = request.text not in seen
        seen.add(request.text)
        return "er" if first else arithmetic(request)

    _, (row,), requests = judged_run(tmp_path, stammering)
    assert (row.judged, row.unscored, len(requests)) == (18 / 20, 0, 40)


def dying(after: int, died: threading.Event) -> Callable[[Request], Reply]:
    """Answer ``after`` requests; at the next, say so and answer nothing any more."""

    def reply(request: Request) -> Reply:
        if request.number < after:
            return Reply(arithmetic(request))
        died.set()
        return Reply(drop=True)

    return reply


@pytest.mark.slow
def test_a_judge_that_dies_costs_nothing_but_its_own_verdicts(tmp_path: Path) -> None:
    died = threading.Event()
    server = ScriptedServer(dying(8, died))
    server.__enter__()
    end = threading.Thread(target=lambda: died.wait(30) and server.__exit__())
    end.start()
    with pytest.raises(UsageError, match=r"the judge: .*stopped answering"):
        fill(planned(tmp_path, Graded(), judge=judge_at(server), concurrency=4), Adder(wrong=WRONG))
    end.join()
    plan = planned(tmp_path, Graded(), judge=judge_at(server))
    assert runs.finished(plan) is None
    assert len(read_samples(plan.path, "sums")) == 20  # the model went on answering
    judged = {(row.id, row.repeat) for row in secondary_rows(plan.path, "judged", "sums")}
    assert len(judged) == 8
    (partial,) = json.loads((plan.path / "summary.json").read_text())["benchmarks"]
    assert (partial["judged_n"], partial["judged_missing"], partial["unscored"]) == (8, 12, 12)
    _, (row,), requests = judged_run(tmp_path, arithmetic)
    assert (row.judged, row.judged_n, row.unscored, len(requests)) == (18 / 20, 20, 0, 12)


def test_a_judge_that_was_never_there_is_one_line_and_costs_no_answer(tmp_path: Path) -> None:
    plan = planned(tmp_path, Graded(), judge=Judge("http://127.0.0.1:9", "scripted"))
    with pytest.raises(UsageError, match=r"the judge: no server answers at http://127.0.0.1:9"):
        fill(plan)
    unjudged = planned(tmp_path, Graded())
    model = Adder()
    (row,) = fill(unjudged, model)
    assert (row.strict, row.judged, model.asked) == (1.0, None, [])


def test_a_request_that_fails_for_good_is_asked_again_by_the_next_call(tmp_path: Path) -> None:
    refusing = lambda request: (  # noqa: E731
        Reply("too long", status=400) if " 4 + 28" in request.text else arithmetic(request)
    )
    plan, (row,), requests = judged_run(tmp_path, refusing)
    assert (row.judged_n, row.judged_missing, row.unscored, len(requests)) == (19, 1, 1, 20)
    assert runs.finished(plan) is None
    _, (row,), requests = judged_run(tmp_path, arithmetic)
    assert (row.judged, row.judged_missing, row.unscored) == (18 / 20, 0, 0)
    assert [" 4 + 28" in request.text for request in requests] == [True]


def test_another_judge_is_asked_anew_and_the_first_ones_verdicts_stay(tmp_path: Path) -> None:
    judged_run(tmp_path, arithmetic)
    with ScriptedServer(lambda request: "0", models=("strict judge",)) as server:
        plan = planned(tmp_path, Graded(), judge=judge_at(server, "strict judge"))
        assert runs.finished(plan) is None
        (row,) = fill(plan)
    assert (row.judged, row.judge, len(server.requests)) == (0.0, "strict judge", 20)
    _, (row,), requests = judged_run(tmp_path, arithmetic)
    assert (row.judged, row.judge, requests) == (18 / 20, "scripted", [])


def test_a_changed_prompt_asks_again_and_changed_reading_alone_does_not(tmp_path: Path) -> None:
    judged_run(tmp_path, arithmetic)
    _, (row,), requests = judged_run(tmp_path, arithmetic, Graded(rules="2"))
    assert (row.judged, requests) == (18 / 20, [])
    assert row.judged_rules.startswith("graded-2")
    _, (row,), requests = judged_run(tmp_path, lambda _: "0", Graded(prompt="Right? 1 or 0."))
    assert (row.judged, len(requests)) == (0.0, 20)


@dataclasses.dataclass(frozen=True)
class TwoSteps(Graded):
    """First the judge is asked for the number, then for the verdict."""

    async def judged(self, item_id, answer, ask):  # type: ignore[no-untyped-def]
        number = await ask(f"Which number? {item_id}: {answer}", lambda reply: reply or None)
        return await super().judged(item_id, number, ask)


def test_a_first_step_that_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    def first_only(request: Request) -> Reply | str:
        if request.text.startswith("Which"):
            return request.text.rpartition(": ")[2]
        return Reply("no", status=400)

    _, (row,), requests = judged_run(tmp_path, first_only, TwoSteps())
    assert (row.judged_missing, len(requests)) == (20, 40)
    _, (row,), requests = judged_run(tmp_path, arithmetic, TwoSteps())
    assert (row.judged, len(requests)) == (18 / 20, 20)
    assert not any(request.text.startswith("Which") for request in requests)


def test_the_same_answer_of_other_repeats_is_asked_about_once(tmp_path: Path) -> None:
    with ScriptedServer(arithmetic) as server:
        (row,) = fill(planned(tmp_path, Graded(), judge=judge_at(server), repeats=3))
    assert (row.answers, row.judged_n, row.judged, len(server.requests)) == (60, 60, 1.0, 20)


def test_answers_are_judged_as_they_come_in_and_many_at_once(tmp_path: Path) -> None:
    model = Adder(delay=0.05)
    answered: list[int] = []

    def slow(request: Request) -> Reply:
        answered.append(len(model.asked))
        return Reply(arithmetic(request), delay=0.2)

    with ScriptedServer(slow) as server:
        fill(planned(tmp_path, Graded(n=40), judge=judge_at(server), concurrency=4), model)
        assert server.peak == 4
    assert answered[0] < 20


def test_errors_are_not_judged_and_a_failing_scorer_costs_one_verdict(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Buggy(Graded):
        async def judged(self, item_id, answer, ask):  # type: ignore[no-untyped-def]
            if item_id == "s1":
                raise ZeroDivisionError
            if item_id == "s2":
                raise ItemError("this gold cannot be judged")
            return await super().judged(item_id, answer, ask)

    benchmark = Buggy(broken=frozenset({7}))
    plan, (row,), requests = judged_run(tmp_path, arithmetic, benchmark, frozenset())
    assert (row.judged, row.judged_n, row.judged_missing, row.errors) == (1.0, 17, 2, 1)
    assert len(requests) == 17
    assert runs.finished(plan) is None
    assert isinstance(read_samples(plan.path, "sums")["s1", 0].score, Score)
