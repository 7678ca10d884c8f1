"""When two requests with one Idempotency-Key are the same request: what they mean is compared, not how it is written.

The following make no difference: which path of an operation is used, with or without `/v1` or a slash at the end; zeros
in front of an id; whether an id, also that of the organization, is in the path or in the body; percent-encoding; the
order of query parameters, and whether one is repeated or has commas; in JSON, the order of fields, white space,
escapes, the encoding, and the form of a number (`1`, `1.0`, `1e0`). Of several fields with one name the last one
counts, and a parameter of the path overrides a field, as when the operation reads them. No body is the same as `{}` and
`null`.
"""

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.api_gateway import Route
from pydantic_core import from_json

from codegen_runs.http.proxy import Event, content_of, decoded


def operation(event: Event, routes: Sequence[Route]) -> str:
    """Return the operation that a request is for: the documented path of its handler, whichever path is used."""
    return min((route.path for route in routes if route.include_in_schema), default=str(event["resource"]))


def query(event: Event) -> str:
    """Return the query as text."""
    values: dict[str, list[str]] = event.get("multiValueQueryStringParameters") or {}
    return json.dumps({name: ",".join(several) for name, several in values.items()}, sort_keys=True)


def fields(event: Event, routes: Sequence[Route] = (), *, in_scope: str = "") -> str:
    """Return the parameters in the path, without the organization, and the fields of the body as text.

    A body that is not a JSON object is compared as it is.

    Args:
        event: The request.
        routes: The routes of the operation.
        in_scope: The field of the body that names the organization, which is part of the key's scope.
    """
    in_path = _parameters(event["path"], routes) if routes else {}
    content = content_of(event)
    try:
        body = from_json(decoded(content), allow_inf_nan=False) if content else {}
    except ValueError:
        body = repr(content)
    if not isinstance(body, dict | None):
        return json.dumps([in_path, body])
    in_body = {name: _plain_id(name, _plain_numbers(value)) for name, value in (body or {}).items() if name != in_scope}
    return json.dumps(in_body | in_path, sort_keys=True)


def _parameters(path: str, routes: Sequence[Route]) -> dict[str, Any]:
    for route in routes:
        if found := route.rule.match(path):
            values = {name: _plain_id(name, unquote(value)) for name, value in found.groupdict().items()}
            values.pop("org_id", None)
            return values
    return {"": path}


def _plain_id(name: str, value: Any) -> Any:
    """Return an id as a number if it is one. Operations read a number in a path, in quotes or with zeros before it."""
    is_number = name.endswith("_id") and isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value)
    return int(value) if is_number else value


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
