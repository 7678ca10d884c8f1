"""Calls that are forwarded to the webhook which the doorbell replaced."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import boto3
import httpcore
import pytest

from codegen_runs.backend import Backend
from codegen_runs.webhook_endpoints import forwarding
from codegen_runs.webhook_endpoints.addresses import CheckedBackend
from codegen_runs.webhook_endpoints.delivering import ATTEMPTS, DELAYS
from codegen_runs.webhook_endpoints.posting import Answer, Poster
from local.fake_codegen import FakeCodegen
from local.fake_codegen.sample_data import Organization
from local.fake_codegen.webhooks import SIGNATURE, take_calls
from local.template import Template
from tests.support import handlers
from tests.support.events import call, rest
from tests.unit.doorbell.conftest import CUSTOMER, ORG, Queue, configure, follow, manage, name_of, ring

Sent = tuple[str, Mapping[str, str], "str | bytes"]


class Receiver:
    """Answers calls, and keeps them."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.got: list[Sent] = []

    def __call__(self, url: str, headers: Mapping[str, str], body: str | bytes) -> Answer:
        self.got.append((url, headers, body))
        return self.answers.pop(0) if self.answers else Answer(200, "ok")


@pytest.fixture
def name(work: Backend, organization: Organization, queue: Queue) -> str:
    """The last segment of the URL of a doorbell that replaced the customer's webhook."""
    configure(organization, secret="not-secret")
    manage("PUT", {"forward": True, "secret": "not-secret"})
    return name_of(organization)


def forwarded(queue: Queue, received: int = 1) -> list[Sent]:
    receiver = Receiver()
    for message in queue.take():
        assert forwarding.send(message["forward"], received, post=receiver) is None
    return receiver.got


def test_a_call_of_codegen_reaches_the_customer_unchanged_and_signed(
    name: str, fake: FakeCodegen, work: Backend, queue: Queue
) -> None:
    watch = follow(fake, work)
    fake.finish(watch.agent_run_id or 0)
    (made,) = take_calls(fake)
    event = rest("POST", f"/v1/doorbell/{name}", body=made.body.decode(), headers=made.headers, caller=None)
    assert call(handlers.handler("doorbell/ring"), event).status == 202

    ((url, headers, body),) = forwarded(queue)
    assert url == CUSTOMER
    assert body == made.body
    assert headers[SIGNATURE.lower()] == made.headers[SIGNATURE]
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == made.headers["User-Agent"]
    assert headers["host"] == "hooks.example.com"


def test_the_headers_of_the_way_are_left_out_and_repeated_ones_are_joined(name: str, queue: Queue) -> None:
    event = rest("POST", f"/v1/doorbell/{name}", body="{}", caller=None)
    several = event["multiValueHeaders"]
    several |= {
        "X-Forwarded-For": ["192.0.2.1"],
        "X-Amzn-Trace-Id": ["Root=1"],
        "Via": ["1.1 x"],
        "Connection": ["close"],
    }
    several |= {"CloudFront-Viewer-Country": ["DE"], "Transfer-Encoding": ["chunked"], "Content-Length": ["2"]}
    several |= {"Accept": ["application/json", "text/plain"], "X-Custom": ["yes"]}
    call(handlers.handler("doorbell/ring"), event)

    ((_, headers, _),) = forwarded(queue)
    assert headers == {
        "accept": "application/json, text/plain",
        "content-type": "application/json",
        "host": "hooks.example.com",
        "x-custom": "yes",
    }


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"not JSON", "ü".encode()])
def test_every_body_is_forwarded_byte_by_byte(body: bytes, name: str, queue: Queue) -> None:
    event = rest("POST", f"/v1/doorbell/{name}", caller=None)
    event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    call(handlers.handler("doorbell/ring"), event)

    assert [sent for _, _, sent in forwarded(queue)] == [body]


def test_a_call_is_forwarded_also_if_it_names_no_run_and_as_often_as_it_comes(name: str, queue: Queue) -> None:
    for _ in range(2):
        ring(name, {"event_type": "test"})

    assert len(forwarded(queue)) == 2


