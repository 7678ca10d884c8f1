"""Examples of HTTP requests in a document, one under each heading, which tests send unchanged."""

import re
from pathlib import Path

import httpx


def read(file: Path) -> dict[str, str]:
    """Return the requests of a document by their headings."""
    return dict(re.findall(r"(?ms)^## ([^\n]+)\n+```http\n(.*?)^```", file.read_text("utf-8")))


def send(example: str, http: httpx.Client, **parameters: object) -> httpx.Response:
    """Send the request of an example, with the parameters of its path filled in."""
    head, _, body = example.partition("\n\n")
    (method, path), *headers = [line.split(" ", 1) for line in head.splitlines()]
    return http.request(
        method, path.format(**parameters), headers={name.rstrip(":"): value for name, value in headers}, content=body
    )
