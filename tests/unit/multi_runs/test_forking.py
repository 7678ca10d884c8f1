"""Candidates that start from a checkpoint: what they receive, what they take over, and the lineage."""

from collections.abc import Iterator
from typing import Any

import pytest

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent, UpdateAgent
from codegen_runs.callers import Caller
from codegen_runs.upstream import over
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, FakeTransport, Script, Trouble
from tests.support import handlers
from tests.support.events import Answer, call, current, rest
from tests.unit.multi_runs.flow import ORG, PATH, Runs, events, get, task

pytestmark = pytest.mark.usefixtures("state_machine")

ADA = Caller("user:789", 789, frozenset({ORG}), DEMO_TOKEN)
HOME = f"/v1/organizations/{ORG}"


@pytest.fixture(autouse=True)
def _codegen(fake: FakeCodegen) -> Iterator[None]:
    with over(FakeTransport(fake)):
        yield


def send(function: str, method: str, path: str, body: Any = None) -> Answer:
    return call(handlers.handler(function), rest(method, path, body=body, caller=ADA))


def start(**body: Any) -> Answer:
    return send("multi_runs/create", "POST", PATH, {"prompt": "Try it so.", **body})


def checkpoints(run: int | str) -> dict[str, str]:
    """Return the ids of a run's checkpoints by their reason."""
    answer = send("checkpoints/list", "GET", f"{HOME}/agent/run/{run}/checkpoints")
    return {each["reason"]: each["id"] for each in reversed(answer.json["items"])}


def lineage(checkpoint_id: str) -> Any:
    return send("checkpoints/lineage", "GET", f"{HOME}/checkpoints/{checkpoint_id}/lineage").json


def run(upstream: Runs, *, ending: str = "COMPLETE", pull_request: bool = False, **body: Any) -> int:
    """Start a run, follow it, and return its id."""
    script = Script(seconds=2, steps=2, ending=ending, result="The bug is in the cache.", pull_request=pull_request)
    upstream.fake.script(script)
    started = send("agent_runs/create", "POST", f"{HOME}/agent/run", {"prompt": "Find the bug.", **body})
    assert started.status == 200, started.text
    upstream.follow(1)
    return int(started.json["id"])


@pytest.fixture
def end(upstream: Runs) -> str:
    """The last checkpoint of a run."""
    return checkpoints(run(upstream, model="claude-opus", repo_id=7))["end"]


def prompts(upstream: Runs, multi_run_id: str) -> list[str]:
    """Return what the candidates received at Codegen."""
    found = get(multi_run_id).json["candidates"]
    return [upstream.fake.runs[each["agent_run_id"]].turns[0].prompt for each in found]


def test_every_candidate_receives_the_conversation_and_its_own_task(upstream: Runs, end: str) -> None:
    started = start(from_checkpoint=end, variants=[{}, {"prompt": "Try it otherwise."}])
    assert started.status == 202, started.text
    upstream.launch(started.json["id"])
    first, second = prompts(upstream, started.json["id"])

    for prompt, given in ((first, "Try it so."), (second, "Try it otherwise.")):
        assert prompt.index("Find the bug.") < prompt.index("The bug is in the cache.") < prompt.index(given)
        assert prompt.endswith(f"Your task:\n\n{given}")
    assert first.count("Try it") == second.count("Try it") == 1


def test_a_candidate_has_the_options_of_the_checkpoints_run_unless_the_request_has_others(end: str) -> None:
    found = start(from_checkpoint=end, variants=[{}, {"model": "gpt-5", "repo_id": 8}]).json["candidates"]
    shared = start(from_checkpoint=end, concurrency=1, model="gpt-5").json["candidates"]

    assert [(each["model"], each["repo_id"]) for each in (*found, *shared)] == [
        ("claude-opus", 7),
        ("gpt-5", 8),
        ("gpt-5", 7),
    ]


