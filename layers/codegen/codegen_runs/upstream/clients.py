"""Clients of the Codegen API that act as the caller or as the deployment."""

import hashlib
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx

from codegen_api import CodegenAPI, RetryPolicy
from codegen_runs import correlation, metrics, settings
from codegen_runs.callers import Caller
from codegen_runs.clock import waiting_for_codegen
from codegen_runs.metrics import Metric
from codegen_runs.problems import CredentialsRefused, NoDeploymentToken
from codegen_runs.wire import Wire

_SECRET_MAX_AGE = 300  # seconds

_wire = Wire()
over = _wire.over

_repeats: ContextVar[bool] = ContextVar("repeats", default=True)


@contextmanager
def without_retries() -> Iterator[None]:
    """Have the clients that are made while the block runs send each request once."""
    before = _repeats.set(False)
    try:
        yield
    finally:
        _repeats.reset(before)


def for_token(token: str, deadline: float | None = None) -> CodegenAPI:
    """Return a client that acts as the owner of a Codegen token.

    Args:
        token: The token.
        deadline: Seconds from now after which no request is awaited or repeated, or None.
    """
    return _client(token, auth=None, deadline=deadline)


def for_caller(caller: Caller, deadline: float | None = None) -> CodegenAPI:
    """Return a client that acts as `caller`, or as the deployment if the caller has no Codegen token.

    Args:
        caller: The caller of the request.
        deadline: Seconds from now after which no request is awaited or repeated, or None.
    """
    return for_token(caller.token, deadline) if caller.token else for_deployment(deadline)


def for_deployment(deadline: float | None = None, *, max_retries: int | None = None) -> CodegenAPI:
    """Return a client that acts as the deployment, for work that no caller waits for.

    Args:
        deadline: Seconds from now after which no request is awaited or repeated, or None.
        max_retries: How many times a request that is safe to repeat is repeated; the deployment's setting by default.

    Raises:
        StorageUnavailable: The deployment's token cannot be read. Later requests may raise this, too.
        NoDeploymentToken: The deployment has no token.
        CredentialsRefused: Raised by each request if the Codegen API refuses the deployment's token.
    """
    return _client(deployment_token.read(), auth=_DeploymentAuth(), deadline=deadline, max_retries=max_retries)


def quota_of(caller: Caller) -> str:
    """Return the name of the quota for a caller's requests. The Codegen API counts the calls of each token.

    Raises:
        StorageUnavailable: The caller has no token, and the deployment's cannot be read.
    """
    return _quota(caller.token) if caller.token else deployment_quota()


def deployment_quota() -> str:
    """Return the name of the quota for background work.

    Raises:
        StorageUnavailable: The deployment's token cannot be read.
    """
    return _quota(deployment_token.read())


def _quota(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def _client(
    token: str, *, auth: httpx.Auth | None, deadline: float | None, max_retries: int | None = None
) -> CodegenAPI:
    if max_retries is None:
        max_retries = settings.codegen_max_retries() if _repeats.get() else 0
    client = CodegenAPI(
        token=token,
        base_url=settings.codegen_base_url(),
        timeout=settings.codegen_timeout(),
        retry=RetryPolicy(max_retries=max_retries),
        pacing=False,  # The token buckets in DynamoDB pace the calls of all functions together.
        http_client=httpx.Client(transport=_Timed(), auth=auth),
    )
    return client if deadline is None else client.with_deadline(deadline)


@dataclass
class DeploymentToken:
    """The deployment's Codegen token. Its secret is read at most every five minutes, and again if it is refused."""

    token: str = field(default="", repr=False)
    good_until: float = 0.0

    def forget(self) -> None:
        """Read the secret again on the next use."""
        self.good_until = 0.0

    def read(self, *, renewed: bool = False) -> str:
        """Return the token. With `renewed`, read the secret again.

        Raises:
            StorageUnavailable: The secret cannot be read.
            NoDeploymentToken: There is no secret, or it is empty.
        """
        if renewed or time.monotonic() >= self.good_until:
            # Imported here, because requests with a Codegen token of their own do not need it.
            from codegen_runs import aws
            from codegen_runs.aws.outages import outage

            try:
                answer = aws.secrets_manager().get_secret_value(SecretId=settings.required("CODEGEN_TOKEN_SECRET"))
            except aws.AwsError as error:
                if error.code == "ResourceNotFoundException":  # The secret does not exist, or has no value yet.
                    raise NoDeploymentToken("The deployment has no Codegen token of its own.") from error
                raise outage(error, "The deployment's Codegen token could not be read.") from error
            token = answer.get("SecretString", "").strip()
            if not token:
                raise NoDeploymentToken("The deployment has no Codegen token of its own.")
            self.token = token
            self.good_until = time.monotonic() + _SECRET_MAX_AGE
        return self.token


deployment_token = DeploymentToken()


class _DeploymentAuth(httpx.Auth):
    """Sends the deployment's token. If it is refused, reads it again, because it may have been rotated."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        for renewed in (False, True):
            request.headers["Authorization"] = f"Bearer {deployment_token.read(renewed=renewed)}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return
        metrics.add(Metric.UPSTREAM_REFUSALS)
        raise CredentialsRefused("The Codegen API refused the deployment's credentials.")


# The answers that an operator should know of, whoever sent the request, and the metrics that count them.
_COUNTED: dict[int, Metric] = {
    httpx.codes.TOO_MANY_REQUESTS: Metric.UPSTREAM_THROTTLES,
    httpx.codes.PAYMENT_REQUIRED: Metric.UPSTREAM_UNPAID,
}


class _Timed(httpx.BaseTransport):
    """The transport to the Codegen API, which measures how long the process waits for it, and counts refusals."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request_id := correlation.request_id():
            request.headers[correlation.HEADER] = request_id
        with waiting_for_codegen:
            response = _wire.handle_request(request)
        if metric := _COUNTED.get(response.status_code):
            metrics.add(metric)
        if isinstance(response.stream, httpx.SyncByteStream):
            response.stream = _TimedStream(response.stream)
        return response


class _TimedStream(httpx.SyncByteStream):
    """The body of an answer. The client reads it part by part, so that it can stop at its deadline or its limit."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        parts = iter(self._stream)
        while True:
            with waiting_for_codegen:
                part = next(parts, None)
            if part is None:
                return
            yield part

    def close(self) -> None:
        self._stream.close()
