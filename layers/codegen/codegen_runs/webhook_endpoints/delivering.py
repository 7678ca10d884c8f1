"""Delivering one message: sign it, send it, record the try, and decide what follows.

A message is tried eight times in about 28 hours. An endpoint that answers 410, or that has taken no message for three
days, is disabled, and the organization's other endpoints get a message about it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

from codegen_runs.backend import Backend
from codegen_runs.clock import milliseconds
from codegen_runs.events import timestamp
from codegen_runs.logs import logger
from codegen_runs.storage.table import ConditionFailed
from codegen_runs.storage.webhook_endpoints import Attempt, Delivery, DeliveryStatus, Endpoint
from codegen_runs.webhook_endpoints import announcing, messages
from codegen_runs.webhook_endpoints.posting import Answer, Post, host_of

DELAYS = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Seconds after each failed try until the next one. Each is up to a fifth longer, so that they spread."""

ATTEMPTS = len(DELAYS) + 1
DISABLED_AFTER = 3 * 86_400

Sign = Callable[[str, str, datetime, str], str]
"""Signs a body: secret, message id, time, body."""


def delay_after(tries: int, spread: float) -> int:
    """Return the seconds from a failed try to the next one. `spread` is from 0 to 1."""
    return round(DELAYS[tries - 1] * (1 + spread / 5))


class Deliverer:
    """Delivers messages.

    Args:
        backend: The clock and the table.
        post: Sends a request.
        sign: Signs a body.
        spread: Returns a number from 0 to 1, for the delay.
    """

    def __init__(self, backend: Backend, post: Post, sign: Sign, spread: Callable[[], float] = random.random) -> None:
        self._backend = backend
        self._post = post
        self._sign = sign
        self._spread = spread

    def deliver(self, org_id: int, endpoint_id: str, position: str) -> int | None:
        """Try to deliver a message. Return None if it is done with, else the seconds until the next try.

        A message that was taken is not sent again if the queue repeats it. A message that was given up returns 0, until
        the queue moves it to those that were not delivered. Raises `StorageUnavailable`.
        """
        table = self._backend.webhook_endpoints
        endpoint, delivery = table.get(org_id, endpoint_id), table.delivery(org_id, endpoint_id, position)
        if delivery is None or delivery.status is not DeliveryStatus.PENDING:
            return 0 if delivery and _is_given_up(delivery) else None
        if endpoint is None or not endpoint.is_enabled:
            self._record(delivery, None, status=DeliveryStatus.FAILED, reason="The endpoint is disabled or deleted.")
            return None
        began = self._backend.clock.now()
        answer = self._post(endpoint.url, self._headers(endpoint, delivery, began), delivery.body)
        attempt = Attempt(
            at=milliseconds(began),
            status=answer.status,
            error=answer.error,
            milliseconds=milliseconds(self._backend.clock.now() - began),
            answer=answer.text or None,
        )
        tries = delivery.tries + 1
        if answer.accepted:
            self._record(delivery, attempt, status=DeliveryStatus.DELIVERED, next_attempt_at=None, reason=None)
            if endpoint.failing_since is not None:
                self._change(endpoint, failing_since=None)
            return None
        if reason := self._reason_to_disable(endpoint, answer, began):
            self._record(delivery, attempt, status=DeliveryStatus.FAILED, reason=reason, next_attempt_at=None)
            self._disable(endpoint, reason, began)
            return None
        if endpoint.failing_since is None:
            self._change(endpoint, failing_since=milliseconds(began))
        if tries >= ATTEMPTS:
            reason = f"The endpoint took the message in none of {ATTEMPTS} tries."
            self._record(delivery, attempt, status=DeliveryStatus.FAILED, reason=reason, next_attempt_at=None)
            return 0
        delay = delay_after(tries, self._spread())
        self._record(delivery, attempt, next_attempt_at=milliseconds(began + delay))
        return delay

    def _headers(self, endpoint: Endpoint, delivery: Delivery, now: float) -> dict[str, str]:
        at = datetime.fromtimestamp(int(now), UTC)
        secrets = [endpoint.secret]
        if endpoint.previous_secret and (endpoint.previous_until or 0) > milliseconds(now):
            secrets.append(endpoint.previous_secret)
        return {
            "host": host_of(endpoint.url),
            "content-type": "application/json",
            "user-agent": "codegen-runs-webhooks",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": " ".join(self._sign(secret, delivery.id, at, delivery.body) for secret in secrets),
        }

    def _reason_to_disable(self, endpoint: Endpoint, answer: Answer, now: float) -> str | None:
        if answer.status == 410:
            return "The endpoint answered 410: it is gone."
        since = endpoint.failing_since
        if since is not None and milliseconds(now) - since >= DISABLED_AFTER * 1000:
            return "The endpoint has taken no message for three days."
        return None

    def _disable(self, endpoint: Endpoint, reason: str, now: float) -> None:
        logger.warning("A webhook endpoint was disabled.", endpoint_id=endpoint.id, reason=reason)
        # Sent first, so that it is not lost if this function dies. Two messages at the same time send it with one id.
        data = {"organization_id": endpoint.org_id, "endpoint_id": endpoint.id, "reason": reason}
        content = messages.message(messages.DISABLED, timestamp(now), data)
        for other in self._backend.webhook_endpoints.of(endpoint.org_id):
            if other.id != endpoint.id and announcing.wants(other, messages.DISABLED):
                message_id = f"msg_{endpoint.id}_disabled_{endpoint.rev}"
                announcing.send(other, message_id, content, at=milliseconds(now), backend=self._backend)
        current: Endpoint | None = endpoint
        while current and current.is_enabled and current.url == endpoint.url:
            if self._change(current, disabled_at=milliseconds(now), disabled_reason=reason):
                return
            current = self._backend.webhook_endpoints.get(endpoint.org_id, endpoint.id)

    def _change(self, endpoint: Endpoint, **changes: object) -> bool:
        """Change an endpoint. Return False if it was changed or deleted at the same moment."""
        try:
            self._backend.webhook_endpoints.write(endpoint, **changes)
        except ConditionFailed:
            return False
        return True

    def _record(self, delivery: Delivery, attempt: Attempt | None, **changes: object) -> None:
        """Record a try and what follows.

        The queue may hand a message out again while its first try still runs. Then both tries are recorded, and the
        message is delivered if one of them was taken.
        """
        table, current = self._backend.webhook_endpoints, delivery
        while True:
            made = (*current.attempts, attempt) if attempt else current.attempts
            is_decided = current.status is not DeliveryStatus.PENDING
            kept = {} if is_decided and changes.get("status") is not DeliveryStatus.DELIVERED else changes
            try:
                table.write_delivery(current, attempts=made, **kept)
            except ConditionFailed:
                again = table.delivery(delivery.org_id, delivery.endpoint_id, delivery.position)
                if again is None:
                    return
                current = again
                continue
            return


def _is_given_up(delivery: Delivery) -> bool:
    return delivery.status is DeliveryStatus.FAILED and delivery.tries >= ATTEMPTS
