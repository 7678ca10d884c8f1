"""Conversations with agents: `api.chat`. Only a deployment has them."""

from typing import Any

import httpx

from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._deployment_models import ChatAnswer, ChatSessionSummary, CursorPage
from .._events import Event
from .._flows import json_object, perform
from .._ids import Id, as_id
from .._pagination import PAGE_SIZE, Listing, by_cursor
from .._prompt import as_prompt
from .._protocol import Call, Flow, StreamCall, StreamFlow
from .._resource import AsyncResource, Resource, async_listing, async_streaming, awaitable, blocking, listing, streaming
from .._streams import AsyncStream, Frame, Stream, follow_frames
from .._timestamps import Timestamp

FEATURE = "chat"


def send(
    core: Core, agent_id: str, message: str, *, session_id: str | None = None, org_id: Id | None = None
) -> Flow[ChatAnswer]:
    """Send a message to an agent and return its answer. `session_id` of an answer continues its conversation.

    The answer comes within 25 seconds. Otherwise its `status` is not final and its `response` is None: wait with
    `api.wait_for_task(answer.run_id)`.
    """
    body = _body(agent_id, message, session_id, stream=False)
    path = _path(core, org_id)
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("POST", path, ChatAnswer.read, body=body, idempotency_key=new_idempotency_key())))


def stream(
    core: Core, agent_id: str, message: str, *, session_id: str | None = None, org_id: Id | None = None
) -> StreamFlow:
    """Send a message to an agent and iterate over what happens until its answer is there.

    The first event, `run.started`, has the `session_id` and the `run_id` in its `data`. `run.log` events are the steps
    of the agent, `content.delta` has its answer in `data["content"]`. The last event, such as `run.completed`, has the
    whole `response`. If the connection is cut, the stream continues after the last event.
    """
    body = _body(agent_id, message, session_id, stream=True)
    yield from require_deployment(core, FEATURE)
    turn = _Turn(core.org(org_id), body)
    yield from follow_frames(turn.open, None, turn.read)


def sessions(
    core: Core, *, limit: int = PAGE_SIZE, org_id: Id | None = None
) -> Listing[ChatSessionSummary, CursorPage[ChatSessionSummary]]:
    """List the conversations that the caller began, latest message first. `limit` is the size of a page."""
    path, read = f"{_path(core, org_id)}/sessions", CursorPage[ChatSessionSummary].read
    return by_cursor(FEATURE, lambda cursor: Call("GET", path, read, params={"cursor": cursor, "limit": limit}))


class _Turn:
    """One message and its answer. The first request sends the message; a further one follows the same turn."""

    def __init__(self, org_id: int, body: dict[str, Any]) -> None:
        self._org_id, self._body, self._key = org_id, body, new_idempotency_key()
        self._run_id: int | None = None
        self._begin: str | None = None

    def open(self, after: str | None) -> StreamCall:
        """Return the call that opens the stream."""
        organization = f"/v1/organizations/{self._org_id}"
        if self._run_id is None:
            return StreamCall("POST", f"{organization}/chat", body=self._body, idempotency_key=self._key)
        path = f"{organization}/agent/run/{self._run_id}/logs/stream"
        return StreamCall("GET", path, params={"view": "chat", "after": after or self._begin})

    def read(self, frame: Frame) -> Event | None:
        """Return the event in a frame; None for the greeting of a further connection."""
        data = json_object(frame.data)
        if frame.event == "run_started" and frame.id is None:
            if self._run_id is not None:
                return None
            self._run_id = as_id(data["run_id"])
            link = (data.get("links") or {}).get("stream") or ""
            self._begin = httpx.URL(link).params.get("after")
        at = Timestamp.of(data.get("ts"))
        if isinstance(data.get("data"), dict):  # an event of the run, as in its log
            return Event(frame.id, str(data.get("type")), data["data"], at)
        return Event(frame.id, frame.event.replace("_", ".", 1), data, at)


class _Session:
    """A conversation: it keeps the `id` of the session, which the first answer brings."""

    def __init__(self, agent_id: str, session_id: str | None, org_id: Id | None) -> None:
        self.agent_id = agent_id
        self.id = session_id
        self._org_id = org_id

    def _keep(self, event: Event) -> Event:
        self.id = event.data.get("session_id") or self.id
        return event

    def __repr__(self) -> str:
        return f"{type(self).__name__}(agent_id={self.agent_id!r}, id={self.id!r})"


class ChatSession(_Session):
    """A conversation with an agent."""

    def __init__(self, chat: "ChatResource", agent_id: str, session_id: str | None, org_id: Id | None) -> None:
        super().__init__(agent_id, session_id, org_id)
        self._chat = chat

    def send(self, message: str) -> ChatAnswer:
        """Send a message and return the answer, as `api.chat.send` does."""
        answer = self._chat.send(self.agent_id, message, session_id=self.id, org_id=self._org_id)
        self.id = answer.session_id
        return answer

    def stream(self, message: str) -> Stream[Event]:
        """Send a message and iterate over what happens, as `api.chat.stream` does."""
        events = self._chat.stream(self.agent_id, message, session_id=self.id, org_id=self._org_id)
        return events.through(self._keep)


class AsyncChatSession(_Session):
    """A conversation with an agent."""

    def __init__(self, chat: "AsyncChatResource", agent_id: str, session_id: str | None, org_id: Id | None) -> None:
        super().__init__(agent_id, session_id, org_id)
        self._chat = chat

    async def send(self, message: str) -> ChatAnswer:
        """Send a message and return the answer, as `api.chat.send` does."""
        answer = await self._chat.send(self.agent_id, message, session_id=self.id, org_id=self._org_id)
        self.id = answer.session_id
        return answer

    def stream(self, message: str) -> AsyncStream[Event]:
        """Send a message and iterate over what happens, as `api.chat.stream` does."""
        events = self._chat.stream(self.agent_id, message, session_id=self.id, org_id=self._org_id)
        return events.through(self._keep)


def _body(agent_id: str, message: str, session_id: str | None, *, stream: bool) -> dict[str, Any]:
    return {"agent_id": agent_id, "message": as_prompt(message), "session_id": session_id, "stream": stream}


def _path(core: Core, org_id: Id | None) -> str:
    return f"/v1/organizations/{core.org(org_id)}/chat"


class ChatResource(Resource):
    """Conversations with agents."""

    send = blocking(send)
    stream = streaming(stream)
    sessions = listing(sessions)

    def session(self, agent_id: str, session_id: str | None = None, *, org_id: Id | None = None) -> ChatSession:
        """Begin a conversation with an agent, or continue the one with this id. This sends no request."""
        return ChatSession(self, agent_id, session_id, org_id)


class AsyncChatResource(AsyncResource):
    """Conversations with agents."""

    send = awaitable(send)
    stream = async_streaming(stream)
    sessions = async_listing(sessions)

    def session(self, agent_id: str, session_id: str | None = None, *, org_id: Id | None = None) -> AsyncChatSession:
        """Begin a conversation with an agent, or continue the one with this id. This sends no request."""
        return AsyncChatSession(self, agent_id, session_id, org_id)
