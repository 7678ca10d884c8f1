"""Requests that are generated from the OpenAPI document, alone and in sequences, as every kind of caller.

Whatever is sent: no answer is a failure of ours, each success has the documented form, and each error is a problem.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from codegen_runs.roles import Role
from local.fake_codegen import DEMO_TOKEN, FakeCodegen
from local.stack import Stack
from tests.support.sources import ROOT

pytestmark = pytest.mark.full

DOCUMENT = json.loads((ROOT / "openapi.json").read_text("utf-8"))
OPERATIONS = [f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods]
ANONYMOUS = "anonymous"
SETTINGS = settings(
    max_examples=3,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

Headers = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def schema() -> Any:
    """The document as Schemathesis reads it. Its import takes long, so the quick profile does without."""
    import schemathesis

    return schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: what admins set here, such as budgets, would keep other tests from starting runs."""
    fake = FakeCodegen(pace=0.1, limits={})
    parameters = {"CodegenLimitFactor": "100", "MaxQueuedRunsPerCaller": "21"}
    with Stack(fake=fake, parameters=parameters, log_dir=tmp_path_factory.mktemp("generated")) as stack:
        yield stack


@pytest.fixture(scope="module")
def headers(running: Stack) -> Headers:
    """The headers of each kind of caller."""
    own = {"Authorization": f"Bearer {DEMO_TOKEN}"}

    def token(role: str) -> str:
        made = httpx.post(
            f"{running.api_url}/v1/users/me/api-tokens", headers=own, json={"name": role, "role": role}, timeout=35
        )
        return str(made.json()["token"])

    return {ANONYMOUS: {}, **{role: {"Authorization": f"Bearer {token(role)}"} for role in Role}, "owner": own}


def examine(case: Any, answer: Any) -> None:
    """Check an answer to a generated request."""
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

    if answer.status_code < 400:
        case.validate_response(answer, checks=[content_type_conformance, response_schema_conformance])
        return
    problem = answer.json()
    assert answer.status_code < 500, (case.as_curl_command(), problem)
    assert answer.headers["content-type"] == ["application/problem+json"], case.as_curl_command()
    assert problem["status"] == answer.status_code
    assert {"type", "title", "detail", "code", "request_id"} <= problem.keys()
    # Pydantic's own words, before those of a rule that raises `ValueError`.
    assert "Value error" not in problem["message"]


def without_waiting(case: Any) -> Any:
    """Return the request without the parameters that let an answer take long on purpose."""
    if case.query:
        case.query.pop("wait", None)
    return case


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_breaks_an_operation(running: Stack, headers: Headers, schema: Any, label: str) -> None:
    (operation,) = (each.ok() for each in schema.get_all_operations() if each.ok().label == label)

    @SETTINGS
    @given(operation.as_strategy())
    def send(case: Any) -> None:
        for caller in (ANONYMOUS, *Role):
            sent = without_waiting(case)
            examine(sent, sent.call(base_url=running.api_url, headers=headers[caller], timeout=35))

    send()


def test_no_sequence_of_requests_breaks_the_service(running: Stack, headers: Headers, schema: Any) -> None:
    """Later requests use the ids of earlier answers."""
    machine: Any = schema.as_state_machine()
    answers = []

    class Sequences(machine):
        def before_call(self, case: Any) -> None:
            without_waiting(case)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": running.api_url, "headers": headers["owner"], "timeout": 35}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            answers.append(response.status_code)
            examine(case, response)

    Sequences.run(settings=settings(SETTINGS, max_examples=15, stateful_step_count=8))

    assert sum(status < 300 for status in answers) > len(answers) / 10
