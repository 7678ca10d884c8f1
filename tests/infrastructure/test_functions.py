"""Each function of the template has a module, a sample event, and the variables that its module reads."""

import ast
import json
from pathlib import Path

import pytest

from local.template import Function, Template
from tests.support import backend, handlers, samples, sources
from tests.support.sources import FUNCTIONS, LAYER

EVERY = backend.every_function()
NAMES = sorted(EVERY)

# Powertools reads these, not our code.
READ_BY_LIBRARIES = {
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_SERVICE_NAME",
}

GIVEN_BY_LAMBDA = {
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_SESSION_TOKEN",
    "_X_AMZN_TRACE_ID",
}


def module(function: Function) -> Path:
    return function.code_dir / f"{function.handler.removesuffix('.handler')}.py"


def variables(files: set[Path]) -> set[str]:
    """Return the environment variables that the files read: the arguments of `required`, `cap` and `os.environ.get`."""
    found = set()
    for file in files:
        for node in ast.walk(sources.tree(file)):
            if isinstance(node, ast.Call) and node.args and isinstance(name := node.args[0], ast.Constant):
                called = ast.unparse(node.func)
                if called.endswith(("required", "settings.cap", "environ.get", "getenv")):
                    found.add(str(name.value))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_handler_of_a_function_is_callable(name: str) -> None:
    file = module(EVERY[name])

    assert file.is_file()
    assert callable(handlers.handler(str(file.relative_to(FUNCTIONS).with_suffix(""))))


def test_every_module_under_functions_is_the_handler_of_one_function(template: Template) -> None:
    used = [module(function) for function in template.functions.values()]

    assert sorted(used) == sources.modules(FUNCTIONS)


def test_there_is_one_sample_event_per_function() -> None:
    assert sorted(samples.names()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_of_an_endpoint_is_a_request_to_one_of_its_routes(name: str) -> None:
    api = backend.template(**({} if name in backend.template().functions else {"LiveStreaming": "true"})).api
    assert api
    routes = {(route.method, route.path) for route in api.routes if route.function.logical_id == name}
    event = samples.read(name)

    if routes:
        assert {(event["httpMethod"], event["resource"]), ("ANY", event["resource"])} & routes
        assert event["path"] == event["resource"].replace("+}", "}").format(**event["pathParameters"] or {})
        assert event["requestContext"]["path"] == f"/{api.stage}{event['path']}"


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_contains_no_token_but_the_placeholder(name: str) -> None:
    event = samples.read(name)

    assert event.get("headers", {}).get("Authorization", "Bearer YOUR_TOKEN") == "Bearer YOUR_TOKEN"


def test_the_environment_of_sam_local_overrides_declared_variables_only(template: Template) -> None:
    """`sam local` silently ignores a variable that the template does not declare."""
    declared = set().union(*(function.environment for function in template.functions.values()))
    overridden = json.loads((samples.EVENTS / "env.json").read_text("utf-8"))

    assert overridden.keys() == {"Parameters"}
    assert overridden["Parameters"].keys() <= declared


def test_the_template_declares_the_variables_that_the_code_reads(template: Template) -> None:
    declared = set().union(*(function.environment for function in template.functions.values()))
    read = variables({*sources.modules(FUNCTIONS), *sources.modules(LAYER / "codegen_runs")})

    assert read - GIVEN_BY_LAMBDA == declared - READ_BY_LIBRARIES
