"""The store: what is written is read back, whatever a kill leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.records import Response, Sample, Score
from harness.runs.store import RunStore, encode, read_samples
from tests.examples import examples

TEXT = st.text(st.characters(), max_size=40)  # surrogates and control characters included
SAMPLES = st.builds(
    Sample,
    id=TEXT,
    repeat=st.integers(0, 3),
    cluster=TEXT,
    parts=st.tuples(TEXT),
    prompt=st.tuples(TEXT, TEXT),
    target=st.none() | TEXT | st.dictionaries(TEXT, TEXT),
    response=st.none() | st.builds(Response, text=TEXT, reasoning=st.none() | TEXT),
    score=st.builds(Score, st.floats(0, 1), st.just("scored"), TEXT, TEXT)
    | st.builds(Score, st.none(), st.just("error"), TEXT, TEXT),
    scoring=TEXT,
)


def sample(name: str, text: str = "x") -> Sample:
    return Sample(name, 0, name, (), ("q",), "t", Response(text), Score(1.0, "scored"), "1")


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(encode(sample("x"))), **fields})


@given(samples=st.lists(SAMPLES, max_size=5))
@examples(100)
def test_what_is_appended_is_read_back(samples: list[Sample], tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    run = tmp_path_factory.mktemp("run")
    with RunStore.open(run) as store:
        for one in samples:
            store.append("b", one)
    assert read_samples(run, "b") == {(one.id, one.repeat): one for one in samples}


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_torn_last_line_is_dropped_and_overwritten(tmp_path: Path, cut: int) -> None:
    with RunStore.open(tmp_path) as store:
        store.append("b", sample("one"))
        store.append("b", sample("two"))
    path = tmp_path / "samples" / "b.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    assert set(read_samples(tmp_path, "b")) == {("one", 0)}
    with RunStore.open(tmp_path) as store:
        store.append("b", sample("three"))
    assert set(read_samples(tmp_path, "b")) == {("one", 0), ("three", 0)}


def test_a_torn_line_longer_than_a_block_is_dropped(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.append("b", sample("one"))
        store.append("b", sample("two", "y" * 300_000))
    path = tmp_path / "samples" / "b.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    with RunStore.open(tmp_path) as store:
        store.append("b", sample("three"))
    assert set(read_samples(tmp_path, "b")) == {("one", 0), ("three", 0)}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        '{"id": "x"}',
        "\x00\x01",
        '{"id":"x","repeat":0,"cluster":"c","parts":[],"prompt":[],"target":1,"response":{},"score":{},"scoring":"1"}',
        "[" * 200_000,
        changed(repeat="x"),
        changed(repeat=True),
        changed(id=5),
        changed(cluster=None),
        changed(parts=[1]),
        changed(scoring=1),
        changed(response={"text": 5}),
        changed(response={"text": "x", "prompt_tokens": "many"}),
        changed(response={"text": "x", "trajectory": [1]}),
        changed(score={"value": "1", "status": "scored"}),
        changed(score={"value": 1, "status": "well"}),
    ],
)
def test_a_corrupt_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "samples" / "b.jsonl"
    path.parent.mkdir()
    path.write_text(encode(sample("one")) + line + "\n" + encode(sample("two")))
    with pytest.raises(UsageError, match=r"b\.jsonl is corrupt at line 2"):
        read_samples(tmp_path, "b")


def test_the_last_line_of_an_item_counts(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.append("b", sample("one", "first"))
        store.append("b", sample("one", "second"))
    response = read_samples(tmp_path, "b")["one", 0].response
    assert response is not None
    assert response.text == "second"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="cannot write to "),
        RunStore.open(tmp_path / "file" / "run"),
    ):
        pass


def test_a_full_disk_is_one_line_and_leaves_no_torn_line(tmp_path: Path) -> None:
    # In a child process, since the limit on file sizes cannot be raised again.
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.harness.runs.test_store import sample\n"
        "from harness.errors import UsageError\n"
        "from harness.runs.store import RunStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with RunStore.open(Path(sys.argv[1])) as store:\n"
        "    store.append('b', sample('one'))\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))\n"
        "    try:\n"
        "        store.append('b', sample('two', 'y' * 2000))\n"
        "    except UsageError as error:\n"
        "        print(error)\n"
        "    store.append('b', sample('three'))\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(
        words, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert "cannot write" in done.stdout
    assert set(read_samples(tmp_path, "b")) == {("one", 0), ("three", 0)}
