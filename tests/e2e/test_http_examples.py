"""The exchanges on docs/http.md, as they stand there."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from codegen_runs.http.answers import EXPOSED_HEADERS

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")
EXCHANGES = re.findall(r"(?ms)^```http\n(.*?)^```", TEXT)
NUMBERS = {"RateLimit", "RateLimit-Policy"}
"""Headers whose numbers are those of the deployment and the moment."""


@pytest.fixture(scope="module", autouse=True)
def two_agents(http: httpx.Client) -> None:
    """What the page of agents needs to have a next one."""
    for name in ("One", "Two"):
        http.post("/v1/organizations/123/agents", json={"name": name}).raise_for_status()


def test_every_exchange_goes_as_the_page_says(http: httpx.Client, subtests: pytest.Subtests) -> None:
    """One test, because an exchange may send what an answer before it contained, by its name in braces."""
    seen: dict[str, str] = {}
    for exchange in EXCHANGES:
        with subtests.test(exchange.partition("\n")[0]):
            send(exchange, http, seen)


def send(exchange: str, http: httpx.Client, seen: dict[str, str]) -> None:
    request, _, response = exchange.partition("HTTP/1.1 ")
    (method, path), headers, body = read(re.sub(r"\{(\w+)\}", lambda name: seen.get(name[1], name[0]), request))
    (status, _), expected, shown = read(response)

    answer = http.request(method, path, headers=headers, content=body or None)

    assert answer.status_code == int(status), answer.text
    for name, value in expected.items():
        assert re.fullmatch(pattern(value, numbers=name in NUMBERS), answer.headers[name]), name
    if shown:
        whole = '"upstream"' in shown
        check(json.loads(re.sub(r"(\d+)\.\.\.", r'"\1..."', shown)), answer.json(), whole=whole)
    seen |= {"ETag": answer.headers.get("ETag", "")}
    if answer.content:
        seen |= {"next_cursor": answer.json().get("next_cursor") or ""}


def read(message: str) -> tuple[list[str], dict[str, str], str]:
    """Read the two words of a message's first line, its headers and its body."""
    head, _, body = message.strip().partition("\n\n")
    first, *lines = head.splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    return first.split(" ", 1), headers | ({"Content-Type": "application/json"} if body and "/" in first else {}), body


def pattern(shown: str, *, numbers: bool = False) -> str:
    """Return the regular expression for what is shown: dots stand for anything that is there."""
    expression = re.escape(shown).replace(r"\.\.\.", ".+")
    return re.sub(r"\d+", r"\\d+", expression) if numbers else expression


def check(shown: Any, said: Any, *, whole: bool = False) -> None:
    """Compare JSON with the part of it that is shown, or with the whole."""
    match shown:
        case dict():
            assert shown.keys() == said.keys() if whole else shown.keys() <= said.keys()
            for name, value in shown.items():
                check(value, said[name])
        case list():
            assert len(shown) == len(said)
            for value, one in zip(shown, said, strict=True):
                check(value, one)
        case str():
            assert re.fullmatch(pattern(shown), str(said)), (shown, said)
        case _:
            assert shown == said


def test_the_page_names_the_headers_that_a_browser_may_read() -> None:
    named = re.search(r"A page may read (.+?)\.\n", TEXT, re.DOTALL)

    assert named
    assert re.findall(r"`([^`]+)`", named[1]) == EXPOSED_HEADERS.split(",")
