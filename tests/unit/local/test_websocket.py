"""The local WebSocket API, over real sockets and a fake Lambda Invoke API."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State

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
    """The Lambda Invoke API: records events, and answers 200 or what a test sets, once `may_answer` is set."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, httpx.Response] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.split("/")[3]
        self.events.append((name, json.loads(await request.aread())))
        await self.may_answer.wait()
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
        """Wait until a function has been called `count` times, and return its events."""
        async with asyncio.timeout(5):
            while len(self.functions.of(name)) < count:
                await asyncio.sleep(0.01)
        return self.functions.of(name)


@asynccontextmanager
async def serving(routes: Mapping[str, str], **options: Any) -> AsyncIterator[Server]:
    functions = Functions()
    api = WebSocketApi("WebSocketApi", "v0", "action", {key: function(name) for key, name in routes.items()})
    async with httpx.AsyncClient(transport=functions, base_url="http://lambda.test") as client:
        gateway = WebSocketGateway(api, FunctionsClient(client), **options)
        transport = httpx.ASGITransport(gateway.management)
        with listen(0) as listening:
            url = "ws://{}:{}".format(*listening.getsockname())
            async with (
                httpx.AsyncClient(transport=transport, base_url="http://management.test") as management,
                gateway.serve(listening),
            ):
                try:
                    yield Server(functions, url, management)
                finally:
                    functions.may_answer.set()


ROUTES = {"$connect": "Connect", "$disconnect": "Disconnect", "$default": "Default", "dance": "Dance"}


def run(story: Callable[[Server], Awaitable[None]], routes: Mapping[str, str] = ROUTES, **options: Any) -> None:
    """Run a story with a server of these routes (route key to function)."""

    async def tell() -> None:
        async with serving(routes, **options) as server, asyncio.timeout(10):
            await story(server)

    asyncio.run(tell())


async def code_of(connection: ClientConnection) -> int | None:
    """Wait until the connection is closed and return the close code."""
    with suppress(ConnectionClosed):
        async for _ in connection:
            pass
    return connection.close_code


def test_the_function_of_connect_gets_the_headers_and_the_query() -> None:
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


def test_an_event_has_the_request_context() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url, user_agent_header="tests") as connection:
            await connection.send("nonsense")
            events = server.functions.of("Connect") + await server.eventually("Default")
            seen = (await server.management.get(f"/@connections/{server.connection_id()}")).json()
        for event in events:
            context = event["requestContext"]
            assert event["isBase64Encoded"] is False
            assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "tests"}
            assert (context["domainName"], context["stage"]) == (server.url.removeprefix("ws://"), "v0")
            assert context["connectedAt"] == context["requestTimeEpoch"] == 1_700_000_000_500
            assert context["requestTime"] == "14/Nov/2023:22:13:20 +0000"
        assert seen == {
            "connectedAt": "2023-11-14T22:13:20.500000Z",
            "identity": {"sourceIp": "127.0.0.1", "userAgent": "tests"},
            "lastActiveAt": "2023-11-14T22:13:20.500000Z",
        }

    run(story, clock=lambda: 1_700_000_000.5)


def test_an_event_without_a_query_has_no_parameters() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url):
            (event,) = server.functions.of("Connect")
        assert {"queryStringParameters", "multiValueQueryStringParameters"} & event.keys() == set()

    run(story)


def test_another_path_is_forbidden() -> None:
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
def test_a_message_goes_to_the_function_of_its_route(message: str, called: str, route: str) -> None:
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


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(200, json={"errorMessage": "no"}, headers={"X-Amz-Function-Error": "Unhandled"}),
        httpx.Response(200, json={"statusCode": 500}),
    ],
    ids=["error", "status 500"],
)
def test_a_message_whose_function_fails_gets_an_answer_of_the_gateway(failure: httpx.Response) -> None:
    async def story(server: Server) -> None:
        server.functions.answers["Default"] = failure
        async with connect(server.url) as connection:
            await connection.send("nonsense")
            answer = json.loads(await connection.recv())
        assert answer["message"] == "Internal server error"
        assert answer["connectionId"] == server.connection_id()

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


