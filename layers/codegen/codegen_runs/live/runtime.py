"""A Lambda runtime that streams: `python -m codegen_runs.live.runtime`, started by the layer's `stream`.

Lambda's Python runtime returns an answer as a whole. This runtime serves a handler that is an ASGI app wrapped by
Mangum, and sends each part of the answer as soon as the app sends it, through Lambda's Runtime API. The body of the
response is a JSON prelude with status and headers, eight NUL bytes, and then the parts. The trailers report an error
after the first byte.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib
import json
import os
import sys
import time
import traceback
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from mangum import Mangum

from codegen_runs.live.sse import LIVE

_INVOCATION = "/2018-06-01/runtime/invocation"
_INIT_ERROR = "/2018-06-01/runtime/init/error"
_PRELUDE_END = b"\0" * 8
_HEADERS = {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Content-Type": "application/vnd.awslambda.http-integration-response",
    "Transfer-Encoding": "chunked",
    "Trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
}


class Context:
    """The attributes of Lambda's context that this runtime provides."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends this invocation."""
        return max(0, self._deadline_ms - int(time.time() * 1000))


class Response:
    """One answer: a chunked POST that starts with the first part."""

    def __init__(self, address: str, request_id: str) -> None:
        self.begun = False
        self._path = f"{_INVOCATION}/{request_id}"
        self._connection = http.client.HTTPConnection(address)

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Send status and headers."""
        self._connection.putrequest("POST", f"{self._path}/response")
        for name, value in _HEADERS.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        self.begun = True
        prelude = {"statusCode": status, "headers": dict(headers)}
        self.send(json.dumps(prelude).encode() + _PRELUDE_END)

    def send(self, part: bytes) -> None:
        """Send a part of the body. Return when the connection has accepted it."""
        if part:
            self._connection.send(b"%x\r\n%b\r\n" % (len(part), part))

    def end(self, error: BaseException | None) -> None:
        """End the answer, and report the error that interrupted it, if any."""
        if not self.begun:
            self._connection.request("POST", f"{self._path}/error", json.dumps(_as_json(error)))
        else:
            trailers = b""
            if error:
                body = b64encode(json.dumps(_as_json(error)).encode())
                kind = type(error).__name__.encode()
                trailers = b"Lambda-Runtime-Function-Error-Type: %b\r\n" % kind
                trailers += b"Lambda-Runtime-Function-Error-Body: %b\r\n" % body
            self._connection.send(b"0\r\n%b\r\n" % trailers)
        self._connection.getresponse().read()
        self._connection.close()


async def answer(handler: Mangum, event: dict[str, Any], context: Context, response: Response) -> None:
    """Answer one event with the handler's app."""
    request = handler.infer(event, context)  # type: ignore[arg-type]
    scope = request.scope
    scope["extensions"] = {LIVE: {}}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Any) -> None:
        # In a thread, so that a viewer who reads slowly blocks only the answer.
        if message["type"] == "http.response.start":
            headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
            await asyncio.to_thread(response.begin, message["status"], headers)
        else:
            await asyncio.to_thread(response.send, message.get("body", b""))

    await handler.app(scope, receive, send)


def serve(address: str, handler: Mangum) -> None:
    """Answer events one after the other, until the Runtime API closes."""
    with asyncio.Runner() as runner:
        while True:
            serve_next(address, handler, runner)


def serve_next(address: str, handler: Mangum, runner: asyncio.Runner) -> None:
    """Wait for an event and answer it."""
    connection = http.client.HTTPConnection(address)
    connection.request("GET", f"{_INVOCATION}/next")
    invocation = connection.getresponse()
    event, headers = json.loads(invocation.read()), invocation.headers
    connection.close()
    # Lambda leaves this to the runtime. Calls of AWS carry it on.
    os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id", "")
    context = Context(headers)  # type: ignore[arg-type]
    response = Response(address, context.aws_request_id)
    error: BaseException | None = None
    try:
        runner.run(answer(handler, event, context, response))
    except Exception as failure:  # noqa: BLE001 - the edge reports every error of an app
        error = failure
        traceback.print_exception(failure)
    response.end(error)


def load(name: str) -> Mangum:
    """Import the handler `module.name` from the function's folder. Raises `TypeError` if it is not a Mangum."""
    module, _, attribute = name.rpartition(".")
    handler = getattr(importlib.import_module(module.replace("/", ".")), attribute)
    if not isinstance(handler, Mangum):
        raise TypeError(f"{name} is not an ASGI app wrapped by Mangum")
    return handler


def main() -> None:
    """Import the handler, then serve."""
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    os.chdir(os.environ["LAMBDA_TASK_ROOT"])
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as error:  # noqa: BLE001 - the edge reports every error of a module
        traceback.print_exception(error)
        connection = http.client.HTTPConnection(address)
        connection.request("POST", _INIT_ERROR, json.dumps(_as_json(error)))
        connection.getresponse().read()
        sys.exit(1)
    serve(address, handler)


def _as_json(error: BaseException | None) -> dict[str, Any]:
    return {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": []}


if __name__ == "__main__":
    main()
