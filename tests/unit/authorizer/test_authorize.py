"""The authorizer, called like the gateway does."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest

from codegen_api import ServerError
from codegen_runs import upstream
from codegen_runs.callers import Caller
from local.authorization import Authorization
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, DEMO_USER_ID, EMPTY_ORG_ID, FakeCodegen, FakeTransport, Trouble
from local.template import Template
from tests.support.events import Context, call, rest
from tests.support.handlers import handler, load

API = "arn:aws:execute-api:us-east-1:123456789012:abcdef/v0"


@pytest.fixture
def authorizer(deployed: Template, fake: FakeCodegen, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
    module = load("authorizer/authorize")
    module.standing.cache_clear()
    with upstream.over(FakeTransport(fake)):
        yield module
    module.standing.cache_clear()


def ask(authorizer: ModuleType, headers: dict[str, str] | None, context: Context | None = None) -> dict[str, Any]:
    event = {
        "type": "REQUEST",
        "methodArn": f"{API}/GET/v1/organizations/{DEMO_ORG_ID}/agent/run/7",
        "resource": "/v1/organizations/{org_id}/agent/run/{agent_run_id}",
        "path": f"/v1/organizations/{DEMO_ORG_ID}/agent/run/7",
        "httpMethod": "GET",
        "headers": headers,
        "requestContext": {"requestId": "1", "stage": "v0", "identity": {"sourceIp": "192.0.2.7"}},
    }
    answer: dict[str, Any] = authorizer.handler(event, context or Context())
    return answer


@pytest.mark.parametrize("headers", [{"Authorization": f"bearer {DEMO_TOKEN}"}, {"x-api-key": DEMO_TOKEN}])
def test_a_caller_is_allowed_every_route_and_passed_to_the_functions(
    authorizer: ModuleType, headers: dict[str, str]
) -> None:
    answer = ask(authorizer, headers)

    authorization = Authorization.model_validate(answer)
    assert authorization.allows(f"{API}/DELETE/v1/organizations/9/starred-runs/7")
    assert not authorization.allows("arn:aws:execute-api:us-east-1:123456789012:another/v0/GET/health")
    assert not authorization.allows("arn:aws:execute-api:us-east-1:123456789012:abcdef/v1/GET/health")
    assert answer["principalId"] == f"user:{DEMO_USER_ID}"
    assert Caller.from_context(authorization.passed_on(), "") == Caller(
        f"user:{DEMO_USER_ID}", DEMO_USER_ID, frozenset({DEMO_ORG_ID, EMPTY_ORG_ID})
    )


def test_no_output_of_the_authorizer_contains_the_token(
    authorizer: ModuleType, deployed: Template, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = ask(authorizer, {"Authorization": f"Bearer {DEMO_TOKEN}"})

    stored = boto3.client("dynamodb").scan(TableName=deployed.tables["CallersTable"].name)["Items"]
    assert len(stored) == 1
    assert all(isinstance(value, str) for value in answer["context"].values())
    assert DEMO_TOKEN not in str(answer) + str(stored) + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "headers",
    [None, {}, {"Authorization": "Bearer nobodys"}, {"Authorization": DEMO_TOKEN}, {"Authorization": "Bearer a b"}],
    ids=["null", "none", "unknown", "no scheme", "malformed"],
)
def test_a_request_without_a_valid_token_is_unauthorized(
    authorizer: ModuleType, headers: dict[str, str] | None
) -> None:
    with pytest.raises(Exception, match=r"^Unauthorized$") as refusal:
        ask(authorizer, headers)

    # The gateway compares the whole message. A cause would be logged, and its frames contain the token.
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_an_outage_of_the_upstream_is_not_answered_as_unauthorized(authorizer: ModuleType, fake: FakeCodegen) -> None:
    fake.troubles.add("*", Trouble("error", status=500), times=None)

    with pytest.raises(ServerError) as failure:
        ask(authorizer, {"Authorization": f"Bearer {DEMO_TOKEN}"})

    assert DEMO_TOKEN not in str(failure.value)


def test_a_stored_caller_is_admitted_while_the_upstream_is_down(authorizer: ModuleType, fake: FakeCodegen) -> None:
    ask(authorizer, {"Authorization": f"Bearer {DEMO_TOKEN}"})
    fake.troubles.add("*", Trouble("error", status=500), times=None)
    authorizer.standing.cache_clear()  # Another process.

    assert ask(authorizer, {"Authorization": f"Bearer {DEMO_TOKEN}"})["principalId"] == f"user:{DEMO_USER_ID}"


def test_the_upstream_is_awaited_no_longer_than_the_function_may_run(authorizer: ModuleType) -> None:
    with pytest.raises(Exception, match="deadline"):
        ask(authorizer, {"Authorization": f"Bearer {DEMO_TOKEN}"}, Context(milliseconds_left=900))


def test_an_address_with_many_refused_tokens_gets_429_with_the_time_to_wait(
    authorizer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUSED_TOKENS_PER_MINUTE", "1")
    with pytest.raises(Exception, match="Unauthorized"):
        ask(authorizer, {"Authorization": "Bearer invalid-1"})
    answer = Authorization.model_validate(ask(authorizer, {"Authorization": "Bearer invalid-2"}))
    event = rest("GET", f"/v1/organizations/{DEMO_ORG_ID}/agent/run/7", caller=None)
    event["requestContext"]["authorizer"] = answer.passed_on()

    refused = call(handler("agent_runs/get"), event)

    assert (refused.status, refused.json["code"]) == (429, "too_many_refused_tokens")
    assert 0 < int(refused.headers["retry-after"]) <= 60
