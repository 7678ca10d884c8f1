"""Dependencies point one way: functions -> codegen_runs -> codegen_api."""

import sys
from graphlib import TopologicalSorter
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


ROOMS = (
    {
        *(
            "bodies",
            "callers",
            "clock",
            "correlation",
            "cursors",
            "events",
            "fences",
            "forms",
            "links",
            "logs",
            "metrics",
            "problems",
            "prompts",
        ),
        *(
            "redaction",
            "roles",
            "searching",
            "secret_commands",
            "secret_forms",
            "secret_names",
            "settings",
            "statuses",
            "wire",
        ),
    },
    {"aws"},
    {"storage"},
    {"upstream"},
    {"backend"},
    {"audit"},
    {"budgets"},
    {"limits"},
    {"access"},
    {"http"},
    {"agents"},
    {"runs"},
    {"run_control"},
    {"checkpoints"},
    {"run_cards"},
    {"multi_runs"},
    {"usage"},
    {"webhook_endpoints"},
    {"doorbell"},
    {"poller"},
    {"live"},
    {"chat"},
)
"""The rooms of `codegen_runs` from the bottom up, the foundation first. A room imports only rooms below it."""


def test_the_rooms_import_downwards_only() -> None:
    """Imports inside functions and for types only count too."""
    package = LAYER / "codegen_runs"
    floor = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
    upward = set()
    for file in sources.modules(package):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for name in sources.imports(file):
            parts = name.split(".")
            other = parts[1] if parts[0] == "codegen_runs" and len(parts) > 1 else room
            if other in floor and floor[other] >= floor[room] and other != room and floor[room] > 0:
                upward.add(f"{file.relative_to(package)} -> {name}")
            if other in floor and floor[other] > floor[room]:
                upward.add(f"{file.relative_to(package)} -> {name}")

    assert upward == set(), "move the definition down, or the user of it up"


def test_every_room_has_its_floor() -> None:
    rooms = {path.name.removesuffix(".py") for path in (LAYER / "codegen_runs").iterdir()}

    assert rooms - {"__init__", "__pycache__"} == set().union(*ROOMS)


@pytest.mark.parametrize("package", ["codegen_api", "codegen_cli", "codegen_runs"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    """Imports inside functions and for types only count too."""
    graph = {_module(file): sources.imports(file) for file in sources.modules(LAYER / package)}
    # `from package import module` names the package too, which is no import of what is in its `__init__`.
    del graph[package]
    sorter = TopologicalSorter({module: names & graph.keys() - {module} for module, names in graph.items()})

    sorter.prepare()  # raises CycleError, which names the circle


def _module(file: Path) -> str:
    return ".".join(file.relative_to(LAYER).with_suffix("").parts).removesuffix(".__init__")


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
    runtime |= {"mypy_boto3_secretsmanager", "mypy_boto3_sqs", "mypy_boto3_stepfunctions"}  # for types only
    layer = {"aws_lambda_powertools", "httpcore", "httpx", "mangum", "pydantic", "pydantic_core"}
    own = {"markdown_it", "pygments", "standardwebhooks"}  # in the package of the function that uses them
    files = [
        *sources.modules(FUNCTIONS),
        *sources.modules(LAYER / "codegen_api"),
        *sources.modules(LAYER / "codegen_runs"),
    ]

    outside = set().union(*map(sources.packages, files)) - OURS - set(sys.stdlib_module_names)

    assert outside <= runtime | layer | own
    assert {file for file in files if sources.packages(file) & own} == {
        FUNCTIONS / "console" / "render.py",
        FUNCTIONS / "webhook_sender" / "send.py",
    }


def test_no_module_of_a_function_hides_one_that_ships() -> None:
    """Lambda puts a function's folder first on the path: a `json.py` there would be everybody's json."""
    taken = set(sys.stdlib_module_names) | {"boto3", "botocore", "codegen_api", "codegen_runs"}
    taken |= {"annotated_types", "anyio", "aws_lambda_powertools", "certifi", "h11", "httpcore", "httpx", "idna"}
    taken |= {"jmespath", "mangum", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}

    assert {file.stem for file in sources.modules(FUNCTIONS)} & taken == set()
