"""Links between the pages of the repository lead to a file, a folder or a heading that exists."""

import re
from pathlib import Path

import pytest

from tests.support.sources import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"(?ms)^```.*?^```")


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"(?m)^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def is_broken(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return True
    return bool(anchor) and anchor not in headings(target)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_has_a_target(page: Path) -> None:
    links = {link for link in LINK.findall(FENCED.sub("", page.read_text("utf-8"))) if "://" not in link}

    assert {link for link in links if is_broken(page, link)} == set()


def test_a_link_to_a_missing_file_or_heading_is_broken() -> None:
    page = ROOT / "README.md"

    assert is_broken(page, "docs/nowhere.md")
    assert is_broken(page, "docs/architecture.md#nowhere")
    assert not is_broken(page, "docs/architecture.md#the-event-log")
