"""Dependencies point one way: functions -> codegen_runs -> codegen_api."""

import sys
from pathlib import Path

import pytest

from tests.support import sources
from tests.support.sources import FUNCTIONS, LAYER

OURS = {"codegen_api", "codegen_cli", "codegen_runs", "functions", "local", "tests", "benchmarks"}
ALLOWED = {
    LAYER / "codegen_api": {"codegen_api"},
    LAYER / "codegen_cli": {"codegen_api", "codegen_cli"},
    LAYER / "codegen_runs": {"codegen_api", "codegen_runs"},
    FUNCTIONS: {"codegen_api", "codegen_runs"},
}


@pytest.mark.parametrize("folder", ALLOWED, ids=lambda folder: folder.name)
def test_a_package_imports_only_what_it_may_depend_on(folder: Path) -> None:
    found = {file: sources.packages(file) & OURS for file in sources.modules(folder)}

    assert found, "there is nothing to check"
    assert {file.name: names - ALLOWED[folder] for file, names in found.items() if names - ALLOWED[folder]} == {}


def test_the_client_knows_nothing_of_lambda_and_aws() -> None:
    unwanted = {"boto3", "botocore", "aws_lambda_powertools", "mangum"}

    assert {file.name for file in sources.modules(LAYER / "codegen_api") if sources.packages(file) & unwanted} == set()


def test_a_handler_makes_no_aws_call() -> None:
    unwanted = {"boto3", "botocore", "codegen_runs.aws"}

    assert {str(file) for file in sources.modules(FUNCTIONS) if sources.imports(file) & unwanted} == set()


def test_a_handler_imports_no_other_handler() -> None:
    """In Lambda its neighbours are importable by their bare names, so this would work, and tie two functions."""
    for file in sources.modules(FUNCTIONS):
        neighbours = {other.stem for other in file.parent.glob("*.py")}
        assert not sources.packages(file) & neighbours, file


def test_what_ships_imports_nothing_that_does_not_ship() -> None:
    runtime = {"boto3", "botocore", "mypy_boto3_dynamodb", "mypy_boto3_lambda"}
    runtime |= {"mypy_boto3_secretsmanager", "mypy_boto3_stepfunctions"}  # for types only
    layer = {"aws_lambda_powertools", "httpx", "mangum", "pydantic", "pydantic_core"}
    files = [
        *sources.modules(FUNCTIONS),
        *sources.modules(LAYER / "codegen_api"),
        *sources.modules(LAYER / "codegen_runs"),
    ]

    outside = set().union(*map(sources.packages, files)) - OURS - set(sys.stdlib_module_names)

    assert outside <= runtime | layer


def test_no_module_of_a_function_hides_one_that_ships() -> None:
    """Lambda puts a function's folder first on the path: a `json.py` there would be everybody's json."""
    taken = set(sys.stdlib_module_names) | {"boto3", "botocore", "codegen_api", "codegen_runs"}
    taken |= {"annotated_types", "anyio", "aws_lambda_powertools", "certifi", "h11", "httpcore", "httpx", "idna"}
    taken |= {"jmespath", "mangum", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}

    assert {file.stem for file in sources.modules(FUNCTIONS)} & taken == set()
