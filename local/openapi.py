"""Write the OpenAPI document of the whole API, or check it.

    python -m local.openapi                   # writes functions/docs/openapi.json; openapi.json at the root links to it
    python -m local.openapi --check           # exits 1 if the written document differs from what the handlers describe
    python -m local.openapi --compare FILE    # exits 1 if the handlers' document differs from FILE in more than texts

Each handler describes its own operation. Powertools' merge finds the handlers by reading their sources. This module
adds what the merge does not know: the further paths that the template has for an operation, how callers authenticate,
and that every operation answers errors as problems.
"""

import argparse
import inspect
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
from difflib import unified_diff
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from aws_lambda_powertools.event_handler.openapi import OpenAPIMerge

from local import openapi_events, openapi_examples, openapi_odd_values
from local.openapi_structure import differences
from local.template import ANY_SECRET, Route, load

Json = dict[str, Any]

ROOT = Path(__file__).parents[1]
FUNCTIONS = ROOT / "functions"
DOCUMENT = FUNCTIONS / "docs" / "openapi.json"

DESCRIPTION = """\
Every operation of the Codegen API, at the same path as there. In addition: live events, multi-runs with one synthesised
answer, run cards, chat, checkpoints and forks, starred runs, roles and API tokens.

Send a Codegen API token, or an API token of this deployment, as `Authorization: Bearer YOUR_TOKEN` or in `X-API-Key`.
The role viewer may read, member may also act, and admin may also manage. Some operations answer at further paths, which
`x-aliases` lists."""

TAGS = {
    "Agent runs": "Runs as the Codegen API has them: start, continue, read and list, and the agents of a pull request.",
    "Run cards": "Runs as a user interface shows them: one status vocabulary, progress, health and allowed actions.",
    "Run control": "Cancel, pause and resume a run.",
    "Live": "The events of a run as they happen: by long poll, as a stream, and tickets for browsers.",
    "Multi-runs": "Several runs of one prompt, with one synthesised or selected answer.",
    "Checkpoints": "Points of a run from which a new run can continue.",
    "Agents": "Profiles of agents: instructions, model and repository, with versions.",
    "Chat": "Conversations with an agent.",
    "Starred runs": "Bookmarks of runs with notes, private to each caller.",
    "Organizations": "Organizations, their settings, members and usage.",
    "Users": "Users of an organization, and the current user.",
    "Access": "API tokens of this deployment.",
    "Repositories": "Repositories, and the settings of their checks.",
    "Pull requests": "Open, close and edit pull requests.",
    "Setup commands": "Find the commands that set up a repository.",
    "Sandboxes": "Find out why a sandbox failed.",
    "Integrations": "The integrations of an organization.",
    "Models": "The language models that an agent can use.",
    "Webhook endpoints": "Signed messages about runs to your own endpoints.",
    "Webhooks": "The webhook that Codegen calls when an agent run ends.",
    "OAuth": "The OAuth tokens that Codegen holds for a user.",
    "Slack": "Connect Slack with Codegen.",
    "Rate limits": "How many calls Codegen still accepts, and the queue of launches.",
    "Service": "The health of the deployment, and this documentation.",
}

SECURITY_SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the Codegen API or of this deployment.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same token."},
}

