"""Streams of task events: each event exactly once, in spite of broken connections."""

import json

import httpx
import pytest

from codegen_api import (
    APIConnectionError,
    APIStatusError,
    DeadlineExceededError,
    InvalidResponseError,
    RetryPolicy,
    TaskEvent,
    TaskStatus,
)
from codegen_api._streams import FrameReader
from local.fake_codegen import Trouble

STEPS = "Do it. [[fake seconds=60 steps=9]]"
HEALTH = {"service": "codegen-runs", "status": "healthy"}
EVENTS = "/v1/organizations/42/agent/run/7/events"


def positions(events):
    return [event.data["position"] for event in events if event.type == "run.log"]


def test_the_log_of_the_codegen_api_becomes_events(codegen):
    def script(api):
        task = yield api.run_task(STEPS)
        events = yield task.stream()

        logs = yield api.runs.logs(task.id)
        assert positions(events) == list(range(logs.total_logs))
        assert [event.log for event in events[:-1]] == logs.logs
        assert [event.id for event in events] == [f"0-{n + 1}" for n in range(len(events))]
        assert (events[-1].type, events[-1].data["status"], events[-1].log) == ("run.completed", "completed", None)
        assert all(event.text for event in events)
        assert (task.status, task.is_successful()) == (TaskStatus.COMPLETED, True)
        assert task.result

    codegen.play(script)


@pytest.mark.parametrize(
    ("ending", "type_"),
    [("FAILED", "run.failed"), ("TIMEOUT", "run.timed_out"), ("OUT_OF_TOKENS", "run.incomplete")],
)
def test_the_type_of_the_last_event_depends_on_the_final_status(codegen, ending, type_):
    def script(api):
        task = yield api.run_task(f"Do it. [[fake seconds=3 ending={ending}]]")
        events = yield task.stream()
        assert events[-1].type == type_
        assert events[-1].data["upstream_status"] == ending

    codegen.play(script)


def test_a_stream_can_continue_after_any_event(codegen):
    def script(api):
        task = yield api.run_task(STEPS)
        events = yield task.stream()
        for number, event in enumerate(events):
            assert (yield task.stream(after=event.id)) == events[number + 1 :]

    codegen.play(script)


def test_a_log_of_several_pages_is_emitted_once(codegen):
    def script(api):
        task = yield api.run_task("Do it. [[fake seconds=3 steps=230]]")
        events = yield task.stream()
        assert positions(events) == list(range(len(events) - 1))
        assert len(events) > 230

    codegen.play(script)


def test_broken_connections_lose_and_repeat_no_event(codegen):
    def script(api):
        task = yield api.run_task(STEPS)
        for _ in range(4):
            codegen.world.trouble("get_agent_run_logs", Trouble("none"))
            codegen.world.trouble("get_agent_run_logs", Trouble("cut"), times=2)
            codegen.world.trouble("get_agent_run_logs", Trouble("truncated"))
            codegen.world.trouble("get_agent_run_logs", Trouble("error", status=502), times=2)
        events = yield task.stream(poll_interval=2)
        logs = yield api.runs.logs(task.id)
        assert positions(events) == list(range(logs.total_logs))

    codegen.play(script, retry=RetryPolicy(max_retries=1))


@pytest.mark.parametrize("logs", ["late", "very_late", "rewritten", "shrunk"])
def test_the_stream_of_a_changing_log_has_one_end(codegen, logs):
    def script(api):
        task = yield api.run_task(f"Do it. [[fake seconds=60 steps=9 logs={logs}]]")
        events = yield task.stream(poll_interval=1)
        assert [event.type for event in events].count("run.completed") == 1
        assert events[-1].type == "run.completed"
        total = (yield api.runs.logs(task.id)).total_logs
        assert set(positions(events)) >= set(range(total))

    codegen.play(script)


