"""The Python client against a running stack."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from codegen_api import CodegenAPI, ConflictError, TaskStatus
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack

PATIENCE = 120


class LosingResponses(httpx.HTTPTransport):
    """A network that loses every second response after the server has sent it."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        response = super().handle_request(request)
        if len(self.requests) % 2:
            response.read()
            response.close()
            raise httpx.ReadError("cut", request=request)
        return response


@pytest.fixture
def network() -> LosingResponses:
    return LosingResponses()


@pytest.fixture
def api(stack: Stack) -> Iterator[CodegenAPI]:
    with CodegenAPI(DEMO_ORG_ID, DEMO_TOKEN, stack.api_url) as api:
        yield api


@pytest.mark.full
def test_a_short_script_runs_a_task_and_streams_its_log(api: CodegenAPI) -> None:
    task = api.run_task("Say hello. [[fake seconds=10 steps=5]]")
    events = list(task.stream())

    logs = api.runs.logs(task.id).logs
    assert [event.log for event in events if event.type == "run.log"] == logs
    assert events[-1].type == "run.completed"
    assert task.result


@pytest.mark.full
def test_lost_responses_lose_no_event_and_start_no_second_run(stack: Stack, network: LosingResponses) -> None:
    assert stack.fake
    prompt = "Say hello, once. [[fake seconds=10 steps=8]]"
    with CodegenAPI(DEMO_ORG_ID, DEMO_TOKEN, stack.api_url, transport=network) as api:
        task = api.run_task(prompt)
        events = list(task.stream())

    assert [create.body["prompt"] for create in stack.fake.creates].count(prompt) == 1
    assert network.requests.count(f"POST /codegen/v1/organizations/{DEMO_ORG_ID}/agent/run") == 2
    assert [event.id for event in events] == [f"0-{n}" for n in range(1, len(events) + 1)]
    assert events[-1].type == "run.completed"


@pytest.mark.full
def test_the_events_of_a_run_are_the_same_in_a_list_in_a_stream_and_in_pages(api: CodegenAPI) -> None:
    task = api.run_task("Say hello. [[fake seconds=5 steps=4]]")
    with api.runs.stream(task.id) as stream:
        streamed = list(stream)

    listed = list(task.events())
    assert streamed == listed[: len(streamed)] == list(task.stream())
    assert str(streamed[-1]).endswith(" completed")
    assert list(api.runs.stream(task.id, after=streamed[-2].id)) == streamed[-1:]
    assert [event.id for page in api.runs.events(task.id, limit=2).pages() for event in page.items] == [
        event.id for event in listed
    ]


def test_a_task_gets_a_follow_up_and_is_forked(api: CodegenAPI) -> None:
    task = api.run_task("Say hello. [[fake seconds=1]]").wait_for_completion(timeout=PATIENCE, poll_interval=0.3)

    forked = task.fork(prompt="Say hello in French. [[fake seconds=1]]")

    assert forked.id != task.id
    assert forked.wait_for_completion(timeout=PATIENCE, poll_interval=0.3).is_successful()
    lineages = [api.checkpoints.lineage(checkpoint.id) for checkpoint in task.checkpoints()]
    assert str(forked.id) in {fork.child for lineage in lineages for fork in lineage.descendants}
    task.follow_up("And goodbye. [[fake seconds=1]]").wait_for_completion(timeout=PATIENCE, poll_interval=0.3)
    assert task.is_successful()


def test_a_task_is_paused_and_continues(api: CodegenAPI) -> None:
    task = api.run_task("Say hello. [[fake ending=NEVER]]").pause()
    assert api.run_cards.get(task.id).paused_scope == "queue_only"

    task.resume()

    assert api.run_cards.get(task.id).paused_scope is None


