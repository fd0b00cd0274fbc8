"""What a bad answer, a bad row, a killed child or a curious scorer can do: little."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict, load_from_disk

import benchmarks
from benchmarks import suites
from benchmarks.micro.data import datasets
from benchmarks.vqa.base.native import NativeScorer, TimeLimits, _score
from harness.errors import UnfinishedError, UsageError
from harness.files.hashing import cache_dir
from harness.protocols import Judge
from harness.sandbox import native_state
from harness.sandbox.folders import python_prefixes
from tests.servers import Reply, ScriptedServer

SECRET = "hf_this_is_nobody_elses_business"
# Python does not finish 9^(9^(9^...)) or 10^(10^10); lmms-eval evaluates both.
TOWER = r"\boxed{" + "9^{" * 40 + "9" + "}" * 40 + "}"
POWER = r"\boxed{10^{10^{10}}}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    datasets.write(folder, n=8)
    return folder


@pytest.fixture(scope="module")
def scorer() -> Iterator[NativeScorer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", SECRET)
        patch.setenv("OPENAI_API_KEY", SECRET)
        # A shell without job control starts us deaf to interrupts, and the child inherits that.
        heard = signal.signal(signal.SIGINT, signal.default_int_handler)
        with NativeScorer(limits=TimeLimits(item=3)) as found:
            yield found
        signal.signal(signal.SIGINT, heard)


def _environment(pid: int) -> str:
    if os.geteuid() != 0:
        pytest.skip("the child is not dumpable: only root may look into it")
    return Path(f"/proc/{pid}/environ").read_text(encoding="utf-8")


def values_of(scorer: NativeScorer, *request: Any) -> dict[str, float | None]:
    """Return the values alone; where there is none, the scorer says why."""
    scores = scorer.score(*request)
    assert all(score.why for score in scores.values())
    return {item_id: score.value for item_id, score in scores.items()}


def _gold(root: Path) -> dict[str, str]:
    rows = load_from_disk(str(root / "mathvision"))["test"]
    return {row["id"]: rf"\boxed{{{row['answer']}}}" for row in rows}


@pytest.mark.slow
def test_an_answer_that_hangs_costs_only_itself(root: Path, scorer: NativeScorer) -> None:
    answers = {**_gold(root), "2": TOWER, "4": "9**9**9**9", "5": POWER}
    values = values_of(scorer, "mathvision", root, answers, None)
    # lmms-eval's parser refuses the Python power, and calls it wrong.
    assert values == {**dict.fromkeys(answers, 1.0), "2": None, "4": 0.0, "5": None}


@pytest.mark.slow
def test_huge_text_costs_only_itself(root: Path, scorer: NativeScorer) -> None:
    huge = r"\boxed{" + r"\frac{1}{" * 20_000 + "2" + "}" * 20_000 + "}"
    answers = {**_gold(root), "1": huge}
    values = values_of(scorer, "mathvision", root, answers, None)
    assert values["1"] in (None, 0.0)
    assert {values[item_id] for item_id in answers if item_id != "1"} == {1.0}


@pytest.mark.slow
def test_a_scorer_that_raises_costs_only_its_item(tmp_path: Path, scorer: NativeScorer) -> None:
    datasets.write(tmp_path, n=4)
    rows = load_from_disk(str(tmp_path / "mmmu"))["validation"]

    def garble(row: dict[str, object], index: int) -> dict[str, object]:
        return {"options": "['a', "} if index == 1 else {}

    corrupt = rows.map(garble, with_indices=True)
    DatasetDict({"validation": corrupt}).save_to_disk(tmp_path / "corrupt" / "mmmu")
    answers = dict.fromkeys(rows["id"], "A")
    values = values_of(scorer, "mmmu", tmp_path / "corrupt", answers, None)
    whole = values_of(scorer, "mmmu", tmp_path, answers, None)
    assert values == {**whole, rows["id"][1]: None}
    assert None not in whole.values()


@pytest.mark.slow
def test_a_killed_child_is_started_again(root: Path, scorer: NativeScorer) -> None:
    answers = dict.fromkeys(("0", "1", "2"), "A")
    before = values_of(scorer, "vstar", root, answers, None)
    first = scorer.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert values_of(scorer, "vstar", root, answers, None) == before
    assert scorer.pid != first


@pytest.mark.slow
def test_no_secret_of_ours_reaches_the_child(root: Path, scorer: NativeScorer) -> None:
    scorer.score("vstar", root, {"0": "A"}, None)
    assert os.environ["HF_TOKEN"] == SECRET
    assert scorer.pid is not None
    environment = _environment(scorer.pid)
    assert SECRET not in environment
    home = Path(f"/proc/{scorer.pid}/cwd").resolve()
    assert f"HOME={home}" in environment.split("\0")
    assert home.parent.stat().st_mode & 0o077 == 0  # closed to other users


@pytest.fixture
def confined() -> None:
    """Skip where there is no sandbox; a machine that tests for others has one."""
    works, why = native_state()
    if not works:
        assert "CI" not in os.environ, why
        pytest.skip(why)
    if os.geteuid() != 0:
        pytest.skip("the child is not dumpable: only root may look into it")


@pytest.mark.usefixtures("confined")
def test_the_child_has_no_network_and_no_files_of_the_user(
    root: Path, tmp_path: Path, scorer: NativeScorer
) -> None:
    (tmp_path / "private").write_text(SECRET)
    scorer.score("vstar", root, {"0": "A"}, None)
    pid = scorer.pid
    assert pid is not None
    ours, inside = Path("/proc/self"), Path(f"/proc/{pid}")
    for namespace in ("net", "pid", "ipc", "mnt"):
        assert (ours / "ns" / namespace).readlink() != (inside / "ns" / namespace).readlink()
    seen = inside / "root"
    assert not (seen / str(tmp_path).lstrip("/")).exists()
    home = seen / str(Path.home()).lstrip("/")
    shown = [*python_prefixes(), cache_dir(), Path(benchmarks.__file__)]  # they may lie in it
    names = {
        path.relative_to(Path.home()).parts[0] for path in shown if Path.home() in path.parents
    }
    assert not home.exists() or {path.name for path in home.iterdir()} <= names
    assert (seen / str(root / "vstar").lstrip("/")).is_dir()
    mounts = (inside / "mountinfo").read_text().splitlines()
    data = next(line.split() for line in mounts if line.split()[4] == str(root / "vstar"))
    assert "ro" in data[5].split(",")


@pytest.mark.slow
@pytest.mark.usefixtures("confined")
def test_data_that_links_lead_to_are_shown(
    root: Path, tmp_path: Path, scorer: NativeScorer
) -> None:
    """A folder of a data root may be a link, and a snapshot of the hub's cache links to blobs."""
    snapshot = tmp_path / "datasets--lmms-lab--vstar" / "snapshots" / ("0" * 40)
    blobs, data_root = snapshot.parents[1] / "blobs", tmp_path / "root"
    for folder in (snapshot, blobs, data_root):
        folder.mkdir(parents=True)
    rows = load_from_disk(str(root / "vstar"))["test"]
    rows.to_parquet(str(blobs / "abc"))
    (snapshot / "test-00000-of-00001.parquet").symlink_to("../../blobs/abc")
    (data_root / "vstar").symlink_to(snapshot)
    benchmark = suites.benchmark("vstar", data_root)
    assert len(benchmark.ids()) == len(rows)
    scores = benchmark.native({"0": "A"}, None)
    assert scores["0"].value is not None


