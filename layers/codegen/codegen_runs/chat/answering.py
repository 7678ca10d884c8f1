"""Answering a chat message: with the agent's answer, or with a stream of events until then.

An endpoint like any other sends the message, and its answer says where to follow the turn. After that, this module
waits for the agent's answer, or streams the events. If the client disconnects or an error happens while waiting,
nothing is lost: the turn continues, and can be followed as the endpoint's answer says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import settings
from codegen_runs.backend import Backend
from codegen_runs.chat.messages import ChatAnswer
from codegen_runs.chat.outcomes import outcome
from codegen_runs.chat.view import ChatView
from codegen_runs.events import Event, is_terminal
from codegen_runs.http import admission
from codegen_runs.http.proxy import Answer, Handler, content_of
from codegen_runs.http.proxy import Event as Request
from codegen_runs.live.reading import RunReader, open_reader
from codegen_runs.live.sse import LIFETIME, MARGIN, MAX_PAGE, MAX_STREAM, FrameStream, Stream
from codegen_runs.logs import logger
from codegen_runs.problems import Problem

# Seconds from the request within which an answer is sent. API Gateway's limit is 29.
HOLD = 25.0

# Seconds between two reads of events.
INTERVAL = 0.5

# Seconds without a frame after which a comment is sent. HTTP libraries for Python give up after 5.
KEEP_ALIVE = 4.0

_SENT = 202


class ChatStream(FrameStream):
    """The ASGI app of a chat.

    Args:
        send: The endpoint that sends a message. If it returns an error, that is the answer.
        backend: What to work with.
    """

    def __init__(self, send: Handler, *, backend: Backend | None = None) -> None:
        super().__init__(self._serve, backend)
        self._send = send

    def _serve(self, live: bool, event: Request, context: LambdaContext, backend: Backend) -> Answer:
        started, left = backend.clock.now(), context.get_remaining_time_in_millis() / 1000
        answer = self._send(event, _ShortContext(context), backend)  # type: ignore[arg-type]
        if answer["statusCode"] != _SENT:
            return answer
        turn = ChatAnswer.model_validate_json(answer["body"])
        try:
            reader = open_reader(
                org_id=turn.organization_id,
                agent_run_id=turn.run_id,
                after=turn.cursor,
                caller=admission.identify(event, turn.organization_id),
                may_follow=False,
                backend=backend,
            )
            if json.loads(content_of(event)).get("stream"):
                lasts = min(LIFETIME, left - MARGIN) if live else HOLD
                headers = _streaming(answer["multiValueHeaders"])
                return answer | headers | self._streamed(turn, reader, live=live, until=started + lasts)
            return answer | self._held(turn, reader, until=started + HOLD)
        except Problem:
            logger.exception("A message was sent, but its turn cannot be followed.", agent_run_id=turn.run_id)
            return answer

    def _streamed(self, turn: ChatAnswer, reader: RunReader, *, live: bool, until: float) -> dict[str, Any]:
        first = turn.model_dump(mode="json", include={"session_id", "agent_id", "agent_version", "turn", "status"})
        stream = Stream(
            reader,
            ChatView(first | {"links": turn.links.model_dump()}),
            cursor=turn.cursor,
            first=reader.next(),
            interval=INTERVAL,
            until=until,
            max_bytes=MAX_STREAM if live else MAX_PAGE,
            continues=True,
            keep_alive=KEEP_ALIVE,
        )
        return {"statusCode": 200, "body": "", "stream": stream}

    def _held(self, turn: ChatAnswer, reader: RunReader, *, until: float) -> dict[str, Any]:
        end = self._end(reader, until)
        if end is None:
            reader.refresh()
            waiting = {"status": reader.watch.shown_status, "status_reason": reader.watch.status_reason}
            return {"body": turn.model_copy(update=waiting).model_dump_json()}
        result = outcome(end, reader)
        ended = {
            "status": result.status,
            "status_reason": result.reason,
            "response": result.response,
            "response_truncated": result.response_truncated,
            "metrics": result.metrics,
        }
        return {"statusCode": 200, "body": turn.model_copy(update=ended).model_dump_json()}

    def _end(self, reader: RunReader, until: float) -> Event | None:
        """Wait for the terminal event of the turn; None if the time is over, or if the event can no longer come."""
        while True:
            events = reader.next()
            if end := next((event for event in events if is_terminal(event.type)), None):
                return end
            left = until - reader.backend.clock.now()
            if left <= 0 or reader.ended:
                return None
            if not events:
                reader.backend.clock.sleep(min(INTERVAL, left))


class _ShortContext:
    """A Lambda context in which a message must be sent within `HOLD` seconds, however long the answer may last."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context
        self._extra = max(0, context.get_remaining_time_in_millis() - round(HOLD * 1000))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def get_remaining_time_in_millis(self) -> int:
        return self._context.get_remaining_time_in_millis() - self._extra


def _streaming(headers: Mapping[str, list[str]]) -> dict[str, Any]:
    kept = {name: values for name, values in headers.items() if name.lower() != "content-type"}
    retention = {"Stream-Retention-Seconds": [str(settings.event_retention())]}
    return {"multiValueHeaders": kept | retention | {"Content-Type": ["text/event-stream; charset=utf-8"]}}