def test_a_conversation_is_streamed_and_continued(api: CodegenAPI) -> None:
    api.agents.create("Assistant", agent_id="client_chat")
    chat = api.chat.session("client_chat")
    with chat.stream("Hello. [[fake seconds=3 steps=3]]") as events:
        types = [event.type for event in events]
    assert types[0] == "run.started"
    assert types.count("content.delta") == 1
    assert types[-1] == "run.completed"

    answer = chat.send("And goodbye. [[fake seconds=1]]")

    assert (answer.session_id, answer.turn, answer.status) == (chat.id, 2, "completed")
    assert answer.response


@pytest.mark.full
def test_a_multi_run_is_estimated_started_and_followed(api: CodegenAPI) -> None:
    prompt = "Say hello. [[fake seconds=2]]"
    assert api.multi_runs.estimate(prompt, concurrency=2).runs >= 3
    started = api.multi_runs.create(prompt, concurrency=2, strategy="none")

    events = list(api.multi_runs.stream(started.id))

    assert events[-1].type == "multi_run.completed"
    assert events == list(api.multi_runs.events(started.id))
    assert api.multi_runs.get(started.id).status.final
    assert started.id in {found.id for found in api.multi_runs.list(limit=1)}


def test_run_cards_are_filtered_and_all_pages_are_read(api: CodegenAPI) -> None:
    for number in range(3):
        api.run_cards.create(f"Paint it. [[fake seconds=1]] {number}", metadata={"tags": ["of the client"]})

    found = api.run_cards.list(query="paint", limit=2)

    assert len(list(found)) == 3
    assert len(found.items) == 2
    assert api.run_cards.with_raw_response.list(limit=1).request_id
    assert {limit.name for limit in api.rate_limits.get().background} >= {"create", "logs"}
    assert api.service.openapi()["info"]["title"]


def test_an_unchanged_response_is_not_sent_again(api: CodegenAPI) -> None:
    task = api.run_task("Say hello. [[fake seconds=1]]").wait_for_completion(timeout=PATIENCE, poll_interval=0.3)
    deadline = time.monotonic() + PATIENCE
    statuses: dict[int, int] = {}
    while statuses != {304: 1}:  # The card of a run that has just ended still changes a little.
        assert time.monotonic() < deadline, statuses
        time.sleep(0.3)
        before = task.refresh().result
        api.metrics.reset()
        assert task.refresh().result == before
        statuses = dict(api.metrics.statuses)

    assert api.metrics.cache_hits == 1


def test_a_running_task_is_cancelled_only_with_consent_to_a_ban(api: CodegenAPI) -> None:
    task = api.run_task("Fix it. [[fake ending=NEVER seconds=1 pull_request=true]]")
    with pytest.raises(ConflictError, match="pull request"):
        task.cancel()

    task.cancel(allow_pr_ban=True).wait_for_completion(timeout=PATIENCE, poll_interval=0.3)

    assert task.status is TaskStatus.CANCELLED


def test_a_task_of_an_agent_has_its_instructions(api: CodegenAPI, stack: Stack) -> None:
    agent = api.agents.create_agent("Reviewer", "code_review", system_prompt="Look for races.", tags=["of a test"])
    task = agent.run_task("Review it.")
    card: Any = api.get_task(task.id)

    assert stack.fake
    assert "Look for races." in stack.fake.creates[-1].body["prompt"]
    assert card.prompt == "Review it."
    assert [found.id for found in api.agents.list_agents(tag="of a test")] == [agent.id]
    api.agents.delete_agent(agent.id)
    assert api.agents.list_agents(tag="of a test") == []


def test_the_client_can_use_a_token_that_it_created(api: CodegenAPI, stack: Stack) -> None:
    made = api.users.create_api_token("a script's")
    assert made.token
    with CodegenAPI(DEMO_ORG_ID, made.token, stack.api_url) as other:
        assert other.users.get_current_user().id == 789
    api.users.revoke_api_token(made.id)
    assert made.id not in [token.id for token in api.users.list_api_tokens()]