@pytest.mark.usefixtures("confined")
def test_an_answer_can_read_neither_the_judges_key_nor_the_child_that_forks(
    root: Path, scorer: NativeScorer
) -> None:
    with ScriptedServer(lambda _: Reply("1", delay=1.0), api_key=SECRET) as server:
        judge = Judge(server.url, "scripted", SECRET)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(scorer.score, "phyx", root, {"1": "Hard to tell."}, judge)
            _until(lambda: len(server.requests) == 1)
            pid = scorer.pid
            assert pid is not None
            forks = _children(pid)
            assert len(forks) == 1
            for process in (pid, *forks):
                assert SECRET not in _environment(process)
                # Only root may look into what is not dumpable.
                assert Path(f"/proc/{process}/mem").stat().st_uid == 0
            assert {k: s.value for k, s in waiting.result(20).items()} == {"1": 1.0}


def test_a_judge_that_redirects_gets_no_prompt_and_no_key(root: Path, scorer: NativeScorer) -> None:
    with ScriptedServer(lambda _: "1") as other:
        to = {"Location": f"{other.url}/v1/chat/completions"}
        with ScriptedServer(lambda _: Reply("x", status=307, headers=to)) as server:
            judge = Judge(server.url, "scripted", SECRET)
            scores = scorer.score("phyx", root, {"1": "Hard to tell."}, judge)
    assert [(s.value, s.why) for s in scores.values()] == [(None, "the judge did not answer")]
    assert other.requests == []


