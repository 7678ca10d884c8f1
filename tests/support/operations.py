"""The operations of the OpenAPI document, and what is declared about who may use them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import urlencode

from codegen_runs.roles import Role, needed_for
from local.proxy import Routes
from tests.support import backend
from tests.support.sources import FUNCTIONS, ROOT

Json = dict[str, Any]
Place = Literal["public", "path", "body", "query", "default", "none"]

ROLES = {
    "api_tokens/revoke.py": Role.VIEWER,
    "audit/list.py": Role.ADMIN,
    "budgets/set.py": Role.ADMIN,
    "check_suite_settings/update.py": Role.ADMIN,
    "console/render.py": Role.VIEWER,
    "doorbell/manage.py": Role.ADMIN,
    "live/create_ticket.py": Role.VIEWER,
    "oauth_tokens/revoke.py": Role.VIEWER,
    "organizations/update.py": Role.ADMIN,
    "users/update.py": Role.ADMIN,
    "webhook_endpoints/create.py": Role.ADMIN,
    "webhook_endpoints/delete.py": Role.ADMIN,
    "webhook_endpoints/rotate_secret.py": Role.ADMIN,
    "webhook_endpoints/send.py": Role.ADMIN,
    "webhook_endpoints/update.py": Role.ADMIN,
    "webhooks/delete.py": Role.ADMIN,
    "webhooks/get.py": Role.MEMBER,
    "webhooks/set.py": Role.ADMIN,
    "webhooks/test.py": Role.ADMIN,
}
"""The handlers that need another role than their method implies."""

CODEGEN_TOKEN_ONLY = {
    "api_tokens/create.py",
    "oauth_tokens/revoke.py",
    "oauth_tokens/status.py",
    "slack_connect/generate_token.py",
    "users/update.py",
}
"""The handlers that refuse API tokens of this deployment: the result would outlive the token, or concern its maker."""

_NAMES = {"org_id", "organization_id"}


@dataclass(frozen=True)
class Operation:
    """One route of one operation.

    Attributes:
        method: The method.
        path: The path, with parameters in braces: the documented one, or a further one of `x-aliases`.
        place: Where a request names its organization. `default` is the deployment's, `none` is for no organization.
        role: The role that the operation needs.
        codegen_token_only: Whether API tokens of this deployment are refused.
        body: The documented example of the body.
        parameters: The documented examples of the parameters in the path.
        query: The documented examples of the required parameters in the query.
    """

    method: str
    path: str
    place: Place
    role: Role
    codegen_token_only: bool
    body: Json | None
    parameters: Json
    query: Json

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def target(self, org_id: int) -> str:
        """Return the path and the query of a request about an organization."""
        path = self.path
        for segment in self.path.split("/"):
            if segment.startswith("{"):
                name = segment[1:-1]
                value = org_id if name == "org_id" else self.parameters.get(name, "ask")
                path = path.replace(segment, str(value))
        return f"{path}?{urlencode(self.query | {'org_id': org_id})}" if self.place == "query" else path


@cache
def operations() -> tuple[Operation, ...]:
    """Return every route of every operation of the document."""
    document = json.loads((ROOT / "openapi.json").read_text("utf-8"))
    return tuple(
        _operation(*route.split(" "), path, operation, document)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for route in [f"{method.upper()} {path}", *operation.get("x-aliases", [])]
    )


def _operation(method: str, path: str, documented: str, operation: Json, document: Json) -> Operation:
    module = module_of(method, path)
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    fields = properties(content.get("schema", {}), document)
    parameters = [_resolved(each, document) for each in operation.get("parameters", [])]
    required = [each for each in parameters if each["in"] == "path" or (each["in"] == "query" and each.get("required"))]
    place: Place
    if operation.get("security") == []:
        place = "public"
    elif "{org_id}" in path:
        place = "path"
    elif fields & _NAMES:
        place = "body"
    elif _NAMES & {each["name"] for each in required if each["in"] == "query"}:
        place = "query"
    else:
        place = "default" if "{org_id}" in documented else "none"
    return Operation(
        method=method,
        path=path,
        place=place,
        role=ROLES.get(module, needed_for(method)),
        codegen_token_only=module in CODEGEN_TOKEN_ONLY,
        body=content.get("example"),
        parameters={each["name"]: each.get("example", "x") for each in required if each["in"] == "path"},
        query={each["name"]: each.get("example", "x") for each in required if each["in"] == "query"},
    )


def module_of(method: str, path: str) -> str:
    """Return the module of the handler to which the template sends a route."""
    api = backend.template().api
    assert api
    found, _ = Routes(api.routes).find(path.replace("{", "").replace("}", ""))
    function = (found.get(method) or found["ANY"]).function
    return str((function.code_dir / function.handler.removesuffix(".handler")).relative_to(FUNCTIONS)) + ".py"


def _resolved(value: Json, document: Json) -> Json:
    found: Any = document
    if "$ref" not in value:
        return value
    for name in value["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def properties(schema: Json, document: Json) -> set[str]:
    schema = _resolved(schema, document)
    options = [properties(each, document) for each in schema.get("anyOf", []) if each.get("type") != "null"]
    return set(schema.get("properties", {})).union(*options)
