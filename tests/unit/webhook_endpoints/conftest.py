"""Webhook endpoints in memory: the table, the queue, and a receiver."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from codegen_runs.backend import Backend
from codegen_runs.storage.webhook_endpoints import Delivery, Endpoint
from codegen_runs.webhook_endpoints.delivering import Deliverer
from codegen_runs.webhook_endpoints.posting import Answer
from local.template import Template
from tests.support import aws, backend
from tests.support.events import working_with

ORG = 123


@dataclass
class Receiver:
    """Answers messages, and keeps them. Before an answer it does the next of `meanwhile`."""

    meanwhile: list[Callable[[], object]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    got: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)

    def __call__(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        self.got.append((url, headers, json.loads(body)))
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return self.answers.pop(0) if self.answers else Answer(200, "ok")


def sign(secret: str, message_id: str, at: datetime, body: str) -> str:
    return f"v1,{secret}:{message_id}:{int(at.timestamp())}"


class Queue:
    """The queue of deliveries, read at once whatever its visibility timeout."""

    def __init__(self, url: str) -> None:
        self._client = aws.client("sqs")
        self._url = url

    def take(self) -> list[dict[str, Any]]:
        """Take all messages out of the queue."""
        taken: list[dict[str, Any]] = []
        while messages := self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(json.loads(message["Body"]))
        return taken


@pytest.fixture
def work(deployed: Template, clock: backend.TestClock) -> Any:
    work = Backend(clock=clock, kick=backend.Kicks())
    with working_with(work):
        yield work


@pytest.fixture
def queue(deployed: Template) -> Queue:
    client = aws.client("sqs")
    return Queue(client.create_queue(QueueName="DeliveryQueue")["QueueUrl"])


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def deliverer(work: Backend, queue: Queue, receiver: Receiver) -> Deliverer:
    return Deliverer(work, receiver, sign, spread=lambda: 0.0)


@pytest.fixture
def endpoint(work: Backend) -> Endpoint:
    return add(work, "we-0000000000000001")


def add(work: Backend, endpoint_id: str, **more: Any) -> Endpoint:
    """Store an endpoint."""
    fields = {
        "org_id": ORG,
        "id": endpoint_id,
        "url": "https://hooks.example/runs",
        "secret": "whsec_one",
        "created_at": 1,
        "created_by": "user:42",
        "updated_at": 1,
    }
    endpoint = Endpoint(**(fields | more))
    work.webhook_endpoints.add(endpoint)
    return endpoint


def only(work: Backend, endpoint: Endpoint) -> Delivery:
    """Return the one delivery of an endpoint."""
    (delivery,), _ = work.webhook_endpoints.deliveries(endpoint.org_id, endpoint.id, 10)
    return delivery
