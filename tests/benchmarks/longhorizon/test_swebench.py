"""SWE-bench's agent and grader on the small repositories, with scripted players as the model."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.longhorizon.swebench import agent, mini_swe_agent
from benchmarks.longhorizon.swebench.agent import said
from benchmarks.longhorizon.swebench.benchmark import SweBenchLite, SweBenchVerified, _response
from benchmarks.longhorizon.swebench.environments import CUT_HISTORY, submit
from benchmarks.longhorizon.swebench.workspace import fresh_history, workspace
from benchmarks.micro.data import repositories
from harness.backends.http.endpoint import EndpointModel, Limits
from harness.errors import ItemError, UsageError
from harness.files.scratch import abandoned
from harness.protocols import Tools, build_items
from harness.records import Item, Response, Sampling, Score
from harness.sandbox import Sandbox, choose
from tests.benchmarks.longhorizon import players
from tests.benchmarks.longhorizon.players import SUBMIT, command
from tests.servers import Answer, Reply, Request, ScriptedServer, context_overflow

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (apt-get install bubblewrap)"
)

NAMES = repositories.names()
SAMPLING = Sampling(max_tokens=512)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swe")
    repositories.write(folder)
    return folder


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return choose()[0]


Played = tuple[Response, Score]


def play(
    root: Path,
    sandbox: Sandbox,
    answer: Answer,
    names: Sequence[str] = ("micro__pages-1",),
    **options: Any,
) -> dict[str, Played]:
    """Play and grade some tasks at once; return the answer and the score of each."""
    benchmark = SweBenchLite(root, **options)
    tools = Tools(sandbox=sandbox)
    items = [i for i in build_items(benchmark) if isinstance(i, Item) and i.id in names]

    async def one(item: Item, model: EndpointModel) -> Played:
        response = await benchmark.solve(item, model, SAMPLING, tools)
        return response, await benchmark.score(item, response, tools)

    async def all_of_them(url: str) -> dict[str, Played]:
        async with EndpointModel(url, limits=Limits(first_wait=0.01)) as model:
            found = await asyncio.gather(*(one(item, model) for item in items))
        return {item.id: row for item, row in zip(items, found, strict=True)}

    with ScriptedServer(answer) as server:
        return asyncio.run(all_of_them(server.url))


def outputs(response: Response) -> list[str]:
    assert response.trajectory is not None
    return [m["content"] for m in response.trajectory[2:] if m["role"] == "user"]


def end(response: Response) -> str:
    assert response.trajectory is not None
    return str(response.trajectory[-1]["extra"]["exit_status"])


# The tasks


def test_gold_patches_resolve_and_empty_ones_do_not(root: Path, sandbox: Sandbox) -> None:
    """Every task, by swebench's own report: the gold check raises where it is not so."""
    assert len(NAMES) >= 8
    benchmark = SweBenchLite(root, gold_check=len(NAMES))
    asyncio.run(benchmark.prepare(Tools(sandbox=sandbox)))


def test_a_gold_patch_that_does_not_resolve_stops_the_run(tmp_path: Path, sandbox: Sandbox) -> None:
    repositories.write(tmp_path)
    assert NAMES[0] == "micro__bills-1"
    task = tmp_path / "swebench_lite" / "tasks" / NAMES[0]
    gold = (task / "gold.patch").read_text()
    (task / "gold.patch").write_text(gold.replace("ROUND_HALF_UP", "ROUND_DOWN"))
    with pytest.raises(UsageError, match=f"the gold patch does not resolve {NAMES[0]}"):
        prepared(tmp_path, sandbox, gold_check=1)
    # Tests that pass as it is: the empty patch resolves.
    (task / "gold.patch").write_text("")
    tests = json.loads((task / "tests.json").read_text())
    (task / "tests.json").write_text(json.dumps({**tests, "FAIL_TO_PASS": tests["PASS_TO_PASS"]}))
    with pytest.raises(UsageError, match=f"an empty patch resolves {NAMES[0]}"):
        prepared(tmp_path, sandbox, gold_check=1)


