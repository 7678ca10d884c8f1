"""AWS services with the interface of boto3's clients: an operation is a method, its parameters are keywords."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from codegen_runs.aws.calls import Service


class JsonClient:
    """A service with a JSON protocol, in which each operation is a POST. Every operation raises `AwsError`."""

    def __init__(self, service: str, target: str, *, version: str) -> None:
        self._service = Service(service)
        self._target = target
        self._media_type = f"application/x-amz-json-{version}"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = name.title().replace("_", "")

        def call(**parameters: Any) -> Any:
            if operation == "TransactWriteItems":
                # With this token the transaction is executed once, however often it is sent.
                parameters = {"ClientRequestToken": _token()} | parameters
            headers = {"Content-Type": self._media_type, "X-Amz-Target": f"{self._target}.{operation}"}
            return json.loads(self._service.call("POST", "/", headers, json.dumps(parameters).encode()) or b"{}")

        return call


class FunctionsClient:
    """The Lambda service, with the one operation that starts another function. Raises `AwsError`."""

    def __init__(self) -> None:
        self._service = Service("lambda")

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        """Invoke a function with an event."""
        path = f"/2015-03-31/functions/{quote(FunctionName, safe='')}/invocations"
        return {"Payload": self._service.call("POST", path, {"X-Amz-Invocation-Type": InvocationType}, Payload)}


class ConnectionsClient:
    """The open connections of a WebSocket API. Raises `AwsError`.

    Calls are not repeated: if an answer is lost, the frame may have been sent, and must not be sent twice.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._service = Service("execute-api", url, attempts=1, timeout=timeout)

    def post_to_connection(self, *, ConnectionId: str, Data: bytes) -> None:  # noqa: N803
        """Send a frame."""
        self._service.call("POST", _path(ConnectionId), {"Content-Type": "application/octet-stream"}, Data)

    def delete_connection(self, *, ConnectionId: str) -> None:  # noqa: N803
        """Close a connection."""
        self._service.call("DELETE", _path(ConnectionId), {})


def _path(connection_id: str) -> str:
    return f"/@connections/{quote(connection_id, safe='')}"


def _token() -> str:
    import uuid

    return str(uuid.uuid4())
