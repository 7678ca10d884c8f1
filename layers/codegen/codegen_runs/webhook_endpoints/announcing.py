"""Handing the events in the outbox to the queue of deliveries, one message for each endpoint that wants the type."""

from __future__ import annotations

import json
from collections.abc import Iterable
from threading import Lock

from codegen_runs import settings
from codegen_runs.aws import AwsError, sqs
from codegen_runs.aws.outages import outage
from codegen_runs.backend import Backend
from codegen_runs.logs import logger
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.outbox import ENDS, NEEDS_ATTENTION, Notice
from codegen_runs.storage.webhook_endpoints import Delivery, DeliveryStatus, Endpoint
from codegen_runs.webhook_endpoints import messages

DEFAULT_EVENTS = tuple(sorted(ENDS | NEEDS_ATTENTION | {messages.DISABLED}))
"""The types that an endpoint gets if it names none."""

_BATCH = 25


class _Turns:
    """One thread announces at a time: two of them would send the same messages.

    A thread of the poller that finds another one at it does not wait: that one looks into the outbox again.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_taken = self._is_wanted = False

    def take(self) -> bool:
        """Return whether the caller is to announce. Otherwise another thread looks again."""
        with self._lock:
            self._is_wanted = self._is_taken
            self._is_taken = True
            return not self._is_wanted

    def give_back(self) -> bool:
        """End a turn, unless the outbox is to be looked into again; return whether it ended."""
        with self._lock:
            self._is_taken, self._is_wanted = self._is_wanted, False
            return not self._is_taken

    def abandon(self) -> None:
        """End a turn that failed."""
        with self._lock:
            self._is_taken = self._is_wanted = False


_turns = _Turns()


def announce(*, backend: Backend) -> int:
    """Hand every waiting notice to the queue; return how many this call handed over.

    A failure is logged. The notices wait in the outbox, and the next call tries again.
    """
    count = 0
    if not _turns.take():
        return count
    try:
        is_over = False
        while not is_over:
            count += _announce_all(backend)
            is_over = _turns.give_back()
    except BaseException:
        _turns.abandon()
        raise
    return count


def send(endpoint: Endpoint, message_id: str, content: dict[str, object], *, at: int, backend: Backend) -> Delivery:
    """Store a message to an endpoint, and put its delivery into the queue.

    A message to a disabled endpoint is stored as failed, and not sent: it can be sent when the endpoint is enabled.
    Raises `StorageUnavailable`.
    """
    status, reason = (
        (DeliveryStatus.PENDING, None) if endpoint.is_enabled else (DeliveryStatus.FAILED, "The endpoint was disabled.")
    )
    delivery = backend.webhook_endpoints.add_delivery(
        Delivery(
            org_id=endpoint.org_id,
            endpoint_id=endpoint.id,
            id=message_id,
            type=str(content["type"]),
            created_at=at,
            body=messages.body(content, endpoint.format),
            status=status,
            reason=reason,
        )
    )
    if endpoint.is_enabled:
        enqueue(delivery)
    return delivery


def enqueue(delivery: Delivery) -> None:
    """Put a delivery into the queue. Raises `StorageUnavailable`."""
    put(json.dumps({"org_id": delivery.org_id, "endpoint_id": delivery.endpoint_id, "position": delivery.position}))


def put(message: str) -> None:
    """Put a message into the queue. Raises `StorageUnavailable`."""
    try:
        sqs().send_message(QueueUrl=settings.required("DELIVERY_QUEUE"), MessageBody=message)
    except AwsError as error:
        raise outage(error, "The queue of webhook deliveries did not respond.") from error


def postpone(receipt: str, seconds: int) -> None:
    """Hide a message that was received for some seconds, after which the queue repeats it.

    Raises `StorageUnavailable`.
    """
    try:
        sqs().change_message_visibility(
            QueueUrl=settings.required("DELIVERY_QUEUE"), ReceiptHandle=receipt, VisibilityTimeout=seconds
        )
    except AwsError as error:
        raise outage(error, "The queue of webhook deliveries did not respond.") from error


def wants(endpoint: Endpoint, type_: str) -> bool:
    """Return whether an endpoint gets messages of a type, or would if it were enabled."""
    return type_ in (endpoint.events or DEFAULT_EVENTS)


def _announce_all(backend: Backend) -> int:
    count = 0
    try:
        while notices := backend.outbox.waiting(_BATCH):
            endpoints = {org_id: backend.webhook_endpoints.of(org_id) for org_id in {each.org_id for each in notices}}
            for notice in notices:
                _announce(notice, endpoints[notice.org_id], backend)
                backend.outbox.remove(notice)
                count += 1
    except StorageUnavailable:
        logger.warning("Could not announce events to webhook endpoints. They wait.", exc_info=True)
    return count


def _announce(notice: Notice, endpoints: Iterable[Endpoint], backend: Backend) -> None:
    for endpoint in endpoints:
        if wants(endpoint, notice.type):
            send(endpoint, notice.message_id, messages.announcing(notice), at=notice.at, backend=backend)