def prepared(root: Path, sandbox: Sandbox | None, **options: Any) -> None:
    asyncio.run(SweBenchLite(root, **options).prepare(Tools(sandbox=sandbox)))


def test_everything_says_that_it_is_not_swe_bench(root: Path, sandbox: Sandbox) -> None:
    declared = SweBenchLite(root).declaration
    assert "not SWE-bench" in declared.title
    assert declared.protocol["tasks"] == "not SWE-bench"
    assert declared.needs_sandbox
    (item,) = build_items(SweBenchLite(root), 1)
    assert isinstance(item, Item)
    assert item.target["note"] == "not SWE-bench"
    (check,) = SweBenchLite(root).checks()
    assert "not SWE-bench" in check.text
    empty = asyncio.run(SweBenchLite(root).score(item, Response(""), Tools(sandbox)))
    assert "not SWE-bench" in empty.why


# Playing and grading


def test_right_commands_solve_every_task_at_once(root: Path, sandbox: Sandbox) -> None:
    found = play(root, sandbox, players.plays(players.right), NAMES)
    assert set(found) == set(NAMES)
    for name, (response, score) in found.items():
        assert (score.value, score.status) == (1.0, "scored"), (name, score)
        assert score.why.startswith("resolved: FAIL_TO_PASS ")
        assert response.finish_reason == "stop"
        assert end(response) == "Submitted"
        # Five answers of 3 and 2 tokens each, as the server counts them.
        assert (response.prompt_tokens, response.completion_tokens) == (15, 10)
        # The scaffold's submission is all after the first line: the very patch that was made.
        assert response.text == outputs(response)[3].split("<output>\n")[1].split("</output>")[0]


def test_wrong_commands_solve_nothing(root: Path, sandbox: Sandbox) -> None:
    some = NAMES[:3]
    for script in (players.wrong, players.breaking):
        for _, score in play(root, sandbox, players.plays(script), some).values():
            assert (score.value, score.status) == (0.0, "scored")
            assert score.why.startswith("unresolved: ")


def test_a_broken_test_shows_in_the_counts(root: Path, sandbox: Sandbox) -> None:
    ((_, score),) = play(root, sandbox, players.plays(players.wrong)).values()
    assert "FAIL_TO_PASS 0 of 2, PASS_TO_PASS 4 of 4" in score.why
    assert score.prediction == "a patch of pages/numbers.py"


def test_a_patch_that_does_not_apply_is_unparsable(root: Path, sandbox: Sandbox) -> None:
    steps = [
        "printf 'diff --git a/x b/x\\n--- a/x\\n+++ b/x\\n@@ -1 +1 @@\\n-a\\n+b\\n' > patch.txt"
    ]
    ((_, score),) = play(root, sandbox, players.plays(lambda row: [*steps, SUBMIT])).values()
    assert (score.value, score.status) == (0.0, "unparsable")
    assert "the patch does not apply" in score.why


def test_a_patch_with_think_tags_is_graded_whole(root: Path, sandbox: Sandbox) -> None:
    def script(row: dict[str, Any]) -> list[str]:
        steps = players.right(row)
        steps.insert(2, "printf '# <think> </think>\\n' >> pages/core.py")
        steps[3] = "git diff > patch.txt"
        return steps

    ((response, score),) = play(root, sandbox, players.plays(script)).values()
    assert "+# <think> </think>" in response.text
    assert score.value == 1.0


