"""Requests that may be sent again: the first one with an Idempotency-Key acts, the others get its answer.

After draft-ietf-httpapi-idempotency-key-header. A key belongs to its caller, in one organization, on one route, for a
day. What decides whether it can be used again is whether anything can have happened:

    first request                          | the next one with the same key
    ---------------------------------------|--------------------------------------------------------------
    answered                               | the same answer, with `Idempotent-Replay: true`
    refused before it had any effect       | acts: the key is as new
    failed, and may have had an effect     | the same failure: looking is all that is safe
    is being answered                      | 409 `request_in_progress`, and when to come back
    was cut off, nobody knows where        | 409 `outcome_unknown`
    asked for something else               | 422 `idempotency_key_reused`
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
"""Seconds that a key is remembered."""

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
    """Where attempts are kept: see `storage.idempotency.IdempotencyTable`."""

    def begin(self, key: str, attempt: Attempt, now: int) -> Attempt | None:
        """Store the first attempt with a key, or return the one that there is."""
        ...

    def finish(self, key: str, attempt: Attempt) -> None:
        """Store an attempt with its answer."""
        ...

    def forget(self, key: str, attempt: Attempt) -> None:
        """Let the key be as new."""
        ...


@dataclass(frozen=True)
class Keyed:
    """A request that was sent with a key.

    Attributes:
        key: What it is kept by; the key itself is in it as a hash.
        fingerprint: A hash of what it asks for.
    """

    key: str
    fingerprint: str

    @classmethod
    def read(cls, key: str, *, scope: tuple[str, ...], asked: tuple[str, ...]) -> Keyed:
        """Read a request.

        Args:
            key: The header's value.
            scope: Whose key it is, and where: the caller, the organization, the route.
            asked: All that makes one request differ from another there.

        Raises:
            InvalidIdempotencyKey: See there.
        """
        if not _KEY.fullmatch(key):
            raise InvalidIdempotencyKey("The Idempotency-Key must have 1 to 255 printable ASCII characters.")
        return cls(_hash(*scope, key), _hash(*asked))


def once(
    request: Keyed,
    act: Callable[[], Answer],
    *,
    attempts: Attempts,
    tell: Callable[[Problem], Answer],
    seconds: float,
    clock: Clock,
) -> Answer:
    """Answer a request: by `act` if it is the first with its key, else as the first one was answered.

    Args:
        request: The request.
        act: Does what it asks, and returns the answer.
        attempts: What was sent with keys before.
        tell: Makes a problem an answer.
        seconds: How long `act` can take at most.
        clock: The time.

    Raises:
        IdempotencyKeyReused: The first request asked for something else.
        RequestInProgress: The first request has no answer yet.
        OutcomeUnknown: Nobody knows what the first request did.
        StorageUnavailable: Nobody knows whether this is the first request; nothing was done.
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
            _keep(attempts, request.key, attempt, tell(problem))
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
        # What was asked is done. Whoever sends it again is told that nobody knows, which is safe.
        logger.warning("An answer was not kept for its Idempotency-Key.", exc_info=True)


def _release(attempts: Attempts, key: str, attempt: Attempt) -> None:
    try:
        attempts.forget(key, attempt)
    except (StorageUnavailable, ConditionFailed):
        logger.warning("The Idempotency-Key of a refused request was not released.", exc_info=True)


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
