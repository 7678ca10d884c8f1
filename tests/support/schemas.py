"""Check values against the schemas of the OpenAPI document."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from local import openapi

Json = dict[str, Any]


@cache
def _document() -> Json:
    document: Json = json.loads(openapi.DOCUMENT.read_text("utf-8"))
    return document


def unfit(frames: Iterable[Json], schema: str) -> list[str]:
    """Return what is wrong with frames: server-sent events, or messages of the WebSocket.

    Args:
        frames: The frames.
        schema: The name of their schema in the document.
    """
    sent = [{name: value for name, value in frame.items() if name != "id" or value is not None} for frame in frames]
    assert sent
    return [each for frame in sent for each in faults(frame, {"$ref": f"#/components/schemas/{schema}"}, _document())]


def faults(value: Any, schema: Json, document: Json) -> Iterator[str]:
    """Yield what is wrong with a value, with the JSON pointer of each fault."""
    whole = {**schema, "components": document.get("components", {})}
    for error in Draft202012Validator(whole).iter_errors(value):
        deepest = best_match([error])
        yield f"/{'/'.join(map(str, deepest.absolute_path))}: {deepest.message}"


def shown_in_part(part: Any) -> Any:
    """Return a part of the document for examples, which may leave out properties, but add none."""
    match part:
        case dict():
            shown = {name: shown_in_part(member) for name, member in part.items() if name != "required"}
            if isinstance(part.get("properties"), dict) and part.get("type") == "object":
                shown["properties"] = {name: shown_in_part(schema) for name, schema in part["properties"].items()}
                shown["additionalProperties"] = False
            return shown
        case list():
            return [shown_in_part(member) for member in part]
        case _:
            return part
