"""AWS on loopback: moto as a server, with the Lambda Invoke API answered by our own functions.

All services are on one endpoint, so that whatever takes an `--endpoint-url` can share it: the AWS CLI, a container of
`sam local invoke`, a test in another process.

moto keeps its state per process, so there is one `Aws` at a time in one. A stack therefore gives it a process of its
own (`python -m local.aws`, told what to deploy on standard input), where no test that uses moto itself can empty it.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import struct
import sys
import threading
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zlib import crc32

import httpx
from anyio.from_thread import start_blocking_portal
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from local.dynamodb import mended
from local.endpoint import Deployment, Endpoint, invocations, streaming_invocations
from local.functions import Answer, Functions, UnknownFunctionError
from local.step_functions import engine
from local.template import ACCOUNT_ID, REGION, TemplateError, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_INVOKE_PATH = re.compile(invocations("([^/]+)"))
_STREAM_PATH = re.compile(streaming_invocations("([^/]+)"))
# What Lambda takes and gives, in bytes.
_SYNC_LIMIT = 6 * 1024 * 1024
_ASYNC_LIMIT = 1024 * 1024

_only = threading.Lock()


@contextmanager
def serve(listening: socket.socket, *, retry_scale: float = 1.0) -> Iterator[Aws]:
    """Serve an empty AWS on a listening socket, from threads of this process.

    Args:
        listening: A TCP socket on 127.0.0.1.
        retry_scale: What Step Functions' delays before a Retry are multiplied with.

    Raises:
        RuntimeError: this process serves one already.
    """
    if not _only.acquire(blocking=False):
        raise RuntimeError("this process serves an AWS already, and moto has one state per process")
    with ExitStack() as stack:
        stack.callback(_only.release)
        moto_api_backend.reset()
        host, port = listening.getsockname()
        aws = Aws(f"http://{host}:{port}", stack.enter_context(httpx.Client(trust_env=False)))
        stack.enter_context(engine(aws.url, retry_scale=retry_scale))
        stack.enter_context(mended())
        server = make_server(
            host, port, aws.wsgi, threaded=True, request_handler=_QuietRequestHandler, fd=listening.fileno()
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="aws", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        stack.callback(aws.stop_executions)
        yield aws


class Aws(Endpoint):
    """What stands in for AWS.

    `functions` is the Lambda service, once there is one; `connections` is where the management API of the WebSocket API
    is.
    """

    def __init__(self, url: str, http: httpx.Client) -> None:
        super().__init__(url)
        self.functions: Functions | None = None
        self.connections: str | None = None
        self._moto: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        # The dispatcher looks through the folders of moto for each request; most are for this one.
        self._dynamodb: WSGIApplication = create_backend_app("dynamodb")
        self._one_at_a_time = threading.Lock()
        self._http = http

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer any AWS request."""
        invoked = _INVOKE_PATH.fullmatch(environ["PATH_INFO"])
        streamed = _STREAM_PATH.fullmatch(environ["PATH_INFO"])
        if streamed and self.functions:
            return _stream(self.functions, streamed[1], Request(environ))(environ, start_response)
        if invoked and self.functions:
            return _invoke(self.functions, invoked[1], Request(environ))(environ, start_response)
        if self.connections and environ["PATH_INFO"].startswith("/@connections/"):
            return self._pass_on(self.connections, Request(environ))(environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
            # moto's tables are not made for threads.
            with self._one_at_a_time:
                return self._dynamodb(environ, start_response)
        return self._moto(environ, start_response)

    def _pass_on(self, url: str, request: Request) -> Response:
        path = quote(request.path, safe="/@")
        answer = self._http.request(request.method, url + path, content=request.get_data())
        kept = {name: value for name, value in answer.headers.items() if name in ("content-type", "x-amzn-errortype")}
        return Response(answer.content, answer.status_code, kept)


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
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}"
        return _refusal(404, "ResourceNotFoundException", f"Function not found: {arn}")
    headers = {"X-Amz-Executed-Version": "$LATEST", "X-Amzn-RequestId": str(uuid.uuid4())}
    if answer.is_error:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return Response(answer.payload, headers=headers, content_type="application/json")


def _stream(functions: Functions, function: str, request: Request) -> Response:
    """Answer as Lambda's InvokeWithResponseStream does."""
    parts: SimpleQueue[bytes | Answer | UnknownFunctionError] = SimpleQueue()

    async def invoke() -> None:
        try:
            parts.put(await functions.invoke(function, request.get_data() or b"{}", parts.put))
        except UnknownFunctionError as error:
            parts.put(error)

    running = functions.begin(invoke())
    first = parts.get()
    if isinstance(first, UnknownFunctionError):
        return _refusal(404, "ResourceNotFoundException", f"Function not found: {function}")
    return Response(_messages(first, parts, running), content_type="application/vnd.amazon.eventstream")


def _messages(first: Any, parts: SimpleQueue[Any], running: Future[None]) -> Iterator[bytes]:
    """Write the parts of an answer as event-stream messages; who stops listening ends the worker."""
    try:
        part = first
        while not isinstance(part, Answer):
            yield _message("PayloadChunk", part)
            part = parts.get()
        if part.payload and not part.is_error:  # a function that does not stream
            yield _message("PayloadChunk", part.payload)
        error = json.loads(part.payload) if part.is_error else {}
        told = {"ErrorCode": error.get("errorType"), "ErrorDetails": error.get("errorMessage")} if error else {}
        yield _message("InvokeComplete", json.dumps(told).encode())
    finally:
        running.cancel()


def _message(event_type: str, payload: bytes) -> bytes:
    """Write one message of AWS's event-stream encoding: lengths, headers, payload, each followed by a checksum."""
    headers = b""
    for name, value in ((":message-type", "event"), (":event-type", event_type)):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 12 + len(headers) + len(payload) + 4, len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def _refusal(status: int, error_type: str, message: str) -> Response:
    body = json.dumps({"Type": "User", "Message": message})
    return Response(body, status, {"X-Amzn-ErrorType": error_type}, content_type="application/json")


class _QuietRequestHandler(MotoRequestHandler):
    """Writes no line per request."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing."""


# --- a process of its own --------------------------------------------------------------------------------------------


def main() -> None:
    """Deploy what standard input says, tell the secret's ARN, and serve until standard input ends."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    deployment = Deployment(**json.loads(sys.stdin.readline()))
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(fileno=deployment.socket))
        aws = stack.enter_context(serve(listening, retry_scale=deployment.retry_scale))
        secret = aws.create_secret("codegen-token", deployment.token)
        try:
            template = load(Path(deployment.template), {**deployment.parameters, "CodegenTokenSecret": secret})
            aws.create(template)
        except TemplateError as error:
            print(json.dumps({"error": str(error)}))
            return

        async def start() -> Functions:
            log_dir = Path(deployment.log_dir) if deployment.log_dir else None
            return Functions(template.functions.values(), log_dir=log_dir, python=deployment.python)

        portal = stack.enter_context(start_blocking_portal())
        aws.functions = portal.call(start)
        aws.connections = deployment.connections
        stack.callback(portal.call, aws.functions.close)
        print(json.dumps({"secret": secret}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