def test_a_message_whose_function_takes_too_long_gets_an_answer_of_the_gateway() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            server.functions.may_answer.clear()
            await connection.send("nonsense")
            answer = json.loads(await connection.recv())
            server.functions.may_answer.set()
        assert answer["message"] == "Internal server error"

    run(story, integration_timeout=0.05)


def test_a_message_without_a_route_is_forbidden() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            await connection.send("nonsense")
            answer = json.loads(await connection.recv())
        assert answer["message"] == "Forbidden"
        assert answer["requestId"]

    run(story, {"dance": "Dance"})


def test_eight_messages_of_a_client_are_handled_at_the_same_time() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as busy, connect(server.url) as other:
            for _ in range(8):
                await busy.send("answered at once")
            await server.eventually("Default", 8)
            server.functions.may_answer.clear()
            for _ in range(10):
                await busy.send("nonsense")
            await server.eventually("Default", 16)
            await other.send('{"action": "dance"}')
            await server.eventually("Dance")
            assert len(server.functions.of("Default")) == 16
            server.functions.may_answer.set()
            await server.eventually("Default", 18)

    run(story)


def test_the_function_of_disconnect_gets_the_code_and_reason_of_the_client() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url, additional_headers={"X-Mine": "1"}) as connection:
            await connection.close(4000, "enough")
        (event,) = await server.eventually("Disconnect")
        context = event["requestContext"]
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (4000, "enough")
        assert (context["routeKey"], context["eventType"]) == ("$disconnect", "DISCONNECT")
        assert [name.lower() for name in event["headers"]] == ["host"]

    run(story)


def test_a_client_that_vanishes_is_disconnected_with_1006() -> None:
    async def story(server: Server) -> None:
        connection = await connect(server.url)
        connection.transport.abort()
        (event,) = await server.eventually("Disconnect")
        assert event["requestContext"]["disconnectStatusCode"] == 1006
        assert event["requestContext"]["disconnectReason"] == ""

    run(story)


def test_a_message_in_several_frames_is_one_message() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            await connection.send(["x" * 20_000] * 6)
            (event,) = await server.eventually("Default")
        assert len(event["body"]) == 120_000

    run(story)


def test_a_binary_message_ends_the_connection() -> None:
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
def test_every_call_for_a_connection_that_is_gone_answers_410(method: str) -> None:
    async def story(server: Server) -> None:
        async with connect(server.url):
            pass
        await server.eventually("Disconnect")
        for connection_id in (server.connection_id(), "nonsense"):
            answer = await server.management.request(method, f"/@connections/{connection_id}")
            assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (410, "GoneException")

    run(story)


def test_the_management_api_can_close_a_connection() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            answer = await server.management.delete(f"/@connections/{server.connection_id()}")
            assert answer.status_code == 204
            assert await code_of(connection) == 1000
        assert len(await server.eventually("Disconnect")) == 1

    run(story)


def test_a_post_to_a_client_that_does_not_read_is_429_until_it_reads() -> None:
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


def test_an_idle_connection_is_closed() -> None:
    async def story(server: Server) -> None:
        async with connect(server.url) as connection:
            assert await code_of(connection) == 1001

    run(story, idle_limit=0.05)


@pytest.mark.parametrize("direction", ["to the client", "from the client"])
def test_a_connection_in_use_is_closed_only_when_it_is_too_old(direction: str) -> None:
    async def story(server: Server) -> None:
        started = asyncio.get_running_loop().time()
        async with connect(server.url) as connection:
            place = f"/@connections/{server.connection_id()}"
            while connection.state is State.OPEN:
                with suppress(ConnectionClosed):
                    if direction == "to the client":
                        await server.management.post(place, content=b"news")
                        await connection.recv()
                    else:
                        await connection.send("nonsense")
                await asyncio.sleep(0.01)
            assert await code_of(connection) == 1001
        assert asyncio.get_running_loop().time() - started >= 0.4

    run(story, idle_limit=0.2, age_limit=0.4)