def test_a_candidate_has_the_agent_of_the_checkpoint_in_its_version_unless_it_names_another(upstream: Runs) -> None:
    for name in ("finder", "fixer"):
        agent = CreateAgent(id=name, name=name, system_prompt=f"You are a {name}.")
        profiles.create(agent, org_id=ORG, caller=ADA, backend=current())
    end = checkpoints(run(upstream, agent_id="finder"))["end"]
    profiles.update("finder", UpdateAgent(system_prompt="Changed."), org_id=ORG, caller=ADA, backend=current())
    multi_run_id = start(from_checkpoint=end, variants=[{}, {"agent_id": "fixer"}, {"system_prompt": "Be brief."}])
    upstream.launch(multi_run_id.json["id"])
    starts = [prompt.split("\n\n")[1] for prompt in prompts(upstream, multi_run_id.json["id"])]

    assert starts == ["You are a finder.", "You are a fixer.", "Be brief."]


@pytest.mark.full
def test_the_instructions_of_a_fork_are_inherited_by_candidates_from_its_checkpoint(upstream: Runs, end: str) -> None:
    changes = {"modifications": {"modified_query": "Again.", "system_prompt": "Answer in French."}}
    forked = send("checkpoints/fork", "POST", f"{HOME}/checkpoints/{end}/fork", changes).json["agent_run_id"]
    upstream.follow()
    multi_run_id = start(from_checkpoint=checkpoints(forked)["end"], concurrency=1).json["id"]
    upstream.launch(multi_run_id)
    (prompt,) = prompts(upstream, multi_run_id)

    assert prompt.startswith("# Instructions\n\nAnswer in French.\n")
    assert prompt.index("Find the bug.") < prompt.index("Again.") < prompt.index("Try it so.")


def test_the_prompt_names_the_pull_requests_that_the_run_had(upstream: Runs) -> None:
    end = checkpoints(run(upstream, pull_request=True))["end"]
    multi_run_id = start(from_checkpoint=end, concurrency=1).json["id"]
    upstream.launch(multi_run_id)
    (prompt,) = prompts(upstream, multi_run_id)
    (opened,) = send("checkpoints/get", "GET", f"{HOME}/checkpoints/{end}").json["pull_requests"]

    assert f"{opened['url']} (branch {opened['branch_name']})" in prompt


def test_the_lineage_shows_the_candidates_as_forks_of_the_multi_run(upstream: Runs, end: str) -> None:
    multi_run_id = start(from_checkpoint=end, variants=[{}, {"model": "gpt-5"}]).json["id"]
    assert lineage(end)["descendants"] == []
    for _ in range(2):  # A task of the state machine can be called again.
        upstream.launch(multi_run_id)
    found = get(multi_run_id).json["candidates"]
    descendants = lineage(end)["descendants"]

    assert [each["child"] for each in descendants] == [each["key"] for each in found]
    assert [(each["action"], each["multi_run_id"]) for each in descendants] == [("fork", multi_run_id)] * 2
    assert [each["modified"] for each in descendants] == [["modified_query"], ["modified_query", "model"]]
    metadata = [upstream.fake.runs[each["agent_run_id"]].metadata or {} for each in found]
    assert [each["client_run_id"] for each in metadata] == [each["client_run_id"] for each in descendants]
    assert [each["checkpoint_id"] for each in metadata] == [end] * 2


def test_a_checkpoint_of_a_candidate_has_the_conversation_before_the_fork(upstream: Runs, end: str) -> None:
    multi_run_id = start(from_checkpoint=end, concurrency=1).json["id"]
    upstream.launch(multi_run_id)
    last = checkpoints(f"{multi_run_id}-0")["end"]
    found = send("checkpoints/get", "GET", f"{HOME}/checkpoints/{last}").json

    assert [each["text"] for each in found["chain"]][:3] == [
        "Find the bug.",
        "The bug is in the cache.",
        "Try it so.",
    ]
    assert [each["checkpoint_id"] for each in lineage(last)["ancestors"]] == [end]


def test_a_multi_run_names_its_checkpoint(end: str) -> None:
    started = start(from_checkpoint=end)
    expected = {
        "checkpoint_id": end,
        "run": end.split(".")[0],
        "agent_run_id": int(end.split(".")[0]),
        "link": f"{HOME}/checkpoints/{end}",
    }

    assert started.json["from_checkpoint"] == get(started.json["id"]).json["from_checkpoint"] == expected
    assert get(start().json["id"]).json["from_checkpoint"] is None


