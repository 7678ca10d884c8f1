"""What the OpenAPI document says about a parameter is what the operation enforces."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent
from codegen_runs.backend import Backend
from codegen_runs.storage.multi_runs import MultiRun, SynthesisOptions
from local import openapi
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, FakeTransport
from local.template import Template
from tests.support.backend import Kicks, TestClock
from tests.support.events import Answer, current, working_with
from tests.support.loops import current_loop
from tests.support.viewers import ADA
from tests.unit.access.service import ADA as TOKEN
from tests.unit.access.service import Service

DOCUMENT = json.loads(openapi.DOCUMENT.read_text("utf-8"))
REFUSED = {400, 401, 412, 422}
NOT_FOUND = {
    ("path", "token_id"): 404,
    ("path", "agent_id"): 404,
    ("path", "checkpoint_id"): 404,
    ("path", "doorbell"): 404,
    ("query", "org_id"): 403,
}
NOT_FOUND |= {("path", "version"): 404, ("path", "file"): 404}
"""Parameters whose other values are answered like ids that do not exist."""
ODD = ["", " ", "-", "a b", "1.5", "yesterday", "\u00e9", "\u0661", "a/b", "~", "a\n", "x" * 1001, '"']
"""Values, at least one of which each pattern excludes."""


def parameters(operation: Any) -> Iterator[Any]:
    """Yield the parameters of an operation."""
    for parameter in operation.get("parameters", ()):
        name = parameter.get("$ref", "").rpartition("/")[2]
        yield DOCUMENT["components"]["parameters"][name] if name else parameter


def excluded(schema: Any) -> list[str]:
    """Return values that a schema excludes; none if it accepts every text."""
    match schema:
        case {"items": items}:
            return excluded(items)
        case {"enum": _}:
            return ["other", ""]
        case {"pattern": pattern}:
            return [value for value in ODD if not re.search(pattern.replace("$", r"\Z"), value)]
        case {"type": "integer" | "number"}:
            bounds = [schema[name] + step for name, step in (("minimum", -1), ("maximum", 1)) if name in schema]
            return [*(str(bound) for bound in bounds), "many", "1.5.1"]
        case {"type": "boolean"}:
            return ["perhaps"]
        case {"format": "date-time"} | {"anyOf": _}:
            return ["yesterday", "2026-13-01"]
        case {"maxLength": most}:
            return ["x" * (most + 1)]
        case _:
            return []


CASES = [
    (f"{method.upper()} {path}", parameter, value)
    for path, method, operation in openapi.operations(DOCUMENT)
    for parameter in parameters(operation)
    for value in excluded(parameter["schema"])
    # An empty text, or one with a slash, is no parameter of a path. Headers are trimmed, and cannot have a line end.
    if not (parameter["in"] == "path" and (value in ("", " ") or "/" in value))
    if not (parameter["in"] == "header" and (value != value.strip() or not value.isascii()))
]


@pytest.fixture
def service(
    deployed: Template, fake: FakeCodegen, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The API, with an agent, a run and a multi-run."""
    fake.limiter.limits = {}
    work = Backend(clock=clock, kick=Kicks())
    with upstream.over(FakeTransport(fake)), working_with(work), current_loop():
        yield Service(deployed)


@pytest.fixture
def ids(service: Service, codegen: CodegenAPI) -> dict[str, str]:
    """The ids in paths."""
    profiles.create(CreateAgent(id="assistant", name="Assistant"), org_id=DEMO_ORG_ID, caller=ADA, backend=current())
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    multi_run = MultiRun(
        org_id=DEMO_ORG_ID, id="mr-1", prompt="x", candidates=[], created_by="user:1", created_at=0, deadline_at=0,
        strategy="none", quorum=1, candidate_timeout_s=60, synthesis=SynthesisOptions(),
    )  # fmt: skip
    current().multi_runs.add(multi_run)
    url = {"url": "https://hooks.example.com/runs"}
    endpoint = service.send("POST", f"/v1/organizations/{DEMO_ORG_ID}/webhook-endpoints", TOKEN, url).json
    return {
        "agent_id": "assistant",
        "agent_run_id": str(run.id),
        "multi_run_id": multi_run.id,
        "endpoint_id": endpoint["id"],
    }


def send(service: Service, route: str, parameter: Any, value: str, ids: dict[str, str]) -> Answer:
    """Send the request of the document, with another value of one parameter."""
    method, path = route.split()
    operation = DOCUMENT["paths"][path][method.lower()]
    known = {each["name"]: ids.get(each["name"], str(each.get("example", ""))) for each in parameters(operation)}
    known |= {"repo_id": known.get("repo_id") or "1", "org_id": "123", "provider": "linear"} | {
        parameter["name"]: value
    }
    query = {
        each["name"]: known[each["name"]]
        for each in parameters(operation)
        if each["in"] == "query" and (each.get("required") or each is parameter)
    }
    sent = "&".join(f"{name}={quote(each, safe='')}" for name, each in query.items())
    path = re.sub(r"{(\w+)}", lambda name: quote(known[name[1]], safe=""), path) + (f"?{sent}" if sent else "")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    headers = {parameter["name"]: value} if parameter["in"] == "header" else {}
    token = "" if parameter["name"] == "ticket" else TOKEN
    return service.send(method, path, token, body, **headers)


FORMS = list({(each[1]["name"], json.dumps(each[1]["schema"])): each for each in CASES}.values())
"""One case for each form that a parameter has somewhere."""


@pytest.mark.parametrize("cases", [FORMS, pytest.param(CASES, marks=pytest.mark.full)], ids=["forms", "all"])
def test_a_value_that_the_document_excludes_is_refused(
    cases: list[Any], service: Service, ids: dict[str, str], subtests: pytest.Subtests
) -> None:
    for route, parameter, value in cases:
        with subtests.test(f"{route} {parameter['name']}={value[:20]!r}"):
            answer = send(service, route, parameter, value, ids)

            expected = REFUSED | {NOT_FOUND.get((parameter["in"], parameter["name"]), 422)}
            assert answer.status in expected, answer.text
            # API Gateway answers for the authorizer.
            assert answer.status == 401 or answer.headers["content-type"] == "application/problem+json"


def test_every_parameter_declares_its_form() -> None:
    without = {
        parameter["name"]
        for _, _, operation in openapi.operations(DOCUMENT)
        for parameter in parameters(operation)
        if not excluded(parameter["schema"])
    }

    assert without == {"If-None-Match"}  # What is no ETag is the ETag of no answer.


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *((f"agent/run/{action}", {"agent_run_id": -1}) for action in ("ban", "unban", "remove-from-pr")),
        ("agent/run/resume", {"agent_run_id": -1, "prompt": "And now?"}),
        ("setup-commands/generate", {"repo_id": -1}),
        ("starred-runs", {"agent_run_id": -1}),
    ],
)
def test_an_id_in_a_body_that_cannot_exist_is_refused(path: str, body: Any, service: Service) -> None:
    for value in (-1, 2**53):
        answer = service.send("POST", f"/v1/organizations/123/{path}", TOKEN, {**body, next(iter(body)): value})

        assert (answer.status, answer.json["code"]) == (422, "validation_failed")
