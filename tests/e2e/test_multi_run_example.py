"""The example on docs/multi-runs.md, from the request to the pick, on the whole system."""

from typing import Any

import httpx
import pytest

from local.exchanges import Exchange, read
from tests.e2e.test_multi_run import follow
from tests.support import api_examples
from tests.support.sources import ROOT

EXCHANGES = list(read(ROOT / "docs" / "multi-runs.md"))
EXACT = {
    "status",
    "code",
    "source",
    "by_judges",
    "counts",
    "runs",
    "runs_at_least",
    "candidates",
    "judges",
    "syntheses",
}
"""What the answer says as it is on the page, if it is a word, a number or an object of numbers."""


def said_otherwise(shown: Any, said: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of what the page shows and what the answer says, where they should be the same and are not."""
    if isinstance(shown, list):
        return [pair for each in zip(shown, said, strict=False) for pair in said_otherwise(*each)]
    if not isinstance(shown, dict):
        return []
    exact = [name for name, value in shown.items() if name in EXACT and not isinstance(value, list)]
    differing = [(shown[name], said[name]) for name in exact if shown[name] != said[name]]
    return differing + [pair for name in shown for pair in said_otherwise(shown[name], said[name])]


@pytest.mark.full
def test_the_example_goes_as_the_page_says(http: httpx.Client, subtests: pytest.Subtests) -> None:
    """One test, because an exchange needs what those before it have made."""
    ids: dict[str, str] = {}
    for exchange in EXCHANGES:
        with subtests.test(exchange.name):
            _send(exchange, http, ids)


def _send(exchange: Exchange, http: httpx.Client, ids: dict[str, str]) -> None:
    method, path, body = api_examples.request(exchange, ids)
    if method == "GET":
        follow(http, path.removesuffix("/compare"))

    answer = http.request(method, path, json=body)

    api_examples.compare(exchange, answer.status_code, answer.headers, answer.text, ids)
    assert said_otherwise(exchange.shown, answer.json()) == []
