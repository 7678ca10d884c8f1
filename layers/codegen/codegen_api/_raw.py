"""Responses with their status and headers: `api.runs.with_raw_response.get(7)`."""

from collections.abc import Callable, Coroutine
from inspect import isawaitable
from typing import Any

import httpx

from ._protocol import Response


class RawResponse:
    """The response to a call. After retries it is the last one, after several calls that of the last call."""

    def __init__(self, response: Response, result: Any) -> None:
        self.status_code: int = response.status
        self.headers: httpx.Headers = response.headers
        self.content: bytes = response.content
        self.request_id: str | None = response.request_id
        self._result = result

    def parse(self) -> Any:
        """Return what the method returns without `with_raw_response`."""
        return self._result

    def __repr__(self) -> str:
        return f"RawResponse(status_code={self.status_code}, request_id={self.request_id!r})"


class RawMethods:
    """The methods of a resource, which return the response."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Callable[..., RawResponse]:
        getattr(self._resource, name)  # raises AttributeError

        def call(*args: Any, **kwargs: Any) -> RawResponse:
            responses: list[Response] = []
            result = getattr(type(self._resource)(_recording(self._resource._driver, responses)), name)(*args, **kwargs)
            return RawResponse(responses[-1], result)

        return call


class AsyncRawMethods:
    """The methods of a resource, which return the response."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, RawResponse]]:
        getattr(self._resource, name)  # raises AttributeError

        async def call(*args: Any, **kwargs: Any) -> RawResponse:
            responses: list[Response] = []
            result = getattr(type(self._resource)(_recording(self._resource._driver, responses)), name)(*args, **kwargs)
            result = await result if isawaitable(result) else result
            return RawResponse(responses[-1], result)

        return call


def _recording(driver: Any, responses: list[Response]) -> Any:
    """Return a driver that adds each response to a list."""
    given = driver.core.on_response

    def record(response: Response) -> None:
        responses.append(response)
        if given:
            given(response)

    return driver.with_core(driver.core.with_options(on_response=record))
