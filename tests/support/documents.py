"""The upstream's OpenAPI documents, where a checkout has them beside it, and made-up values for them."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

DOCUMENTS = Path(__file__).parents[2].parent / "shared" / "upstream"
OFFICIAL = "openapi-2025-10.json"
NEWEST = "openapi-2026-02.json"

Json = dict[str, Any]


def read(name: str) -> Json:
    """Read a document. Without it, skip the test."""
    path = DOCUMENTS / name
    if not path.is_file():
        pytest.skip(f"NOT CHECKED against the upstream's document: no {name} beside this checkout")
    document: Json = json.loads(path.read_text("utf-8"))
    return document


def operation_of(document: dict[str, Any], request: httpx.Request) -> tuple[str, dict[str, Any]]:
    """Find the operation a request would reach: a fixed path before one with a placeholder."""
    for path in sorted(document["paths"], key=lambda path: path.count("{")):
        pattern = re.sub(r"{\w+}", r"[0-9][\\w.-]*", path)
        if re.fullmatch(pattern, request.url.path) and request.method.lower() in document["paths"][path]:
            return path, document["paths"][path][request.method.lower()]
    raise AssertionError(f"not in the document: {request.method} {request.url.path}")


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def example(document: dict[str, Any], schema: dict[str, Any], full: bool) -> Any:
    """Make a value up: with every key, or with as little as the schema allows and null wherever it may be."""
    schema = resolve(document, schema)
    if "anyOf" in schema:
        options = [resolve(document, option) for option in schema["anyOf"]]
        nullable = any(option.get("type") == "null" for option in options)
        return None if nullable and not full else example(document, options[0], full)
    if "oneOf" in schema:
        return example(document, schema["oneOf"][0], full)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object" if "properties" in schema:
            keys = schema["properties"] if full else schema.get("required", [])
            return {key: example(document, schema["properties"][key], full) for key in keys}
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return {"name": example(document, schema["additionalProperties"], full)} if full else {}
        case "array":
            return [example(document, schema["items"], full)] if "items" in schema else []
        case "integer":
            return 7
        case "number":
            return 1.5
        case "boolean":
            return True
        case "string" if schema.get("format") == "date-time":
            return "2026-01-02T03:04:05Z"
        case "string":
            return "text"
        case _:
            return {"any": ["thing", None]}
