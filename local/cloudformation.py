"""Read a CloudFormation template: fill in parameters, merge Globals, resolve intrinsic functions.

This module supports the part of CloudFormation and SAM that the project uses. Anything else raises a `TemplateError`
with its place in the template. If it were ignored, the local stack would silently differ from AWS.

A resource without a name property has its logical id as its name, as in `sam local`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    """The template is invalid, or contains something that the local stack does not support."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource.

    Attributes:
        logical_id: Its key in the template.
        type: Its type, such as `AWS::DynamoDB::Table`.
        name: Its name on AWS.
        arn: Its ARN, or empty for a type whose ARN is not needed.
        properties: Its properties, with those of Globals and without intrinsic functions.
        attributes: What it has beside properties, such as `DeletionPolicy`.
    """

    logical_id: str
    type: str
    name: str
    arn: str
    properties: Mapping[str, Any]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """A template: the values of its parameters, its resources and the values of its outputs, by name."""

    parameters: Mapping[str, str]
    resources: Mapping[str, Resource]
    outputs: Mapping[str, str]

    def of(self, type_: str) -> list[Resource]:
        """Return the resources of one type."""
        return [resource for resource in self.resources.values() if resource.type == type_]


def read(path: Path, parameters: Mapping[str, str]) -> Document:
    """Read the template at `path`, with `parameters` in place of its defaults.

    Raises:
        TemplateError: the template is invalid or not supported, or a parameter has no valid value.
    """
    sections = sections_of(path)
    values = _parameters(sections.get("Parameters", {}), parameters)
    conditions = _Conditions(sections.get("Conditions", {}), values)
    resources = {
        name: resource
        for name, resource in sections.get("Resources", {}).items()
        if "Condition" not in resource or conditions.hold(resource["Condition"], name)
    }
    resolver = _Resolver(_with_globals(resources, sections.get("Globals", {})), values, conditions)
    outputs = resolver.resolve(sections.get("Outputs", {}), "Outputs")
    return Document(
        parameters=values,
        resources={name: resolver.resource(name) for name in resources},
        outputs={name: required(f"Outputs.{name}", output, "Value") for name, output in outputs.items()},
    )


def sections_of(path: Path) -> dict[str, Any]:
    """Return the sections of the template at `path` as they are written.

    Raises:
        TemplateError: it is no mapping, or has a section that the local stack does not support.
    """
    return check_keys(str(path), yaml.load(path.read_text("utf-8"), Loader=_Loader), *_SECTIONS)


def check_keys(where: str, value: Any, *known: str) -> dict[str, Any]:
    """Return `value`, which must be a mapping with known keys only.

    Raises:
        TemplateError: it is no mapping, or has another key.
    """
    if not isinstance(value, dict):
        raise TemplateError(f"{where}: not a mapping")
    for key in value:
        if key not in known:
            raise TemplateError(f"{where}: the local stack does not support {key}")
    return value


def required(where: str, properties: Mapping[str, Any], key: str) -> Any:
    """Return the property `key`.

    Raises:
        TemplateError: it is missing.
    """
    if key not in properties:
        raise TemplateError(f"{where}: {key} is missing")
    return properties[key]


def text_of(value: Any) -> str:
    """Return a scalar as the text that AWS makes of it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- what is supported -----------------------------------------------------------------------------------------------

_SECTIONS = (
    *("AWSTemplateFormatVersion", "Transform", "Description", "Metadata"),
    *("Parameters", "Conditions", "Globals", "Resources", "Outputs"),
)
_ATTRIBUTES = ("Type", "Properties", "Condition", "DeletionPolicy", "DependsOn", "Metadata", "UpdateReplacePolicy")


@dataclass(frozen=True, slots=True)
class _ResourceType:
    """A resource type that the local stack supports.

    Attributes:
        properties: The properties that have an effect in the local stack.
        ignored: The properties that have an effect on AWS only.
        name: The property that holds the resource's name.
        arn: The form of its ARN, without `arn:aws:`.
        ref_is_arn: Whether `Ref` returns the ARN instead of the name.
    """

    properties: tuple[str, ...]
    ignored: tuple[str, ...]
    name: str | None = None
    arn: str | None = None
    ref_is_arn: bool = False


