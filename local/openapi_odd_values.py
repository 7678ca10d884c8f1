"""Odd values in the OpenAPI document: how a value or an item of Codegen's that could not be read is passed on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_REFERENCE = "#/components/schemas/"

UNREADABLE_ITEM: Json = {
    "title": "UnreadableItem",
    "description": "An item that Codegen returned in another form than the documented one, as it came.",
    "type": "object",
    "required": ["unreadable"],
    "properties": {
        "unreadable": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "The fields that are missing or have another type than the documented one.",
        },
        "raw": {"description": 'The item, if it is not an object. `unreadable` is `["raw"]` then.'},
    },
    "additionalProperties": True,
}

UNREADABLE: Json = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Present only if Codegen left out fields or returned them with another type: their names.",
}


def describe(answers: list[Json], schemas: Json) -> None:
    """Describe odd values in the answers that pass on what Codegen returned.

    A model gets the property `unreadable`, and each item of a list may be an `UnreadableItem`.

    Args:
        answers: The answers of the operations.
        schemas: The schemas that they refer to, by name.
    """
    from codegen_api import _models

    models = {
        name for name, each in vars(_models).items() if isinstance(each, type) and issubclass(each, _models.Model)
    }
    # Pydantic names a page of runs `Page_AgentRun_`.
    passed_on = {name for name in schemas if name.partition("_")[0] in models}
    for name in passed_on:
        schemas[name]["properties"]["unreadable"] = UNREADABLE
    for part in (*answers, *(schemas[name] for name in passed_on)):
        for array in _arrays(part):
            if array["items"].get("$ref", "").removeprefix(_REFERENCE) in passed_on:
                array["items"] = {"anyOf": [array["items"], {"$ref": f"{_REFERENCE}UnreadableItem"}]}


def _arrays(part: Any) -> Iterator[Json]:
    """Yield each schema of an array in a part of the document."""
    if isinstance(part, dict):
        if part.get("type") == "array" and isinstance(part.get("items"), dict):
            yield part
        for member in list(part.values()):
            yield from _arrays(member)
    elif isinstance(part, list):
        for member in part:
            yield from _arrays(member)