def test_a_patch_made_elsewhere_is_graded(root: Path, sandbox: Sandbox) -> None:
    """As `harness score` does it: no episode, the text alone."""
    benchmark, tools = SweBenchLite(root), Tools(sandbox=sandbox)
    (item,) = [i for i in build_items(benchmark) if i.id == "micro__retry-1"]
    assert isinstance(item, Item)
    gold = players.tasks()[item.id]["patch"]
    assert asyncio.run(benchmark.score(item, Response(gold), tools)).value == 1.0
    cut = gold.replace("attempts: int = 3", "attempts: int = 2")
    score = asyncio.run(benchmark.score(item, Response(cut), tools))
    assert score.value == 0.0
    assert "FAIL_TO_PASS 1 of 2, PASS_TO_PASS 3 of 3" in score.why


# The scaffold's rules


COMMAND = "```mswea_bash_command\necho '{}' > notes\n```"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<think>ls?</think>\n\nTHOUGHT: look", "THOUGHT: look"),
        ("\n<think>ls?</think>THOUGHT: look", "THOUGHT: look"),
        ("the template opened it</think>\nTHOUGHT: look", "THOUGHT: look"),
        ("<think>it never closes", ""),
        (COMMAND.format("<think>a</think> b"), COMMAND.format("<think>a</think> b")),
        (COMMAND.format("<think>"), COMMAND.format("<think>")),
        (COMMAND.format("</think>"), COMMAND.format("</think>")),
        ("<think>hm</think>" + COMMAND.format("<think>"), COMMAND.format("<think>")),
        ("hm</think>" + COMMAND.format("</think>"), COMMAND.format("</think>")),
        (f"draft {COMMAND.format('x')}</think>{COMMAND.format('y')}", COMMAND.format("y")),
    ],
)
def test_only_the_thinking_before_a_message_is_no_part_of_it(text: str, message: str) -> None:
    assert said(text) == message


def test_the_prompt_is_the_scaffolds_own(root: Path, sandbox: Sandbox) -> None:
    (item,) = build_items(SweBenchLite(root), 1)
    assert isinstance(item, Item)
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        return Reply(command(SUBMIT))

    play(root, sandbox, answer, (item.id,), step_limit=1)
    sent = seen[0].body["messages"]
    assert [m["role"] for m in sent] == ["system", "user"]
    assert [m["content"] for m in sent] == [message.render() for message in item.messages]
    assert players.tasks()[item.id]["patch"] not in seen[0].text


def test_format_errors_are_answered_by_the_scaffolds_rule(root: Path, sandbox: Sandbox) -> None:
    def answer(request: Request) -> Reply:
        told = sum("Format error:" in str(m["content"]) for m in request.body["messages"])
        if told == 0:
            return Reply("I do not know what to do.")
        if told == 1:
            return Reply(command("ls") + command("pwd"))
        return Reply(command(SUBMIT))

    ((response, score),) = play(root, sandbox, answer, step_limit=3).values()
    assert outputs(response)[0].startswith("Format error:")
    assert "found 0 actions" in outputs(response)[0]
    assert "found 2 actions" in outputs(response)[1]
    # The submission failed (there is no patch.txt), so the third step was the last.
    assert end(response) == "LimitsExceeded"
    assert (score.value, score.status) == (0.0, "scored")


def test_three_format_errors_in_a_row_end_the_episode(root: Path, sandbox: Sandbox) -> None:
    ((response, score),) = play(root, sandbox, lambda request: Reply("no command")).values()
    assert end(response) == "RepeatedFormatError"
    assert response.finish_reason == "RepeatedFormatError"
    assert (score.value, score.why[:22]) == (0.0, "no patch was submitted")


def test_an_answer_that_was_cut_is_told_so(root: Path, sandbox: Sandbox) -> None:
    cut = Reply("THOUGHT: long", finish_reason="length")
    ((response, _),) = play(root, sandbox, lambda request: cut).values()
    assert "reached the output token limit (finish_reason=length)" in outputs(response)[0]


def test_the_step_limit_ends_the_episode_without_a_patch(root: Path, sandbox: Sandbox) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        return Reply(command("echo >> pages/core.py; git diff > patch.txt"))

    ((response, score),) = play(root, sandbox, answer, step_limit=4).values()
    assert len(seen) == 4
    assert end(response) == "LimitsExceeded"
    assert response.truncated
    assert response.text == ""
    assert score.value == 0.0
    assert "the episode ended with LimitsExceeded" in score.why