def test_entries_that_replace_removed_ones_are_emitted(client, wire, run):
    """The log of the Codegen API can shrink. New entries then have positions that were read before."""
    logs = [{"agent_run_id": 7, "thought": str(number)} for number in range(4)]
    wire.answers(404, {}).answers(200, run)
    wire.answers(200, run | {"logs": logs[:3], "total_logs": 3}).answers(200, run | {"logs": [], "total_logs": 1})
    ended = run | {"status": "COMPLETE"}
    wire.answers(200, ended | {"logs": [logs[3]], "total_logs": 2}).answers(200, ended)

    def script(api):
        task = yield api.run_task("Do it")
        events = yield task.stream()
        assert [event.data["log"]["thought"] for event in events[:-1]] == ["0", "1", "2", "3"]

    client.play(script)
    assert [request.url.params.get("skip") for request in wire.requests[2:5]] == ["0", "3", "1"]


def test_a_stream_whose_last_request_fails_still_has_the_result(codegen):
    def script(api):
        task = yield api.run_task(STEPS)
        codegen.world.trouble("get_agent_run", Trouble("cut"), times=3)
        yield task.stream()
        assert task.result

    codegen.play(script, retry=RetryPolicy(max_retries=0))


def test_a_stream_raises_the_error_when_the_server_stays_unreachable(codegen):
    def script(api):
        task = yield api.run_task(STEPS)
        codegen.world.trouble("get_agent_run_logs", Trouble("cut"), times=None)
        with pytest.raises(APIConnectionError):
            yield task.stream()

    codegen.play(script)


def test_an_invalid_event_id_is_refused(codegen):
    def script(api):
        task = yield api.run_task(STEPS)
        with pytest.raises(ValueError, match="not an event id"):
            yield task.stream(after="yesterday")

    codegen.play(script)


def event(number, type_="run.log", **data):
    data = data or {"position": number - 1, "log": {"agent_run_id": 7, "thought": f"thought {number}"}}
    return {"id": f"0-{number}", "type": type_, "ts": "2025-06-21T11:20:04Z", "data": data, "seq": number}


def page(*items, ended=False, status="running"):
    cursor = items[-1]["id"] if items else "0-2"
    return {"run": {"status": status}, "items": items, "next_cursor": cursor, "ended": ended, "has_more": False}


CARD = {"id": 7, "status": "completed", "result": "All of it.", "prompt": "Do it"}


def stream(api):
    task = yield api.run_task("Do it")
    events = yield task.stream()
    assert [(event.id, event.type) for event in events] == [
        ("0-1", "run.started"),
        ("0-2", "run.log"),
        ("0-3", "run.log"),
        ("0-4", "run.completed"),
    ]
    assert [event.text for event in events] == [
        "started",
        "log: thought 2",
        "log: thought 3",
        "completed",
    ]
    assert (task.status, task.result) == (TaskStatus.COMPLETED, "All of it.")


def test_the_events_of_a_deployment_are_complete_in_spite_of_errors(client, wire, run):
    first, second = event(1, "run.started", status="running"), event(2)
    last = event(4, "run.completed", status="completed")
    wire.answers(200, HEALTH).answers(200, run).answers(200, page(first, second))
    wire.fails(httpx.ReadError).fails(httpx.ReadTimeout).answers(504, {}).answers(502, content=b"<html>")
    wire.answers(200, page()).fails(httpx.RemoteProtocolError)
    wire.answers(200, page(event(3), last, ended=True, status="completed")).answers(200, CARD)

    client.play(stream, retry=RetryPolicy(max_retries=1))

    asked = [request.url for request in wire.requests if request.url.path == EVENTS]
    assert [url.params.get("after") for url in asked] == [None] + ["0-2"] * 7
    assert {url.params["wait"] for url in asked} == {"15.0"}, "half of the read timeout"


