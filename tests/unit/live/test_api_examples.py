"""The exchanges on docs/api.md about a run that waits for its launch, or that takes longer than a request may."""

import pytest

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent
from codegen_runs.runs.following import enqueue
from codegen_runs.storage.runs import Launch
from local.exchanges import Exchange
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script
from local.template import Template
from tests.support import api_examples, handlers
from tests.support.events import call, current, rest
from tests.support.viewers import ADA

pytestmark = pytest.mark.usefixtures("polled_meanwhile")

KEYS = ("mr-01a2185509e9-ae8b38ad1a-0", "mr-01a2185509e9-ae8b38ad1a-1")
HANDLERS = {"cancel": "agent_runs/cancel", "run-cards": "run_cards/cancel", "chat": "chat/send"}


@pytest.fixture
def _waiting_runs(served: None) -> None:
    for key in KEYS:
        enqueue(
            org_id=DEMO_ORG_ID,
            key=key,
            prompt="Hello!",
            launch=Launch(),
            task_token="a-task-token",
            multi_run_id=key.rpartition("-")[0],
            deadline=current().clock.now() + 3600,
            backend=current(),
        )


@pytest.fixture
def _slow_assistant(deployed: Template, served: None, fake: FakeCodegen) -> None:
    fake.script(Script(seconds=60))
    profiles.create(CreateAgent(id="assistant", name="Assistant"), org_id=DEMO_ORG_ID, caller=ADA, backend=current())


@pytest.mark.usefixtures("_waiting_runs", "_slow_assistant")
@pytest.mark.parametrize("exchange", api_examples.BY_CLOCK, ids=[each.name for each in api_examples.BY_CLOCK])
def test_the_exchange_goes_as_the_page_says(exchange: Exchange) -> None:
    method, path, body = api_examples.request(exchange, {key: key for key in KEYS})
    handler = next(name for part, name in HANDLERS.items() if part in path)

    answer = call(handlers.handler(handler), rest(method, path, body=body, caller=ADA))

    api_examples.compare(exchange, answer.status, answer.headers, answer.text, ids={})
    assert answer.json["status"] == exchange.shown["status"]
