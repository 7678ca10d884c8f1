"""The doorbell through its handlers, with the fake Codegen, the queue, and runs that are followed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.runs import following
from codegen_runs.storage.runs import Watch
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport, Script
from local.fake_codegen.sample_data import Organization
from local.template import Template
from tests.support import aws, handlers
from tests.support.backend import Kicks, TestClock
from tests.support.events import TOKEN, Answer, call, rest, working_with

ORG = DEMO_ORG_ID
PATH = f"/v1/organizations/{ORG}/doorbell"
WEBHOOK = f"/v1/organizations/{ORG}/webhooks/agent-run"
CUSTOMER = "https://hooks.example.com/ended?team=1"


@pytest.fixture
def work(deployed: Template, clock: TestClock, fake: FakeCodegen) -> Iterator[Backend]:
    fake.tokens[TOKEN] = fake.tokens[DEMO_TOKEN]
    work = Backend(clock=clock, kick=Kicks())
    with upstream.over(FakeTransport(fake)), working_with(work):
        yield work


@pytest.fixture
def organization(fake: FakeCodegen) -> Organization:
    """The organization at Codegen."""
    return fake.organizations[ORG]


class Queue:
    """The queue of deliveries. `take` ignores how long a message is hidden."""

    def __init__(self) -> None:
        self._client = aws.client("sqs")
        self._url = self._client.create_queue(QueueName="DeliveryQueue")["QueueUrl"]

    def take(self) -> list[dict[str, Any]]:
        taken = []
        while messages := self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(json.loads(message["Body"]))
        return taken


@pytest.fixture
def queue(deployed: Template) -> Queue:
    return Queue()


def manage(method: str, body: Any = None, *, role: str = "admin", **more: Any) -> Answer:
    """Read the doorbell, turn it on or turn it off."""
    event = rest(method, PATH, body=body, **more)
    event["requestContext"]["authorizer"]["roles"] = f"{ORG}:{role}"
    return call(handlers.handler("doorbell/manage"), event)


def ring(name: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """Call the doorbell as Codegen does."""
    event = rest("POST", f"/v1/doorbell/{name}", body=body, headers=headers, caller=None)
    return call(handlers.handler("doorbell/ring"), event)


def name_of(organization: Organization) -> str:
    """Return the last segment of the URL that Codegen calls."""
    assert organization.webhook.url
    return organization.webhook.url.rpartition("/")[2]


def configure(
    organization: Organization, url: str = CUSTOMER, *, enabled: bool = True, secret: str | None = None
) -> None:
    """Configure a webhook at Codegen, as a customer does."""
    has_secret = secret is not None
    changes = {"url": url, "enabled": enabled, "has_secret": has_secret}
    organization.webhook = organization.webhook.model_copy(update=changes)
    organization.webhook_secret = secret


def follow(fake: FakeCodegen, work: Backend, *, due_in: float = 30) -> Watch:
    """Start a run at Codegen that does not end, and follow it. It is read in `due_in` seconds."""
    run = fake.start(fake.organizations[ORG], "Hello!", user_id=1, script=Script(ending="NEVER"))
    watch = following.first_watch(org_id=ORG, agent_run_id=run.id, status="ACTIVE", now=work.clock.now())
    watch = watch.model_copy(update={"due_at": round((work.clock.now() + due_in) * 1000)})
    assert work.runs.add(watch)
    return watch


def again(watch: Watch, work: Backend) -> Watch:
    """Read a watch again."""
    found = work.runs.get(watch.org_id, watch.key)
    assert found
    return found
