"""Every operation that changes something checks the role of its caller."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support import sources
from tests.support.operations import ROLES
from tests.support.sources import FUNCTIONS

CHANGES = {"post", "put", "patch", "delete"}

# A ring only has a run read, and its path has a secret of the organization.
WITHOUT_A_CALLER = {"ring_doorbell"}

# They change API tokens of the caller, not an organization. Every caller may revoke their own tokens; the role of a new
# token is checked where the token is created.
OF_THE_CALLER = {"create_api_token", "render_markdown", "revoke_api_token"}


def changing() -> Iterator[tuple[Path, ast.FunctionDef, str]]:
    """Yield each handler of a route that changes something: its module, the function, and the path of the route."""
    for file in sources.modules(FUNCTIONS):
        for node in ast.walk(sources.tree(file)):
            for route in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(route, ast.Call) and isinstance(route.func, ast.Attribute) and route.func.attr in CHANGES:
                    assert isinstance(node, ast.FunctionDef)
                    assert isinstance(route.args[0], ast.Constant)
                    yield file, node, str(route.args[0].value)


def resolves_the_organization(handler: ast.FunctionDef) -> bool:
    """Return whether a handler gets its organization from the edge, which checks the caller's role in it."""
    return any(isinstance(node, ast.Name) and node.id in ("Organization", "organization") for node in ast.walk(handler))


def test_a_change_at_a_path_without_an_organization_gets_it_from_the_edge() -> None:
    without = [(handler, path) for _, handler, path in changing() if "/organizations/<org_id>" not in path]

    assert without
    assert {
        handler.name for handler, _ in without if not resolves_the_organization(handler)
    } == OF_THE_CALLER | WITHOUT_A_CALLER


def test_no_handler_reads_the_organization_from_the_path_itself() -> None:
    """Only the edge does: it also checks that the caller is in the organization."""
    handlers = [node for file in sources.modules(FUNCTIONS) for node in sources.tree(file).body]
    plain = {
        handler.name
        for handler in handlers
        if isinstance(handler, ast.FunctionDef)
        for argument in handler.args.args
        if argument.arg == "org_id" and ast.unparse(argument.annotation or argument) != "Organization"
    }

    assert plain == set()


def test_an_endpoint_declares_a_role_that_its_method_does_not_imply() -> None:
    declared = {
        str(file.relative_to(FUNCTIONS)): ast.unparse(keyword.value)
        for file in sources.modules(FUNCTIONS)
        for node in ast.walk(sources.tree(file))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "endpoint"
        for keyword in node.keywords
        if keyword.arg == "role"
    }

    assert declared == {module: f"Role.{role.name}" for module, role in ROLES.items()}
