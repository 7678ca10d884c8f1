"""The list of a caller's conversations."""

from dataclasses import replace
from typing import Any

import boto3
import pytest

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent
from codegen_runs.callers import Caller
from codegen_runs.chat.listing import MAX_TITLE_CHARACTERS
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Trouble
from local.template import Template
from tests.support import handlers
from tests.support.backend import TestClock
from tests.support.events import Answer, call, current, rest
from tests.support.viewers import ADA

pytestmark = pytest.mark.usefixtures("polled_meanwhile")

HOME = f"/v1/organizations/{DEMO_ORG_ID}"
LINUS = replace(ADA, id="user:2", user_id=2)


@pytest.fixture(autouse=True)
def _assistant(deployed: Template, served: None) -> None:
    agent = CreateAgent(id="assistant", name="Assistant")
    profiles.create(agent, org_id=DEMO_ORG_ID, caller=ADA, backend=current())


def say(message: str, session_id: str | None = None, caller: Caller = ADA) -> Any:
    """Send a message, and return the turn after the agent's answer."""
    body = {"agent_id": "assistant", "message": message, "session_id": session_id}
    answer = call(handlers.handler("chat/send"), rest("POST", f"{HOME}/chat", body=body, caller=caller))
    assert answer.json["status"] == "completed", answer.json
    return answer.json


def listed(query: str = "", caller: Caller = ADA) -> Answer:
    return call(handlers.handler("chat/sessions"), rest("GET", f"{HOME}/chat/sessions?{query}", caller=caller))


def test_a_conversation_has_its_title_its_run_and_its_times() -> None:
    turn = say("  Why does\n\tthe cache grow? ")

    (item,) = listed().json["items"]

    assert item == {
        "session_id": turn["session_id"],
        "agent_id": "assistant",
        "agent_version": 1,
        "run_id": turn["run_id"],
        "title": "Why does the cache grow?",
        "status": "completed",
        "created_at": item["created_at"],
        "updated_at": item["created_at"],
    }


def test_the_latest_message_is_first_and_every_page_continues_the_last(clock: TestClock) -> None:
    turns = []
    for message in ("One", "Two", "Three"):
        turns.append(say(message))
        clock.sleep(1)
    say("And now?", turns[0]["session_id"])

    first = listed("limit=2").json
    second = listed(f"limit=2&cursor={first['next_cursor']}").json

    assert [item["title"] for item in first["items"] + second["items"]] == ["One", "Three", "Two"]
    assert first["items"][0]["updated_at"] > first["items"][0]["created_at"]
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_a_caller_gets_only_the_conversations_that_the_caller_began() -> None:
    own, other = say("Mine"), say("Theirs", caller=LINUS)
    say("I join in.", other["session_id"])

    assert [item["session_id"] for item in listed().json["items"]] == [own["session_id"]]
    assert [item["session_id"] for item in listed(caller=LINUS).json["items"]] == [other["session_id"]]


def test_a_long_first_message_is_shortened_and_its_secrets_are_masked() -> None:
    say("Use ghp_" + "a" * 36 + " and " + "x" * 200)

    (item,) = listed().json["items"]

    assert len(item["title"]) == MAX_TITLE_CHARACTERS
    assert item["title"].endswith("x…")
    assert "ghp_a" not in item["title"]


def test_a_conversation_whose_run_is_not_stored_has_neither_title_nor_status() -> None:
    turn = say("Hello!")
    stored = current().sessions.get(DEMO_ORG_ID, turn["session_id"])
    assert stored
    current().sessions.add(DEMO_ORG_ID, stored.model_copy(update={"id": "chat-1", "agent_run_id": 9}))
    current().sessions.add(DEMO_ORG_ID, stored.model_copy(update={"id": "chat-2", "agent_run_id": None}))

    items = {item["session_id"]: item for item in listed().json["items"]}

    assert [(items[name]["run_id"], items[name]["title"], items[name]["status"]) for name in ("chat-1", "chat-2")] == [
        (9, None, None),
        (None, None, None),
    ]


def test_a_conversation_that_an_earlier_version_stored_appears_with_its_next_message() -> None:
    turn = say("Hello!")
    table = boto3.resource("dynamodb").Table("SessionsTable")
    key = {"pk": f"org#{DEMO_ORG_ID}", "sk": f"session#{turn['session_id']}"}
    table.update_item(Key=key, UpdateExpression="REMOVE caller")
    assert listed().json["items"] == []

    say("And now?", turn["session_id"])

    assert [item["session_id"] for item in listed().json["items"]] == [turn["session_id"]]


def test_the_list_needs_no_call_to_codegen(fake: FakeCodegen) -> None:
    say("Hello!")
    for operation in ("list_agent_runs", "get_agent_run"):
        fake.trouble(operation, Trouble("error", status=500))

    assert [item["title"] for item in listed().json["items"]] == ["Hello!"]


@pytest.mark.parametrize("limit", ["0", "101", "many"])
def test_a_limit_out_of_range_is_refused(limit: str) -> None:
    assert listed(f"limit={limit}").status == 422
