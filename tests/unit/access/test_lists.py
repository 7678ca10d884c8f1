"""Lists with cursors: a cursor is valid for one caller and one list; everything else is a 400."""

import base64
import hashlib
import json
from collections.abc import Callable

import pytest

from codegen_runs.storage.webhook_endpoints import Delivery, Endpoint, WebhookEndpointsTable
from local.template import Template
from tests.support.backend import create_state_machine
from tests.support.loops import current_loop
from tests.support.sources import ROOT
from tests.unit.access.service import ADA, ATTIC, HOME, IDS, LINUS, MARY, ORG, TOKENS, Service

RUN = 100001
DOCUMENT = json.loads((ROOT / "openapi.json").read_text("utf-8"))
LISTS = sorted(
    path
    for path, operations in DOCUMENT["paths"].items()
    if any(parameter.get("name") == "cursor" for parameter in operations.get("get", {}).get("parameters", []))
)
"""The paths of the document with a cursor. Each needs entries, in `FILLED`."""


def a_run_with_checkpoints(service: Service) -> None:
    for label in ("One", "Two"):
        service.send("POST", f"{HOME}/agent/run/{RUN}/checkpoints", MARY, {"label": label})


def agents(service: Service) -> None:
    for name in ("One", "Two"):
        service.send("POST", f"{HOME}/agents", MARY, {"name": name, "tags": ["team"]})


def versions(service: Service) -> None:
    service.send("POST", f"{HOME}/agents", MARY, {"id": "reviewer", "name": "Reviewer"})
    service.send("PATCH", f"{HOME}/agents/reviewer", MARY, {"name": "Better"})


def multi_runs(service: Service) -> None:
    for _ in range(2):
        service.send("POST", f"{HOME}/multi-runs", MARY, {"prompt": "x", "concurrency": 2})


def stars(service: Service) -> None:
    for token in (MARY, LINUS):
        for run_id in (RUN, RUN + 1):
            service.send("POST", f"{HOME}/starred-runs", token, {"agent_run_id": run_id})


def conversations(service: Service) -> None:
    service.send("POST", f"{HOME}/agents", MARY, {"id": "reviewer", "name": "Reviewer"})
    with current_loop():
        for _ in range(2):
            service.send("POST", f"{HOME}/chat", MARY, {"agent_id": "reviewer", "message": "Hello!"})


def tokens(service: Service) -> None:
    for maker in (MARY, LINUS):
        for _ in range(2):
            service.make_token(maker)


def audit_entries(service: Service) -> None:
    """Make them admins, who alone read the audit trail. Both acts are in it."""
    for token in (MARY, LINUS):
        service.give(IDS[token], role="admin")


ENDPOINT = "we-00000000000000a1"


def deliveries(_service: Service) -> None:
    table = WebhookEndpointsTable("WebhookEndpointsTable")
    for number in (1, 2):
        delivery = Delivery(
            org_id=ORG, endpoint_id=ENDPOINT, id=f"msg_{number}", type="run.failed", created_at=number, body="{}"
        )
        table.add_delivery(delivery)


# For each list: a request for it, and how it gets two entries.
FILLED: dict[str, tuple[str, Callable[[Service], None] | None]] = {
    "/v1/organizations/{org_id}/agent/run/{agent_run_id}/checkpoints": (
        f"{HOME}/agent/run/{RUN}/checkpoints",
        a_run_with_checkpoints,
    ),
    "/v1/organizations/{org_id}/agents": (f"{HOME}/agents", agents),
    "/v1/organizations/{org_id}/agents/{agent_id}/versions": (f"{HOME}/agents/reviewer/versions", versions),
    "/v1/organizations/{org_id}/audit": (f"{HOME}/audit", audit_entries),
    "/v1/organizations/{org_id}/chat/sessions": (f"{HOME}/chat/sessions", conversations),
    "/v1/organizations/{org_id}/members": (f"{HOME}/members", None),
    "/v1/organizations/{org_id}/multi-runs": (f"{HOME}/multi-runs", multi_runs),
    "/v1/organizations/{org_id}/starred-runs": (f"{HOME}/starred-runs", stars),
    "/v1/organizations/{org_id}/webhook-endpoints/{endpoint_id}/deliveries": (
        f"{HOME}/webhook-endpoints/{ENDPOINT}/deliveries",
        deliveries,
    ),
    "/v1/users/me/api-tokens": (TOKENS, tokens),
}


