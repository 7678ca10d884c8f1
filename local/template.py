"""Read what template.yaml deploys, as plain values.

The local stack, the OpenAPI document, the benchmarks and the tests read the template through this module. So functions,
routes, tables and schedules are declared in the template only.

    template = load(Path("template.yaml"), {"CodegenTokenSecret": ANY_SECRET})
    template.functions["CreateAgentRun"].environment
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.cloudformation import ACCOUNT_ID, REGION, TemplateError, check_keys, read, required, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from local.cloudformation import Document, Resource

__all__ = [
    "ACCOUNT_ID",
    "ANY_SECRET",
    "REGION",
    "Api",
    "Authorizer",
    "Cors",
    "EventSource",
    "Function",
    "GatewayResponse",
    "Queue",
    "Route",
    "Schedule",
    "StateMachine",
    "Table",
    "Template",
    "TemplateError",
    "WebSocketApi",
    "load",
]


ANY_SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:codegen-token-AbCdEf"
"""A value of the parameter `CodegenTokenSecret` for those who read the template without a secret."""


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function. `timeout` is in seconds, `memory` in MB. `layers` are the folders of its layers."""

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
    """A REQUEST authorizer. `cache_ttl` is in seconds, 0 for no cache. `identity_headers` are the cache's key."""

    name: str
    function: Function
    cache_ttl: int
    identity_headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        method: The HTTP method in upper case, or ANY.
        path: The path as in the template: `/v1/organizations/{org_id}`.
        function: The function that handles the request.
        authorizer: The authorizer that runs first, or None for a public route.
        streams: Whether the response is streamed to the client.
        timeout: Seconds after which the gateway ends the request.
    """

    method: str
    path: str
    function: Function
    authorizer: Authorizer | None
    streams: bool = False
    timeout: float = 29.0


@dataclass(frozen=True, slots=True)
class Cors:
    """The header values of a preflight response, without the template's single quotes."""

    allow_origin: str
    allow_methods: str
    allow_headers: str | None
    max_age: str | None


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """A response of API Gateway itself to one kind of error.

    `templates` maps a media type to a body template. In it and in the values of headers, `$context.name` is a variable.
    """

    status: int | None
    headers: Mapping[str, str]
    templates: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Api:
    """The REST API. `gateway_responses` maps a response type, such as `UNAUTHORIZED`, to its response."""

    id: str
    stage: str
    routes: tuple[Route, ...]
    cors: Cors | None
    gateway_responses: Mapping[str, GatewayResponse]


@dataclass(frozen=True, slots=True)
class WebSocketApi:
    """The WebSocket API. `selection` is the key of a message that holds its route key."""

    id: str
    stage: str
    selection: str
    routes: Mapping[str, Function]

    def route(self, message: str) -> str:
        """Return the key of the route for a message."""
        try:
            content = json.loads(message)
        except (ValueError, RecursionError):
            content = None
        key = content.get(self.selection) if isinstance(content, dict) else None
        return key if isinstance(key, str) and key in self.routes else "$default"


