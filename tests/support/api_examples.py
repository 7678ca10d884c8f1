"""The exchanges of docs/api.md: which tests send them, and how an answer is compared with what the page shows.

An id that the page shows stands for the id that the system gave in that place. Compared are the status, the headers,
and the keys of the answer with the kinds of their values: what other runs do to lists and counts does not matter.
"""

import json
import re
from typing import Any

from local import exchanges
from local.exchanges import Exchange
from tests.support.sources import ROOT

ID = re.compile(
    r"100\d{3}\.0-\d+|mr-[0-9a-f]{12}-[0-9a-f]{10}-\d+|(?:mr|chat)-[0-9a-f]{12}-[0-9a-f]{10}|"
    r"tok-[0-9a-f]{9}-[0-9a-f]{10}|123-A{43}|(?:we-|msg_ping_)[0-9a-f]{16}|\b100\d{3}\b"
)

EXCHANGES = tuple(exchanges.read(ROOT / "docs" / "api.md"))

_WAITING = {
    ("POST /v1/organizations/123/agent/run/mr-01a2185509e9-ae8b38ad1a-0/cancel", 200),
    ("DELETE /v1/organizations/123/run-cards/mr-01a2185509e9-ae8b38ad1a-1", 200),
    ("POST /v1/organizations/123/chat", 202),
}

BY_CLOCK = tuple(exchange for exchange in EXCHANGES if (exchange.name, exchange.status) in _WAITING)
"""The exchanges about a run that waits, or that takes long. Tests send them to the handlers, and move the clock."""

BY_STACK = tuple(exchange for exchange in EXCHANGES if exchange not in BY_CLOCK)
"""The exchanges that are sent to the whole system, in the order of the page."""


def request(exchange: Exchange, ids: dict[str, str]) -> tuple[str, str, Any]:
    """Return the method, the path and the body of an exchange, with the ids of the system."""
    method, path = _real(exchange.name, ids).split()
    return method, path, json.loads(_real(json.dumps(exchange.body), ids))


def compare(exchange: Exchange, status: int, headers: Any, text: str, ids: dict[str, str]) -> None:
    """Compare an answer with what the page shows, and note its ids."""
    assert status == exchange.status, text
    if exchange.shown is not None:
        _compare(exchange.shown, json.loads(text), ids, place="")
    elif exchange.media_type == "text/html":
        assert text.startswith(exchange.text)
    for name, value in exchange.headers.items():
        assert headers[name.lower()] == _real(value, ids), name
    for frame in exchange.frames:
        assert f"event: {frame}\n" in text


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
