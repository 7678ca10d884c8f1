"""Following a run by server-sent events, as a buffered page that is resumed."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream, watches
from codegen_runs.callers import Caller
from codegen_runs.poller import Poller
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport, Script
from tests.support import backend, handlers
from tests.support.backend import TestClock, Tokens
from tests.support.events import Answer, call, rest

ADA = Caller(id="user:789", user_id=789, organizations=frozenset({123, 124}), token=DEMO_TOKEN)


class Apart(httpx.BaseTransport):
    """Asks the fake from a thread of its own, so that its event loop is not the one that Mangum keeps."""

    def __init__(self, fake: FakeCodegen) -> None:
        self._transport = FakeTransport(fake)
        self._thread = ThreadPoolExecutor(1)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._thread.submit(self._transport.handle_request, request).result()


@pytest.fixture
def transport(fake: FakeCodegen) -> Apart:
    return Apart(fake)


@pytest.fixture
def codegen(transport: Apart) -> CodegenAPI:
    return backend.codegen(transport)


@pytest.fixture(autouse=True)
def _upstream(deployed: object, transport: Apart, clock: TestClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("codegen_runs.clock.time.time", clock.now)
    monkeypatch.setattr("codegen_runs.clock.time.sleep", clock.sleep)
    monkeypatch.setattr(watches, "kick", lambda: None)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with upstream.over(transport):
        yield
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def poll(runs: RunsTable, codegen: CodegenAPI, clock: TestClock) -> Callable[[float], None]:
    poller = Poller(runs=runs, codegen=codegen, tokens=Tokens(), clock=clock, holder="me", concurrency=1)
    return lambda seconds: poller.tick(clock.now() + seconds) and None


def stream(agent_run_id: Any, query: str = "", last_id: str | None = None, org_id: int = DEMO_ORG_ID) -> Answer:
    path = f"/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream"
    event = rest(
        "GET",
        path + query,
        caller=ADA,
        headers={"Last-Event-ID": last_id} if last_id else {},
        path_parameters={"org_id": str(org_id), "agent_run_id": str(agent_run_id)},
    )
    return call(handlers.handler("live/stream"), event)


def frames(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for frame in answer.text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        if "event" in fields:
            found.append({"event": fields["event"], "id": fields.get("id"), "data": json.loads(fields["data"])})
    return found


def test_a_run_nobody_followed_is_followed_from_the_first_look_on(
    codegen: CodegenAPI, runs: RunsTable, fake: FakeCodegen
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    (snapshot,) = frames(stream(run.id, "?poll_interval=2.0"))

    assert snapshot["event"] == "run_snapshot"
    assert snapshot["id"] is None
    assert snapshot["data"]["agent_run_id"] == run.id
    assert runs.find(DEMO_ORG_ID, run.id) is not None


def test_a_viewer_that_reconnects_misses_nothing_and_is_told_the_end(
    codegen: CodegenAPI, poll: Callable[[float], None], fake: FakeCodegen, clock: TestClock
) -> None:
    fake.script(Script(steps=150, seconds=40))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    seen: list[dict[str, Any]] = []
    last_id = None
    for _ in range(60):
        answer = stream(run.id, last_id=last_id)
        if answer.status == 204:
            break
        seen += frames(answer)
        last_id = next((frame["id"] for frame in reversed(seen) if frame["id"]), None)
        poll(3)
        clock.sleep(3)
    else:
        pytest.fail("the stream never ended")

    numbered = [frame for frame in seen if frame["id"]]
    assert [frame["id"] for frame in numbered] == [f"0-{n}" for n in range(1, len(numbered) + 1)]
    assert [frame["event"] for frame in numbered].count("run_completed") == 1
    assert seen[-1]["event"] == "stream_end"
    assert sum(frame["event"] == "run_log" for frame in numbered) > 150


def test_a_request_without_news_is_held_and_ends_without_events(
    codegen: CodegenAPI, poll: Callable[[float], None], fake: FakeCodegen, clock: TestClock
) -> None:
    fake.script(Script(ending="NEVER", steps=0))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    first = stream(run.id)
    poll(30)
    second = frames(stream(run.id))
    before = clock.now()
    third = frames(stream(run.id, last_id=second[-1]["id"]))

    assert re.search(r"^retry: \d+$", first.text, re.MULTILINE)
    assert third == []
    assert clock.now() - before >= 20


@pytest.mark.parametrize("cursor", ["nonsense", "0-999999", "7-1", "0-1; DROP", "-1"])
def test_a_cursor_that_is_none_of_this_run_is_refused(cursor: str, codegen: CodegenAPI) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    answer = stream(run.id, last_id=cursor)

    assert answer.status == 400
    assert answer.json["code"] == "invalid_cursor"


@pytest.mark.parametrize("query", ["?poll_interval=0", "?poll_interval=often", "?poll_interval=11"])
def test_an_interval_out_of_range_is_refused(query: str, codegen: CodegenAPI) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    answer = stream(run.id, query)

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/query/poll_interval"


def test_a_run_that_does_not_exist_is_not_found() -> None:
    assert stream(99_999_999).status == 404


def test_an_id_that_is_no_number_is_refused() -> None:
    assert stream("abc123").status == 422


def test_an_organization_the_caller_is_not_in_is_forbidden() -> None:
    assert stream(1, org_id=125).status == 403
