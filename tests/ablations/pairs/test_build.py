"""A build's folder: the same plan answers from it, another is refused, nothing is asked twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.cli.pairs.built import shown
from ablations.pairs.build import BuildPlan, funnel_text, open_build
from ablations.pairs.judging import Judgement, Opinion, judge_all, read_judgement
from harness.errors import UsageError
from harness.protocols import Judge
from tests.servers import Reply, Request, ScriptedServer

PLAN = BuildPlan("trajectories", {"threshold": 0.5}, {"input": "abc"}, seed=1)


def test_a_finished_build_answers_from_its_folder_and_a_changed_one_does_not(
    tmp_path: Path,
) -> None:
    with open_build(tmp_path / "out", PLAN) as build:
        assert build.finished is None
        build.funnel.step("read", "trajectories", 3)
        build.funnel.step("same file", "pairs", 1, {"other file": 2, "none": 0})
        made = build.finish([{"id": "a"}], rejected=[{"id": "b"}])
    with open_build(tmp_path / "out", PLAN) as build:
        assert build.finished == made
    assert made["counts"] == {"pairs": 1, "uncertain": 0, "rejected": 1}
    assert made["funnel"][1]["dropped"] == {"other file": 2}
    assert "dropped: other file 2" in funnel_text(made)
    (tmp_path / "out" / "pairs.jsonl").write_text("{}\n")
    with open_build(tmp_path / "out", PLAN) as build:
        assert build.finished is None


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (replace(PLAN, seed=2), "seed"),
        (replace(PLAN, settings={"threshold": 0.6}), "settings.threshold"),
        (replace(PLAN, inputs={"input": "abd"}), "inputs.input"),
        (replace(PLAN, command="images"), "command"),
    ],
)
def test_another_build_is_refused_and_says_what_differs(
    tmp_path: Path, other: BuildPlan, names: str
) -> None:
    with open_build(tmp_path / "out", PLAN):
        pass
    with (
        pytest.raises(UsageError, match=f"differs in {names}"),
        open_build(tmp_path / "out", other),
    ):
        pass


@pytest.mark.parametrize("finished", [True, False])
def test_another_version_of_the_builders_goes_on_with_a_build(
    tmp_path: Path, finished: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Finished pairs stay as they are, with a line about it; replies are kept."""
    with open_build(tmp_path, PLAN) as build:
        build.memo("answers")["x"] = 1
        if finished:
            build.finish([{"id": "a"}])
    file = tmp_path / "manifest.json"
    manifest = json.loads(file.read_bytes())
    manifest["plan"]["version"] = "0" * 12
    file.write_text(json.dumps(manifest | {"key": "of an older version"}))
    with open_build(tmp_path, PLAN) as build:
        assert build.memo("answers")["x"] == 1
        assert bool(build.finished) == finished
        made = build.finished or build.finish([{"id": "b"}])
    assert (tmp_path / "pairs.jsonl").read_text() == json.dumps({"id": "ab"[not finished]}) + "\n"
    shown(made, tmp_path, as_json=False)
    assert ("built by another version" in capsys.readouterr().out) == finished


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="not empty"), open_build(tmp_path, PLAN):
        pass


def test_a_memo_survives_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    with open_build(tmp_path / "out", PLAN) as build:
        build.memo("answers")["x"] = [1, None]
    with (tmp_path / "out" / "answers.jsonl").open("a") as file:
        file.write('{"key": "y", "va')
    with open_build(tmp_path / "out", PLAN) as build:
        memo = build.memo("answers")
        assert memo["x"] == [1, None]
        assert "y" not in memo
        memo["y"] = 2
        assert build.memo("answers")["y"] == 2


OPINIONS = get_args(Opinion)
FORMS = (
    "{}",
    "Verdict: {}",
    "**Verdict:** {}\nBoth contexts are alike.",
    "The contexts fit, so the pair is {}.",
    "{}: the lengths differ",
    '{{"verdict": "{}", "reasons": ["length"], "explanation": "why"}}',
    '```json\n{{"verdict": "{}"}}\n```',
    "One may think of VALID and INVALID pairs here.\nVerdict - {}",
    "{}, because the two contexts do not differ",
    "{}: context B does not support the answer.",
    "My assessment is {}: the question could be answered without the context.",
    "{} - I cannot tell which",
    "The contexts do not differ, so the pair is {}.",
    "Who would know?\n\n**{}** (I see no difference)",
    "<think>Both differ.</think>{}",
    "<verdict>{}</verdict>",
    "The final answer is $\\boxed{{\\text{{{}}}}}$.",
    "I judge this pair as {} because it would not be solved.",
    '{{"reasons": ["not one",], "verdict": "{}", "explanation": "it would not',
    "I think the pair is {}.", "I believe that this pair is **{}**, because they differ",
    "They differ. In my opinion, it's {}.", "Therefore, I conclude that the pair is {}: both fit.",
    "Overall, the pair is {}.", "I am confident that it is {}.",
)  # fmt: skip


