"""The Codegen API as the handlers call it: acting as the caller, or as the deployment.

One connection pool per process, opened by the first request and kept while the function is warm. httpx drops
connections that idle for 5 s, so one that died while the function was frozen is not used again.
"""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import httpx

from codegen_api import CodegenAPI, RetryPolicy
from codegen_runs import aws, settings
from codegen_runs.callers import Caller
from codegen_runs.clock import waiting_for_codegen
from codegen_runs.problems import CredentialsRefused, StorageUnavailable

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

_SECRET_MAX_AGE = 300  # seconds

_replacements: list[httpx.BaseTransport] = []


def for_token(token: str, deadline: float | None = None) -> CodegenAPI:
    """Return a client that acts as the owner of a Codegen token.

    Args:
        token: The token.
        deadline: Seconds from now after which no request is waited for or repeated, or None.
    """
    return _client(token, auth=None, deadline=deadline)


def for_caller(caller: Caller, deadline: float | None = None) -> CodegenAPI:
    """Return a client that acts as `caller`, or as the deployment where the caller has no Codegen token.

    Args:
        caller: Who asks.
        deadline: Seconds from now after which no request is waited for or repeated, or None.
    """
    return for_token(caller.token, deadline) if caller.token else for_deployment(deadline)


def for_deployment(deadline: float | None = None, *, max_retries: int | None = None) -> CodegenAPI:
    """Return a client that acts as the deployment, for work that no caller waits for.

    Args:
        deadline: Seconds from now after which no request is waited for or repeated, or None.
        max_retries: How often a request that is safe to repeat is repeated, if not as the deployment is set.

    Raises:
        StorageUnavailable: The deployment's token cannot be read, now or by a later request.
        CredentialsRefused: From each request, where the Codegen API refuses the deployment's token.
    """
    return _client(_deployment_token(), auth=_DeploymentAuth(), deadline=deadline, max_retries=max_retries)


def budget_of(caller: Caller) -> str:
    """Name the budget of calls that a caller's requests draw on: the Codegen API counts per token.

    Raises:
        StorageUnavailable: The caller has no token, and the deployment's cannot be read.
    """
    return _budget(caller.token) if caller.token else deployment_budget()


def deployment_budget() -> str:
    """Name the budget of calls that background work draws on.

    Raises:
        StorageUnavailable: The deployment's token cannot be read.
    """
    return _budget(_deployment_token())


def _budget(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:16]


@contextmanager
def over(transport: httpx.BaseTransport) -> Iterator[None]:
    """Send every request over `transport` instead of the network while the block runs."""
    _replacements.append(transport)
    try:
        yield
    finally:
        _replacements.remove(transport)


def _client(
    token: str, *, auth: httpx.Auth | None, deadline: float | None, max_retries: int | None = None
) -> CodegenAPI:
    client = CodegenAPI(
        token=token,
        base_url=settings.codegen_base_url(),
        timeout=settings.codegen_timeout(),
        retry=RetryPolicy(max_retries=settings.codegen_max_retries() if max_retries is None else max_retries),
        http_client=httpx.Client(transport=_Timed(), auth=auth),
    )
    return client if deadline is None else client.with_deadline(deadline)


def _deployment_token(*, renewed: bool = False) -> str:
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

    try:
        secret = _secrets().get(settings.required("CODEGEN_TOKEN_SECRET"), max_age=_SECRET_MAX_AGE, force_fetch=renewed)
    except GetParameterError as error:
        raise StorageUnavailable("The deployment's Codegen token could not be read.") from error
    return str(secret).strip()


@cache
def _secrets() -> "SecretsProvider":
    # The parameters utility imports boto3, which the functions that act as their callers do without.
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    return SecretsProvider(boto3_client=aws.secrets_manager())


class _DeploymentAuth(httpx.Auth):
    """Send the deployment's token; where it is refused, read it again, since it may have been rotated."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        for renewed in (False, True):
            request.headers["Authorization"] = f"Bearer {_deployment_token(renewed=renewed)}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return
        raise CredentialsRefused("The Codegen API refused the deployment's credentials.")


class _Timed(httpx.BaseTransport):
    """The process's connection pool, or what replaces it, under a stopwatch."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        transport = _replacements[-1] if _replacements else _pool()
        with waiting_for_codegen:
            response = transport.handle_request(request)
            response.read()
        return response


@cache
def _pool() -> httpx.HTTPTransport:
    return httpx.HTTPTransport()
