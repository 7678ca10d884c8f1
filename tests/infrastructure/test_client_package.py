"""The client as a package that pip installs, beside the layer that the same folder is built into."""

import importlib.util
import os
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import codegen_api
from tests.support.sources import LAYER

PROJECT = tomllib.loads((LAYER / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built by what its pyproject.toml names and without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=LAYER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    return folder


def python(installed: Path, program: str) -> str:
    """Run a program that finds the installed package and nothing of this repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CODEGEN"))}
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(installed)!r})\n{program}"],
        cwd=installed,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_package_brings_the_client_and_its_command_line_and_nothing_of_the_backend(wheel: zipfile.ZipFile) -> None:
    files = {name.partition("/")[0] for name in wheel.namelist()}

    assert files == {"codegen_api", "codegen_cli", f"codegen_api-{codegen_api.__version__}.dist-info"}
    assert "codegen_api/py.typed" in wheel.namelist()
    assert not any("__pycache__" in name for name in wheel.namelist())
    shipped = {name for name in wheel.namelist() if name.startswith("codegen_api/")}
    assert shipped == {
        str(file.relative_to(LAYER))
        for file in (LAYER / "codegen_api").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_package_needs_httpx_and_pydantic_and_for_its_command_line_two_more(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
    metadata = message_from_string(wheel.read(name).decode())

    assert (metadata["Name"], metadata["Version"]) == ("codegen-api", codegen_api.__version__)
    assert metadata.get_all("Requires-Dist") == [
        "httpx<1,>=0.28.1",
        "pydantic>=2",
        "click>=8.1; extra == 'cli'",
        "rich>=13.2; extra == 'cli'",
    ]


def test_the_client_works_where_it_was_installed(installed: Path) -> None:
    # httpx imports both where they are, for a command line of its own.
    program = """
sys.modules |= {"click": None, "rich": None}
import httpx, codegen_api
transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"id": 7, "organization_id": 42}))
with codegen_api.CodegenAPI(42, "not-a-token", transport=transport) as api:
    task = api.get_task(7)
print(codegen_api.__file__.startswith(sys.path[0]), task.id, codegen_api.AgentType.GENERAL)
print([name for name in sys.modules if name.split(".")[0] in ("codegen_cli", "codegen_runs")])
"""
    assert python(installed, program) == "True 7 general\n[]\n"


def test_the_command_line_starts_where_its_extra_is(installed: Path) -> None:
    said = python(installed, "import codegen_cli; sys.argv = ['codegen-runs', '--help']; codegen_cli.main()")

    for command in ("run", "watch", "multi-run", "compare", "list", "star", "cancel", "auth"):
        assert f"\n  {command} " in said


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_the_command_line_says_what_it_needs_where_its_extra_is_not(installed: Path, missing: str) -> None:
    said = python(installed, f"sys.modules[{missing!r}] = None\nimport codegen_cli; codegen_cli.main()")

    assert said == "codegen-runs needs click and rich. Install them with: pip install 'codegen-api[cli]'\n"


def test_the_layer_takes_nothing_of_the_package(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("layer_build", LAYER / "build.py")
    assert spec
    assert spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)

    build.copy_packages(tmp_path)

    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["codegen_api", "codegen_runs"]


def test_the_two_agree_on_what_the_client_needs() -> None:
    shipped = (LAYER / "requirements.txt").read_text("utf-8")

    for requirement in PROJECT["dependencies"]:
        assert f"{requirement.partition('>')[0]}==" in shipped


def test_what_starts_fast_imports_nothing_that_it_may_not_need() -> None:
    """The handlers import the client: what only tasks, agents and the like need waits until somebody asks for it."""
    program = "import codegen_api, sys; print(sorted(name for name in sys.modules if name.startswith('codegen_api.')))"
    environment = os.environ | {"PYTHONPATH": str(LAYER)}
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout

    core = ("client", "client_state", "core", "deadline", "docstrings", "driver", "errors", "ids", "metrics")
    core += ("pagination", "protocol", "resource", "retry", "settings", "version")
    assert said == f"{[f'codegen_api._{name}' for name in core]}\n"