@pytest.mark.parametrize(
    ("type_", "data", "text"),
    [
        ("checkpoint.created", {"reason": "plan"}, "checkpoint created: plan"),
        ("run.status_changed", {}, "status changed"),
        ("run.log", {"log": {"agent_run_id": 7, "tool_name": "search", "tool_input": "a\nb"}}, "search: a"),
        (
            "run.log",
            {"log": {"tool_name": "search", "tool_input": {"for": "a\nb", "in": ["é"]}}},
            'search: for: a, in: ["é"]',
        ),
        ("run.log", {"log": {"tool_name": "search", "observation": ["a", 1, None]}}, "search: a, 1, null"),
        ("run.log", {"log": {"tool_name": "view_file", "tool_input": {"path": "a.py"}}}, "view_file: a.py"),
        ("run.log", {"log": {"tool_name": "search", "observation": True}}, "search: true"),
        ("run.log", {"log": {"agent_run_id": 7, "message_type": "ACTION"}}, "ACTION"),
        ("run.log", {"log": "of another kind"}, "log"),
    ],
)
def test_every_event_has_a_line_of_text(type_, data, text):
    assert TaskEvent("0-1", type_, data).text == text


def test_an_expired_cursor_is_an_error_and_no_silent_gap(client, wire, run):
    wire.answers(200, HEALTH).answers(200, run)
    wire.answers(410, {"message": "Events after the cursor are no longer stored.", "code": "cursor_expired"})

    def script(api):
        task = yield api.run_task("Do it")
        with pytest.raises(APIStatusError, match="no longer stored") as caught:
            yield task.stream(after="0-1")
        assert caught.value.status_code == 410

    client.play(script)


def frame(number, type_="run.log"):
    event = {"id": f"0-{number}", "type": type_, "ts": "2026-01-02T03:04:05Z", "data": {"log": None}}
    return f"id: 0-{number}\nevent: {type_.replace('.', '_', 1)}\ndata: {json.dumps(event)}\n\n".encode()


SNAPSHOT = b': keep\n\nevent: run_snapshot\ndata: {"key": "7"}\n\n'
END = b'event: stream_end\ndata: {"cursor": "0-9"}\n\n'
SSE = {"content-type": "text/event-stream; charset=utf-8"}


