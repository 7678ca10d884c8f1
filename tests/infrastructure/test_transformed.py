"""What CloudFormation gets: the template after the SAM transform. The translator is in `.venv-sam` (`make check`)."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from local.template import ANY_SECRET
from tests.support.sources import ROOT

TRANSFORM = ROOT / "tests" / "support" / "sam_transform.py"
PYTHON = ROOT / ".venv-sam" / "bin" / "python"

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not PYTHON.is_file(), reason="the SAM translator is not installed: run `make check`"),
]

Transformed = dict[str, Any]

# A deployment, another time, and every parameter that the API's definition contains.
FIRST, AGAIN = {"parameters": {}, "time": 1}, {"parameters": {}, "time": 2}
CHANGED = {"LiveStreaming": "true", "AllowedOrigin": "https://ui.example", "StageName": "v1"}
GRADUAL = {"parameters": {"GradualDeployments": "true"}, "time": 1}


@cache
def transformed() -> tuple[Transformed, ...]:
    """Return the template of the first deployment, of a second, of each changed parameter, and of a gradual one."""
    wanted = [
        {"parameters": {"CodegenTokenSecret": ANY_SECRET, **each["parameters"]}, "time": each["time"]}
        for each in (FIRST, AGAIN, *({"parameters": {name: CHANGED[name]}, "time": 2} for name in CHANGED), GRADUAL)
    ]
    environment = os.environ | {"AWS_DEFAULT_REGION": "us-east-1"}
    command = [str(PYTHON), str(TRANSFORM)]
    result = subprocess.run(command, input=json.dumps(wanted), capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return tuple(json.loads(result.stdout))


@pytest.fixture
def first() -> Transformed:
    return transformed()[0]


def of_type(template: Transformed, *types: str) -> dict[str, Any]:
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] in types}


def properties(template: Transformed, type_: str) -> list[Any]:
    return [resource["Properties"] for resource in of_type(template, type_).values()]


def deployment_of_stage(template: Transformed) -> str:
    (stage,) = properties(template, "AWS::ApiGateway::Stage")
    return str(stage["DeploymentId"]["Ref"])


# --- changes reach the stage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_parameter_makes_a_new_deployment_of_the_api(first: Transformed, name: str) -> None:
    """A deployment is a copy of the API. Without a new one, the stage keeps routes to functions that are deleted."""
    changed = transformed()[2 + list(CHANGED).index(name)]

    assert deployment_of_stage(first) != deployment_of_stage(changed)


def test_every_deployment_of_the_stack_makes_a_new_deployment_of_the_api(first: Transformed) -> None:
    assert deployment_of_stage(first) != deployment_of_stage(transformed()[1])


def test_the_api_has_one_stage(first: Transformed) -> None:
    """SAM adds a public stage named `Stage` to an API without a version of OpenAPI."""
    assert len(of_type(first, "AWS::ApiGateway::Stage")) == 1
    assert ["StageName" in each for each in properties(first, "AWS::ApiGateway::Deployment")] == [False]


def test_the_websocket_api_deploys_its_changes_itself(first: Transformed) -> None:
    assert [stage["AutoDeploy"] for stage in properties(first, "AWS::ApiGatewayV2::Stage")] == [True]


def test_a_resource_refers_to_a_conditional_one_under_its_condition_only(first: Transformed) -> None:
    """CloudFormation refuses a template that refers to a resource which LiveStreaming leaves out."""
    conditions = {name: each["Condition"] for name, each in first["Resources"].items() if "Condition" in each}
    unguarded = [
        (name, reference)
        for name, resource in first["Resources"].items()
        for reference, guards in references(resource, {resource.get("Condition")})
        if conditions.get(reference) not in (None, *guards)
    ]

    assert set(conditions.values()) == {"StreamsLive", "WritesAccessLogs"}
    assert unguarded == []


def references(value: Any, guards: set[str | None]) -> Iterator[tuple[str, set[str | None]]]:
    """Yield each resource that a value refers to, with the conditions under which it does."""
    match value:
        case list():
            for item in value:
                yield from references(item, guards)
        case {"Fn::If": [condition, then, otherwise]}:
            yield from references(then, guards | {condition})
            yield from references(otherwise, guards)
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            yield name, guards
        case {"Fn::Sub": text}:
            parts = text if isinstance(text, list) else [text]
            yield from ((name, guards) for name in re.findall(r"\$\{(\w+)", parts[0]))
            yield from references(parts[1:], guards)
        case dict():
            for item in value.values():
                yield from references(item, guards)


# --- two stacks in one account and region ----------------------------------------------------------------------------


NAMES = re.compile(r"\w*Name")
# What is not the name of a resource, but names something inside the resource or another resource.
NOT_A_NAME = {"AttributeName", "IndexName", "FunctionName", "MetricName", "StageName", "PolicyName"}


def names(value: Any) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if NAMES.fullmatch(key) and key not in NOT_A_NAME:
            yield item


def test_no_resource_has_a_name_that_a_second_stack_would_have(first: Transformed) -> None:
    named = {
        logical_id: given
        for logical_id, resource in first["Resources"].items()
        if resource["Type"] != "AWS::Lambda::Alias"  # its name is one inside its function
        if (given := [json.dumps(name) for name in names(resource.get("Properties"))])
    }

    assert named
    for logical_id, given in named.items():
        assert all("AWS::StackName" in name or name.startswith('{"Ref"') for name in given), logical_id


def test_a_function_has_no_name_of_its_own(first: Transformed) -> None:
    """`FunctionName` is also the property of permissions, so the test above does not look at it."""
    assert not [each for each in properties(first, "AWS::Lambda::Function") if "FunctionName" in each]


# --- a failed creation -----------------------------------------------------------------------------------------------


def test_a_failed_first_deployment_leaves_nothing_behind(first: Transformed) -> None:
    """CloudFormation keeps a resource with the policy Retain even if it rolls back the stack's creation."""
    policies = {resource.get("DeletionPolicy") for resource in first["Resources"].values()}

    assert policies == {None, "Delete", "RetainExceptOnCreate"}


