"""The project's Python sources, parsed and not imported."""

import ast
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
    """Return the names of all modules that a file may import, also inside functions and for types only.

    `from a import b` adds both `a` and `a.b`, because `b` may be a module.
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


def _package(file: Path) -> list[str]:
    return list(file.parent.relative_to(LAYER).parts) if file.is_relative_to(LAYER) else []
