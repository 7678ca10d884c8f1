"""Following runs by WebSocket: the deployed functions behind a real server, with API Gateway's limits."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack

RUNS = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"
PATIENCE = 180
AT_ONCE = 45  # seconds: before the first check of the subscription, which would also send what is missing


class Viewer:
    """A client that follows runs and keeps what it got."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def until(self, *types: str, count: int = 1) -> dict[str, Any]:
        """Read frames until so many of these types have come, and return the last."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = json.loads(await self.connection.recv())
                self.frames.append(frame)
                count -= frame["type"] in types
                if not count:
                    return frame  # type: ignore[no-any-return]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for frame in self.frames if frame["type"] == "events" for event in frame["events"]]


@pytest.fixture
def viewer(stack: Stack) -> Callable[[], Any]:
    @asynccontextmanager
    async def viewer() -> AsyncIterator[Viewer]:
        headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
        async with connect(stack.websocket_url, additional_headers=headers, max_queue=None) as connection:
            yield Viewer(connection)

    return viewer


def run(story: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(story())


def start(http: httpx.Client, **script: Any) -> int:
    body = {"prompt": "Say hello.", "metadata": {"fake": script}}
    run_id: int = http.post(RUNS, json=body).raise_for_status().json()["id"]
    return run_id


def check(events: list[dict[str, Any]], *, ends: bool = True) -> None:
    """The numbers have no gap and no repetition, and the one terminal event is the last."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] for event in events].count("run.completed") == int(ends)
    assert not ends or events[-1]["type"] == "run.completed"


@pytest.mark.full
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_subscriber_gets_the_whole_run_whenever_it_subscribes(moment: str, viewer: Any, http: httpx.Client) -> None:
    run_id = start(http, steps=40, seconds=0 if moment == "after" else 30)

    async def story() -> None:
        async with viewer() as ada:
            if moment == "during":
                async with viewer() as bob:
                    await bob.send(action="subscribe", run_id=run_id)
                    await bob.until("events")
            if moment == "after":
                async with viewer() as bob:
                    await bob.send(action="subscribe", run_id=run_id)
                    await bob.until("stream.end")
            await ada.send(action="subscribe", run_id=run_id)
            end = await ada.until("stream.end")
        check(ada.events)
        assert sum(event["type"] == "run.log" for event in ada.events) > 40
        assert [frame["type"] for frame in ada.frames[:2]] == ["subscribed", "snapshot"]
        assert end["cursor"] == ada.events[-1]["id"]

    run(story)


@pytest.mark.full
def test_a_multi_run_subscription_has_the_events_of_all_its_runs(viewer: Any, http: httpx.Client) -> None:
    body = {"prompt": "Say how to test a cache.", "concurrency": 3}
    multi_run_id = http.post(f"/v1/organizations/{DEMO_ORG_ID}/multi-runs", json=body).raise_for_status().json()["id"]

    async def story() -> None:
        async with viewer() as ada:
            await ada.send(action="subscribe", multi_run_id=multi_run_id)
            await ada.until("stream.end", count=5)
        assert ada.frames[0]["parts"] == ["multi_run", "0", "1", "2", "synthesis"]
        for part in ada.frames[0]["parts"]:
            frames = [frame for frame in ada.frames if frame.get("part") == part]
            found = [event for frame in frames if frame["type"] == "events" for event in frame["events"]]
            if part == "multi_run":
                assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
                assert (found[0]["type"], found[-1]["type"]) == ("multi_run.created", "multi_run.completed")
            else:
                check(found)
            assert frames[-1]["type"] == "stream.end"

    run(story)


def test_one_connection_follows_several_runs(viewer: Any, http: httpx.Client) -> None:
    run_ids = [start(http, steps=5, seconds=3) for _ in range(3)]

    async def story() -> None:
        async with viewer() as ada:
            for run_id in run_ids:
                await ada.send(action="subscribe", run_id=run_id)
            await ada.until("stream.end", count=3)
        for run_id in run_ids:
            check([event for event in ada.events if event["run_id"] == run_id])

    run(story)


def test_the_events_of_an_endpoint_are_pushed_at_once(viewer: Any, http: httpx.Client) -> None:
    for verb, body in (("pause", None), ("cancel", {"allow_pr_ban": True})):  # both functions take long to start
        http.post(f"{RUNS}/{start(http, ending='NEVER', steps=0)}/{verb}", json=body).raise_for_status()
    run_id = start(http, ending="NEVER", steps=0)

    async def story() -> None:
        async with viewer() as ada, asyncio.timeout(AT_ONCE):
            await ada.send(action="subscribe", run_id=run_id)
            await ada.until("snapshot")
            for verb, body, told in (
                ("pause", None, "run.status_changed"),
                ("cancel", {"allow_pr_ban": True}, "run.cancel_requested"),
            ):
                (await asyncio.to_thread(http.post, f"{RUNS}/{run_id}/{verb}", json=body)).raise_for_status()
                while told not in [event["type"] for event in ada.events]:
                    await ada.until("events")
            await ada.until("stream.end")
        assert ada.events[-1]["type"] == "run.cancelled"

    run(story)


@pytest.mark.parametrize("token", ["a-token-of-nobody", None])
def test_a_connection_without_a_token_is_refused(token: str | None, stack: Stack) -> None:
    async def story() -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with pytest.raises(InvalidStatus) as refused:
            async with connect(stack.websocket_url, additional_headers=headers):
                pass
        assert refused.value.response.status_code == 401

    run(story)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nonsense", "invalid_message"),
        ('{"action": "dance"}', "unknown_action"),
        ('{"action": "subscribe", "run_id": "abc123"}', "validation_failed"),
        ('{"action": "subscribe", "run_id": 99999999}', "not_found"),
        ('{"action": "subscribe", "run_id": 1, "organization_id": 1}', "not_a_member"),
    ],
)
def test_an_invalid_message_is_answered_and_the_connection_stays_open(message: str, code: str, viewer: Any) -> None:
    async def story() -> None:
        async with viewer() as ada:
            await ada.connection.send(message)
            problem = await ada.until("error")
            assert problem["error"]["code"] == code
            await ada.send(action="ping")
            await ada.until("pong")

    run(story)


def test_a_frame_of_200_kilobytes_closes_the_connection(viewer: Any) -> None:
    async def story() -> None:
        async with viewer() as ada:
            await ada.connection.send(json.dumps({"action": "ping", "padding": "x" * 200_000}))
            with pytest.raises(ConnectionClosed):
                await ada.until("pong")
            assert ada.connection.close_code == 1009

    run(story)


def test_a_closed_connection_leaves_no_items(viewer: Any, http: httpx.Client, stack: Stack) -> None:
    run_id = start(http, ending="NEVER", steps=0)

    def kept() -> list[Any]:
        found: list[Any] = stack.aws.client("dynamodb").query(
            TableName=stack.template.tables["ConnectionsTable"].name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"run#{DEMO_ORG_ID}#{run_id}"}},
        )["Items"]
        return found

    async def gone() -> None:
        async with asyncio.timeout(PATIENCE):
            while kept():
                await asyncio.sleep(0.1)

    async def story() -> None:
        async with viewer() as ada:
            await ada.send(action="subscribe", run_id=run_id)
            await ada.until("snapshot")
            assert len(kept()) == 1
            ada.connection.transport.abort()
        await gone()

    run(story)
