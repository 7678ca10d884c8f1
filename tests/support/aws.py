"""AWS in this process: moto answers the requests of the functions, or a test refuses them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any
from unittest.mock import patch

import boto3
import httpx
import moto.core.models
from botocore.awsrequest import AWSPreparedRequest, HTTPHeaders
from moto import mock_aws
from moto.core.models import botocore_stubber

from codegen_runs import aws
from local.aws import dynamodb

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
}
"""The variables that Lambda sets in the environment of every function."""


@cache
def client(service: str) -> Any:
    """Return boto3's client of a service. It is cached, because creating one takes longer than most tests."""
    session = boto3.Session("testing", "testing", region_name=ENVIRONMENT["AWS_REGION"])
    return session.client(service)


class Aws(httpx.BaseTransport):
    """All services, in memory.

    Attributes:
        asked: The operations that were called, in order.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._refusals: dict[str, list[httpx.Response | httpx.TransportError]] = {}
        self._one_at_a_time = Lock()  # moto is not thread-safe, and the poller has threads

    def refuse(self, operation: str, code: str, *, status: int = 400, times: int = 1, **more: Any) -> None:
        """Answer the next calls of an operation with an error."""
        body = {"__type": f"com.amazonaws#{code}", "message": "As the test wants it.", **more}
        self._refusals.setdefault(operation, []).extend(httpx.Response(status, json=body) for _ in range(times))

    def fail(self, operation: str, fault: httpx.TransportError, *, times: int = 1) -> None:
        """Leave the next calls of an operation without an answer."""
        self._refusals.setdefault(operation, []).extend([fault] * times)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        operation = operation_of(request)
        self.asked.append(operation)
        if refusals := self._refusals.get(operation):
            refusal = refusals.pop(0)
            if isinstance(refusal, httpx.TransportError):
                raise refusal
            return refusal
        with self._one_at_a_time:
            if dynamodb.is_on_items(target := request.headers.get("x-amz-target", "")):
                status, body = dynamodb.answer(target, request.read())
                return httpx.Response(status, text=body)
            return _answer_by_moto(request)


def _answer_by_moto(request: httpx.Request) -> httpx.Response:
    headers = HTTPHeaders()
    for name, value in request.headers.items():
        headers[name] = value
    asked = AWSPreparedRequest(request.method, str(request.url), headers, request.read(), stream_output=False)
    answered = botocore_stubber.process_request(asked)
    assert answered, f"moto has no service at {request.url}"
    status, answer_headers, body = answered
    return httpx.Response(status, headers={name: str(value) for name, value in answer_headers.items()}, content=body)


@contextmanager
def in_memory() -> Iterator[Aws]:
    """Replace AWS by moto, for the functions and for boto3, while the block runs."""
    services = Aws()
    # A new boto3 session reads megabytes of JSON. moto prepares 1,300 answers for `requests`, which nothing here uses.
    unused = patch.object(moto.core.models, "RESPONSES_METHODS", [])
    with unused, mock_aws(config={"core": {"reset_boto3_session": False}}), dynamodb.patched(), aws.wire.over(services):
        yield services


def operation_of(request: httpx.Request) -> str:
    """Return the name of the requested operation, as in IAM and boto3."""
    if target := request.headers.get("x-amz-target"):
        return str(target.rpartition(".")[2])
    if "/@connections/" in request.url.path:
        return {"POST": "PostToConnection", "DELETE": "DeleteConnection"}[request.method]
    return "Invoke"


def arguments_of(request: httpx.Request) -> dict[str, Any]:
    """Return the parameters of a request, by their names in boto3."""
    match operation_of(request):
        case "PostToConnection" | "DeleteConnection":
            return {"ConnectionId": request.url.path.rpartition("/")[2]}
        case "Invoke":
            return {"FunctionName": request.url.path.split("/")[-2]}
    arguments: dict[str, Any] = json.loads(request.content)
    return arguments