@pytest.fixture(autouse=True)
def endpoint(service: Service) -> None:
    """The endpoint whose deliveries are listed."""
    fields = {"url": "https://hooks.example.com/", "secret": "whsec_none", "created_by": "user:1"}
    endpoint = Endpoint(org_id=ORG, id=ENDPOINT, created_at=1, updated_at=1, **fields)
    WebhookEndpointsTable("WebhookEndpointsTable").add(endpoint)


@pytest.fixture(autouse=True)
def machine(service: Service, deployed: Template) -> None:
    create_state_machine(deployed)


def hashed(content: bytes, *scope: object) -> str:
    """Return a cursor as it was before cursors had a key: with a hash that anyone can compute."""
    digest = hashlib.sha256(repr(scope).encode()).digest()[:8]
    return base64.urlsafe_b64encode(digest + content).decode().rstrip("=")


FORGED = [
    "nonsense",
    "A",
    "%00",
    "%F0%9F%90%99",
    "x" * 5000,
    base64.urlsafe_b64encode(bytes(16) + b"12").decode(),
    *(
        hashed(content, *scope)
        for content in (b"", b"{}", b"-1", b"99999999999999999999", b"no place", b"\xff")
        for scope in (
            ("agents", ORG, None),
            ("agent-versions", ORG, "reviewer"),
            ("chat-sessions", ORG),
            ("checkpoints", ORG, str(RUN)),
            ("members", ORG),
            ("multi-runs", ORG),
            ("starred-runs", ORG, "user:792"),
            ("api-tokens", 792),
        )
    ),
]


def test_every_list_of_the_document_is_tested() -> None:
    assert list(FILLED) == LISTS


@pytest.mark.parametrize("name", LISTS)
def test_a_forged_cursor_is_refused(service: Service, name: str) -> None:
    path, fill = FILLED[name]
    if fill:
        fill(service)
    answers = [service.send("GET", f"{path}?cursor={cursor}", MARY) for cursor in FORGED]

    assert {(answer.status, answer.json["code"]) for answer in answers} == {(400, "invalid_cursor")}


@pytest.mark.parametrize("name", LISTS)
def test_a_cursor_is_valid_for_its_caller_only(service: Service, name: str) -> None:
    path, fill = FILLED[name]
    if fill:
        fill(service)
    first = service.send("GET", f"{path}?limit=1", MARY).json
    following = f"{path}?limit=1&cursor={first['next_cursor']}"

    own, other = service.send("GET", following, MARY), service.send("GET", following, LINUS)

    assert own.status == 200, own.text
    assert own.json["items"]
    assert own.json["items"] != first["items"]
    assert (other.status, other.json["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("name", LISTS)
def test_a_cursor_of_one_list_is_refused_by_the_others(service: Service, name: str) -> None:
    audit_entries(service)  # Only an admin may send a cursor to that list.
    path, fill = FILLED[name]
    if fill:
        fill(service)
    cursor = service.send("GET", f"{path}?limit=1", MARY).json["next_cursor"]
    others = [f"{other}?cursor={cursor}" for other, _ in FILLED.values() if other != path]
    others += [f"{HOME}/agents?tag=team&cursor={cursor}", f"/v1/organizations/{ATTIC}/agents?cursor={cursor}"]

    answers = [service.send("GET", other, ADA if str(ATTIC) in other else MARY) for other in others]

    assert {(answer.status, answer.json["code"]) for answer in answers} == {(400, "invalid_cursor")}


def test_a_cursor_is_valid_with_each_token_of_its_caller(service: Service) -> None:
    agents(service)
    cursor = service.send("GET", f"{HOME}/agents?limit=1", MARY).json["next_cursor"]
    token = service.make_token(MARY, role="viewer")["token"]

    assert service.send("GET", f"{HOME}/agents?cursor={cursor}", token).status == 200


@pytest.mark.parametrize(
    "after", ["x", "0-", "-1-1", "1--1", "0-99999999999", "\u0660-1", "0-1~\u00e9", "0-99", "9" * 500]
)
def test_the_place_in_an_event_log_is_valid_for_every_viewer_of_the_run(service: Service, after: str) -> None:
    """An event has one id for all viewers, so its id is no secret and needs no key: the run is authorized each time."""
    events = f"{HOME}/agent/run/{RUN}/events"
    place = service.send("GET", events, MARY).json["next_cursor"]

    refused = service.send("GET", f"{events}?after={after}", MARY)

    assert service.send("GET", f"{events}?after={place}", LINUS).status == 200
    assert (refused.status, refused.json["code"]) == (400, "invalid_cursor")