@pytest.mark.usefixtures("work")
def test_nothing_is_forwarded_without_another_webhook_or_to_one_that_was_disabled(
    organization: Organization, queue: Queue
) -> None:
    manage("PUT", {})
    ring(name_of(organization), {})
    manage("DELETE")
    configure(organization, enabled=False)
    manage("PUT", {"forward": True})
    ring(name_of(organization), {})

    assert queue.take() == []


@pytest.mark.usefixtures("name")
def test_a_forged_call_is_not_forwarded(queue: Queue) -> None:
    assert ring("123-" + "A" * 43, {}).status == 404
    assert queue.take() == []


def test_a_late_call_is_forwarded_after_the_doorbell_was_turned_off(name: str, queue: Queue) -> None:
    """Codegen may have been about to make it."""
    manage("DELETE")
    ring(name, {})

    assert [url for url, _, _ in forwarded(queue)] == [CUSTOMER]


def test_a_call_that_does_not_fit_the_queue_is_refused_and_not_lost_silently(name: str, queue: Queue) -> None:
    assert ring(name, {"result": "x" * 200_000}).json["code"] == "body_too_large"
    assert ring(name, {"result": "x" * 150_000}).status == 202
    assert len(queue.take()) == 1


def test_a_call_that_cannot_be_put_into_the_queue_is_answered_with_an_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codegen may then repeat it."""
    monkeypatch.setenv("DELIVERY_QUEUE", "https://sqs.us-east-1.amazonaws.com/123456789012/Missing")

    assert ring(name, {}).status == 500


# --- the sender ------------------------------------------------------------------------------------------------------

CALL = {"url": CUSTOMER, "headers": {"x-custom": "yes"}, "body": base64.b64encode(b"{}").decode()}


def test_a_call_that_is_not_taken_is_tried_as_often_as_a_message_and_then_left_to_the_queue() -> None:
    receiver = Receiver(*[Answer(500, "no")] * 20)
    delays = [forwarding.send(CALL, received, post=receiver, spread=lambda: 0) for received in range(1, 13)]

    assert delays == [*DELAYS, 0, 0, 0, 0, 0]
    assert len(receiver.got) == ATTEMPTS


def test_the_sender_refuses_an_address_that_is_not_public_and_hides_the_call_until_its_next_try(
    name: str, work: Backend
) -> None:
    stored = work.doorbells.get(ORG)
    assert stored
    assert stored.replaced
    private = stored.replaced.model_copy(update={"url": "https://10.0.0.1/"})
    work.doorbells.write(stored.model_copy(update={"replaced": private}))
    ring(name, {})
    client = boto3.client("sqs", region_name="us-east-1")
    url = client.get_queue_url(QueueName="DeliveryQueue")["QueueUrl"]
    (message,) = client.receive_message(QueueUrl=url, AttributeNames=["All"], VisibilityTimeout=1)["Messages"]
    record = {"messageId": "m-1", "receiptHandle": message["ReceiptHandle"], "body": message["Body"]}
    record["attributes"] = message["Attributes"]

    failed = handlers.handler("webhook_sender/send")({"Records": [record]}, None)

    assert failed == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    hidden = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    assert hidden["Attributes"] == {"ApproximateNumberOfMessagesNotVisible": "1"}


def test_a_call_is_sent_over_the_connection_whose_address_was_checked(deployed: Template) -> None:
    written: list[bytes] = []

    class Recorded(httpcore.MockStream):
        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            written.append(buffer)

    class Recording(httpcore.NetworkBackend):
        def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> Any:
            assert (host, port) == ("192.0.2.7", 80)
            return Recorded([b"HTTP/1.1 204 No Content\r\n\r\n"])

    network = CheckedBackend(lambda _: True, lambda host, port: ["192.0.2.7"], Recording())
    sent = forwarding.send(CALL | {"url": "http://hooks.example.com/ended"}, 1, post=Poster(network))

    assert sent is None
    request = b"".join(written)
    assert request.startswith(b"POST /ended HTTP/1.1\r\n")
    assert b"\r\nx-custom: yes\r\n" in request
    assert request.endswith(b"\r\n\r\n{}")
