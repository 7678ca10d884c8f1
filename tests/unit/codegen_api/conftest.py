"""Real clients, blocking and asynchronous, with a fake HTTP transport and a fake clock."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from codegen_api import AsyncCodegenAPI, CodegenAPI, RetryPolicy
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport, ManualClock, create_app

TOKEN = "sk-not-a-real-token"


class Clock:
    """A clock that moves only when a test advances it or a client sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []
        self.listeners: list[Callable[[float], object]] = []

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for listener in self.listeners:
            listener(seconds)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds)

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


class Wire:
    """A fake server below the HTTP library. It returns scripted responses in order and records the requests."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.requests: list[httpx.Request] = []
        self._script: list[Callable[[httpx.Request], httpx.Response]] = []

    def answers(
        self,
        status: int = 200,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        after: float = 0.0,
    ) -> "Wire":
        """Answer the next request after `after` seconds."""

        def step(request: httpx.Request) -> httpx.Response:
            self.clock.advance(after)
            return httpx.Response(
                status, headers=headers, content=json.dumps(body).encode() if content is None else content
            )

        self._script.append(step)
        return self

    def streams(self, *chunks: bytes, every: float) -> "Trickle":
        """Answer the next request piece by piece."""
        stream = Trickle(chunks, every, self.clock)
        self._script.append(lambda request: httpx.Response(200, stream=stream))
        return stream

    def fails(self, error: type[httpx.RequestError], text: str = "scripted", *, after: float = 0.0) -> "Wire":
        """Let the next request fail in the HTTP library."""

        def step(request: httpx.Request) -> httpx.Response:
            self.clock.advance(after)
            raise error(text, request=request)

        self._script.append(step)
        return self

    def does(self, step: Callable[[httpx.Request], httpx.Response]) -> "Wire":
        """Answer the next request with a function."""
        self._script.append(step)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert self._script, f"an unexpected request: {request.method} {request.url}"
        self.requests.append(request)
        return self._script.pop(0)(request)

    @property
    def only(self) -> httpx.Request:
        """The only request."""
        assert len(self.requests) == 1
        return self.requests[0]


class Trickle(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, chunks: tuple[bytes, ...], every: float, clock: Clock) -> None:
        self._chunks = chunks
        self._every = every
        self._clock = clock
        self.closed = False

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._clock.advance(self._every)
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


class Client:
    """Uses either of the two clients in the same way: `client(lambda api: api.runs.get(7))`."""

    def __init__(self, asynchronous: bool, wire: Wire, clock: Clock) -> None:
        self.asynchronous = asynchronous
        self.wire = wire
        self.clock = clock

    @property
    def options(self) -> dict[str, Any]:
        """The default arguments of the client."""
        return {
            "org_id": 42,
            "token": TOKEN,
            "base_url": "https://codegen.test",
            "clock": self.clock,
            "retry": RetryPolicy(jitter=lambda: 0.0),
            "transport": httpx.MockTransport(self.wire),
        }

    def __call__(self, operation: Callable[[Any], Any], /, **options: Any) -> Any:
        """Make a client, carry out an operation, and return its result (a list if it is an iterator)."""
        return self.each(operation, **options)[0]

    def each(
        self, *operations: Callable[[Any], Any], view: Callable[[Any], Any] = lambda api: api, **options: Any
    ) -> Any:
        """Carry out several operations in turn on one view of one client."""
        options = self.options | options
        if self.asynchronous:
            return asyncio.run(self._await(operations, view, options))
        with CodegenAPI(sleep=self.clock.sleep, **options) as api:
            api = view(api)
            results = (operation(api) for operation in operations)
            return [list(result) if isinstance(result, Iterator) else result for result in results]

    def play(self, script: Callable[[Any], Generator[Any, Any, None]], **options: Any) -> None:
        """Carry out a script: a generator that takes a client, yields operations and is sent their results."""
        options = self.options | options
        if self.asynchronous:
            asyncio.run(self._play(script, options))
            return
        with CodegenAPI(sleep=self.clock.sleep, **options) as api:
            playing = script(api)
            act = partial(next, playing)
            while True:
                try:
                    result = act()
                except StopIteration:
                    return
                try:
                    act = partial(playing.send, list(result) if isinstance(result, Iterator) else result)
                except Exception as error:  # noqa: BLE001 - the script decides
                    act = partial(playing.throw, error)

    async def _play(self, script: Callable[[Any], Generator[Any, Any, None]], options: dict[str, Any]) -> None:
        async with AsyncCodegenAPI(sleep=self.clock.async_sleep, **options) as api:
            playing = script(api)
            act = partial(next, playing)
            while True:
                try:
                    yielded = act()
                except StopIteration:
                    return
                try:
                    act = partial(playing.send, await self._result(yielded))
                except Exception as error:  # noqa: BLE001 - the script decides
                    act = partial(playing.throw, error)

    async def _await(
        self, operations: Iterable[Callable[[Any], Any]], view: Callable[[Any], Any], options: dict[str, Any]
    ) -> list[Any]:
        async with AsyncCodegenAPI(sleep=self.clock.async_sleep, **options) as api:
            api = view(api)
            return [await self._result(operation(api)) for operation in operations]

    async def _result(self, result: Any) -> Any:
        if isinstance(result, AsyncIterator):
            return [item async for item in result]
        return await result if isinstance(result, Awaitable) else result


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("API_TOKEN", "TOKEN", "ORG_ID", "BASE_URL", "TIMEOUT", "MAX_RETRIES"):
        monkeypatch.delenv(f"CODEGEN_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wire(clock: Clock) -> Wire:
    return Wire(clock)


@pytest.fixture(params=["blocking", "asynchronous"])
def client(request: pytest.FixtureRequest, wire: Wire, clock: Clock) -> Client:
    return Client(request.param == "asynchronous", wire, clock)


class Codegen:
    """The fake Codegen API as the server of a client. It has the same clock."""

    def __init__(self, client: Client) -> None:
        self.world = FakeCodegen(clock=ManualClock())
        self._client = client

    def play(self, script: Callable[[Any], Generator[Any, Any, None]], **options: Any) -> None:
        """Carry out a script (see `Client.play`) against the fake Codegen API."""
        transport = (
            httpx.ASGITransport(create_app(self.world)) if self._client.asynchronous else FakeTransport(self.world)
        )
        codegen = {"org_id": DEMO_ORG_ID, "token": DEMO_TOKEN, "base_url": "http://codegen.test"}
        clock = self._client.clock
        clock.listeners.append(self.world.clock.advance)
        self._client.play(script, **codegen, transport=transport, **options)


@pytest.fixture
def codegen(client: Client) -> Codegen:
    return Codegen(client)


@pytest.fixture
def run() -> dict[str, Any]:
    """A run in the form of a live response."""
    return {
        "id": 7,
        "organization_id": 42,
        "status": "ACTIVE",
        "created_at": "2025-06-21 11:20:04.338398",
        "web_url": "https://codegen.sh/agent/trace/7",
        "result": None,
        "summary": None,
        "source_type": "API",
        "github_pull_requests": [],
        "metadata": None,
    }
