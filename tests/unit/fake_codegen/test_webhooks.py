"""The webhooks that the fake calls when runs end."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, ManualClock, Persistence
from local.fake_codegen.webhooks import SIGNATURE, WebhookCall, is_called, take_calls

ORG = f"/v1/organizations/{DEMO_ORG_ID}"
WEBHOOK = f"{ORG}/webhooks/agent-run"
URL, OTHER = "http://127.0.0.1:9/runs", "http://127.0.0.1:9/others"


@contextmanager
def receiving() -> Iterator[tuple[str, Queue[bytes]]]:
    """Yield the URL of a server on loopback, and the bodies that it receives."""
    received: Queue[bytes] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()


def start(client: httpx.Client, **more: Any) -> int:
    return int(client.post(f"{ORG}/agent/run", json={"prompt": "Hello!", **more}).raise_for_status().json()["id"])


def signature(secret: str, call: WebhookCall) -> str:
    return "sha256=" + hmac.new(secret.encode(), call.body, hashlib.sha256).hexdigest()


def test_the_webhook_of_an_organization_is_called_once_when_a_run_ends(fake: FakeCodegen, client: httpx.Client) -> None:
    client.post(WEBHOOK, json={"url": URL, "secret": "not-secret"})
    run = start(client)

    assert take_calls(fake) == []
    fake.clock.advance(60)
    (call,) = take_calls(fake)
    assert take_calls(fake) == []

    assert call.url == URL
    assert json.loads(call.body)["agent_run_id"] == run
    assert call.headers[SIGNATURE] == signature("not-secret", call)


def test_the_webhooks_of_a_run_are_called_in_the_place_of_the_organizations(
    fake: FakeCodegen, client: httpx.Client
) -> None:
    client.post(WEBHOOK, json={"url": URL})
    start(client, webhooks=[{"url": OTHER}])
    fake.clock.advance(60)

    assert [(call.url, SIGNATURE in call.headers) for call in take_calls(fake)] == [(OTHER, False)]


@pytest.mark.parametrize("webhook", [None, {"url": URL, "enabled": False}])
def test_nothing_is_called_without_a_webhook_that_is_enabled(
    webhook: dict[str, Any] | None, fake: FakeCodegen, client: httpx.Client
) -> None:
    if webhook:
        client.post(WEBHOOK, json=webhook)
    start(client)
    fake.clock.advance(60)

    assert take_calls(fake) == []


def test_each_turn_of_a_run_has_an_end_of_its_own(fake: FakeCodegen, client: httpx.Client) -> None:
    client.post(WEBHOOK, json={"url": URL})
    run = start(client)
    fake.clock.advance(60)
    take_calls(fake)
    client.post(f"{ORG}/agent/run/resume", json={"agent_run_id": run, "prompt": "Go on.", "webhooks": [{"url": OTHER}]})
    fake.clock.advance(60)

    assert [call.url for call in take_calls(fake)] == [OTHER]


def test_a_run_that_ended_before_the_webhook_was_set_is_not_announced(fake: FakeCodegen, client: httpx.Client) -> None:
    client.post(WEBHOOK, json={"url": URL})

    assert take_calls(fake) == []  # a new fake has runs that have ended


def test_a_run_that_ends_while_the_fake_is_stopped_is_not_announced_and_one_that_continues_is(tmp_path: Path) -> None:
    fake = FakeCodegen(clock=ManualClock(), limits={})
    with closing(Persistence(fake, tmp_path / "journal", on_failure=pytest.fail)) as persistence:
        organization = fake.organizations[DEMO_ORG_ID]
        organization.webhook = organization.webhook.model_copy(update={"url": URL, "enabled": True})
        ended, continuing = (fake.start(organization, "Hello!", user_id=1) for _ in range(2))
        fake.finish(ended.id)
        persistence.keep()
    again = FakeCodegen(clock=ManualClock(), limits={})
    with closing(Persistence(again, tmp_path / "journal", on_failure=pytest.fail)):
        again.finish(continuing.id)

        assert [json.loads(call.body)["agent_run_id"] for call in take_calls(again)] == [continuing.id]


def test_no_other_host_is_called() -> None:
    assert [is_called(url) for url in (URL, "http://localhost:1/", "https://hooks.example.test/127.0.0.1")] == [
        True,
        True,
        False,
    ]


def test_a_server_calls_webhooks_on_loopback(fake: FakeCodegen, http: httpx.Client) -> None:
    with receiving() as (url, received):
        http.post(WEBHOOK, json={"url": url})
        run = start(http)
        fake.finish(run)
        http.post(f"{WEBHOOK}/test", json={"url": url})

        bodies = [json.loads(received.get(timeout=30)) for _ in range(2)]
    assert {body["event_type"] for body in bodies} == {"agent_run_completed", "test"}
    assert run in {body.get("agent_run_id") for body in bodies}
