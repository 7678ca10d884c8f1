"""Deleting an agent while it works."""

from collections.abc import Iterator
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.chat import sessions
from codegen_runs.chat.messages import ChatAnswer, ChatMessage
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport
from local.template import Template
from tests.support.backend import Kicks, TestClock
from tests.support.events import Answer, call, current, rest, working_with
from tests.support.handlers import handler

ADA = Caller("user:789", 789, frozenset({DEMO_ORG_ID, 124}), DEMO_TOKEN)


@pytest.fixture(autouse=True)
def _assistant(deployed: Template, fake: FakeCodegen, clock: TestClock, codegen: CodegenAPI) -> Iterator[None]:
    backend = Backend(clock=clock, kick=Kicks(), codegen=codegen)
    for agent_id in ("assistant", "other"):
        profiles.create(CreateAgent(id=agent_id, name="Assistant"), org_id=DEMO_ORG_ID, caller=ADA, backend=backend)
    with upstream.over(FakeTransport(fake)), working_with(backend):
        yield


@pytest.fixture
def turn() -> ChatAnswer:
    message = ChatMessage(agent_id="assistant", message="Hello!")
    return sessions.send(message, org_id=DEMO_ORG_ID, caller=ADA, backend=current())


def delete(agent_id: str = "assistant") -> Answer:
    path = f"/v1/organizations/{DEMO_ORG_ID}/agents/{agent_id}"
    return call(handler("agents/delete"), rest("DELETE", path, caller=ADA))


def test_an_agent_with_an_unanswered_message_is_not_deleted(turn: ChatAnswer) -> None:
    answer = delete()

    assert (answer.status, answer.json["code"]) == (409, "agent_in_use")
    assert (answer.json["session_id"], answer.json["run_id"]) == (turn.session_id, turn.run_id)
    assert delete("other").status == 204


def test_an_agent_that_has_answered_is_deleted_and_its_session_accepts_no_message(
    turn: ChatAnswer, runs: RunsTable, codegen: CodegenAPI
) -> None:
    watch = runs.find(DEMO_ORG_ID, turn.run_id)
    assert watch
    runs.write(watch.model_copy(update={"status": Status.COMPLETED, "due_at": None}))

    assert delete().status == 204
    message = ChatMessage(agent_id="assistant", message="And now?", session_id=turn.session_id)
    with pytest.raises(profiles.AgentNotFound):
        sessions.send(message, org_id=DEMO_ORG_ID, caller=ADA, backend=current())


def test_an_agent_is_kept_while_a_message_is_being_sent(turn: ChatAnswer, runs: RunsTable, clock: TestClock) -> None:
    watch = runs.find(DEMO_ORG_ID, turn.run_id)
    assert watch
    runs.write(watch.model_copy(update={"status": Status.COMPLETED, "due_at": None}))
    now = round(clock.now() * 1000)
    claimed: dict[str, Any] = {"now": now, "until": now + 60_000}
    session = current().sessions.get(DEMO_ORG_ID, turn.session_id)
    assert session
    current().sessions.claim(DEMO_ORG_ID, session, "somebody", **claimed)

    assert delete().status == 409
    clock.sleep(61)
    assert delete().status == 204
