"""Build the layer: wheels for the Lambda runtime, the two packages of this folder, and bytecode.

Bytecode is the largest part of a cold start. Lambda mounts layers read-only, so what is not compiled here is compiled
again in every new execution environment, and only the runtime's own minor version writes bytecode that it can read.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

RUNTIME = "3.13"
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
PACKAGES = ("codegen_api", "codegen_runs")
PROGRAMS = ("stream",)
HERE = Path(__file__).parent

NO_BYTECODE = f"""
{"!" * 100}
  The layer has NO BYTECODE: no CPython {RUNTIME} was found to compile it. It works, but each cold start compiles
  every module again and takes 2 to 3 times as long. Do not deploy this build.
  Install Python {RUNTIME}, or name one: PYTHON313=/path/to/python{RUNTIME} - or build with `sam build --use-container`.
{"!" * 100}
"""


def install(target: Path) -> None:
    """Install the pinned wheels into `target`, for the runtime whatever Python runs this."""
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    # -qq keeps errors and drops warnings about the machine's pip settings; --no-deps because requirements.txt is whole,
    # and because pip would evaluate the wheels' markers for the Python that runs it.
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    wheels = ["--only-binary=:all:", "--implementation=cp", f"--python-version={RUNTIME}", *platforms]
    subprocess.run([*pip, *wheels, f"--target={target}", "-r", HERE / "requirements.txt"], check=True)


def copy_packages(target: Path) -> None:
    """Copy the packages of this folder into `target`, without the bytecode that some other Python left there."""
    for package in PACKAGES:
        shutil.copytree(HERE / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))


def strip(target: Path) -> None:
    """Remove what nothing reads at run time, and what differs from one build to the next."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for pattern in ("*/tests", "*.dist-info/sboms"):
        for folder in target.glob(pattern):
            shutil.rmtree(folder)
    for pattern in ("*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED", "**/*.pyi"):
        for file in target.glob(pattern):
            file.unlink()


def interpreters() -> Iterator[Path]:
    """Yield where the runtime's Python may be: what PYTHON313 names, this one, PATH, then version managers."""
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
    """Tell whether `python` is a CPython of the runtime's minor. A version manager's shim may exist and not start."""
    probe = "import sys; print(sys.implementation.name, *sys.version_info[:2], sep='.')"
    try:
        answer = subprocess.run([python, "-c", probe], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return False
    return answer.stdout.strip() == f"cpython.{RUNTIME}"


def compile_bytecode(target: Path, python: Path) -> None:
    """Compile `target` to bytecode that stays valid when zipping changes the files' times.

    The paths in it are those of the layer in Lambda, so that two builds are the same to the byte.
    """
    paths = ["-s", str(target), "-p", "/opt/python"]
    mode = ["-q", "-j0", "--invalidation-mode=unchecked-hash"]
    subprocess.run([python, "-m", "compileall", *mode, *paths, target], check=True)


def report(target: Path, python: Path | None) -> str:
    """Return what the build has to say: the layer's size, in MB of 10^6 bytes, and who compiled it, if anybody."""
    megabytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) / 1e6
    return f"Layer: {megabytes:.1f} MB unzipped" + (f", bytecode by {python}" if python else NO_BYTECODE)


def main(folder: str) -> None:
    """Build the layer's `python` folder at `folder`, and the layer's programs beside it."""
    target = Path(folder).resolve()
    install(target)
    copy_packages(target)
    for program in PROGRAMS:
        shutil.copy(HERE / program, target.parent)  # keeps that it can be executed
    strip(target)
    python = next(filter(is_runtime, interpreters()), None)
    if python:
        compile_bytecode(target, python)
    print(report(target, python))  # to stdout: SAM shows a makefile's standard error only when it fails


if __name__ == "__main__":
    main(sys.argv[1])