def parts(*pieces):
    return httpx.Response(200, headers=SSE, stream=Pieces(pieces))


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in pieces. An exception among them cuts it."""

    def __init__(self, pieces):
        self.pieces, self.closed = pieces, False

    def __iter__(self):
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self):
        for piece in self:
            yield piece

    def close(self):
        self.closed = True

    async def aclose(self):
        self.closed = True


@pytest.fixture
def deployment(wire):
    return wire.answers(200, HEALTH)


def test_a_stream_that_is_cut_continues_after_the_last_event(client, deployment):
    whole = SNAPSHOT + frame(1) + frame(2)
    deployment.does(lambda _: parts(whole[:70], whole[70:], httpx.ReadError("cut")))
    deployment.does(lambda _: parts(SNAPSHOT, frame(3).replace(b"\n", b"\r\n")))
    deployment.does(lambda _: parts(frame(4, "run.completed") + END))

    events = client(lambda api: api.runs.stream(7))

    assert [event.id for event in events] == ["0-1", "0-2", "0-3", "0-4"]
    assert [request.url.params.get("after") for request in deployment.requests[1:]] == [None, "0-2", "0-3"]
    assert deployment.requests[1].headers["accept"] == "text/event-stream"
    assert str(events[-1]) == "03:04:05 completed"


def test_a_stream_that_waited_in_vain_is_opened_again(client, deployment, clock):
    deployment.does(lambda _: parts(SNAPSHOT)).does(lambda _: httpx.Response(204))

    assert client(lambda api: api.runs.stream(7, after="0-4")) == []
    assert [request.url.params["after"] for request in deployment.requests[1:]] == ["0-4", "0-4"]
    assert clock.sleeps == [2.0]


def test_a_stream_that_stays_silent_ends_with_an_error(client, deployment):
    for _ in range(11):
        deployment.does(lambda _: parts())

    with pytest.raises(InvalidResponseError, match="before its first event"):
        client(lambda api: api.multi_runs.stream("mr-1"))


@pytest.mark.parametrize("body", [b"data: [1]\nid: 0-1\n\n", b"data: x\nid: 0-1\n\n"])
def test_a_frame_that_is_no_event_is_an_error_of_the_client(client, deployment, body):
    for _ in range(11):
        deployment.does(lambda _: parts(body))

    with pytest.raises(InvalidResponseError):
        client(lambda api: api.runs.stream(7))


def test_an_error_of_a_stream_is_raised(client, deployment):
    deployment.answers(404, {"message": "There is no run 7."})

    with pytest.raises(APIStatusError, match="There is no run 7"):
        client(lambda api: api.runs.stream(7))


def test_leaving_a_stream_closes_its_connection(client, deployment):
    opened = Pieces([frame(1), frame(2), frame(3)])
    deployment.does(lambda _: httpx.Response(200, headers=SSE, stream=opened))

    def leave(api):
        if client.asynchronous:
            return leave_async(api)
        with api.runs.stream(7) as events:
            return next(events).id

    async def leave_async(api):
        async with api.runs.stream(7) as events:
            return (await anext(events)).id

    assert client(leave) == "0-1"
    assert opened.closed


def test_a_stream_keeps_the_deadline_of_its_view(client, deployment, clock):
    seen = []

    def note(event):
        clock.advance(3)
        seen.append(event.id)
        return event

    deployment.does(lambda _: parts(*[frame(number) for number in range(1, 9)]))

    with pytest.raises(DeadlineExceededError):
        client(lambda api: api.with_deadline(5).runs.stream(7).through(note))
    assert seen == ["0-1", "0-2"]


def chat_frame(name, data, number=None):
    id_ = "" if number is None else f"id: 0-{number}\n"
    return f"{id_}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


GREETING = chat_frame(
    "run_started",
    {
        "run_id": 7,
        "session_id": "chat-1",
        "links": {"stream": "/v1/organizations/42/agent/run/7/logs/stream?after=0-2"},
    },
)


def test_a_chat_that_is_cut_continues_and_keeps_its_session(client, deployment):
    deployment.does(lambda _: parts(GREETING, frame(3), httpx.ReadError("cut")))
    answer = chat_frame("content_delta", {"content": "Hello."}, 4)
    last = chat_frame("run_completed", {"status": "completed", "response": "Hello."}, 5)
    deployment.does(lambda _: parts(GREETING, answer, last, END))
    deployment.answers(200, {"status": "completed", "session_id": "chat-1", "run_id": 7, "turn": 2, "agent_id": "a"})

    def script(api):
        session = api.chat.session("assistant")
        events = yield session.stream("Hi")
        assert [event.type for event in events] == ["run.started", "run.log", "content.delta", "run.completed"]
        assert (events[2].data["content"], events[2].text) == ("Hello.", "content delta: Hello.")
        assert session.id == "chat-1"
        assert (yield session.send("And then?")).turn == 2

    client.play(script)
    _, first, second, third = deployment.requests
    assert (first.method, json.loads(first.content)) == (
        "POST",
        {"agent_id": "assistant", "message": "Hi", "stream": True},
    )
    assert first.headers["idempotency-key"]
    assert (second.url.path, dict(second.url.params)) == (
        "/v1/organizations/42/agent/run/7/logs/stream",
        {"view": "chat", "after": "0-3"},
    )
    assert json.loads(third.content)["session_id"] == "chat-1"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_frames_are_read_wherever_their_parts_are_cut(line_end):
    whole = (SNAPSHOT + frame(1) + "event: a\ndata: \u00e9\ndata: 2\nid: x\n\n".encode() + END).replace(b"\n", line_end)

    for cut in range(len(whole) + 1):
        reader = FrameReader()
        frames = [found for part in (whole[:cut], whole[cut:]) for found in reader.feed(part)]

        assert [(found.event, found.id) for found in frames] == [
            ("run_snapshot", None),
            ("run_log", "0-1"),
            ("a", "x"),
            ("stream_end", None),
        ]
        assert frames[2].data == "\u00e9\n2"