def test_the_time_limit_ends_the_episode(root: Path, sandbox: Sandbox) -> None:
    begun = time.monotonic()
    ((response, _),) = play(
        root, sandbox, lambda request: Reply(command("sleep 0.7")), time_limit=2
    ).values()
    assert end(response) == "TimeExceeded"
    assert response.truncated
    assert time.monotonic() - begun < 30


def test_a_full_context_ends_the_episode_as_unresolved(root: Path, sandbox: Sandbox) -> None:
    """The words are vLLM's; the first request without room is made once more without a limit."""
    full = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"

    def answer(request: Request) -> Reply:
        if players.step_of(request) < 2:
            return Reply(command("cat pages/core.py"))
        return Reply(full, status=400)

    ((response, score),) = play(root, sandbox, answer).values()
    assert end(response) == "ContextWindowExceeded"
    assert response.truncated
    assert (score.value, score.status) == (0.0, "scored")


def test_an_episode_with_a_filtered_step_is_filtered() -> None:
    filtered = Response("ls", finish_reason="content_filter")
    episode = agent.play("a task", lambda _: filtered, mini_swe_agent.Unused(), steps=3, seconds=0)
    response = _response(episode, [filtered])
    assert (episode.status, len(episode.messages)) == (agent.FILTERED, 3)
    assert response.absence == "filtered"


def test_a_token_limit_above_the_context_takes_what_remains(root: Path, sandbox: Sandbox) -> None:
    answer = context_overflow(100, players.plays(players.right))
    ((_, score),) = play(root, sandbox, answer).values()
    assert score.value == 1.0


def test_a_model_that_fails_for_good_is_an_error_and_no_zero(root: Path, sandbox: Sandbox) -> None:
    def answer(request: Request) -> Reply:
        if players.step_of(request) == 0:
            return Reply(command("ls"))
        return Reply("out of memory", status=422)

    with pytest.raises(ItemError, match="422: out of memory"):
        play(root, sandbox, answer)


def test_thinking_is_no_part_of_the_conversation(root: Path, sandbox: Sandbox) -> None:
    seen: list[Request] = []
    solve = players.plays(players.right)

    def answer(request: Request) -> Reply:
        seen.append(request)
        reply = solve(request)
        assert isinstance(reply, Reply)
        thought = f"<think>first {command('rm -rf .')}</think>\n"
        return Reply(thought + str(reply.text))

    ((response, score),) = play(root, sandbox, answer).values()
    assert score.value == 1.0
    assert all("<think>" not in request.text for request in seen)
    assert response.trajectory is not None
    assert response.trajectory[2]["extra"]["text"].startswith("<think>")


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\na\nb\n", 0),
        ("\n\n COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT \npatch", 0),
        ("COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", 0),
        ("COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\nno such file", 1),
        ("x\nCOMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\n", 0),
        ("", 0),
    ],
)
def test_a_submission_is_what_the_scaffolds_environments_take_for_one(
    output: str, code: int
) -> None:
    mini_swe_agent.load()
    from minisweagent.environments.local import LocalEnvironment

    def ended(call: Any) -> Any:
        from minisweagent.exceptions import Submitted

        try:
            call()
        except Submitted as error:
            return error.messages
        return None

    official = ended(
        lambda: LocalEnvironment()._check_finished({"output": output, "returncode": code})
    )
    assert ended(lambda: submit(output, code)) == official


# The place


