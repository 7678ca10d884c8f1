"""The project's Python sources, read and not run."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = ROOT / "functions"
LAYER = ROOT / "layers" / "codegen"


def modules(folder: Path) -> list[Path]:
    """List the Python files under a folder."""
    return sorted(folder.rglob("*.py"))


@cache
def tree(file: Path) -> ast.Module:
    """Parse a file."""
    return ast.parse(file.read_text("utf-8"), str(file))


def imports(file: Path) -> set[str]:
    """Name every module that a file may import, also inside functions and for types only.

    `from a import b` names both `a` and `a.b`, since nobody can tell whether `b` is a module.
    """
    package = _package(file)
    found: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            base = base if node.level else str(node.module)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def packages(file: Path) -> set[str]:
    """Name the top-level packages that a file may import."""
    return {name.partition(".")[0] for name in imports(file)}


def closure(file: Path) -> set[Path]:
    """Return a file and every file of the layer that importing it may run."""
    seen: set[Path] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += [found for name in imports(current) for found in _layer_files(name)]
    return seen


def _package(file: Path) -> list[str]:
    return list(file.parent.relative_to(LAYER).parts) if file.is_relative_to(LAYER) else []


def _layer_files(name: str) -> Iterator[Path]:
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        place = LAYER.joinpath(*parts[:length])
        yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())