@pytest.mark.slow
def test_a_lost_answer_takes_no_random_letter_from_the_others(
    tmp_path: Path, scorer: NativeScorer
) -> None:
    datasets.write(tmp_path, n=24)
    rows = load_from_disk(str(tmp_path / "mmmu"))["validation"]

    def garble(row: dict[str, object], index: int) -> dict[str, object]:
        return {"options": "['a', "} if index in (5, 6) else {}

    DatasetDict({"validation": rows.map(garble, with_indices=True)}).save_to_disk(
        tmp_path / "corrupt" / "mmmu"
    )
    answers = dict.fromkeys(rows["id"], "no idea at all")
    lost = dict.fromkeys(rows["id"][5:7])
    values = values_of(scorer, "mmmu", tmp_path / "corrupt", answers, None)
    others = {name: text for name, text in answers.items() if name not in lost}
    alone = values_of(scorer, "mmmu", tmp_path / "corrupt", others, None)
    assert values == {**alone, **lost}
    assert {0.0, 1.0} == set(alone.values())  # some letters are right by chance


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{"benchmark": 1.5}, {"total": 1.5}])
def test_hostile_answers_cost_no_more_than_the_budget(root: Path, limits: dict[str, float]) -> None:
    gold = _gold(root)
    first, *others = gold
    answers = {**gold, **dict.fromkeys(others, TOWER)}
    with NativeScorer(limits=TimeLimits(item=1, **limits)) as scorer:
        scorer.score("mathvision", root, {first: gold[first]}, None)
        with pytest.raises(UnfinishedError, match=r"used up its time \(1\.5 s") as late:
            scorer.score("mathvision", root, answers, None)
        with pytest.raises(UnfinishedError):  # and nothing more afterwards
            scorer.score("mathvision", root, gold, None)
    # Two of seven hostile answers at most were tried, a second each.
    values = [score.value for score in late.value.scores.values()]
    assert values in ([1.0, None], [1.0, None, None])
    with NativeScorer(limits=TimeLimits(item=1)) as fresh:  # the next command
        assert len(fresh.score("mathvision", root, gold, None)) == len(gold)


@pytest.mark.parametrize("value", [42, -1, float("nan"), 1e308, True, "1", None, [1]])
def test_what_a_fork_says_is_a_value_in_0_to_1_or_none(value: Any) -> None:
    """A fork that ran code of an answer may say anything: a run must stay readable."""
    said = _score({"value": value, "why": 5})
    assert (said.value, said.status) == (None, "unscored")
    assert isinstance(said.why, str)
    assert _score({"value": 1, "why": ""}).value == 1


def test_missing_data_is_said_and_the_child_goes_on(
    tmp_path: Path, root: Path, scorer: NativeScorer
) -> None:
    with pytest.raises(UsageError, match="harness data pull vstar"):
        scorer.score("vstar", tmp_path, {"0": "A"}, None)
    assert values_of(scorer, "vstar", root, {"0": "A"}, None)["0"] is not None


def test_an_unknown_id_is_left_out(root: Path, scorer: NativeScorer) -> None:
    values = values_of(scorer, "vstar", root, {"0": "A", "nobody": "A"}, None)
    assert values["0"] is not None
    assert "nobody" not in values


@pytest.mark.slow
def test_an_interrupt_ends_scoring_at_once(root: Path, scorer: NativeScorer) -> None:
    scorer.score("mathvision", root, {"1": "A"}, None)
    pid = scorer.pid
    assert pid is not None
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(scorer.score, "mathvision", root, {"1": TOWER}, None)
        _until(lambda: len(_children(pid)) == 1)
        os.kill(pid, signal.SIGINT)
        with pytest.raises(UsageError, match="interrupted"):
            waiting.result(10)
    assert values_of(scorer, "mathvision", root, {"1": "nothing"}, None) == {"1": 0.0}


@pytest.mark.slow
def test_the_child_and_its_forks_die_with_a_killed_parent(root: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from benchmarks.vqa.base.native import NativeScorer, TimeLimits\n"
        "scorer = NativeScorer(limits=TimeLimits(item=600))\n"
        "root = Path(sys.argv[1])\n"
        "scorer.score('mathvision', root, {'1': 'A'}, None)\n"
        "print(scorer.pid, flush=True)\n"
        "scorer.score('mathvision', root, {'1': sys.argv[2]}, None)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(root), TOWER],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        _until(lambda: len(_children(child)) == 1)  # the fork is at work
        forks = _children(child)
    finally:
        parent.kill()
        parent.wait()
    _until(lambda: not any(_alive(pid) for pid in (child, *forks)))


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


CLOSING = """
import sys, time
from benchmarks.vqa.base.native import shared_scorer
shared_scorer().start()
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.parametrize("seconds", ["0", "0.05", "0.3"])
def test_a_process_that_ends_while_the_scorer_loads_says_nothing(seconds: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSING, seconds], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
