"""No operation changes anything without the role of its caller having been looked at."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support import sources
from tests.support.sources import FUNCTIONS

CHANGES = {"post", "put", "patch", "delete"}

# About the caller, not an organization: what a token may do is decided where it is made, and anybody may revoke theirs.
OF_THE_CALLER = {"create_api_token", "revoke_api_token"}

# More than their method tells, or less.
DECIDED = {
    "live/create_ticket.py": "Role.VIEWER",
    "organizations/update.py": "Role.ADMIN",
    "users/update.py": "Role.ADMIN",
}


def changing() -> Iterator[tuple[Path, ast.FunctionDef, str]]:
    """Yield each handler of a route that changes something: its module, the function, and the path."""
    for file in sources.modules(FUNCTIONS):
        for node in ast.walk(sources.tree(file)):
            for route in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(route, ast.Call) and isinstance(route.func, ast.Attribute) and route.func.attr in CHANGES:
                    assert isinstance(node, ast.FunctionDef)
                    assert isinstance(route.args[0], ast.Constant)
                    yield file, node, str(route.args[0].value)


def asks_for_the_organization(handler: ast.FunctionDef) -> bool:
    """Tell whether a handler lets the edge find the organization, which looks at the caller's role there."""
    return any(
        isinstance(node, ast.Name) and node.id in ("DefaultOrganization", "organization") for node in ast.walk(handler)
    )


def test_a_change_without_an_organization_in_its_path_finds_it_by_the_edge() -> None:
    without = [(handler, path) for _, handler, path in changing() if "/organizations/<org_id>" not in path]

    assert without
    assert {handler.name for handler, _ in without if not asks_for_the_organization(handler)} == OF_THE_CALLER


def test_what_needs_another_role_than_its_method_tells_says_so_at_its_end() -> None:
    decided = {
        str(file.relative_to(FUNCTIONS)): ast.unparse(keyword.value)
        for file in sources.modules(FUNCTIONS)
        for node in ast.walk(sources.tree(file))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "endpoint"
        for keyword in node.keywords
        if keyword.arg == "role"
    }

    assert decided == DECIDED
