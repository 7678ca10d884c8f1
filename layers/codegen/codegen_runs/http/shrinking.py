"""Answers that are too large for Lambda: a smaller page, or an answer without its largest fields.

A page by position (`skip` or `offset`) is cut, so the upstream is not read again. Its `size` and `pages`, or its
`limit`, are those of the smaller page, and `total` stays: a client that continues after the entries that it has
received gets every entry once. A page with a cursor is read again with a smaller `limit`, because the cursor has to fit
the page. The entries of a page by number (`page=3`) depend on its size, so such a page is refused.
"""

import json
from collections.abc import Callable
from typing import Any

from codegen_runs.http.answers import is_too_large
from codegen_runs.http.proxy import Answer, Event
from codegen_runs.problems import EntryTooLarge

# Room for the headers that are added to an answer.
_ROOM = 16 * 1024

# Fields that depend on the entries of the page. A page with one of them is read again.
_DEPENDENT = frozenset({"next_cursor", "tools"})

_LISTS = ("items", "logs")
_POSITIONS = ("skip", "offset")


def fitting(answer: Answer, event: Event, act: Callable[[], Answer]) -> Answer:
    """Return an answer that fits, if it is a page; the answer itself if it fits or is no page.

    Args:
        answer: The answer.
        event: The request.
        act: Answers the request again.

    Raises:
        EntryTooLarge: The first entry of the page is too large alone.
    """
    if answer["statusCode"] != 200 or not is_too_large(answer, room=_ROOM):
        return answer
    try:
        body = json.loads(answer["body"])
    except ValueError:
        return answer
    if not isinstance(body, dict):
        return answer
    name = next((name for name in _LISTS if isinstance(body.get(name), list)), None)
    if name is None or "page" in (event.get("multiValueQueryStringParameters") or {}):
        return answer
    start = _position(event)
    while len(body[name]) > 1:
        body = _page(body, name, start, len(body[name]) // 2)
        smaller = answer | {"body": _text(body)}
        if is_too_large(smaller, room=_ROOM):
            continue
        if _DEPENDENT.isdisjoint(body):
            return smaller
        again = _read_again(len(body[name]), event, act)
        if not is_too_large(again, room=_ROOM):
            return again
    raise EntryTooLarge(None if "next_cursor" in body else start, is_log=name == "logs")


def shortened(answer: Answer) -> Answer:
    """Return the answer to a request that had an effect, with null for its largest fields and a warning for each.

    The request succeeded, so its answer is no error. An answer that is not a JSON object is returned as it is.
    """
    try:
        body = json.loads(answer["body"])
    except ValueError:
        return answer
    if not isinstance(body, dict):
        return answer
    fields = sorted(body, key=lambda name: len(json.dumps(body[name])), reverse=True)
    warnings = list(body.get("warnings") or [])
    for name in fields:
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        detail = f"{name} is null here, because the answer is larger than a Lambda function can return."
        warnings.append({"code": "field_too_large", "pointer": pointer, "detail": detail})
        body |= {name: None, "warnings": warnings}
        smaller = answer | {"body": _text(body)}
        if not is_too_large(smaller, room=_ROOM):
            return smaller
    return answer


def _page(body: dict[str, Any], name: str, start: int, size: int) -> dict[str, Any]:
    """Return the first `size` entries of a page, with the fields of a page of that size."""
    page = body | {name: body[name][:size]}
    total = body.get("total_logs") if name == "logs" else body.get("total")
    changes: dict[str, Any] = {"size": size, "limit": size, "page": start // size + 1, "has_more": True}
    if isinstance(total, int):
        changes["pages"] = -(-total // size)
    return page | {field: value for field, value in changes.items() if field in body}


def _read_again(size: int, event: Event, act: Callable[[], Answer]) -> Answer:
    for name, limit in (("multiValueQueryStringParameters", [str(size)]), ("queryStringParameters", str(size))):
        event[name] = {**(event.get(name) or {}), "limit": limit}
    return act()


def _position(event: Event) -> int:
    query = event.get("multiValueQueryStringParameters") or {}
    return next((int(query[name][-1]) for name in _POSITIONS if name in query), 0)


def _text(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))
