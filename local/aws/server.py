"""All AWS services at one URL, on loopback.

Whatever takes an endpoint URL can use them: the functions, the AWS CLI, a container of `sam local invoke`, a test.
"""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from local import loopback
from local.aws import dynamodb, lambda_api, step_functions
from local.aws.endpoint import Endpoint
from local.aws.faults import FaultyAws
from local.journal import DataError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from local.aws.faults import Faults
    from local.aws.persistence import Persistence
    from local.functions.pool import Functions

_only = threading.Lock()


@contextmanager
def serve(listening: socket.socket, *, retry_scale: float = 1.0, faults: Faults | None = None) -> Iterator[Aws]:
    """Serve an empty AWS on a listening socket, from threads of this process.

    Args:
        listening: A TCP socket on 127.0.0.1.
        retry_scale: The factor by which Step Functions' delays before a Retry are multiplied.
        faults: The faults that calls of the services can meet, once they are turned on.

    Raises:
        RuntimeError: this process already serves one.
    """
    if not _only.acquire(blocking=False):
        raise RuntimeError("This process already serves an AWS stand-in, and moto has one state per process.")
    with ExitStack() as stack:
        stack.callback(_only.release)
        moto_api_backend.reset()
        host, port = listening.getsockname()
        aws = Aws(loopback.url(listening), stack.enter_context(httpx.Client(trust_env=False)))
        stack.enter_context(
            step_functions.engine(
                aws.url, retry_scale=retry_scale, started=aws.execution_started, ended=aws.execution_ended
            )
        )
        stack.enter_context(dynamodb.patched())
        app = FaultyAws(aws.wsgi, faults, lambda: aws.functions) if faults else aws.wsgi
        server = make_server(
            host, port, app, threaded=True, request_handler=_QuietRequestHandler, fd=listening.fileno()
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="aws", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        stack.callback(aws.stop_executions)
        yield aws


class Aws(Endpoint):
    """The AWS stand-in.

    `functions` is its Lambda service, once there is one. `connections` is the URL of the management API of the
    WebSocket API. `persistence` keeps the tables and the executions, if they are kept.
    """

    def __init__(self, url: str, http: httpx.Client) -> None:
        super().__init__(url)
        self.functions: Functions | None = None
        self.connections: str | None = None
        self.persistence: Persistence | None = None
        self._moto: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        self._one_at_a_time = threading.Lock()
        self._one_queue_at_a_time = threading.Lock()
        self._http = http

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer any AWS request."""
        if self.functions and (response := lambda_api.respond(self.functions, environ)):
            return response(environ, start_response)
        if self.connections and environ["PATH_INFO"].startswith("/@connections/"):
            return self._forward(self.connections, Request(environ))(environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
            return self._dynamodb(environ)(environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("AmazonSQS."):
            return self._sqs(environ)(environ, start_response)
        return self._moto(environ, start_response)

    def execution_started(self, state_machine: str, name: str, input_text: str | None) -> None:
        """Keep an execution of a state machine."""
        if self.persistence:
            self.persistence.started(state_machine, name, input_text)

    def execution_ended(self, name: str) -> None:
        """Keep an execution of a state machine no longer."""
        if self.persistence:
            self.persistence.ended(name)

    def _dynamodb(self, environ: WSGIEnvironment) -> Response:
        # moto's tables are not safe to use from several threads.
        with self._one_at_a_time:
            response = dynamodb.respond(environ) or Response.from_app(self._moto, environ, buffered=True)
            try:
                if self.persistence:
                    self.persistence.commit()
            except DataError as error:
                return Response(json.dumps({"__type": "InternalServerError", "message": str(error)}), 500)
        return response

    def _sqs(self, environ: WSGIEnvironment) -> Response:
        # moto's queues are not safe to use from several threads either.
        with self._one_queue_at_a_time:
            return Response.from_app(self._moto, environ, buffered=True)

    def _forward(self, url: str, request: Request) -> Response:
        path = quote(request.path, safe="/@")
        answer = self._http.request(request.method, url + path, content=request.get_data())
        kept = {name: value for name, value in answer.headers.items() if name in ("content-type", "x-amzn-errortype")}
        return Response(answer.content, answer.status_code, kept)


class _QuietRequestHandler(MotoRequestHandler):
    """Log no requests."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing."""
