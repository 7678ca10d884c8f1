"""POST /console/markdown - read Markdown as a tree of elements.

The console builds the elements of an answer from this tree, so that no text of an agent is ever parsed as HTML.
"""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.token import STANDARD_TYPES, Token  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

from codegen_runs.http.admission import NO_ORGANIZATION
from codegen_runs.http.edge import endpoint
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)

# Characters. Longer texts and blocks of code are shown as they are: both libraries take more than linear time for some.
MAX_TEXT = 200_000
MOST_TEXTS = 200
MAX_CODE = 20_000

# HTML in the text stays text. Images would load from elsewhere; they become links.
markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": 100}).enable(["table", "strikethrough"])

TAGS = {"bullet_list": "ul", "ordered_list": "ol", "list_item": "li", "blockquote": "blockquote", "paragraph": "p"}
TAGS |= {"strong": "strong", "em": "em", "s": "s", "table": "table", "thead": "thead", "tbody": "tbody"}
TAGS |= {"tr": "tr", "th": "th", "td": "td", "hardbreak": "br", "hr": "hr"}

Node = str | list[Any]


class MarkdownTexts(BaseModel):
    """Texts in Markdown."""

    texts: list[str] = Field(min_length=1, max_length=MOST_TEXTS)

    @field_validator("texts")
    @classmethod
    def _within(cls, texts: list[str]) -> list[str]:
        if sum(map(len, texts)) > MAX_TEXT:
            raise PydanticCustomError("too_long", f"The texts together should have at most {MAX_TEXT} characters")
        return texts


class MarkdownTrees(BaseModel):
    """The elements of each text."""

    trees: list[list[Any]] = Field(
        description="For each text, its nodes. A node is a text, or a list: the name of the element, its attributes "
        "(`class`, `href`, `start`), and its nodes. A link is always http, https or mailto."
    )


@app.post("/console/markdown", tags=["Service"], summary="Read Markdown as a tree of elements")
def render_markdown(request: MarkdownTexts) -> MarkdownTrees:
    """Read Markdown (CommonMark and tables) as elements, with the code in it coloured. HTML in it stays text."""
    return MarkdownTrees(trees=[_tree(text) for text in request.texts])


def _tree(text: str) -> list[Node]:
    tokens = markdown.parse(text)
    # The page has headings above the text. The highest one of the text follows them, so that no level is skipped.
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    highest = min((int(token.tag[1]) for token in headings), default=1)
    for token in headings:
        token.tag = f"h{min(6, int(token.tag[1]) - highest + 3)}"
    return list(_nodes(SyntaxTreeNode(tokens).children))


def _nodes(nodes: Iterable[SyntaxTreeNode]) -> Iterator[Node]:
    for node in nodes:
        yield from _read(node)


def _read(node: SyntaxTreeNode) -> Iterator[Node]:
    match node.type:
        case "inline":
            yield from _nodes(node.children)
        case "paragraph" if node.hidden:  # In a list without blank lines.
            yield from _nodes(node.children)
        case "text" | "html_inline" | "html_block":
            yield node.content
        case "softbreak":
            yield "\n"
        case "code_inline":
            yield ["code", {}, node.content]
        case "fence" | "code_block":
            yield ["pre", {}, ["code", {}, *_coloured(node.content, node.info.split()[:1] if node.info else [])]]
        case "heading":
            yield [node.tag, {}, *_nodes(node.children)]
        case "link" | "image":
            address = str(node.attrs.get("href") or node.attrs.get("src") or "")
            content = list(_nodes(node.children)) or [node.content or address]
            yield ["a", {"href": address}, *content] if _is_web(address) else ["span", {}, *content]
        case _ if node.type in TAGS:
            start = {"start": node.attrs["start"]} if node.type == "ordered_list" and "start" in node.attrs else {}
            yield [TAGS[node.type], start, *_nodes(node.children)]
        case _:
            yield node.content


def _is_web(address: str) -> bool:
    try:
        return urlsplit(address).scheme in ("http", "https", "mailto")
    except ValueError:
        return False


def _coloured(code: str, language: list[str]) -> Iterator[Node]:
    """Yield code as texts and spans, whose classes are those of Pygments' styles."""
    try:
        lexer = get_lexer_by_name(language[0], stripnl=False) if language and len(code) <= MAX_CODE else None
    except ClassNotFound:
        lexer = None
    if lexer is None:
        yield code
        return
    for kind, value in lexer.get_tokens(code):
        while kind not in STANDARD_TYPES:
            kind = kind.parent or Token
        name = STANDARD_TYPES[kind]
        yield ["span", {"class": name}, value] if name not in ("", "w") else value


# Reading changes nothing, so an Idempotency-Key has no effect, and a viewer may do it.
handler = endpoint(app, role=Role.VIEWER, own_data=True, secret=True, organization=NO_ORGANIZATION)
