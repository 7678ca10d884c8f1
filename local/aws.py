"""AWS on loopback: moto as a server, with the Lambda Invoke API answered by our own functions.

All services are on one endpoint, so that whatever takes an `--endpoint-url` can share it: the AWS CLI, a container of
`sam local invoke`, a test in another process. moto keeps its state per process, so there is one `Aws` at a time.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from local.functions import UnknownFunctionError
from local.step_functions import engine
from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from local.functions import Functions
    from local.template import Template

_INVOKE_PATH = re.compile(r"/2015-03-31/functions/(?P<function>[^/]+)/invocations")
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
        aws = Aws(f"http://{host}:{port}")
        stack.enter_context(engine(aws.url, retry_scale=retry_scale))
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


class Aws:
    """What stands in for AWS. `functions` is the Lambda service, once there is one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.functions: Functions | None = None
        self._moto = DomainDispatcherApplication(create_backend_app)

    def client(self, service: Any) -> Any:
        """Return a boto3 client for one service."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(proxies={}),
        )

    def create_secret(self, name: str, value: str) -> str:
        """Keep a secret and return its ARN."""
        arn: str = self.client("secretsmanager").create_secret(Name=name, SecretString=value)["ARN"]
        return arn

    def create(self, template: Template) -> None:
        """Create the template's tables and state machines."""
        dynamodb = self.client("dynamodb")
        for table in template.tables.values():
            dynamodb.create_table(**table.create)
            if table.ttl_attribute:
                dynamodb.update_time_to_live(
                    TableName=table.name,
                    TimeToLiveSpecification={"AttributeName": table.ttl_attribute, "Enabled": True},
                )
        step_functions = self.client("stepfunctions")
        for machine in template.state_machines.values():
            step_functions.create_state_machine(
                name=machine.name,
                type=machine.type,
                definition=machine.definition,
                roleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/local",
            )

    def stop_executions(self) -> None:
        """Abort every execution that still runs."""
        step_functions = self.client("stepfunctions")
        for machine in step_functions.list_state_machines()["stateMachines"]:
            running = step_functions.list_executions(stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING")
            for execution in running["executions"]:
                step_functions.stop_execution(executionArn=execution["executionArn"], cause="The local stack ends.")

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer any AWS request."""
        invoked = _INVOKE_PATH.fullmatch(environ["PATH_INFO"])
        app: WSGIApplication = self._moto
        if invoked and self.functions:
            app = _invoke(self.functions, invoked["function"], Request(environ))
        return app(environ, start_response)


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


def _refusal(status: int, error_type: str, message: str) -> Response:
    body = json.dumps({"Type": "User", "Message": message})
    return Response(body, status, {"X-Amzn-ErrorType": error_type}, content_type="application/json")


class _QuietRequestHandler(MotoRequestHandler):
    """Writes no line per request."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing."""
