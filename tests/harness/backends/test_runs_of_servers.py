"""Runs on servers that answer badly: what is stored, counted, asked again, and what ends them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.backends import BackendSpec, open_model
from harness.backends.http.endpoint import REFUSALS_AT_FIRST, EndpointModel, Limits
from harness.cli.tables import result_json, result_table
from harness.errors import UsageError
from harness.runs import run as runs
from harness.runs.engine import Settings
from harness.runs.identity import ModelIdentity
from harness.runs.plan import RunPlan, plan_run
from harness.runs.store import read_manifest, read_samples
from harness.runs.summary import BenchmarkSummary
from tests.servers import Reply, Request, ScriptedServer, refuses, takes_at_once
from tests.sums import Quiet, Sums

OVERFLOW = Reply("prompt is too long: 9 tokens > 8 maximum", status=400)
# The number of an item -> what the server sends for it.
FATES = {
    0: Reply("0", usage={"prompt_tokens": "5", "completion_tokens": True}),
    1: Reply("8", finish_reason={"type": "stop"}, usage={"prompt_tokens": 5.0}),
    2: Reply("", finish_reason="stop"),
    3: Reply(None, reasoning="it is 24"),
    4: Reply("32", finish_reason="content_filter"),
    5: OVERFLOW,
    6: Reply("", finish_reason="length"),
    7: Reply("56", finish_reason="abort"),
    8: Reply(raw=b'{"choices": []}'),
    9: Reply("forbidden", status=403),
}


def planned(out: Path, n: int, concurrency: int = 8) -> RunPlan:
    members = [Sums(n)]
    identity = ModelIdentity("scripted", "fingerprint", verified=False)
    settings = Settings(concurrency=concurrency)
    return plan_run(identity, "arithmetic", members, members, settings, out)


def fill(plan: RunPlan, url: str) -> BenchmarkSummary:
    def opened() -> EndpointModel:
        return EndpointModel(url, "scripted", limits=Limits(first_wait=0.002))

    (row,) = runs.execute(plan, opened, {"kind": "test"}, Quiet())
    return row


def number(request: Request) -> int:
    return int(re.findall(r"\d+", request.text)[0])


def add(request: Request) -> Reply:
    return Reply(str(8 * number(request)), delay=0.005)


def by_fate(request: Request) -> Reply:
    return FATES.get(number(request)) or add(request)


def test_what_a_filter_withheld_enters_no_score(tmp_path: Path) -> None:
    with ScriptedServer(
        lambda request: (
            Reply("", finish_reason="content_filter") if number(request) == 4 else add(request)
        )
    ) as up:
        row = fill(planned(tmp_path, 6), up.url)
    assert (row.strict, row.native, row.native_n, row.unscored) == (1.0, 1.0, 5, 1)
    assert row.native_missing == 0


def test_every_reply_is_stored_and_counted_as_what_it_is(tmp_path: Path) -> None:
    plan = planned(tmp_path, 12, concurrency=1)
    with ScriptedServer(by_fate) as server:
        row = fill(plan, server.url)
        asked = len(server.requests)
        samples = read_samples(plan.path, "sums")
        statuses = {int(item[1:]): s.score.status for (item, _), s in samples.items()}
        values = {int(item[1:]): s.score.value for (item, _), s in samples.items()}
        good = dict.fromkeys((0, 1, 10, 11), "scored")
        silent = dict.fromkeys((2, 3, 5, 6), "unparsable")
        failed = dict.fromkeys((7, 8, 9), "error")
        assert statuses == {**good, **silent, 4: "unscored", **failed}
        assert values == dict.fromkeys(range(12)) | dict.fromkeys(good, 1.0) | dict.fromkeys(
            silent, 0.0
        )
        assert (row.empty, row.reasoning_only, row.filtered) == (1, 1, 1)
        assert (row.unparsable, row.unscored, row.truncated, row.errors) == (4, 1, 2, 3)
        assert samples["s4", 0].score.why == "the server's content filter withheld the answer"
        assert "prompt is too long" in samples["s5", 0].score.why
        assert all(s.response is None or s.response.seconds >= 0 for s in samples.values())
        assert samples["s10", 0].response is not None
        assert samples["s10", 0].response.seconds >= 0.005

        fill(plan, server.url)
        assert {number(request) for request in server.requests[asked:]} == {7, 8, 9}
    document = json.loads(result_json([row], plan.path, items=False))["benchmarks"][0]
    assert [document[name] for name in ("empty", "reasoning_only", "filtered")] == [1, 1, 1]
    table = result_table([row], plan.path)
    assert "sums: 1 responses withheld by a content filter" in table


@pytest.mark.parametrize("status", [401, 404, 400])
def test_a_refusal_in_the_middle_costs_one_item(tmp_path: Path, status: int) -> None:
    def refuse_some(request: Request) -> Reply:
        refused = number(request) in (3, 7)
        return Reply("no", status=status) if refused else add(request)

    with ScriptedServer(refuse_some) as server:
        row = fill(planned(tmp_path, 12, concurrency=1), server.url)
    assert (row.n, row.errors) == (12, 2)
    assert len(server.requests) == 12


@pytest.mark.parametrize(("status", "most"), [(401, 1), (404, 1), (400, REFUSALS_AT_FIRST)])
def test_equal_refusals_from_the_start_end_the_run_in_one_line(
    tmp_path: Path, status: int, most: int
) -> None:
    def refuse(request: Request) -> Reply:
        return Reply(f"request {request.number} is not for you", status=status)

    with ScriptedServer(refuse) as server, pytest.raises(UsageError, match="is not for") as caught:
        fill(planned(tmp_path, 100, concurrency=1), server.url)
    assert len(server.requests) == most
    assert "\n" not in str(caught.value)


def test_a_storm_of_429s_lowers_concurrency_and_makes_no_errors(tmp_path: Path) -> None:
    with ScriptedServer(takes_at_once(8, add)) as server:
        row = fill(planned(tmp_path, 180, concurrency=64), server.url)
    assert (row.n, row.errors, row.strict) == (180, 0, 1.0)
    # As a fixed concurrency of 64 would not end before every request got through by luck.
    assert len(server.requests) < 3 * 180
    last = server.requests[-100:]
    assert sum(request.in_flight > 8 for request in last) < 50


@pytest.mark.parametrize(
    "listing",
    [
        Reply("not found", status=404),
        Reply("not here", status=501),
        Reply(raw=b'["scripted", "another"]'),
        Reply(raw=b'[{"id": "scripted"}, {"id": "another"}]'),
        Reply(raw=b'{"models": [{"name": "models/scripted"}]}'),
        Reply(raw=b'{"data": [{"id": "models/scripted"}]}'),
        Reply(raw=b'{"data": []}'),
    ],
)
def test_a_named_model_is_asked_whatever_the_list_of_models_is(
    tmp_path: Path, listing: Reply
) -> None:
    with ScriptedServer(add, models_body=listing) as server:
        assert fill(planned(tmp_path, 3), server.url).strict == 1.0
    assert {request.body["model"] for request in server.requests} == {"scripted"}


def test_what_the_server_does_not_take_is_in_the_manifest(tmp_path: Path) -> None:
    refusal = Reply("'temperature' does not support 0 with this model", status=400)
    plan = planned(tmp_path, 5)
    recorded: list[object] = []  # while the run goes on

    def answer(request: Request) -> Reply:
        written = read_manifest(plan.path)["invocations"][-1]["backend"]["changes"]
        recorded.append(written.get("temperature"))
        return add(request)

    with ScriptedServer(refuses("temperature", refusal, answer)) as server:
        spec = BackendSpec(endpoint=server.url, model="scripted")
        notes: list[str] = []
        runs.execute(
            plan,
            lambda: open_model(spec, notes.append),
            {"kind": "test"},
            Quiet(),
        )
    (invocation,) = read_manifest(plan.path)["invocations"]
    assert "applies its own default" in invocation["backend"]["changes"]["temperature"]
    assert len(notes) == 1
    assert recorded == [invocation["backend"]["changes"]["temperature"]] * 5
