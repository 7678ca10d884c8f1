"""How many streams and tickets one user may have at the same time, whatever token the user sends."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from codegen_api import CodegenAPI
from codegen_runs.callers import DEPLOYMENT
from codegen_runs.live import viewers
from codegen_runs.live.sse import LIFETIME
from codegen_runs.live.viewers import LOOK_SECONDS
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script
from tests.support import handlers
from tests.support.backend import TestClock
from tests.support.events import Answer, call, current, rest
from tests.support.viewers import ADA, list_events, stream, stream_event, stream_live

pytestmark = pytest.mark.usefixtures("served", "two_each")
Poll = Callable[[float], None]


@pytest.fixture
def two_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STREAMS_PER_CALLER", "TICKETS_PER_MINUTE"):
        monkeypatch.setenv(name, "2")


@pytest.fixture
def run_id(codegen: CodegenAPI, fake: FakeCodegen) -> int:
    fake.script(Script(ending="NEVER", steps=0))
    return codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID).id


def hold(run: object, count: int, user_id: int = ADA.user_id) -> None:
    """Open streams as other functions do that are still at work."""
    for _ in range(count):
        viewers.open_stream(replace(ADA, user_id=user_id), str(run), seconds=LIFETIME, backend=current())


OPEN = {
    "a page": lambda run: stream(run),
    "a live stream": lambda run: stream_live(stream_event(run)),
    "a long poll": lambda run: list_events(run, "?wait=25"),
}


@pytest.mark.parametrize("way", OPEN)
def test_a_stream_too_many_is_refused_with_the_reason_and_the_time(way: str, run_id: int) -> None:
    hold("other", 2)

    answer = OPEN[way](run_id)

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (429, "too_many_streams", True)
    assert 0 < int(answer.headers["retry-after"]) <= LIFETIME + 5
    assert answer.json["remedy"]


def test_streams_of_another_user_do_not_count(run_id: int) -> None:
    hold("other", 2, user_id=ADA.user_id + 1)

    assert stream(run_id).status == 200


def test_a_user_gets_no_more_streams_with_another_token() -> None:
    hold("other", 2)
    with_api_token = replace(ADA, token="", kind=DEPLOYMENT, token_id="tok-1")

    with pytest.raises(viewers.TooManyStreams):
        viewers.open_stream(with_api_token, "7", seconds=LIFETIME, backend=current())


@pytest.mark.parametrize("way", OPEN)
def test_a_stream_that_has_ended_no_longer_counts(way: str, run_id: int) -> None:
    for _ in range(3):
        assert OPEN[way](run_id).status == 200


def test_a_request_that_does_not_wait_and_head_do_not_count(run_id: int) -> None:
    hold("other", 2)

    assert list_events(run_id).status == 200
    assert call(handlers.handler("live/stream"), stream_event(run_id) | {"httpMethod": "HEAD"}).status == 200
    waiting = rest("HEAD", f"/v1/organizations/{DEMO_ORG_ID}/agent/run/{run_id}/events?wait=25", caller=ADA)
    assert call(handlers.handler("live/events"), waiting).status == 200


def test_the_streams_of_a_function_that_died_end_by_themselves(run_id: int, clock: TestClock) -> None:
    hold("other", 2)
    clock.sleep(LIFETIME + 5)

    assert stream(run_id).status == 200


def test_a_viewer_who_reconnects_takes_the_place_of_the_lost_stream(run_id: int, poll: Poll, clock: TestClock) -> None:
    stream(run_id)
    poll(5)
    hold(run_id, 2)
    clock.sleep(LOOK_SECONDS)

    assert stream(run_id).status == 429
    assert stream(run_id, last_id="0-1").status == 200


def test_a_live_stream_whose_place_is_taken_ends(
    run_id: int, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMS_PER_CALLER", "1")
    started, taken = clock.now(), []

    def take_its_place(_: bytes) -> None:
        if not taken and clock.now() - started >= LOOK_SECONDS:
            taken.append(viewers.open_stream(ADA, str(run_id), seconds=LIFETIME, resumes=True, backend=current()))

    answer = stream_live(stream_event(run_id), take_its_place)

    assert (answer.status, len(taken)) == (200, 1)
    assert clock.now() - started < 3 * LOOK_SECONDS
    assert "stream_end" not in answer.text


def ticket(run_id: int) -> Answer:
    event = rest(
        "POST", "/v1/stream-tickets", caller=ADA, body={"agent_run_id": run_id, "organization_id": DEMO_ORG_ID}
    )
    return call(handlers.handler("live/create_ticket"), event)


def test_tickets_are_limited_by_the_minute(run_id: int, clock: TestClock) -> None:
    assert [ticket(run_id).status for _ in range(3)] == [201, 201, 429]
    assert ticket(run_id).json["code"] == "too_many_tickets"
    clock.sleep(60)
    assert ticket(run_id).status == 201


def test_a_refusal_is_counted_and_its_line_names_the_caller(run_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    hold("other", 2)
    capsys.readouterr()
    stream(run_id)

    (line,) = [line for line in capsys.readouterr().out.splitlines() if '"Refusals"' in line]
    assert '"too_many_streams"' in line
    assert ADA.id in line
