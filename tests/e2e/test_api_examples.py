"""Every exchange on docs/api.md, sent in the page's order to the whole system."""

from typing import Any

import httpx
import pytest

from local.exchanges import Exchange
from tests.e2e.test_multi_run import follow
from tests.support import api_examples

ORG = "/v1/organizations/123"

WORKING = ["100006", "100007"]
"""Runs on the page that are at work, whenever they are read."""

UNFINISHED = "mr-01a2185509e9-ae8b38ad1a"
"""The multi-run on the page that does not end by itself."""

FAILED = "mr-01a21856a1b2-0c1d2e3f40"
"""The multi-run on the page whose candidate fails."""


DOORBELL = f"123-{'A' * 43}"
"""The doorbell on the page. Only Codegen gets its URL."""

FAILING = "Explain how to test a cache. [[fake ending=FAILED seconds=1]]"


@pytest.fixture(scope="module")
def ids(http: httpx.Client) -> dict[str, str]:
    """The ids on the page that no answer on it introduces, and what they stand for; answers add theirs."""
    prompt = "Explain how to test a cache. [[fake ending=NEVER]]"
    found = {shown: str(_post(http, f"{ORG}/agent/run", {"prompt": prompt})["id"]) for shown in WORKING}
    multi_run = _post(http, f"{ORG}/multi-runs", {"prompt": prompt, "concurrency": 1})
    failed = _post(http, f"{ORG}/multi-runs", {"prompt": FAILING, "concurrency": 1})
    follow(http, f"{ORG}/multi-runs/{failed['id']}", {"failed"})
    _post(http, f"{ORG}/agents", {"id": "assistant", "name": "Assistant"}, taken=True)
    assert http.put(f"{ORG}/doorbell", json={}).is_success
    doorbell = http.get(f"{ORG}/webhooks/agent-run").json()["url"].rpartition("/")[2]
    return found | {DOORBELL: doorbell, UNFINISHED: multi_run["id"], FAILED: failed["id"]}


def _post(http: httpx.Client, path: str, body: Any, *, taken: bool = False) -> Any:
    answer = http.post(path, json=body)
    assert answer.is_success or (taken and answer.status_code == 409), answer.text
    return answer.json()


@pytest.mark.full
def test_every_exchange_goes_as_the_page_says(
    http: httpx.Client, ids: dict[str, str], subtests: pytest.Subtests
) -> None:
    """One test, because an exchange needs what those before it have made."""
    for exchange in api_examples.BY_STACK:
        with subtests.test(exchange.name):
            _send(exchange, http, ids)


def _send(exchange: Exchange, http: httpx.Client, ids: dict[str, str]) -> None:
    method, path, body = api_examples.request(exchange, ids)

    answer = http.request(method, path, json=body)

    api_examples.compare(exchange, answer.status_code, answer.headers, answer.text, ids)