PROBLEM: Json = {
    "title": "Problem",
    "description": "RFC 9457 problem details, with the fields that programs written for the Codegen API read.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id", "retryable", "remedy"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "The kind of error, for people."},
        "status": {"type": "integer"},
        "detail": {
            "description": "What happened. For 422, the list of faults in the request.",
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}}],
        },
        "instance": {
            "type": "string",
            "description": "The path of the request. Errors of API Gateway itself do not have it.",
        },
        "code": {"type": "string", "description": "The kind of error, for programs."},
        "request_id": {"type": "string"},
        "retryable": {"type": "boolean", "description": "Whether you can send the same request again."},
        "remedy": {"type": "string", "description": "What you can do about the error."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "upstream": {
            "type": "object",
            "description": "What the Codegen API answered.",
            "properties": {
                "status": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "message": {"type": "string"},
                "request_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
        },
        "message": {"type": "string", "description": "`detail` as text, under the Codegen API's name."},
        "status_code": {"type": "integer", "description": "`status`, under the Codegen API's name."},
    },
}
FAULT: Json = {
    "title": "Fault",
    "type": "object",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"type": "string"},
        "type": {"type": "string"},
    },
}
PROBLEM_RESPONSE: Json = {
    "description": "An error.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
# Printable ASCII without a space at an end.
IDEMPOTENCY_KEY = r"^[!-~](?:[ -~]{0,253}[!-~])?$"
PARAMETERS: Json = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Identifies the request. If you send the request again with the same key within 24 hours, it is "
        "not executed again: you get the first answer, with `Idempotent-Replay: true`.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": IDEMPOTENCY_KEY,
        },
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of the answer that you have. 304 if that answer is still current.",
        "schema": {"type": "string"},
    },
}
NOT_MODIFIED: Json = {"description": "The answer that you have is still current."}
ERRORS: Json = {status: {"$ref": "#/components/responses/Problem"} for status in ("4XX", "5XX")}


WEBSOCKET: Json = {
    "description": "The WebSocket has an address of its own, the output `WebSocketUrl`. A client gets these frames.",
    "schema": {"$ref": "#/components/schemas/WebSocketFrame"},
}


class DisagreementError(Exception):
    """Two handlers have different schemas of one name, or a handler and the template disagree about a route."""


def build() -> Json:
    """Return the document that the handlers describe. Raises `DisagreementError`."""
    # Lambda puts the layer on the path. Here the packages may not be installed.
    sys.path.insert(0, str(ROOT / "layers" / "codegen"))
    from codegen_runs import __version__

    described = {file: description(file) for file in resolvers()} | dict(declarations())
    check_names(described)
    merge = OpenAPIMerge(
        title="Codegen Runs",
        version=__version__,
        openapi_version="3.1.0",
        description=DESCRIPTION,
        security=[{name: []} for name in SECURITY_SCHEMES],
        on_conflict="error",
    )
    for schema in described.values():
        merge.add_schema(deepcopy(schema))  # The merge writes into the first schema that has a path.
    document = merge.get_openapi_schema()
    # Relative to the document, so it is right behind a stage, under a custom domain and on loopback.
    document["servers"] = [{"url": "."}]
    schemas = document["components"]["schemas"] | openapi_events.schemas()
    schemas |= {"Problem": PROBLEM, "Fault": FAULT, "UnreadableItem": openapi_odd_values.UNREADABLE_ITEM}
    document["components"] = {
        "securitySchemes": SECURITY_SCHEMES,
        "responses": {"Problem": PROBLEM_RESPONSE, "NotModified": NOT_MODIFIED},
        "parameters": PARAMETERS,
    }
    add_from_template(document, described)
    document["x-websocket"] = WEBSOCKET
    describe_streams(document)
    answers = [operation["responses"] for _, _, operation in operations(document)]
    openapi_odd_values.describe(answers, used(schemas, *answers))
    openapi_examples.add(document)
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    document["components"]["schemas"] = used(schemas, document)
    return document


@cache
def resolvers() -> tuple[Path, ...]:
    """Return the modules of the handlers that have a Powertools resolver."""
    return tuple(OpenAPIMerge().discover(FUNCTIONS, pattern="*.py", recursive=True))


def description(file: Path) -> Json:
    """Return the document of one handler. Its function gives each operation its name and description."""
    alone = OpenAPIMerge(on_conflict="error")
    alone.add_file(file)
    with warnings.catch_warnings():
        # Powertools only warns about a handler that cannot be imported. Warnings of other kinds can come from anywhere,
        # for example from an unclosed object that is collected at this moment.
        warnings.simplefilter("error", UserWarning)
        document: Json = json.loads(alone.get_openapi_json_schema())
    module = imported(file)
    for path, method, operation in operations(document):
        generated = re.sub(r"\W", "_", path) + f"_{method}"
        operation["operationId"] = operation["operationId"].removesuffix(generated)
        operation["description"] = inspect.getdoc(getattr(module, operation["operationId"]))
        if answer := operation["responses"].get("204"):
            answer.pop("content", None)  # Powertools describes a body of null.
        operation["responses"].pop("422", None)  # Powertools describes its own form, which the edge replaces.
        for parameter in operation.get("parameters", []):
            parameter["schema"] = _as_sent(parameter["schema"])
            if parameter["in"] == "header":
                parameter["name"] = parameter["name"].title()
        if "{org_id}" in path:
            operation["parameters"] = [_organization(), *operation.get("parameters", [])]
    return document


