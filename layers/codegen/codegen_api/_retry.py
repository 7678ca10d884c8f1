"""When to send a request again, decided over small values and nothing else."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended without success.

    Attributes:
        number: 1 for the first.
        repeatable: Sending it twice is like sending it once (a GET).
        sent: The request may have reached the upstream.
        status: The answer's status; None when no answer came.
        retry_after: Seconds the answer asks to wait.
    """

    number: int
    repeatable: bool
    sent: bool = True
    status: int | None = None
    retry_after: float | None = None

    @property
    def refused(self) -> bool:
        """Whether it is certain that nothing was done: never sent, or turned away by the rate limit."""
        return not self.sent or self.status == 429

    @property
    def passing(self) -> bool:
        """Whether the same request may fare better later."""
        if self.status == 409:  # a conflict passes only if it says when: the same request is still being worked on
            return self.retry_after is not None
        return self.status is None or self.status == 429 or (self.status >= 500 and self.status != 501)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after what pause a failed request is sent again.

    A 429 and a 503 are retried after the upstream's `Retry-After`; without one, and after any other 5xx or a broken
    connection, the pause doubles from `base` up to `cap` and loses up to half of itself to jitter. A POST without an
    idempotency key is sent again only if it is certain that nothing was done: the connection was never made, or the
    answer is 429. A 409 that says when to come back is asked ten times as often: the first request is still in work.

    Attributes:
        max_retries: Attempts after the first.
        base: Seconds before the first retry.
        cap: The longest pause of our own, in seconds.
        max_retry_after: The longest `Retry-After` to wait for, in seconds; the upstream's windows are 30 and 60 s.
        jitter: Source of numbers in [0, 1).
    """

    max_retries: int = 3
    base: float = 0.5
    cap: float = 8.0
    max_retry_after: float = 60.0
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: Attempt) -> float | None:
        """Return the seconds to wait before trying again, or None to give up."""
        # What is in work may take as long as a deployment's function may, 29 s, and asks for a second each time.
        retries = self.max_retries * 10 if attempt.status == 409 else self.max_retries
        if attempt.number > retries or not attempt.passing:
            return None
        if not (attempt.repeatable or attempt.refused):
            return None
        if attempt.status in (409, 429, 503) and attempt.retry_after is not None:
            return attempt.retry_after if attempt.retry_after <= self.max_retry_after else None
        # The exponent is bounded only so that no number of retries overflows a float.
        pause = min(self.cap, self.base * 2.0 ** min(attempt.number - 1, 64))
        return pause * (1 - self.jitter() / 2)
