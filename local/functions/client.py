"""Call functions over the Lambda Invoke API, as API Gateway and EventBridge Scheduler do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
from botocore.eventstream import EventStreamBuffer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def invoke_path(function: str) -> str:
    """Return the path at which Lambda accepts a function's events."""
    return f"/2015-03-31/functions/{function}/invocations"


def stream_path(function: str) -> str:
    """Return the path at which Lambda accepts a function's events and streams its answers."""
    return f"/2021-11-15/functions/{function}/response-streaming-invocations"


class InvocationError(Exception):
    """Lambda could not be reached, or refused the event with `status`."""

    def __init__(self, function: str, reason: str, status: int | None = None) -> None:
        super().__init__(f"{function}: {reason}")
        self.status = status


class FunctionError(Exception):
    """A function ended with an error. `message` is the error's own."""

    def __init__(self, function: str, error_type: str | None, message: str | None) -> None:
        super().__init__(f"{function}: {error_type}: {message}")
        self.message = message


class FunctionsClient:
    """A client of the Lambda Invoke API.

    Args:
        http: The HTTP client, with the base URL of the API and no timeout.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def invoke(self, name: str, event: Any) -> bytes:
        """Invoke a function with an event and return its result as JSON text.

        Raises:
            InvocationError: Lambda could not be reached, or refused the event.
            FunctionError: the function failed.
        """
        try:
            response = await self._http.post(invoke_path(name), content=json.dumps(event))
        except httpx.TransportError as error:
            raise InvocationError(name, repr(error)) from error
        if response.status_code != httpx.codes.OK:
            raise InvocationError(name, response.text, response.status_code)
        if "X-Amz-Function-Error" in response.headers:
            failure = response.json()
            raise FunctionError(name, failure.get("errorType"), failure.get("errorMessage"))
        return response.content

    async def stream(self, name: str, event: Any) -> AsyncGenerator[bytes, None]:
        """Invoke a function that streams its answer, and yield the parts as they arrive.

        Raises:
            InvocationError: Lambda could not be reached, refused the event, or closed the connection.
            FunctionError: the function failed, perhaps after some parts.
        """
        messages: Any = EventStreamBuffer()  # its annotations say that it yields numbers
        try:
            async with self._http.stream("POST", stream_path(name), content=json.dumps(event)) as response:
                if response.status_code != httpx.codes.OK:
                    raise InvocationError(name, (await response.aread()).decode(), response.status_code)
                async for data in response.aiter_raw():
                    messages.add_data(data)
                    for message in messages:
                        if message.headers[":event-type"] == "PayloadChunk":
                            yield message.payload
                        elif failure := json.loads(message.payload):
                            raise FunctionError(name, failure["ErrorCode"], failure["ErrorDetails"])
        except httpx.TransportError as error:
            raise InvocationError(name, repr(error)) from error

    async def send(self, name: str, event: bytes) -> None:
        """Invoke a function with an event (JSON text) without waiting for its result."""
        await self._http.post(invoke_path(name), content=event, headers={"X-Amz-Invocation-Type": "Event"})
