"""HTTP clients of event loops."""

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

import httpx


class LoopClients:
    """An asynchronous HTTP client for each event loop that sends requests.

    Connections belong to the loop that opened them. A program that calls `asyncio.run` several times with one client of
    this package, such as a Lambda function, has a new loop each time.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._spare: httpx.AsyncClient | None = make()  # here, so that its errors are those of the caller's constructor
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()
        self.is_closed = False

    async def send(self, request: httpx.Request, *, stream: bool, follow_redirects: bool) -> httpx.Response:
        """Send a request over the client of the running loop."""
        client = self._current()
        return await client.send(request, stream=stream, follow_redirects=follow_redirects)

    async def aclose(self) -> None:
        """Close the connections of the running loop. Those of other loops end with their loops."""
        client = self._current()
        self.is_closed = True
        await client.aclose()

    def _current(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop], self._spare = self._spare or self._make(), None
        return self._clients[loop]
