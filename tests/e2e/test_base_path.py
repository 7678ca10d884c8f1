"""The API behind a custom domain with a base path."""

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack

HOME = f"/v1/organizations/{DEMO_ORG_ID}"
BEARER = {"Authorization": f"Bearer {DEMO_TOKEN}"}


@pytest.fixture(scope="module")
def run_id(http: httpx.Client) -> int:
    run: int = http.post(f"{HOME}/agent/run", json={"prompt": "Say hello."}).raise_for_status().json()["id"]
    return run


@pytest.mark.parametrize("prefix", ["/v1", ""])
@pytest.mark.parametrize(("org_id", "status"), [("777", 403), ("%37%37%37", 403), ("abc", 422), ("+777", 422)])
def test_the_stream_of_another_organization_is_refused(
    prefix: str, org_id: str, status: int, http: httpx.Client, run_id: int
) -> None:
    answer = http.get(f"{prefix}/organizations/{org_id}/agent/run/{run_id}/logs/stream")

    assert answer.status_code == status
    assert "run_snapshot" not in answer.text


def test_a_ticket_opens_the_stream_that_it_names(stack: Stack, http: httpx.Client, run_id: int) -> None:
    issued = http.post("/v1/stream-tickets", json={"agent_run_id": run_id})
    ticket = issued.json()

    url = issued.url.join(ticket["stream_path"])
    answer = httpx.get(url, params={"ticket": ticket["ticket"]}, timeout=35, trust_env=False)

    assert str(url).startswith(f"{stack.api_url}/v1/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_a_location_leads_to_what_was_created(http: httpx.Client) -> None:
    created = http.post(f"{HOME}/agents", json={"name": "Below a base path"})

    found = http.get(created.url.join(created.headers["location"]))

    assert (found.status_code, found.json()["id"]) == (200, created.json()["id"])


def test_the_document_and_its_page_name_the_api_below_the_base_path(stack: Stack, http: httpx.Client) -> None:
    document, page = http.get("/openapi.json"), http.get("/docs")
    (server,) = document.json()["servers"]

    assert str(document.url.join(server["url"])) == f"{stack.api_url}/"
    assert http.get(page.url.join("docs?asset=swagger.js")).status_code == 200


def test_the_domain_refuses_a_path_outside_of_the_base_path(stack: Stack) -> None:
    elsewhere = stack.api_url.removesuffix("/codegen") + HOME

    assert httpx.get(f"{elsewhere}/agents", headers=BEARER, trust_env=False).status_code == 403