@dataclass(frozen=True, slots=True)
class Table:
    """One DynamoDB table.

    `create` holds the arguments of `create_table`, `ttl_attribute` the name of the attribute with an item's expiry.
    """

    logical_id: str
    name: str
    create: Mapping[str, Any]
    ttl_attribute: str | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule of EventBridge Scheduler. `input` is the event as JSON text, or None for the default event."""

    name: str
    function: Function
    expression: str
    input: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """One SQS queue. `attributes` are those of `create_queue`."""

    logical_id: str
    name: str
    arn: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EventSource:
    """A queue whose messages invoke a function, `batch` at a time and at most `concurrency` at the same time."""

    queue: Queue
    function: Function
    batch: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class StateMachine:
    """One Step Functions state machine."""

    logical_id: str
    name: str
    arn: str
    type: str
    definition_path: Path
    substitutions: Mapping[str, str]

    @property
    def definition(self) -> str:
        """The definition as JSON text, after its substitutions.

        Raises:
            TemplateError: the file is missing, is not JSON, or contains a `${Name}` without a substitution.
        """
        if not self.definition_path.is_file():
            raise TemplateError(f"{self.logical_id}: no definition at {self.definition_path}")
        text = re.sub(r"\$\{([^}]*)\}", self._substitute, self.definition_path.read_text("utf-8"))
        try:
            json.loads(text)
        except ValueError as error:
            raise TemplateError(f"{self.definition_path}: {error}") from error
        return text

    def _substitute(self, match: re.Match[str]) -> str:
        name = match[1]
        if name not in self.substitutions:
            raise TemplateError(f"{self.definition_path}: no entry in DefinitionSubstitutions for ${{{name}}}")
        return json.dumps(self.substitutions[name])[1:-1]


@dataclass(frozen=True, slots=True)
class Template:
    """The resources that the local stack runs. The keys of mappings are logical ids."""

    path: Path
    parameters: Mapping[str, str]
    functions: Mapping[str, Function]
    api: Api | None
    websocket_api: WebSocketApi | None
    tables: Mapping[str, Table]
    schedules: tuple[Schedule, ...]
    queues: Mapping[str, Queue]
    event_sources: tuple[EventSource, ...]
    state_machines: Mapping[str, StateMachine]


def load(
    path: Path, parameters: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None
) -> Template:
    """Read the template at `path`, with `parameters` in place of its defaults.

    It may also be the output of `sam build`, `.aws-sam/build/template.yaml`: paths are relative to the template.

    Args:
        path: The template.
        parameters: Values of its parameters.
        variables: Values of environment variables, for each function that declares them. `sam local --env-vars` does
            the same.

    Raises:
        TemplateError: the template is invalid or not supported, or a parameter has no valid value.
    """
    document = read(path, parameters or {})
    folder = path.parent.resolve()
    layers = {
        layer.arn: (folder / required(layer.logical_id, layer.properties, "ContentUri")).resolve()
        for layer in document.of("AWS::Serverless::LayerVersion")
    }
    functions = {
        resource.logical_id: _function(resource, folder, layers, variables or {})
        for resource in document.of("AWS::Serverless::Function")
    }
    queues = {resource.logical_id: _queue(resource) for resource in document.of("AWS::SQS::Queue")}
    api = _single(document, "AWS::Serverless::Api")
    websocket_api = _single(document, "AWS::Serverless::WebSocketApi")
    return Template(
        path=path,
        parameters=document.parameters,
        functions=functions,
        api=_api(api, document, functions) if api else None,
        websocket_api=_websocket_api(websocket_api, functions) if websocket_api else None,
        tables={resource.logical_id: _table(resource) for resource in document.of("AWS::DynamoDB::Table")},
        schedules=tuple(_schedules(document, functions)),
        queues=queues,
        event_sources=tuple(_event_sources(document, functions, queues)),
        state_machines={
            resource.logical_id: _state_machine(resource, folder)
            for resource in document.of("AWS::Serverless::StateMachine")
        },
    )


def _single(document: Document, type_: str) -> Resource | None:
    resources = document.of(type_)
    if len(resources) > 1:
        raise TemplateError(f"{resources[1].logical_id}: the local stack supports one {type_}")
    return resources[0] if resources else None


# --- functions and their events --------------------------------------------------------------------------------------


def _function(resource: Resource, folder: Path, layers: Mapping[str, Path], given: Mapping[str, str]) -> Function:
    where, properties = resource.logical_id, resource.properties
    layer_arns = properties.get("Layers", [])
    for arn in layer_arns:
        if arn not in layers:
            raise TemplateError(f"{where}: the layer {arn} is not in the template")
    variables = check_keys(where, properties.get("Environment", {}), "Variables").get("Variables", {})
    return Function(
        logical_id=where,
        name=resource.name,
        arn=resource.arn,
        handler=required(where, properties, "Handler"),
        code_dir=(folder / required(where, properties, "CodeUri")).resolve(),
        layers=tuple(layers[arn] for arn in layer_arns),
        environment={name: text_of(given.get(name, value)) for name, value in variables.items()},
        timeout=int(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
        runtime=required(where, properties, "Runtime"),
    )


def _by_arn(arn: str, functions: Mapping[str, Function], where: str) -> Function:
    for function in functions.values():
        if function.arn == arn:
            return function
    raise TemplateError(f"{where}: {arn} is not a function of the template")


def _events(document: Document, type_: str, *known: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the events of one type: the function's logical id, the event's place, and its properties."""
    for function in document.of("AWS::Serverless::Function"):
        for name, event in function.properties.get("Events", {}).items():
            where = f"{function.logical_id}.Events.{name}"
            check_keys(where, event, "Type", "Properties")
            if event["Type"] not in ("Api", "SQS", "ScheduleV2"):
                raise TemplateError(f"{where}: the local stack does not support {event['Type']}")
            if event["Type"] == type_:
                yield function.logical_id, where, check_keys(where, event.get("Properties", {}), *known)


