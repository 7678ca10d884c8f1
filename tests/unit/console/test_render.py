"""Markdown as a tree of elements."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.backend import template
from tests.support.events import Answer, call, rest
from tests.support.handlers import handler

ELEMENTS = {"p", "ul", "ol", "li", "blockquote", "strong", "em", "s", "code", "pre", "span", "table", "thead", "tbody"}
ELEMENTS |= {"tr", "th", "td", "br", "hr", "a", "h3", "h4", "h5", "h6"}


@pytest.fixture(autouse=True, scope="module")
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in template().functions["RenderMarkdown"].environment.items():
            patch.setenv(name, value)
        yield


def send(*texts: str) -> Answer:
    return call(handler("console/render"), rest("POST", "/console/markdown", body={"texts": texts}))


def nodes(text: str) -> list[Any]:
    answer = send(text)
    assert answer.status == 200
    (found,) = answer.json["trees"]
    return list(found)


def elements(tree: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for node in tree:
        if isinstance(node, list):
            name, attributes, *children = node
            yield name, attributes
            yield from elements(children)


def texts(tree: list[Any]) -> str:
    return "".join(node if isinstance(node, str) else texts(node[2:]) for node in tree)


def test_markdown_becomes_elements() -> None:
    assert nodes("# A\n\nSome *text*.\n\n- one\n- two") == [
        ["h3", {}, "A"],
        ["p", {}, "Some ", ["em", {}, "text"], "."],
        ["ul", {}, ["li", {}, "one"], ["li", {}, "two"]],
    ]


def test_the_highest_heading_follows_those_of_the_page() -> None:
    assert [name for name, _ in elements(nodes("## A\n\n#### B\n\n## C"))] == ["h3", "h5", "h3"]
    assert [name for name, _ in elements(nodes("# A\n\n###### B"))] == ["h3", "h6"]


def test_a_table_and_a_numbered_list_are_read() -> None:
    tree = nodes("| a | b |\n|---|---|\n| 1 | 2 |\n\n3. x")

    assert [name for name, _ in elements(tree)] == [
        "table",
        "thead",
        "tr",
        "th",
        "th",
        "tbody",
        "tr",
        "td",
        "td",
        "ol",
        "li",
    ]
    assert ("ol", {"start": 3}) in list(elements(tree))


def test_code_is_coloured_if_its_language_is_known() -> None:
    (python,), (plain,) = nodes("```python\nreturn 1\n```"), nodes("```nonsense\nreturn 1\n```")

    assert ["span", {"class": "k"}, "return"] in python[2]
    assert plain == ["pre", {}, ["code", {}, "return 1\n"]]


def test_long_code_is_not_coloured() -> None:
    (tree,) = nodes("```python\n" + "x = 1\n" * 5000 + "```")

    assert len(tree[2]) == 3


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <b>bold</b> word",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](vbscript:x)",
        "<javascript:alert(1)>",
    ],
)
def test_html_and_other_addresses_stay_text(text: str) -> None:
    assert {name for name, _ in elements(nodes(text))} <= {"p", "span"}


def test_an_image_becomes_a_link_because_it_would_load_from_elsewhere() -> None:
    assert nodes("![A plot](https://example.com/plot.png)") == [
        ["p", {}, ["a", {"href": "https://example.com/plot.png"}, "A plot"]]
    ]


@given(st.text(alphabet="ab*_`~#>-+1.[]()!|<>&\\:/\n \t", max_size=120))
def test_any_text_becomes_known_elements_with_known_attributes(text: str) -> None:
    for name, attributes in elements(nodes(text)):
        assert name in ELEMENTS
        assert attributes.keys() <= {"class", "href", "start"}
        assert attributes.get("href", "https:").startswith(("http:", "https:", "mailto:"))


def test_each_text_has_its_tree_in_the_order_of_the_texts() -> None:
    assert send("# A", "", "b").json["trees"] == [[["h3", {}, "A"]], [], [["p", {}, "b"]]]


@pytest.mark.parametrize("sent", [("a" * 200_001,), ("a" * 100_000, "b" * 100_001), ("a",) * 201, ()])
def test_a_request_with_too_much_text_or_none_is_refused(sent: tuple[str, ...]) -> None:
    assert send(*sent).status == 422


def test_the_largest_request_is_read() -> None:
    assert len(send(*(["a" * 1000] * 200)).json["trees"]) == 200


def test_deep_nesting_is_read_to_a_limit() -> None:
    assert texts(nodes(">" * 50 + " deep")) == "deep"
    assert sum(1 for _ in elements(nodes(">" * 5000 + " deep"))) <= 100
