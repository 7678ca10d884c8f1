"""Every operation that changes something is recorded in the audit trail, and nothing may change what is recorded."""

import ast
import json
import re
from typing import Any

import pytest

from codegen_runs.audit.acts import Act
from codegen_runs.multi_runs.closing import CLOSE_LOSERS
from tests.infrastructure.test_roles import changing
from tests.support import backend, sources
from tests.support.acts import NOT_RECORDED
from tests.support.operations import module_of, properties
from tests.support.sources import FUNCTIONS, ROOT

CHANGING = {str(file.relative_to(FUNCTIONS)) for file, _, _ in changing()} | {"passthrough/pass_on.py"}
DOCUMENT = json.loads((ROOT / "openapi.json").read_text("utf-8"))
PAGE = (ROOT / "docs" / "audit.md").read_text("utf-8")


def acts() -> dict[str, list[Act]]:
    """Return the acts that each handler declares, by its module."""
    return {
        str(file.relative_to(FUNCTIONS)): _acts(eval(ast.unparse(keyword.value), {"Act": Act}))
        for file in sources.modules(FUNCTIONS)
        for node in ast.walk(sources.tree(file))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "endpoint"
        for keyword in node.keywords
        if keyword.arg == "audit"
    }


def _acts(declared: Act | dict[str, Act]) -> list[Act]:
    """Return the one act of a handler, or that of each of its methods."""
    return [declared] if isinstance(declared, Act) else list(declared.values())


def test_a_handler_that_changes_something_declares_its_act_or_has_a_reason() -> None:
    assert CHANGING
    assert CHANGING - acts().keys() == NOT_RECORDED.keys()


def test_a_handler_that_only_reads_declares_no_act() -> None:
    assert acts().keys() <= CHANGING


@pytest.mark.parametrize(
    ("module", "act"), [(module, act) for module, found in sorted(acts().items()) for act in found]
)
def test_an_act_names_what_the_requests_of_its_handler_have(module: str, act: Act) -> None:
    """A target or a detail that no request has would never be recorded, and nobody would notice."""
    sent, answered = fields_of(module)

    assert {act.target, *act.details} - {""} <= sent
    assert {act.made} - {""} <= answered


def fields_of(module: str) -> tuple[set[str], set[str]]:
    """Return the parameters and fields of the requests of a handler, and the fields of its answers."""
    sent, answered = set[str](), set[str]()
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if module_of(method.upper(), path) == module:
                sent |= {each["name"] for each in operation.get("parameters", ()) if "name" in each}
                sent |= properties(content_of(operation.get("requestBody", {})), DOCUMENT)
                good = (each for status, each in operation["responses"].items() if status.startswith("2"))
                answered |= set[str]().union(*(properties(content_of(each), DOCUMENT) for each in good))
    return sent, answered


def content_of(part: Any) -> Any:
    return part.get("content", {}).get("application/json", {}).get("schema", {})


def test_the_page_describes_the_acts_that_exist() -> None:
    described = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)`,? ", PAGE, re.MULTILINE))

    assert described == {act.name for found in acts().values() for act in found} | {CLOSE_LOSERS.name}


def test_roles_may_add_and_read_entries_and_nothing_else() -> None:
    table = backend.document().resources["AuditTable"].arn
    statements = [
        statement
        for name in (*backend.every_function(), "RecordActs")
        for resource in (backend.document_with(name) if name != "RecordActs" else backend.document()).resources.values()
        for policy in _policies(resource.properties)
        for statement in policy["Statement"]
        if table in str(statement["Resource"])
    ]

    assert {action for statement in statements for action in statement["Action"]} == {
        "dynamodb:PutItem",
        "dynamodb:Query",
    }


def _policies(properties: object) -> list[dict[str, list[dict[str, object]]]]:
    found = properties if isinstance(properties, dict) else {}
    named = [each.get("PolicyDocument", each) for each in found.get("Policies", ()) if isinstance(each, dict)]
    return [*named, *([found["PolicyDocument"]] if "PolicyDocument" in found else [])]


def test_the_policy_of_the_table_denies_every_way_to_change_an_entry() -> None:
    properties = backend.document().resources["AuditTable"].properties
    (statement,) = properties["ResourcePolicy"]["PolicyDocument"]["Statement"]

    assert (statement["Effect"], statement["Principal"], statement["Resource"]) == ("Deny", "*", "*")
    assert "Condition" not in statement
    assert set(statement["Action"]) == {
        *("dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"),
        *("dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", "dynamodb:PartiQLDelete"),
    }


def test_the_entries_outlive_the_stack_and_never_expire() -> None:
    table = backend.document().resources["AuditTable"]

    assert table.attributes["DeletionPolicy"] == "RetainExceptOnCreate"
    assert table.attributes["UpdateReplacePolicy"] == "Retain"
    assert table.properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert "TimeToLiveSpecification" not in table.properties
