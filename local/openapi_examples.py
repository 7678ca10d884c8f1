"""Examples in the OpenAPI document: the exchanges of docs/api.md, which a test sends to the local stack.

An answer shows the members that matter, as on the page.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from local import exchanges
from local.exchanges import Exchange

Json = dict[str, Any]

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


class NoOperationError(Exception):
    """An exchange of the page is no operation of the document."""


def add(document: Json) -> None:
    """Add to each operation the first exchange that calls it. Raises `NoOperationError`."""
    for exchange in exchanges.read(PAGE):
        path, operation = operation_of(exchange, document)
        _add_path(operation, path, exchange)
        if exchange.body is not None:
            _add_content(operation["requestBody"], "application/json", exchange.body)
        answer = operation["responses"].get(str(exchange.status))
        if exchange.text:
            _add_content(answer, exchange.media_type, exchange.text if exchange.shown is None else exchange.shown)


def operation_of(exchange: Exchange, document: Json) -> tuple[str, Json]:
    """Return the operation that an exchange calls, and its path there: a fixed path before one with parameters.

    Raises `NoOperationError`.
    """
    every = [
        (spelling.split(), operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for spelling in (f"{method.upper()} {path}", *operation.get("x-aliases", ()))
    ]
    for (method, path), operation in sorted(every, key=lambda pair: pair[0][1].count("{")):
        if method == exchange.method and re.fullmatch(re.sub(r"{\w+}", r"[^/]+", path), exchange.path):
            return path, operation
    raise NoOperationError(f"docs/api.md: {exchange.name} is no operation of the document.")


def _add_path(operation: Json, path: str, exchange: Exchange) -> None:
    match = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path), exchange.path)
    values = match.groupdict() if match else {}
    for parameter in operation.get("parameters", ()):
        if parameter.get("in") == "path" and parameter["name"] in values and "example" not in parameter:
            value = values[parameter["name"]]
            parameter["example"] = int(value) if parameter["schema"].get("type") == "integer" else value


def _add_content(message: Json | None, media_type: str, example: Any) -> None:
    content = (message or {}).get("content", {}).get(media_type)
    if content is not None and "example" not in content:
        content["example"] = json.loads(json.dumps(example))
