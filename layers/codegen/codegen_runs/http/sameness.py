"""When two requests with one Idempotency-Key are the same request: what they mean is compared, not how it is written.

The following make no difference: which path of an operation is used, with or without `/v1` or a slash at the end; zeros
in front of an id; percent-encoding; the order of query parameters, and whether one is repeated or has commas; in JSON,
the order of fields, white space, escapes, the encoding, and the form of a number (`1`, `1.0`, `1e0`). Of several fields
with one name the last one counts, as when the body is read. No body is the same as `{}` and `null`.
"""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.api_gateway import Route
from pydantic_core import from_json

from codegen_runs.http.proxy import Event, content_of, decoded


def operation(event: Event, routes: Sequence[Route]) -> tuple[str, str]:
    """Return the operation that a request is for, and the parameters in its path besides the organization, as text.

    The operation's name is its documented path. A handler with several documented paths has as many operations.
    """
    documented = [route.path for route in routes if route.include_in_schema]
    for route in routes:
        if route.method == event["httpMethod"] and (found := route.rule.match(event["path"])):
            named = {name: _plain_id(name, unquote(value)) for name, value in found.groupdict().items()}
            named.pop("org_id", None)
            return documented[0] if len(documented) == 1 else route.path, json.dumps(named, sort_keys=True)
    return event["resource"], event["path"]


def query(event: Event) -> str:
    """Return the query as text."""
    values: dict[str, list[str]] = event.get("multiValueQueryStringParameters") or {}
    return json.dumps({name: ",".join(several) for name, several in values.items()}, sort_keys=True)


def body(event: Event) -> str:
    """Return the body as text. A body that is not JSON is compared as it is."""
    content = content_of(event)
    try:
        value = from_json(decoded(content), allow_inf_nan=False) if content else None
    except ValueError:
        return repr(content)
    return json.dumps({} if value is None else _plain_numbers(value), sort_keys=True)


def _plain_id(name: str, value: str) -> str:
    is_number = name.endswith("_id") and value.isascii() and value.isdecimal()
    return value.lstrip("0") or "0" if is_number else value


def _plain_numbers(value: Any) -> Any:
    """Write whole numbers without a fraction, everywhere in a value."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _plain_numbers(each) for name, each in value.items()}
        case list():
            return [_plain_numbers(each) for each in value]
    return value
