"""HTTP exchanges in a page of the documentation: a request, and its answer."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as text."""

    request: str
    answer: str

    @property
    def name(self) -> str:
        """The request's first line."""
        return self.request.partition("\n")[0]

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.name.split()[0]

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self.name.split()[1].partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query."""
        return dict(parse_qsl(self.name.partition("?")[2]))

    @property
    def body(self) -> Any:
        """The body of the request; None if it has none."""
        text = self.request.partition("\n\n")[2].strip()
        return json.loads(text) if text else None

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.answer.split()[1])

    @property
    def headers(self) -> dict[str, str]:
        """The headers that are shown of the answer."""
        return dict(line.split(": ", 1) for line in self.answer.partition("\n\n")[0].strip().splitlines()[1:])

    @property
    def media_type(self) -> str:
        """The media type of the answer."""
        return self.headers.get("Content-Type", "application/json").partition(";")[0]

    @property
    def text(self) -> str:
        """What is shown of the answer's content; empty if nothing is shown."""
        return self.answer.partition("\n\n")[2]

    @property
    def shown(self) -> Any:
        """The JSON that is shown of the answer; None for an answer that is not JSON or has no body."""
        return json.loads(self.text) if self.text and self.media_type.endswith("json") else None

    @property
    def frames(self) -> list[str]:
        """The names of the server-sent events that are shown."""
        return re.findall(r"(?m)^event: (.+)$", self.answer)


def read(page: Path) -> Iterator[Exchange]:
    """Read the exchanges of a page, in order."""
    for block in re.findall(r"(?ms)^```http\n(.*?)^```", page.read_text("utf-8")):
        request, separator, answer = block.partition("HTTP/1.1 ")
        yield Exchange(request.strip(), separator + answer)
