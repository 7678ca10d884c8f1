"""The WebSocket API on one machine does what API Gateway does, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from local.functions.client import FunctionsClient
from local.loopback import listen
from local.template import Function, WebSocketApi
from local.websocket import FRAME_LIMIT, MESSAGE_LIMIT, WebSocketGateway


def function(name: str) -> Function:
    return Function(
        logical_id=name, name=name, arn=name, handler="code.handler", code_dir=Path(), layers=(), environment={},
        timeout=10, memory=128, runtime="python3.13",
    )  # fmt: skip


class Functions(httpx.AsyncBaseTransport):
    """The Lambda Invoke API: remembers events, and answers 200 or as it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, httpx.Response] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.split("/")[3]
        self.events.append((name, json.loads(await request.aread())))
        return self.answers.get(name) or httpx.Response(200, json={"statusCode": 200})

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for called, event in self.events if called == name]


class Server:
    """A gateway on a socket, and a client of its management API."""

    def __init__(self, functions: Functions, url: str, management: httpx.AsyncClient) -> None:
        self.functions = functions
        self.url = url
        self.management = management

    def connection_id(self) -> str:
        found: str = self.functions.of("Connect")[-1]["requestContext"]["connectionId"]
        return found

    async def eventually(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until a function was called."""
        async with asyncio.timeout(5):
            while len(self.functions.of(name)) < count:
                await asyncio.sleep(0.01)
        return self.functions.of(name)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Server]:
    functions = Functions()
    keys = {"$connect": "Connect", "$disconnect": "Disconnect", "$default": "Default", "dance": "Dance"}
    api = WebSocketApi("WebSocketApi", "v0", "action", {key: function(name) for key, name in keys.items()})
    async with httpx.AsyncClient(transport=functions, base_url="http://lambda.test") as client:
        gateway = WebSocketGateway(api, FunctionsClient(client), **options)
        transport = httpx.ASGITransport(gateway.management)
        with listen(0) as listening:
            url = "ws://{}:{}".format(*listening.getsockname())
            async with (
                httpx.AsyncClient(transport=transport, base_url="http://management.test") as management,
                gateway.serve(listening),
            ):
                yield Server(functions, url, management)


def run(story: Callable[[Server], Awaitable[None]], **options: Any) -> None:
    async def tell() -> None:
        async with serving(**options) as server, asyncio.timeout(10):
            await story(server)

    asyncio.run(tell())


async def code_of(connection: ClientConnection) -> int | None:
    with suppress(ConnectionClosed):
        async for _ in connection:
            pass
    return connection.close_code


def test_a_connection_is_announced_with_what_the_client_sent() -> None:
    async def story(server: Server) -> None:
        async with connect(f"{server.url}/?ticket=t&ticket=u&empty=", additional_headers={"X-Mine": "1"}):
            (event,) = server.functions.of("Connect")
        context = event["requestContext"]
        assert event["headers"]["X-Mine"] == "1"
        assert event["queryStringParameters"] == {"ticket": "u", "empty": ""}
        assert event["multiValueQueryStringParameters"]["ticket"] == ["t", "u"]
        assert (context["routeKey"], context["eventType"], context["stage"]) == ("$connect", "CONNECT", "v0")
        assert context["connectionId"].endswith("=")
        assert context["identity"]["sourceIp"] == "127.0.0.1"

    run(story)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (httpx.Response(200, json={"statusCode": 401}), 401),
        (httpx.Response(200, json={"errorMessage": "no"}, headers={"X-Amz-Function-Error": "Unhandled"}), 502),
        (httpx.Response(200, json="nonsense"), 502),
        (httpx.Response(404, json={}), 502),
    ],
)
def test_a_connection_that_is_refused_does_not_open(answer: httpx.Response, status: int) -> None:
    async def story(server: Server) -> None:
        server.functions.answers["Connect"] = answer
        with pytest.raises(InvalidStatus) as refused:
            async with connect(server.url):
                pass
        assert refused.value.response.status_code == status
        assert server.functions.of("Disconnect") == []
        assert (await server.management.post(f"/@connections/{server.connection_id()}")).status_code == 410

    run(story)


def test_there_is_nothing_at_another_path() -> None:
    async def story(server: Server) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{server.url}/elsewhere"):
                pass
        assert refused.value.response.status_code == 403
        assert server.functions.events == []

    run(story)


@pytest.mark.parametrize(
    ("message", "called", "route"),
    [
        ('{"action": "dance"}', "Dance", "dance"),
        ('{"action": "sing"}', "Default", "$default"),
        ('{"action": ["dance"]}', "Default", "$default"),
        ("nonsense", "Default", "$default"),
        ("[" * 20_000, "Default", "$default"),
    ],
)
def test_a_message_goes_to_its_route(message: str, called: str, route: str) -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            await connection.send(message)
            (event,) = await server.eventually(called)
        context = event["requestContext"]
        assert event["body"] == message
        assert (context["routeKey"], context["eventType"]) == (route, "MESSAGE")
        assert context["connectionId"] == server.connection_id()
        assert context["messageId"]

    run(story)


def test_a_message_whose_function_fails_is_answered_by_the_gateway() -> None:
    async def story(server: Server) -> None:
        failure = httpx.Response(200, json={"errorMessage": "no"}, headers={"X-Amz-Function-Error": "Unhandled"})
        server.functions.answers["Default"] = failure
        async with connect(server.url) as connection:
            await connection.send("nonsense")
            told = json.loads(await connection.recv())
        assert told["message"] == "Internal server error"
        assert told["connectionId"] == server.connection_id()

    run(story)


@pytest.mark.parametrize("message", ["x" * (FRAME_LIMIT + 1), ["x" * 20_000] * 7, "x" * 200_000])
def test_a_message_beyond_the_limits_ends_the_connection(message: Any) -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            await connection.send(message)
            assert await code_of(connection) == 1009
        (event,) = await server.eventually("Disconnect")
        assert event["requestContext"]["disconnectStatusCode"] == 1009
        assert server.functions.of("Default") == []

    run(story)


def test_a_message_in_several_frames_is_one_message() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            await connection.send(["x" * 20_000] * 6)
            (event,) = await server.eventually("Default")
        assert len(event["body"]) == 120_000

    run(story)


def test_bytes_end_the_connection() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            await connection.send(b"bytes")
            assert await code_of(connection) == 1003

    run(story)


def test_a_post_reaches_the_client() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            place = f"/@connections/{server.connection_id().replace('=', '%3D')}"
            assert (await server.management.post(place, content="é".encode())).status_code == 200
            assert await connection.recv() == "é"
            seen = (await server.management.get(place)).json()
            assert seen["identity"]["sourceIp"] == "127.0.0.1"
            assert seen["connectedAt"] <= seen["lastActiveAt"]
            large = await server.management.post(place, content=b"x" * (MESSAGE_LIMIT + 1))
            assert large.headers["x-amzn-ErrorType"] == "PayloadTooLargeException"

    run(story)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_connection_that_is_gone_is_gone_for_every_call(method: str) -> None:
    async def story(server: Server) -> None:
        async with connect(server.url):
            pass
        await server.eventually("Disconnect")
        for connection_id in (server.connection_id(), "nonsense"):
            answer = await server.management.request(method, f"/@connections/{connection_id}")
            assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (410, "GoneException")

    run(story)


def test_a_connection_can_be_closed_from_here() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            answer = await server.management.delete(f"/@connections/{server.connection_id()}")
            assert answer.status_code == 204
            assert await code_of(connection) == 1000
        assert len(await server.eventually("Disconnect")) == 1

    run(story)


def test_a_client_that_does_not_read_is_told_about_instead_of_kept_for() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url, max_queue=1) as connection:
            place, frame = f"/@connections/{server.connection_id()}", b"x" * MESSAGE_LIMIT
            answers = [(await server.management.post(place, content=frame)).status_code for _ in range(200)]
            assert answers[0] == 200
            assert answers[-1] == 429
            for _ in range(answers.count(200)):
                await connection.recv()
            assert (await server.management.post(place, content=b"news")).status_code == 200
            assert await connection.recv() == "news"

    run(story)


def test_a_connection_that_is_idle_ends() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            assert await code_of(connection) == 1001

    run(story, idle_limit=0.05)


def test_a_connection_that_is_used_ends_when_it_is_too_old() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            place = f"/@connections/{server.connection_id()}"
            posted = 0
            while (await server.management.post(place, content=b"news")).status_code == 200:
                posted += 1
                await asyncio.sleep(0.01)
            assert posted > 3
            assert await code_of(connection) == 1001

    run(story, idle_limit=0.2, age_limit=0.3)
