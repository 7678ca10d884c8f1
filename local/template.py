"""Read template.yaml: what it deploys, as plain values.

The local stack and the tests that tie routes, handlers, sample events and documentation together all read the template
through here, so nothing it says is ever said twice. The part of CloudFormation and SAM that this repository uses is
understood completely; anything else is a `TemplateError` that names the place, because a property that is skipped in
silence is a difference between this machine and AWS that nobody sees.

    template = load(Path("template.yaml"), {"CodegenTokenSecret": "codegen-token"})
    template.functions["CreateAgentRun"].environment

A resource without a name of its own is called by its logical id, as `sam local` does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
STACK_NAME = "codegen-runs"

_PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT_ID,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK_NAME,
    "AWS::URLSuffix": "amazonaws.com",
}


class TemplateError(Exception):
    """The template says something that cannot be resolved, or that the local stack has no meaning for."""


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
    """One method of one path. `path` is written as in the template: `/v1/organizations/{org_id}`."""

    method: str
    path: str
    function: Function
    authorizer: Authorizer | None


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
    tables: Mapping[str, Table]
    schedules: tuple[Schedule, ...]
    state_machines: Mapping[str, StateMachine]
    resources: Mapping[str, Mapping[str, Any]] = field(repr=False)
    """Properties of every resource, Globals merged and intrinsics resolved, also of those without a meaning here."""


def load(path: Path, parameters: Mapping[str, str] | None = None) -> Template:
    """Read the template at `path`, with `parameters` in place of its defaults.

    Also reads what `sam build` writes (`.aws-sam/build/template.yaml`): paths are relative to the template.

    Raises:
        TemplateError: see the module.
    """
    document = yaml.load(path.read_text("utf-8"), Loader=_Loader)
    return _Reader(path, document, parameters or {}).template()


# --- YAML ------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms (`!Ref x` is `{"Ref": "x"}`) and no key twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise TemplateError(f"line {node.start_mark.line + 1}: {key} is there twice")
        return super().construct_mapping(node, deep=deep)

    def construct_intrinsic(self, tag: str, node: yaml.Node) -> dict[str, Any]:
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = self.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = self.construct_sequence(node, deep=True)
        else:
            raise TemplateError(f"line {node.start_mark.line + 1}: !{tag} of a mapping")
        if tag == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _Loader.construct_intrinsic)


# --- properties ------------------------------------------------------------------------------------------------------

# What a resource may say, by type: what has a meaning here, and what is for AWS only.
_PROPERTIES: dict[str, tuple[set[str], set[str]]] = {
    "AWS::Serverless::Function": (
        {"CodeUri", "Environment", "Events", "FunctionName", "Handler", "Layers", "MemorySize", "Runtime", "Timeout"},
        {"Architectures", "Description", "LoggingConfig", "Policies", "Tracing"},
    ),
    "AWS::Serverless::LayerVersion": (
        {"ContentUri"},
        {"CompatibleArchitectures", "CompatibleRuntimes", "Description", "RetentionPolicy"},
    ),
    "AWS::Serverless::Api": (
        {"Auth", "Cors", "GatewayResponses", "StageName"},
        {"AccessLogSetting", "Description", "EndpointConfiguration", "Name", "TracingEnabled"},
    ),
    "AWS::Serverless::StateMachine": (
        {"DefinitionSubstitutions", "DefinitionUri", "Name", "Type"},
        {"Logging", "Policies", "Tracing"},
    ),
    "AWS::DynamoDB::Table": (
        {
            *("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema"),
            *("LocalSecondaryIndexes", "TableName", "TimeToLiveSpecification"),
        },
        {"PointInTimeRecoverySpecification", "SSESpecification", "Tags"},
    ),
    "AWS::Logs::LogGroup": ({"LogGroupName"}, {"RetentionInDays"}),
}
_ROUTE = ({"Auth", "Method", "Path", "RestApiId"}, set[str]())
_SCHEDULE = ({"Input", "ScheduleExpression"}, {"Description", "FlexibleTimeWindow", "Name", "RetryPolicy"})

_NAME_PROPERTIES = {
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Serverless::StateMachine": "Name",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Logs::LogGroup": "LogGroupName",
}
_ARNS = {
    "AWS::Serverless::Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "AWS::Serverless::LayerVersion": "arn:aws:lambda:{region}:{account}:layer:{name}:1",
    "AWS::Serverless::StateMachine": "arn:aws:states:{region}:{account}:stateMachine:{name}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:{region}:{account}:table/{name}",
    "AWS::Logs::LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}:*",
}
_REF_IS_ARN = {"AWS::Serverless::LayerVersion", "AWS::Serverless::StateMachine"}


def _only(where: str, value: Any, known: tuple[set[str], set[str]]) -> dict[str, Any]:
    """Return the mapping `value`, all of whose keys are known."""
    if not isinstance(value, dict):
        raise TemplateError(f"{where}: not a mapping")
    for key in value:
        if key not in known[0] | known[1]:
            raise TemplateError(f"{where}: the local stack does not know {key}")
    return value


def _required(where: str, properties: Mapping[str, Any], key: str) -> Any:
    if key not in properties:
        raise TemplateError(f"{where}: {key} is missing")
    return properties[key]


def _text(value: Any) -> str:
    """Write a scalar as CloudFormation hands it on."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unquoted(where: str, value: Any) -> str:
    """Return what stands between the single quotes API Gateway wants around a constant."""
    if not (isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == "'"):
        raise TemplateError(f"{where}: {value!r} is not a constant in single quotes")
    return value[1:-1]


