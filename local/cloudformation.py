"""Read a CloudFormation document: parameters filled in, Globals merged, intrinsics resolved.

The part of CloudFormation and SAM that this repository uses is understood completely. Anything else is a
`TemplateError` that names the place, because a property that is skipped in silence is a difference between this machine
and AWS that nobody sees.

A resource without a name of its own is called by its logical id, as `sam local` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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
class Resource:
    """One resource. `properties` are resolved; `arn` is empty for a type that nothing here needs the ARN of."""

    logical_id: str
    type: str
    name: str
    arn: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """Parameters and resources by name."""

    parameters: Mapping[str, str]
    resources: Mapping[str, Resource]

    def of(self, type_: str) -> list[Resource]:
        """Return the resources of one type."""
        return [resource for resource in self.resources.values() if resource.type == type_]


def read(path: Path, parameters: Mapping[str, str]) -> Document:
    """Read the document at `path`, with `parameters` in place of its defaults.

    Raises:
        TemplateError: see the module.
    """
    text = yaml.load(path.read_text("utf-8"), Loader=_Loader)
    document = only(str(path), text, *_SECTIONS)
    values = _parameters(document.get("Parameters", {}), parameters)
    resources = _created(document.get("Resources", {}), document.get("Conditions", {}), values)
    return _Resolver(
        types=_types(resources),
        raw=_with_globals(resources, document.get("Globals", {})),
        parameters=values,
    ).document(document.get("Outputs", {}))


def only(where: str, value: Any, *known: str) -> dict[str, Any]:
    """Return the mapping `value`, all of whose keys are known.

    Raises:
        TemplateError: one is not.
    """
    if not isinstance(value, dict):
        raise TemplateError(f"{where}: not a mapping")
    for key in value:
        if key not in known:
            raise TemplateError(f"{where}: the local stack does not know {key}")
    return value


def required(where: str, properties: Mapping[str, Any], key: str) -> Any:
    """Return one of the properties.

    Raises:
        TemplateError: it is not there.
    """
    if key not in properties:
        raise TemplateError(f"{where}: {key} is missing")
    return properties[key]


def text_of(value: Any) -> str:
    """Write a scalar as AWS hands it on."""
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- what is known ---------------------------------------------------------------------------------------------------

_SECTIONS = (
    *("AWSTemplateFormatVersion", "Transform", "Description", "Metadata"),
    *("Parameters", "Conditions", "Globals", "Resources", "Outputs"),
)
_ATTRIBUTES = ("Type", "Properties", "Condition", "DeletionPolicy", "DependsOn", "Metadata", "UpdateReplacePolicy")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type of resource: the properties that mean something here, those for AWS only, and how it is referred to."""

    properties: tuple[str, ...]
    for_aws: tuple[str, ...]
    name: str | None = None
    arn: str | None = None
    ref_is_arn: bool = False


_KINDS = {
    "AWS::Serverless::Function": _Kind(
        ("CodeUri", "Environment", "Events", "FunctionName", "Handler", "Layers", "MemorySize", "Runtime", "Timeout"),
        ("Architectures", "Description", "LoggingConfig", "Policies", "Tracing"),
        name="FunctionName",
        arn="lambda:{region}:{account}:function:{name}",
    ),
    "AWS::Serverless::LayerVersion": _Kind(
        ("ContentUri",),
        ("CompatibleArchitectures", "CompatibleRuntimes", "Description", "RetentionPolicy"),
        arn="lambda:{region}:{account}:layer:{name}:1",
        ref_is_arn=True,
    ),
    "AWS::Serverless::Api": _Kind(
        ("Auth", "Cors", "GatewayResponses", "StageName"),
        ("AccessLogSetting", "Description", "EndpointConfiguration", "Name", "TracingEnabled"),
    ),
    "AWS::Serverless::WebSocketApi": _Kind(
        ("RouteSelectionExpression", "Routes", "StageName"),
        ("AccessLogSettings", "DefaultRouteSettings", "Description", "Name"),
    ),
    "AWS::Serverless::StateMachine": _Kind(
        ("DefinitionSubstitutions", "DefinitionUri", "Name", "Type"),
        ("Logging", "Policies", "Tracing"),
        name="Name",
        arn="states:{region}:{account}:stateMachine:{name}",
        ref_is_arn=True,
    ),
    "AWS::DynamoDB::Table": _Kind(
        (
            *("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema"),
            *("LocalSecondaryIndexes", "TableName", "TimeToLiveSpecification"),
        ),
        ("PointInTimeRecoverySpecification", "SSESpecification", "Tags"),
        name="TableName",
        arn="dynamodb:{region}:{account}:table/{name}",
    ),
    "AWS::IAM::ManagedPolicy": _Kind((), ("PolicyDocument",), arn="iam::{account}:policy/{name}", ref_is_arn=True),
    "AWS::Logs::LogGroup": _Kind(
        ("LogGroupName",), ("RetentionInDays",), name="LogGroupName", arn="logs:{region}:{account}:log-group:{name}:*"
    ),
}


# --- YAML ------------------------------------------------------------------------------------------------------------


if TYPE_CHECKING:
    from yaml import SafeLoader
else:
    # In C where PyYAML was built with it, which reads the template in a twentieth of the time.
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(SafeLoader):
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


# --- parameters and Globals ------------------------------------------------------------------------------------------