def _organization() -> Json:
    """Return the parameter of a path that names an organization.

    Handlers get the organization from a dependency, which also serves paths without one. Powertools does not document
    the parameters of a dependency.
    """
    from codegen_runs import forms

    schema = {"type": "integer", "title": "Org Id", "minimum": 0, "maximum": forms.LARGEST_ID}
    return {"required": True, "schema": schema, "name": "org_id", "in": "path"}


def _as_sent(schema: Json) -> Json:
    """Return the schema of a parameter as clients send it.

    Null stands for an absent parameter, and cannot be sent. Powertools writes the bounds of integers as floats.
    """
    match schema:
        case {"anyOf": [dict(sent), {"type": "null"}], **others}:
            return _as_sent(sent | others)
        case {"type": "integer"}:
            return {name: int(value) if isinstance(value, float) else value for name, value in schema.items()}
        case _:
            return schema


def declarations() -> Iterator[tuple[Path, Json]]:
    """Yield the documents that handlers without a resolver declare in a dict named OPENAPI."""
    for file in sorted({source(route) for route in routes()} - set(resolvers())):
        if declared := getattr(imported(file), "OPENAPI", None):
            yield file, declared


def imported(file: Path) -> ModuleType:
    """Import a handler's module by its path, because several modules have the same name."""
    spec = spec_from_file_location(f"described_{file.parent.name}_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def routes() -> tuple[Route, ...]:
    """Return the routes of the template, one for each method of its handler in the place of ANY."""
    api = load(ROOT / "template.yaml", {"CodegenTokenSecret": ANY_SECRET}).api
    assert api is not None
    return tuple(replace(route, method=method) for route in api.routes for method in methods(source(route)))


def methods(file: Path) -> list[str]:
    """Return the methods of a handler. The module's docstring begins with them, before the path."""
    return file.read_text("utf-8").removeprefix('"""').partition(" /")[0].split(", ")


def source(route: Route) -> Path:
    """Return the module whose handler serves a route."""
    return route.function.code_dir / f"{route.function.handler.rpartition('.')[0]}.py"


def check_names(described: dict[Path, Json]) -> None:
    """Raise `DisagreementError` for two different schemas of one name; the merge would silently keep the last."""
    seen: dict[str, tuple[Path, Json]] = {}
    for file, schema in described.items():
        for name, component in schema.get("components", {}).get("schemas", {}).items():
            first, known = seen.setdefault(name, (file, component))
            if component != known:
                raise DisagreementError(f"{first} and {file} have different schemas named {name}")


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield the path, method and operation of each operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def add_from_template(document: Json, described: dict[Path, Json]) -> None:
    """Add to each operation its further paths, its errors, and whether it needs no authentication.

    Raises `DisagreementError` for an operation that the template does not have.
    """
    for file, schema in described.items():
        served = {(route.path, route.method.lower()): route for route in routes() if source(route) == file}
        documented = {(path, method) for path, method, _ in operations(schema)}
        if unknown := documented - served.keys():
            raise DisagreementError(f"{file} documents routes that the template does not have: {sorted(unknown)}")
        for path, method in documented:
            operation = document["paths"][path][method]
            operation["responses"] |= ERRORS
            if served[path, method].authorizer is None:
                operation["security"] = []
            if "IDEMPOTENCY_TABLE" in served[path, method].function.environment:
                _add_parameter(operation, "IdempotencyKey")
            if method == "get" and "application/json" in operation["responses"].get("200", {}).get("content", {}):
                _add_parameter(operation, "IfNoneMatch")
                operation["responses"]["304"] = {"$ref": "#/components/responses/NotModified"}
        for path, method in sorted(served.keys() - documented):
            operation = document["paths"][canonical(path, method, documented)][method]
            operation.setdefault("x-aliases", []).append(f"{method.upper()} {path}")


def describe_streams(document: Json) -> None:
    """Name the schema of each server-sent event. OpenAPI 3.1 has no keyword for the items of a stream."""
    for path, _, operation in operations(document):
        for response in operation["responses"].values():
            if stream := response.get("content", {}).get("text/event-stream"):
                frame = "ChatFrame" if path.endswith("/chat") else "StreamFrame"
                stream["x-item-schema"] = {"$ref": f"#/components/schemas/{frame}"}
                if frame == "StreamFrame":
                    stream["x-item-schema-of-view-chat"] = {"$ref": "#/components/schemas/ChatFrame"}


def _add_parameter(operation: Json, parameter: str) -> None:
    operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{parameter}"})


def canonical(path: str, method: str, documented: set[tuple[str, str]]) -> str:
    """Return the documented path of the operation that a further path of the same handler leads to.

    Raises `DisagreementError` if there is none, or more than one.
    """
    candidates = [known for known, known_method in documented if known_method == method]
    unversioned = [known for known in candidates if known.removeprefix("/v1") == path]
    same_parameters = [known for known in candidates if parameters(path) and parameters(known) == parameters(path)]
    match unversioned or same_parameters or candidates:
        case [only]:
            return only
    raise DisagreementError(f"{method.upper()} {path} leads to {sorted(candidates) or 'no documented operation'}")


def parameters(path: str) -> set[str]:
    """Return the names of a path's parameters, without the organization, which further paths may omit."""
    return set(re.findall(r"{(\w+)}", path)) - {"org_id"}


def used(schemas: Json, *documents: Json) -> Json:
    """Return the schemas, by name, that the documents refer to directly or through other schemas."""
    found: Json = {}
    wanted = set(references(documents))
    while missing := wanted - found.keys():
        for name in missing:
            found[name] = schemas[name]
            wanted |= set(references(schemas[name]))
    return dict(sorted(found.items()))


def references(value: Any) -> Iterable[str]:
    """Return the names of the schemas that a piece of a document refers to."""
    return re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(value))


