"""Modules that a cold start does not import."""

import subprocess
import sys

import pytest

from tests.support.handlers import FUNCTIONS

ROOT = FUNCTIONS.parent

EVERY_FUNCTION = sorted(str(file.relative_to(FUNCTIONS).with_suffix("")) for file in FUNCTIONS.glob("*/*.py"))


def imported_by(*names: str) -> set[str]:
    """Return the modules that are imported in a new interpreter without the environment of a function."""
    files = [str(FUNCTIONS / f"{name}.py") for name in names]
    script = f"import runpy, sys\nfor file in {files}: runpy.run_path(file)\nprint(*sys.modules)"
    path = {"PYTHONPATH": str(ROOT / "layers" / "codegen")}
    return set(
        subprocess.run([sys.executable, "-c", script], env=path, capture_output=True, check=True)
        .stdout.decode()
        .split()
    )


def test_no_function_starts_with_boto3() -> None:
    modules = imported_by(*EVERY_FUNCTION)

    assert "codegen_runs.storage.table" in modules
    # Powertools imports the package `botocore` without its modules, which takes almost no time.
    assert not {"boto3", "botocore.session", "botocore.auth", "aws_xray_sdk"} & modules


@pytest.mark.parametrize("name", ["health/get", "docs/serve"])
def test_operations_that_need_no_upstream_start_without_an_http_client(name: str) -> None:
    assert not {"httpx", "codegen_api"} & imported_by(name)


def test_the_docs_start_without_the_models() -> None:
    assert "pydantic" not in imported_by("docs/serve")
