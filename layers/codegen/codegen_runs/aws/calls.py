"""Calls of an AWS service: signed, retried where that helps, with the service's error as an exception."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from codegen_runs.aws.signature import Credentials, sign
from codegen_runs.wire import Wire

wire = Wire()
"""The transport to AWS."""

# Full jitter below 50, 100 and 200 ms: DynamoDB often accepts a throttled call a moment later.
_BACKOFF = 0.05

_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}


class AwsError(Exception):
    """A service refused a call.

    Attributes:
        code: The error code of the service, such as `ConditionalCheckFailedException`.
        status: The HTTP status; 0 without an answer.
        reasons: The codes of the actions of a cancelled DynamoDB transaction.
    """

    def __init__(self, code: str, message: str, *, status: int = 0, reasons: frozenset[str] = frozenset()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status
        self.reasons = reasons

    @property
    def throttled(self) -> bool:
        """Whether the service had too many calls, in total or for one key."""
        return self.code in _THROTTLED or "ThrottlingError" in self.reasons


class Unanswered(AwsError):  # noqa: N818 - the state of the call
    """A service did not answer.

    Attributes:
        sent: Whether the service may have received the request.
    """

    def __init__(self, service: str, fault: httpx.TransportError) -> None:
        super().__init__("Unanswered", f"{service} did not answer: {type(fault).__name__}")
        self.sent = not isinstance(fault, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes:
        name: Its name in signatures and, without `url`, in its host name.
        url: Its URL. `AWS_ENDPOINT_URL` takes precedence.
        attempts: The most attempts of a call. A call is repeated if it was throttled, failed or had no answer.
        timeout: Seconds within which an answer must begin.
        sleep: Waits for seconds between the attempts.
    """

    name: str
    url: str | None = None
    attempts: int = 4
    timeout: float = 5.0
    sleep: Callable[[float], None] = time.sleep

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        """Return the body of the answer. Raises `AwsError`."""
        for attempt in range(1, self.attempts + 1):
            try:
                return self._call_once(method, path, headers, body)
            except AwsError as error:
                if attempt == self.attempts or not (error.throttled or error.status >= 500 or not error.status):
                    raise
            self.sleep(random.random() * _BACKOFF * 2 ** (attempt - 1))  # noqa: S311 - not a secret
        raise AssertionError("unreachable")

    def _call_once(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        region = os.environ["AWS_REGION"]
        url = (os.environ.get("AWS_ENDPOINT_URL") or self.url or _address(self.name, region)) + path
        signed = sign(
            method,
            url,
            headers,
            body,
            service=self.name,
            region=region,
            credentials=Credentials.of_function(),
            at=datetime.now(UTC),
        )
        limits = httpx.Timeout(self.timeout, connect=min(self.timeout, 2.0)).as_dict()
        request = httpx.Request(method, url, headers=signed, content=body, extensions={"timeout": limits})
        try:
            response = wire.handle_request(request)
            try:
                content = response.read()
            finally:
                response.close()
        except httpx.TransportError as fault:
            raise Unanswered(self.name, fault) from fault
        if response.is_success:
            return content
        raise _refusal(response, content)


def _address(service: str, region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service}.{region}.{suffix}"


def _refusal(response: httpx.Response, content: bytes) -> AwsError:
    """Return the error of an answer in AWS's JSON or REST-JSON protocol."""
    try:
        body: Any = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {}
    kind = response.headers.get("x-amzn-errortype") or body.get("__type") or f"HTTP {response.status_code}"
    return AwsError(
        kind.partition(":")[0].rpartition("#")[2],
        str(body.get("message") or body.get("Message") or ""),
        status=response.status_code,
        reasons=frozenset(str(reason.get("Code")) for reason in body.get("CancellationReasons") or ()),
    )
