"""The package: its exports, its dependencies, and both clients compared."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import codegen_api
from codegen_api import Agent, AsyncAgent, AsyncCodegenAPI, AsyncTask, CodegenAPI, Task

PACKAGE = Path(codegen_api.__file__).parent
RESOURCES = sorted(file.stem for file in (PACKAGE / "resources").glob("[!_]*.py"))
PAIRS = [(CodegenAPI, AsyncCodegenAPI), (Task, AsyncTask), (Agent, AsyncAgent)]


def test_every_public_name_is_exported_and_exists():
    assert len(set(codegen_api.__all__)) == len(codegen_api.__all__)
    for name in codegen_api.__all__:
        assert getattr(codegen_api, name) is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+", codegen_api.__version__)
    assert (PACKAGE / "py.typed").is_file()


def test_the_package_works_outside_the_repository_without_boto3_and_powertools(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "codegen_api", ignore=shutil.ignore_patterns("__pycache__"))
    program = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("boto3", "botocore", "aws_lambda_powertools", "codegen_runs"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import codegen_api, httpx
assert codegen_api.__file__.startswith(sys.argv[1]), codegen_api.__file__
transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"id": 7, "organization_id": 42}))
print(codegen_api.CodegenAPI(42, "sk-fake", transport=transport).runs.get(7).id)
print([name for name in ("asyncio", "anyio") if name in sys.modules])
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CODEGEN"))}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.split("\n")[:2] == ["7", "[]"], "a blocking client must not import an event loop"


@pytest.mark.parametrize("resource", RESOURCES)
def test_both_clients_have_the_same_operations_with_the_same_arguments(resource):
    def operations(client):
        methods = inspect.getmembers(getattr(client("1", "sk-fake"), resource), inspect.ismethod)
        return {
            name: re.sub(r"\bAsync(?=[A-Z])", "", str(inspect.signature(method)))
            for name, method in methods
            if not name.startswith("_")
        }

    blocking = operations(CodegenAPI)
    assert blocking == operations(AsyncCodegenAPI)
    assert blocking


def test_both_clients_have_the_same_constructor_arguments():
    def arguments(client):
        return [
            (p.name, p.kind, p.name in ("sleep",) or p.default) for p in inspect.signature(client).parameters.values()
        ]

    assert arguments(CodegenAPI) == arguments(AsyncCodegenAPI)


@pytest.mark.parametrize("resource", RESOURCES)
def test_each_client_makes_its_own_class_of_a_resource_once(resource):
    module = import_module(f"codegen_api.resources.{resource}")
    name = "".join(map(str.capitalize, resource.split("_"))) + "Resource"

    for client, kind in ((CodegenAPI, name), (AsyncCodegenAPI, f"Async{name}")):
        api = client(1, "sk-fake")
        assert type(getattr(api, resource)) is getattr(module, kind)
        assert getattr(api, resource) is getattr(api, resource)
        assert getattr(api, resource) is not getattr(api.with_deadline(1), resource)
        assert inspect.getdoc(getattr(client, resource))


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_both_clients_have_the_same_docstrings(blocking, asynchronous):
    def texts(kind):
        return {
            name: inspect.getdoc(method)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and name != "aclose"
        }

    assert texts(blocking) == texts(asynchronous)
    assert all(texts(blocking).values())


def test_every_operation_has_a_docstring_and_hides_the_core():
    for client in (CodegenAPI, AsyncCodegenAPI):
        for resource in RESOURCES:
            for name, method in inspect.getmembers(getattr(client(1, "sk-fake"), resource), inspect.ismethod):
                if not name.startswith("_"):
                    assert inspect.getdoc(method), f"{resource}.{name}"
                    assert "core" not in inspect.signature(method).parameters
