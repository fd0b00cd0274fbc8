"""All planted pairs and no decoy, in every published layout, and no patch in any context."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.pairs.trajectories.masking import mask_trajectory
from ablations.pairs.trajectories.reading import NAMES, messages_of, task_of, trajectory_of
from ablations.pairs.trajectories.tokens import Secret
from benchmarks.pair_sources import open_pairs
from benchmarks.pairs.file import check
from tests.ablations.pairs.trajectories.planted import Case, World, world
from tests.commands import harness
from tests.servers import Request, ScriptedServer


def smith_jsonl(made: World, folder: Path) -> list[object]:
    rows = [json.dumps(case.row()) for case in made.cases]
    (folder / "trajectories.jsonl").write_text("\n".join(rows) + "\n")
    return [folder / "trajectories.jsonl"]


def smith_parquet(made: World, folder: Path) -> list[object]:
    """SWE-smith's two data sets; the tasks' patches introduce the fault, as published."""
    import pyarrow
    from pyarrow import parquet

    from ablations.pairs.trajectories.patches import reversed_patch

    (folder / "data").mkdir()
    half = len(made.cases) // 2
    for name, cases in (("tool-0", made.cases[:half]), ("tool-1", made.cases[half:])):
        table = pyarrow.Table.from_pylist([case.row() for case in cases])
        parquet.write_table(table, folder / "data" / f"{name}.parquet", row_group_size=5)
    tasks = [
        {
            "instance_id": case.instance,
            "repo": "swesmith/" + case.instance.rpartition(".")[0],
            "patch": reversed_patch(case.patch),
            "problem_statement": case.issue,
            "FAIL_TO_PASS": ["t"],
        }
        for case in made.cases
    ]
    parquet.write_table(pyarrow.Table.from_pylist(tasks), folder / "tasks.parquet")
    return [folder / "data", "--tasks", folder / "tasks.parquet"]


def mini_swe_agent(made: World, folder: Path) -> list[object]:
    """A folder an instance, as mini-swe-agent 2 writes them."""
    for case in made.cases:
        messages = [*case.messages(), {"role": "exit", "content": case.patch, "extra": {}}]
        document = {
            "info": {"exit_status": "Submitted", "submission": case.patch, "model_stats": {}},
            "messages": messages,
            "trajectory_format": "mini-swe-agent-1.1",
        }
        (folder / "runs" / case.instance).mkdir(parents=True)
        path = folder / "runs" / case.instance / f"{case.instance}.traj.json"
        path.write_text(json.dumps(document))
    return [folder / "runs"]


def plain_messages(made: World, folder: Path) -> list[object]:
    """Messages as objects, ids without a commit, and the columns of SWE-bench."""

    def row(number: int, case: Case) -> dict[str, Any]:
        repository, commit = case.instance.split(".")[:2]
        return {
            "instance_id": f"{repository}-{number}",
            "repo": repository.replace("__", "/"),
            "base_commit": commit,
            "problem_statement": case.issue,
            "reference_patch": case.patch,
            "messages": case.messages(),
        }

    rows = [row(number, case) for number, case in enumerate(made.cases)]
    (folder / "plain.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return [folder / "plain.jsonl"]


LAYOUTS = (smith_jsonl, smith_parquet, mini_swe_agent, plain_messages)


def built(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]


def issues(rows: list[dict[str, Any]], made: World) -> set[frozenset[str]]:
    """Return the pairs as sets of SWE-smith ids, found by issue and patch."""
    by_patch = {case.patch: case.instance for case in made.cases}
    return {
        frozenset(by_patch[row[name]] for name in ("answer", "answer_negative")) for row in rows
    }


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(3))
def test_all_planted_pairs_and_no_decoy(
    tmp_path: Path, layout: Callable[[World, Path], list[object]], seed: int
) -> None:
    made = world(seed)
    arguments = [*layout(made, tmp_path), "--out", tmp_path / "out", "--seed", seed]
    done = harness("pairs", "trajectories", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    rows = built(tmp_path / "out")
    assert issues(rows, made) == made.planted
    assert len(rows) == len(made.planted) == document["counts"]["pairs"]
    for pair in open_pairs(str(tmp_path / "out" / "pairs.jsonl")):
        check(pair)
    cases = {case.patch: case for case in made.cases}
    for row in rows:
        for name in ("context_positive", "context_negative"):
            for side in ("answer", "answer_negative"):
                assert not [line for line in cases[row[side]].code if line.strip() in row[name]]
            assert row["query"] not in row[name]
            assert "step_3 = self.values[key] + 3" in row[name]  # a view stays
            assert "1 passed" in row[name]
        assert cases[row["answer"]].issue.strip() == row["query"]


def test_every_decoy_is_dropped_at_its_step(tmp_path: Path) -> None:
    made = world(0, groups=5)
    arguments = [*smith_jsonl(made, tmp_path), "--out", tmp_path / "out", "--json"]
    steps = json.loads(harness("pairs", "trajectories", *arguments).stdout)["funnel"]
    dropped = {reason: count for step in steps for reason, count in step["dropped"].items()}
    assert dropped["the same issue"] == 5
    assert [step["name"] for step in steps] == [
        "read", "usable", "same repository and commit", "same file", "same function or class",
        "issues related, not the same", "masked",
    ]  # fmt: skip
    assert set(dropped) == {
        "other code", "other file", "other function or class", "unrelated issues",
        "the same issue",
    }  # fmt: skip
    table = harness("pairs", "trajectories", *arguments[:-1]).stdout
    assert "unrelated issues" in table


def test_instances_that_the_tasks_lack_are_counted(tmp_path: Path) -> None:
    made = world(0, groups=1)
    arguments = smith_parquet(made, tmp_path)
    strange = tmp_path / "more.jsonl"
    strange.write_text(json.dumps({**made.cases[0].row(), "instance_id": "org/other-1"}))
    command = ("pairs", "trajectories", strange, *arguments, "--out", tmp_path / "out")
    note = f"1 of {len(made.cases) + 1} instances are not in --tasks, as org/other-1"
    assert note in harness(*command).stdout


def test_what_a_prompt_says_of_the_issue_in_other_words_is_a_note(tmp_path: Path) -> None:
    made = world(2, groups=1)
    rows = [case.row() | {"problem_statement": f"{case.issue} (edited)"} for case in made.cases]
    source = tmp_path / "edited.jsonl"
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    done = harness("pairs", "trajectories", source, "--out", tmp_path / "out", "--json")
    assert any(
        "2 contexts without the issue word for word" in n for n in json.loads(done.stdout)["notes"]
    )


def test_unresolved_trajectories_give_no_reference_and_come_last(tmp_path: Path) -> None:
    made = world(4, groups=2)
    rows = [case.row() for case in made.cases]
    failed = [
        row | {"resolved": False, "patch": "", "traj_id": f"{row['instance_id']}.bad"}
        for row in rows
    ]
    source = tmp_path / "both.jsonl"
    source.write_text("".join(f"{json.dumps(row)}\n" for row in [*failed, *rows]))
    for more in ((), ("--resolved",)):
        out = tmp_path / f"out{len(more)}"
        done = harness("pairs", "trajectories", source, "--out", out, *more)
        assert done.returncode == 0, done.stderr
        assert issues(built(out), made) == made.planted
        for row in built(out):
            assert all(name.endswith(".run1") for name in row["origin"]["trajectories"])
    source.write_text("".join(f"{json.dumps(row)}\n" for row in failed))
    done = harness("pairs", "trajectories", source, "--out", tmp_path / "none", "--json")
    dropped = json.loads(done.stdout)["funnel"][1]["dropped"]
    assert dropped == {"no reference patch": len(failed)}


def opinion(request: Request) -> str:
    """Judge by the issue: one in three of each opinion, and a JSON object or plain words."""
    number = sum(map(ord, request.text.partition("# Issue\n")[2].partition("\n")[0])) % 3
    return (
        '{"verdict": "VALID", "reasons": [], "explanation": "sound"}',
        "Verdict: INVALID, one log is longer",
        '{"verdict": "UNCERTAIN", "reasons": ["both"]}',
    )[number]


def test_the_judge_sorts_the_pairs_and_a_rerun_asks_nothing(tmp_path: Path) -> None:
    made = world(3, groups=8)
    with ScriptedServer(opinion) as server:
        arguments = [*smith_jsonl(made, tmp_path), "--out", tmp_path / "out", "--json"]
        arguments += ["--judge", server.url, "--judge-model", "scripted"]
        first = harness("pairs", "trajectories", *arguments)
        asked = len(server.requests)
        again = harness("pairs", "trajectories", *arguments)
        assert len(server.requests) == asked == 8
    document = json.loads(first.stdout)
    assert document == json.loads(again.stdout)
    counts = document["counts"]
    assert sum(counts.values()) == 8
    assert min(counts.values()) > 0
    for name, verdict in (("pairs", "VALID"), ("uncertain", "UNCERTAIN"), ("rejected", "INVALID")):
        rows = (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()
        assert {json.loads(row)["judge"]["opinion"] for row in rows} == {verdict}
    assert document["funnel"][-1]["dropped"]["UNCERTAIN"] == counts["uncertain"]


def test_the_seed_draws_the_direction_and_both_directions_are_both(tmp_path: Path) -> None:
    made = world(1, groups=6)
    source = smith_jsonl(made, tmp_path)
    rows = {}
    for name, more in (("a", ()), ("b", ("--seed", 5)), ("both", ("--both-directions",))):
        assert not harness(
            "pairs", "trajectories", *source, "--out", tmp_path / name, *more
        ).returncode
        rows[name] = built(tmp_path / name)
    assert issues(rows["a"], made) == issues(rows["b"], made) == made.planted
    assert [row["id"] for row in rows["a"]] != [row["id"] for row in rows["b"]]
    assert len(rows["both"]) == 2 * len(made.planted)
    both = {(row["answer"], row["answer_negative"]) for row in rows["both"]}
    assert {(b, a) for a, b in both} == both


@pytest.mark.parametrize(
    ("arguments", "piece"),
    [
        (("missing.jsonl",), "no file or folder"),
        (("broken.jsonl",), "not JSON"),
        (("empty.jsonl",), "no trajectory with messages"),
        (("empty.jsonl", "--related", "0.9", "--duplicate", "0.2"), "must be below"),
        (("empty.jsonl", "--judge", "http://127.0.0.1:9"), "--judge-model"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], piece: str) -> None:
    (tmp_path / "broken.jsonl").write_text("{\n")
    (tmp_path / "empty.jsonl").write_text('{"instance_id": "x", "messages": "[]"}\n')
    done = harness(
        "pairs", "trajectories", tmp_path / arguments[0], *arguments[1:], "--out", tmp_path / "o"
    )
    assert done.returncode == 2
    assert piece in done.stderr
    assert len(done.stderr.splitlines()) == 1


ODD = st.recursive(
    st.sampled_from([None, True, 3, -0.5, "", "text", "[[", "a__b.1234567.c"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["role", "content", "function", "arguments"]), inner),
    ),
    max_leaves=6,
)


@given(st.sampled_from([name for names in NAMES.values() for name in names]), ODD, ODD)
def test_a_field_of_another_type_is_as_if_it_were_not_there(
    name: str, value: object, calls: object
) -> None:
    turn = {"role": "assistant", "content": "x", "tool_calls": calls}
    row = {"instance_id": "i", "messages": [turn], name: value}
    messages = messages_of(row)
    found, task = trajectory_of(row, messages, 0, 0), task_of(row, messages)
    assert all(isinstance(each, str | None) for each in (task.issue, task.patch, task.repository))
    assert found is None or isinstance(found.patch, str | None)
    mask_trajectory(messages, Secret(frozenset({"a.py"}), frozenset()))
