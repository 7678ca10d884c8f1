"""What an operator needs in order to deploy: the settings of SAM, the documentation of the parameters, the commands."""

import re
import tomllib
from typing import Any

import pytest

from local.cloudformation import sections_of
from tests.support.sources import ROOT

SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
ENVIRONMENTS = ("default", "production")
PARAMETERS: dict[str, Any] = sections_of(ROOT / "template.yaml")["Parameters"]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def settings(environment: str) -> dict[str, Any]:
    return {**SETTINGS[environment]["global"]["parameters"], **SETTINGS[environment]["deploy"]["parameters"]}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_deployment_asks_no_questions(environment: str) -> None:
    given = settings(environment)

    assert given.keys() >= {"stack_name", "capabilities"}
    assert (given["resolve_s3"], given["confirm_changeset"], given["fail_on_empty_changeset"]) == (True, False, False)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_stack_that_could_not_be_created_is_deleted(environment: str) -> None:
    """CloudFormation refuses to deploy to a stack whose creation was rolled back."""
    assert settings(environment)["on_failure"] == "DELETE"


def test_the_environments_differ_in_their_stack_only() -> None:
    default, production = (settings(environment) for environment in ENVIRONMENTS)

    assert default | {"stack_name": production["stack_name"]} == production
    assert default["stack_name"] != production["stack_name"]


def test_the_documentation_describes_every_parameter_with_its_default() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (required|empty|`[^`]+`) \| (.+) \|$", OPERATIONS, re.MULTILINE)

    assert documented == [
        (name, default_of(declared), " ".join(declared["Description"].split())) for name, declared in PARAMETERS.items()
    ]


def default_of(declared: dict[str, Any]) -> str:
    if "Default" not in declared:
        return "required"
    return f"`{declared['Default']}`" if declared["Default"] != "" else "empty"


def test_an_operator_is_asked_for_nothing_that_is_for_development_only() -> None:
    assert not [name for name in PARAMETERS if "endpoint" in name.lower()]


def test_no_command_of_the_documentation_leaves_a_secret_in_the_history_of_the_shell() -> None:
    values = [found for file in DOCUMENTS for found in re.findall(r"--secret-string (\S+)", file.read_text("utf-8"))]

    assert values
    assert set(values) == {"file:///dev/stdin"}
