"""Requests that Schemathesis generates from openapi.json, sent to the running system by each kind of caller.

No request may make the system fail, every answer has a documented status, media type and body, and so every error is a
problem. The stack of these tests is their own, because the requests change roles, agents and settings.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from local import openapi
from local.fake_codegen import DEMO_TOKEN, FakeCodegen
from local.stack import Stack

ORG = "/v1/organizations/123"
DOCUMENT = json.loads(openapi.DOCUMENT.read_text("utf-8"))
OPERATIONS = [f"{method.upper()} {path}" for path, method, _ in openapi.operations(DOCUMENT)]
REQUESTS = {"valid": 4, "invalid": 4}
"""How many requests of each kind are sent to each operation."""

# A caller without a Codegen token may not use these, and the roles in them would change those of the callers here.
_EXCLUDED = {"PATCH /v1/organizations/{org_id}/users/{user_id}"}

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with streams in pages, so that each answer ends."""
    parameters = {"CodegenLimitFactor": "100", "ConnectionsPerCaller": "1000", "StreamsPerCaller": "1000"}
    fake = FakeCodegen(pace=0.05, limits={})
    with Stack(fake=fake, parameters=parameters, log_dir=tmp_path_factory.mktemp("generated")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    with httpx.Client(base_url=stack.api_url, headers=headers, timeout=35) as client:
        yield client


@pytest.fixture(scope="module")
def callers(admin: httpx.Client) -> dict[str, dict[str, str]]:
    """The headers of each kind of caller."""
    tokens = {
        role: admin.post("/v1/users/me/api-tokens", json={"name": role, "role": role}).json()["token"]
        for role in ("viewer", "member")
    }
    return {"anonymous": {}} | {
        name: {"Authorization": f"Bearer {token}"} for name, token in {**tokens, "admin": DEMO_TOKEN}.items()
    }


@pytest.fixture(scope="module")
def operations(admin: httpx.Client) -> dict[str, Any]:
    """The operations by name. Their ids are those of what the stack has."""
    # Imported here, because only these tests need it, and it takes a second.
    import schemathesis

    admin.post(f"{ORG}/agents", json={"id": "assistant", "name": "Assistant"})
    run = admin.post(f"{ORG}/agent/run", json={"prompt": "Say hello."}).json()["id"]
    multi_run = admin.post(f"{ORG}/multi-runs", json={"prompt": "Say hello.", "concurrency": 2}).json()["id"]
    events = admin.get(f"{ORG}/agent/run/{run}/events", params={"wait": 20}).json()
    assert events["items"]
    known = {
        "org_id": [123],
        "agent_run_id": [run, 100_001],
        "multi_run_id": [multi_run],
        "agent_id": ["assistant"],
        "checkpoint_id": [admin.get(f"{ORG}/agent/run/{run}/checkpoints").json()["items"][0]["id"]],
        "user_id": [789],
    }
    document = copy.deepcopy(DOCUMENT)
    for _, _, operation in openapi.operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "path" and parameter["name"] in known:
                kind = parameter["schema"]["type"]
                parameter["schema"] = {
                    "type": kind,
                    "enum": [str(each) if kind == "string" else each for each in known[parameter["name"]]],
                }
    loaded = schemathesis.openapi.from_dict(document)
    return {found.label: found for found in (each.ok() for each in loaded.get_all_operations())}


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - _EXCLUDED))
def test_generated_requests_are_answered_as_documented(
    name: str, kind: str, stack: Stack, operations: dict[str, Any], callers: dict[str, dict[str, str]]
) -> None:
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    mode = GenerationMode.POSITIVE if kind == "valid" else GenerationMode.NEGATIVE
    checked = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]

    @settings(
        max_examples=REQUESTS[kind], database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(case=operations[name].as_strategy(generation_mode=mode), caller=st.sampled_from(sorted(callers)))
    def send(case: Any, caller: str) -> None:
        response = case.call(base_url=stack.api_url, headers=callers[caller], timeout=40)
        case.validate_response(response, checks=checked)

    send()