_RESOURCE_TYPES = {
    "AWS::Serverless::Function": _ResourceType(
        ("CodeUri", "Environment", "Events", "FunctionName", "Handler", "Layers", "MemorySize", "Runtime", "Timeout"),
        (
            "Architectures",
            "AutoPublishAlias",
            "AutoPublishAliasAllProperties",
            "DeploymentPreference",
            "Description",
            "EventInvokeConfig",
            "LoggingConfig",
            "Policies",
            "ReservedConcurrentExecutions",
            "Role",
            "Tracing",
            "VersionDeletionPolicy",
        ),
        name="FunctionName",
        arn="lambda:{region}:{account}:function:{name}",
    ),
    "AWS::Serverless::LayerVersion": _ResourceType(
        ("ContentUri", "LayerName"),
        ("CompatibleArchitectures", "CompatibleRuntimes", "Description", "RetentionPolicy"),
        name="LayerName",
        arn="lambda:{region}:{account}:layer:{name}:1",
        ref_is_arn=True,
    ),
    "AWS::Serverless::Api": _ResourceType(
        ("Auth", "Cors", "GatewayResponses", "StageName"),
        (
            *("AccessLogSetting", "AlwaysDeploy", "Description", "EndpointConfiguration", "Name", "OpenApiVersion"),
            *("MethodSettings", "MinimumCompressionSize", "TracingEnabled"),
        ),
    ),
    "AWS::Serverless::WebSocketApi": _ResourceType(
        ("RouteSelectionExpression", "Routes", "StageName"),
        ("AccessLogSettings", "DefaultRouteSettings", "Description", "Name"),
    ),
    "AWS::Serverless::StateMachine": _ResourceType(
        ("DefinitionSubstitutions", "DefinitionUri", "Name", "Type"),
        ("Logging", "Policies", "Tracing"),
        name="Name",
        arn="states:{region}:{account}:stateMachine:{name}",
        ref_is_arn=True,
    ),
    "AWS::DynamoDB::Table": _ResourceType(
        (
            *("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema"),
            *("LocalSecondaryIndexes", "TableName", "TimeToLiveSpecification"),
        ),
        ("PointInTimeRecoverySpecification", "ResourcePolicy", "SSESpecification", "Tags"),
        name="TableName",
        arn="dynamodb:{region}:{account}:table/{name}",
    ),
    "AWS::CloudWatch::Alarm": _ResourceType(
        (),
        (
            *("AlarmActions", "AlarmDescription", "ComparisonOperator", "Dimensions", "EvaluationPeriods"),
            *("ExtendedStatistic", "MetricName", "Metrics", "Namespace", "OKActions", "Period", "Statistic"),
            *("Threshold", "TreatMissingData"),
        ),
    ),
    "AWS::CloudWatch::Dashboard": _ResourceType((), ("DashboardBody", "DashboardName")),
    "AWS::IAM::ManagedPolicy": _ResourceType(
        (), ("PolicyDocument",), arn="iam::{account}:policy/{name}", ref_is_arn=True
    ),
    "AWS::IAM::Role": _ResourceType(
        (),
        ("AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "Policies"),
        name="RoleName",
        arn="iam::{account}:role/{name}",
    ),
    "AWS::Logs::LogGroup": _ResourceType(
        ("LogGroupName",), ("RetentionInDays",), name="LogGroupName", arn="logs:{region}:{account}:log-group:{name}:*"
    ),
    "AWS::Logs::MetricFilter": _ResourceType((), ("FilterPattern", "LogGroupName", "MetricTransformations")),
    "AWS::SecretsManager::Secret": _ResourceType(
        ("GenerateSecretString",),
        ("Description",),
        arn="secretsmanager:{region}:{account}:secret:{name}",
        ref_is_arn=True,
    ),
    "AWS::SNS::Topic": _ResourceType(
        (), ("DisplayName", "Subscription"), name="TopicName", arn="sns:{region}:{account}:{name}", ref_is_arn=True
    ),
    "AWS::SQS::Queue": _ResourceType(
        ("MessageRetentionPeriod", "QueueName", "RedrivePolicy", "VisibilityTimeout"),
        ("SqsManagedSseEnabled",),
        name="QueueName",
        arn="sqs:{region}:{account}:{name}",
    ),
}


# --- YAML ------------------------------------------------------------------------------------------------------------


if TYPE_CHECKING:
    from yaml import SafeLoader
else:
    # The loader in C, if PyYAML has it, takes a twentieth of the time.
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(SafeLoader):
    """Loads YAML with CloudFormation's short forms: `!Ref x` is `{"Ref": "x"}`. Refuses duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise TemplateError(f"line {node.start_mark.line + 1}: duplicate key {key}")
        return super().construct_mapping(node, deep=deep)

    def construct_intrinsic(self, tag: str, node: yaml.Node) -> dict[str, Any]:
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = self.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = self.construct_sequence(node, deep=True)
        else:
            raise TemplateError(f"line {node.start_mark.line + 1}: !{tag} takes no mapping")
        if tag == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _Loader.construct_intrinsic)


# --- parameters and Globals ------------------------------------------------------------------------------------------


def _parameters(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    for name in given.keys() - declared.keys():
        raise TemplateError(f"parameter {name}: not in the template")
    values = {}
    for name, declaration in declared.items():
        if name not in given and "Default" not in declaration:
            raise TemplateError(f"parameter {name}: has no default and needs a value")
        values[name] = text_of(given.get(name, declaration.get("Default")))
        if problem := _problem(name, values[name], declaration):
            raise TemplateError(f"parameter {name}: {values[name]!r} {problem}")
    return values


def _problem(name: str, value: str, declaration: Mapping[str, Any]) -> str | None:
    """Return why CloudFormation would refuse the value of a parameter, or None."""
    constraints = ("AllowedPattern", "AllowedValues", "MaxLength", "MaxValue", "MinLength", "MinValue")
    check_keys(name, declaration, *constraints, "ConstraintDescription", "Default", "Description", "NoEcho", "Type")
    if declaration.get("Type") not in ("String", "Number"):
        raise TemplateError(f"parameter {name}: the local stack does not support the type {declaration.get('Type')}")
    if declaration["Type"] == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            return "is not a number"
        if not declaration.get("MinValue", float(value)) <= float(value) <= declaration.get("MaxValue", float(value)):
            return "is out of range"
    if not declaration.get("MinLength", 0) <= len(value) <= declaration.get("MaxLength", len(value)):
        return "is too short or too long"
    if "AllowedPattern" in declaration and not re.fullmatch(declaration["AllowedPattern"], value):
        return f"does not match {declaration['AllowedPattern']}"
    if "AllowedValues" in declaration and value not in map(text_of, declaration["AllowedValues"]):
        return f"is not one of {declaration['AllowedValues']}"
    return None


@dataclass(frozen=True, slots=True)
class _Conditions:
    """The conditions of a template, with the values of its parameters."""

    conditions: Mapping[str, Any]
    parameters: Mapping[str, str]

    def hold(self, name: str, where: str) -> bool:
        """Return whether a condition holds. `where` is the place that names it, for errors."""
        return self._holds({"Condition": name}, where)

    def _holds(self, condition: Any, where: str) -> bool:
        match condition:
            case {"Condition": str(name)} if name in self.conditions:
                return self._holds(self.conditions[name], name)
            case {"Fn::Not": [negated]}:
                return not self._holds(negated, where)
            case {"Fn::Equals": [{"Ref": str(name)}, other]} if name in self.parameters:
                return self.parameters[name] == text_of(other)
        raise TemplateError(f"{where}: the local stack does not support the condition {condition}")


def _with_globals(resources: Mapping[str, Any], globals_: Any) -> dict[str, Any]:
    """Return the resources with the properties of Globals merged into their own."""
    check_keys("Globals", globals_, "Function")
    merged = {}
    for name, resource in resources.items():
        type_ = check_keys(name, resource, *_ATTRIBUTES)["Type"]
        if type_ not in _RESOURCE_TYPES:
            raise TemplateError(f"{name}: the local stack does not support {type_}")
        defaults = globals_.get(type_.removeprefix("AWS::Serverless::"), {})
        merged[name] = {**resource, "Properties": _merged(defaults, resource.get("Properties", {}))}
    return merged


def _merged(default: Any, own: Any) -> Any:
    """Merge a value of Globals with a resource's own: mappings by key, lists joined, otherwise the own value wins."""
    if isinstance(default, dict) and isinstance(own, dict):
        both = {key: _merged(default[key], own[key]) for key in default.keys() & own.keys()}
        return {**default, **own, **both}
    if isinstance(default, list) and isinstance(own, list):
        return [*default, *own]
    return own


# --- intrinsic functions ---------------------------------------------------------------------------------------------


_NO_VALUE = object()
"""The value of `AWS::NoValue`, which removes its property or its item."""


@dataclass(frozen=True, slots=True)
class _Resolver:
    """Replaces `Ref`, `Fn::GetAtt`, `Fn::Sub` and `Fn::If` by their values."""

    resources: Mapping[str, Any]
    parameters: Mapping[str, str]
    conditions: _Conditions

    def resource(self, name: str) -> Resource:
        type_ = self._type(name)
        properties = self.resolve(self.resources[name]["Properties"], name)
        return Resource(
            logical_id=name,
            type=self.resources[name]["Type"],
            name=self._name(name),
            arn=self._arn(name) if type_.arn else "",
            properties=check_keys(name, properties, *type_.properties, *type_.ignored),
            attributes={key: value for key, value in self.resources[name].items() if key not in ("Type", "Properties")},
        )

    def resolve(self, value: Any, where: str) -> Any:
        """Return `value` with all references replaced. `where` is its place in the template, for errors."""
        if isinstance(value, list):
            items = [self.resolve(item, f"{where}[{index}]") for index, item in enumerate(value)]
            return [item for item in items if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        match list(value.items()):
            case [("Ref", "AWS::NoValue")]:
                return _NO_VALUE
            case [("Ref", name)]:
                return self._reference(name, where)
            case [("Fn::If", [str(condition), then, otherwise])]:
                return self.resolve(then if self.conditions.hold(condition, where) else otherwise, where)
            case [("Fn::GetAtt", [name, attribute])]:
                return self._attribute(name, attribute, where)
            case [("Fn::Sub", [text, variables])]:
                return self._substituted(text, variables, where)
            case [("Fn::Sub", text)]:
                return self._substituted(text, {}, where)
            case [(str(key), _)] if key.startswith("Fn::") or key == "Condition":
                raise TemplateError(f"{where}: the local stack does not support {key}")
        resolved = {key: self.resolve(item, f"{where}.{key}") for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not _NO_VALUE}

    def _reference(self, name: str, where: str) -> str:
        if name in _PSEUDO_PARAMETERS:
            return _PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return self.parameters[name]
        if name in self.resources:
            if self.resources[name]["Type"] == "AWS::SQS::Queue":
                return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{self._name(name)}"
            return self._arn(name) if self._type(name).ref_is_arn else self._name(name)
        raise TemplateError(f"{where}: {name} is not in the template")

    def _attribute(self, name: str, attribute: str, where: str) -> str:
        if name not in self.resources:
            raise TemplateError(f"{where}: {name} is not in the template")
        if attribute == self._type(name).name:
            return self._name(name)
        if attribute != "Arn" or not self._type(name).arn:
            raise TemplateError(f"{where}: the local stack does not support {name}.{attribute}")
        return self._arn(name)

    def _substituted(self, text: str, variables: Mapping[str, Any], where: str) -> str:
        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):  # `${!x}` stands for a literal `${x}`.
                return f"${{{name[1:]}}}"
            if name in variables:
                return text_of(self.resolve(variables[name], where))
            resource, _, attribute = name.partition(".")
            return self._attribute(resource, attribute, where) if attribute else self._reference(name, where)

        return self._dynamic(re.sub(r"\$\{([^}]*)\}", replace, text), where)

    def _dynamic(self, text: str, where: str) -> str:
        """Replace a dynamic reference to a secret that the template generates by the name of the secret.

        A generated secret is always the same in the local stack, so that nothing depends on which one it was.
        """
        if "{{resolve:" not in text:
            return text
        generated = {
            self._arn(name): name for name in self.resources if "GenerateSecretString" in self._properties(name)
        }
        found = re.fullmatch(r"\{\{resolve:secretsmanager:(.+):SecretString\}\}", text)
        if not found or found[1] not in generated:
            raise TemplateError(f"{where}: the local stack does not support {text}")
        return f"generated-{generated[found[1]]}"

    def _properties(self, name: str) -> Mapping[str, Any]:
        properties: Mapping[str, Any] = self.resources[name]["Properties"]
        return properties

    def _type(self, name: str) -> _ResourceType:
        return _RESOURCE_TYPES[self.resources[name]["Type"]]

    def _name(self, name: str) -> str:
        own_name = self.resources[name]["Properties"].get(self._type(name).name, name)
        return str(self.resolve(own_name, name))

    def _arn(self, name: str) -> str:
        form = self._type(name).arn
        assert form
        return "arn:aws:" + form.format(region=REGION, account=ACCOUNT_ID, name=self._name(name))
