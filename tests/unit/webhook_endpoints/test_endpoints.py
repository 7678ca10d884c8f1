"""Webhook endpoints through their handlers, and the events that reach them."""

from __future__ import annotations

from typing import Any

import pytest

from codegen_runs.backend import Backend
from codegen_runs.events import Event
from codegen_runs.storage.outbox import Notice
from codegen_runs.storage.webhook_endpoints import Endpoint
from codegen_runs.webhook_endpoints import announcing, messages
from codegen_runs.webhook_endpoints.posting import Answer
from tests.support import handlers
from tests.support.events import Answer as HttpAnswer
from tests.support.events import call, rest
from tests.unit.webhook_endpoints.conftest import ORG, Queue, Receiver, add

PATH = f"/v1/organizations/{ORG}/webhook-endpoints"
URL = "https://hooks.example.com/runs"


def send(name: str, method: str, path: str = "", body: Any = None) -> HttpAnswer:
    event = rest(method, PATH + path, body=body)
    event["requestContext"]["authorizer"]["roles"] = f"{ORG}:admin"
    return call(handlers.handler(f"webhook_endpoints/{name}"), event)


def event(type_: str, seq: int = 1) -> Event:
    data = {"turn": 1, "result_preview": "sk-a secret", "reason": "What an agent wrote."}
    return Event(epoch=0, seq=seq, type=type_, run_id=7, ts="2026-11-27T10:00:00.000Z", data=data)


def store(work: Backend, *events: Event) -> None:
    from codegen_runs.storage.table import transact

    transact(work.runs.event_actions(ORG, "7", events))


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example.com/", "ftp://hooks.example.com/", "https://", "https:///path", "hooks.example.com"),
        *("https://user@hooks.example.com/", "https://hooks.example.com/#part", "https://127.0.0.1/"),
        *("https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest", "https://localhost/"),
        *("https://printer.local/", "https://metadata.google.internal/", "https://hooks.example.com:0/"),
        *("https://hooks.example.com:99999/", "https://[::1", "https://a b.example/", "", 7),
    ],
)
@pytest.mark.usefixtures("work", "queue")
def test_a_url_that_is_not_https_or_not_public_is_refused(url: Any) -> None:
    answer = send("create", "POST", body={"url": url})

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/body/url"


@pytest.mark.usefixtures("work", "queue")
def test_the_secret_is_shown_at_creation_and_rotation_only() -> None:
    made = send("create", "POST", body={"url": URL}).json
    path = f"/{made['id']}"

    assert made["secret"].startswith("whsec_")
    assert "secret" not in send("get", "GET", path).json
    assert "secret" not in send("list", "GET").json["items"][0]
    assert "secret" not in send("update", "PATCH", path, {"description": "d"}).json
    rotated = send("rotate_secret", "POST", f"{path}/rotate-secret").json
    assert rotated["secret"] not in ("", made["secret"])
    assert rotated["previous_secret_until"]


@pytest.mark.usefixtures("queue")
def test_the_end_of_a_run_is_announced_once_to_each_endpoint_that_wants_it(work: Backend, queue: Queue) -> None:
    wants = add(work, "we-0000000000000001")
    add(work, "we-0000000000000002", events=("run.failed",))
    store(work, event("run.log"), event("run.completed", 2))

    assert announcing.announce(backend=work) == 1
    assert announcing.announce(backend=work) == 0
    (sent,) = queue.take()
    assert sent["endpoint_id"] == wants.id