@pytest.mark.parametrize("opinion", OPINIONS)
@pytest.mark.parametrize("form", FORMS)
def test_a_verdict_is_read_in_every_form(opinion: Opinion, form: str) -> None:
    judgement = read_judgement(form.format(opinion))
    assert judgement is not None
    assert judgement.opinion == opinion


@pytest.mark.parametrize("opinion", OPINIONS)
@pytest.mark.parametrize(
    "form",
    [
        "This item is not {}.", "I can't call it {}", "Is it {}? No.",
        "It is {} if the logs differ.",
        "It is hard to call this {}.", "I doubt that it is {}.", "I doubt that\nit is {}.",
        "This is far from {}.", "It fails to be {}.", "No way is it {}", "Verdict: {}? Not at all.",
        "Verdict: {} if the logs differ", "{}, but only if the logs differ", "{}: not at all.",
        "If the logs differ, the pair is {}.", "Should they differ, the verdict is {}.",
        "{}? I doubt it.",
        "{}, I don't think so.",
        "I don't think the pair is {}.", "I do not think that it is {}.", "I never think it is {}.",
        "I think the pair is not {}.", "I think the pair is {} if the logs differ.",
        "Do I think the pair is {}?", "I am not confident that it is {}.",
        "One may say: I think the pair is {}.", "I find it odd that the pair is {}",
        "I think that nobody knows whether it is {}.", "I think the pair is {}, but I doubt it.",
        "I think the pair is {}, though not really.",
        "Nobody would say: {}", "I reject the verdict: {}", "It is hard to call this\n{}.",
    ],
)  # fmt: skip
def test_a_verdict_that_is_denied_or_asked_is_not_read(opinion: Opinion, form: str) -> None:
    assert read_judgement(form.format(opinion)) is None


@pytest.mark.parametrize("opinion", OPINIONS)
@pytest.mark.parametrize(
    "form",
    ["The pair is {}, but I am not sure.", "{}. I'm unsure about B.", "{}: I am not so certain"],
)
def test_only_uncertain_may_be_said_without_being_sure(opinion: Opinion, form: str) -> None:
    judgement = read_judgement(form.format(opinion))
    assert (judgement is not None) == (opinion == "UNCERTAIN")


@given(st.permutations(OPINIONS), st.integers(2, 3), st.text("abc ,.", max_size=10))
def test_several_verdicts_or_none_are_not_read(names: list[str], count: int, text: str) -> None:
    assert read_judgement(f" {text} ".join(names[:count])) is None
    assert read_judgement(text) is None


@given(st.permutations(OPINIONS))
def test_of_a_verdict_that_is_given_twice_the_last_does_not_count(names: list[str]) -> None:
    twice = f'{{"verdict": "{names[0]}", "verdict": "{names[1]}", "reasons": []}}'
    assert read_judgement(twice) is None
    assert read_judgement(f'{{"first": {twice}, "verdict": "{names[1]}"}}') is None


def test_a_judge_is_asked_once_and_an_unreadable_reply_ends_as_uncertain(tmp_path: Path) -> None:
    def answer(request: Request) -> Reply | str:
        if "broken" in request.text:
            return Reply(status=400, text="no")
        return "I cannot tell" if "odd" in request.text else '{"verdict": "VALID"}'

    questions = {name: lambda name=name: f"judge {name}" for name in ("plain", "odd")}
    with ScriptedServer(answer) as server:
        judge = Judge(server.url, "scripted")
        with open_build(tmp_path / "out", PLAN) as build:
            first = judge_all(build, judge, questions)
        asked = Counter(request.text for request in server.requests)
        with open_build(tmp_path / "out", PLAN) as build:
            again = judge_all(build, judge, {**questions, "broken": lambda: "judge broken"})
        new = Counter(request.text for request in server.requests) - asked
    assert asked == {"judge plain": 1, "judge odd": 3}
    assert set(new) == {"judge broken"}
    assert first.by_id == again.by_id
    assert first.by_id["plain"] == Judgement("VALID")
    assert first.by_id["odd"].opinion == "UNCERTAIN"
    assert set(again.missed) == {"broken"}


def test_stored_replies_are_lines_that_a_person_can_read(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: "VALID") as server, open_build(tmp_path / "o", PLAN) as build:
        judge_all(build, Judge(server.url, "scripted"), {"a": lambda: "judge a"})
    line = json.loads((tmp_path / "o" / "judge-replies.jsonl").read_text())
    assert line["reply"] == "VALID"