def main(arguments: list[str] | None = None, *, target: Path = DOCUMENT, describe: Callable[[], Json] = build) -> int:
    """Run the command; return its exit status.

    Args:
        arguments: The command line; `sys.argv` if None.
        target: The file to write or check.
        describe: Returns the document that the handlers describe.
    """
    parser = argparse.ArgumentParser(prog="python -m local.openapi", description=__doc__.splitlines()[0])
    options = parser.add_mutually_exclusive_group()
    options.add_argument("--check", action="store_true", help="write nothing; exit 1 if the document is out of date")
    options.add_argument(
        "--compare",
        metavar="FILE",
        type=Path,
        help="write nothing; exit 1 if the document differs from FILE in more than descriptions, summaries and order",
    )
    chosen = parser.parse_args(arguments)
    document = describe()
    if chosen.compare:
        return compare(chosen.compare, document)
    text = json.dumps(document, indent=2) + "\n"
    if chosen.check:
        return check(target, text)
    target.write_text(text, "utf-8")
    return 0


def check(target: Path, text: str) -> int:
    """Print how a file differs from a text; return the exit status."""
    written = target.read_text("utf-8") if target.exists() else ""
    if written == text:
        return 0
    changes = unified_diff(written.splitlines(), text.splitlines(), "openapi.json", "the handlers", lineterm="")
    print("\n".join(islice(changes, 40)), "\n\nopenapi.json is out of date: run `make openapi`.", file=sys.stderr)
    return 1


def compare(file: Path, document: Json) -> int:
    """Print how a document differs from the document in a file, apart from texts and order; return the exit status."""
    found = differences(json.loads(file.read_text("utf-8")), document)
    for difference in found:
        print(difference)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
