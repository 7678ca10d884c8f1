"""Chatting with an agent: a run's turns, told as answers and as frames."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent
from codegen_runs.backend import Backend
from codegen_runs.chat import sessions
from codegen_runs.chat.answering import HOLD
from codegen_runs.chat.messages import ChatMessage
from codegen_runs.chat.sessions import SessionBusy
from codegen_runs.problems import StorageUnavailable
from codegen_runs.prompts import Prompt
from codegen_runs.runs import transitions
from codegen_runs.runs.following import follow
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Cancel
from local.fake_codegen import DEMO_ORG_ID, EMPTY_ORG_ID, FakeCodegen, Script, Trouble
from local.template import Template
from tests.support import handlers
from tests.support.backend import TestClock
from tests.support.events import Answer, call, current, rest, working_with
from tests.support.memory import MemoryRuns
from tests.support.overtaken import Overtaken
from tests.support.viewers import ADA, answer_live, frames, stream

pytestmark = pytest.mark.usefixtures("polled_meanwhile")
Poll = Callable[[float], None]

PATH = f"/v1/organizations/{DEMO_ORG_ID}/chat"


@pytest.fixture(autouse=True)
def _assistant(deployed: Template, served: None) -> None:
    agent = CreateAgent(id="assistant", name="Assistant", system_prompt="You are helpful.")
    profiles.create(agent, org_id=DEMO_ORG_ID, caller=ADA, backend=current())


def event(path: str = PATH, key: str | None = None, **body: Any) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    return rest("POST", path, body={"agent_id": "assistant", "message": "Hello!"} | body, headers=headers, caller=ADA)


def chat(path: str = PATH, key: str | None = None, **body: Any) -> Answer:
    return call(handlers.handler("chat/send"), event(path, key, **body))


def chat_live(on_part: Callable[[bytes], None] = lambda part: None, **body: Any) -> Answer:
    """Send a message over a gateway that streams; where `on_part` raises ConnectionError, the client is gone."""
    return answer_live("chat/send", event(**body), on_part)


@contextmanager
def replaced(**parts: Any) -> Iterator[None]:
    """Let the handlers work with other tables."""
    before = current()
    with working_with(Backend(**{"clock": before.clock, "kick": before.kick, "runs": before.runs} | parts)):
        yield


def failing(table: Any, method: str) -> Overtaken:
    """Return a table whose method fails."""

    def fail() -> None:
        raise StorageUnavailable("DynamoDB did not answer.")

    return Overtaken(table, method, fail, times=None)


def names(told: list[dict[str, Any]]) -> list[str]:
    return [frame["event"] for frame in told]


def content(told: list[dict[str, Any]]) -> str:
    return "".join(frame["data"]["content"] for frame in told if frame["event"] == "content_delta")


# --- without stream ---------------------------------------------------------------------------------------------------


def test_the_answer_has_the_run_the_session_and_its_metrics(fake: FakeCodegen) -> None:
    fake.script(Script(result="Hello to you.", seconds=8))
    answer = chat(stream=False)

    assert answer.status == 200
    assert answer.json["response"] == "Hello to you."
    assert answer.json["status"] == "completed"
    assert 8 <= answer.json["metrics"]["duration_seconds"] < 20
    assert answer.json["metrics"]["log_entries"] == len(fake.runs[answer.json["run_id"]].logs(fake.clock.now()))
    assert answer.json["turn"] == 1


def test_the_prompt_has_the_instructions_and_the_run_names_agent_and_session(
    fake: FakeCodegen, runs: MemoryRuns
) -> None:
    answer = chat().json
    run = fake.runs[answer["run_id"]]

    assert "You are helpful." in run.turns[0].prompt
    assert run.turns[0].prompt.endswith("Hello!")
    assert run.metadata == {"agent_id": "assistant", "agent_version": 1, "session_id": answer["session_id"]}
    watch = runs.find(DEMO_ORG_ID, answer["run_id"])
    assert watch
    assert watch.prompts[0].text == "Hello!"
    assert watch.prompts[0].source == run.metadata


def test_the_links_of_a_chat_begin_with_the_base_path() -> None:
    below = rest("POST", PATH, body={"agent_id": "assistant", "message": "Hello!"}, caller=ADA, base_path="/codegen")

    answer = call(handlers.handler("chat/send"), below)

    run = f"/codegen/v1/organizations/{DEMO_ORG_ID}/agent/run/{answer.json['run_id']}"
    assert answer.headers["location"] == answer.json["links"]["run"] == run
    assert answer.json["links"]["stream"].startswith(f"{run}/logs/stream?")
    assert answer.json["links"]["stream"] in answer.headers["link"]


def test_an_answer_that_takes_longer_than_the_gateway_waits_is_found_later(
    fake: FakeCodegen, clock: TestClock, poll: Poll
) -> None:
    fake.script(Script(result="At last.", seconds=60))
    sent_at = clock.now()
    answer = chat()

    assert answer.status == 202
    assert HOLD - 1 <= clock.now() - sent_at <= HOLD + 1
    assert (answer.json["response"], answer.json["status"]) == (None, "running")
    assert answer.headers["location"] == f"/v1/organizations/{DEMO_ORG_ID}/agent/run/{answer.json['run_id']}"
    assert answer.json["links"]["stream"] in answer.headers["link"]
    poll(60)
    _, _, query = answer.json["links"]["stream"].partition("?")
    assert content(frames(stream(answer.json["run_id"], f"?{query}").text)) == "At last."


@pytest.mark.parametrize("ending", ["FAILED", "MAX_ITERATIONS_REACHED", "TIMEOUT"])
def test_a_turn_that_ends_without_an_answer_reports_how_it_ended(ending: str, fake: FakeCodegen) -> None:
    fake.script(Script(ending=ending, seconds=3))
    answer = chat()

    assert answer.status == 200
    assert answer.json["response"] is None
    assert answer.json["status"] in ("failed", "incomplete", "timed_out")


def test_the_api_chat_path_uses_the_deployments_organization() -> None:
    assert chat("/api/chat").json["organization_id"] == DEMO_ORG_ID


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_continues_with_the_same_run_and_the_answers_do_not_mix(fake: FakeCodegen) -> None:
    fake.script(Script(result="One."))
    first = chat().json
    fake.script(Script(result="Two."))
    second = chat(session_id=first["session_id"], message="And now?").json

    assert (first["response"], second["response"]) == ("One.", "Two.")
    assert second["run_id"] == first["run_id"]
    assert (first["turn"], second["turn"]) == (1, 2)
    assert fake.runs[first["run_id"]].turns[1].prompt == "And now?"


def test_each_turn_streams_its_own_frames_only(fake: FakeCodegen) -> None:
    fake.script(Script(result="One."))
    session_id = chat().json["session_id"]
    fake.script(Script(result="Two."))
    told = frames(chat_live(session_id=session_id, stream=True).text)

    assert content(told) == "Two."
    assert told[0]["data"]["turn"] == 2
    assert names(told).count("run_completed") == 1


def test_a_turn_that_ended_before_its_first_poll_has_all_its_frames(runs: MemoryRuns, clock: TestClock) -> None:
    run_id = chat().json["run_id"]
    told = Prompt(text="And now?", at=round(clock.now() * 1000), follow_up=True)
    watch = follow(org_id=DEMO_ORG_ID, agent_run_id=run_id, status="COMPLETE", prompt=told, backend=current())

    assert (watch.turn, watch.status, watch.prompts[-1].turn) == (2, Status.UNKNOWN, 2)
    assert watch.due_at is not None


def test_an_answer_that_the_log_truncates_is_complete_in_each_turn(fake: FakeCodegen) -> None:
    fake.script(Script(result="One.", steps=0))
    session_id = chat().json["session_id"]
    fake.script(Script(result="Two. " * 6000, steps=0))

    assert content(frames(chat(session_id=session_id, stream=True).text)) == "Two. " * 6000


def test_a_busy_session_is_refused_with_the_reason_until_the_turn_has_ended(fake: FakeCodegen, poll: Poll) -> None:
    fake.script(Script(seconds=60))
    first = chat()
    busy = chat(session_id=first.json["session_id"])

    assert first.status == 202
    assert (busy.status, busy.json["code"]) == (409, "session_busy")
    assert "turn 1 is running" in busy.json["message"]
    assert busy.json["links"]["run"] == first.headers["location"]
    assert len(fake.runs[first.json["run_id"]].turns) == 1
    poll(60)
    assert chat(session_id=first.json["session_id"]).status == 200


def test_of_two_messages_at_the_same_time_one_is_sent(fake: FakeCodegen, runs: MemoryRuns) -> None:
    first = chat().json
    session_id = first["session_id"]
    refused: list[SessionBusy] = []

    def send_another() -> None:
        message = ChatMessage(agent_id="assistant", message="Me first!", session_id=session_id)
        with pytest.raises(SessionBusy) as busy:
            sessions.send(message, org_id=DEMO_ORG_ID, caller=ADA, backend=current())
        refused.append(busy.value)

    # The run is read under the claim of the first message.
    with replaced(runs=Overtaken(runs, "find", send_another)):
        answer = chat(session_id=session_id)

    assert answer.status == 200
    assert [busy.detail for busy in refused] == ["Another message of the session is being sent."]
    assert len(fake.runs[first["run_id"]].turns) == 2


def test_a_message_is_sent_within_the_hold_however_long_the_stream_lasts(fake: FakeCodegen, clock: TestClock) -> None:
    session_id = chat().json["session_id"]
    fake.trouble("resume_agent_run", Trouble("error", status=429, retry_after=50))
    sent_at = clock.now()
    answer = chat_live(session_id=session_id, stream=True)

    assert answer.status == 429
    assert clock.now() - sent_at < HOLD


def test_a_message_that_the_upstream_refuses_releases_the_session(fake: FakeCodegen) -> None:
    session_id = chat().json["session_id"]
    fake.trouble("resume_agent_run", Trouble("error", status=500))
    refused = chat(session_id=session_id)

    assert refused.status == 502
    assert chat(session_id=session_id).status == 200


def test_a_first_message_that_the_upstream_refuses_leaves_no_session(fake: FakeCodegen) -> None:
    fake.trouble("create_agent_run", Trouble("error", status=500))

    assert chat().status == 502
    assert current().sessions.of_agent(DEMO_ORG_ID, "assistant", since=0, limit=10) == []
    assert chat().status == 200
    assert len(current().sessions.of_agent(DEMO_ORG_ID, "assistant", since=0, limit=10)) == 1


def test_a_session_whose_run_was_not_stored_is_not_found(clock: TestClock) -> None:
    with replaced(sessions=failing(current().sessions, "release")):
        session_id = chat().json["session_id"]
    clock.manual.advance(sessions.CLAIM_SECONDS + 1)

    assert chat(session_id=session_id).json["code"] == "session_not_found"


def test_the_claim_of_a_request_that_died_expires(clock: TestClock) -> None:
    session_id = chat().json["session_id"]
    now, session = round(clock.now() * 1000), current().sessions.get(DEMO_ORG_ID, session_id)
    assert session
    current().sessions.claim(DEMO_ORG_ID, session, "somebody", now=now, until=now + sessions.CLAIM_SECONDS * 1000)

    assert "is being sent" in chat(session_id=session_id).json["message"]
    clock.manual.advance(sessions.CLAIM_SECONDS + 1)
    assert chat(session_id=session_id).status == 200


def test_a_session_that_cannot_be_released_is_a_warning() -> None:
    with replaced(sessions=failing(current().sessions, "release")):
        answer = chat()

    assert answer.status == 200
    assert [warning["code"] for warning in answer.json["warnings"]] == ["session_not_kept"]


def test_a_session_belongs_to_its_organization_and_agent() -> None:
    session_id = chat().json["session_id"]
    profiles.create(CreateAgent(id="other", name="Other"), org_id=DEMO_ORG_ID, caller=ADA, backend=current())
    profiles.create(CreateAgent(id="assistant", name="Assistant"), org_id=EMPTY_ORG_ID, caller=ADA, backend=current())

    foreign = chat(f"/v1/organizations/{EMPTY_ORG_ID}/chat", session_id=session_id)
    assert (foreign.status, foreign.json["code"]) == (404, "session_not_found")
    unknown = chat(session_id="chat-unknown")
    assert (unknown.status, unknown.json["code"]) == (404, "session_not_found")
    anothers = chat(session_id=session_id, agent_id="other")
    assert (anothers.status, anothers.json["code"]) == (409, "session_of_another_agent")


def test_an_agent_that_waits_for_input_accepts_a_message(fake: FakeCodegen) -> None:
    fake.script(Script(ending="PAUSED", seconds=3))
    first = chat()
    fake.script(Script(result="Now I know."))
    second = chat(session_id=first.json["session_id"], message="The blue one.")

    assert (first.status, first.json["status"]) == (202, "paused")
    assert (second.json["response"], second.json["turn"]) == ("Now I know.", 1)


def test_a_paused_run_accepts_no_message(runs: MemoryRuns, clock: TestClock) -> None:
    first = chat().json
    watch = runs.find(DEMO_ORG_ID, first["run_id"])
    assert watch
    runs.write(*transitions.paused(watch, now=clock.now()))

    assert chat(session_id=first["session_id"]).json["code"] == "follow_up_held"


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"message": ""}, "/body/message"),
        ({"message": " \n"}, "/body/message"),
        ({"message": "x" * 60_001}, "/body/message"),
        ({"message": ["Hello!"]}, "/body/message"),
        ({"message": None}, "/body/message"),
        ({"agent_id": 7}, "/body/agent_id"),
        ({"agent_id": ""}, "/body/agent_id"),
        ({"stream": "true"}, "/body/stream"),
        ({"stream": 1}, "/body/stream"),
        ({"stream": None}, "/body/stream"),
        ({"session_id": 7}, "/body/session_id"),
        ({"session_id": ""}, "/body/session_id"),
    ],
)
def test_an_invalid_message_is_refused_with_a_sentence_and_not_sent(
    body: dict[str, Any], pointer: str, fake: FakeCodegen
) -> None:
    before = len(fake.runs)
    answer = chat(**body)

    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert len(fake.runs) == before


@pytest.mark.parametrize("streams", [True, False])
def test_an_unknown_agent_is_not_found_and_the_answer_says_what_to_do(streams: bool) -> None:
    answer = chat(agent_id="nobody", stream=streams)

    assert (answer.status, answer.json["code"]) == (404, "agent_not_found")
    assert "POST creates one" in answer.json["remedy"]


def test_unknown_fields_of_a_message_are_ignored_with_a_warning() -> None:
    assert [warning["pointer"] for warning in chat(user_id="u1").json["warnings"]] == ["/user_id"]


# --- with stream ------------------------------------------------------------------------------------------------------


def test_a_stream_has_the_named_frames_of_the_chat_description(fake: FakeCodegen) -> None:
    fake.script(Script(result="Once upon a time.", seconds=8))
    answer = chat_live(stream=True)
    told = frames(answer.text)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [name for name in names(told) if name in ("run_started", "content_delta", "run_completed")] == [
        "run_started",
        "content_delta",
        "run_completed",
    ]
    assert names(told)[0] == "run_started"
    assert names(told)[-2:] == ["run_completed", "stream_end"]
    started, ended = told[0]["data"], told[-2]["data"]
    assert fake.runs[started["run_id"]].metadata["session_id"] == started["session_id"]
    assert content(told) == ended["response"] == "Once upon a time."
    assert ended["metrics"]["duration_seconds"] >= 8
    assert "run_log" in names(told)


def test_the_frames_of_a_chat_continue_after_a_cut_and_none_comes_twice(fake: FakeCodegen) -> None:
    """A POST is not repeated by a client: it goes on at the link, which is good for an EventSource."""
    fake.script(Script(result="Once upon a time.", seconds=8, steps=4))
    for whole in range(1, 12):
        count = iter(range(100))

        def cut(_: bytes, whole: int = whole, count: Any = count) -> None:
            if next(count) > whole:
                raise ConnectionResetError

        first = frames(chat_live(cut, stream=True).text)
        link = first[0]["data"]["links"]["stream"]
        last_id = next((frame["id"] for frame in reversed(first) if frame["id"]), None)
        run_id, (_, _, query) = first[0]["data"]["run_id"], link.partition("?")
        told = list(first[1:])
        for _ in range(20):
            if told and told[-1]["event"] == "stream_end":
                break
            answer = stream(run_id, f"?{query}", last_id)
            if answer.status == 204:
                break
            rest_of_it = frames(answer.text)
            assert rest_of_it[0]["event"] == "run_started"
            told += rest_of_it[1:]
            last_id = next((frame["id"] for frame in reversed(told) if frame["id"]), last_id)

        ids = [frame["id"] for frame in told if frame["id"]]
        assert ids == sorted(set(ids), key=lambda id_: int(id_.partition("-")[2]))
        assert content(told) == fake.runs[run_id].result(fake.clock.now())
        assert names(told).count("run_completed") == 1


def test_behind_a_gateway_that_does_not_stream_the_frames_come_as_a_page(fake: FakeCodegen) -> None:
    fake.script(Script(result="Once upon a time.", seconds=8))
    told = frames(chat(stream=True).text)

    assert names(told)[0] == "run_started"
    assert names(told)[-2:] == ["run_completed", "stream_end"]
    assert content(told) == "Once upon a time."


def test_a_page_that_ends_before_the_turn_continues_at_its_link(fake: FakeCodegen, clock: TestClock) -> None:
    fake.script(Script(result="At last.", seconds=40))
    sent_at = clock.now()
    answer = chat(stream=True)
    told = frames(answer.text)
    run_id, (_, _, query) = told[0]["data"]["run_id"], told[0]["data"]["links"]["stream"].partition("?")

    assert answer.status == 200
    assert clock.now() - sent_at <= HOLD + 1
    assert "run_completed" not in names(told)
    while told[-1]["event"] != "stream_end":
        last_id = next((frame["id"] for frame in reversed(told) if frame["id"]), None)
        told += frames(stream(run_id, f"?{query}", last_id).text)[1:]
    assert content(told) == "At last."


@pytest.mark.parametrize(
    ("result", "has_delta"),
    [("Once upon a time.", True), ("x" * 30_000, True), ("", False)],
    ids=["short", "long", "none"],
)
def test_the_content_frames_together_are_the_response(result: str, has_delta: bool, fake: FakeCodegen) -> None:
    fake.script(Script(result=result))
    told = frames(chat_live(stream=True).text)

    assert content(told) == result
    assert ("content_delta" in names(told)) is has_delta
    assert told[-2]["data"]["response"] == result


def test_a_turn_that_fails_ends_its_stream_by_name(fake: FakeCodegen) -> None:
    fake.script(Script(ending="FAILED", seconds=3))
    told = frames(chat_live(stream=True).text)

    assert names(told)[-2:] == ["run_failed", "stream_end"]
    assert (told[-2]["data"]["status"], told[-2]["data"]["response"]) == ("failed", None)


def test_a_stream_is_never_silent_for_the_time_that_a_client_waits(fake: FakeCodegen, clock: TestClock) -> None:
    fake.script(Script(steps=0, seconds=30))
    times: list[float] = []
    chat_live(lambda _: times.append(clock.now()), stream=True)

    assert max(later - sooner for sooner, later in pairwise(times)) < 5


@pytest.mark.parametrize("streams", [True, False])
def test_a_message_that_is_sent_again_with_its_key_is_sent_once_and_answered_twice(
    streams: bool, fake: FakeCodegen
) -> None:
    fake.script(Script(result="Once."))
    before = len(fake.runs)
    first, second = (chat(key="one-message", stream=streams) for _ in range(2))

    assert len(fake.runs) == before + 1
    assert second.headers["idempotent-replay"] == "true"
    assert first.text == second.text
    assert "Once." in second.text


def test_a_client_that_disconnects_loses_nothing(fake: FakeCodegen, poll: Poll) -> None:
    fake.script(Script(result="Once upon a time.", seconds=8))

    def leave(_: bytes) -> None:
        raise ConnectionResetError

    chat_live(leave, stream=True)
    run = max(fake.runs.values(), key=lambda run: run.id)
    poll(20)

    assert content(frames(stream(run.id, "?view=chat").text)) == "Once upon a time."
    assert chat(session_id=str(run.metadata["session_id"])).status == 200


def test_a_truncated_answer_of_an_earlier_turn_is_given_by_its_beginning(fake: FakeCodegen, runs: MemoryRuns) -> None:
    fake.script(Script(result="One. " * 6000))
    first = chat().json
    chat(session_id=first["session_id"])
    told = frames(stream(first["run_id"], "?view=chat&after=0-0").text)

    assert names(told)[-2:] == ["run_completed", "stream_end"]
    assert told[-2]["data"]["turn"] == 1
    assert told[-2]["data"]["response_truncated"] is True
    assert content(told) == told[-2]["data"]["response"] == ("One. " * 6000)[:500]


def test_an_unknown_view_is_refused() -> None:
    assert stream(100_001, "?view=film").status == 422


def test_a_message_whose_turn_cannot_be_read_is_answered_with_its_links(fake: FakeCodegen, runs: MemoryRuns) -> None:
    before = len(fake.runs)
    with replaced(runs=failing(runs, "find")):
        answer = chat(stream=True)

    assert len(fake.runs) == before + 1

    assert answer.status == 202
    assert answer.json["links"]["run"] == answer.headers["location"]


def test_a_cancelled_turn_is_reported_as_cancelled(
    fake: FakeCodegen, runs: MemoryRuns, clock: TestClock, poll: Poll
) -> None:
    fake.script(Script(seconds=60))
    first = chat().json
    watch = runs.find(DEMO_ORG_ID, first["run_id"])
    assert watch
    cancel = Cancel(requested_at=round(clock.now() * 1000), requested_by="user:789", allow_pr_ban=True)
    runs.write(*transitions.cancelling(watch, cancel, now=clock.now()))
    fake.runs[first["run_id"]].stop(fake.clock.now())
    poll(10)
    told = frames(stream(first["run_id"], "?view=chat").text)

    assert told[-2]["event"] == "run_cancelled"
    assert told[-2]["data"]["status"] == Status.CANCELLED


def test_only_post_sends_a_message() -> None:
    answer = call(handlers.handler("chat/send"), rest("GET", "/api/chat"))

    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
