"""Idempotency keys: a request that is sent again with its Idempotency-Key is not executed again.

This implements draft-ietf-httpapi-idempotency-key-header. A key is valid for a day, for one caller, organization and
route. The answer to a repeated request depends on whether the first one can have had an effect:

    the first request                      | the answer to the next one with the same key
    ---------------------------------------|--------------------------------------------------------------
    succeeded                              | the same answer, with `Idempotent-Replay: true`
    was refused before it had any effect   | the request is executed: the key was released
    failed, and may have had an effect     | the same failure, because it is not safe to execute it again
    is being processed                     | 409 `request_in_progress`, with `Retry-After`
    was interrupted at an unknown point    | 409 `outcome_unknown`
    was a different request                | 422 `idempotency_key_reused`
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from codegen_runs import problems
from codegen_runs.clock import Clock
from codegen_runs.problems import BadRequest, Conflict, Problem, StorageUnavailable, Unprocessable
from codegen_runs.storage.idempotency import Attempt
from codegen_runs.storage.table import ConditionFailed

logger = logging.getLogger(__name__)

Answer = dict[str, Any]

LIFETIME = 24 * 3600
"""How many seconds a key is stored."""

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


class InvalidIdempotencyKey(BadRequest):
    """The key is empty, too long, or has characters other than printable ASCII."""

    code = "invalid_idempotency_key"
    remedy = "Send 1 to 255 printable ASCII characters, such as a UUID."


class IdempotencyKeyReused(Unprocessable):
    """The key was sent with another request."""

    code = "idempotency_key_reused"
    remedy = "Use a new key for a new request."


class RequestInProgress(Conflict):
    """The first request with this key is still being processed."""

    code = "request_in_progress"
    remedy = "Wait for as long as Retry-After says, then send it again with the same key."
    retryable = True


class OutcomeUnknown(Conflict):
    """The first request with this key was interrupted."""

    code = "outcome_unknown"
    remedy = "Check whether it took effect, for example in the list of runs, then retry with a new key."


class Attempts(Protocol):
    """The stored attempts; `storage.idempotency.IdempotencyTable` implements it."""

    def begin(self, key: str, attempt: Attempt, now: int) -> Attempt | None:
        """Store the first attempt with a key, or return the existing one."""
        ...

    def finish(self, key: str, attempt: Attempt) -> None:
        """Store an attempt with its answer."""
        ...

    def forget(self, key: str, attempt: Attempt) -> None:
        """Release the key."""
        ...


@dataclass(frozen=True)
class Keyed:
    """A request with an idempotency key.

    Attributes:
        key: A hash of the scope and the idempotency key, under which the attempt is stored.
        fingerprint: A hash of the request.
    """

    key: str
    fingerprint: str

    @classmethod
    def read(cls, key: str, *, scope: tuple[str, ...], asked: tuple[str, ...]) -> Keyed:
        """Read the key of a request.

        Args:
            key: The value of the header.
            scope: What the key is valid for: the caller, the organization, the route.
            asked: Everything in which two requests of the same scope can differ.

        Raises:
            InvalidIdempotencyKey: The key is not 1 to 255 printable ASCII characters, or has a space at an end.
        """
        if not _KEY.fullmatch(key):
            raise InvalidIdempotencyKey("The Idempotency-Key must have 1 to 255 printable ASCII characters.")
        return cls(_hash(*scope, key), _hash(*asked))


def once(
    request: Keyed,
    act: Callable[[], Answer],
    *,
    attempts: Attempts,
    refuse: Callable[[Problem], Answer],
    seconds: float,
    clock: Clock,
) -> Answer:
    """Execute a request if it is the first with its key; otherwise return the stored answer of the first one.

    Args:
        request: The request.
        act: Executes the request and returns the answer.
        attempts: The stored attempts.
        refuse: Turns a problem into an answer.
        seconds: The most seconds that `act` can take.
        clock: The time.

    Raises:
        IdempotencyKeyReused: The first request was a different one.
        RequestInProgress: The first request has no answer yet.
        OutcomeUnknown: The first request was interrupted, so its effect is not known.
        StorageUnavailable: The attempts could not be read. The request was not executed.
    """
    now = clock.now()
    attempt = Attempt(
        id=secrets.token_hex(8),
        fingerprint=request.fingerprint,
        until=math.ceil(now + seconds),
        expires_at=math.ceil(now + LIFETIME),
    )
    if first := attempts.begin(request.key, attempt, math.floor(now)):
        return _replay(first, request, now)
    try:
        answer = act()
    except Exception as error:
        problem = problems.of(error)
        if problem.effect_unknown:
            _keep(attempts, request.key, attempt, refuse(problem))
        else:
            _release(attempts, request.key, attempt)
        raise
    _keep(attempts, request.key, attempt, answer)
    return answer


def _replay(first: Attempt, request: Keyed, now: float) -> Answer:
    if first.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was sent with another request.")
    if first.answer is not None:
        answer: Answer = json.loads(first.answer)
        answer["multiValueHeaders"]["Idempotent-Replay"] = ["true"]
        return answer
    if now < first.until:
        raise RequestInProgress("The first request with this Idempotency-Key is still being processed.", retry_after=1)
    raise OutcomeUnknown("The first request with this Idempotency-Key was interrupted and may have taken effect.")


def _keep(attempts: Attempts, key: str, attempt: Attempt, answer: Answer) -> None:
    try:
        attempts.finish(key, replace(attempt, answer=json.dumps(answer)))
    except (StorageUnavailable, ConditionFailed):
        # The request was executed. If it is sent again, the answer is that the outcome is unknown, which is safe.
        logger.warning("Could not store the answer for an Idempotency-Key.", exc_info=True)


def _release(attempts: Attempts, key: str, attempt: Attempt) -> None:
    try:
        attempts.forget(key, attempt)
    except (StorageUnavailable, ConditionFailed):
        logger.warning("Could not release the Idempotency-Key of a refused request.", exc_info=True)


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
