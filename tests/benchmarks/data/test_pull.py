"""Pulling data sets: from a local server that speaks the hub's protocol, and from local copies."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from datasets import Dataset
from PIL import Image

from benchmarks import data
from benchmarks.data.catalog.sources import GENERATED, source
from benchmarks.data.fetch.pull import pull
from benchmarks.data.fetch.repository import Mirror
from benchmarks.data.local.receipt import known_revision, read_receipt
from benchmarks.micro.data import longbench
from benchmarks.suites import names
from harness.errors import UsageError
from tests.commands import ROOT, Finished, harness, one_line, process

HEAD, OLDER = "a" * 40, "b" * 40
REPOSITORY = source("olympiadbench_physics").repository
CONFIG = "OE_MM_physics_en_COMP"
FILES = [f"{CONFIG}/train-{shard:05d}-of-00002.parquet" for shard in range(2)]
PINNED = source("vstar")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def olympiad(n: int, colour: int = 0) -> Dataset:
    return Dataset.from_list(
        [
            {
                "id": i,
                "question": f"How far? {i}",
                "final_answer": ["3"],
                "is_multiple_answer": False,
                "answer_type": "Numerical",
                "subfield": "Mechanics",
                "unit": None,
                "error": "1e-1",
                "image_1": Image.new("RGB", (6, 5), (colour, i, 0)),
            }
            for i in range(n)
        ]
    )


def copy(folder: Path, n: int = 4, colour: int = 0) -> Path:
    """Write a folder laid out like the hub's repository: two shards, a card, other configs."""
    rows = olympiad(n, colour)
    (folder / CONFIG).mkdir(parents=True)
    for shard, name in enumerate(FILES):
        rows.shard(2, shard, contiguous=True).to_parquet(folder / name)
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: {CONFIG}\n  data_files: {CONFIG}/train-*\n---\n"
    )
    (folder / "OE_TO_maths_en_COMP").mkdir()
    (folder / "OE_TO_maths_en_COMP" / "train-00000-of-00001.parquet").write_text("not wanted")
    (folder / ".gitattributes").write_text("hidden")
    return folder


# The hub