def test_a_candidate_that_is_added_starts_from_the_checkpoint_too(upstream: Runs, end: str) -> None:
    multi_run_id = start(from_checkpoint=end, concurrency=1).json["id"]
    added = send("multi_runs/add_candidate", "POST", f"{PATH}/{multi_run_id}/candidates", {"prompt": "Try a third."})
    assert added.status == 201, added.text
    upstream.launch(multi_run_id)
    _, prompt = prompts(upstream, multi_run_id)

    assert prompt.index("The bug is in the cache.") < prompt.index("Try a third.")
    assert get(multi_run_id).json["candidates"][1]["model"] == "claude-opus"
    assert f"{multi_run_id}-1" in [each["child"] for each in lineage(end)["descendants"]]


@pytest.mark.parametrize(
    ("checkpoint_id", "status", "code"),
    [("999.0-1", 404, "checkpoint_not_found"), ("nonsense", 422, "validation_failed"), (7, 422, "validation_failed")],
)
def test_a_checkpoint_that_is_not_there_is_refused(checkpoint_id: object, status: int, code: str) -> None:
    answer = start(from_checkpoint=checkpoint_id)

    assert (answer.status, answer.json["code"]) == (status, code)
    assert current().multi_runs.newest(ORG, 1) == ([], None)


def test_an_estimate_says_that_the_checkpoint_would_be_refused(end: str) -> None:
    def refusals(checkpoint_id: str) -> list[str]:
        body = {"prompt": "Try it so.", "from_checkpoint": checkpoint_id}
        answer = send("multi_runs/estimate", "POST", f"{PATH}/estimate", body)
        return [each["code"] for each in answer.json["refusals"]]

    assert refusals("999.0-1") == ["checkpoint_not_found"]
    assert refusals(end) == []


def test_if_codegen_does_not_answer_nothing_is_stored(
    fake: FakeCodegen, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
    fake.trouble("get_agent_run", Trouble("error", status=500))
    answer = start(from_checkpoint=end)

    assert answer.status >= 500
    assert current().multi_runs.newest(ORG, 1) == ([], None)


def test_a_checkpoint_of_a_run_at_work_has_a_warning_and_so_has_an_unknown_field(upstream: Runs) -> None:
    at_work = checkpoints(run(upstream, ending="NEVER"))["start"]
    warnings = start(from_checkpoint=at_work, temperature=1).json["warnings"]

    assert [each["code"] for each in warnings] == ["ignored_parameter", "run_goes_on"]


def test_the_first_event_names_the_checkpoint(end: str) -> None:
    for body, expected in (({"from_checkpoint": end}, end), ({}, None)):
        first = events(start(**body).json["id"]).json["items"][0]

        assert (first["type"], first["data"]["from_checkpoint"]) == ("multi_run.created", expected)


@pytest.mark.full
def test_a_candidate_that_is_retried_starts_from_the_checkpoint_again(upstream: Runs, end: str) -> None:
    upstream.fake.script(Script(ending="FAILED"))
    multi_run_id = start(from_checkpoint=end, concurrency=1).json["id"]
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)
    retried = send("multi_runs/retry", "POST", f"{PATH}/{multi_run_id}/retry")
    assert retried.status == 202, retried.text
    upstream.launch(multi_run_id)
    (candidate,) = get(multi_run_id).json["candidates"]
    (prompt,) = prompts(upstream, multi_run_id)

    assert (candidate["attempt"], candidate["status"]) == (2, "completed")
    assert prompt.index("The bug is in the cache.") < prompt.index("Try it so.")
    assert [each["child"] for each in lineage(end)["descendants"]] == [f"{multi_run_id}-0", candidate["key"]]


def test_the_end_of_a_candidate_is_in_the_event_log_as_without_a_checkpoint(upstream: Runs, end: str) -> None:
    multi_run_id = start(from_checkpoint=end, concurrency=2, strategy="none").json["id"]
    upstream.launch(multi_run_id)
    upstream.gather(multi_run_id)
    task("publish", multi_run_id)

    assert get(multi_run_id).json["status"] == "completed"
    assert events(multi_run_id).json["items"][-1]["type"] == "multi_run.completed"
