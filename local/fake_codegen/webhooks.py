"""The calls of webhooks: when a run ends, its own webhooks are called, or else that of its organization.

That is what the upstream documents. The payload, the header and the algorithm of the signature are published nowhere;
these are what receivers of others expect. Each call is made once, and only to loopback, so that no test and no demo
reaches another host.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from .clock import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .runs import Run
    from .state import FakeCodegen

logger = logging.getLogger(__name__)

SIGNATURE = "X-Codegen-Signature"
_SECONDS_BETWEEN = 0.05
_TIMEOUT = 10.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True)
class WebhookCall:
    """One call of a webhook."""

    url: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Webhooks:
    """The ends that have not been announced yet, and the tests that were asked for."""

    at_work: set[int] = field(default_factory=set)
    """The runs whose last turn has not ended, or whose end was not announced."""
    tests: list[WebhookCall] = field(default_factory=list)


def webhook_call(url: str, secret: str | None, payload: dict[str, object]) -> WebhookCall:
    """Return a call, signed if there is a secret."""
    body = json.dumps(payload).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "fake-codegen"}
    if secret is not None:
        headers[SIGNATURE] = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return WebhookCall(url, body, headers)


def take_calls(fake: FakeCodegen) -> list[WebhookCall]:
    """Return the calls for the runs that have ended since the last time. Each is returned once."""
    with fake.lock:
        calls, fake.webhooks.tests = fake.webhooks.tests, []
        now = fake.clock.now()
        for run_id in sorted(fake.webhooks.at_work):
            run = fake.runs.get(run_id)
            if run is None or run.ended(now):
                fake.webhooks.at_work.discard(run_id)
                calls += _calls_of(fake, run) if run else []
    return calls


def is_called(url: str) -> bool:
    """Return whether the fake calls a URL."""
    return urlsplit(url).hostname in _LOOPBACK


@contextmanager
def calling(fake: FakeCodegen) -> Iterator[None]:
    """Call webhooks while the block runs."""
    stopped = threading.Event()
    thread = threading.Thread(target=_call_until, args=(fake, stopped), name="fake-codegen-webhooks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=_TIMEOUT + 1)


def _calls_of(fake: FakeCodegen, run: Run) -> list[WebhookCall]:
    now = fake.clock.now()
    payload: dict[str, object] = {
        "event_type": "agent_run_completed",
        "agent_run_id": run.id,
        "organization_id": run.organization_id,
        "status": run.status(now),
        "result": run.result(now),
        "web_url": run.web_url,
        "created_at": timestamp(run.created_at),
    }
    if run.webhooks:
        return [webhook_call(hook.url, hook.secret, payload) for hook in run.webhooks]
    organization = fake.organizations[run.organization_id]
    if not organization.webhook.url or not organization.webhook.enabled:
        return []
    return [webhook_call(organization.webhook.url, organization.webhook_secret, payload)]


def _call_until(fake: FakeCodegen, stopped: threading.Event) -> None:
    with ThreadPoolExecutor(4, "fake-codegen-webhook") as threads:
        while not stopped.wait(_SECONDS_BETWEEN):
            for call in take_calls(fake):
                if is_called(call.url):
                    threads.submit(_send, call)


def _send(call: WebhookCall) -> None:
    try:
        with httpx.Client(timeout=_TIMEOUT, trust_env=False) as client:
            client.post(call.url, content=call.body, headers=call.headers)
    except httpx.HTTPError as error:
        logger.info("The webhook %s was not reached: %s", call.url, error)