@dataclass
class FakeHub:
    """A server with one data set repository at two commits; a commit's files lie in a folder.

    ``refuse`` is an error code that every request is answered with, ``page`` a body that a proxy
    puts in the place of every answer.  A file in ``hold`` is sent
    by half until ``release`` is set.  ``gets`` lists the files that were downloaded.
    """

    commits: Mapping[str, Path]
    repository: str = REPOSITORY
    refuse: tuple[int, str] | None = None
    lie: bool = False
    page: bytes = b""
    hold: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)
    gets: list[str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def info(self, revision: str) -> dict[str, Any] | None:
        """Answer /api/datasets/<repository>/revision/<revision>."""
        commit = HEAD if revision == "main" else revision
        if commit not in self.commits:
            return None
        siblings = []
        for name, content in self.files(commit):
            digest = hashlib.sha256(b"another" if self.lie else content).hexdigest()
            lfs = {"sha256": digest, "size": len(content), "pointerSize": 130}
            sibling = {"rfilename": name, "size": len(content), "blobId": "0" * 40}
            siblings.append({**sibling, "lfs": lfs} if name.endswith(".parquet") else sibling)
        return {"_id": "1", "id": self.repository, "sha": commit, "siblings": siblings}

    def tree(self, commit: str) -> list[dict[str, Any]]:
        """Answer /api/datasets/<repository>/tree/<commit>."""
        return [
            {"type": "file", "oid": "0" * 40, "size": len(content), "path": name}
            for name, content in self.files(commit)
        ]

    def files(self, commit: str) -> Iterator[tuple[str, bytes]]:
        folder = self.commits[commit]
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path.read_bytes()


class Server(ThreadingHTTPServer):
    """The server around a `FakeHub`."""

    daemon_threads = True

    def __init__(self, hub: FakeHub) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub = hub


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub does."""

    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> FakeHub:
        assert isinstance(self.server, Server)
        return self.server.hub

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _json(self, value: Any) -> None:
        if value is None:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _file(self, commit: str, name: str) -> None:
        files = dict(self.hub.files(commit))
        if name not in files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        content, total = files[name], len(files[name])
        etag = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit}
        if self.command == "HEAD":
            return self._send(200, content, {**etag, "Accept-Ranges": "bytes"})
        self.hub.gets.append(name)
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(start[1]) if start else 0
        if first:
            etag["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        if name in self.hub.hold and not self.hub.release.is_set():
            self.send_response(200)
            self.send_header("Content-Length", str(total))
            self.end_headers()
            self.wfile.write(content[: total // 2])
            self.wfile.flush()
            self.hub.held.set()
            self.hub.release.wait(60)
            self.close_connection = True
            return None
        return self._send(206 if first else 200, content[first:], etag)

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        api, resolve = (
            f"/api/datasets/{self.hub.repository}",
            f"/datasets/{self.hub.repository}/resolve/",
        )
        if self.hub.page:
            self._send(200, self.hub.page, {"Content-Type": "text/html"})
        elif self.hub.refuse:
            status, code = self.hub.refuse
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": "refused"})
        elif path.startswith(f"{api}/revision/"):
            self._json(self.hub.info(path.removeprefix(f"{api}/revision/")))
        elif path.startswith(f"{api}/tree/"):
            self._json(self.hub.tree(path.removeprefix(f"{api}/tree/").split("/")[0]))
        elif path.startswith(resolve):
            self._file(*path.removeprefix(resolve).split("/", 1))
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    do_GET = do_HEAD = _answer  # noqa: N815


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    http = Server(hub)
    hub.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield hub
    hub.release.set()
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    commits = {
        HEAD: copy(tmp_path / "served" / "head", n=4),
        OLDER: copy(tmp_path / "served" / "older", n=6, colour=9),
    }
    with serving(FakeHub(commits)) as server:
        yield server


def environment(url: str) -> dict[str, str]:
    """Return what leads a process to this hub: libraries read it when they are imported."""
    return {
        "HF_ENDPOINT": url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": os.environ["XDG_CACHE_HOME"] + "/hub",
    }


def pulled(url: str, *arguments: object) -> Finished:
    return process("data", "pull", *arguments, **environment(url))


def test_the_heads_commit_is_taken_recorded_and_kept_to(hub: FakeHub, tmp_path: Path) -> None:
    root = tmp_path / "data"
    done = pulled(hub.url, "olympiadbench_physics", "--data-root", root)
    assert done.returncode == 0, done.stderr
    assert f"4 items, {REPOSITORY} at {HEAD}" in done.stdout
    folder = root / "olympiadbench_physics"
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert files == sorted([*FILES, "README.md", "source.json"])
    assert [path.name for path in root.iterdir()] == ["olympiadbench_physics"]
    receipt = read_receipt(folder)
    assert receipt is not None
    assert (receipt.revision, receipt.origin) == (HEAD, "hub")
    assert receipt.fingerprint == data.fingerprint("olympiadbench_physics", root)
    rows = data.load("olympiadbench_physics", root)[CONFIG]["train"]
    assert rows["id"] == [0, 1, 2, 3]
    assert rows[3]["image_1"].getpixel((0, 0)) == (0, 3, 0)
    # The second call asks nobody, not even where the hub would say no.
    hub.refuse = (500, "")
    again = pulled(hub.url, "olympiadbench_physics", "--data-root", root)
    assert again.returncode == 0
    assert "already present" in again.stdout
    # Known of these data, not of others in their place, nor of data without a receipt.
    assert known_revision("olympiadbench_physics", root) == HEAD
    (folder / FILES[0]).write_bytes((folder / FILES[1]).read_bytes())
    assert known_revision("olympiadbench_physics", root) is None
    assert known_revision("vstar", root) is None


def test_another_revision_replaces_only_when_forced(hub: FakeHub, tmp_path: Path) -> None:
    root = tmp_path / "data"
    arguments = ("olympiadbench_physics", "--data-root", root, "--revision", OLDER)
    assert pulled(hub.url, *arguments).returncode == 0
    assert data.count("olympiadbench_physics", root) == 6
    other = ("olympiadbench_physics", "--data-root", root, "--revision", "main")
    assert "--force replaces it" in one_line(pulled(hub.url, *other), after_progress=True)
    # Forced without a revision it is held to the one recorded.
    assert f"at {OLDER}" in pulled(hub.url, *arguments[:3], "--force").stdout
    assert pulled(hub.url, *other, "--force").returncode == 0
    assert data.count("olympiadbench_physics", root) == 4
    assert [path.name for path in root.iterdir()] == ["olympiadbench_physics"]


def test_a_killed_download_leaves_nothing_and_is_taken_up_again(
    hub: FakeHub, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    hub.hold = {FILES[1]}
    command = [sys.executable, "-m", "harness", "data", "pull", "olympiadbench_physics"]
    download = subprocess.Popen(
        [*command, "--data-root", str(root)],
        cwd=ROOT,
        env={**os.environ, **environment(hub.url)},
        stderr=subprocess.DEVNULL,
    )
    assert hub.held.wait(60)
    first = root / f".olympiadbench_physics.{HEAD[:12]}.part" / FILES[0]
    deadline = time.monotonic() + 60
    while not first.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    download.kill()
    download.wait()
    assert not (root / "olympiadbench_physics").exists()
    hub.release.set()
    hub.gets.clear()
    done = pulled(hub.url, "olympiadbench_physics", "--data-root", root)
    assert done.returncode == 0, done.stderr
    assert FILES[0] not in hub.gets
    assert FILES[1] in hub.gets
    assert data.count("olympiadbench_physics", root) == 4
    assert [path.name for path in root.iterdir()] == ["olympiadbench_physics"]


@pytest.mark.parametrize(
    ("refuse", "says"),
    [
        ((403, "GatedRepo"), "is gated"),
        ((404, "RepoNotFound"), "has no data set"),
        ((404, "RevisionNotFound"), "has no revision"),
        ((500, ""), "did not provide"),
    ],
)
def test_what_the_hub_refuses_is_one_line(
    hub: FakeHub, tmp_path: Path, refuse: tuple[int, str], says: str
) -> None:
    hub.refuse = refuse
    done = pulled(hub.url, "olympiadbench_physics", "--data-root", tmp_path / "data")
    assert says in one_line(done, after_progress=True)
    assert not (tmp_path / "data" / "olympiadbench_physics").exists()


def test_an_unknown_revision_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    arguments = ("olympiadbench_physics", "--data-root", tmp_path, "--revision", "c" * 40)
    assert f"has no revision {'c' * 40}" in one_line(
        pulled(hub.url, *arguments), after_progress=True
    )


def test_a_hub_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = pulled("http://127.0.0.1:9", "olympiadbench_physics", "--data-root", tmp_path / "data")
    assert "check the network, or give a local copy with --from DIR" in one_line(
        done, after_progress=True
    )


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b"{}", b"[]"])
def test_a_mirror_that_answers_something_else_is_one_line(
    hub: FakeHub, tmp_path: Path, page: bytes
) -> None:
    hub.page = page
    done = pulled(hub.url, "olympiadbench_physics", "--data-root", tmp_path / "data")
    line = one_line(done, f"{hub.url} did not answer as the hub does", after_progress=True)
    assert "check HF_ENDPOINT" in line
    asked = ("run", "--model", "someone/a-model", "--suite", "vqa12", "--dry-run")
    done = process(*asked, "--data-root", tmp_path, **environment(hub.url))
    line = one_line(done, f"{hub.url} did not answer as the Hub does", after_progress=True)
    assert "no checkpoint folder at someone/a-model" in line


def test_files_that_are_not_what_the_hub_says_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    hub.lie = True
    done = pulled(hub.url, "olympiadbench_physics", "--data-root", tmp_path / "data")
    assert "arrived damaged" in one_line(done, after_progress=True)
    assert not (tmp_path / "data" / "olympiadbench_physics").exists()


def test_a_pinned_benchmark_is_asked_for_at_its_pin(tmp_path: Path, hub: FakeHub) -> None:
    hub.repository = PINNED.repository
    done = pulled(hub.url, "vstar", "--data-root", tmp_path / "data")
    assert f"has no revision {PINNED.revision}" in one_line(done, after_progress=True)


def test_a_suite_goes_on_after_a_failure_and_then_fails(hub: FakeHub, tmp_path: Path) -> None:
    done = pulled(hub.url, "vqa12", "--data-root", tmp_path / "data")
    assert done.returncode == 2
    assert "olympiadbench_physics: downloaded 4 items" in done.stdout
    assert len(re.findall(r"^harness: \w+: the hub has no data set", done.stderr, re.M)) == 11
    done = pulled(hub.url, "vqa12", "--data-root", tmp_path / "data", "--revision", "main")
    assert "--revision applies to a single benchmark" in one_line(done, after_progress=True)


# Local copies


def test_a_copy_is_found_by_repository_by_id_in_the_cache_and_as_it_is(tmp_path: Path) -> None:
    name = f"datasets--{REPOSITORY.replace('/', '--')}"
    places = {
        "repository": tmp_path / "repository" / REPOSITORY,
        "id": tmp_path / "id" / "olympiadbench_physics",
        "cache": tmp_path / "cache_of_hub" / name / "snapshots" / HEAD,
        "itself": tmp_path / "itself",
    }
    commits = {}
    for word, place in places.items():
        copy(place)
        local = tmp_path / ("cache_of_hub" if word == "cache" else word)
        done = pull("olympiadbench_physics", tmp_path / "data" / word, local=local)
        commits[word] = done.receipt.revision
        assert done.rows == 4
        assert done.new
    assert commits == {"repository": None, "id": None, "cache": HEAD, "itself": None}
    with pytest.raises(UsageError, match="holds no copy"):
        pull("olympiadbench_physics", tmp_path / "x", local=tmp_path / "itself", alone=False)
    with pytest.raises(UsageError, match="holds no copy"):
        pull("olympiadbench_physics", tmp_path / "x", local=tmp_path / "nowhere")


def test_a_copy_that_the_hub_client_made_tells_its_commit(tmp_path: Path) -> None:
    folder = copy(tmp_path / "copy")
    notes = folder / ".cache" / "huggingface" / "download" / CONFIG
    notes.mkdir(parents=True)
    for name in FILES:
        (notes / f"{Path(name).name}.metadata").write_text(f"{OLDER}\n{'0' * 40}\n1.0\n")
    done = pull("olympiadbench_physics", tmp_path / "data", local=folder)
    assert done.receipt.revision == OLDER


def test_a_copy_of_another_commit_is_not_the_pinned_one(tmp_path: Path) -> None:
    name = f"datasets--{PINNED.repository.replace('/', '--')}"
    (tmp_path / "hub" / name / "snapshots" / HEAD).mkdir(parents=True)
    with pytest.raises(UsageError, match=f"has {HEAD}, wanted is {PINNED.revision}"):
        pull("vstar", tmp_path / "data", local=tmp_path / "hub")
    snapshot = tmp_path / "hub" / name / "snapshots" / HEAD
    with pytest.raises(UsageError, match=f"give --revision {HEAD}"):
        pull("vstar", tmp_path / "data", local=snapshot)


def test_a_second_pull_of_a_copy_keeps_what_is_there(tmp_path: Path) -> None:
    folder = copy(tmp_path / "copy")
    assert pull("olympiadbench_physics", tmp_path / "data", local=folder).new
    assert not pull("olympiadbench_physics", tmp_path / "data", local=folder).new
    assert pull("olympiadbench_physics", tmp_path / "data", local=folder, force=True).new


def test_what_a_killed_replacement_set_aside_is_put_back(tmp_path: Path) -> None:
    folder, root = copy(tmp_path / "copy"), tmp_path / "data"
    done = pull("olympiadbench_physics", root, local=folder)
    done.folder.rename(root / ".olympiadbench_physics.old")  # as far as it came
    again = pull("olympiadbench_physics", root, local=folder)
    assert (again.new, again.receipt) == (False, done.receipt)
    done.folder.rename(root / ".olympiadbench_physics.old")
    assert pull("olympiadbench_physics", root, local=folder, force=True).new
    assert [path.name for path in root.iterdir()] == ["olympiadbench_physics"]


def test_data_that_others_put_there_is_kept(tmp_path: Path) -> None:
    folder = copy(tmp_path / "copy")
    copy(tmp_path / "data" / "olympiadbench_physics", n=6)
    with pytest.raises(UsageError, match=r"not pulled.*--force"):
        pull("olympiadbench_physics", tmp_path / "data", local=folder)
    assert data.count("olympiadbench_physics", tmp_path / "data") == 6


def test_a_cut_or_missing_file_in_a_copy_leaves_nothing(tmp_path: Path) -> None:
    folder = copy(tmp_path / "copy")
    path = folder / FILES[1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(UsageError, match="is damaged"):
        pull("olympiadbench_physics", tmp_path / "data", local=folder)
    path.unlink()
    with pytest.raises(UsageError, match="only 1 of 2 parquet files"):
        pull("olympiadbench_physics", tmp_path / "data", local=folder)
    (folder / FILES[0]).unlink()
    with pytest.raises(UsageError, match="holds no files for OE_MM_physics"):
        pull("olympiadbench_physics", tmp_path / "data", local=folder)
    assert not list((tmp_path / "data").iterdir())


def test_a_data_root_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UsageError, match="choose another --data-root"):
        pull("olympiadbench_physics", tmp_path / "file" / "x", local=copy(tmp_path / "copy"))


def test_a_corrupt_receipt_is_one_sentence(tmp_path: Path) -> None:
    folder = copy(tmp_path / "copy")
    done = pull("olympiadbench_physics", tmp_path / "data", local=folder)
    for text in ("{", "[]", '{"repository": "x"}'):
        (done.folder / "source.json").write_text(text)
        with pytest.raises(UsageError, match="is corrupt"):
            pull("olympiadbench_physics", tmp_path / "data", local=folder)


@pytest.mark.parametrize("claims", [True, False])
def test_a_copy_is_compared_with_the_published_hash(claims: bool, tmp_path: Path) -> None:
    """A folder's name says nothing of its content: LongBench v2's file has a published sha256."""
    origin = source("longbench_v2")
    name = f"datasets--{origin.repository.replace('/', '--')}"
    folder = tmp_path / "hub" / name / "snapshots" / str(origin.revision)
    if not claims:
        folder = tmp_path / "hub" / origin.repository
    longbench.write(tmp_path / "micro")
    folder.mkdir(parents=True)
    shutil.copyfile(tmp_path / "micro" / "longbench_v2" / "data.json", folder / "data.json")
    arguments = ("data", "pull", "longbench_v2", "--from", tmp_path / "hub")
    done = harness(*arguments, "--data-root", tmp_path / "data")
    verified = harness("data", "verify", "longbench_v2", "--data-root", tmp_path / "data")
    for each in (done, verified):
        assert "content is not that of the pinned commit" in each.stdout
        assert ("their sha256 sums differ from the published ones" in each.stderr) == claims
    assert done.returncode == (2 if claims else 0)
    assert known_revision("longbench_v2", tmp_path / "data") is None


def test_a_copy_without_a_published_hash_is_said_not_to_be_compared(tmp_path: Path) -> None:
    folder = copy(tmp_path / "copy")
    arguments = ("data", "pull", "olympiadbench_physics", "--from", folder)
    done = harness(*arguments, "--data-root", tmp_path / "data")
    assert "content not compared: no hash of it is published" in done.stdout


def test_a_link_that_leads_out_of_a_copy_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "val.parquet").symlink_to(tmp_path / "secret")
    (folder / "own.parquet").write_text("theirs")
    (folder / "link.parquet").symlink_to("own.parquet")
    Mirror(folder).fetch(["link.parquet"], tmp_path / "into")
    assert (tmp_path / "into" / "link.parquet").read_text() == "theirs"
    with pytest.raises(UsageError, match=r"'val.parquet' is not opened: it is not in"):
        Mirror(folder).fetch(["val.parquet"], tmp_path / "into")
    assert not (tmp_path / "into" / "val.parquet").exists()


@pytest.mark.parametrize("name", ["", f"{FILES[0]}.part", FILES[1]])
def test_a_link_in_a_data_root_of_others_is_not_written_through(tmp_path: Path, name: str) -> None:
    """The name of the folder in which a data set is put together is known beforehand."""
    mine, root = tmp_path / "mine", tmp_path / "data"
    mine.mkdir()
    (mine / "file").write_text("mine")
    place = root / ".olympiadbench_physics.copy.part" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(mine / "file" if name else mine)
    with pytest.raises(UsageError, match="link"):
        pull("olympiadbench_physics", root, local=copy(tmp_path / "copy"))
    assert {path.name: path.read_text() for path in mine.iterdir()} == {"file": "mine"}


def test_published_hashes_are_of_files_that_a_pull_takes() -> None:
    for name in names():
        if name not in GENERATED | {"probe"}:
            origin = source(name)
            assert all(len(digest) == 64 for digest in origin.hashes.values())
            assert origin.revision or not origin.hashes
