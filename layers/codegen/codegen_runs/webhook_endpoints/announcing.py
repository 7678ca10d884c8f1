"""Handing the events in the outbox to the queue of deliveries, one message for each endpoint that wants the type."""

from __future__ import annotations

import json
from threading import Lock

from codegen_runs import settings
from codegen_runs.aws import AwsError, sqs
from codegen_runs.aws.outages import outage
from codegen_runs.backend import Backend
from codegen_runs.logs import logger
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.outbox import ENDS, NEEDS_ATTENTION, Notice
from codegen_runs.storage.webhook_endpoints import Delivery, Endpoint
from codegen_runs.webhook_endpoints import messages

DEFAULT_EVENTS = tuple(sorted(ENDS | NEEDS_ATTENTION | {messages.DISABLED}))
"""The types that an endpoint gets if it names none."""

_BATCH = 25

# Threads of the poller may find new events at the same time. Two of them would send the same messages.
_one_at_a_time = Lock()


def announce(*, backend: Backend) -> int:
    """Hand every waiting notice to the queue; return how many there were.

    A failure is logged. The notices wait in the outbox, and the next call tries again.
    """
    count = 0
    with _one_at_a_time:
        try:
            while notices := backend.outbox.waiting(_BATCH):
                for notice in notices:
                    _announce(notice, backend)
                    backend.outbox.remove(notice)
                    count += 1
        except StorageUnavailable:
            logger.warning("Could not announce events to webhook endpoints. They wait.", exc_info=True)
    return count


def send(endpoint: Endpoint, message_id: str, content: dict[str, object], *, at: int, backend: Backend) -> Delivery:
    """Store a message to an endpoint, and put its delivery into the queue. Raises `StorageUnavailable`."""
    delivery = backend.webhook_endpoints.add_delivery(
        Delivery(
            org_id=endpoint.org_id,
            endpoint_id=endpoint.id,
            id=message_id,
            type=str(content["type"]),
            created_at=at,
            body=messages.body(content, endpoint.format),
        )
    )
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
    """Return whether an endpoint gets messages of a type."""
    return endpoint.is_enabled and type_ in (endpoint.events or DEFAULT_EVENTS)


def _announce(notice: Notice, backend: Backend) -> None:
    for endpoint in backend.webhook_endpoints.of(notice.org_id):
        if wants(endpoint, notice.type):
            send(endpoint, notice.message_id, messages.announcing(notice), at=notice.at, backend=backend)
