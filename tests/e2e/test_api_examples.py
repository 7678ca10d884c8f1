"""Every exchange on docs/api.md, sent in the page's order to the whole system.

An id that the page shows stands for the id that the system gave in that place. Compared are the status, the headers,
and the keys of the answer with the kinds of their values: what the runs of other tests do to lists and counts does not
matter here.
"""

import json
import re
from typing import Any

import httpx
import pytest

from local import exchanges
from local.exchanges import Exchange
from tests.support.sources import ROOT

EXCHANGES = list(exchanges.read(ROOT / "docs" / "api.md"))
ID = re.compile(r"100\d{3}\.0-\d+|(?:mr|chat)-[0-9a-f]{12}-[0-9a-f]{10}|tok-[0-9a-f]{9}-[0-9a-f]{10}|\b100\d{3}\b")
ORG = "/v1/organizations/123"

WORKING = ["100006", "100007"]
"""Runs on the page that are at work, whenever they are read."""

UNFINISHED = "mr-01a2185509e9-ae8b38ad1a"
"""The multi-run on the page that does not end by itself."""


@pytest.fixture(scope="module")
def ids(http: httpx.Client) -> dict[str, str]:
    """The ids on the page that no answer on it introduces, and what they stand for; answers add theirs."""
    prompt = "Explain how to test a cache. [[fake ending=NEVER]]"
    found = {shown: str(_post(http, f"{ORG}/agent/run", {"prompt": prompt})["id"]) for shown in WORKING}
    multi_run = _post(http, f"{ORG}/multi-runs", {"prompt": prompt, "concurrency": 1})
    _post(http, f"{ORG}/agents", {"id": "assistant", "name": "Assistant"}, taken=True)
    return found | {UNFINISHED: multi_run["id"]}


def _post(http: httpx.Client, path: str, body: Any, *, taken: bool = False) -> Any:
    answer = http.post(path, json=body)
    assert answer.is_success or (taken and answer.status_code == 409), answer.text
    return answer.json()


@pytest.mark.full
def test_every_exchange_goes_as_the_page_says(
    http: httpx.Client, ids: dict[str, str], subtests: pytest.Subtests
) -> None:
    """One test, because an exchange needs what those before it have made."""
    for exchange in EXCHANGES:
        with subtests.test(exchange.name):
            _send(exchange, http, ids)


def _send(exchange: Exchange, http: httpx.Client, ids: dict[str, str]) -> None:
    method, path = _real(exchange.name, ids).split()
    body = json.loads(_real(json.dumps(exchange.body), ids))

    answer = http.request(method, path, json=body)

    assert answer.status_code == exchange.status, answer.text
    if exchange.shown is not None:
        _compare(exchange.shown, answer.json(), ids, place="")
    for name, value in exchange.headers.items():
        assert answer.headers[name] == _real(value, ids), name
    for frame in exchange.frames:
        assert f"event: {frame}\n" in answer.text


def _real(text: str, ids: dict[str, str]) -> str:
    """Put the ids of the system in the place of those on the page."""
    return ID.sub(lambda shown: ids.get(shown[0], shown[0]), text)


def _compare(shown: Any, said: Any, ids: dict[str, str], place: str) -> None:
    if ID.fullmatch(str(shown)):
        ids.setdefault(str(shown), str(said))
    match shown:
        case dict() if said is not None:
            assert shown.keys() <= said.keys(), f"{place}: {shown.keys() - said.keys()} is not in the answer"
            for name, value in shown.items():
                _compare(value, said[name], ids, f"{place}/{name}")
        case list():
            assert isinstance(said, list), place
            for index, (value, one) in enumerate(zip(shown, said, strict=False)):
                _compare(value, one, ids, f"{place}/{index}")
        case _:
            kinds = {bool: "boolean", int: "number", float: "number", str: "string", dict: "object"}
            assert None in (shown, said) or kinds[type(shown)] == kinds.get(type(said)), f"{place}: {said!r}"