def test_the_repository_has_one_commit_and_no_other_history(root: Path, sandbox: Sandbox) -> None:
    looks = [
        "git log --all --format=%s",
        "git reflog",
        "git rev-list --all --objects | wc -l;"
        "git cat-file --batch-all-objects --batch-check | wc -l",
        "git fsck --unreachable --dangling --no-progress; git stash list; git tag; git remote",
        "git status --short",
    ]
    ((response, _),) = play(
        root, sandbox, players.plays(lambda row: [*looks, SUBMIT]), step_limit=5
    ).values()
    said = [text.split("<output>\n")[1].split("</output>")[0].split() for text in outputs(response)]
    assert said[0] == ["base"]
    assert said[1][1:] == ["HEAD@{0}:", "commit", "(initial):", "base"]
    assert said[2][0] == said[2][1]  # no object but those of the one commit
    assert said[3] == []
    assert said[4] == []


def git(folder: Path, *words: str) -> str:
    named = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *named, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_an_images_history_is_cut_behind_its_commit(tmp_path: Path) -> None:
    """On a repository like those of the images: later commits in every place git has for them."""
    place = tmp_path / "testbed"
    place.mkdir()
    git(place, "init", "-q")
    (place / ".gitignore").write_text("built.so\n")
    (place / "code.py").write_text("bug\n")
    git(place, "add", "-A")
    git(place, "commit", "-qm", "base")
    base = git(place, "rev-parse", "HEAD").strip()
    (place / "code.py").write_text("THE FIX\n")
    git(place, "commit", "-qam", "THE FIX")
    git(place, "tag", "-am", "release", "v2")
    git(place, "branch", "later")
    (place / "code.py").write_text("THE FIX, STASHED\n")
    git(place, "stash", "-q")
    git(place, "checkout", "-q", "--detach", base)
    git(place, "remote", "add", "origin", "https://example.org/code.git")
    git(place, "gc", "-q")
    (place / "built.so").write_text("binary")
    (place / "code.py").write_text("bug\nlocal change\n")
    before = git(place, "diff")
    fix = git(place, "rev-parse", "later").strip()

    script = CUT_HISTORY.format(testbed=place)
    subprocess.run(["bash", "-c", script], check=True, capture_output=True)
    assert git(place, "log", "--all", "--format=%s").split() == ["base"]
    assert git(place, "rev-parse", "HEAD").strip() == base
    assert git(place, "for-each-ref") == git(place, "remote") == git(place, "stash", "list") == ""
    objects = git(place, "cat-file", "--batch-all-objects", "--batch-check")
    assert fix not in objects
    contents = [git(place, "cat-file", "-p", line.split()[0]) for line in objects.splitlines()]
    assert not any("THE FIX" in content for content in contents)
    assert not any(b"FIX" in p.read_bytes() for p in (place / ".git").rglob("*") if p.is_file())
    assert git(place, "diff") == before
    assert (place / "built.so").exists()
    assert git(place, "status", "--short").split() == ["M", "code.py"]


