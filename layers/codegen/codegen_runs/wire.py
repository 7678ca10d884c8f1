"""The connection pool of the process, and the wires that use it.

The first request opens the pool, which stays open while the function is warm. All services share one pool, because
creating its TLS context takes tens of milliseconds. httpx closes connections that are idle for 5 s, so a connection
that was lost while the function was frozen is not used again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import httpx


class Wire(httpx.BaseTransport):
    """The transport to one service: the connection pool, or its replacement in a test."""

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
