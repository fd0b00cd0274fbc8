"""Where stored responses are from: a server that changed is noticed before anything is mixed."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from harness.backends.http.endpoint import EndpointModel
from harness.cli.tables import result_json, result_table, sample_text
from harness.errors import UsageError
from harness.runs import run as runs
from harness.runs.identity import ModelIdentity, identify
from harness.runs.lookup import find
from harness.runs.plan import RunPlan, plan_run
from harness.runs.sources import SERVED, SourceCount, merged, period
from harness.runs.store import read_manifest, read_samples
from harness.runs.summary import BenchmarkSummary
from harness.runs.todo import Settings
from tests.servers import Reply, Request, ScriptedServer
from tests.sums import Adder, Quiet, Sums

ENTRY = {"id": "adder", "root": "adder-1b", "parent": None, "max_model_len": 4096, "owned_by": "me"}


def add(request: Request) -> str:
    return str(sum(map(int, re.findall(r"\d+", request.text))))


def server(port: int = 0, **changes: Any) -> ScriptedServer:
    """Return a server whose entry in /v1/models has these changes."""
    entry = {**ENTRY, "created": time.time_ns(), "permission": [{"id": "modelperm"}], **changes}
    body = json.dumps({"object": "list", "data": [entry]}).encode()
    return ScriptedServer(add, models_body=Reply(raw=body), port=port)


def planned(out: Path, url: str, limit: int | None = None, **how: bool) -> RunPlan:
    members = [Sums()]
    settings = Settings(limit=limit)
    plan = plan_run(identify("adder", url, None), "arithmetic", members, members, settings, out)
    return dataclasses.replace(plan, **how)


def fill(plan: RunPlan) -> list[BenchmarkSummary]:
    url = plan.identity.endpoint
    assert url is not None
    backend = {"kind": "endpoint", "endpoint": url}
    return runs.execute(plan, lambda: EndpointModel(url, "adder"), backend, Quiet())


def test_every_response_has_its_source_and_time(tmp_path: Path) -> None:
    before = int(time.time())
    with server() as adder:
        plan = planned(tmp_path, adder.url)
        rows = fill(plan)
    (source,) = read_manifest(plan.path)["sources"]
    assert source == {"backend": "endpoint", "url": f"{adder.url}/v1", "served": ENTRY}
    samples = read_samples(plan.path, "sums").values()
    assert {sample.source for sample in samples} == {0}
    assert all(before <= (sample.time or 0) <= time.time() for sample in samples)
    # The server is gone: the table, the document and the item say what gave the responses.
    origin = f"from {adder.url}/v1 (id adder, root adder-1b, max_model_len 4096, owned_by me)"
    assert runs.finished(plan) == rows
    assert f"\n20 responses {origin}, stored 20" in result_table(rows, plan.path)
    (told,) = json.loads(result_json(rows, plan.path, items=False))["sources"]
    assert (told["source"], told["answers"]) == (source, 20)
    (found,) = find(plan.path, "s3")
    assert f"{origin}, stored 20" in sample_text(found)


@pytest.mark.parametrize("field", SERVED[1:])
def test_a_changed_server_is_refused_at_the_same_url(tmp_path: Path, field: str) -> None:
    with server() as adder:
        fill(planned(tmp_path, adder.url, limit=5))
    with server(adder.port, **{field: "changed"}) as other:
        plan = planned(tmp_path, other.url)
        with pytest.raises(UsageError, match=rf"5 stored .* \({field} .*, now 'changed'\)"):
            fill(plan)
        assert other.requests == []
        assert len(read_samples(plan.path, "sums")) == 5
        fill(dataclasses.replace(plan, same_model=True))
        assert len(other.requests) == 15
    assert [source["served"][field] for source in read_manifest(plan.path)["sources"]] == [
        ENTRY[field], "changed",
    ]  # fmt: skip


def test_a_server_that_lists_no_models_is_another_than_one_that_does(tmp_path: Path) -> None:
    def unlisted(port: int) -> ScriptedServer:
        return ScriptedServer(add, models_body=Reply("not found", status=404), port=port)

    with server() as adder:
        fill(planned(tmp_path, adder.url, limit=5))
    with unlisted(adder.port) as other, pytest.raises(UsageError, match=r"id 'adder', now None"):
        fill(planned(tmp_path, other.url))
    with unlisted(0) as other:
        fill(planned(tmp_path / "unlisted", other.url, limit=5))
    with unlisted(other.port):
        fill(planned(tmp_path / "unlisted", other.url, limit=6))
    with server(other.port), pytest.raises(UsageError, match=r"id None, now 'adder'"):
        fill(planned(tmp_path / "unlisted", other.url))


def test_a_restarted_server_goes_on(tmp_path: Path) -> None:
    with server() as adder:
        fill(planned(tmp_path, adder.url, limit=5))
    with server(adder.port) as again:  # `created` is another, as at each start
        fill(planned(tmp_path, again.url))
        assert len(again.requests) == 15


def test_responses_of_another_url_are_neither_mixed_nor_shown(tmp_path: Path) -> None:
    with server() as adder, server() as other:
        fill(planned(tmp_path, adder.url, limit=5))
        for limit in (5, 6):  # finished, and not
            plan = planned(tmp_path, other.url, limit=limit)
            command = runs.finished if limit == 5 else fill
            with pytest.raises(UsageError, match=f"URL {adder.url}/v1, now {other.url}/v1"):
                command(plan)
        assert runs.finished(planned(tmp_path, other.url, limit=5, same_model=True)) is not None
        fill(planned(tmp_path, other.url, limit=6, same_model=True))
        # Both are known to be of the same model now.
        for url in (adder.url, other.url):
            (row,) = runs.finished(planned(tmp_path, url, limit=6)) or []
            assert [(each.source, each.answers) for each in row.sources] == [(0, 5), (1, 1)]


def test_a_server_that_answered_nothing_leaves_no_trace(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("no", status=403), models=("adder",)) as refusing:
        plan = planned(tmp_path, refusing.url, limit=1)
        with pytest.raises(UsageError, match=r"every response is an error \(1 in all\)"):
            fill(plan)
    with server() as adder:
        (row,) = fill(planned(tmp_path, adder.url))
    assert row.strict == 1.0


def test_a_fresh_run_keeps_the_old_one_and_is_continued(tmp_path: Path) -> None:
    with server() as adder:
        old = planned(tmp_path, adder.url, limit=5)
        fill(old)
        lines = (old.path / "samples" / "sums.jsonl").read_bytes()
        fresh = planned(tmp_path, adder.url, limit=5, fresh=True)
        assert fresh.path.name == f"{old.path.name}-2"
        assert runs.finished(fresh) is None
        fill(fresh)
        assert (len(adder.requests), (old.path / "samples" / "sums.jsonl").read_bytes()) == (
            10, lines,
        )  # fmt: skip
        assert planned(tmp_path, adder.url).path == fresh.path
        assert planned(tmp_path, adder.url, fresh=True).path.name == f"{old.path.name}-3"


def test_a_checkpoint_is_the_same_whichever_backend_serves_it(tmp_path: Path) -> None:
    members = [Sums()]
    identity = ModelIdentity("adder", "content hash", verified=True)
    for limit, kind in ((5, "transformers"), (9, "vllm")):
        plan = plan_run(identity, "sums", members, members, Settings(limit=limit), tmp_path)
        runs.execute(plan, Adder().open, {"kind": kind}, Quiet())
    assert read_manifest(plan.path)["sources"] == [
        {"backend": kind, "checkpoint": "content hash"} for kind in ("transformers", "vllm")
    ]


def test_scored_again_a_response_keeps_its_source_and_time(tmp_path: Path) -> None:
    with server() as adder:
        plan = planned(tmp_path, adder.url)
        fill(plan)
        before = read_samples(plan.path, "sums")
        members = [Sums(scoring="2")]
        fill(dataclasses.replace(plan, members=members, chosen=members))
        assert len(adder.requests) == 20
    after = read_samples(plan.path, "sums")
    assert {sample.scoring for sample in after.values()} == {"2"}
    same = [(after[key].source, after[key].time) == (s.source, s.time) for key, s in before.items()]
    assert all(same)


def test_lines_of_older_versions_have_no_known_source(tmp_path: Path) -> None:
    with server() as adder:
        plan = planned(tmp_path, adder.url)
        fill(plan)
        path = plan.path / "samples" / "sums.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            del row["source"], row["time"]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[:10]))
        done = fill(plan)
    text = result_table(done, plan.path)
    assert "10 responses from a source that was not recorded, at a time that was not" in text
    assert f"10 responses from {adder.url}/v1" in text


def test_counts_of_one_source_are_added() -> None:
    counts = [SourceCount(1, 2, 50, 60), SourceCount(None, 1, None, None)]
    counts += [SourceCount(1, 1, 40, 40), SourceCount(0, 3, 70, 70)]
    assert merged(counts) == [counts[1], counts[3], SourceCount(1, 3, 40, 60)]


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(5, "just now"), (90, "1 minute ago"), (7200, "2 hours ago"), (86400 * 3.5, "3 days ago")],
)
def test_the_age_is_in_words(seconds: float, age: str) -> None:
    moment = int(time.time() - seconds)
    assert period(moment, moment).endswith(f" UTC, {age}")