def _merged(general: Any, special: Any) -> Any:
    """Merge a Globals value under a resource's: mappings by key, lists one after the other, else the resource's."""
    if isinstance(general, dict) and isinstance(special, dict):
        both = {key: _merged(general[key], special[key]) for key in general.keys() & special.keys()}
        return {**general, **special, **both}
    if isinstance(general, list) and isinstance(special, list):
        return [*general, *special]
    return special


# --- the reader ------------------------------------------------------------------------------------------------------

_T = TypeVar("_T")


class _Reader:
    """One reading of one document."""

    def __init__(self, path: Path, document: Any, parameters: Mapping[str, str]) -> None:
        sections = {"AWSTemplateFormatVersion", "Transform", "Description", "Metadata"}
        self.document = _only(str(path), document, ({"Parameters", "Globals", "Resources", "Outputs"}, sections))
        self.path = path
        self.types: dict[str, str] = {}
        self.raw: dict[str, dict[str, Any]] = {}
        self.parameters = self._read_parameters(parameters)
        self._read_resources()
        self.properties = {
            name: _only(name, self.resolve(raw, name), _PROPERTIES[self.types[name]]) for name, raw in self.raw.items()
        }
        self.resolve(self.document.get("Outputs", {}), "Outputs")

    def template(self) -> Template:
        functions = self._each("AWS::Serverless::Function", self._function)
        apis = self._each("AWS::Serverless::Api", lambda name: self._api(name, functions))
        if len(apis) > 1:
            raise TemplateError(f"{', '.join(apis)}: the local stack serves one API")
        return Template(
            path=self.path,
            parameters=self.parameters,
            functions=functions,
            api=next(iter(apis.values()), None),
            tables=self._each("AWS::DynamoDB::Table", self._table),
            schedules=tuple(
                self._schedule(where, functions[name], event)
                for name, where, event in self._events("ScheduleV2", _SCHEDULE)
            ),
            state_machines=self._each("AWS::Serverless::StateMachine", self._state_machine),
            resources=self.properties,
        )

    def _each(self, kind: str, read: Callable[[str], _T]) -> dict[str, _T]:
        return {name: read(name) for name, type_ in self.types.items() if type_ == kind}

    # --- parameters, intrinsics and Globals ---

    def _read_parameters(self, overrides: Mapping[str, str]) -> dict[str, str]:
        declared = self.document.get("Parameters", {})
        for name in overrides.keys() - declared.keys():
            raise TemplateError(f"{name}: no such parameter")
        values = {}
        for name, declaration in declared.items():
            if name not in overrides and "Default" not in declaration:
                raise TemplateError(f"{name}: this parameter has no default and needs a value")
            values[name] = _text(overrides.get(name, declaration.get("Default")))
            _check_parameter(name, values[name], declaration)
        return values

    def _read_resources(self) -> None:
        general = _only("Globals", self.document.get("Globals", {}), ({"Function"}, set()))
        for name, resource in self.document.get("Resources", {}).items():
            attributes = {"DeletionPolicy", "DependsOn", "Metadata", "UpdateReplacePolicy"}
            _only(name, resource, ({"Type", "Properties"}, attributes))
            if resource["Type"] not in _PROPERTIES:
                raise TemplateError(f"{name}: the local stack does not know {resource['Type']}")
            self.types[name] = resource["Type"]
            self.raw[name] = _merged(
                general.get(resource["Type"].removeprefix("AWS::Serverless::"), {}), resource.get("Properties", {})
            )

    def resolve(self, value: Any, where: str) -> Any:
        """Return `value` with every intrinsic in it replaced by what it stands for."""
        if isinstance(value, list):
            return [self.resolve(item, f"{where}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, argument), *_ = value.items()
            if key == "Ref":
                return self._reference(argument, where)
            if key == "Fn::GetAtt":
                return self._attribute(argument[0], argument[1], where)
            if key == "Fn::Sub":
                return self._substitution(argument, where)
            if key.startswith("Fn::") or key == "Condition":
                raise TemplateError(f"{where}: the local stack does not know {key}")
        return {key: self.resolve(item, f"{where}.{key}") for key, item in value.items()}

    def _reference(self, name: str, where: str) -> str:
        if name in _PSEUDO_PARAMETERS:
            return _PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return self.parameters[name]
        if name in self.types:
            return self._arn(name, where) if self.types[name] in _REF_IS_ARN else self._name(name)
        raise TemplateError(f"{where}: there is no {name} to refer to")

    def _attribute(self, name: str, attribute: str, where: str) -> str:
        if name not in self.types:
            raise TemplateError(f"{where}: there is no {name} to refer to")
        if attribute == "Arn":
            return self._arn(name, where)
        raise TemplateError(f"{where}: the local stack does not know {name}.{attribute}")

    def _substitution(self, argument: Any, where: str) -> str:
        text, variables = argument if isinstance(argument, list) else (argument, {})

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in variables:
                return _text(self.resolve(variables[name], where))
            if "." in name:
                resource, attribute = name.split(".", 1)
                return self._attribute(resource, attribute, where)
            return self._reference(name, where)

        return re.sub(r"\$\{([^}]*)\}", replace, text)

    def _name(self, logical_id: str) -> str:
        name = self.raw[logical_id].get(_NAME_PROPERTIES.get(self.types[logical_id], ""), logical_id)
        return str(self.resolve(name, logical_id))

    def _arn(self, logical_id: str, where: str) -> str:
        if self.types[logical_id] not in _ARNS:
            raise TemplateError(f"{where}: the local stack does not know the ARN of {logical_id}")
        return _ARNS[self.types[logical_id]].format(region=REGION, account=ACCOUNT_ID, name=self._name(logical_id))

    # --- resources ---

    def _folder(self, where: str, properties: Mapping[str, Any], key: str) -> Path:
        return (self.path.parent / str(_required(where, properties, key))).resolve()

    def _function(self, logical_id: str) -> Function:
        properties = self.properties[logical_id]
        environment = _only(logical_id, properties.get("Environment", {}), ({"Variables"}, set()))
        layers = {
            self._arn(name, logical_id): name for name, kind in self.types.items() if kind.endswith("LayerVersion")
        }
        for arn in properties.get("Layers", []):
            if arn not in layers:
                raise TemplateError(f"{logical_id}: the layer {arn} is not in the template")
        return Function(
            logical_id=logical_id,
            name=self._name(logical_id),
            arn=self._arn(logical_id, logical_id),
            handler=_required(logical_id, properties, "Handler"),
            code_dir=self._folder(logical_id, properties, "CodeUri"),
            layers=tuple(
                self._folder(layers[arn], self.properties[layers[arn]], "ContentUri")
                for arn in properties.get("Layers", [])
            ),
            environment={key: _text(value) for key, value in environment.get("Variables", {}).items()},
            timeout=int(properties.get("Timeout", 3)),
            memory=int(properties.get("MemorySize", 128)),
            runtime=_required(logical_id, properties, "Runtime"),
        )

    def _events(self, kind: str, known: tuple[set[str], set[str]]) -> list[tuple[str, str, dict[str, Any]]]:
        """List the events of one kind: the function's logical id, where the event stands, its properties."""
        found = []
        for name, properties in self.properties.items():
            if self.types[name] != "AWS::Serverless::Function":
                continue
            for event_name, event in properties.get("Events", {}).items():
                where = f"{name}.Events.{event_name}"
                _only(where, event, ({"Type", "Properties"}, set()))
                if event["Type"] not in ("Api", "ScheduleV2"):
                    raise TemplateError(f"{where}: the local stack does not know {event['Type']}")
                if event["Type"] == kind:
                    found.append((name, where, _only(where, event.get("Properties", {}), known)))
        return found

    def _schedule(self, where: str, function: Function, event: Mapping[str, Any]) -> Schedule:
        return Schedule(
            name=where.replace(".Events.", "-"),
            function=function,
            expression=_required(where, event, "ScheduleExpression"),
            input=event.get("Input"),
        )

    def _api(self, logical_id: str, functions: Mapping[str, Function]) -> Api:
        properties = self.properties[logical_id]
        where = f"{logical_id}.Auth"
        auth = _only(
            where,
            properties.get("Auth", {}),
            ({"AddDefaultAuthorizerToCorsPreflight", "Authorizers", "DefaultAuthorizer"}, set()),
        )
        if properties.get("Cors") and auth.get("AddDefaultAuthorizerToCorsPreflight", True):
            raise TemplateError(f"{where}: the local stack answers a preflight without asking the authorizer")
        authorizers = {
            name: self._authorizer(f"{where}.Authorizers.{name}", name, raw, functions)
            for name, raw in auth.get("Authorizers", {}).items()
        }
        default = auth.get("DefaultAuthorizer", "NONE")
        routes: dict[tuple[str, str], Route] = {}
        for function, event_where, event in self._events("Api", _ROUTE):
            if _required(event_where, event, "RestApiId") != self._name(logical_id):
                raise TemplateError(f"{event_where}: its RestApiId is not {logical_id}")
            chosen = _only(event_where, event.get("Auth", {}), ({"Authorizer"}, set())).get("Authorizer", default)
            if chosen != "NONE" and chosen not in authorizers:
                raise TemplateError(f"{event_where}: there is no authorizer {chosen}")
            route = Route(
                method=str(_required(event_where, event, "Method")).upper(),
                path=_required(event_where, event, "Path"),
                function=functions[function],
                authorizer=authorizers.get(chosen),
            )
            if (route.method, route.path) in routes:
                raise TemplateError(f"{event_where}: {route.method} {route.path} is there twice")
            routes[route.method, route.path] = route
        return Api(
            id=self._name(logical_id),
            stage=_required(logical_id, properties, "StageName"),
            routes=tuple(routes.values()),
            cors=_cors(f"{logical_id}.Cors", properties["Cors"]) if "Cors" in properties else None,
            gateway_responses={
                kind: _gateway_response(f"{logical_id}.GatewayResponses.{kind}", raw)
                for kind, raw in properties.get("GatewayResponses", {}).items()
            },
        )

    def _authorizer(self, where: str, name: str, raw: Any, functions: Mapping[str, Function]) -> Authorizer:
        raw = _only(where, raw, ({"FunctionArn", "FunctionPayloadType", "Identity"}, set()))
        if raw.get("FunctionPayloadType") != "REQUEST":
            raise TemplateError(f"{where}: the local stack knows REQUEST authorizers only")
        identity = _only(where, raw.get("Identity", {}), ({"Headers", "ReauthorizeEvery"}, set()))
        arn = _required(where, raw, "FunctionArn")
        function = next((function for function in functions.values() if function.arn == arn), None)
        if function is None:
            raise TemplateError(f"{where}: {arn} is not a function of the template")
        cache_ttl = int(identity.get("ReauthorizeEvery", 300))
        if cache_ttl and not identity.get("Headers"):
            raise TemplateError(f"{where}: a cache needs Identity.Headers for its key")
        return Authorizer(name, function, cache_ttl, tuple(identity.get("Headers", ())))

    def _table(self, logical_id: str) -> Table:
        create = {"TableName": self._name(logical_id), **self.properties[logical_id]}
        ttl = create.pop("TimeToLiveSpecification", {"Enabled": False})
        for key in _PROPERTIES["AWS::DynamoDB::Table"][1]:
            create.pop(key, None)
        return Table(
            logical_id=logical_id,
            name=create["TableName"],
            create=create,
            ttl_attribute=ttl["AttributeName"] if ttl["Enabled"] else None,
        )

    def _state_machine(self, logical_id: str) -> StateMachine:
        properties = self.properties[logical_id]
        return StateMachine(
            logical_id=logical_id,
            name=self._name(logical_id),
            arn=self._arn(logical_id, logical_id),
            type=properties.get("Type", "STANDARD"),
            definition_path=self._folder(logical_id, properties, "DefinitionUri"),
            substitutions={key: _text(value) for key, value in properties.get("DefinitionSubstitutions", {}).items()},
        )


def _check_parameter(name: str, value: str, declaration: Mapping[str, Any]) -> None:
    """Refuse a value that CloudFormation would refuse."""
    known = {"AllowedPattern", "AllowedValues", "MaxLength", "MaxValue", "MinLength", "MinValue", "Type"}
    _only(name, declaration, (known, {"ConstraintDescription", "Default", "Description", "NoEcho"}))
    if declaration.get("Type") not in ("String", "Number"):
        raise TemplateError(f"{name}: the local stack does not know the type {declaration.get('Type')}")
    problem = None
    if declaration["Type"] == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            problem = "is not a number"
        elif not declaration.get("MinValue", float(value)) <= float(value) <= declaration.get("MaxValue", float(value)):
            problem = "is out of range"
    if not declaration.get("MinLength", 0) <= len(value) <= declaration.get("MaxLength", len(value)):
        problem = "is too short or too long"
    if "AllowedPattern" in declaration and not re.fullmatch(declaration["AllowedPattern"], value):
        problem = f"does not match {declaration['AllowedPattern']}"
    if "AllowedValues" in declaration and value not in [_text(allowed) for allowed in declaration["AllowedValues"]]:
        problem = f"is not one of {declaration['AllowedValues']}"
    if problem:
        raise TemplateError(f"parameter {name}: {value!r} {problem}")


def _cors(where: str, raw: Any) -> Cors:
    raw = _only(where, raw, ({"AllowHeaders", "AllowMethods", "AllowOrigin", "MaxAge"}, set()))
    values = {key: _unquoted(f"{where}.{key}", value) for key, value in raw.items()}
    return Cors(
        allow_origin=_required(where, values, "AllowOrigin"),
        allow_methods=_required(where, values, "AllowMethods"),
        allow_headers=values.get("AllowHeaders"),
        max_age=values.get("MaxAge"),
    )


def _gateway_response(where: str, raw: Any) -> GatewayResponse:
    raw = _only(where, raw, ({"ResponseParameters", "ResponseTemplates", "StatusCode"}, set()))
    parameters = _only(where, raw.get("ResponseParameters", {}), ({"Headers"}, set()))
    return GatewayResponse(
        status=int(raw["StatusCode"]) if "StatusCode" in raw else None,
        headers={name: _unquoted(f"{where}.{name}", value) for name, value in parameters.get("Headers", {}).items()},
        templates=raw.get("ResponseTemplates", {}),
    )