def _schedules(document: Document, functions: Mapping[str, Function]) -> Iterator[Schedule]:
    ignored = ("DeadLetterConfig", "Description", "FlexibleTimeWindow", "Name", "OmitName", "RetryPolicy")
    for function, where, event in _events(document, "ScheduleV2", "Input", "ScheduleExpression", *ignored):
        yield Schedule(
            name=where.replace(".Events.", "-"),
            function=functions[function],
            expression=required(where, event, "ScheduleExpression"),
            input=event.get("Input"),
        )


def _event_sources(
    document: Document, functions: Mapping[str, Function], queues: Mapping[str, Queue]
) -> Iterator[EventSource]:
    by_arn = {queue.arn: queue for queue in queues.values()}
    known = ("BatchSize", "FunctionResponseTypes", "Queue", "ScalingConfig")
    for function, where, event in _events(document, "SQS", *known):
        if event.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            raise TemplateError(f"{where}: the local stack supports ReportBatchItemFailures only")
        arn = required(where, event, "Queue")
        if arn not in by_arn:
            raise TemplateError(f"{where}: {arn} is not a queue of the template")
        yield EventSource(
            queue=by_arn[arn],
            function=functions[function],
            batch=int(event.get("BatchSize", 10)),
            concurrency=int(event.get("ScalingConfig", {}).get("MaximumConcurrency", 10)),
        )


def _queue(resource: Resource) -> Queue:
    attributes = {
        name: json.dumps(value) if isinstance(value, dict) else text_of(value)
        for name, value in resource.properties.items()
        if name in ("MessageRetentionPeriod", "RedrivePolicy", "VisibilityTimeout")
    }
    return Queue(logical_id=resource.logical_id, name=resource.name, arn=resource.arn, attributes=attributes)


# --- APIs ------------------------------------------------------------------------------------------------------------


def _api(resource: Resource, document: Document, functions: Mapping[str, Function]) -> Api:
    where, properties = resource.logical_id, resource.properties
    auth = check_keys(
        f"{where}.Auth",
        properties.get("Auth", {}),
        *("AddDefaultAuthorizerToCorsPreflight", "Authorizers", "DefaultAuthorizer"),
    )
    if "Cors" in properties and auth.get("AddDefaultAuthorizerToCorsPreflight", True):
        raise TemplateError(f"{where}.Auth: the local stack does not support an authorizer of preflight requests")
    authorizers = {
        name: _authorizer(f"{where}.Auth.Authorizers.{name}", name, raw, functions)
        for name, raw in auth.get("Authorizers", {}).items()
    }
    return Api(
        id=resource.name,
        stage=required(where, properties, "StageName"),
        routes=_routes(resource, document, functions, authorizers, auth.get("DefaultAuthorizer", "NONE")),
        cors=_cors(f"{where}.Cors", properties["Cors"]) if "Cors" in properties else None,
        gateway_responses={
            kind: _gateway_response(f"{where}.GatewayResponses.{kind}", raw)
            for kind, raw in properties.get("GatewayResponses", {}).items()
        },
    )


def _routes(
    api: Resource,
    document: Document,
    functions: Mapping[str, Function],
    authorizers: Mapping[str, Authorizer],
    default_authorizer: str,
) -> tuple[Route, ...]:
    routes: dict[tuple[str, str], Route] = {}
    known = ("Auth", "Method", "Path", "ResponseTransferMode", "RestApiId", "TimeoutInMillis")
    for function, where, event in _events(document, "Api", *known):
        if required(where, event, "RestApiId") != api.name:
            raise TemplateError(f"{where}: its RestApiId is not {api.logical_id}")
        authorizer = check_keys(where, event.get("Auth", {}), "Authorizer").get("Authorizer", default_authorizer)
        if authorizer not in (*authorizers, "NONE"):
            raise TemplateError(f"{where}: there is no authorizer {authorizer}")
        route = Route(
            method=str(required(where, event, "Method")).upper(),
            path=required(where, event, "Path"),
            function=functions[function],
            authorizer=authorizers.get(authorizer),
            streams=event.get("ResponseTransferMode", "BUFFERED") == "RESPONSE_STREAM",
            timeout=int(event.get("TimeoutInMillis", 29_000)) / 1000,
        )
        if (route.method, route.path) in routes:
            raise TemplateError(f"{where}: duplicate route {route.method} {route.path}")
        routes[route.method, route.path] = route
    return tuple(routes.values())


