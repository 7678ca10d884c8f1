"""Whoever may not send a request gets no stored answer to it, wherever the request names its organization."""

from typing import Any

import pytest

from codegen_runs.access.authentication import TABLE_SECONDS
from codegen_runs.access.standing import ROLE_SECONDS
from local.fake_codegen import FakeCodegen
from tests.support.backend import TestClock
from tests.support.loops import current_loop
from tests.unit.access.service import ATTIC, ELSEWHERE, HOME, IDS, LINUS, MARY, ORG, Service

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
RUN = 100001
AGENT: dict[str, Any] = {"id": "replayed", "name": "Replayed"}

# Requests whose path names no organization: it is the deployment's, or is named in the body or in the query.
REQUESTS: list[tuple[str, Any]] = [
    ("/starred-runs", {"agent_run_id": RUN}),
    ("/v1/starred-runs", {"agent_run_id": RUN}),
    ("/api/agents", AGENT),
    (f"/resume_agent_run/{RUN}/Hello", None),
    ("/create_agent_run/ask/Hello", None),
    ("/setup-commands", {"repo_id": 456}),
    ("/v1/setup-commands", {"repo_id": 456, "org_id": ORG}),
    ("/setup-commands", {"repo_id": 456, "org_id": f"0{ORG}"}),
    ("/sandbox/analyze-logs", {"sandbox_id": 31, "org_id": ORG}),
    (f"{HOME}/agent/run", {"prompt": "Hello"}),
]


@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_a_caller_who_became_a_viewer_gets_no_replay(service: Service, clock: TestClock, path: str, body: Any) -> None:
    assert service.send("POST", path, MARY, body, **KEY).status < 300
    assert service.send("POST", path, MARY, body, **KEY).headers["idempotent-replay"] == "true"

    service.give(IDS[MARY], role="viewer")
    clock.sleep(ROLE_SECONDS)
    answer = service.send("POST", path, MARY, body, **KEY)

    assert (answer.status, answer.json["code"]) == (403, "role_required")
    assert "idempotent-replay" not in answer.headers


@pytest.mark.parametrize(("path", "body"), [*REQUESTS, (f"/v1/oauth/tokens/revoke?provider=github&org_id={ORG}", None)])
def test_a_caller_who_left_the_organization_gets_no_replay(
    service: Service, clock: TestClock, fake: FakeCodegen, path: str, body: Any
) -> None:
    assert service.send("POST", path, LINUS, body, **KEY).status < 300
    assert service.send("POST", path, LINUS, body, **KEY).headers["idempotent-replay"] == "true"

    members = fake.organizations[ORG].members
    linus = next(each for each in members if each.id == IDS[LINUS])
    members.remove(linus)
    fake.organizations[ELSEWHERE].members.append(linus)
    clock.sleep(TABLE_SECONDS)
    answer = service.send("POST", path, LINUS, body, **KEY)

    assert (answer.status, answer.json["code"]) == (403, "not_a_member")
    assert "idempotent-replay" not in answer.headers


def test_an_api_token_whose_maker_became_a_viewer_gets_no_replay(service: Service, clock: TestClock) -> None:
    token = service.make_token(MARY)["token"]
    body = {"repo_id": 456}
    assert service.send("POST", "/setup-commands", token, body, **KEY).status == 200

    service.give(IDS[MARY], role="viewer")
    clock.sleep(ROLE_SECONDS)

    assert service.send("POST", "/setup-commands", token, body, **KEY).json["code"] == "role_required"


def test_a_caller_who_became_a_viewer_gets_no_replay_of_a_chat(service: Service, clock: TestClock) -> None:
    service.send("POST", "/api/agents", MARY, AGENT)
    message = {"agent_id": AGENT["id"], "message": "Hello"}
    with current_loop():
        assert service.send("POST", "/api/chat", MARY, message, **KEY).status < 300

        service.give(IDS[MARY], role="viewer")
        clock.sleep(ROLE_SECONDS)
        answer = service.send("POST", "/api/chat", MARY, message, **KEY)

    assert (answer.status, answer.json["code"]) == (403, "role_required")


SAME: list[list[tuple[str, Any]]] = [
    [
        (f"{HOME}/setup-commands/generate", {"repo_id": 456}),
        ("/v1/setup-commands", {"repo_id": 456, "org_id": ORG}),
        ("/setup-commands", {"org_id": str(ORG), "repo_id": 456.0}),
        ("/setup-commands", {"repo_id": 456}),
        ("/setup-commands", {"repo_id": 456, "org_id": None}),
    ],
    [
        (f"{HOME}/sandbox/31/analyze-logs", None),
        ("/v1/sandbox/analyze-logs", {"sandbox_id": 31, "org_id": ORG}),
        ("/sandbox/analyze-logs", {"sandbox_id": "31"}),
    ],
]


@pytest.mark.parametrize("requests", SAME)
def test_a_request_is_the_same_wherever_it_names_its_organization(service: Service, requests: Any) -> None:
    first, *others = (service.send("POST", path, MARY, body, **KEY) for path, body in requests)

    assert first.status == 200
    assert [(each.text, each.headers["idempotent-replay"]) for each in others] == [(first.text, "true")] * len(others)


def test_one_key_in_two_organizations_is_two_requests(service: Service, fake: FakeCodegen) -> None:
    here, there = ({"repo_id": 456, "org_id": org_id} for org_id in (ORG, ATTIC))
    mary = next(member for member in fake.organizations[ORG].members if member.id == IDS[MARY])
    fake.organizations[ATTIC].members.append(mary)

    first = service.send("POST", "/setup-commands", MARY, here, **KEY)
    second = service.send("POST", "/setup-commands", MARY, there, **KEY)

    assert first.status == 200
    assert second.status == 404, "The other organization has no such repository."


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/setup-commands", {"repo_id": 456, "org_id": "mine"}, "body/org_id"),
        ("/setup-commands", {"repo_id": 456, "org_id": 1.5}, "body/org_id"),
        ("/sandbox/analyze-logs", {"sandbox_id": 31, "org_id": [ORG]}, "body/org_id"),
        ("/v1/stream-tickets", {"agent_run_id": RUN, "organization_id": {}}, "body/organization_id"),
        ("/v1/slack-connect/generate-token", {}, "body/org_id"),
        ("/v1/oauth/tokens/revoke?provider=github", None, "query/org_id"),
        ("/v1/oauth/tokens/revoke?provider=github&org_id=mine", None, "query/org_id"),
    ],
)
def test_an_organization_that_cannot_be_read_is_refused_with_a_pointer(
    service: Service, path: str, body: Any, pointer: str
) -> None:
    answer = service.send("POST", path, MARY, body, **KEY)

    assert answer.status == 422, answer.text
    assert pointer in answer.json["errors"][0]["pointer"]


def test_the_organization_that_is_checked_is_the_one_that_is_used(service: Service) -> None:
    for query in (f"org_id={ORG}&org_id={ELSEWHERE}", f"org_id={ELSEWHERE}&org_id={ORG}"):
        assert service.send("GET", f"/v1/oauth/tokens/status?{query}", MARY).status in (403, 422)

    body = f'{{"repo_id": 456, "org_id": {ORG}, "org_id": {ELSEWHERE}}}'
    assert service.send("POST", "/setup-commands", MARY, body).json["code"] == "not_a_member"
