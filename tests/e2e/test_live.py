"""Watching a run on the whole local stack, with events streamed by the layer's own runtime."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID
from local.stack import Stack
from tests.support import samples
from tests.support.viewers import frames

RUNS = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"


def start(http: httpx.Client, prompt: str) -> int:
    answer = http.post(RUNS, json={"prompt": prompt})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["id"])


@pytest.fixture
def run_id(http: httpx.Client) -> int:
    """A run that has written most of its log, and that works until its test finishes it."""
    return start(http, "Say hello. [[fake ending=NEVER seconds=1 steps=12]]")


@pytest.fixture
def finish(stack: Stack) -> Callable[[int], None]:
    """Finish a run at Codegen."""
    assert stack.fake
    return stack.fake.finish


@pytest.fixture
def anybody(stack: Stack) -> Iterator[httpx.Client]:
    """Somebody without a token."""
    with httpx.Client(base_url=stack.api_url, timeout=35, trust_env=False) as client:
        yield client


def ticket(http: httpx.Client, **subject: Any) -> str:
    answer = http.post("/v1/stream-tickets", json=subject)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


def test_events_come_as_they_happen_and_the_stream_ends_with_the_run(
    http: httpx.Client, run_id: int, finish: Callable[[int], None]
) -> None:
    text, works = "", True
    with http.stream("GET", f"{RUNS}/{run_id}/logs/stream?poll_interval=0.5") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert int(answer.headers["stream-retention-seconds"]) == 30 * 86_400
        for part in answer.iter_text():
            text += part
            if works and "event: run_log" in text:  # it arrives while the run works
                finish(run_id)
                works = False
    told = frames(text)

    assert told[0]["event"] == "run_snapshot"
    assert told[-1]["event"] == "stream_end"
    assert [frame["id"] for frame in told[1:-1]] == [f"0-{n}" for n in range(1, len(told) - 1)]
    assert told[-2]["event"] == "run_completed"
    assert http.get(f"{RUNS}/{run_id}/logs/stream", headers={"Last-Event-ID": told[-2]["id"]}).status_code == 204


def test_the_function_that_streams_answers_its_sample_part_by_part(stack: Stack) -> None:
    answer = stack.aws.client("lambda").invoke_with_response_stream(
        FunctionName="StreamAgentRunLogsLive", Payload=json.dumps(samples.read("StreamAgentRunLogsLive"))
    )

    parts = [event["PayloadChunk"]["Payload"] for event in answer["EventStream"] if "PayloadChunk" in event]
    prelude, text = b"".join(parts).split(bytes(8), 1)
    assert len(parts) > 3
    assert json.loads(prelude)["statusCode"] == 200
    told = [frame["event"] for frame in frames(text.decode())]
    assert (told[0], told[-1]) == ("run_snapshot", "stream_end")


def test_a_long_poll_returns_the_same_events(http: httpx.Client, run_id: int, finish: Callable[[int], None]) -> None:
    items: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next_cursor": "0-0", "ended": False}
    while not page["ended"]:
        page = http.get(f"{RUNS}/{run_id}/events?wait=10&after={page['next_cursor']}").raise_for_status().json()
        if not items:
            finish(run_id)
        items += page["items"]
    streamed = frames(http.get(f"{RUNS}/{run_id}/logs/stream").text)

    assert [frame["data"] for frame in streamed[1:-1]] == [
        {name: value for name, value in item.items() if name != "link" or value} for item in items
    ]


def test_a_refusal_before_the_stream_is_a_problem(http: httpx.Client, run_id: int) -> None:
    missing = http.get(f"{RUNS}/99999999/logs/stream")
    foreign = http.get(f"{RUNS}/{run_id}/logs/stream", headers={"Last-Event-ID": "9-9"})

    for answer, status, code in ((missing, 404, "not_found"), (foreign, 400, "invalid_cursor")):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_ticket_opens_one_stream_once_and_the_stream_can_be_resumed(
    http: httpx.Client, anybody: httpx.Client, run_id: int, finish: Callable[[int], None]
) -> None:
    url = f"{RUNS}/{run_id}/logs/stream?ticket={ticket(http, agent_run_id=run_id)}"
    text = ""
    with anybody.stream("GET", url) as answer:
        assert answer.status_code == 200
        for part in answer.iter_text():
            text += part
            if "event: run_log" in text:
                break
    last_id = frames(text)[-1]["id"]
    assert "~" in last_id

    assert anybody.get(url).status_code == 401
    assert anybody.get(url, headers={"Last-Event-ID": last_id.partition("~")[0]}).status_code == 401
    finish(run_id)
    resumed = frames(anybody.get(url, headers={"Last-Event-ID": last_id}).text)
    assert resumed[-1]["event"] == "stream_end"
    events = [frame for frame in frames(text) + resumed if frame["id"]]
    assert [frame["data"]["id"] for frame in events] == [f"0-{n}" for n in range(1, len(events) + 1)]


def test_a_ticket_for_another_run_is_forbidden_as_a_problem(
    http: httpx.Client, anybody: httpx.Client, run_id: int, finish: Callable[[int], None]
) -> None:
    other = start(http, "Say goodbye.")
    answer = anybody.get(f"{RUNS}/{run_id}/logs/stream?ticket={ticket(http, agent_run_id=other)}")

    assert answer.status_code == 403
    assert json.loads(answer.text)["code"] == "ticket_for_another"


def test_a_stream_is_served_beside_others(http: httpx.Client) -> None:
    endless = start(http, "Wait. [[fake ending=NEVER]]")
    streams = [http.stream("GET", f"{RUNS}/{endless}/logs/stream") for _ in range(3)]
    try:
        for stream in streams:
            assert next(stream.__enter__().iter_text()).startswith("retry: ")
        assert http.get("/health").status_code == 200
    finally:
        for stream in streams:
            stream.__exit__(None, None, None)
