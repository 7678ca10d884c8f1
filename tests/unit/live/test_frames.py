"""The frames of a stream have the documented forms."""

from collections.abc import Callable

import pytest

from codegen_api import CodegenAPI
from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script
from local.template import Template
from tests.support import handlers
from tests.support.events import call, current, rest
from tests.support.schemas import unfit
from tests.support.viewers import ADA, frames, stream, stream_event, stream_live

Poll = Callable[[float], None]


@pytest.fixture
def run_id(served: None, codegen: CodegenAPI, fake: FakeCodegen, poll: Poll) -> int:
    """A run that has ended, and that was followed all the time."""
    fake.script(Script(steps=12, seconds=20))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    stream(run.id)
    poll(200)
    return run.id


@pytest.mark.parametrize(
    ("query", "schema", "last"),
    [("", "StreamFrame", "stream_end"), ("?view=chat&after=0-0", "ChatFrame", "stream_end")],
)
@pytest.mark.parametrize("live", [False, True])
def test_the_frames_of_a_stream_fit_their_schema(query: str, schema: str, last: str, live: bool, run_id: int) -> None:
    event = stream_event(run_id, query)
    told = frames((stream_live(event) if live else call(handlers.handler("live/stream"), event)).text)

    assert {"run_log", "run_completed", last} <= {frame["event"] for frame in told}
    assert unfit(told, schema) == []


@pytest.mark.usefixtures("polled_meanwhile")
def test_the_frames_of_a_chat_fit_their_schema(deployed: Template) -> None:
    profiles.create(CreateAgent(id="assistant", name="Assistant"), org_id=DEMO_ORG_ID, caller=ADA, backend=current())
    body = {"agent_id": "assistant", "message": "Hello!", "stream": True}

    told = frames(
        call(handlers.handler("chat/send"), rest("POST", "/v1/organizations/123/chat", body=body, caller=ADA)).text
    )

    assert {"run_started", "content_delta", "run_completed"} <= {frame["event"] for frame in told}
    assert unfit(told, "ChatFrame") == []


def test_another_frame_does_not_fit() -> None:
    end = {"event": "stream_end", "id": None, "data": {"cursor": "0-9"}}

    assert unfit([end], "StreamFrame") == []
    assert unfit([end | {"event": "run_finished"}], "StreamFrame") != []
    assert unfit([end | {"data": {}}], "StreamFrame") != []