def test_only_tables_outlive_the_stack(first: Transformed) -> None:
    kept = {
        resource["Type"]
        for resource in first["Resources"].values()
        if "Delete" not in (resource.get("DeletionPolicy", "Delete"), resource.get("UpdateReplacePolicy", "Delete"))
    }

    assert kept == {"AWS::DynamoDB::Table"}


# --- asynchronous invocations ----------------------------------------------------------------------------------------


def function_of(arn: Any) -> str:
    return str(arn["Fn::GetAtt"][0])


def role_of(template: Transformed, logical_id: str) -> str:
    return json.dumps(template["Resources"][logical_id]["Properties"])


def test_the_failed_events_go_to_a_queue_that_keeps_them_for_two_weeks(first: Transformed) -> None:
    queue = first["Resources"]["FailedEvents"]["Properties"]

    assert queue == {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}


def test_a_function_that_is_invoked_asynchronously_is_never_retried(first: Transformed) -> None:
    """By default Lambda runs a failed event twice more, and retries a throttled one for six hours."""
    configured = {each["FunctionName"]["Ref"]: each for each in properties(first, "AWS::Lambda::EventInvokeConfig")}
    scheduled = {function_of(each["Target"]["Arn"]) for each in properties(first, "AWS::Scheduler::Schedule")}

    assert configured.keys() == scheduled | kicked(first)
    for function, config in configured.items():
        assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (0, 60)
        assert config["Qualifier"] == "$LATEST"
        assert config["DestinationConfig"] == {"OnFailure": {"Destination": QUEUE}}
        assert allows_sending(first, f"{function}Role")


