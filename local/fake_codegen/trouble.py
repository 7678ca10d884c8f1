"""Trouble: what goes wrong with a call, and the queue of trouble for the next calls."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from dataclasses import field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from pydantic.dataclasses import dataclass
from starlette.responses import HTMLResponse, JSONResponse, Response

from .schemas import (
    AgentRunLimitReachedErrorResponse,
    AgentRunNotFoundErrorResponse,
    APIRateLimitErrorResponse,
    PermissionsErrorResponse,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from .wire import Wire

Kind = Literal["none", "error", "html", "cut", "hang", "slow", "lost_answer", "truncated", "empty", "string_ids"]

ANY_OPERATION = "*"

# The errors that are known to answer `{message, status_code}`. All others are assumed to answer FastAPI's `{detail}`.
_MESSAGES = {
    402: AgentRunLimitReachedErrorResponse().message,
    403: PermissionsErrorResponse().message,
    404: AgentRunNotFoundErrorResponse().message,
    429: APIRateLimitErrorResponse().message,
}


@dataclass(frozen=True, config={"extra": "forbid"})
class Trouble:
    """What happens to one call instead of its normal answer.

    Before the call takes effect, so that it has none:

    * `error`: answer `status` (500) in the upstream's form, with `message` and `Retry-After: retry_after` if given.
    * `html`: answer `status` (502) with an HTML page, as a proxy in front of the upstream would.
    * `cut`: close the connection.
    * `hang`: do not answer for `seconds`, then close the connection.

    After the call has taken effect:

    * `slow`: answer after `seconds`.
    * `lost_answer`: close the connection.
    * `truncated`: answer half of the JSON.
    * `empty`: answer 200 without a body.
    * `string_ids`: answer with `token_id` and `installation_id` as strings, as observed in integrations.

    And `none`: answer normally, so that the trouble queued next applies to a later call.
    """

    kind: Kind
    status: int | None = None
    retry_after: int | None = None
    message: str | None = None
    seconds: float = 30.0

    async def meet(self, request: Request, wire: Wire, effect: Callable[[], Awaitable[Response]]) -> Response:
        """Answer a call with this trouble. `effect` carries the call out and returns its normal answer."""
        match self.kind:
            case "error":
                return self._error(self.status or 500)
            case "html":
                return _error_page(self.status or 502)
            case "cut":
                return await wire.cut(request)
            case "hang":
                await wire.wait(request, self.seconds)
                return await wire.cut(request)
        answer = await effect()
        match self.kind:
            case "slow":
                await wire.wait(request, self.seconds)
            case "lost_answer":
                return await wire.cut(request)
            case "truncated":
                return _with_body(answer, bytes(answer.body[: len(answer.body) // 2]))
            case "empty":
                return _with_body(answer, b"")
            case "string_ids":
                return _with_body(answer, json.dumps(_string_ids(json.loads(bytes(answer.body)))).encode())
        return answer

    def _error(self, status: int) -> Response:
        message = self.message or _MESSAGES.get(status) or HTTPStatus(status).phrase
        body = {"message": message, "status_code": status} if status in _MESSAGES else {"detail": message}
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return JSONResponse(body, status, headers)


@dataclass
class Troubles:
    """The queue of trouble for each operation. Trouble for any operation comes after an operation's own."""

    _queues: dict[str, deque[tuple[Trouble, int | None]]] = field(default_factory=lambda: defaultdict(deque))

    def add(self, operation: str, trouble: Trouble, times: int | None = 1) -> None:
        """Queue `trouble` for the next `times` calls of `operation`. None: every call until cleared."""
        self._queues[operation].append((trouble, times))

    def next(self, operation: str) -> Trouble | None:
        """Take the trouble for the next call of `operation`."""
        for name in (operation, ANY_OPERATION):
            if queue := self._queues[name]:
                trouble, times = queue[0]
                if times == 1:
                    queue.popleft()
                elif times is not None:
                    queue[0] = (trouble, times - 1)
                return trouble
        return None

    def pending(self) -> dict[str, list[dict[str, Any]]]:
        """Return the queued trouble of each operation."""
        return {
            operation: [{"kind": trouble.kind, "times": times} for trouble, times in queue]
            for operation, queue in self._queues.items()
            if queue
        }

    def clear(self) -> None:
        """Empty all queues."""
        self._queues.clear()


def _error_page(status: int) -> Response:
    title = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
    return HTMLResponse(page, status)


def _with_body(answer: Response, body: bytes) -> Response:
    return Response(body, answer.status_code, media_type=answer.media_type)


def _string_ids(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: str(item) if key in ("token_id", "installation_id") and item is not None else _string_ids(item)
                for key, item in value.items()
            }
        case list():
            return [_string_ids(item) for item in value]
    return value
