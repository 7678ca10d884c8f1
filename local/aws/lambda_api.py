"""The Lambda Invoke API, with and without streaming, as a WSGI application answers it."""

from __future__ import annotations

import json
import re
import struct
import uuid
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from zlib import crc32

from werkzeug.wrappers import Request, Response

from local.functions.client import invoke_path, stream_path
from local.functions.pool import UnknownFunctionError
from local.functions.worker import Answer
from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from wsgiref.types import WSGIEnvironment

    from local.functions.pool import Functions

_INVOKE_PATH = re.compile(invoke_path("([^/]+)"))
_STREAM_PATH = re.compile(stream_path("([^/]+)"))
# Lambda's limits for an event, in bytes.
_SYNC_LIMIT = 6 * 1024 * 1024
_ASYNC_LIMIT = 1024 * 1024


def respond(functions: Functions, environ: WSGIEnvironment) -> Response | None:
    """Answer a request of the Invoke API, or return None for any other request."""
    if found := _INVOKE_PATH.fullmatch(environ["PATH_INFO"]):
        return _invoke(functions, found[1], Request(environ))
    if found := _STREAM_PATH.fullmatch(environ["PATH_INFO"]):
        return _stream(functions, found[1], Request(environ))
    return None


def _invoke(functions: Functions, function: str, request: Request) -> Response:
    name = function.rpartition(":function:")[2].partition(":")[0]
    event = request.get_data() or b"{}"
    is_async = request.headers.get("X-Amz-Invocation-Type") == "Event"
    limit = _ASYNC_LIMIT if is_async else _SYNC_LIMIT
    if len(event) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        return _refusal(413, "RequestEntityTooLargeException", message)
    try:
        json.loads(event)
    except ValueError as error:
        return _refusal(400, "InvalidRequestContentException", f"Could not parse request body into json: {error}")
    try:
        if is_async:
            functions.run(functions.send(name, event))
            return Response(status=202)
        answer = functions.run(functions.invoke(name, event))
    except UnknownFunctionError:
        return _not_found(name)
    headers = {"X-Amz-Executed-Version": "$LATEST", "X-Amzn-RequestId": str(uuid.uuid4())}
    if answer.is_error:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return Response(answer.payload, headers=headers, content_type="application/json")


def _stream(functions: Functions, name: str, request: Request) -> Response:
    """Answer as InvokeWithResponseStream does."""
    parts: SimpleQueue[bytes | Answer | UnknownFunctionError] = SimpleQueue()

    async def invoke() -> None:
        try:
            parts.put(await functions.invoke(name, request.get_data() or b"{}", parts.put))
        except UnknownFunctionError as error:
            parts.put(error)

    running = functions.begin(invoke())
    first = parts.get()
    if isinstance(first, UnknownFunctionError):
        return _not_found(name)
    return Response(_messages(first, parts, running), content_type="application/vnd.amazon.eventstream")


def _messages(first: Any, parts: SimpleQueue[Any], running: Future[None]) -> Iterator[bytes]:
    """Yield the parts of an answer as event-stream messages. The worker ends when the client disconnects."""
    try:
        part = first
        while not isinstance(part, Answer):
            yield _message("PayloadChunk", part)
            part = parts.get()
        if part.payload and not part.is_error:  # a function that does not stream
            yield _message("PayloadChunk", part.payload)
        error = json.loads(part.payload) if part.is_error else {}
        details = {"ErrorCode": error.get("errorType"), "ErrorDetails": error.get("errorMessage")} if error else {}
        yield _message("InvokeComplete", json.dumps(details).encode())
    finally:
        running.cancel()


def _message(event_type: str, payload: bytes) -> bytes:
    """Encode one message of AWS's event-stream format: lengths, headers, payload, each followed by a checksum."""
    headers = b""
    for name, value in ((":message-type", "event"), (":event-type", event_type)):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 12 + len(headers) + len(payload) + 4, len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def _not_found(name: str) -> Response:
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}"
    return _refusal(404, "ResourceNotFoundException", f"Function not found: {arn}")


def _refusal(status: int, error_type: str, message: str) -> Response:
    body = json.dumps({"Type": "User", "Message": message})
    return Response(body, status, {"X-Amzn-ErrorType": error_type}, content_type="application/json")
