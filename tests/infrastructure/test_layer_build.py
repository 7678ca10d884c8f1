"""How the layer is built, as far as no package index is needed."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.sources import LAYER, ROOT

ARM = 0xB7
"""The machine in the header of an ELF file (EM_AARCH64)."""


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("layer_build", LAYER / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(file: Path, line: str) -> Path:
    """Make a program of one line of shell."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("echo cpython.3.13", True),
        ("echo cpython.3.12", False),
        ("echo pypy.3.13", False),
        ("echo 'version 3.13 is not installed' >&2; exit 127", False),
    ],
)
def test_bytecode_is_compiled_by_the_runtimes_own_version_only(
    build: ModuleType, tmp_path: Path, line: str, expected: bool
) -> None:
    assert build.is_runtime(command(tmp_path / "python", line)) is expected


def test_a_python_that_is_not_there_is_no_error(build: ModuleType, tmp_path: Path) -> None:
    assert build.is_runtime(tmp_path / "nothing") is False


def test_the_runtimes_python_is_found_on_path_and_with_version_managers(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / place for place in ("bin/python3.13", "pyenv/versions/3.13.1/bin/python3.13")]
    places.append(tmp_path / "uv/cpython-3.13.9-linux-x86_64-gnu/bin/python3.13")
    for place in places:
        command(place, "true")
    monkeypatch.delenv("PYTHON313", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))

    assert list(build.interpreters()) == [Path(sys.executable), *places]


def test_a_python_that_is_named_is_the_one(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON313", "/somewhere/python")

    assert list(build.interpreters()) == [Path("/somewhere/python")]


def test_bytecode_survives_what_zipping_does_to_times(build: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("word = 'compiled'")
    build.compile_bytecode(tmp_path, Path(sys.executable))
    source.write_text("word = 'compiled again'")

    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import module; print(module.word)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "compiled"


def test_two_builds_are_the_same_to_the_byte(build: ModuleType, tmp_path: Path) -> None:
    built = []
    for place in (tmp_path / "here", tmp_path / "elsewhere"):
        place.mkdir()
        (place / "module.py").write_text("def word():\n    return 'compiled'\n")
        build.compile_bytecode(place, Path(sys.executable))
        built.append([file.read_bytes() for file in sorted(place.rglob("*.pyc"))])

    assert built[0] == built[1] != []


def test_the_report_warns_about_a_layer_without_bytecode(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("#" * 1_000_000)

    assert build.report(tmp_path, "arm64", Path("/usr/bin/python3.13")) == (
        "Layer: 1.0 MB unzipped, for arm64, bytecode by /usr/bin/python3.13"
    )
    assert "NO BYTECODE" in build.report(tmp_path, "x86_64", None)
    assert "PYTHON313" in build.report(tmp_path, "x86_64", None)


def test_what_nothing_reads_at_run_time_is_left_out(build: ModuleType, tmp_path: Path) -> None:
    kept = ["module/__init__.py", "module/py.typed", "module-1.dist-info/METADATA"]
    dropped = ["bin/tool", "module/tests/test_it.py", "module/__init__.pyi", "module-1.dist-info/RECORD"]
    for name in [*kept, *dropped]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    build.strip(tmp_path)

    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()) == sorted(kept)


@pytest.mark.full
def test_functions_and_layer_are_built_for_the_same_architecture_on_any_machine(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name, follow_symlinks=False)  # With its time, which make compares.
    (tmp_path / ".venv-sam").symlink_to((ROOT / ".venv-sam").resolve())

    subprocess.run(["make", "build", "ARCHITECTURE=arm64"], cwd=tmp_path, capture_output=True, check=True)

    built = tmp_path / ".aws-sam" / "build"
    assert Counter(re.findall("x86_64|arm64", (built / "template.yaml").read_text("utf-8"))) == {"arm64": 2}
    compiled = list((built / "CodegenLayer").rglob("*.so"))
    assert {file.read_bytes()[18] for file in compiled} == {ARM}


def test_an_architecture_that_lambda_does_not_have_is_refused() -> None:
    refused = subprocess.run(
        [sys.executable, LAYER / "build.py", "nowhere", "riscv64"], capture_output=True, text=True, check=False
    )

    assert (refused.returncode, refused.stderr) == (1, "ARCHITECTURE is x86_64 or arm64, not 'riscv64'.\n")


def test_the_makefile_builds_the_layer_of_the_template(build: ModuleType) -> None:
    targets = [line for line in (LAYER / "Makefile").read_text("utf-8").splitlines() if line.startswith("build-")]

    assert targets == ["build-CodegenLayer:"]
    assert all((LAYER / package).is_dir() for package in build.PACKAGES)
