"""Calls of an AWS service: signed, retried where that helps, with the service's error as an exception."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from codegen_runs.aws.credentials import FunctionCredentials, NoCredentials
from codegen_runs.aws.endpoints import UnsupportedSetting, endpoint
from codegen_runs.aws.signature import sign
from codegen_runs.wire import Wire

wire = Wire()
"""The transport to AWS."""

_credentials = FunctionCredentials(wire)

# Full jitter below 50, 100 and 200 ms: DynamoDB often accepts a throttled call a moment later.
_BACKOFF = 0.05
_LONGEST_PAUSE = 1.0

# The codes and statuses that botocore retries in its standard mode, and conflicts. A test compares them.
_THROTTLED = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}
# Another transaction wrote one of the items at that moment, and this call had no effect. botocore does not repeat it.
_CONFLICTS = {"TransactionConflict", "TransactionConflictException"}
_TRANSIENT = {"RequestTimeout", "RequestTimeoutException"}
_TRANSIENT_STATUSES = {500, 502, 503, 504}


class Pause:
    """Waits before a repeated call, at random below a limit that doubles with each one."""

    def __init__(self) -> None:
        self._sleeps: list[Callable[[float], None]] = [time.sleep]

    def __call__(self, before: int) -> None:
        """Wait before the repetition with this number, from 1."""
        limit = min(_BACKOFF * 2 ** (before - 1), _LONGEST_PAUSE)
        self._sleeps[-1](random.random() * limit)  # noqa: S311 - not a secret

    @contextmanager
    def over(self, sleep: Callable[[float], None]) -> Iterator[None]:
        """Call `sleep` with the seconds of every wait, instead of waiting, while the block runs."""
        self._sleeps.append(sleep)
        try:
            yield
        finally:
            self._sleeps.remove(sleep)


pause = Pause()
"""The waits between the attempts of a call."""


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
        return self.code in _THROTTLED or self.status == 429 or "ThrottlingError" in self.reasons

    @property
    def conflicted(self) -> bool:
        """Whether the call met another transaction and had no effect."""
        return bool(_CONFLICTS & {self.code, *self.reasons}) and "ConditionalCheckFailed" not in self.reasons

    @property
    def temporary(self) -> bool:
        """Whether the same call may succeed a moment later."""
        return self.throttled or self.conflicted or self.code in _TRANSIENT or self.status in _TRANSIENT_STATUSES


class Unanswered(AwsError):  # noqa: N818 - the state of the call
    """A service did not answer.

    Attributes:
        sent: Whether the service may have received the request.
    """

    def __init__(self, service: str, fault: httpx.TransportError) -> None:
        super().__init__("Unanswered", f"{service} did not answer: {type(fault).__name__}")
        self.sent = not isinstance(fault, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)

    @property
    def temporary(self) -> bool:
        """Whether the same call may succeed a moment later."""
        return True


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes:
        name: Its name in signatures and, without `url`, in its host name.
        url: Its URL. The variables of `endpoints` take precedence.
        attempts: The most attempts of a call. A call is repeated if it was throttled, failed or had no answer.
        timeout: Seconds within which an answer must begin.
    """

    name: str
    url: str | None = None
    attempts: int = 4
    timeout: float = 5.0

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        """Return the body of the answer. Raises `AwsError`."""
        for attempt in range(1, self.attempts + 1):
            try:
                return self._call_once(method, path, headers, body)
            except AwsError as error:
                if attempt == self.attempts or not error.temporary:
                    raise
            pause(attempt)
        raise AssertionError("unreachable")

    def _call_once(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        region, now = os.environ["AWS_REGION"], datetime.now(UTC)
        try:
            url = endpoint(self.name, region, self.url) + path
            credentials = _credentials.at(now)
        except (UnsupportedSetting, NoCredentials) as error:
            raise AwsError(type(error).__name__, str(error)) from error
        signed = sign(method, url, headers, body, service=self.name, region=region, credentials=credentials, at=now)
        if trace_id := _trace_id():
            signed["x-amzn-trace-id"] = trace_id
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


def _trace_id() -> str | None:
    """Return the trace of the current invocation, with which Lambda also detects a function that calls itself."""
    if trace_id := os.environ.get("AWS_LAMBDA_FUNCTION_NAME") and os.environ.get("_X_AMZN_TRACE_ID"):
        return quote(trace_id, safe="-=;:+&[]{}\"',")
    return None


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
