"""From a token to a ticket, and from a ticket into one stream."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.storage.multi_runs import MultiRun, MultiRunsTable, SynthesisOptions
from local.authorization import Authorization
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, DEMO_USER_ID
from local.template import Template
from tests.support import handlers
from tests.support.backend import Kicks, TestClock
from tests.support.events import Answer, Context, call, current, invoke, rest, working_with
from tests.support.viewers import ADA, stream_event

API = "arn:aws:execute-api:us-east-1:123456789012:abcdef/v0"
RESOURCE = "/v1/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream"

MULTI_RUN = "/v1/organizations/{org_id}/multi-runs/{multi_run_id}/logs/stream"


@pytest.fixture(autouse=True)
def authorizer(deployed: Template, transport: httpx.BaseTransport, clock: TestClock) -> Iterator[ModuleType]:
    with upstream.over(transport), working_with(Backend(clock=clock, kick=Kicks())):
        yield handlers.load("authorizer/authorize")


@pytest.fixture
def run_id(codegen: CodegenAPI) -> int:
    return codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID).id


def ask(body: Any, caller: Caller = ADA) -> Answer:
    return call(handlers.handler("live/create_ticket"), rest("POST", "/v1/stream-tickets", body=body, caller=caller))


def show(
    authorizer: ModuleType,
    ticket: str | None,
    agent_run_id: Any,
    *,
    last_id: str | None = None,
    resource: str = RESOURCE,
    headers: dict[str, str] | None = None,
    method: str = "GET",
    org_id: str = str(DEMO_ORG_ID),
    base_path: str = "",
) -> Authorization:
    """Have the authorizer judge a request that shows a ticket; "Unauthorized" is raised, as to the gateway."""
    path = resource.format(org_id=org_id, agent_run_id=agent_run_id)
    event = {
        "type": "REQUEST",
        "methodArn": f"{API}/{method}{path}",
        "resource": resource,
        "path": base_path + path,
        "httpMethod": method,
        "headers": (headers or {}) | ({"Last-Event-ID": last_id} if last_id else {}),
        "pathParameters": {"org_id": org_id, "agent_run_id": str(agent_run_id)},
        "queryStringParameters": {"ticket": ticket} if ticket else {},
        "requestContext": {"requestId": "1", "stage": "v0"},
    }
    answer: dict[str, Any] = invoke(authorizer.handler, event, Context())
    return Authorization.model_validate(answer)


def show_multi_run(authorizer: ModuleType, ticket: str, multi_run_id: str) -> Authorization:
    """Have the authorizer judge a request for the stream of a multi-run."""
    place = {"org_id": str(DEMO_ORG_ID), "multi_run_id": multi_run_id}
    event = {
        "type": "REQUEST",
        "methodArn": f"{API}/GET{MULTI_RUN.format(**place)}",
        "resource": MULTI_RUN,
        "path": MULTI_RUN.format(**place),
        "httpMethod": "GET",
        "headers": {},
        "pathParameters": place,
        "queryStringParameters": {"ticket": ticket},
        "requestContext": {"requestId": "1", "stage": "v0"},
    }
    answer: dict[str, Any] = invoke(authorizer.handler, event, Context())
    return Authorization.model_validate(answer)


def arn(agent_run_id: Any) -> str:
    return f"{API}/GET" + RESOURCE.format(org_id=DEMO_ORG_ID, agent_run_id=agent_run_id)


def test_a_ticket_names_the_stream_below_the_base_path(run_id: int) -> None:
    asked = rest("POST", "/v1/stream-tickets", body={"agent_run_id": run_id}, caller=ADA, base_path="/codegen")
    at_stage = rest("POST", "/v1/stream-tickets", body={"agent_run_id": run_id}, caller=ADA, stage_path="/v0")
    create = handlers.handler("live/create_ticket")
    stream = f"/v1/organizations/{DEMO_ORG_ID}/agent/run/{run_id}/logs/stream"

    assert call(create, asked).json["stream_path"] == f"/codegen{stream}"
    assert call(create, at_stage).json["stream_path"] == f"/v0{stream}"


def test_a_caller_gets_a_ticket_and_the_run_is_followed_from_then_on(run_id: int) -> None:
    answer = ask({"agent_run_id": run_id, "organization_id": DEMO_ORG_ID, "color": "blue"})

    assert answer.status == 201
    assert answer.json["expires_in"] == 60
    assert answer.json["stream_path"] == f"/v1/organizations/{DEMO_ORG_ID}/agent/run/{run_id}/logs/stream"
    assert [warning["pointer"] for warning in answer.json["warnings"]] == ["/color"]
    assert current().runs.find(DEMO_ORG_ID, run_id) is not None


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_a_request_that_opens_no_stream_does_not_use_up_the_ticket(
    authorizer: ModuleType, run_id: int, method: str
) -> None:
    ticket = ask({"agent_run_id": run_id}).json["ticket"]

    with pytest.raises(Exception, match="Unauthorized"):
        show(authorizer, ticket, run_id, method=method)

    assert show(authorizer, ticket, run_id).allows(arn(run_id))


def test_a_ticket_for_a_multi_run_opens_no_stream_of_a_run(
    authorizer: ModuleType, deployed: Template, run_id: int
) -> None:
    multi_run = MultiRun(
        org_id=DEMO_ORG_ID, id="mr-1", prompt="x", candidates=[], created_by="user:1", created_at=0, deadline_at=0,
        strategy="none", quorum=1, candidate_timeout_s=60, synthesis=SynthesisOptions(),
    )  # fmt: skip
    MultiRunsTable(deployed.tables["MultiRunsTable"].name).add(multi_run)
    answer = ask({"multi_run_id": "mr-1"})

    assert (answer.status, answer.json["multi_run_id"]) == (201, "mr-1")
    assert show(authorizer, answer.json["ticket"], run_id).passed_on()["refused"] == "ticket_for_another"
    assert show_multi_run(authorizer, answer.json["ticket"], "mr-2").passed_on()["refused"] == "ticket_for_another"
    run_ticket = ask({"agent_run_id": run_id}).json["ticket"]
    assert show_multi_run(authorizer, run_ticket, "mr-1").passed_on()["refused"] == "ticket_for_another"
    assert answer.json["stream_path"] == MULTI_RUN.format(org_id=DEMO_ORG_ID, multi_run_id="mr-1")
    admitted = show_multi_run(authorizer, answer.json["ticket"], "mr-1")
    assert admitted.allows(f"{API}/GET{answer.json['stream_path']}")
    assert admitted.passed_on()["stream_key"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "validation_failed"),
        ({"agent_run_id": 1, "multi_run_id": "mr-1"}, 422, "validation_failed"),
        ({"agent_run_id": "abc"}, 422, "validation_failed"),
        ({"agent_run_id": 99_999_999}, 404, "not_found"),
        ({"multi_run_id": "mr-nobody-has"}, 404, "multi_run_not_found"),
        ({"agent_run_id": 1, "organization_id": 125}, 403, "not_a_member"),
    ],
)
def test_a_caller_without_access_gets_no_ticket(body: Any, status: int, code: str) -> None:
    answer = ask(body)

    assert (answer.status, answer.json["code"]) == (status, code)


def test_a_ticket_opens_its_own_stream_and_nothing_else(authorizer: ModuleType, run_id: int) -> None:
    authorization = show(authorizer, ask({"agent_run_id": run_id}).json["ticket"], run_id)

    assert authorization.allows(arn(run_id))
    assert not authorization.allows(arn(run_id + 1))
    assert not authorization.allows(f"{API}/GET/v1/organizations/{DEMO_ORG_ID}/agent/runs")
    caller = Caller.from_context(authorization.passed_on(), "")
    assert caller == Caller(f"user:{DEMO_USER_ID}", DEMO_USER_ID, frozenset({DEMO_ORG_ID}))


def test_a_used_ticket_is_refused_and_its_stream_key_resumes_the_stream(authorizer: ModuleType, run_id: int) -> None:
    ticket = ask({"agent_run_id": run_id}).json["ticket"]
    key = show(authorizer, ticket, run_id).passed_on()["stream_key"]

    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        show(authorizer, ticket, run_id)
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        show(authorizer, ticket, run_id, last_id="0-4")
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        show(authorizer, ticket, run_id, last_id="0-4~a-guess")
    for _ in range(3):
        again = show(authorizer, ticket, run_id, last_id=f"0-4~{key}")
        assert again.allows(arn(run_id))
        assert again.passed_on()["stream_key"] == key
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        show(authorizer, ticket, run_id + 1, last_id=f"0-4~{key}")


@pytest.mark.parametrize("org_id", ["777", "124"])
@pytest.mark.parametrize("base_path", ["", f"/v1/organizations/{DEMO_ORG_ID}"])
def test_a_ticket_opens_no_stream_of_another_organization(
    authorizer: ModuleType, run_id: int, org_id: str, base_path: str
) -> None:
    ticket = ask({"agent_run_id": run_id}).json["ticket"]

    refusal = show(authorizer, ticket, run_id, org_id=org_id, base_path=base_path)

    assert refusal.passed_on()["refused"] == "ticket_for_another"
    assert "caller_id" not in refusal.passed_on()
    assert show(authorizer, ticket, run_id, base_path=base_path).allows(arn(run_id))


@pytest.mark.parametrize("org_id", ["", "+123", "1_2_3", "\u0661\u0662\u0663", "123/"])
def test_a_ticket_opens_no_stream_whose_organization_cannot_be_read(
    authorizer: ModuleType, run_id: int, org_id: str
) -> None:
    ticket = ask({"agent_run_id": run_id}).json["ticket"]

    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        show(authorizer, ticket, run_id, org_id=org_id)


def test_a_ticket_for_another_run_is_refused_and_stays_valid(authorizer: ModuleType, run_id: int) -> None:
    ticket = ask({"agent_run_id": run_id}).json["ticket"]

    refused = show(authorizer, ticket, run_id + 1)
    event = stream_event(run_id + 1)
    event["requestContext"]["authorizer"] = refused.passed_on()
    answer = call(handlers.handler("live/stream"), event)

    assert (answer.status, answer.json["code"]) == (403, "ticket_for_another")
    assert show(authorizer, ticket, run_id).allows(arn(run_id))


def test_a_ticket_is_refused_when_its_minute_is_over(authorizer: ModuleType, run_id: int, clock: TestClock) -> None:
    ticket = ask({"agent_run_id": run_id}).json["ticket"]
    clock.sleep(61)

    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        show(authorizer, ticket, run_id)


@pytest.mark.parametrize("resource", ["/v1/organizations/{org_id}/agent/run/{agent_run_id}/logs", "/v1/stream-tickets"])
def test_a_ticket_has_no_effect_at_any_other_route(authorizer: ModuleType, run_id: int, resource: str) -> None:
    ticket = ask({"agent_run_id": run_id}).json["ticket"]

    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        show(authorizer, ticket, run_id, resource=resource)
    assert show(authorizer, ticket, run_id).allows(arn(run_id))  # it was not used


def test_a_token_needs_no_ticket_and_uses_none(authorizer: ModuleType, run_id: int) -> None:
    ticket = ask({"agent_run_id": run_id}).json["ticket"]
    by_token = show(authorizer, ticket, run_id, headers={"Authorization": f"Bearer {DEMO_TOKEN}"})

    assert by_token.allows(f"{API}/GET/v1/organizations/{DEMO_ORG_ID}/agent/runs")
    assert show(authorizer, ticket, run_id).allows(arn(run_id))


@pytest.mark.parametrize("agent_run_id", ["abc", "7/../8"])
def test_a_ticket_for_an_invalid_run_id_is_refused(authorizer: ModuleType, agent_run_id: str) -> None:
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        show(authorizer, "a-ticket", agent_run_id)


def test_no_ticket_is_logged(
    authorizer: ModuleType, run_id: int, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ticket = ask({"agent_run_id": run_id}).json["ticket"]
    key = show(authorizer, ticket, run_id).passed_on()["stream_key"]
    event = rest("GET", f"/v1/organizations/{DEMO_ORG_ID}/agent/run/{run_id}/logs/stream?ticket={ticket}&after=x")
    event["requestContext"]["authorizer"]["stream_key"] = key
    event["pathParameters"] = {"org_id": str(DEMO_ORG_ID), "agent_run_id": str(run_id)}
    handlers.handler("live/stream")(event, Context())
    logged = str([vars(record) for record in caplog.records]) + capsys.readouterr().out

    assert "/logs/stream" in logged
    assert not any(secret in logged for secret in (ticket, key))