def _authorizer(where: str, name: str, raw: Any, functions: Mapping[str, Function]) -> Authorizer:
    check_keys(where, raw, "FunctionArn", "FunctionPayloadType", "Identity")
    if raw.get("FunctionPayloadType") != "REQUEST":
        raise TemplateError(f"{where}: the local stack supports REQUEST authorizers only")
    identity = check_keys(where, raw.get("Identity", {}), "Headers", "ReauthorizeEvery")
    authorizer = Authorizer(
        name=name,
        function=_by_arn(required(where, raw, "FunctionArn"), functions, where),
        cache_ttl=int(identity.get("ReauthorizeEvery", 300)),
        identity_headers=tuple(identity.get("Headers", ())),
    )
    if authorizer.cache_ttl and not authorizer.identity_headers:
        raise TemplateError(f"{where}: a cache needs Identity.Headers for its key")
    return authorizer


def _websocket_api(resource: Resource, functions: Mapping[str, Function]) -> WebSocketApi:
    where, properties = resource.logical_id, resource.properties
    routes = {}
    for key, raw in required(where, properties, "Routes").items():
        route_where = f"{where}.Routes.{key}"
        arn = required(route_where, check_keys(route_where, raw, "FunctionArn"), "FunctionArn")
        routes[key] = _by_arn(arn, functions, route_where)
    selection = re.fullmatch(r"\$request\.body\.(\w+)", required(where, properties, "RouteSelectionExpression"))
    if selection is None:
        raise TemplateError(f"{where}: the local stack supports $request.body.KEY only as RouteSelectionExpression")
    return WebSocketApi(
        id=resource.name, stage=properties.get("StageName", "default"), selection=selection[1], routes=routes
    )


def _cors(where: str, raw: Any) -> Cors:
    check_keys(where, raw, "AllowHeaders", "AllowMethods", "AllowOrigin", "MaxAge")
    values = {key: _unquoted(f"{where}.{key}", value) for key, value in raw.items()}
    return Cors(
        allow_origin=required(where, values, "AllowOrigin"),
        allow_methods=required(where, values, "AllowMethods"),
        allow_headers=values.get("AllowHeaders"),
        max_age=values.get("MaxAge"),
    )


def _gateway_response(where: str, raw: Any) -> GatewayResponse:
    check_keys(where, raw, "ResponseParameters", "ResponseTemplates", "StatusCode")
    headers = check_keys(where, raw.get("ResponseParameters", {}), "Headers").get("Headers", {})
    return GatewayResponse(
        status=int(raw["StatusCode"]) if "StatusCode" in raw else None,
        headers={name: _header(f"{where}.{name}", value) for name, value in headers.items()},
        templates=raw.get("ResponseTemplates", {}),
    )


def _header(where: str, value: Any) -> str:
    """Return the value of a header: `context.name` as the variable `$context.name`, or a constant."""
    return f"${value}" if str(value).startswith("context.") else _unquoted(where, value)


def _unquoted(where: str, value: Any) -> str:
    """Return a constant without the single quotes that API Gateway requires."""
    if not (isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == "'"):
        raise TemplateError(f"{where}: {value!r} is not a constant in single quotes")
    return value[1:-1]


# --- tables and state machines ---------------------------------------------------------------------------------------


def _table(resource: Resource) -> Table:
    arguments = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "LocalSecondaryIndexes")
    given = {name: resource.properties[name] for name in arguments if name in resource.properties}
    ttl = resource.properties.get("TimeToLiveSpecification", {"Enabled": False})
    return Table(
        logical_id=resource.logical_id,
        name=resource.name,
        create={"TableName": resource.name, **given},
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
