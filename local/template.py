"""Read template.yaml: what it deploys, as plain values.

The local stack and the tests that tie routes, handlers, sample events and documentation together all read the template
through here, so nothing it says is ever said twice.

    template = load(Path("template.yaml"), {"CodegenTokenSecret": "codegen-token"})
    template.functions["CreateAgentRun"].environment
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.cloudformation import ACCOUNT_ID, REGION, TemplateError, only, read, required, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from local.cloudformation import Document, Resource

__all__ = [
    "ACCOUNT_ID",
    "REGION",
    "Api",
    "Authorizer",
    "Cors",
    "Function",
    "GatewayResponse",
    "Route",
    "Schedule",
    "StateMachine",
    "Table",
    "Template",
    "TemplateError",
    "WebSocketApi",
    "load",
]


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function. `timeout` is in seconds, `memory` in MB, `layers` are the folders of its layers."""

    logical_id: str
    name: str
    arn: str
    handler: str
    code_dir: Path
    layers: tuple[Path, ...]
    environment: Mapping[str, str]
    timeout: int
    memory: int
    runtime: str


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A REQUEST authorizer. `cache_ttl` is in seconds, 0 for no cache; `identity_headers` make the cache's key."""

    name: str
    function: Function
    cache_ttl: int
    identity_headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. `path` is written as in the template: `/v1/organizations/{org_id}`.

    `streams` is whether the function's answer is passed on as it comes, `timeout` the seconds that it may take.
    """

    method: str
    path: str
    function: Function
    authorizer: Authorizer | None
    streams: bool = False
    timeout: float = 29.0


@dataclass(frozen=True, slots=True)
class Cors:
    """What a preflight answers, as bare header values."""

    allow_origin: str
    allow_methods: str
    allow_headers: str | None
    max_age: str | None


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """What API Gateway itself answers in one kind of trouble. `templates` maps a media type to a body template."""

    status: int | None
    headers: Mapping[str, str]
    templates: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Api:
    """The REST API."""

    id: str
    stage: str
    routes: tuple[Route, ...]
    cors: Cors | None
    gateway_responses: Mapping[str, GatewayResponse]


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """The WebSocket API. `routes` maps a route key to its function."""

    id: str
    stage: str
    selection: str
    routes: Mapping[str, Function]

    def route(self, message: str) -> str:
        """Return the key of the route that a message takes."""
        try:
            content = json.loads(message)
        except (ValueError, RecursionError):
            content = None
        key = content.get(self.selection) if isinstance(content, dict) else None
        return key if isinstance(key, str) and key in self.routes else "$default"


@dataclass(frozen=True, slots=True)
class Table:
    """One DynamoDB table: the arguments of `create_table`, and the attribute that holds an item's expiry."""

    logical_id: str
    name: str
    create: Mapping[str, Any]
    ttl_attribute: str | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A function that EventBridge Scheduler calls. `input` is the JSON text it is called with, if the template says."""

    name: str
    function: Function
    expression: str
    input: str | None


@dataclass(frozen=True, slots=True)
class StateMachine:
    """One Step Functions state machine. Its definition is read when asked for."""

    logical_id: str
    name: str
    arn: str
    type: str
    definition_path: Path
    substitutions: Mapping[str, str]

    @property
    def definition(self) -> str:
        """The definition's JSON text, substitutions made.

        Raises:
            TemplateError: the file is missing, is not JSON, or holds a `${Name}` that nothing is substituted for.
        """
        if not self.definition_path.is_file():
            raise TemplateError(f"{self.logical_id}: there is no definition at {self.definition_path}")
        text = re.sub(r"\$\{([^}]*)\}", self._substitute, self.definition_path.read_text("utf-8"))
        try:
            json.loads(text)
        except ValueError as error:
            raise TemplateError(f"{self.definition_path}: {error}") from error
        return text

    def _substitute(self, match: re.Match[str]) -> str:
        name = match[1]
        if name not in self.substitutions:
            raise TemplateError(f"{self.definition_path}: nothing in DefinitionSubstitutions for ${{{name}}}")
        return json.dumps(self.substitutions[name])[1:-1]


@dataclass(frozen=True, slots=True)
class Template:
    """Everything the template deploys that has a meaning on one machine. Mappings are keyed by logical id."""

    path: Path
    parameters: Mapping[str, str]
    functions: Mapping[str, Function]
    api: Api | None
    websocket_api: WebSocketApi | None
    tables: Mapping[str, Table]
    schedules: tuple[Schedule, ...]
    state_machines: Mapping[str, StateMachine]


def load(path: Path, parameters: Mapping[str, str] | None = None) -> Template:
    """Read the template at `path`, with `parameters` in place of its defaults.

    Also reads what `sam build` writes (`.aws-sam/build/template.yaml`): paths are relative to the template.

    Raises:
        TemplateError: it says something that is not understood completely; see `cloudformation`.
    """
    document = read(path, parameters or {})
    folder = path.parent.resolve()
    layers = {
        layer.arn: (folder / required(layer.logical_id, layer.properties, "ContentUri")).resolve()
        for layer in document.of("AWS::Serverless::LayerVersion")
    }
    functions = {
        resource.logical_id: _function(resource, folder, layers)
        for resource in document.of("AWS::Serverless::Function")
    }
    apis = [_api(resource, document, functions) for resource in document.of("AWS::Serverless::Api")]
    if len(apis) > 1:
        raise TemplateError(f"{path}: the local stack serves one API")
    websocket_apis = [_websocket_api(each, functions) for each in document.of("AWS::Serverless::WebSocketApi")]
    if len(websocket_apis) > 1:
        raise TemplateError(f"{path}: the local stack serves one WebSocket API")
    return Template(
        path=path,
        parameters=document.parameters,
        functions=functions,
        api=apis[0] if apis else None,
        websocket_api=websocket_apis[0] if websocket_apis else None,
        tables={resource.logical_id: _table(resource) for resource in document.of("AWS::DynamoDB::Table")},
        schedules=tuple(_schedules(document, functions)),
        state_machines={
            resource.logical_id: _state_machine(resource, folder)
            for resource in document.of("AWS::Serverless::StateMachine")
        },
    )


# --- functions and their events --------------------------------------------------------------------------------------


def _function(resource: Resource, folder: Path, layers: Mapping[str, Path]) -> Function:
    where, properties = resource.logical_id, resource.properties
    for arn in properties.get("Layers", []):
        if arn not in layers:
            raise TemplateError(f"{where}: the layer {arn} is not in the template")
    variables = only(where, properties.get("Environment", {}), "Variables").get("Variables", {})
    return Function(
        logical_id=resource.logical_id,
        name=resource.name,
        arn=resource.arn,
        handler=required(where, properties, "Handler"),
        code_dir=(folder / required(where, properties, "CodeUri")).resolve(),
        layers=tuple(layers[arn] for arn in properties.get("Layers", [])),
        environment={name: text_of(value) for name, value in variables.items()},
        timeout=int(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
        runtime=required(where, properties, "Runtime"),
    )


def _events(document: Document, type_: str, *known: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """List the functions' events of one type: the function's logical id, where the event stands, its properties."""
    for function in document.of("AWS::Serverless::Function"):
        for name, event in function.properties.get("Events", {}).items():
            where = f"{function.logical_id}.Events.{name}"
            only(where, event, "Type", "Properties")
            if event["Type"] not in ("Api", "ScheduleV2"):
                raise TemplateError(f"{where}: the local stack does not know {event['Type']}")
            if event["Type"] == type_:
                yield function.logical_id, where, only(where, event.get("Properties", {}), *known)


def _schedules(document: Document, functions: Mapping[str, Function]) -> Iterator[Schedule]:
    for_aws = ("Description", "FlexibleTimeWindow", "Name", "RetryPolicy")
    for function, where, event in _events(document, "ScheduleV2", "Input", "ScheduleExpression", *for_aws):
        yield Schedule(
            name=where.replace(".Events.", "-"),
            function=functions[function],
            expression=required(where, event, "ScheduleExpression"),
            input=event.get("Input"),
        )


# --- the API ---------------------------------------------------------------------------------------------------------


_ROUTE = ("Auth", "Method", "Path", "ResponseTransferMode", "RestApiId", "TimeoutInMillis")


def _api(resource: Resource, document: Document, functions: Mapping[str, Function]) -> Api:
    where, properties = resource.logical_id, resource.properties
    auth = only(
        f"{where}.Auth",
        properties.get("Auth", {}),
        *("AddDefaultAuthorizerToCorsPreflight", "Authorizers", "DefaultAuthorizer"),
    )
    if "Cors" in properties and auth.get("AddDefaultAuthorizerToCorsPreflight", True):
        raise TemplateError(f"{where}.Auth: the local stack answers a preflight without asking the authorizer")
    authorizers = {
        name: _authorizer(f"{where}.Auth.Authorizers.{name}", name, raw, functions)
        for name, raw in auth.get("Authorizers", {}).items()
    }
    routes: dict[tuple[str, str], Route] = {}
    for function, event_where, event in _events(document, "Api", *_ROUTE):
        if required(event_where, event, "RestApiId") != resource.name:
            raise TemplateError(f"{event_where}: its RestApiId is not {resource.logical_id}")
        chosen = only(event_where, event.get("Auth", {}), "Authorizer").get("Authorizer", auth.get("DefaultAuthorizer"))
        if chosen not in (*authorizers, "NONE", None):
            raise TemplateError(f"{event_where}: there is no authorizer {chosen}")
        route = Route(
            method=str(required(event_where, event, "Method")).upper(),
            path=required(event_where, event, "Path"),
            function=functions[function],
            authorizer=authorizers.get(chosen),
            streams=event.get("ResponseTransferMode", "BUFFERED") == "RESPONSE_STREAM",
            timeout=int(event.get("TimeoutInMillis", 29_000)) / 1000,
        )
        if (route.method, route.path) in routes:
            raise TemplateError(f"{event_where}: {route.method} {route.path} is there twice")
        routes[route.method, route.path] = route
    return Api(
        id=resource.name,
        stage=required(where, properties, "StageName"),
        routes=tuple(routes.values()),
        cors=_cors(f"{where}.Cors", properties["Cors"]) if "Cors" in properties else None,
        gateway_responses={
            kind: _gateway_response(f"{where}.GatewayResponses.{kind}", raw)
            for kind, raw in properties.get("GatewayResponses", {}).items()
        },
    )


def _websocket_api(resource: Resource, functions: Mapping[str, Function]) -> WebSocketApi:
    where, properties = resource.logical_id, resource.properties
    by_arn = {function.arn: function for function in functions.values()}
    routes = {}
    for key, route in required(where, properties, "Routes").items():
        arn = required(f"{where}.Routes.{key}", only(f"{where}.Routes.{key}", route, "FunctionArn"), "FunctionArn")
        if arn not in by_arn:
            raise TemplateError(f"{where}.Routes.{key}: {arn} is not a function of the template")
        routes[key] = by_arn[arn]
    selection = re.fullmatch(r"\$request\.body\.(\w+)", required(where, properties, "RouteSelectionExpression"))
    if selection is None:
        raise TemplateError(f"{where}: the local stack selects routes by one key of the body")
    return WebSocketApi(
        id=resource.name, stage=properties.get("StageName", "default"), selection=selection[1], routes=routes
    )


def _authorizer(where: str, name: str, raw: Any, functions: Mapping[str, Function]) -> Authorizer:
    only(where, raw, "FunctionArn", "FunctionPayloadType", "Identity")
    if raw.get("FunctionPayloadType") != "REQUEST":
        raise TemplateError(f"{where}: the local stack knows REQUEST authorizers only")
    arn = required(where, raw, "FunctionArn")
    function = next((function for function in functions.values() if function.arn == arn), None)
    if function is None:
        raise TemplateError(f"{where}: {arn} is not a function of the template")
    identity = only(where, raw.get("Identity", {}), "Headers", "ReauthorizeEvery")
    authorizer = Authorizer(
        name, function, int(identity.get("ReauthorizeEvery", 300)), tuple(identity.get("Headers", ()))
    )
    if authorizer.cache_ttl and not authorizer.identity_headers:
        raise TemplateError(f"{where}: a cache needs Identity.Headers for its key")
    return authorizer


def _cors(where: str, raw: Any) -> Cors:
    only(where, raw, "AllowHeaders", "AllowMethods", "AllowOrigin", "MaxAge")
    values = {key: _unquoted(f"{where}.{key}", value) for key, value in raw.items()}
    return Cors(
        allow_origin=required(where, values, "AllowOrigin"),
        allow_methods=required(where, values, "AllowMethods"),
        allow_headers=values.get("AllowHeaders"),
        max_age=values.get("MaxAge"),
    )


def _gateway_response(where: str, raw: Any) -> GatewayResponse:
    only(where, raw, "ResponseParameters", "ResponseTemplates", "StatusCode")
    headers = only(where, raw.get("ResponseParameters", {}), "Headers").get("Headers", {})
    return GatewayResponse(
        status=int(raw["StatusCode"]) if "StatusCode" in raw else None,
        headers={name: _unquoted(f"{where}.{name}", value) for name, value in headers.items()},
        templates=raw.get("ResponseTemplates", {}),
    )


def _unquoted(where: str, value: Any) -> str:
    """Return what stands between the single quotes API Gateway wants around a constant."""
    if not (isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == "'"):
        raise TemplateError(f"{where}: {value!r} is not a constant in single quotes")
    return value[1:-1]


# --- what lasts, and what orchestrates -------------------------------------------------------------------------------


def _table(resource: Resource) -> Table:
    arguments = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "LocalSecondaryIndexes")
    create = {name: resource.properties[name] for name in arguments if name in resource.properties}
    ttl = resource.properties.get("TimeToLiveSpecification", {"Enabled": False})
    return Table(
        logical_id=resource.logical_id,
        name=resource.name,
        create={"TableName": resource.name, **create},
        ttl_attribute=ttl["AttributeName"] if ttl["Enabled"] else None,
    )


def _state_machine(resource: Resource, folder: Path) -> StateMachine:
    where, properties = resource.logical_id, resource.properties
    return StateMachine(
        logical_id=resource.logical_id,
        name=resource.name,
        arn=resource.arn,
        type=properties.get("Type", "STANDARD"),
        definition_path=(folder / required(where, properties, "DefinitionUri")).resolve(),
        substitutions={name: text_of(value) for name, value in properties.get("DefinitionSubstitutions", {}).items()},
    )
