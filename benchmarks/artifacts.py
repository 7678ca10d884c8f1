"""The files that are measured, as an execution environment has them on disk.

Ours are what `sam build` made. The baseline's are what `sam build` would make of `benchmarks/baseline`: its code and
its requirements, at the versions of constraints.txt. Both exist in two conditions:

- `equal`: every module has valid bytecode, so that only the code is compared.
- `shipped`: what a plain `sam build` ships. Our layer has bytecode. The baseline has none, because no step of its build
  creates any, and it compiles every module at every start, because its folder is read-only.

boto3 is in neither. It is part of Lambda's own runtime, and has a folder of its own here, at the end of the path and
with bytecode. That the runtime's copy has bytecode as well is an assumption; AWS does not document it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from platform import machine
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from layers.codegen import build as layer_build
from local.template import ACCOUNT_ID, REGION, Function, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.template import Template

ROOT = Path(__file__).parent.parent
BASELINE = Path(__file__).parent / "baseline"
CACHE = ROOT / ".aws-sam" / "benchmarks"
CONSTRAINTS = ROOT / "constraints.txt"

EQUAL, SHIPPED = "equal", "shipped"

# This machine's architecture, as Lambda calls it.
ARCHITECTURE = "arm64" if machine() in ("aarch64", "arm64") else "x86_64"

_BYTECODE = ("-m", "compileall", "-q", "-j0", "--invalidation-mode=unchecked-hash")


class NotBuiltError(Exception):
    """The artifacts have not been built yet."""


@dataclass(frozen=True)
class Artifacts:
    """Both sides in both conditions, and the Python that runs them.

    Attributes:
        python: The interpreter.
        layer: The folder with the layer's packages.
        notes: Notes on the interpreter for the reader of a measurement.
    """

    python: Path
    layer: Path
    notes: tuple[str, ...]
    _template: Path
    _folder: Path
    _runtime: Path

    def template(self, parameters: Mapping[str, str], variables: Mapping[str, str], condition: str) -> Template:
        """Return the built template, with its functions in the folders that are measured."""
        template = load(self._template, parameters, variables)
        folder = self._folder / condition / "functions"
        functions = {
            name: replace(function, code_dir=folder / function.code_dir.name, layers=(self.layer, self._runtime))
            for name, function in template.functions.items()
        }
        return replace(template, functions=functions)

    def baseline(self, environment: Mapping[str, str], condition: str) -> Function:
        """Return the baseline as a function with this environment."""
        return Function(
            logical_id="Baseline",
            name="Baseline",
            arn=f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:Baseline",
            handler="app.handler",
            code_dir=self.baseline_bundle(condition),
            layers=(self._runtime,),
            environment=environment,
            timeout=29,
            memory=512,
            runtime=f"python{layer_build.RUNTIME}",
        )

    def baseline_bundle(self, condition: str) -> Path:
        """Return the folder with the baseline's code and its packages."""
        return self._folder / condition / "baseline"


@contextmanager
def artifacts(build: Path) -> Iterator[Artifacts]:
    """Lay out the files that are measured, from the folder that `sam build` wrote.

    Raises:
        NotBuiltError: the folder does not hold a built template and a built layer.
    """
    template, layer = build / "template.yaml", build / "CodegenLayer" / "python"
    if not (template.is_file() and layer.is_dir()):
        raise NotBuiltError(f"{build} holds no built template and layer. Run `make build` first.")
    with TemporaryDirectory(prefix="benchmarks-") as temporary:
        folder = Path(temporary)
        python = next(filter(layer_build.is_runtime, layer_build.interpreters()), None)
        if python and _imports(python, layer):
            wheels: _Wheels = _RuntimeWheels()
            notes = (f"{python} runs the layer as built.",)
            layer = Path(shutil.copytree(layer, folder / "layer"))
        else:
            python = Path(sys.executable).resolve()
            wheels = _Wheels()
            notes = (
                f"NO CPython {layer_build.RUNTIME} that can load the layer's wheels was found. {python} runs instead, "
                "with the layer's requirements and packages installed for it, with bytecode.",
            )
            layer = folder / "layer"
            shutil.copytree(wheels.packages(layer_build.HERE / "requirements.txt"), layer)
            layer_build.copy_packages(layer)
            layer_build.strip(layer)
            _compile(python, layer)
        _copy(ROOT / "functions", folder / SHIPPED / "functions")
        _copy(wheels.packages(BASELINE / "requirements.txt"), folder / SHIPPED / "baseline")
        _copy(BASELINE, folder / SHIPPED / "baseline")
        _copy(folder / SHIPPED, folder / EQUAL)
        _compile(python, folder / EQUAL)
        requirements = folder / "runtime.txt"
        requirements.write_text("boto3\n")
        runtime = folder / "runtime"
        _copy(wheels.packages(requirements), runtime)
        _compile(python, runtime)
        yield Artifacts(python, layer, notes, template, folder, runtime)


def megabytes(folder: Path) -> float:
    """Return the size of a folder's files in MB (10^6 bytes)."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


class _Wheels:
    """Wheels for the Python that runs the benchmarks."""

    options: tuple[str, ...] = ()

    def packages(self, requirements: Path) -> Path:
        """Return a folder with these requirements, at the versions of constraints.txt and without bytecode."""
        said = (sys.version, *self.options, requirements.read_text("utf-8"), CONSTRAINTS.read_text("utf-8"))
        cached = CACHE / hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
        if not cached.is_dir():
            CACHE.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=CACHE) as temporary:
                target = Path(temporary) / "packages"
                pip = (sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-compile")
                pinned = (f"--constraint={CONSTRAINTS}", f"--requirement={requirements}")
                subprocess.run([*pip, *self.options, f"--target={target}", *pinned], check=True)
                target.rename(cached)
        return cached


class _RuntimeWheels(_Wheels):
    """Wheels for Lambda on a processor like this machine's, as in the layer."""

    options = (
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={layer_build.RUNTIME}",
        *(f"--platform={platform}" for platform in layer_build.PLATFORMS[ARCHITECTURE]),
    )


def _imports(python: Path, layer: Path) -> bool:
    """Tell whether this Python can load the layer's compiled wheels."""
    probe = f"import sys; sys.path.insert(0, {str(layer)!r}); import pydantic"
    return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _compile(python: Path, folder: Path) -> None:
    subprocess.run([python, *_BYTECODE, folder], check=True)
