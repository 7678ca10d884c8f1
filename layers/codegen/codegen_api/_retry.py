"""When to retry a request. The decisions depend on small values only, so they are easy to test."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a failed attempt ended.

    Attributes:
        number: 1 for the first.
        repeatable: Sending the request twice has the same effect as sending it once.
        sent: The request may have reached the server.
        status: The status of the response; None without a response.
        retry_after: Seconds to wait, if the response has `Retry-After`.
        retryable: Whether a retry may succeed, according to the response; None if it does not say so.
    """

    number: int
    repeatable: bool
    sent: bool = True
    status: int | None = None
    retry_after: float | None = None
    retryable: bool | None = None

    @property
    def refused(self) -> bool:
        """Whether the request certainly had no effect: it was never sent, or the rate limit rejected it."""
        return not self.sent or self.status == 429

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        if self.retryable is False:
            return False
        if self.status == 409:  # with Retry-After, the first request with this idempotency key is still in progress
            return self.retry_after is not None
        return self.status is None or self.status == 429 or (self.status >= 500 and self.status != 501)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failed request is retried, and after which pause.

    Retried are broken connections, 429 and 5xx except 501, unless the response says `"retryable": false`. A POST
    without an idempotency key is retried only if it certainly had no effect: the connection was never made, or the
    response is 429.

    The pause before a retry is the `Retry-After` of a 429 or 503. Without one, and after any other failure, it starts
    at `base`, doubles with each retry up to `cap`, and is shortened by a random part of up to one half.

    A 409 with `Retry-After` means that the same request is still in progress. It is retried up to ten times as often.

    Attributes:
        max_retries: Maximum number of attempts after the first.
        base: Seconds before the first retry.
        cap: Longest pause without `Retry-After`, in seconds.
        max_retry_after: Longest `Retry-After` to wait for, in seconds; a longer one ends the retries. The Codegen API
            has rate limits per 30 and 60 s.
        jitter: Returns random numbers in [0, 1).
    """

    max_retries: int = 3
    base: float = 0.5
    cap: float = 8.0
    max_retry_after: float = 60.0
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: Attempt) -> float | None:
        """Return the seconds to wait before the next attempt, or None for no further attempt."""
        # A request in progress can take as long as a function of a deployment, 29 s, and each 409 asks for 1 s.
        retries = self.max_retries * 10 if attempt.status == 409 else self.max_retries
        if attempt.number > retries or not attempt.passing:
            return None
        if not (attempt.repeatable or attempt.refused):
            return None
        if attempt.status in (409, 429, 503) and attempt.retry_after is not None:
            return attempt.retry_after if attempt.retry_after <= self.max_retry_after else None
        # The exponent is bounded so that a large number of retries does not overflow a float.
        pause = min(self.cap, self.base * 2.0 ** min(attempt.number - 1, 64))
        return pause * (1 - self.jitter() / 2)


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return `Retry-After` in seconds, from its number or its HTTP date; None if absent or invalid.

    A date is relative to the `Date` of the response, so that the clocks of client and server may differ. Without
    `Date` it is relative to `now`, in Unix seconds.
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        until, sent = _unix(value), _unix(headers.get("date", ""))
        if until is None:
            return None
        seconds = until - (now if sent is None else sent)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _unix(http_date: str) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp()
    except (ValueError, OverflowError):
        return None
