"""The process's one connection pool, and the wires that run through it.

The pool is opened by the first request and kept while the function is warm; to make its TLS context takes tens of
milliseconds, so that there is one for everybody. httpx drops connections that idle for 5 s, so one that died while the
function was frozen is not used again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import httpx


class Wire(httpx.BaseTransport):
    """The way to one service: through the pool, or over what replaces it."""

    def __init__(self) -> None:
        self._replacements: list[httpx.BaseTransport] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises `httpx.TransportError`."""
        return (self._replacements[-1] if self._replacements else _pool()).handle_request(request)

    @contextmanager
    def over(self, transport: httpx.BaseTransport) -> Iterator[None]:
        """Send every request over `transport` instead of the network while the block runs."""
        self._replacements.append(transport)
        try:
            yield
        finally:
            self._replacements.remove(transport)


@cache
def _pool() -> httpx.HTTPTransport:
    return httpx.HTTPTransport()