def _parameters(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    for name in given.keys() - declared.keys():
        raise TemplateError(f"{name}: no such parameter")
    values = {}
    for name, declaration in declared.items():
        if name not in given and "Default" not in declaration:
            raise TemplateError(f"{name}: this parameter has no default and needs a value")
        values[name] = text_of(given.get(name, declaration.get("Default")))
        if problem := _problem(name, values[name], declaration):
            raise TemplateError(f"parameter {name}: {values[name]!r} {problem}")
    return values


def _problem(name: str, value: str, declaration: Mapping[str, Any]) -> str | None:
    """Return why CloudFormation would refuse the value of a parameter."""
    constraints = ("AllowedPattern", "AllowedValues", "MaxLength", "MaxValue", "MinLength", "MinValue")
    only(name, declaration, *constraints, "ConstraintDescription", "Default", "Description", "NoEcho", "Type")
    if declaration.get("Type") not in ("String", "Number"):
        raise TemplateError(f"{name}: the local stack does not know the type {declaration.get('Type')}")
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


def _created(
    resources: Mapping[str, Any], conditions: Mapping[str, Any], parameters: Mapping[str, str]
) -> dict[str, Any]:
    """Return the resources that are created: those without a condition, and those whose condition holds."""

    def holds(condition: Any, where: str) -> bool:
        match condition:
            case {"Condition": str(name)} if name in conditions:
                return holds(conditions[name], name)
            case {"Fn::Not": [negated]}:
                return not holds(negated, where)
            case {"Fn::Equals": [{"Ref": str(name)}, other]} if name in parameters:
                return parameters[name] == text_of(other)
        raise TemplateError(f"{where}: the local stack does not know the condition {condition}")

    return {
        name: resource
        for name, resource in resources.items()
        if "Condition" not in resource or holds({"Condition": resource["Condition"]}, name)
    }


def _types(resources: Mapping[str, Any]) -> dict[str, str]:
    for name, resource in resources.items():
        if only(name, resource, *_ATTRIBUTES)["Type"] not in _KINDS:
            raise TemplateError(f"{name}: the local stack does not know {resource['Type']}")
    return {name: resource["Type"] for name, resource in resources.items()}


def _with_globals(resources: Mapping[str, Any], general: Any) -> dict[str, Any]:
    """Return the properties of each resource, those of Globals merged in."""
    only("Globals", general, "Function")
    return {
        name: _merged(
            general.get(resource["Type"].removeprefix("AWS::Serverless::"), {}), resource.get("Properties", {})
        )
        for name, resource in resources.items()
    }


def _merged(general: Any, special: Any) -> Any:
    """Merge a Globals value under a resource's: mappings by key, lists one after the other, else the resource's."""
    if isinstance(general, dict) and isinstance(special, dict):
        both = {key: _merged(general[key], special[key]) for key in general.keys() & special.keys()}
        return {**general, **special, **both}
    if isinstance(general, list) and isinstance(special, list):
        return [*general, *special]
    return special


# --- intrinsics ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Resolver:
    """Replaces `Ref`, `Fn::GetAtt` and `Fn::Sub` by what they stand for."""

    types: Mapping[str, str]
    raw: Mapping[str, Any]
    parameters: Mapping[str, str]

    def document(self, outputs: Any) -> Document:
        """Resolve everything; of `outputs` nothing is kept, but what they refer to must be there."""
        self._resolve(outputs, "Outputs")
        return Document(self.parameters, {name: self._resource(name) for name in self.types})

    def _resource(self, name: str) -> Resource:
        kind = _KINDS[self.types[name]]
        properties = only(name, self._resolve(self.raw[name], name), *kind.properties, *kind.for_aws)
        return Resource(name, self.types[name], self._name(name), self._arn(name) if kind.arn else "", properties)

    def _resolve(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [self._resolve(item, f"{where}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, argument), *_ = value.items()
            if key == "Ref":
                return self._reference(argument, where)
            if key == "Fn::GetAtt":
                return self._attribute(argument, where)
            if key == "Fn::Sub":
                return self._substitution(argument, where)
            if key.startswith("Fn::") or key == "Condition":
                raise TemplateError(f"{where}: the local stack does not know {key}")
        return {key: self._resolve(item, f"{where}.{key}") for key, item in value.items()}

    def _reference(self, name: str, where: str) -> str:
        if name in _PSEUDO_PARAMETERS:
            return _PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return self.parameters[name]
        if name in self.types:
            return self._arn(name) if _KINDS[self.types[name]].ref_is_arn else self._name(name)
        raise TemplateError(f"{where}: there is no {name} to refer to")

    def _attribute(self, argument: Iterable[str], where: str) -> str:
        name, attribute = argument
        if name not in self.types:
            raise TemplateError(f"{where}: there is no {name} to refer to")
        if attribute != "Arn" or not _KINDS[self.types[name]].arn:
            raise TemplateError(f"{where}: the local stack does not know {name}.{attribute}")
        return self._arn(name)

    def _substitution(self, argument: Any, where: str) -> str:
        text, variables = argument if isinstance(argument, list) else (argument, {})

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in variables:
                return text_of(self._resolve(variables[name], where))
            return self._attribute(name.split(".", 1), where) if "." in name else self._reference(name, where)

        return re.sub(r"\$\{([^}]*)\}", replace, text)

    def _name(self, name: str) -> str:
        own_name = self.raw[name].get(_KINDS[self.types[name]].name, name)
        return str(self._resolve(own_name, name))

    def _arn(self, name: str) -> str:
        form = _KINDS[self.types[name]].arn
        assert form
        return "arn:aws:" + form.format(region=REGION, account=ACCOUNT_ID, name=self._name(name))
