"""Operations of a deployment, as the commands call them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codegen_api import CodegenAPI


def call(api: CodegenAPI, method: str, path: str, *, params: Any = None, body: Any = None) -> Any:
    """Call an operation of the client's organization, and return its JSON."""
    content = None if body is None else json.dumps(body).encode()
    path = f"/v1/organizations/{api._driver.core.org(None)}/{path}"
    media = "application/json" if content else None
    answer = api.request(method, path, params=params, content=content, content_type=media)
    return json.loads(answer.content) if answer.content else {}


def is_one(api: CodegenAPI) -> bool:
    """Return whether the server is a deployment."""
    from codegen_api._deployment import is_deployment

    return api._driver.run(is_deployment(api._driver.core))


def rate_limits(api: CodegenAPI) -> Any:
    """Read what is left of the rate limits, and the launch queue."""
    return call(api, "GET", "rate-limits")


def items(api: CodegenAPI, path: str) -> Iterator[dict[str, Any]]:
    """Read a list page by page."""
    cursor = None
    while True:
        page = call(api, "GET", path, params={"cursor": cursor})
        yield from page["items"]
        cursor = page.get("next_cursor")
        if not cursor:
            return


def name(text: str) -> str:
    """Return an id in the form that it has in a path."""
    from urllib.parse import quote

    return quote(text, safe="")
