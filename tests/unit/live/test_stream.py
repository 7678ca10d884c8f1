"""Following a run by server-sent events: pages that are resumed, and live streams."""

import json
import re
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any, cast

import pytest

from codegen_api import CodegenAPI
from codegen_runs import settings
from codegen_runs.backend import Backend
from codegen_runs.events import MAX_DATA_BYTES, Writer
from codegen_runs.live.sse import MAX_PAGE
from codegen_runs.problems import StorageUnavailable
from codegen_runs.runs.following import follow
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script
from tests.support import handlers
from tests.support.backend import TestClock
from tests.support.events import Context, call, current, invoke, rest, working_with
from tests.support.memory import MemoryRuns
from tests.support.overtaken import Overtaken
from tests.support.viewers import ADA, frames, stream, stream_event, stream_live

pytestmark = pytest.mark.usefixtures("served")
Poll = Callable[[float], None]


def test_an_unfollowed_run_is_followed_from_the_first_look_on(codegen: CodegenAPI, runs: MemoryRuns) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    (snapshot,) = frames(stream(run.id, "?poll_interval=2.0").text)

    assert snapshot["event"] == "run_snapshot"
    assert snapshot["id"] is None
    assert snapshot["data"]["agent_run_id"] == run.id
    watch = runs.find(DEMO_ORG_ID, run.id)
    assert watch is not None
    assert watch.viewed_until