def kicked(template: Transformed) -> set[str]:
    """Return the functions that other functions may invoke. They do it asynchronously; see `backend.invoke_poller`."""
    found = set()
    for policy in properties(template, "AWS::IAM::ManagedPolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement.get("Action") == ["lambda:InvokeFunction"]:
                found.add(function_of(statement["Resource"]))
    return found


def test_a_schedule_never_retries_and_gives_up_before_the_next_tick_but_one(first: Transformed) -> None:
    schedules = properties(first, "AWS::Scheduler::Schedule")

    assert schedules
    for schedule in schedules:
        target = schedule["Target"]
        assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
        assert target["DeadLetterConfig"] == {"Arn": QUEUE}
        assert allows_sending(first, target["RoleArn"]["Fn::GetAtt"][0])


QUEUE = {"Fn::GetAtt": ["FailedEvents", "Arn"]}


def allows_sending(template: Transformed, role: str) -> bool:
    statements = [
        statement
        for policy in template["Resources"][role]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    return {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": QUEUE} in statements


# --- partitions ------------------------------------------------------------------------------------------------------


def test_the_template_names_no_partition_and_no_domain_of_aws() -> None:
    """The transform writes the ARNs of the partition that it runs in."""
    lines = Path(ROOT / "template.yaml").read_text("utf-8").splitlines()
    values = [line for line in lines if not line.lstrip().startswith("#") and "secret:codegen-token" not in line]

    # The names of services that assume roles are the same in all partitions.
    assert not [line for line in values if "amazonaws" in line and "sts:AssumeRole" not in line]
    assert not [line for line in values if re.search(r"arn:aws:(?!kms:us-east-1:123456789012)", line)]


# --- size ------------------------------------------------------------------------------------------------------------


def test_the_stack_is_within_the_quotas_of_cloudformation(first: Transformed) -> None:
    for template in transformed():
        assert len(template["Resources"]) <= 450
        assert len(json.dumps(template)) <= 900_000


def test_a_role_is_far_from_the_quotas_of_iam(first: Transformed) -> None:
    """IAM allows 10,240 characters in a role's own policies and 6,144 in a managed one. Spaces do not count."""

    def length(document: Any) -> int:
        return len(json.dumps(document, separators=(",", ":")))

    for role in properties(first, "AWS::IAM::Role"):
        assert sum(length(policy["PolicyDocument"]) for policy in role.get("Policies", ())) <= 10_240 / 2
    for policy in properties(first, "AWS::IAM::ManagedPolicy"):
        assert length(policy["PolicyDocument"]) <= 6_144 / 2


@pytest.mark.parametrize("number", range(2 + len(CHANGED) + 1))
def test_no_resources_depend_on_each_other_in_a_circle(number: int) -> None:
    resources = transformed()[number]["Resources"]
    graph = {
        name: {found for found, _ in references(resource, set()) if found in resources}
        | set(dependencies if isinstance(dependencies := resource.get("DependsOn", []), list) else [dependencies])
        for name, resource in resources.items()
    }

    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


# --- gradual deployments ---------------------------------------------------------------------------------------------


def test_codedeploy_watches_the_alarms_only_if_the_operator_wants_it(first: Transformed) -> None:
    gradual = transformed()[-1]

    assert not of_type(first, "AWS::CodeDeploy::DeploymentGroup")
    (group,) = properties(gradual, "AWS::CodeDeploy::DeploymentGroup")
    alarms = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    assert alarms
    assert alarms <= of_type(gradual, "AWS::CloudWatch::Alarm").keys()
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    (alias,) = of_type(gradual, "AWS::Lambda::Alias").values()
    assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]


def test_a_new_layer_makes_a_new_version_of_the_function_that_codedeploy_shifts(first: Transformed) -> None:
    """The id of a version is a hash of the properties of its function, the layer included."""
    (version,) = of_type(first, "AWS::Lambda::Version")
    layer = first["Resources"]["GetHealth"]["Properties"]["Layers"]

    assert version.startswith("GetHealthVersion")
    assert [list(each) for each in layer] == [["Ref"]]