def test_a_copy_is_the_same_commit_whatever_a_users_git_says(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = root / "swebench_lite" / "tasks" / NAMES[0] / "repository"
    trees = []
    for name in ("a", "b"):
        shutil.copytree(files, tmp_path / name)
        fresh_history(tmp_path / name)
        trees.append(git(tmp_path / name, "rev-parse", "HEAD^{tree}"))
        (tmp_path / ".gitconfig").write_text("[core]\n\tautocrlf = true\n\texcludesFile = ~/i\n")
        (tmp_path / "i").write_text("*.py\n")
        monkeypatch.setenv("HOME", str(tmp_path))
    assert trees[0] == trees[1]
    assert git(tmp_path / "b", "ls-files").count(".py") >= 3


def test_what_a_command_leaves_is_there_for_the_next(root: Path, sandbox: Sandbox) -> None:
    steps = ["echo kept > /tmp/note; cd /; export X=1", "cat /tmp/note; pwd; echo x$X", SUBMIT]
    script = players.plays(lambda row: steps)
    ((response, _),) = play(root, sandbox, script, step_limit=2).values()
    assert "<output>\nkept\n/testbed\nx\n</output>" in outputs(response)[1]


def test_outputs_are_told_as_the_scaffold_tells_them(root: Path, sandbox: Sandbox) -> None:
    steps = [
        "echo out; echo err >&2; exit 3",
        "echo early; sleep 60",
        "head -c 20000 /dev/zero | tr '\\0' x",
        "printf '\\377\\n'",
        "kill -9 $$",
    ]
    script = players.plays(lambda row: steps)
    ((response, _),) = play(root, sandbox, script, step_limit=5, command_timeout=2).values()
    said = outputs(response)
    assert said[0] == "<returncode>3</returncode>\n<output>\nout\nerr\n</output>"
    assert "<exception>An error occurred while executing the command" in said[1]
    assert "<returncode>-1</returncode>\n<output>\nearly\n</output>" in said[1]
    assert "10000 characters elided" in said[2]
    assert len(said[2]) < 11_000
    assert "<output>\n\N{REPLACEMENT CHARACTER}\n</output>" in said[3]
    assert "<returncode>137</returncode>" in said[4]


HOSTILE = {
    "kill everything": "kill -9 -1",
    "remove everything": "rm -rf --no-preserve-root / 2>/dev/null; ls /testbed | wc -l",
    "network": "python -c \"import socket; socket.create_connection(('1.1.1.1', 80), 2)\"",
    "fork bomb": "b() { b | b & }; b; sleep 1",
    "read the fixes": "cat $(python -c 'import sys; print(sys.prefix)')/lib/*/site-packages/"
    "benchmarks/micro/data/tasks/*",
    "leave a daemon": "setsid sleep 1000 & disown; echo done",
    "deep folders": "for i in $(seq 3000); do mkdir d && cd d || exit; done",
    "break git": "rm -rf .git; ln -s /etc .git; chmod 000 .",
}


def test_hostile_commands_leave_the_next_task_as_it_is(root: Path, sandbox: Sandbox) -> None:
    before = set(abandoned("swe"))
    hostile = players.plays(lambda row: [*HOSTILE.values(), SUBMIT])
    ((response, score),) = play(
        root, sandbox, hostile, step_limit=len(HOSTILE) + 1, command_timeout=2
    ).values()
    assert score.value == 0.0
    said = dict(zip(HOSTILE, outputs(response), strict=False))
    assert "unreachable" in said["network"]
    assert "problem_statement" not in said["read the fixes"]
    assert set(abandoned("swe")) <= before
    ((_, after),) = play(root, sandbox, players.plays(players.right)).values()
    assert after.value == 1.0


def test_a_hostile_patch_is_unresolved_and_the_next_is_graded(root: Path, sandbox: Sandbox) -> None:
    """Code in the patch runs when it is graded; the tests of swebench say nothing then."""

    def script(row: dict[str, Any]) -> list[str]:
        evil = "import os, signal; os.kill(-1, signal.SIGKILL)"
        return [f"echo '{evil}' >> pages/__init__.py; git diff > patch.txt", SUBMIT]

    ((_, score),) = play(root, sandbox, players.plays(script)).values()
    assert (score.value, score.status) == (0.0, "scored")
    ((_, after),) = play(root, sandbox, players.plays(players.right)).values()
    assert after.value == 1.0


def test_tests_that_do_not_end_are_unresolved(root: Path, sandbox: Sandbox) -> None:
    def script(row: dict[str, Any]) -> list[str]:
        return ["echo 'while True: pass' >> pages/__init__.py; git diff > patch.txt", SUBMIT]

    ((_, score),) = play(root, sandbox, players.plays(script), test_timeout=3).values()
    assert score.value == 0.0
    assert "the tests did not end: more than 3 s" in score.why


def test_a_forged_test_log_is_seen_through(root: Path, sandbox: Sandbox) -> None:
    """A conftest.py that prints the wanted lines: swebench compares them with the exit status."""
    row = players.tasks()["micro__pages-1"]
    lines = "".join(f"PASSED {name}\\n" for name in row["FAIL_TO_PASS"] + row["PASS_TO_PASS"])
    forged = f"import os\\nos.write(1, b'''\\n{lines}''')\\nos._exit(1)\\n"
    steps = [f'printf "{forged}" > conftest.py; git add -N .; git diff > patch.txt', SUBMIT]
    ((response, score),) = play(root, sandbox, players.plays(lambda _: steps)).values()
    assert "conftest.py" in response.text
    assert score.value == 0.0


def test_a_sandbox_that_fails_is_an_error_and_no_zero(root: Path, sandbox: Sandbox) -> None:
    @dataclass_sandbox
    class Broken:
        async def run(self, asked: Any) -> Any:
            from harness.sandbox import Result

            return Result("error", None, b"", b"", 0.0, reason="no space for a namespace")

    benchmark = SweBenchLite(root)
    (item,) = build_items(benchmark, 1)
    assert isinstance(item, Item)
    gold = players.tasks()[item.id]["patch"]
    with pytest.raises(ItemError, match="no space for a namespace"):
        asyncio.run(benchmark.score(item, Response(gold), Tools(sandbox=Broken())))


def dataclass_sandbox(kind: type) -> Any:
    """Give a sandbox of a test the half of the protocol that it does not need."""
    kind.describe = lambda self: {"kind": "broken"}  # type: ignore[attr-defined]
    return kind


# Data, options, preparation


def test_the_real_sets_declare_their_names_and_protocol(tmp_path: Path) -> None:
    lite, verified = SweBenchLite(tmp_path), SweBenchVerified(tmp_path)
    assert lite.declaration.id == "swebench_lite"
    assert (lite.declaration.n_items, verified.declaration.n_items) == (300, 500)
    assert verified.declaration.title == verified.declaration.protocol["tasks"]
    assert (verified.declaration.title, verified.declaration.note) == ("SWE-bench Verified", "")
    protocol = verified.declaration.protocol
    assert protocol["environment"] == "docker"
    assert protocol["scaffold"] == "mini-swe-agent 2.4.6"
    assert protocol["grader"] == "swebench 5.0.2"
    assert not verified.declaration.needs_sandbox


def test_options_are_protocol(root: Path) -> None:
    plain = SweBenchLite(root).declaration.protocol
    for name, value in {"step_limit": 5, "time_limit": 9, "command_timeout": 7}.items():
        assert SweBenchLite(root, **{name: value}).declaration.protocol[name] == value
        assert plain[name] != value
    assert SweBenchLite(root, gold_check=3).declaration.protocol == plain


def table(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


CLASSIC = (
    "repo",
    "instance_id",
    "base_commit",
    "patch",
    "test_patch",
    "problem_statement",
    "hints_text",
    "created_at",
    "version",
    "FAIL_TO_PASS",
    "PASS_TO_PASS",
    "environment_setup_commit",
)


def test_a_classic_row_is_one_line_that_names_the_right_data_set(tmp_path: Path) -> None:
    table([dict.fromkeys(CLASSIC, "x")], tmp_path / "swebench_lite")
    with pytest.raises(UsageError) as caught:
        list(build_items(SweBenchLite(tmp_path)))
    said = str(caught.value)
    assert (
        "lack image, eval_script, log_parser, eval_type (the classic data set of 12 columns" in said
    )
    assert "get SWE-bench/SWE-bench_Lite with `harness data pull swebench_lite --force`" in said
    assert "\n" not in said


def test_no_task_is_lost_by_another_of_its_id(tmp_path: Path) -> None:
    table([real_row(), real_row(problem_statement="y")], tmp_path / "swebench_lite")
    with pytest.raises(UsageError, match="two tasks with one instance_id"):
        list(build_items(SweBenchLite(tmp_path)))


def real_row(**changed: Any) -> dict[str, Any]:
    row = dict.fromkeys(CLASSIC, "x") | {
        "instance_id": "a__b-1",
        "repo": "a/b",
        "image": "swebench/sweb.eval.x86_64.a_1776_b-1:latest",
        "eval_script": "#!/bin/bash",
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        "FAIL_TO_PASS": '["t::a"]',
        "PASS_TO_PASS": "[]",
    }
    return row | changed


@pytest.mark.parametrize("form", ["save_to_disk", "parquet"])
def test_the_hubs_tables_are_read(tmp_path: Path, form: str) -> None:
    """In the pinned data sets the names of tests are JSON text."""
    from datasets import Dataset, DatasetDict

    rows = Dataset.from_list([real_row(), real_row(instance_id="a__b-2")])
    folder = tmp_path / "swebench_lite"
    if form == "parquet":
        (folder / "data").mkdir(parents=True)
        rows.to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    else:
        DatasetDict({"test": rows}).save_to_disk(folder)
    benchmark = SweBenchLite(tmp_path)
    assert benchmark.count() == 2
    assert benchmark.ids() == ["a__b-1", "a__b-2"]
    assert [item.id for item in build_items(benchmark)] == ["a__b-1", "a__b-2"]


def test_the_hubs_rows_are_items(tmp_path: Path) -> None:
    rows = [real_row(), real_row(instance_id="a__b-2", FAIL_TO_PASS=["t::b"])]
    table([*rows, real_row(instance_id="a__b-3", PASS_TO_PASS="[oops")], tmp_path / "swebench_lite")
    first, second, third = build_items(SweBenchLite(tmp_path))
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert (first.cluster, first.target["FAIL_TO_PASS"]) == ("a/b", ["t::a"])
    assert second.target["FAIL_TO_PASS"] == ["t::b"]
    assert "PASS_TO_PASS of a__b-3 is no list" in getattr(third, "reason", "")
    assert not SweBenchLite(tmp_path).declaration.needs_sandbox


def test_no_data_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="harness data pull swebench_verified"):
        SweBenchVerified(tmp_path).fingerprint()


def test_the_fingerprint_is_of_every_file(tmp_path: Path) -> None:
    repositories.write(tmp_path)
    benchmark = SweBenchLite(tmp_path)
    before = benchmark.fingerprint()
    assert benchmark.count() == len(NAMES)
    path = tmp_path / "swebench_lite" / "tasks" / NAMES[0] / "eval.sh"
    path.write_text(path.read_text() + "# changed\n")
    assert SweBenchLite(tmp_path).fingerprint() != before


def test_without_a_sandbox_nothing_is_played(root: Path) -> None:
    with pytest.raises(UsageError, match="it needs a sandbox"):
        prepared(root, None)


def test_without_any_protection_nothing_is_played(root: Path) -> None:
    with pytest.raises(UsageError, match="cannot be mounted at another path without a sandbox"):
        prepared(root, choose(unsafe=True)[0])


def test_a_workplace_is_removed(root: Path, sandbox: Sandbox) -> None:
    files = root / "swebench_lite" / "tasks" / NAMES[0] / "repository"
    with workspace(sandbox, files) as place:
        assert place.repository.is_dir()
    assert not place.repository.parent.exists()


def test_the_folder_with_the_fixes_is_empty_inside(root: Path, sandbox: Sandbox) -> None:
    files = root / "swebench_lite" / "tasks" / NAMES[0] / "repository"
    with workspace(sandbox, files) as folder:
        command = ("ls", "-A", str(repositories.SOURCES))
        listed = asyncio.run(folder.run(command, seconds=10.0))
    assert list(repositories.SOURCES.iterdir())
    assert (listed.exit_code, listed.stdout) == (0, b"")


def test_tasks_are_of_different_repositories(root: Path) -> None:
    clusters = Counter(
        item.cluster for item in build_items(SweBenchLite(root)) if isinstance(item, Item)
    )
    assert len(clusters) == len(NAMES)