@pytest.mark.parametrize("live", [False, True])
def test_head_has_the_headers_of_the_stream_and_follows_no_run(
    live: bool, codegen: CodegenAPI, runs: MemoryRuns
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    event = stream_event(run.id)
    head = event | {"httpMethod": "HEAD"}
    answer = stream_live(head) if live else call(handlers.handler("live/stream"), head)

    assert (answer.status, answer.text) == (200, "")
    assert runs.find(DEMO_ORG_ID, run.id) is None
    get = stream_live(event) if live else stream(run.id)
    assert answer.headers == get.headers


def test_head_of_a_stream_or_of_events_leaves_the_run_as_it_is(
    codegen: CodegenAPI, runs: MemoryRuns, clock: TestClock
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    followed = follow(org_id=DEMO_ORG_ID, agent_run_id=run.id, status="ACTIVE", backend=current())
    asked_at = clock.now()
    for handler, path in (("live/stream", "logs/stream"), ("live/events", "events?wait=20")):
        head = rest("HEAD", f"/v1/organizations/{DEMO_ORG_ID}/agent/run/{run.id}/{path}", caller=ADA)

        assert call(handlers.handler(handler), head).status == 200
    assert runs.find(DEMO_ORG_ID, run.id) == followed
    assert clock.now() == asked_at


def test_head_of_events_follows_no_run(codegen: CodegenAPI, runs: MemoryRuns) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    head = rest("HEAD", f"/v1/organizations/{DEMO_ORG_ID}/agent/run/{run.id}/events", caller=ADA)

    answer = call(handlers.handler("live/events"), head)

    assert (answer.status, answer.text) == (200, "")
    assert runs.find(DEMO_ORG_ID, run.id) is None


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("base_path", ["", "/codegen", "/v1/organizations/123"])
def test_a_stream_of_another_organization_is_refused_below_every_base_path(
    live: bool, base_path: str, codegen: CodegenAPI
) -> None:
    """The organization was once read from the path by a pattern, which a base path did not match."""
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    follow(org_id=777, agent_run_id=run.id, status="ACTIVE", backend=current())
    event = stream_event(run.id, org_id=777, base_path=base_path)

    answer = stream_live(event) if live else call(handlers.handler("live/stream"), event)

    assert (answer.status, answer.json["code"]) == (403, "not_a_member")


@pytest.mark.parametrize("parameter", ["", "+123", "1_2_3", "\u0661\u0662\u0663", " 123"])
def test_a_stream_refuses_an_organization_that_cannot_be_read(parameter: str, codegen: CodegenAPI) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    event = stream_event(run.id)
    event["pathParameters"]["org_id"] = parameter

    assert call(handlers.handler("live/stream"), event).status == 422


def test_head_of_a_run_that_does_not_exist_is_404() -> None:
    answer = call(handlers.handler("live/stream"), stream_event(999_999) | {"httpMethod": "HEAD"})

    assert (answer.status, answer.text) == (404, "")


@pytest.mark.parametrize("live", [False, True])
def test_only_get_opens_a_stream(live: bool, codegen: CodegenAPI) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    event = stream_event(run.id) | {"httpMethod": "POST"}
    answer = stream_live(event) if live else call(handlers.handler("live/stream"), event)

    assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_a_viewer_that_reconnects_misses_nothing_and_gets_the_end(
    codegen: CodegenAPI, poll: Poll, fake: FakeCodegen
) -> None:
    fake.script(Script(steps=150, seconds=40))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    seen: list[dict[str, Any]] = []
    last_id = None
    for _ in range(60):
        answer = stream(run.id, last_id=last_id)
        if answer.status == 204:
            break
        told = frames(answer.text)
        assert [told[0]["event"], told[0]["id"]] == ["run_snapshot", None]
        seen += told[1:]
        last_id = next((frame["id"] for frame in reversed(seen) if frame["id"]), None)
        poll(3)
    else:
        pytest.fail("the stream never ended")

    numbered = [frame for frame in seen if frame["id"]]
    assert [frame["id"] for frame in numbered] == [f"0-{n}" for n in range(1, len(numbered) + 1)]
    assert [frame["data"]["id"] for frame in numbered] == [frame["id"] for frame in numbered]
    assert [frame["event"] for frame in numbered].count("run_completed") == 1
    assert (seen[-1]["event"], seen[-1]["id"]) == ("stream_end", None)
    assert sum(frame["event"] == "run_log" for frame in numbered) > 150


def test_a_page_without_news_is_held_and_then_ends(
    codegen: CodegenAPI, poll: Poll, fake: FakeCodegen, clock: TestClock
) -> None:
    fake.script(Script(ending="NEVER", steps=0))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    first = stream(run.id)
    poll(30)
    second = frames(stream(run.id).text)
    before = clock.now()
    third = frames(stream(run.id, last_id=second[-1]["id"]).text)

    assert re.search(r"^retry: \d+$", first.text, re.MULTILINE)
    assert [frame["event"] for frame in third] == ["run_snapshot"]
    assert clock.now() - before == pytest.approx(20)


def test_an_answer_says_how_long_events_are_kept(codegen: CodegenAPI) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    answer = stream(run.id)

    assert answer.headers["stream-retention-seconds"] == str(settings.event_retention()) == str(30 * 86_400)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "no-store"


def test_a_cursor_whose_events_were_deleted_is_gone_with_a_link_to_the_run(
    codegen: CodegenAPI, poll: Poll, clock: TestClock
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    stream(run.id)
    poll(60)
    clock.sleep(30 * 86_400)
    answer = stream(run.id, last_id="0-1")

    assert answer.status == 410
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["code"] == "cursor_expired"
    assert answer.json["links"] == {"run": f"/v1/organizations/{DEMO_ORG_ID}/agent/run/{run.id}"}


def test_a_late_viewer_gets_the_count_of_deleted_events(
    codegen: CodegenAPI, poll: Poll, clock: TestClock, fake: FakeCodegen
) -> None:
    fake.script(Script(steps=3, seconds=10))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    stream(run.id)
    poll(60)
    total = len(frames(stream(run.id).text)) - 2
    clock.sleep(30 * 86_400)
    told = frames(stream(run.id).text)

    assert [frame["event"] for frame in told] == ["run_snapshot", "stream_end"]
    assert told[0]["data"]["expired"] == total
    assert stream(run.id, last_id=told[1]["data"]["cursor"]).status == 204


def test_a_follow_up_continues_the_stream_after_the_end(codegen: CodegenAPI, poll: Poll, runs: MemoryRuns) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    stream(run.id)
    poll(60)
    first_turn = frames(stream(run.id).text)
    cursor = first_turn[-1]["data"]["cursor"]
    assert stream(run.id, last_id=cursor).status == 204
    page = invoke(handlers.handler("live/stream"), stream_event(run.id, last_id=cursor), Context())
    assert page["multiValueHeaders"]["Content-Type"] == [None]
    assert "content-type" not in page["headers"]

    resumed = codegen.runs.follow_up(run.id, "And goodbye.", org_id=DEMO_ORG_ID)
    follow(org_id=DEMO_ORG_ID, agent_run_id=run.id, status=resumed.status, backend=current())
    assert stream(run.id, last_id=cursor).status == 200
    poll(60)
    second_turn = frames(stream(run.id, last_id=cursor).text)

    assert [frame["event"] for frame in second_turn].count("run_completed") == 1
    assert second_turn[-1]["event"] == "stream_end"


def test_an_entry_too_large_for_a_frame_is_a_preview_with_a_link(
    codegen: CodegenAPI, poll: Poll, runs: MemoryRuns
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    stream(run.id)
    watch = runs.find(DEMO_ORG_ID, run.id)
    assert watch is not None
    writer = Writer(watch.position, run_id=run.id, now=watch.updated_at / 1000)
    writer.add("run.log", {"position": 4, "log": {"tool_output": "x" * 100}, "truncated": True})
    runs.write(watch.at(writer.position), writer.events)
    preview = frames(stream(run.id).text)[1]["data"]

    assert preview["link"] == f"/v1/organizations/{DEMO_ORG_ID}/agent/run/{run.id}/logs?skip=4&limit=1"


def test_a_page_ends_before_it_is_too_large_for_lambda(codegen: CodegenAPI, runs: MemoryRuns) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    stream(run.id)
    watch = runs.find(DEMO_ORG_ID, run.id)
    assert watch is not None
    written = 0
    while written < 2.5 * MAX_PAGE:
        writer = Writer(watch.position, run_id=run.id, now=watch.updated_at / 1000)
        for _ in range(10):
            writer.add("run.log", {"position": 0, "log": {"thought": "x" * 20_000}})
        runs.write(watch.at(writer.position), writer.events)
        watch = runs.find(DEMO_ORG_ID, run.id)
        assert watch is not None
        written += 10 * 20_000
    pages: list[list[str]] = []
    while sum(map(len, pages)) < watch.seq:
        answer = stream(run.id, last_id=pages[-1][-1] if pages else None)
        assert len(answer.text) < MAX_PAGE + MAX_DATA_BYTES
        pages.append([frame["id"] for frame in frames(answer.text) if frame["id"]])

    assert len(pages) == 3
    assert [id_ for page in pages for id_ in page] == [f"0-{n}" for n in range(1, watch.seq + 1)]


# --- live ------------------------------------------------------------------------------------------------------------


def test_a_live_stream_continues_to_the_end(codegen: CodegenAPI, fake: FakeCodegen, polled_meanwhile: None) -> None:
    fake.script(Script(steps=40, seconds=100))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    parts: list[bytes] = []
    answer = stream_live(stream_event(run.id), parts.append)
    told = frames(answer.text)

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [frame["event"] for frame in told].count("run_completed") == 1
    assert told[0]["event"] == "run_snapshot"
    assert told[-1]["event"] == "stream_end"
    assert len(parts) >= len(told)


def test_silence_is_broken_by_comments_and_ends_before_the_platform_ends_it(
    codegen: CodegenAPI, fake: FakeCodegen, clock: TestClock, runs: MemoryRuns
) -> None:
    fake.script(Script(ending="NEVER", steps=0))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    spoke = [began := clock.now()]
    answer = stream_live(stream_event(run.id), lambda _: spoke.append(clock.now()))

    assert clock.now() - began == pytest.approx(840)
    assert max(after - before for before, after in pairwise(spoke)) < 30
    assert ": keep-alive\n\n" in answer.text
    watch = runs.find(DEMO_ORG_ID, run.id)
    assert watch is not None
    assert (watch.viewed_until or 0) / 1000 > clock.now()  # the poller was told all the time


def test_a_viewer_that_reads_slowly_gets_all_of_it_in_several_streams(
    codegen: CodegenAPI, poll: Poll, fake: FakeCodegen, clock: TestClock
) -> None:
    fake.script(Script(steps=30, seconds=5))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    stream(run.id)
    poll(30)
    seen: list[str] = []
    for attempts in range(20):  # noqa: B007 - read below
        last_id = seen[-1] if seen else None
        answer = stream_live(stream_event(run.id, last_id=last_id), lambda _: clock.sleep(100))
        if answer.status == 204:
            break
        seen += [frame["id"] for frame in frames(answer.text) if frame["id"]]

    assert attempts > 3
    assert seen == [f"0-{n}" for n in range(1, len(seen) + 1)]


def test_a_stream_ends_in_order_when_storage_fails_in_the_middle(
    codegen: CodegenAPI, fake: FakeCodegen, runs: MemoryRuns, polled_meanwhile: None
) -> None:
    fake.script(Script(ending="NEVER", steps=0))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    reads = count()

    def fail_later() -> None:
        if next(reads) > 5:
            raise StorageUnavailable("DynamoDB answered ThrottlingException.")

    table = cast(RunsTable, Overtaken(runs, "events", fail_later, times=None))
    with working_with(Backend(clock=current().clock, kick=current().kick, shares=current().shares, runs=table)):
        live = stream_live(stream_event(run.id))
        again = stream_live(stream_event(run.id))

    assert live.status == 200
    assert live.text.endswith("\n\n")
    assert again.status == 503


def test_a_refusal_before_the_live_stream_begins_is_a_problem() -> None:
    answer = stream_live(stream_event(99_999_999))

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["code"] == "not_found"


# --- by ticket -------------------------------------------------------------------------------------------------------


def by_ticket(agent_run_id: int, last_id: str | None = None) -> dict[str, Any]:
    """Return the event of a viewer whom the authorizer let in by a ticket: no token, but a stream key."""
    event = stream_event(agent_run_id, last_id=last_id)
    del event["headers"]["Authorization"]
    event["requestContext"]["authorizer"]["stream_key"] = "the-key"
    return event


def test_a_stream_opened_by_ticket_has_the_stream_key_in_every_id_and_before_the_first(
    codegen: CodegenAPI, poll: Poll
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    stream(run.id)
    poll(60)
    text = invoke(handlers.handler("live/stream"), by_ticket(run.id), Context())["body"]
    ids = re.findall(r"^id: (.*)$", text, re.MULTILINE)

    assert ids[:3] == ["0-0~the-key", "0-1~the-key", "0-2~the-key"]
    assert all(id_.endswith("~the-key") for id_ in ids)
    assert frames(text)[1]["data"]["id"] == "0-1"
    resumed = invoke(handlers.handler("live/stream"), by_ticket(run.id, "0-2~the-key"), Context())["body"]
    assert re.findall(r"^id: (.*)$", resumed, re.MULTILINE)[:2] == ["0-2~the-key", "0-3~the-key"]


def test_a_ticket_for_an_unfollowed_run_is_refused_with_the_reason() -> None:
    answer = invoke(handlers.handler("live/stream"), by_ticket(99_999_999), Context())

    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["code"] == "run_not_followed"


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", ["nonsense", "0-999999", "7-1", "0-1; DROP", "-1", "0-1~a b", "0-٣"])
def test_an_invalid_cursor_is_refused(cursor: str, codegen: CodegenAPI) -> None:
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


def test_a_run_of_another_organization_is_not_found(codegen: CodegenAPI) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)

    assert stream(run.id, org_id=124).status == 404


def test_an_id_that_is_no_number_is_refused() -> None:
    assert stream("abc123").status == 422


def test_an_organization_the_caller_is_not_in_is_forbidden() -> None:
    assert stream(1, org_id=125).status == 403


def test_a_stream_without_the_authorizer_is_refused() -> None:
    event = rest("GET", "/v1/organizations/123/agent/run/1/logs/stream", caller=None)

    assert invoke(handlers.handler("live/stream"), event, Context())["statusCode"] == 401
