"""The line of each request with `--verbose`."""

import asyncio
from typing import Any

import pytest

from local.request_log import RequestLog


def line(status: int, **scope: Any) -> str:
    """Return the line of one request, whose answer takes 34 milliseconds."""
    lines: list[str] = []
    clock = iter([1000.0, 1000.034])

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        if status:
            await send({"type": "http.response.start", "status": status, "headers": [(b"x-amzn-requestid", b"req-7")]})

    async def send(_message: Any) -> None:
        pass

    request = {"type": "http", "method": "GET", "path": "/a b", "raw_path": b"/a%20b", "query_string": b"ticket=x"}
    asyncio.run(RequestLog(app, lines.append, lambda: next(clock))(request | scope, None, send))
    (written,) = lines
    return written.partition(" ")[2]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "GET /a%20b 200 34 ms"),
        (404, "GET /a%20b 404 34 ms"),
        (502, "GET /a%20b 502 34 ms req-7"),
        (0, "GET /a%20b gone 34 ms"),
    ],
)
def test_a_line_has_the_request_its_status_and_its_time_and_no_query(status: int, expected: str) -> None:
    assert line(status) == expected


def test_bytes_that_are_no_text_are_escaped() -> None:
    assert line(200, raw_path=b"/\x1b[2J\xff") == "GET /\\x1b[2J\\xff 200 34 ms"
