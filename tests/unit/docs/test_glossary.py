"""docs/glossary.md is complete and in order."""

import re

from codegen_runs.runs.health import RunHealth
from codegen_runs.statuses import Status
from tests.support.sources import ROOT

TEXT = (ROOT / "docs" / "glossary.md").read_text("utf-8")
TERMS = dict(re.findall(r"(?m)^\| (.+?) \| (.+) \|$", TEXT.partition("|---|---|\n")[2]))


def test_terms_are_in_alphabetical_order() -> None:
    assert list(TERMS) == sorted(TERMS, key=str.lower)


def test_a_term_refers_only_to_existing_terms() -> None:
    referred = {name for meaning in TERMS.values() for name in re.findall(r"(?:See|Compare|see) \*(.+?)\*", meaning)}

    assert referred
    assert referred <= TERMS.keys()


def test_every_status_and_health_is_explained() -> None:
    explained = TERMS["status"] + TERMS["terminal"] + TERMS["health"]

    assert {word for word in [*Status, *RunHealth] if f"`{word}`" not in explained} == set()
