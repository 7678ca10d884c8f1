"""Build the layer: wheels for the Lambda runtime, the two packages of this folder, and bytecode.

Compiling modules takes the most time of a cold start. Lambda mounts layers read-only, so a module without bytecode in
the layer is compiled again in every new execution environment. Only bytecode of the runtime's minor version is valid.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

RUNTIME = "3.13"
PLATFORMS = {
    "x86_64": ("manylinux2014_x86_64", "manylinux_2_28_x86_64"),
    "arm64": ("manylinux2014_aarch64", "manylinux_2_28_aarch64"),
}
PACKAGES = ("codegen_api", "codegen_runs")
PROGRAMS = ("stream",)
HERE = Path(__file__).parent

NO_BYTECODE = f"""
{"!" * 100}
  The layer has NO BYTECODE, because no CPython {RUNTIME} was found to compile it. The layer works, but each
  cold start compiles every module again and takes 2 to 3 times as long. Do not deploy this build.
  Install Python {RUNTIME}, set PYTHON313=/path/to/python{RUNTIME}, or build with `sam build --use-container`.
{"!" * 100}
"""


def install(target: Path, architecture: str) -> None:
    """Install the pinned wheels for the runtime on an architecture into `target`, with any Python on any machine."""
    platforms = [f"--platform={platform}" for platform in PLATFORMS[architecture]]
    # -qq shows errors and hides warnings about the machine's pip settings. --no-deps because requirements.txt lists all
    # dependencies, and because pip would evaluate the wheels' markers for the Python that runs it.
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    wheels = ["--only-binary=:all:", "--implementation=cp", f"--python-version={RUNTIME}", *platforms]
    subprocess.run([*pip, *wheels, f"--target={target}", "-r", HERE / "requirements.txt"], check=True)


def copy_packages(target: Path) -> None:
    """Copy the packages of this folder into `target`, without the bytecode of another Python."""
    for package in PACKAGES:
        shutil.copytree(HERE / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))


def strip(target: Path) -> None:
    """Remove files that are not read at run time, and files that differ between builds."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for pattern in ("*/tests", "*.dist-info/sboms"):
        for folder in target.glob(pattern):
            shutil.rmtree(folder)
    for pattern in ("*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED", "**/*.pyi"):
        for file in target.glob(pattern):
            file.unlink()


def interpreters() -> Iterator[Path]:
    """Yield paths of the runtime's Python: PYTHON313 alone if set, else this one, PATH and version managers."""
    if named := os.environ.get("PYTHON313"):
        yield Path(shutil.which(named) or named)
        return
    yield Path(sys.executable)
    for folder in os.get_exec_path():
        yield Path(folder, f"python{RUNTIME}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{RUNTIME}.*/bin/python{RUNTIME}"))
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python")
    yield from sorted(uv.glob(f"cpython-{RUNTIME}.*/bin/python{RUNTIME}"))


def is_runtime(python: Path) -> bool:
    """Return whether `python` is the runtime's CPython. The shim of a version manager may exist and not start."""
    probe = "import sys; print(sys.implementation.name, *sys.version_info[:2], sep='.')"
    try:
        answer = subprocess.run([python, "-c", probe], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return False
    return answer.stdout.strip() == f"cpython.{RUNTIME}"


def compile_bytecode(target: Path, python: Path) -> None:
    """Compile `target` to bytecode that stays valid when zipping changes the files' times.

    The bytecode contains the paths of the layer in Lambda, so two builds have identical bytes.
    """
    paths = ["-s", str(target), "-p", "/opt/python"]
    mode = ["-q", "-j0", "--invalidation-mode=unchecked-hash"]
    subprocess.run([python, "-m", "compileall", *mode, *paths, target], check=True)


def report(target: Path, architecture: str, python: Path | None) -> str:
    """Return the report of the build: the layer's size in MB (10^6 bytes), and the Python that compiled it."""
    megabytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) / 1e6
    bytecode = f", bytecode by {python}" if python else NO_BYTECODE
    return f"Layer: {megabytes:.1f} MB unzipped, for {architecture}{bytecode}"


def main(folder: str, architecture: str) -> None:
    """Build the layer's `python` folder at `folder`, and the layer's programs beside it."""
    target = Path(folder).resolve()
    install(target, architecture)
    copy_packages(target)
    for program in PROGRAMS:
        shutil.copy(HERE / program, target.parent)  # copy() keeps the executable bit
    strip(target)
    python = next(filter(is_runtime, interpreters()), None)
    if python:
        compile_bytecode(target, python)
    print(report(target, architecture, python))  # To stdout: SAM shows a makefile's standard error only on failure


if __name__ == "__main__":
    if sys.argv[2] not in PLATFORMS:
        sys.exit(f"ARCHITECTURE is {' or '.join(PLATFORMS)}, not {sys.argv[2]!r}.")
    main(*sys.argv[1:])