@pytest.mark.usefixtures("queue")
def test_a_thread_that_finds_another_one_announcing_does_not_wait_and_its_event_is_announced(
    work: Backend, queue: Queue, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second event is stored when the first thread has read the outbox for the last time."""
    counts: list[int] = []
    waiting = work.outbox.waiting

    def read(limit: int) -> list[Notice]:
        found = waiting(limit)
        if not found and not counts:
            store(work, event("run.failed", 2))
            counts.append(announcing.announce(backend=work))
        return found

    monkeypatch.setattr(work.outbox, "waiting", read)
    store(work, event("run.completed"))

    assert announcing.announce(backend=work) == 2
    assert counts == [0]
    assert len(queue.take()) == 2


@pytest.mark.usefixtures("queue")
def test_an_error_leaves_the_turn_to_the_next_call(
    work: Backend, queue: Queue, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(work, event("run.completed"))
    with monkeypatch.context() as patched:
        patched.setattr(work.outbox, "waiting", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            announcing.announce(backend=work)

    assert announcing.announce(backend=work) == 1
    assert len(queue.take()) == 1


def test_a_message_contains_nothing_that_an_agent_wrote(work: Backend, queue: Queue, endpoint: Endpoint) -> None:
    store(work, event("run.failed"))
    announcing.announce(backend=work)

    (delivery,), _ = work.webhook_endpoints.deliveries(ORG, endpoint.id, 10)
    assert delivery.id == f"msg_{ORG}_7_0-1"
    assert "secret" not in delivery.body
    assert "agent wrote" not in delivery.body
    assert f"/v1/organizations/{ORG}/agent/run/7" in delivery.body


def test_a_message_that_could_not_be_queued_waits_in_the_outbox(
    work: Backend, endpoint: Endpoint, deployed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no queue: a fault of SQS. The environment is that of the deployment."""
    store(work, event("run.failed"))

    assert announcing.announce(backend=work) == 0
    assert [notice.type for notice in work.outbox.waiting(10)] == ["run.failed"]


@pytest.mark.parametrize("type_", sorted(announcing.DEFAULT_EVENTS))
def test_slack_gets_a_sentence_for_every_type(type_: str) -> None:
    data = {"organization_id": ORG, "run_id": 7, "multi_run_id": None, "endpoint_id": "we-1"}
    content = messages.message(type_, "2026-11-27T10:00:00.000Z", data)

    assert messages.body(content, messages.Format.SLACK).startswith('{"text":"')


def test_what_is_sent_again_keeps_its_id_and_gets_new_tries(
    work: Backend, queue: Queue, endpoint: Endpoint, deliverer: Any, receiver: Receiver
) -> None:
    store(work, event("run.failed"), event("run.completed", 2))
    announcing.announce(backend=work)
    for message in queue.take():
        deliverer.deliver(**message)
    again = send("send", "POST", f"/{endpoint.id}/deliveries", {"since": "2026-11-27T10:00:00Z"}).json
    receiver.answers = [Answer(500, "")]
    results = [deliverer.deliver(**message) for message in queue.take()]

    assert again == {"message_ids": [f"msg_{ORG}_7_0-1", f"msg_{ORG}_7_0-2"], "more": False, "warnings": []}
    assert results == [5, None]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/we-00000000000000ff/deliveries", {}, 404, "webhook_endpoint_not_found"),
        ("/we-0000000000000001/deliveries", {"message_id": "msg_nothing"}, 404, "delivery_not_found"),
        ("/we-0000000000000001/deliveries", {"message_id": "m", "since": "2026-11-27"}, 422, "validation_failed"),
        ("/we-0000000000000001/deliveries", {"since": "yesterday"}, 422, "validation_failed"),
    ],
)
@pytest.mark.usefixtures("endpoint", "queue")
def test_what_cannot_be_sent_is_refused(path: str, body: Any, status: int, code: str) -> None:
    answer = send("send", "POST", path, body)

    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.usefixtures("queue")
def test_nothing_is_sent_to_a_disabled_endpoint_until_it_is_enabled(work: Backend) -> None:
    endpoint = add(work, "we-0000000000000001", disabled_at=1, disabled_reason="Gone.", failing_since=1)
    refused = send("send", "POST", f"/{endpoint.id}/deliveries", {})
    enabled = send("update", "PATCH", f"/{endpoint.id}", {"enabled": True}).json

    assert (refused.status, refused.json["code"]) == (409, "webhook_endpoint_disabled")
    assert (enabled["enabled"], enabled["disabled_reason"], enabled["failing_since"]) == (True, None, None)
    assert send("send", "POST", f"/{endpoint.id}/deliveries", {}).status == 202


def test_what_a_disabled_endpoint_misses_is_recorded_and_sent_when_it_is_enabled(work: Backend, queue: Queue) -> None:
    endpoint = add(work, "we-0000000000000001", disabled_at=1)
    store(work, event("run.completed"), event("run.log", 2))
    announcing.announce(backend=work)
    (missed,) = send("deliveries", "GET", f"/{endpoint.id}/deliveries").json["items"]

    assert queue.take() == []
    assert (missed["status"], missed["reason"]) == ("failed", "The endpoint was disabled.")

    send("update", "PATCH", f"/{endpoint.id}", {"enabled": True})
    sent = send("send", "POST", f"/{endpoint.id}/deliveries", {"since": "1970-01-01T00:00:00Z"}).json
    assert sent["message_ids"] == [missed["message_id"]]
    assert len(queue.take()) == 1


@pytest.mark.usefixtures("queue")
def test_an_organization_has_at_most_twenty_endpoints(work: Backend) -> None:
    for number in range(20):
        add(work, f"we-{number:016x}")
    answer = send("create", "POST", body={"url": URL})

    assert (answer.status, answer.json["code"]) == (409, "too_many_webhook_endpoints")
